//! Inference through a plan: rows in, outputs out, with as little around the kernels as can be.

use std::sync::Mutex;

use ndarray::ArrayViewD;

use super::{LONGEST, Plan};
use crate::dtype::{Element, with_float};
use crate::error::{Result, bail};
use crate::host_access;
use crate::layout::show;
use crate::team::{self, Team, lock};
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

    /// The answers to inputs that lie one after the other, written one after the other: as [`answer`](Self::answer) for
    /// each, without a pause between them.
    pub fn answer_each<T: Element>(
        &mut self,
        engine: &mut Team,
        (input, output): (&Tensor, &Tensor),
        elements: &[T],
        answers: &mut [T],
    ) -> Result<()> {
        let (each, made) = (input.count(), output.count());
        let steps = elements.len().checked_div(each).unwrap_or(0);
        if [input, output].iter().any(|tensor| tensor.dtype() != T::DTYPE) {
            bail!(Type, "inference: expected inputs and answers of {}", input.dtype().name());
        }
        let whole = each > 0 && made > 0 && elements.len() == steps * each;
        if !whole || answers.len() != steps * made {
            bail!(
                Shape,
                "inference: expected whole inputs of shape {} and room for an answer of shape {} to each, got {} and {} \
                 elements",
                show(input.shape()),
                show(output.shape()),
                elements.len(),
                answers.len()
            );
        }
        let _held = team::mark_held();
        let places = (elements.chunks_exact(each), answers.chunks_exact_mut(made));
        // Whoever of the workers comes last to the end of a step uses it.
        let places = Mutex::new(places);
        let bring = || {
            if let Some(from) = lock(&places).0.next() {
                host_access::with_mut(input, |to: &mut [T]| to.copy_from_slice(from));
            }
        };
        let after = || {
            if let Some(to) = lock(&places).1.next() {
                host_access::with_all(output, |from: &[T]| to.copy_from_slice(from));
            }
            bring();
        };
        bring();
        let mut done = 0;
        while done < steps {
            let run = self.executor.run(engine, &self.inputs, &after, steps - done, LONGEST);
            done += run.steps;
            self.note_steps(run.steps);
            if let Some(error) = run.error {
                return Err(error);
            }
        }
        Ok(())
    }
}
