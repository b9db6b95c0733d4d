//! Slicing and indexing: slices, single positions, reversed dimensions. All are views.
//!
//! ```text
//! y[i] = x[start + i·step]          ∂C/∂x[start + i·step] = ∂C/∂y[i], zero elsewhere
//! ```
//!
//! in each dimension. One launch by rows of x writes the gradient.

use std::ops::Range;

use ndarray::{ArrayViewMutD, Axis, Slice};
use smallvec::{SmallVec, smallvec};

use crate::dtype::{Element, with_element};
use crate::error::{Result, bail};
use crate::launch::{Cost, Operand, launch};
use crate::layout::{Layout, Shape, dimension, show};
use crate::tensor::Tensor;

/// A part of one dimension, as Python's `start:stop:step` has it: negative positions count from the end, and
/// positions beyond an end mean that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first position; none for the end where the step comes from.
    pub start: Option<isize>,
    /// The position before which it stops; none to go all the way.
    pub stop: Option<isize>,
    /// How far from one element to the next; negative to go backward, never zero.
    pub step: isize,
}

impl Span {
    /// The whole dimension.
    pub const ALL: Self = Self { start: None, stop: None, step: 1 };

    /// The positions of a range.
    pub const fn range(range: Range<usize>) -> Self {
        Self { start: Some(range.start as isize), stop: Some(range.end as isize), step: 1 }
    }

    /// The first position and the number of elements in a dimension of `size`.
    fn resolve(self, size: usize) -> (usize, usize) {
        let n = size as isize;
        // A backward span stops one place before the first element at the earliest.
        let (low, high) = if self.step > 0 { (0, n) } else { (-1, n - 1) };
        let hold = |p: isize| (if p < 0 { p.saturating_add(n) } else { p }).clamp(low, high);
        let (first, last) = if self.step > 0 { (low, high) } else { (high, low) };
        let start = self.start.map_or(first, hold);
        let stop = self.stop.map_or(last, hold);
        let reach = if self.step > 0 { stop - start } else { start - stop };
        let length = reach.max(0).unsigned_abs().div_ceil(self.step.unsigned_abs());
        (if length == 0 { 0 } else { start as usize }, length)
    }
}

/// Where a slice lies in its tensor: first position, step and length in each dimension.
type Region = SmallVec<[(usize, isize, usize); 4]>;

/// Zeros of `shape` with `grad` in the region.
fn scatter(grad: &Tensor, shape: &[usize], region: &Region) -> Result<Tensor> {
    let out = Tensor::empty(shape, grad.dtype())?;
    let (Some(&rows), Some(&(first, step, length))) = (shape.first(), region.first()) else {
        grad.copy_into(&out)?;
        return Ok(out);
    };
    let row = out.count().checked_div(rows).unwrap_or(0);
    // Row by row the launch can join a chain, unless rows themselves were chosen.
    let whole = (first, step, length) == (0, 1, rows) && grad.layout().is_contiguous();
    let source = if whole {
        Operand::read_own(grad, grad.count() / rows.max(1))
    } else {
        Operand::read(grad)
    };
    let operands = smallvec![source, Operand::write_own(&out, row)];
    let from = Layout { offset: 0, ..grad.layout().clone() };
    let row_shape: Vec<usize> = shape[1..].to_vec();
    let region: Vec<(usize, isize, usize)> = region.to_vec();
    let cost = Cost::elementwise(out.count(), 0.0, 2, grad.dtype());
    with_element!(grad.dtype(), T => launch("slice backward", rows, cost, operands,
    move |items, arguments| {
        let out = arguments.own_mut::<T>(1, &items);
        out.fill(T::from_f64(0.0));
        let grad = arguments.view::<T>(0, &from);
        if row == 0 || grad.is_empty() {
            return;
        }
        for (item, to) in items.zip(out.chunks_exact_mut(row)) {
            let distance = item as isize - first as isize;
            let place = distance / step;
            if distance % step != 0 || !(0..length as isize).contains(&place) {
                continue;
            }
            let grad = grad.index_axis(Axis(0), place as usize);
            let Ok(mut to) = ArrayViewMutD::from_shape(row_shape.as_slice(), to) else {
                unreachable!("a row has the shape of a row");
            };
            for (axis, &(first, step, length)) in region[1..].iter().enumerate() {
                to.slice_axis_inplace(Axis(axis), ascending(first, step, length));
                if step < 0 {
                    to.invert_axis(Axis(axis));
                }
            }
            to.assign(&grad);
        }
    }))?;
    Ok(out)
}

/// The positions `first, first + step, ...` from the lowest up.
fn ascending(first: usize, step: isize, length: usize) -> Slice {
    let last = first as isize + (length as isize - 1) * step;
    let (low, high) = (last.min(first as isize), last.max(first as isize));
    Slice::new(low, Some(high + 1), step.abs())
}

impl Tensor {
    fn sliced_from(self, x: &Self, region: Region) -> Self {
        self.recorded_of("slice", x, |_| {
            let shape = Shape::from(x.shape());
            move |grad| {
                let lengths: Shape = region.iter().map(|&(_, _, length)| length).collect();
                scatter(&grad.with_shape(&lengths)?, &shape, &region)
            }
        })
    }

    /// A view of a part of each dimension; dimensions beyond the given spans are taken whole.
    pub fn slice(&self, spans: &[Span]) -> Result<Self> {
        if spans.len() > self.ndim() {
            let (given, ndim) = (spans.len(), self.ndim());
            bail!(Index, "slice: {given} spans for a tensor with {ndim} dimensions");
        }
        let mut layout = self.layout().clone();
        let mut region: Region = self.shape().iter().map(|&size| (0, 1, size)).collect();
        for (dim, span) in spans.iter().enumerate() {
            if span.step == 0 {
                bail!(Value, "slice: the step of dimension {dim} is 0");
            }
            let (start, length) = span.resolve(self.shape()[dim]);
            // One element has no next one: the step does not matter, and a huge one must not overflow.
            let step = if length > 1 { span.step } else { 1 };
            region[dim] = (start, step, length);
            let stride = layout.strides[dim];
            layout.offset = layout.offset.wrapping_add_signed(start as isize * stride);
            layout.shape[dim] = length;
            layout.strides[dim] = stride * step;
        }
        if layout.shape.contains(&0) {
            layout.offset = self.layout().offset;
        }
        let y = self.view(layout);
        Ok(y.sliced_from(self, region))
    }

    /// A view at one position of a dimension, without that dimension. A negative index counts from the end.
    pub fn index(&self, dim: isize, index: isize) -> Result<Self> {
        let dim = dimension("index", dim, self.ndim())?;
        let size = self.shape()[dim];
        let place = if index < 0 { index.saturating_add(size as isize) } else { index };
        if !(0..size as isize).contains(&place) {
            let shape = show(self.shape());
            bail!(
                Index,
                "index: {index} is out of range for dimension {dim} of size {size} (shape {shape})"
            );
        }
        let mut layout = self.layout().clone();
        let stride = layout.strides.remove(dim);
        layout.shape.remove(dim);
        if layout.count() > 0 {
            layout.offset = layout.offset.wrapping_add_signed(place * stride);
        }
        let mut region: Region = self.shape().iter().map(|&size| (0, 1, size)).collect();
        region[dim] = (place as usize, 1, 1);
        let y = self.view(layout);
        Ok(y.sliced_from(self, region))
    }

    /// Views at every position of a dimension, in order.
    pub fn unbind(&self, dim: isize) -> Result<Vec<Self>> {
        let dim = dimension("unbind", dim, self.ndim())?;
        let mut parts = Vec::with_capacity(self.shape()[dim]);
        self.unbind_into(dim, &mut parts)?;
        Ok(parts)
    }

    /// Cuts in halves: the gradient of a part is written in the shape of what it was cut from, so that parts that are
    /// all cut from the whole would write the square of their number.
    fn unbind_into(&self, dim: usize, parts: &mut Vec<Self>) -> Result<()> {
        let size = self.shape()[dim];
        if size < 2 {
            for place in 0..size {
                parts.push(self.index(dim as isize, place as isize)?);
            }
            return Ok(());
        }
        let mut spans: SmallVec<[Span; 4]> = SmallVec::from_elem(Span::ALL, dim + 1);
        for half in [0..size / 2, size / 2..size] {
            spans[dim] = Span::range(half);
            self.slice(&spans)?.unbind_into(dim, parts)?;
        }
        Ok(())
    }

    /// A view with the order of the elements reversed in the given dimensions.
    pub fn flip(&self, dims: &[isize]) -> Result<Self> {
        let mut spans: SmallVec<[Span; 4]> = SmallVec::from_elem(Span::ALL, self.ndim());
        for &dim in dims {
            spans[dimension("flip", dim, self.ndim())?].step = -1;
        }
        self.slice(&spans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::count;

    fn counted(shape: &[usize]) -> Tensor {
        let values: Vec<f64> = (0..count(shape).expect("small")).map(|i| i as f64).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    #[test]
    fn spans_follow_numpy() {
        let x = counted(&[5]);
        let take = |start, stop, step| {
            values(&x.slice(&[Span { start, stop, step }]).expect("a valid span"))
        };
        assert_eq!(take(None, None, -1), [4., 3., 2., 1., 0.]);
        assert_eq!(take(Some(1), Some(-1), 2), [1., 3.]);
        assert_eq!(take(Some(-2), None, 1), [3., 4.]);
        assert_eq!(take(Some(3), Some(0), -2), [3., 1.]);
        assert_eq!(take(Some(100), Some(-100), -1), [4., 3., 2., 1., 0.]);
        assert_eq!(take(Some(-100), Some(100), isize::MAX), [0.]);
        assert_eq!(take(Some(4), Some(2), 1), [0.; 0]);
        assert_eq!(take(Some(isize::MIN), Some(isize::MAX), 4), [0., 4.]);
        assert!(x.slice(&[Span { start: None, stop: None, step: 0 }]).is_err());
        assert!(x.slice(&[Span::ALL; 2]).is_err());
        let x = counted(&[3, 4]);
        assert_eq!(values(&x.index(1, -1).expect("inside")), [3., 7., 11.]);
        let text = x.index(0, 3).expect_err("outside").to_string();
        assert!(text.contains("3 is out of range for dimension 0 of size 3"), "{text}");
        assert_eq!(x.slice(&[Span::ALL, Span::range(4..4)]).expect("empty").shape(), [3, 0]);
    }

    #[test]
    fn unbound_parts_are_the_positions() {
        let x = counted(&[2, 5]);
        x.set_requires_grad(true).expect("a float leaf");
        let parts = x.unbind(-1).expect("two dimensions");
        let firsts: Vec<f64> = parts.iter().map(|part| values(part)[0]).collect();
        assert_eq!(firsts, [0., 1., 2., 3., 4.]);
        let g = Tensor::from_slice(&[7., 9.], &[2]).expect("fits");
        crate::tape::backward(&parts[3], Some(&g), false).expect("a graph");
        let grad = x.grad().expect("reached");
        assert_eq!(values(&grad), [0., 0., 0., 7., 0., 0., 0., 0., 9., 0.]);
        assert!(counted(&[0, 3]).unbind(0).expect("empty").is_empty());
        assert_eq!(counted(&[3, 0]).unbind(0).expect("empty")[2].shape(), [0]);
        assert!(counted(&[]).unbind(0).is_err());
    }

    #[test]
    fn the_gradient_of_a_slice_lies_where_the_slice_was() {
        let x = counted(&[3, 4]);
        x.set_requires_grad(true).expect("a float leaf");
        let spans = [Span { start: None, stop: None, step: -2 }, Span::range(1..3)];
        let y = x.slice(&spans).expect("inside");
        let g = Tensor::from_slice(&[1., 2., 3., 4.], &[2, 2]).expect("fits");
        crate::tape::backward(&y, Some(&g), false).expect("a graph");
        let grad = x.grad().expect("reached");
        assert_eq!(values(&grad), [0., 3., 4., 0., 0., 0., 0., 0., 0., 1., 2., 0.]);
        let y = x.index(1, 2).expect("inside");
        let g = Tensor::from_slice(&[10., 20., 30.], &[3]).expect("fits");
        crate::tape::backward(&y, Some(&g), false).expect("a graph");
        assert_eq!(
            values(&x.grad().expect("reached")),
            [0., 3., 14., 0., 0., 0., 20., 0., 0., 1., 32., 0.]
        );
    }
}
