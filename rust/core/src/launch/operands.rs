//! The memory of a launch: what it reads and writes, which part of it is an item's, and where it lies as the launch runs.

use std::ops::Range;
use std::sync::Arc;

use ndarray::ArrayViewD;
use smallvec::SmallVec;

use crate::buffer::Buffer;
use crate::dtype::Element;
use crate::layout::Layout;
use crate::tensor::Tensor;

/// What one work item of a launch touches of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Item `u` touches exactly the bytes `u * bytes .. (u + 1) * bytes` of the operand.
    Own {
        /// Bytes of one item.
        bytes: usize,
    },
    /// Item `u` touches the bytes `u * bytes .. (u + 1) * bytes`, as far as there are so many, of each row of the
    /// operand.
    Columns {
        /// Bytes of one item in each row.
        bytes: usize,
        /// Bytes of a row.
        row: usize,
    },
    /// An item may touch everything (a broadcast or transposed operand, a weight read by every row).
    All,
    /// Items write disjoint places that are not one range each (the columns of a transposed copy).
    Scattered,
}

/// Memory that a launch reads or writes.
#[derive(Debug, Clone)]
pub struct Operand {
    /// The memory; a plan keeps it alive.
    pub buffer: Arc<Buffer>,
    /// Byte position that the kernel counts from.
    pub origin: usize,
    /// Bytes that may be touched at all, for finding conflicts.
    pub extent: Range<usize>,
    /// What an item touches.
    pub access: Access,
    /// True where the kernel writes (it may also read what it owns).
    pub writes: bool,
}

impl Operand {
    fn new(tensor: &Tensor, access: Access, writes: bool) -> Self {
        let size = tensor.dtype().size();
        let layout = tensor.layout();
        let (low, high) = layout.extent();
        Self {
            buffer: Arc::clone(tensor.buffer()),
            origin: layout.offset * size,
            extent: low * size..high * size,
            access,
            writes,
        }
    }

    /// Read by every item.
    pub fn read(tensor: &Tensor) -> Self {
        Self::new(tensor, Access::All, false)
    }

    /// Contiguous, read by items in equal consecutive shares of `elements`.
    pub fn read_own(tensor: &Tensor, elements: usize) -> Self {
        debug_assert!(tensor.layout().is_contiguous());
        Self::new(tensor, Access::Own { bytes: elements * tensor.dtype().size() }, false)
    }

    /// Contiguous, written (and possibly read) by items in equal consecutive shares of `elements`.
    pub fn write_own(tensor: &Tensor, elements: usize) -> Self {
        debug_assert!(tensor.layout().is_contiguous());
        Self::new(tensor, Access::Own { bytes: elements * tensor.dtype().size() }, true)
    }

    /// Written by items in disjoint places.
    pub fn write_scattered(tensor: &Tensor) -> Self {
        Self::new(tensor, Access::Scattered, true)
    }

    /// Identifies its buffer, for as long as somebody holds it.
    pub(crate) fn key(&self) -> usize {
        Arc::as_ptr(&self.buffer) as usize
    }
}

/// The operands of a launch.
pub type Operands = SmallVec<[Operand; 4]>;

/// Adds an operand that need not be there; gives its place.
pub(crate) fn push(operands: &mut Operands, operand: Option<Operand>) -> Option<usize> {
    let place = operand.is_some().then_some(operands.len());
    operands.extend(operand);
    place
}

/// Where the operands of a running launch lie.
#[derive(Clone, Copy)]
pub struct Arguments<'a> {
    pointers: &'a [*mut u8],
    operands: &'a [Operand],
}

// SAFETY: workers share the addresses while one holds the engine's lock, and each of them owns its items.
unsafe impl Sync for Arguments<'_> {}
// SAFETY: as above.
unsafe impl Send for Arguments<'_> {}

impl<'a> Arguments<'a> {
    /// `pointers[i]` is the address of byte `operands[i].origin`.
    pub(crate) fn new(pointers: &'a [*mut u8], operands: &'a [Operand]) -> Self {
        Self { pointers, operands }
    }

    /// Address of the first element of operand `i`.
    pub fn pointer<T: Element>(&self, i: usize) -> *mut T {
        self.pointers[i].cast()
    }

    fn own_elements<T>(&self, i: usize, items: &Range<usize>) -> (usize, usize) {
        let Access::Own { bytes } = self.operands[i].access else {
            unreachable!("operand {i} is not cut by items")
        };
        (items.start * bytes / size_of::<T>(), items.len() * bytes / size_of::<T>())
    }

    /// The share of `items` of an operand that is read in equal shares.
    pub fn own<T: Element>(&self, i: usize, items: &Range<usize>) -> &'a [T] {
        let (start, len) = self.own_elements::<T>(i, items);
        debug_assert!((start + len) * size_of::<T>() <= self.operands[i].extent.len());
        // SAFETY: the operand covers all its items (checked where the launch was built), its memory is
        // initialized and aligned for T, and nobody writes it while this launch runs.
        unsafe { std::slice::from_raw_parts(self.pointer::<T>(i).wrapping_add(start), len) }
    }

    /// The share of `items` of an operand that is written in equal shares.
    #[allow(
        clippy::mut_from_ref,
        reason = "shares of different items are disjoint, and each item runs once"
    )]
    pub fn own_mut<T: Element>(&self, i: usize, items: &Range<usize>) -> &'a mut [T] {
        debug_assert!(self.operands[i].writes);
        let (start, len) = self.own_elements::<T>(i, items);
        debug_assert!((start + len) * size_of::<T>() <= self.operands[i].extent.len());
        // SAFETY: as in `own`; and the executor never runs an item twice at a time, so that this share is
        // reached by this call alone. A kernel asks for each operand's share once.
        unsafe { std::slice::from_raw_parts_mut(self.pointer::<T>(i).wrapping_add(start), len) }
    }

    /// The columns of `items` of an operand that is cut by columns: their first element, and the elements from one row
    /// to the next.
    pub(crate) fn columns<T: Element>(&self, i: usize, items: &Range<usize>) -> (*mut T, usize) {
        let Access::Columns { bytes, row } = self.operands[i].access else {
            unreachable!("operand {i} is not cut by columns")
        };
        (self.pointers[i].wrapping_add(items.start * bytes).cast(), row / size_of::<T>())
    }

    /// True where operand `i` is cut by columns.
    pub(crate) fn has_columns(&self, i: usize) -> bool {
        matches!(self.operands[i].access, Access::Columns { .. })
    }

    /// A view of an operand that is only read; `layout` counts from the operand's origin and stays inside its extent.
    pub(crate) fn view<T: Element>(&self, i: usize, layout: &Layout) -> ArrayViewD<'a, T> {
        debug_assert!(!self.operands[i].writes);
        // SAFETY: the operand was made from the tensor whose layout this is a part of.
        unsafe { crate::host_access::view(self.pointer::<T>(i).cast_const(), layout) }
    }

    /// The whole of a contiguous operand that is only read.
    pub fn all<T: Element>(&self, i: usize) -> &'a [T] {
        debug_assert!(!self.operands[i].writes);
        let len = self.operands[i].extent.len() / size_of::<T>();
        // SAFETY: the extent of a contiguous operand starts at its origin and lies inside its buffer, whose
        // memory is initialized; nobody writes it while this launch runs.
        unsafe { std::slice::from_raw_parts(self.pointer::<T>(i), len) }
    }
}

/// Addresses of the operands' origins.
pub(crate) fn pointers(operands: &[Operand]) -> SmallVec<[*mut u8; 8]> {
    operands
        .iter()
        .map(|operand| {
            debug_assert!(operand.extent.end <= operand.buffer.capacity());
            // SAFETY: the origin lies inside the buffer or one past its end.
            unsafe { operand.buffer.pointer().add(operand.origin) }
        })
        .collect()
}
