//! Reductions: sums over dimensions, and what follows from them, mean and variance.
//!
//! A tensor is seen as (before, reduced, after), where the reduced dimensions stand together; sums run in an
//! order that the shape alone decides.

use smallvec::{SmallVec, smallvec};

use crate::dtype::{DType, Element, with_float};
use crate::error::{Result, bail};
use crate::kernels::reduce::{Fold, fold_blocks, fold_columns, fold_row};
use crate::launch::{Cost, Operand, launch};
use crate::layout::{Layout, Shape, dimension};
use crate::tensor::Tensor;

/// Elements of a long fold that make one item.
const CHUNK: usize = 8192;
/// Elements of columns that are long: cut earlier, the gradient of a bias would cost a plan one barrier more.
const LONG: usize = 1 << 20;
/// Up to so many blocks, long folds are cut, so that threads can share them.
const FEW_BLOCKS: usize = 16;
/// From so many columns on, threads share those.
const MANY_COLUMNS: usize = 64;
/// Columns that fill a vector of any instruction set.
const WIDE: usize = 16;

/// A tensor without gaps seen as (before, reduced, after), and the shape of the result.
pub(crate) struct Split {
    /// The elements.
    pub(crate) x: Tensor,
    /// Blocks.
    pub(crate) before: usize,
    /// Elements that are summed to one.
    pub(crate) reduced: usize,
    /// Columns of a block.
    pub(crate) after: usize,
    /// Shape of a result that keeps the reduced dimensions at size 1.
    pub(crate) kept: Shape,
    /// Shape of a result without them.
    pub(crate) squeezed: Shape,
    /// Which dimension stands at each place of `x`, where they had to be moved.
    pub(crate) order: Option<SmallVec<[usize; 4]>>,
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

/// Sees a tensor so that the dimensions to reduce (none given means all) stand together.
pub(crate) fn split(name: &str, x: &Tensor, dims: &[isize]) -> Result<Split> {
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
        let x = x.packed()?;
        return Ok(Split { x, before, reduced, after, kept, squeezed, order: None });
    }
    let mut order: SmallVec<[usize; 4]> = (0..ndim).filter(|&i| !reduce[i]).collect();
    order.extend((0..ndim).filter(|&i| reduce[i]));
    let moved = x.view(x.layout().permute(&order)).packed()?;
    let before = size(&squeezed);
    let reduced = (0..ndim).filter(|&i| reduce[i]).map(|i| x.shape()[i]).product();
    Ok(Split { x: moved, before, reduced, after: 1, kept, squeezed, order: Some(order) })
}

/// Folds the middle of (before, reduced, after), in an order that the shape alone decides. Over nothing it is 0.
pub(crate) fn fold(name: &'static str, fold: Fold, s: &Split) -> Result<Tensor> {
    let dtype = s.x.dtype();
    let out = Tensor::empty(&s.kept, dtype)?;
    let (before, reduced, after) = (s.before, s.reduced, s.after);
    if s.x.count() == 0 {
        out.fill(0.0)?;
        return Ok(out);
    }
    let long = if after == 1 { 2 * CHUNK } else { LONG };
    if before <= FEW_BLOCKS && after < MANY_COLUMNS && reduced * after > long {
        fold_long(name, fold, s, &out)?;
        return Ok(out);
    }
    let cost = Cost::elementwise(s.x.count(), 1.0, 1, dtype);
    with_float!(dtype, name, T => {
        if before == 1 && after >= WIDE {
            let operands = smallvec![Operand::read(&s.x), Operand::write_own(&out, 1)];
            launch(name, after, cost, operands, move |items, arguments| {
                let to = arguments.own_mut::<T>(1, &items);
                fold_columns(fold, arguments.all(0), reduced, after, items, to);
            })?;
        } else {
            let x = Operand::read_own(&s.x, reduced * after);
            let operands = smallvec![x, Operand::write_own(&out, after)];
            launch(name, before, cost, operands, move |items, arguments| {
                    let to = arguments.own_mut::<T>(1, &items);
                    fold_blocks(fold, arguments.own(0, &items), reduced, after, to);
                })?;
        }
    });
    Ok(out)
}

/// The same for few blocks and columns: first in parts that threads can share, then the parts.
fn fold_long(name: &'static str, fold: Fold, s: &Split, out: &Tensor) -> Result<()> {
    let (before, reduced, after) = (s.before, s.reduced, s.after);
    let rows = CHUNK / after;
    let parts = reduced.div_ceil(rows);
    let cost = Cost::elementwise(s.x.count(), 1.0, 1, s.x.dtype());
    // Rows keep the sums of their parts in full.
    let dtype = if after == 1 { DType::F64 } else { s.x.dtype() };
    let partial = Tensor::empty(&[before, parts, after], dtype)?;
    let first = smallvec![Operand::read(&s.x), Operand::write_own(&partial, after)];
    let second =
        smallvec![Operand::read_own(&partial, parts * after), Operand::write_own(out, after)];
    with_float!(s.x.dtype(), name, T => {
        launch(name, before * parts, cost, first, move |items, arguments| {
            let x = arguments.all::<T>(0);
            for item in items {
                let (block, part) = (item / parts, item % parts);
                let (start, stop) = (part * rows, ((part + 1) * rows).min(reduced));
                let x = &x[(block * reduced + start) * after..(block * reduced + stop) * after];
                let item = item..item + 1;
                if after == 1 {
                    arguments.own_mut::<f64>(1, &item)[0] = fold_row(fold, x);
                } else {
                    fold_blocks(fold, x, stop - start, after, arguments.own_mut(1, &item));
                }
            }
        })?;
        launch(name, before, Cost::default(), second, move |items, arguments| {
            let to = arguments.own_mut::<T>(1, &items);
            if after == 1 {
                for (x, to) in arguments.own::<f64>(0, &items).chunks_exact(parts).zip(to) {
                    *to = T::from_f64(fold_row(fold, x));
                }
            } else {
                fold_blocks(fold, arguments.own(0, &items), parts, after, to);
            }
        })?;
    });
    Ok(())
}

impl Tensor {
    /// Sum over `dims` (all where empty).
    pub fn sum(&self, dims: &[isize], keepdim: bool) -> Result<Self> {
        self.dtype().require_float("sum")?;
        let s = split("sum", self, dims)?;
        let out = fold("sum", Fold::Sum, &s)?;
        let out = if keepdim { out } else { out.view(Layout::contiguous(&s.squeezed)) };
        Ok(out.recorded_of("sum", self, |_| {
            let (shape, kept) = (Shape::from(self.shape()), s.kept);
            // Every element of the input has the gradient of its sum: a view that repeats, not a copy.
            move |grad| {
                let grad = grad.packed()?;
                let layout = Layout { offset: grad.layout().offset, ..Layout::contiguous(&kept) };
                Ok(grad.view(layout.broadcast_to("sum", &shape)?))
            }
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
        let out = if dims.is_empty() {
            self.packed()?
        } else {
            fold("sum", Fold::Sum, &split("sum", self, &dims)?)?
        };
        Ok(out.view(Layout { offset: out.layout().offset, ..Layout::contiguous(shape) }))
    }
}
