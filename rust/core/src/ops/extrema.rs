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
use crate::kernels::extrema::{extreme_rows, first_of_largest, share_gradient};
use crate::launch::{Arguments, Cost, Operand, launch};
use crate::layout::{Layout, Shape, show};
use crate::ops::reduce::{Rows, in_own_order, rows};
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// Elements of a long row that make one unit.
const CHUNK: usize = 8192;
/// Up to this many rows, long rows are cut so that threads can share them.
const FEW_ROWS: usize = 16;

/// Rows of at least one element, or an error.
fn filled_rows(name: &str, x: &Tensor, dims: &[isize]) -> Result<Rows> {
    x.dtype().require_float(name)?;
    let rows = rows(name, x, dims)?;
    if rows.width == 0 {
        bail!(Value, "{name}: an empty dimension of shape {} has no extremum", show(x.shape()));
    }
    Ok(rows)
}

/// The extreme value of each row of (rows, width).
fn extremes(name: &'static str, largest: bool, r: &Rows) -> Result<Tensor> {
    let (rows, width) = (r.count, r.width);
    if rows <= FEW_ROWS && width >= 2 * CHUNK {
        let parts = width.div_ceil(CHUNK);
        let partial = Tensor::empty(&[rows, parts], r.x.dtype())?;
        let cost = Cost::elementwise(r.x.count(), 2.0, 1, r.x.dtype());
        let operands = [Operand::read(&r.x), Operand::write_own(&partial, 1)];
        with_float!(r.x.dtype(), name, T => launch(name, rows * parts, cost, operands.into_iter().collect(),
        move |units: Range<usize>, arguments: &Arguments<'_>| {
            let x = arguments.all::<T>(0);
            for (unit, to) in units.clone().zip(arguments.own_mut::<T>(1, &units).chunks_exact_mut(1)) {
                let (row, start) = (unit / parts, unit % parts * CHUNK);
                let part = &x[row * width + start..row * width + (start + CHUNK).min(width)];
                extreme_rows(largest, part, part.len(), to);
            }
        }))?;
        let kept = SmallVec::from_slice(&[rows, 1]);
        let squeezed = SmallVec::from_slice(&[rows]);
        let whole =
            Rows { x: partial, count: rows, width: parts, kept, squeezed, order: SmallVec::new() };
        return extreme_of_each(name, largest, &whole);
    }
    extreme_of_each(name, largest, r)
}

fn extreme_of_each(name: &'static str, largest: bool, r: &Rows) -> Result<Tensor> {
    let (rows, width) = (r.count, r.width);
    let out = Tensor::empty(&[rows], r.x.dtype())?;
    let cost = Cost::elementwise(r.x.count(), 2.0, 1, r.x.dtype());
    let operands = [Operand::read_own(&r.x, width), Operand::write_own(&out, 1)];
    with_float!(r.x.dtype(), name, T => launch(name, rows, cost, operands.into_iter().collect(),
    move |units: Range<usize>, arguments: &Arguments<'_>| {
        extreme_rows(largest, arguments.own::<T>(0, &units), width, arguments.own_mut(1, &units));
    }))?;
    Ok(out)
}

struct ExtremeBackward {
    name: &'static str,
    /// The elements as rows, and the extreme value of each.
    x: Saved,
    y: Saved,
    order: SmallVec<[usize; 4]>,
}

impl Backward for ExtremeBackward {
    fn name(&self) -> &'static str {
        self.name
    }

    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let (x, y, grad) = (self.x.get()?, self.y.get()?, grad.packed()?);
        let rows = y.count();
        let width = x.count().checked_div(rows).unwrap_or(0);
        let out = Tensor::empty(x.shape(), x.dtype())?;
        let operands = [
            Operand::read_own(x, width),
            Operand::read_own(y, 1),
            Operand::read_own(&grad, 1),
            Operand::write_own(&out, width),
        ];
        let cost = Cost::elementwise(x.count(), 2.0, 3, x.dtype());
        with_float!(x.dtype(), self.name, T => launch(self.name, rows, cost, operands.into_iter().collect(),
        move |units: Range<usize>, arguments: &Arguments<'_>| {
            let (x, y) = (arguments.own::<T>(0, &units), arguments.own(1, &units));
            share_gradient(x, y, arguments.own(2, &units), width, arguments.own_mut(3, &units));
        }))?;
        Ok(smallvec![Some(in_own_order(&out, &self.order))])
    }
}

fn extreme(
    name: &'static str,
    largest: bool,
    x: &Tensor,
    dims: &[isize],
    keepdim: bool,
) -> Result<Tensor> {
    let r = filled_rows(name, x, dims)?;
    let y = extremes(name, largest, &r)?;
    let out = y.view(Layout::contiguous(if keepdim { &r.kept } else { &r.squeezed }));
    Ok(out.recorded(&[x], |_| ExtremeBackward {
        name,
        x: Saved::new(&r.x),
        y: Saved::new(&y),
        order: r.order.clone(),
    }))
}

impl Tensor {
    /// The largest element over `dims` (all where empty); equal ones share the gradient.
    pub fn amax(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        extreme("amax", true, self, dims, keepdim)
    }

    /// The smallest element over `dims` (all where empty); equal ones share the gradient.
    pub fn amin(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        extreme("amin", false, self, dims, keepdim)
    }

    /// The position of the first largest element over `dims` (all where empty), counted in row-major order of those
    /// dimensions; NaN counts as the largest. Not differentiable.
    pub fn argmax(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        let r = filled_rows("argmax", self, dims)?;
        let largest = extremes("argmax", true, &r)?;
        let (rows, width) = (r.count, r.width);
        let out = Self::empty(&[rows], DType::I64)?;
        let operands = [
            Operand::read_own(&r.x, width),
            Operand::read_own(&largest, 1),
            Operand::write_own(&out, 1),
        ];
        let cost = Cost::elementwise(r.x.count(), 1.0, 1, r.x.dtype());
        with_float!(self.dtype(), "argmax", T => launch("argmax", rows, cost, operands.into_iter().collect(),
        move |units: Range<usize>, arguments: &Arguments<'_>| {
            let (x, largest) = (arguments.own::<T>(0, &units), arguments.own(1, &units));
            first_of_largest(x, largest, width, arguments.own_mut(2, &units));
        }))?;
        let shape: &Shape = if keepdim { &r.kept } else { &r.squeezed };
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
