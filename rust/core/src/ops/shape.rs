//! Other shapes of the same elements: views where strides can say it, copies elsewhere.
//!
//! A view shares the memory of its tensor and costs no launch; its backward pass sees the gradient through the
//! inverse view. With `y = x[start : stop : step]` in some dimensions the gradient of x is
//!
//! ```text
//! ∂C/∂x[start + i·step] = ∂C/∂y[i],   zero elsewhere
//! ```
//!
//! which one launch by rows of x writes. Joining tensors copies; its gradient is cut into views.

use std::ops::Range;

use ndarray::{ArrayViewMutD, Axis, Slice};
use smallvec::{SmallVec, smallvec};

use crate::dtype::{Element, with_element};
use crate::error::{Result, bail};
use crate::launch::{Arguments, Cost, Operand, launch};
use crate::layout::{Layout, Shape, Strides, count, dimension, row_major, show};
use crate::ops::reduce::in_own_order;
use crate::tape::{Backward, Gradients};
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

/// The strides that show `layout` as `shape` without moving an element, where there are such.
fn reshaped(layout: &Layout, shape: &[usize]) -> Option<Strides> {
    if shape.contains(&0) || layout.is_contiguous() {
        return Some(row_major(shape));
    }
    // Runs of elements at equal steps, outermost first; dimensions that continue each other make one run.
    let mut runs: SmallVec<[(usize, isize); 4]> = SmallVec::new();
    for (&size, &step) in layout.shape.iter().zip(&layout.strides) {
        match runs.last_mut() {
            _ if size == 1 => {}
            Some(run) if run.1 == step * size as isize => *run = (run.0 * size, step),
            _ => runs.push((size, step)),
        }
    }
    let mut strides: Strides = SmallVec::from_elem(1, shape.len());
    let (mut left, mut step) = (1, 1);
    for (&size, stride) in shape.iter().zip(&mut strides).rev().filter(|(size, _)| **size != 1) {
        if left == 1 {
            (left, step) = runs.pop()?;
        }
        if left % size != 0 {
            return None;
        }
        *stride = step;
        left /= size;
        step *= size as isize;
    }
    Some(strides)
}

/// Fills in the one size that is given as -1.
fn complete(x: &Tensor, sizes: &[isize]) -> Result<Shape> {
    let wanted = || {
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        format!("({})", sizes.join(", "))
    };
    let mut open = None;
    let mut shape = Shape::with_capacity(sizes.len());
    for (i, &size) in sizes.iter().enumerate() {
        if size < -1 || (size == -1 && open.replace(i).is_some()) {
            bail!(
                Value,
                "reshape: expected non-negative sizes and at most one -1, got {}",
                wanted()
            );
        }
        shape.push(size.max(1) as usize * usize::from(size != 0));
    }
    let known = count(&shape)?;
    if let Some(open) = open
        && known > 0
    {
        shape[open] = x.count() / known;
    }
    if count(&shape)? != x.count() || (open.is_some() && known == 0) {
        bail!(
            Shape,
            "reshape: the {} elements of shape {} cannot take the shape {}",
            x.count(),
            show(x.shape()),
            wanted()
        );
    }
    Ok(shape)
}

struct ReshapeBackward(Shape);

impl Backward for ReshapeBackward {
    fn name(&self) -> &'static str {
        "reshape"
    }
    // The elements of the gradient, in the same order.
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        Ok(smallvec![Some(grad.with_shape(&self.0)?)])
    }
}

struct PermuteBackward(SmallVec<[usize; 4]>);

impl Backward for PermuteBackward {
    fn name(&self) -> &'static str {
        "permute"
    }
    // Dimension order[i] came to place i: it goes back.
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        Ok(smallvec![Some(in_own_order(grad, &self.0))])
    }
}

struct ExpandBackward(Shape);

impl Backward for ExpandBackward {
    fn name(&self) -> &'static str {
        "expand"
    }
    // An element that is read many times has the sum of their gradients.
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        Ok(smallvec![Some(grad.sum_to(&self.0)?)])
    }
}

/// Where a slice lies in its tensor.
struct SliceBackward {
    shape: Shape,
    /// First position, step and length in each dimension.
    region: SmallVec<[(usize, isize, usize); 4]>,
}

impl Backward for SliceBackward {
    fn name(&self) -> &'static str {
        "slice"
    }
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let lengths: Shape = self.region.iter().map(|&(_, _, length)| length).collect();
        let grad = grad.with_shape(&lengths)?;
        Ok(smallvec![Some(scatter(&grad, &self.shape, &self.region)?)])
    }
}

/// Zeros of `shape` with `grad` in the region.
fn scatter(grad: &Tensor, shape: &[usize], region: &[(usize, isize, usize)]) -> Result<Tensor> {
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
    let operands = [source, Operand::write_own(&out, row)].into_iter().collect();
    let from = Layout { offset: 0, ..grad.layout().clone() };
    let row_shape: Vec<usize> = shape[1..].to_vec();
    let region: Vec<(usize, isize, usize)> = region.to_vec();
    let cost = Cost::elementwise(out.count(), 0.0, 2, grad.dtype());
    with_element!(grad.dtype(), T => launch("slice backward", rows, cost, operands,
    move |units: Range<usize>, arguments: &Arguments<'_>| {
        let out = arguments.own_mut::<T>(1, &units);
        out.fill(T::from_f64(0.0));
        let grad = arguments.view::<T>(0, &from);
        if row == 0 || grad.is_empty() {
            return;
        }
        for (unit, to) in units.zip(out.chunks_exact_mut(row)) {
            let distance = unit as isize - first as isize;
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

struct CatBackward {
    dim: usize,
    lengths: SmallVec<[usize; 3]>,
}

impl Backward for CatBackward {
    fn name(&self) -> &'static str {
        "cat"
    }
    // Each input's gradient is its part of the gradient.
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        let mut start = 0;
        let parts = self.lengths.iter().map(|&length| {
            let mut layout = grad.layout().clone();
            layout.shape[self.dim] = length;
            if layout.count() > 0 {
                layout.offset =
                    layout.offset.wrapping_add_signed(start as isize * layout.strides[self.dim]);
            }
            start += length;
            Some(grad.view(layout))
        });
        Ok(parts.collect())
    }
}

impl Tensor {
    /// The same elements in row-major order as `shape`, off the tape: a view where strides allow it.
    pub(crate) fn with_shape(&self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self.detach());
        }
        let (x, strides) = match reshaped(self.layout(), shape) {
            Some(strides) => (self.detach(), strides),
            None => (self.packed()?, row_major(shape)),
        };
        Ok(x.view(Layout { shape: shape.into(), strides, offset: x.layout().offset }))
    }

    /// The same elements, read in row-major order, with other sizes; one size may be -1 and follows from the others.
    /// A view where strides allow it, else a copy.
    pub fn reshape(&self, sizes: &[isize]) -> Result<Self> {
        let shape = complete(self, sizes)?;
        Ok(self.with_shape(&shape)?.recorded(&[self], |_| ReshapeBackward(self.shape().into())))
    }

    /// The dimensions from `start_dim` on merged into one.
    pub fn flatten(&self, start_dim: isize) -> Result<Self> {
        if self.ndim() == 0 {
            return self.reshape(&[1]);
        }
        let start = dimension("flatten", start_dim, self.ndim())?;
        let mut sizes: Vec<isize> = self.shape()[..start].iter().map(|&n| n as isize).collect();
        sizes.push(self.shape()[start..].iter().product::<usize>() as isize);
        self.reshape(&sizes)
    }

    /// A view with the dimensions in another order.
    pub fn permute(&self, dims: &[isize]) -> Result<Self> {
        let order: SmallVec<[usize; 4]> = dims
            .iter()
            .map(|&dim| dimension("permute", dim, self.ndim()))
            .collect::<Result<_>>()?;
        let complete = (0..self.ndim()).all(|dim| order.contains(&dim));
        if order.len() != self.ndim() || !complete {
            bail!(
                Value,
                "permute: expected each of the {} dimensions once, got {dims:?}",
                self.ndim()
            );
        }
        let y = self.view(self.layout().permute(&order));
        Ok(y.recorded(&[self], |_| PermuteBackward(order)))
    }

    /// A view with two dimensions exchanged.
    pub fn transpose(&self, dim0: isize, dim1: isize) -> Result<Self> {
        let a = dimension("transpose", dim0, self.ndim())?;
        let b = dimension("transpose", dim1, self.ndim())?;
        let mut order: SmallVec<[isize; 4]> = (0..self.ndim() as isize).collect();
        order.swap(a, b);
        self.permute(&order)
    }

    /// A view without a dimension of size 1, or without all of them. Another size stays.
    pub fn squeeze(&self, dim: Option<isize>) -> Result<Self> {
        let only = dim.map(|dim| dimension("squeeze", dim, self.ndim())).transpose()?;
        let mut layout = self.layout().clone();
        for dim in (0..self.ndim()).rev() {
            if layout.shape[dim] == 1 && only.is_none_or(|only| only == dim) {
                layout.shape.remove(dim);
                layout.strides.remove(dim);
            }
        }
        Ok(self.view(layout).recorded(&[self], |_| ReshapeBackward(self.shape().into())))
    }

    /// A view with a dimension of size 1 inserted before `dim`.
    pub fn unsqueeze(&self, dim: isize) -> Result<Self> {
        let dim = dimension("unsqueeze", dim, self.ndim() + 1)?;
        let mut layout = self.layout().clone();
        layout.shape.insert(dim, 1);
        layout.strides.insert(dim, 0);
        Ok(self.view(layout).recorded(&[self], |_| ReshapeBackward(self.shape().into())))
    }

    /// A view in which dimensions of size 1, and new ones in front, are repeated.
    pub fn expand(&self, shape: &[usize]) -> Result<Self> {
        count(shape)?;
        let y = self.view(self.layout().broadcast_to("expand", shape)?);
        Ok(y.recorded(&[self], |_| ExpandBackward(self.shape().into())))
    }

    /// A view of a part of each dimension; dimensions beyond the given spans are taken whole.
    pub fn slice(&self, spans: &[Span]) -> Result<Self> {
        if spans.len() > self.ndim() {
            bail!(
                Index,
                "slice: {} spans for a tensor with {} dimensions",
                spans.len(),
                self.ndim()
            );
        }
        let mut layout = self.layout().clone();
        let mut region: SmallVec<[(usize, isize, usize); 4]> =
            self.shape().iter().map(|&size| (0, 1, size)).collect();
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
        Ok(y.recorded(&[self], |_| SliceBackward { shape: self.shape().into(), region }))
    }

    /// A view at one position of a dimension, without that dimension. A negative index counts from the end.
    pub fn index(&self, dim: isize, index: isize) -> Result<Self> {
        let dim = dimension("index", dim, self.ndim())?;
        let size = self.shape()[dim];
        let place = if index < 0 { index.saturating_add(size as isize) } else { index };
        if !(0..size as isize).contains(&place) {
            bail!(
                Index,
                "index: {index} is out of range for dimension {dim} of size {size} (shape {})",
                show(self.shape())
            );
        }
        let mut layout = self.layout().clone();
        let stride = layout.strides.remove(dim);
        layout.shape.remove(dim);
        if layout.count() > 0 {
            layout.offset = layout.offset.wrapping_add_signed(place * stride);
        }
        let mut region: SmallVec<[(usize, isize, usize); 4]> =
            self.shape().iter().map(|&size| (0, 1, size)).collect();
        region[dim] = (place as usize, 1, 1);
        let y = self.view(layout);
        Ok(y.recorded(&[self], |_| SliceBackward { shape: self.shape().into(), region }))
    }

    /// A view with the order of the elements reversed in the given dimensions.
    pub fn flip(&self, dims: &[isize]) -> Result<Self> {
        let mut spans: SmallVec<[Span; 4]> = SmallVec::from_elem(Span::ALL, self.ndim());
        for &dim in dims {
            spans[dimension("flip", dim, self.ndim())?].step = -1;
        }
        self.slice(&spans)
    }

    /// Tensors that agree in all other sizes, one after the other along `dim`.
    pub fn cat(tensors: &[&Self], dim: isize) -> Result<Self> {
        let Some(&first) = tensors.first() else {
            bail!(Value, "cat: expected at least one tensor, got none");
        };
        let dim = dimension("cat", dim, first.ndim())?;
        for (i, tensor) in tensors.iter().enumerate() {
            let fits = tensor.ndim() == first.ndim()
                && (0..first.ndim()).all(|d| d == dim || tensor.shape()[d] == first.shape()[d]);
            if !fits {
                bail!(
                    Shape,
                    "cat: tensor {i} has shape {}, which differs from {} outside dimension {dim}",
                    show(tensor.shape()),
                    show(first.shape())
                );
            }
            if tensor.dtype() != first.dtype() {
                bail!(
                    Type,
                    "cat: expected tensors of one dtype, got {} and {}; convert one with .astype(...)",
                    first.dtype().name(),
                    tensor.dtype().name()
                );
            }
        }
        let lengths: SmallVec<[usize; 3]> = tensors.iter().map(|t| t.shape()[dim]).collect();
        let mut shape: Shape = first.shape().into();
        shape[dim] = lengths.iter().sum();
        let out = Self::empty(&shape, first.dtype())?;
        if dim == 0 {
            let row: usize = shape[1..].iter().product();
            let mut start = 0;
            for tensor in tensors {
                let offset = start * row * usize::from(out.count() > 0);
                tensor.copy_into(
                    &out.view(Layout { offset, ..Layout::contiguous(tensor.shape()) }),
                )?;
                start += tensor.shape()[0];
            }
        } else {
            join(tensors, dim, &out)?;
        }
        Ok(out.recorded(tensors, |_| CatBackward { dim, lengths }))
    }

    /// Tensors of one shape side by side along a new dimension.
    pub fn stack(tensors: &[&Self], dim: isize) -> Result<Self> {
        let Some(&first) = tensors.first() else {
            bail!(Value, "stack: expected at least one tensor, got none");
        };
        if let Some(other) = tensors.iter().find(|t| t.shape() != first.shape()) {
            bail!(
                Shape,
                "stack: expected tensors of one shape, got {} and {}",
                show(first.shape()),
                show(other.shape())
            );
        }
        let dim = dimension("stack", dim, first.ndim() + 1)? as isize;
        let raised: Vec<Self> = tensors.iter().map(|t| t.unsqueeze(dim)).collect::<Result<_>>()?;
        Self::cat(&raised.iter().collect::<Vec<_>>(), dim)
    }
}

/// Writes the tensors side by side along a dimension that is not the first, row by row.
fn join(tensors: &[&Tensor], dim: usize, out: &Tensor) -> Result<()> {
    let shape = out.shape();
    let rows = shape[0];
    let blocks: usize = shape[1..dim].iter().product();
    let after: usize = shape[dim + 1..].iter().product();
    let packed: Vec<Tensor> = tensors.iter().map(|t| t.packed()).collect::<Result<_>>()?;
    let widths: Vec<usize> = packed.iter().map(|t| t.shape()[dim] * after).collect();
    let total = shape[dim] * after;
    let mut operands: crate::launch::Operands = packed
        .iter()
        .zip(&widths)
        .map(|(tensor, width)| Operand::read_own(tensor, blocks * width))
        .collect();
    operands.push(Operand::write_own(out, blocks * total));
    let cost = Cost::elementwise(out.count(), 0.0, 2, out.dtype());
    with_element!(out.dtype(), T => launch("cat", rows, cost, operands, move |units: Range<usize>, arguments: &Arguments<'_>| {
        let out = arguments.own_mut::<T>(widths.len(), &units);
        let mut start = 0;
        for (i, &width) in widths.iter().enumerate().filter(|(_, width)| **width > 0) {
            let from = arguments.own::<T>(i, &units).chunks_exact(width);
            for (to, from) in out.chunks_exact_mut(total).zip(from) {
                to[start..start + width].copy_from_slice(from);
            }
            start += width;
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn counted(shape: &[usize]) -> Tensor {
        let values: Vec<f64> = (0..count(shape).expect("small")).map(|i| i as f64).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    fn shares_memory(a: &Tensor, b: &Tensor) -> bool {
        std::sync::Arc::ptr_eq(a.buffer(), b.buffer())
    }

    #[test]
    fn reshape_views_where_it_can() {
        let x = counted(&[2, 3, 4]);
        let y = x.reshape(&[-1, 4]).expect("fits");
        assert_eq!(y.shape(), [6, 4]);
        assert!(shares_memory(&x, &y));
        // The columns 0..2 of rows: runs of two elements cannot merge with the rows.
        let part = x.slice(&[Span::ALL, Span::ALL, Span::range(0..2)]).expect("inside");
        let split = part.reshape(&[6, 2, 1]).expect("fits");
        assert!(shares_memory(&x, &split));
        assert_eq!(values(&split), values(&part));
        let packed = part.reshape(&[12]).expect("fits");
        assert!(!shares_memory(&x, &packed));
        assert_eq!(values(&packed), [0., 1., 4., 5., 8., 9., 12., 13., 16., 17., 20., 21.]);
        // A flipped tensor splits into flipped parts.
        let flipped = counted(&[6]).flip(&[0]).expect("one dim");
        let square = flipped.reshape(&[2, 3]).expect("fits");
        assert!(shares_memory(&flipped, &square));
        assert_eq!(values(&square), [5., 4., 3., 2., 1., 0.]);
        let repeated = counted(&[1]).expand(&[6]).expect("repeats");
        assert_eq!(values(&repeated.reshape(&[3, 2]).expect("fits")), [0.; 6]);
        for bad in [&[-1, -1][..], &[5, -1], &[7], &[-2, 3], &[0, -1], &[]] {
            let text = x.reshape(bad).expect_err("refused").to_string();
            assert!(text.contains("reshape"), "{text}");
        }
        let empty = Tensor::zeros(&[0, 3], DType::F64).expect("empty");
        assert_eq!(empty.reshape(&[-1, 5]).expect("fits").shape(), [0, 5]);
        assert!(empty.reshape(&[0, -1]).is_err());
        let scalar = counted(&[1]).reshape(&[]).expect("fits");
        assert_eq!(
            (scalar.ndim(), scalar.reshape(&[1, 1]).expect("fits").shape()),
            (0, &[1, 1][..])
        );
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
    fn views_share_memory_and_join_copies() {
        let x = counted(&[2, 3]);
        for view in [
            x.transpose(0, 1).expect("two dims"),
            x.flip(&[0, 1]).expect("two dims"),
            x.unsqueeze(-1).expect("fits"),
            x.squeeze(None).expect("nothing to do"),
            x.expand(&[4, 2, 3]).expect("repeats"),
        ] {
            assert!(shares_memory(&x, &view));
        }
        assert_eq!(values(&x.transpose(-1, 0).expect("two dims")), [0., 3., 1., 4., 2., 5.]);
        let y = Tensor::cat(&[&x, &x.flip(&[1]).expect("fits")], 1).expect("joins");
        assert_eq!(values(&y), [0., 1., 2., 2., 1., 0., 3., 4., 5., 5., 4., 3.]);
        let y = Tensor::cat(&[&x, &Tensor::zeros(&[0, 3], DType::F64).expect("empty"), &x], 0)
            .expect("joins");
        assert_eq!(y.shape(), [4, 3]);
        assert_eq!(values(&y)[6..], values(&x));
        let y = Tensor::stack(&[&x, &x], -1).expect("joins");
        assert_eq!((y.shape(), &values(&y)[..4]), (&[2, 3, 2][..], &[0., 0., 1., 1.][..]));
        assert!(Tensor::cat(&[], 0).is_err());
        assert!(Tensor::cat(&[&x, &counted(&[2, 2])], 0).is_err());
        assert!(Tensor::cat(&[&x, &x.cast(DType::F32).expect("casts")], 0).is_err());
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
