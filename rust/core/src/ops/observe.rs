//! Measuring tensors while they train, into memory that is given: for those who watch a training. No gradient. What updates
//! do, the optimizer measures ([`Optimizer::observe`](crate::optim::Optimizer::observe)).
//!
//! One call looks at the tensors of all layers: one launch takes parts of them, as shape alone cuts them, and another
//! joins the parts in their order. So it adds two phases to a step at most, of which the second has no barrier of its
//! own.

use std::ops::Range;

use smallvec::smallvec;

use crate::dtype::{DType, Float};
use crate::error::{Result, bail};
use crate::kernels::observe::{BLOCK, Columns, Summary, norm, norm_of, summarize};
use crate::launch::{Arguments, Cost, Operand, Operands, launch};
use crate::layout::show;
use crate::ops::decisions::check_state;
use crate::tensor::Tensor;

/// Elements of a norm that make one item.
const CHUNK: usize = 8192;

/// A tensor to look at, as rows of (..., units).
#[derive(Clone, Copy)]
pub struct Observed<'a> {
    /// The tensor.
    pub x: &'a Tensor,
    /// Elements of at most this are outside; minus infinity bounds nothing.
    pub low: f64,
    /// Elements of at least this are outside; infinity bounds nothing.
    pub high: f64,
    /// (units,): gets 1 more for each column that is not outside in every row.
    pub lived: Option<&'a Tensor>,
}

/// An error unless there are so many numbers for each tensor, and a tensor.
pub(crate) fn check_into(name: &str, into: &Tensor, tensors: usize, each: usize) -> Result<()> {
    if tensors == 0 {
        bail!(Value, "{name}: expected tensors to look at, got none");
    }
    if into.count() != tensors * each {
        let (count, got) = (tensors * each, show(into.shape()));
        bail!(Shape, "{name}: expected {count} numbers to write into, got shape {got}");
    }
    check_state(name, into)
}

/// Where the parts of one tensor stand among the items of a launch.
struct Parts<P> {
    items: Range<usize>,
    part: P,
}

/// The tensor that an item is of.
fn of_item<P>(all: &[Parts<P>], item: usize) -> &Parts<P> {
    &all[all.partition_point(|parts| parts.items.end <= item)]
}

/// What is looked at of a matrix.
struct Matrix {
    dtype: DType,
    rows: usize,
    width: usize,
    bounds: [f64; 2],
    /// Operands.
    x: usize,
    lived: Option<usize>,
}

impl Matrix {
    fn new(given: &Observed<'_>, operands: &mut Operands) -> Result<Self> {
        const NAME: &str = "observe_all";
        let (x, low, high) = (given.x, given.low, given.high);
        x.dtype().require_float(NAME)?;
        let Some(&width) = x.shape().last().filter(|&&width| width > 0) else {
            let got = show(x.shape());
            bail!(Shape, "{NAME}: expected tensors of shape (..., units), got {got}");
        };
        if low > high {
            bail!(Value, "{NAME}: expected bounds in their order, got low={low} and high={high}");
        }
        operands.push(Operand::read(&x.packed()?));
        if let Some(lived) = given.lived {
            push_lived(NAME, operands, lived, width)?;
        }
        let bound = |bound: f64| if bound.is_finite() { bound } else { f64::NAN };
        Ok(Self {
            dtype: x.dtype(),
            rows: x.count() / width,
            width,
            bounds: [bound(low), bound(high)],
            x: 0,
            lived: given.lived.map(|_| 2),
        })
    }

    /// Has its operands stand behind so many others.
    fn move_by(&mut self, operands: usize) {
        self.x += operands;
        self.lived = self.lived.map(|place| place + operands);
    }

    /// Whether another one, whose operands are these, is looked at alike, and nobody counts lives by it.
    fn is_same(&self, operands: &[Operand], other: &Self, of_other: &[Operand]) -> bool {
        let alike = |a: &[f64; 2], b: &[f64; 2]| {
            a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
        };
        let (a, b) = (&operands[self.x], &of_other[other.x]);
        (a.key(), a.origin, &a.extent) == (b.key(), b.origin, &b.extent)
            && (self.dtype, self.width) == (other.dtype, other.width)
            && alike(&self.bounds, &other.bounds)
            && self.lived.is_none()
            && other.lived.is_none()
    }

    /// What the columns of a block come to.
    fn summarize(&self, block: usize, arguments: &Arguments<'_>) -> Summary {
        match self.dtype {
            DType::F32 => self.summarize_as::<f32>(block, arguments),
            _ => self.summarize_as::<f64>(block, arguments),
        }
    }

    fn summarize_as<T: Float + Into<f64>>(
        &self,
        block: usize,
        arguments: &Arguments<'_>,
    ) -> Summary {
        let columns = block * BLOCK..((block + 1) * BLOCK).min(self.width);
        let lived = self.lived.map(|place| {
            let first = arguments.pointer::<f64>(place).wrapping_add(columns.start);
            // SAFETY: the operand has `width` elements, and no other item has these columns of it: the launch refuses
            // operands of this kind that overlap.
            #[allow(unsafe_code, reason = "items write places that are not one range for each")]
            unsafe {
                std::slice::from_raw_parts_mut(first, columns.len())
            }
        });
        let bounds = self.bounds.map(T::from_f64);
        let (x, rows, width) = (arguments.all::<T>(self.x), self.rows, self.width);
        summarize(Columns { x, rows, width, columns, bounds, lived })
    }
}

/// Adds memory in which units that lived are counted, read and written.
fn push_lived(name: &str, operands: &mut Operands, lived: &Tensor, units: usize) -> Result<()> {
    if lived.shape() != [units] {
        let got = show(lived.shape());
        bail!(Shape, "{name}: expected a count for each of {units} units, got shape {got}");
    }
    check_state(name, lived)?;
    operands.extend([Operand::read(lived), Operand::write_scattered(lived)]);
    Ok(())
}

/// An error where a launch would count in some memory twice.
fn check_apart(name: &str, operands: &[Operand], added: &[Operand]) -> Result<()> {
    let meet = |known: &Operand, new: &Operand| {
        let (a, b) = (&known.extent, &new.extent);
        known.writes && known.key() == new.key() && a.start < b.end && b.start < a.end
    };
    let mut written = added.iter().filter(|new| new.writes);
    if written.any(|new| operands.iter().any(|known| meet(known, new))) {
        bail!(Value, "{name}: expected counts of units in memory of their own, got some twice");
    }
    Ok(())
}

/// Writes what is observed of each tensor, [`Summary::OBSERVED`] numbers, and counts the units that lived.
pub fn observe_all(into: &Tensor, tensors: &[Observed<'_>]) -> Result<()> {
    const NAME: &str = "observe_all";
    check_into(NAME, into, tensors.len(), Summary::OBSERVED)?;
    let (mut operands, mut all) = (Operands::new(), Vec::<Parts<Matrix>>::new());
    let (mut items, mut elements) = (0, 0);
    let mut shapes = Vec::with_capacity(tensors.len());
    for given in tensors {
        let mut added = Operands::new();
        let mut matrix = Matrix::new(given, &mut added)?;
        // What a linear layer puts out is what comes to its activation.
        let known = all.iter().find(|known| known.part.is_same(&operands, &matrix, &added));
        if let Some(known) = known {
            shapes.push((known.items.clone(), matrix.rows, matrix.width));
            continue;
        }
        matrix.move_by(operands.len());
        if matrix.lived.is_some() {
            check_apart(NAME, &operands, &added)?;
        }
        operands.extend(added);
        let blocks = matrix.width.div_ceil(BLOCK);
        shapes.push((items..items + blocks, matrix.rows, matrix.width));
        all.push(Parts { items: items..items + blocks, part: matrix });
        items += blocks;
        elements += given.x.count();
    }
    let summaries = Tensor::empty(&[items, Summary::LEN], DType::F64)?;
    let out = operands.len();
    operands.push(Operand::write_own(&summaries, Summary::LEN));
    let cost = Cost::elementwise(elements, 12.0, 1, DType::F32);
    launch(NAME, items, cost, operands, move |items, arguments| {
        let (to, _) = arguments.own_mut::<f64>(out, &items).as_chunks_mut::<{ Summary::LEN }>();
        for (item, to) in items.zip(to) {
            let Parts { items, part } = of_item(&all, item);
            *to = part.summarize(item - items.start, arguments).to_array();
        }
    })?;
    let operands =
        smallvec![Operand::read(&summaries), Operand::write_own(into, Summary::OBSERVED)];
    let cost = Cost::elementwise(summaries.count(), 4.0, 1, DType::F64);
    launch(NAME, shapes.len(), cost, operands, move |items, arguments| {
        let (summaries, _) = arguments.all::<f64>(0).as_chunks::<{ Summary::LEN }>();
        let (to, _) = arguments.own_mut::<f64>(1, &items).as_chunks_mut::<{ Summary::OBSERVED }>();
        for ((parts, rows, width), to) in shapes[items].iter().zip(to) {
            let blocks = summaries[parts.clone()].iter().copied().map(Summary::from_array);
            *to = blocks.fold(Summary::default(), Summary::join).observed(*rows, *width);
        }
    })
}

/// Elements whose norms are taken.
struct Elements {
    dtype: DType,
    /// Its operand.
    x: usize,
}

impl Elements {
    /// The norm of a chunk.
    fn norm(&self, chunk: usize, arguments: &Arguments<'_>) -> f64 {
        match self.dtype {
            DType::F32 => self.norm_as::<f32>(chunk, arguments),
            _ => self.norm_as::<f64>(chunk, arguments),
        }
    }

    fn norm_as<T: Float + Into<f64>>(&self, chunk: usize, arguments: &Arguments<'_>) -> f64 {
        let all = arguments.all::<T>(self.x);
        norm(&all[chunk * CHUNK..((chunk + 1) * CHUNK).min(all.len())])
    }
}

/// Writes √Σ x² of each tensor.
pub fn observe_norms(into: &Tensor, tensors: &[&Tensor]) -> Result<()> {
    const NAME: &str = "observe_norms";
    check_into(NAME, into, tensors.len(), 1)?;
    let (mut operands, mut all) = (Operands::new(), Vec::with_capacity(tensors.len()));
    let (mut items, mut elements) = (0, 0);
    for &x in tensors {
        x.dtype().require_float(NAME)?;
        let part = Elements { dtype: x.dtype(), x: operands.len() };
        operands.push(Operand::read(&x.packed()?));
        let chunks = x.count().div_ceil(CHUNK);
        all.push(Parts { items: items..items + chunks, part });
        items += chunks;
        elements += x.count();
    }
    let parts = Tensor::empty(&[items], DType::F64)?;
    let out = operands.len();
    operands.push(Operand::write_own(&parts, 1));
    let ranges: Vec<_> = all.iter().map(|one| one.items.clone()).collect();
    let cost = Cost::elementwise(elements, 4.0, 1, DType::F32);
    launch(NAME, items, cost, operands, move |items, arguments| {
        let to = arguments.own_mut::<f64>(out, &items);
        for (item, to) in items.zip(to) {
            let Parts { items, part } = of_item(&all, item);
            *to = part.norm(item - items.start, arguments);
        }
    })?;
    let operands = smallvec![Operand::read(&parts), Operand::write_own(into, 1)];
    let cost = Cost::elementwise(parts.count(), 4.0, 1, DType::F64);
    launch(NAME, ranges.len(), cost, operands, move |items, arguments| {
        let parts = arguments.all::<f64>(0);
        let to = arguments.own_mut::<f64>(1, &items);
        for (range, to) in ranges[items].iter().zip(to) {
            *to = norm_of(&range.clone().map(|item| parts[item]));
        }
    })
}

#[cfg(test)]
mod tests;
