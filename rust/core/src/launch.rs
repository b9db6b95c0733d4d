//! Kernel launch: the one point that every kernel passes.
//!
//! A [`Launch`] is a kernel with the memory it reads and writes, its cost, and an axis of **work items** that shape
//! alone decides (rows of a batch, elements, columns). A kernel can run any range of its work items by itself, and its
//! results never depend on how they are grouped: so the same launch runs whole in eager mode, split among threads, or
//! block by block inside a chain of a plan, with the same bits.

mod operands;

use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;
use crate::{capture, team};

pub use operands::{Access, Arguments, Operand, Operands};
pub(crate) use operands::{pointers, push};

/// A computation over a range of work items. The result of an item must not depend on the range it came in.
pub trait Kernel: Fn(Range<usize>, &Arguments<'_>) + Send + Sync + 'static {}

impl<F: Fn(Range<usize>, &Arguments<'_>) + Send + Sync + 'static> Kernel for F {}

/// Bytes that a launch finds in the caches, as a rule.
const CACHED_BYTES: f64 = 8e6;

/// What a launch costs in all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Floating-point operations (a fused multiply-add counts two).
    pub flops: f64,
    /// Bytes read and written.
    pub bytes: f64,
}

impl Cost {
    /// Nanoseconds on one thread of a present-day processor, roughly: 50 flops a nanosecond, and 30 bytes, or 10 where so
    /// many come from memory. It only weighs launches against each other and against the price of waking a thread.
    pub fn nanoseconds(self) -> f64 {
        let bytes = if self.bytes < CACHED_BYTES { self.bytes / 30.0 } else { self.bytes / 10.0 };
        (self.flops / 50.0).max(bytes)
    }

    /// An elementwise pass: `flops` operations for each of `n` elements of `dtype`, `streams` arrays wide.
    pub fn elementwise(n: usize, flops: f64, streams: usize, dtype: DType) -> Self {
        Self { flops: n as f64 * flops, bytes: (n * streams * dtype.size()) as f64 }
    }
}

/// Another axis of the same work: items that are columns of a matrix where those of the launch are its rows. A plan
/// takes it where a matrix should stay with the thread that updates it, or where there are fewer rows than threads.
pub struct ByColumns {
    /// Number of items.
    pub items: usize,
    /// What an item touches of each operand.
    pub access: SmallVec<[Access; 4]>,
    /// The computation.
    pub kernel: Arc<dyn Kernel>,
}

/// Bytes of an item in each row of a matrix that is cut by columns: a cache line.
const COLUMN: usize = 64;

impl ByColumns {
    /// Columns of `items` of a matrix with `columns` columns.
    pub(crate) fn range<T>(items: &Range<usize>, columns: usize) -> Range<usize> {
        let each = COLUMN / size_of::<T>();
        (items.start * each).min(columns)..(items.end * each).min(columns)
    }

    /// The axis along the rows of the matrices that are touched by columns, all of them equally wide; `None` where these
    /// make no more than one item.
    pub(crate) fn new(access: SmallVec<[Access; 4]>, kernel: impl Kernel) -> Option<Self> {
        let row = access.iter().find_map(|access| match access {
            Access::Columns { row, .. } => Some(*row),
            _ => None,
        });
        let items = row?.div_ceil(COLUMN);
        (items > 1).then(|| Self { items, access, kernel: Arc::new(kernel) })
    }

    /// The operands of the launch as items by columns touch them.
    fn operands(&self, operands: &[Operand]) -> Operands {
        let turned = operands.iter().zip(&self.access);
        turned.map(|(operand, &access)| Operand { access, ..operand.clone() }).collect()
    }

    /// How items touch a matrix without gaps; `None` for anything else.
    pub(crate) fn access(of: &Tensor) -> Option<Access> {
        let row = of.shape().last()? * of.dtype().size();
        (of.ndim() == 2 && of.layout().is_contiguous())
            .then_some(Access::Columns { bytes: COLUMN, row })
    }
}

/// A kernel with its operands, its items and its cost.
pub struct Launch {
    /// The operation's name, for reports.
    pub name: &'static str,
    /// Number of work items.
    pub items: usize,
    /// What all items cost together.
    pub cost: Cost,
    /// Memory read and written.
    pub operands: Operands,
    /// The computation.
    pub kernel: Arc<dyn Kernel>,
    /// The same work along another axis.
    pub by_columns: Option<ByColumns>,
}

impl Launch {
    /// A launch of the same work on the same memory.
    pub(crate) fn again(&self) -> Self {
        Self {
            operands: self.operands.clone(),
            kernel: Arc::clone(&self.kernel),
            by_columns: None,
            ..*self
        }
    }

    /// The same work by columns, where it can be cut so.
    pub(crate) fn turned(&self) -> Option<Self> {
        let other = self.by_columns.as_ref()?;
        Some(Self {
            items: other.items,
            operands: other.operands(&self.operands),
            kernel: Arc::clone(&other.kernel),
            ..self.again()
        })
    }
}

/// Runs a kernel over all its items now and, while a step is being captured, records it.
///
/// # Panics
/// Where an operand is smaller than its items say: a defect of the operation that launches.
pub fn launch(
    name: &'static str,
    items: usize,
    cost: Cost,
    operands: Operands,
    kernel: impl Kernel,
) -> Result<()> {
    run_and_record(name, items, cost, operands, &mut Some(kernel), &mut || None)
}

/// Fewer items than this are few: where the same work can be cut by columns, it is.
pub(crate) const FEW_ITEMS: usize = 16;

/// [`launch`] of work that can be cut along another axis too, which is asked for where a plan may take it.
///
/// # Panics
/// As [`launch`].
pub fn launch_either(
    name: &'static str,
    items: usize,
    cost: Cost,
    operands: Operands,
    kernel: impl Kernel,
    by_columns: impl FnOnce() -> Option<ByColumns>,
) -> Result<()> {
    let mut by_columns = Some(by_columns);
    let mut turned = || by_columns.take().and_then(|by_columns| by_columns());
    run_and_record(name, items, cost, operands, &mut Some(kernel), &mut turned)
}

/// A kernel that is run, and kept where a capture is open: an `Option` of it, which is empty from then on.
trait Keepable: Sync {
    fn run(&self, items: Range<usize>, arguments: &Arguments<'_>);
    fn keep(&mut self) -> Arc<dyn Kernel>;
}

impl<K: Kernel> Keepable for Option<K> {
    fn run(&self, items: Range<usize>, arguments: &Arguments<'_>) {
        self.as_ref().expect("kernels run before they are kept")(items, arguments);
    }

    fn keep(&mut self) -> Arc<dyn Kernel> {
        Arc::new(self.take().expect("kernels are kept once"))
    }
}

/// [`launch_either`] of any kernel: what is generic over kernels is compiled hundreds of times.
fn run_and_record(
    name: &'static str,
    items: usize,
    cost: Cost,
    operands: Operands,
    kernel: &mut dyn Keepable,
    by_columns: &mut dyn FnMut() -> Option<ByColumns>,
) -> Result<()> {
    if items == 0 {
        return Ok(());
    }
    for operand in operands.iter().filter(|operand| operand.writes) {
        if let Access::Own { bytes } = operand.access {
            assert!(
                items * bytes <= operand.extent.len(),
                "{name}: items reach beyond their operand"
            );
        }
        operand.buffer.touch();
    }
    let few = items < FEW_ITEMS && team::is_worth_splitting(cost);
    let by_columns = if few || capture::is_open() { by_columns() } else { None };
    {
        let mut engine = team::engine();
        let addresses = pointers(&operands);
        let arguments = Arguments::new(&addresses, &operands);
        if let Some(other) = by_columns.as_ref().filter(|_| few) {
            let operands = other.operands(&operands);
            let arguments = Arguments::new(&addresses, &operands);
            engine.split(other.items, cost, &|range| (other.kernel)(range, &arguments))?;
        } else {
            let kernel = &*kernel;
            engine.split(items, cost, &|range| kernel.run(range, &arguments))?;
        }
    }
    capture::record(|| Launch { name, items, cost, operands, kernel: kernel.keep(), by_columns });
    Ok(())
}
