//! Memory for tensors: 64-byte aligned, recycled by a pool, always initialized.
//!
//! A dead buffer goes back to the pool of its size class (`pool.rs`), so that a training loop allocates nothing after
//! its first step.

use std::alloc::{Layout as AllocLayout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use crate::error::{Result, bail};
use crate::pages;
use crate::pool::{self, Origin, Piece};

pub use crate::pool::held_bytes as pooled_bytes;

/// One cache line, and the width of the widest vector register.
pub const ALIGNMENT: usize = 64;
/// Requests above this are compared with the machine's memory, because a system that overcommits grants
/// them and ends the process at the first touch.
const LARGE_REQUEST: usize = 1 << 28;

/// A block of memory shared by the tensors that view it.
#[derive(Debug)]
pub struct Buffer {
    piece: Piece,
    capacity: usize,
    version: AtomicU64,
}

// SAFETY: the memory is plain bytes. Kernels reach it only through `launch`, which holds the engine's lock,
// or through `host_access` functions that take the same lock, so there is no unsynchronized access.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// Rounds up to one of four sizes an octave: at most a quarter is wasted, and equal needs meet again.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(ALIGNMENT);
    let step = (bytes.next_power_of_two() / 8).max(ALIGNMENT);
    bytes.div_ceil(step) * step
}

/// True for buffers that come as pages from the system.
fn is_mapped(capacity: usize) -> bool {
    cfg!(unix) && capacity >= pages::HUGE
}

#[cfg(not(unix))]
fn physical_memory() -> usize {
    usize::MAX
}

#[cfg(unix)]
fn physical_memory() -> usize {
    static TOTAL: LazyLock<usize> = LazyLock::new(|| {
        // SAFETY: sysconf has no memory-safety preconditions.
        let (pages, size) =
            unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
        match (usize::try_from(pages), usize::try_from(size)) {
            (Ok(pages), Ok(size)) => pages.saturating_mul(size),
            _ => usize::MAX,
        }
    });
    *TOTAL
}

impl Buffer {
    /// Memory for `bytes` bytes: recycled (holding old values) or new (zero).
    pub fn new(bytes: usize) -> Result<Arc<Self>> {
        if bytes > isize::MAX as usize / 2 || (bytes > LARGE_REQUEST && bytes > physical_memory()) {
            bail!(
                Memory,
                "a tensor of {bytes} bytes does not fit into this machine's memory of {} bytes; use fewer \
                 rows at a time or a narrower layer",
                physical_memory()
            );
        }
        let capacity = size_class(bytes);
        let piece = match pool::take(capacity) {
            Some(piece) => piece,
            None => Self::allocate(capacity)?,
        };
        Ok(Arc::new(Self { piece, capacity, version: AtomicU64::new(0) }))
    }

    fn memory_layout(capacity: usize) -> AllocLayout {
        AllocLayout::from_size_align(capacity, ALIGNMENT)
            .expect("size was checked against isize::MAX")
    }

    fn allocate(capacity: usize) -> Result<Piece> {
        let (pointer, origin) = if is_mapped(capacity) {
            (pages::map(capacity), Origin::Pages)
        } else {
            // SAFETY: the layout's size is not zero (the smallest class is one cache line).
            let pointer = unsafe { alloc_zeroed(Self::memory_layout(capacity)) };
            (NonNull::new(pointer), Origin::Allocator)
        };
        match pointer {
            Some(pointer) => Ok(Piece { pointer, origin }),
            None => bail!(Memory, "the system refused {capacity} bytes of memory for a tensor"),
        }
    }

    /// The first byte.
    pub fn pointer(&self) -> *mut u8 {
        self.piece.pointer.as_ptr()
    }

    /// How many bytes may be used.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Gives the pages of a large buffer back to the system: what it holds from now on is unspecified, until it is
    /// written. The caller holds the engine, or nobody else uses the buffer.
    pub(crate) fn forget_contents(&self) {
        #[cfg(unix)]
        if self.piece.origin == Origin::Pages {
            // SAFETY: `allocate` mapped it with this size.
            unsafe { pages::forget(self.piece.pointer, self.capacity) };
        }
    }

    /// How often the contents were replaced; a saved tensor compares it before it is used.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Marks the contents as replaced.
    pub fn touch(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if pool::give(self.piece, self.capacity) {
            return;
        }
        let pointer = self.piece.pointer;
        match self.piece.origin {
            // Nobody takes it back: its pages are the system's again, its addresses are lost.
            Origin::Slab => pool::empty(self.piece, self.capacity),
            #[cfg(unix)]
            // SAFETY: `allocate` mapped it with this size, and nothing refers to it any more.
            Origin::Pages => unsafe { pages::unmap(pointer, self.capacity) },
            // SAFETY: the memory came from `allocate` with this very layout and nothing refers to it any more.
            _ => unsafe { dealloc(pointer.as_ptr(), Self::memory_layout(self.capacity)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_large_enough() {
        for bytes in [0, 1, 63, 64, 65, 1000, 4097, 1_000_003] {
            let buffer = Buffer::new(bytes).expect("fits");
            assert_eq!(buffer.pointer() as usize % ALIGNMENT, 0);
            assert!(buffer.capacity() >= bytes);
            assert!(buffer.capacity() <= (bytes + bytes / 4).max(2 * ALIGNMENT));
        }
    }

    #[test]
    fn absurd_sizes_are_errors() {
        for bytes in [usize::MAX, isize::MAX as usize, 1 << 55] {
            assert!(matches!(Buffer::new(bytes), Err(crate::Error::Memory(_))), "{bytes}");
        }
    }
}
