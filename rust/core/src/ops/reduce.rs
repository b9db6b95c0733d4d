//! Sums over dimensions, and what follows from them: mean and variance.
//!
//! A tensor is seen as (before, reduced, after), where the reduced dimensions stand together; sums run in an
//! order that the shape alone decides.

use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use crate::dtype::{DType, Element, with_float};
use crate::error::{Result, bail};
use crate::kernels::reduce::{sum_columns, sum_row};
use crate::launch::{Arguments, Cost, Operand, launch};
use crate::layout::{Layout, Shape, dimension};
use crate::tape::{Backward, Gradients};
use crate::tensor::Tensor;

/// Elements of a total sum that make one unit.
const TOTAL_CHUNK: usize = 8192;

/// A tensor without gaps seen as (before, reduced, after), and the shape of the result.
struct Split {
    x: Tensor,
    before: usize,
    reduced: usize,
    after: usize,
    kept: Shape,
    squeezed: Shape,
}

/// Marks the dimensions to reduce: none given means all.
fn chosen(name: &str, ndim: usize, dims: &[isize]) -> Result<SmallVec<[bool; 4]>> {
    let mut reduce: SmallVec<[bool; 4]> = SmallVec::from_elem(dims.is_empty(), ndim);
    for &dim in dims {
        let dim = dimension(name, dim, ndim)?;
        if std::mem::replace(&mut reduce[dim], true) {
            bail!(Value, "{name}: dimension {dim} is given twice");
        }
    }
    Ok(reduce)
}

/// A tensor without gaps seen as (rows, width), where the reduced dimensions are the width.
pub(crate) struct Rows {
    /// The elements, in the order of `order`.
    pub(crate) x: Tensor,
    /// Number of rows.
    pub(crate) count: usize,
    /// Elements of a row.
    pub(crate) width: usize,
    /// Shape of a result that keeps the reduced dimensions at size 1.
    pub(crate) kept: Shape,
    /// Shape of a result without them.
    pub(crate) squeezed: Shape,
    /// Which dimension stands at each place of `x`.
    pub(crate) order: SmallVec<[usize; 4]>,
}

/// Brings the dimensions to reduce (none given means all) to the end.
pub(crate) fn rows(name: &str, x: &Tensor, dims: &[isize]) -> Result<Rows> {
    let ndim = x.ndim();
    let reduce = chosen(name, ndim, dims)?;
    let mut order: SmallVec<[usize; 4]> = (0..ndim).filter(|&i| !reduce[i]).collect();
    let squeezed: Shape = order.iter().map(|&i| x.shape()[i]).collect();
    order.extend((0..ndim).filter(|&i| reduce[i]));
    let width = order[squeezed.len()..].iter().map(|&i| x.shape()[i]).product();
    Ok(Rows {
        x: x.view(x.layout().permute(&order)).packed()?,
        count: squeezed.iter().product(),
        width,
        kept: (0..ndim).map(|i| if reduce[i] { 1 } else { x.shape()[i] }).collect(),
        squeezed,
        order,
    })
}

/// A tensor whose dimensions were reordered so, in their own order again: a view.
pub(crate) fn in_own_order(moved: &Tensor, order: &[usize]) -> Tensor {
    let mut back: SmallVec<[usize; 4]> = SmallVec::from_elem(0, order.len());
    for (place, &from) in order.iter().enumerate() {
        back[from] = place;
    }
    moved.view(moved.layout().permute(&back))
}

/// Which dimensions to reduce: none given means all.
fn split(name: &str, x: &Tensor, dims: &[isize]) -> Result<Split> {
    let ndim = x.ndim();
    let reduce = chosen(name, ndim, dims)?;
    let kept: Shape = (0..ndim).map(|i| if reduce[i] { 1 } else { x.shape()[i] }).collect();
    let squeezed: Shape = (0..ndim).filter(|&i| !reduce[i]).map(|i| x.shape()[i]).collect();
    let first = reduce.iter().position(|&r| r).unwrap_or(ndim);
    let last = reduce.iter().rposition(|&r| r).map_or(first, |i| i + 1);
    let together = reduce[first..last].iter().all(|&r| r);
    let size = |dims: &[usize]| dims.iter().product::<usize>();
    if together {
        let shape = x.shape();
        let (before, reduced, after) =
            (size(&shape[..first]), size(&shape[first..last]), size(&shape[last..]));
        return Ok(Split { x: x.packed()?, before, reduced, after, kept, squeezed });
    }
    let mut order: SmallVec<[usize; 4]> = (0..ndim).filter(|&i| !reduce[i]).collect();
    order.extend((0..ndim).filter(|&i| reduce[i]));
    let moved = x.view(x.layout().permute(&order)).packed()?;
    let before = size(&squeezed);
    let reduced = (0..ndim).filter(|&i| reduce[i]).map(|i| x.shape()[i]).product();
    Ok(Split { x: moved, before, reduced, after: 1, kept, squeezed })
}

/// Σ over the middle of (before, reduced, after).
fn sum_split(s: &Split) -> Result<Tensor> {
    let dtype = s.x.dtype();
    let out = Tensor::empty(&s.kept, dtype)?;
    let (before, reduced, after) = (s.before, s.reduced, s.after);
    let cost = Cost::elementwise(s.x.count(), 1.0, 1, dtype);
    with_float!(dtype, "sum", T => {
        if after == 1 && before == 1 && reduced > TOTAL_CHUNK {
            let parts = reduced.div_ceil(TOTAL_CHUNK);
            let partial = Tensor::empty(&[parts], DType::F64)?;
            let operands = [Operand::read(&s.x), Operand::write_own(&partial, 1)].into_iter().collect();
            launch("sum", parts, cost, operands, move |units: Range<usize>, arguments: &Arguments<'_>| {
                let x = arguments.all::<T>(0);
                for (unit, to) in units.clone().zip(arguments.own_mut::<f64>(1, &units)) {
                    let stop = ((unit + 1) * TOTAL_CHUNK).min(x.len());
                    *to = sum_row(&x[unit * TOTAL_CHUNK..stop]);
                }
            })?;
            let operands = [Operand::read(&partial), Operand::write_own(&out, 1)].into_iter().collect();
            launch("sum", 1, Cost::default(), operands, |units: Range<usize>, arguments: &Arguments<'_>| {
                arguments.own_mut::<T>(1, &units)[0] = T::from_f64(arguments.all::<f64>(0).iter().sum());
            })?;
        } else if after == 1 {
            let operands = [Operand::read_own(&s.x, reduced), Operand::write_own(&out, 1)];
            launch("sum", before, cost, operands.into_iter().collect(),
                move |units: Range<usize>, arguments: &Arguments<'_>| {
                    let x = arguments.own::<T>(0, &units);
                    for (i, to) in arguments.own_mut::<T>(1, &units).iter_mut().enumerate() {
                        *to = T::from_f64(sum_row(&x[i * reduced..(i + 1) * reduced]));
                    }
                })?;
        } else if before == 1 {
            let operands = [Operand::read(&s.x), Operand::write_own(&out, 1)].into_iter().collect();
            launch("sum", after, cost, operands, move |units: Range<usize>, arguments: &Arguments<'_>| {
                let to = arguments.own_mut::<T>(1, &units);
                sum_columns(arguments.all::<T>(0), reduced, after, units, to);
            })?;
        } else {
            let block = reduced * after;
            let operands = [Operand::read_own(&s.x, block), Operand::write_own(&out, after)];
            launch("sum", before, cost, operands.into_iter().collect(),
                move |units: Range<usize>, arguments: &Arguments<'_>| {
                    let x = arguments.own::<T>(0, &units);
                    for (i, to) in arguments.own_mut::<T>(1, &units).chunks_mut(after.max(1)).enumerate() {
                        sum_columns(&x[i * block..(i + 1) * block], reduced, after, 0..after, to);
                    }
                })?;
        }
    });
    if s.x.count() == 0 {
        out.fill(0.0)?;
    }
    Ok(out)
}

struct SumBackward {
    /// The input's shape, and the output's with the reduced dimensions kept at size 1.
    shape: Shape,
    kept: Shape,
}

impl Backward for SumBackward {
    fn name(&self) -> &'static str {
        "sum"
    }
    fn backward(&self, grad: &Tensor, _needs: &[bool]) -> Result<Gradients> {
        // Every element of the input has the gradient of its sum: a view that repeats, not a copy.
        let grad = grad.packed()?;
        let layout = Layout::contiguous(&self.kept);
        let layout = Layout { offset: grad.layout().offset, ..layout };
        Ok(smallvec![Some(grad.view(layout.broadcast_to("sum", &self.shape)?))])
    }
}

impl Tensor {
    /// Sum over `dims` (all where empty).
    pub fn sum(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        self.dtype().require_float("sum")?;
        let s = split("sum", self, dims)?;
        let out = sum_split(&s)?;
        let out = if keepdim { out } else { out.view(Layout::contiguous(&s.squeezed)) };
        Ok(out.recorded(&[self], |_| SumBackward {
            shape: self.shape().into(),
            kept: s.kept.clone(),
        }))
    }

    /// Mean over `dims` (all where empty).
    pub fn mean(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        let sum = self.sum(dims, keepdim)?;
        let n = self.count().checked_div(sum.count()).unwrap_or(0);
        // 0/0 over nothing is NaN, as in NumPy.
        sum.mul(&Self::full(&[], 1.0 / n as f64, self.dtype())?)
    }

    /// Variance over `dims` with divisor n - correction: two passes, deviations from the mean.
    pub fn var(&self, dims: &[isize], correction: f64, keepdim: bool) -> Result<Self> {
        let squares = self.sub(&self.mean(dims, true)?)?.square()?.sum(dims, keepdim)?;
        let n = self.count().checked_div(squares.count()).unwrap_or(0) as f64;
        squares.mul(&Self::full(&[], 1.0 / (n - correction).max(0.0), self.dtype())?)
    }

    /// This tensor summed down to `shape`, which broadcasts to its own: how a gradient returns to an input that was
    /// repeated. Off the tape.
    pub(crate) fn sum_to(&self, shape: &[usize]) -> Result<Self> {
        if self.shape() == shape {
            return Ok(self.clone());
        }
        let extra = self.ndim() - shape.len();
        let dims: SmallVec<[isize; 4]> = (0..self.ndim())
            .filter(|&i| i < extra || (shape[i - extra] == 1 && self.shape()[i] != 1))
            .map(|i| i as isize)
            .collect();
        let out =
            if dims.is_empty() { self.packed()? } else { sum_split(&split("sum", self, &dims)?)? };
        Ok(out.view(Layout { offset: out.layout().offset, ..Layout::contiguous(shape) }))
    }
}
