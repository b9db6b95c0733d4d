//! The largest and the smallest element over dimensions, and where the largest stands.
//!
//! ```text
//! y = max x          ∂C/∂x[i] = ∂C/∂y / k where x[i] = y, for the k elements that are, else 0
//! ```
//!
//! NaN counts as the largest and as the smallest, so that it is never hidden. Nothing has no largest element: an
//! empty dimension is an error.

use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use crate::dtype::{DType, with_float};
use crate::error::{Result, bail};
use crate::kernels::extrema::{Shares, first_of_largest, share_gradient};
use crate::kernels::reduce::Fold;
use crate::launch::{Arguments, Cost, Operand, launch};
use crate::layout::{Layout, Shape, show};
use crate::ops::reduce::{Split, fold, in_own_order, split};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// A tensor with something to choose from, or an error.
fn filled(name: &str, x: &Tensor, dims: &[isize]) -> Result<Split> {
    x.dtype().require_float(name)?;
    let s = split(name, x, dims)?;
    if s.reduced == 0 {
        bail!(Value, "{name}: an empty dimension of shape {} has no extremum", show(x.shape()));
    }
    Ok(s)
}

struct ExtremeBackward {
    name: &'static str,
    /// The elements as blocks, and the extreme value of each column.
    x: Saved,
    y: Saved,
    reduced: usize,
    after: usize,
    order: Option<SmallVec<[usize; 4]>>,
}

impl Backward for ExtremeBackward {
    fn name(&self) -> &'static str {
        self.name
    }

    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let (x, y, grad) = (self.x.get()?, self.y.get()?, grad.packed()?);
        let (reduced, after) = (self.reduced, self.after);
        let out = Tensor::empty(x.shape(), x.dtype())?;
        let cost = Cost::elementwise(x.count(), 2.0, 3, x.dtype());
        // One block has columns that threads can share, several are shared themselves.
        let one = y.count() == after && after > 1;
        let units = if one { after } else { y.count().checked_div(after).unwrap_or(0) };
        let operands = if one {
            [
                Operand::read(x),
                Operand::read_own(y, 1),
                Operand::read_own(&grad, 1),
                Operand::write_scattered(&out),
            ]
        } else {
            [
                Operand::read_own(x, reduced * after),
                Operand::read_own(y, after),
                Operand::read_own(&grad, after),
                Operand::write_own(&out, reduced * after),
            ]
        };
        with_float!(x.dtype(), self.name, T => launch(self.name, units, cost, operands.into_iter().collect(),
        move |units: Range<usize>, arguments: &Arguments<'_>| {
            // Columns of the one block, or whole blocks.
            let (columns, blocks) = if one { (units.len(), 1) } else { (after, units.len()) };
            let elements = units.start * if one { 1 } else { reduced * after };
            let results = units.start * if one { 1 } else { after };
            let first = Shares::<T> {
                x: arguments.pointer::<T>(0).wrapping_add(elements),
                extreme: arguments.pointer::<T>(1).wrapping_add(results),
                grad: arguments.pointer::<T>(2).wrapping_add(results),
                out: arguments.pointer::<T>(3).wrapping_add(elements),
                reduced,
                after,
                columns,
            };
            // SAFETY: the operands are contiguous tensors of these blocks, and the units of one call are its own.
            #[allow(unsafe_code, reason = "the one call of the kernel; columns of a block are no slice")]
            unsafe { share_gradient(first, blocks) };
        }))?;
        Ok(smallvec![Some(match &self.order {
            Some(order) => in_own_order(&out, order),
            None => out,
        })])
    }
}

fn extreme(
    name: &'static str,
    which: Fold,
    x: &Tensor,
    dims: &[isize],
    keepdim: bool,
) -> Result<Tensor> {
    let s = filled(name, x, dims)?;
    let y = fold(name, which, &s)?;
    let out = if keepdim { y.clone() } else { y.view(Layout::contiguous(&s.squeezed)) };
    Ok(out.recorded(&[x], |_| ExtremeBackward {
        name,
        x: Saved::new(&s.x),
        y: Saved::new(&y),
        reduced: s.reduced,
        after: s.after,
        order: s.order.clone(),
    }))
}

impl Tensor {
    /// The largest element over `dims` (all where empty); equal ones share the gradient.
    pub fn amax(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        extreme("amax", Fold::Largest, self, dims, keepdim)
    }

    /// The smallest element over `dims` (all where empty); equal ones share the gradient.
    pub fn amin(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        extreme("amin", Fold::Smallest, self, dims, keepdim)
    }

    /// The position of the first largest element over `dims` (all where empty), counted in row-major order of those
    /// dimensions; NaN counts as the largest. Not differentiable.
    pub fn argmax(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        let s = filled("argmax", self, dims)?;
        let (reduced, after) = (s.reduced, s.after);
        let out = Self::empty(&s.kept, DType::I64)?;
        let operands = [Operand::read_own(&s.x, reduced * after), Operand::write_own(&out, after)];
        let cost = Cost::elementwise(s.x.count(), 2.0, 1, s.x.dtype());
        let units = if out.count() == 0 { 0 } else { s.before };
        with_float!(self.dtype(), "argmax", T => launch("argmax", units, cost, operands.into_iter().collect(),
        move |units: Range<usize>, arguments: &Arguments<'_>| {
            first_of_largest(arguments.own::<T>(0, &units), reduced, after, arguments.own_mut(1, &units));
        }))?;
        let shape: &Shape = if keepdim { &s.kept } else { &s.squeezed };
        Ok(out.view(Layout::contiguous(shape)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::backward;

    fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
        Tensor::from_slice(values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    #[test]
    fn values_and_positions() {
        let x = tensor(&[3., -7., 5., 5., -2., -9.], &[2, 3]);
        assert_eq!(values(&x.amax(&[1], false).expect("filled")), [5., 5.]);
        assert_eq!(values(&x.amin(&[0], true).expect("filled")), [3., -7., -9.]);
        assert_eq!(x.amin(&[0], true).expect("filled").shape(), [1, 3]);
        assert_eq!(x.amax(&[], false).expect("filled").item().expect("one"), 5.0);
        assert_eq!(
            x.argmax(&[0], false).expect("filled").to_vec::<i64>().expect("int64"),
            [1, 1, 0]
        );
        assert_eq!(x.argmax(&[], false).expect("filled").item().expect("one"), 2.0);
        let nan = tensor(&[1., f64::NAN, 9., f64::NAN], &[4]);
        assert!(nan.amax(&[], false).expect("filled").item().expect("one").is_nan());
        assert!(nan.amin(&[0], false).expect("filled").item().expect("one").is_nan());
        assert_eq!(nan.argmax(&[0], false).expect("filled").item().expect("one"), 1.0);
        let low = tensor(&[f64::NEG_INFINITY; 3], &[3]);
        assert_eq!(low.argmax(&[0], false).expect("filled").item().expect("one"), 0.0);
        assert_eq!(low.amax(&[0], false).expect("filled").item().expect("one"), f64::NEG_INFINITY);
        let empty = Tensor::zeros(&[3, 0], DType::F32).expect("empty");
        assert!(matches!(empty.amax(&[1], false), Err(crate::Error::Value(_))));
        assert_eq!(empty.amax(&[0], false).expect("no rows").shape(), [0]);
    }

    #[test]
    fn long_rows_and_every_length() {
        for n in [1usize, 2, 7, 15, 16, 17, 33, 20_000, 100_003] {
            // A permutation of 0..n, so that the largest stands somewhere inside.
            let data: Vec<f32> = (0..n).map(|i| ((i * 7919 + 13) % n) as f32).collect();
            let best = data.iter().position(|&x| x as usize == n - 1);
            let x = Tensor::from_slice(&data, &[1, n]).expect("fits");
            assert_eq!(
                x.argmax(&[1], false).expect("filled").item().expect("one"),
                best.expect("there is one") as f64
            );
            assert_eq!(x.amin(&[], false).expect("filled").item().expect("one"), 0.0);
        }
    }

    #[test]
    fn ties_share_the_gradient() {
        let x = tensor(&[1., 4., 4., 4., 0., 2.], &[2, 3]);
        x.set_requires_grad(true).expect("a float leaf");
        backward(&x.amax(&[1], true).expect("filled"), Some(&tensor(&[6., 1.], &[2, 1])), false)
            .expect("a graph");
        assert_eq!(values(&x.grad().expect("reached")), [0., 3., 3., 1., 0., 0.]);
        x.set_grad(None).expect("none");
        backward(&x.amin(&[0], false).expect("filled"), Some(&tensor(&[1., 2., 3.], &[3])), false)
            .expect("a graph");
        assert_eq!(values(&x.grad().expect("reached")), [1., 0., 0., 0., 2., 3.]);
    }
}
