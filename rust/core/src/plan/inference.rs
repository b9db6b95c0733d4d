//! Inference through a plan: rows in, outputs out, with as little around the kernels as can be.

use ndarray::ArrayViewD;

use super::Plan;
use crate::dtype::{Element, with_float};
use crate::error::{Result, bail};
use crate::host_access;
use crate::layout::show;
use crate::team::{self, Team};
use crate::tensor::Tensor;

impl Plan {
    /// The answer to a tensor of the input's shape, without gaps; see [`answer`](Self::answer).
    pub fn answer_to(
        &mut self,
        engine: &mut Team,
        input: &Tensor,
        output: &Tensor,
        x: &Tensor,
    ) -> Result<Tensor> {
        let _held = team::mark_held();
        with_float!(x.dtype(), "inference", S => host_access::with(x, |view: ArrayViewD<'_, S>| {
            match view.as_slice() {
                Some(elements) => self.answer(engine, input, output, elements),
                None => bail!(Value, "inference: expected an input without gaps between its elements"),
            }
        }))
    }

    /// Writes `elements` into `input`, runs one step and gives a copy of `output`.
    ///
    /// Both tensors were there when the plan was captured, are of a floating-point type and have no gaps. The engine is
    /// in the caller's hand.
    pub fn answer<S: Element>(
        &mut self,
        engine: &mut Team,
        input: &Tensor,
        output: &Tensor,
        elements: &[S],
    ) -> Result<Tensor> {
        if elements.len() != input.count() {
            bail!(
                Shape,
                "inference: expected {} elements for an input of shape {}, got {}",
                input.count(),
                show(input.shape()),
                elements.len()
            );
        }
        let answer = Tensor::empty(output.shape(), output.dtype())?;
        let _held = team::mark_held();
        with_float!(input.dtype(), "inference", T => host_access::with_mut(input, |to: &mut [T]| {
            // Exact where both types are the same.
            to.iter_mut().zip(elements).for_each(|(to, from)| *to = T::from_f64(from.to_f64()));
        }));
        self.run_once(engine)?;
        with_float!(output.dtype(), "inference", T => host_access::with(output, |from| {
            host_access::with_mut(&answer, |to: &mut [T]| {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            });
        }));
        Ok(answer)
    }
}
