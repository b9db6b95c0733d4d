//! Thread-local scratch memory for packed blocks and padded images: grown at need, never given back.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::thread::LocalKey;

/// A cache line, and the widest vector.
const ALIGN: usize = 64;
/// A huge page: blocks of this size are asked for in such pages, which spares the address translation.
const HUGE: usize = 2 << 20;

/// Aligned bytes.
struct Scratch {
    start: *mut u8,
    len: usize,
}

impl Scratch {
    const EMPTY: Self = Self { start: core::ptr::null_mut(), len: 0 };

    fn layout(len: usize) -> Layout {
        let align = if len < HUGE { ALIGN } else { HUGE };
        Layout::from_size_align(len, align).expect("a packed block is far smaller than memory")
    }

    /// At least `len` bytes; what they hold is lost when they grow.
    fn grow(&mut self, len: usize) {
        if len <= self.len {
            return;
        }
        *self = Self::EMPTY;
        // A power of two: sizes that creep up would allocate each time. What nears a huge page becomes one.
        let len = if len < HUGE / 8 {
            len.next_power_of_two()
        } else {
            len.next_power_of_two().max(HUGE)
        };
        let layout = Self::layout(len);
        // Zeros, so that what is lent out is always numbers.
        // SAFETY: the size is not zero, since it is more than what there was.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        #[cfg(target_os = "linux")]
        if len >= HUGE {
            // SAFETY: the memory is ours, and the advice changes nothing but the speed; so may its refusal.
            unsafe { libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE) };
        }
        *self = Self { start, len };
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `grow` with this layout.
            unsafe { dealloc(self.start, Self::layout(self.len)) }
        }
    }
}

thread_local! {
    static KEPT: Cell<Scratch> = const { Cell::new(Scratch::EMPTY) };
    /// For kernels that run products, which have the other at hand then.
    static AROUND: Cell<Scratch> = const { Cell::new(Scratch::EMPTY) };
}

/// Room for three blocks, borrowed from the thread.
///
/// A value and not a function that takes a closure: closures are not inlined reliably, and what is not inlined
/// into a kernel is not compiled for its instruction set.
pub(super) struct Room {
    scratch: Scratch,
    offsets: [usize; 2],
    kept: &'static LocalKey<Cell<Scratch>>,
}

impl Room {
    /// Room for so many elements three times, each from the start of a cache line, contents arbitrary.
    #[inline]
    pub(super) fn new<T>(parts: [usize; 3]) -> Self {
        Self::kept_in::<T>(&KEPT, parts)
    }

    /// The same for a kernel that runs products inside, so that these find theirs kept.
    #[inline]
    pub(super) fn around<T>(parts: [usize; 3]) -> Self {
        Self::kept_in::<T>(&AROUND, parts)
    }

    #[inline]
    fn kept_in<T>(kept: &'static LocalKey<Cell<Scratch>>, parts: [usize; 3]) -> Self {
        let [first, second, third] = parts.map(|n| (n * size_of::<T>()).next_multiple_of(ALIGN));
        let len = first + second + third;
        // Taken out while in use: a product inside of another gets memory of its own.
        let mut scratch = if len > 0 { kept.take() } else { Scratch::EMPTY };
        scratch.grow(len);
        Self { scratch, offsets: [first, first + second], kept }
    }

    /// Where each of the parts starts.
    #[inline(always)]
    pub(super) fn parts<T>(&self) -> [*mut T; 3] {
        let start = self.scratch.start;
        [0, self.offsets[0], self.offsets[1]].map(|offset| start.wrapping_add(offset).cast())
    }
}

impl Drop for Room {
    #[inline]
    fn drop(&mut self) {
        if self.scratch.len > 0 {
            self.kept.set(core::mem::take(&mut self.scratch));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_aligned_and_apart() {
        let room = Room::new::<f32>([17, 100, 3]);
        let [a, b, c] = room.parts::<f32>().map(<*mut f32>::addr);
        assert_eq!((a % ALIGN, b % ALIGN, c % ALIGN), (0, 0, 0));
        assert!(b >= a + 17 * 4 && c >= b + 100 * 4);
    }

    #[test]
    fn memory_is_kept_and_nested_use_gets_its_own() {
        let room = Room::new::<f64>([1000, 0, 0]);
        let outer = room.parts::<f64>()[0].addr();
        assert_ne!(Room::new::<f64>([10, 0, 0]).parts::<f64>()[0].addr(), outer);
        drop(room);
        assert_eq!(Room::new::<f64>([1000, 0, 0]).parts::<f64>()[0].addr(), outer);
        // One around a product leaves it what is kept.
        let around = Room::around::<f64>([1000, 0, 0]);
        assert_ne!(around.parts::<f64>()[0].addr(), outer);
        assert_eq!(Room::new::<f64>([10, 0, 0]).parts::<f64>()[0].addr(), outer);
    }
}
