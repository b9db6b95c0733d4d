//! Memory for packed blocks: kept by each thread, grown at need, never given back.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;

/// A cache line, and the widest vector.
const ALIGN: usize = 64;

/// Aligned bytes.
struct Scratch {
    start: *mut u8,
    len: usize,
}

impl Scratch {
    const EMPTY: Self = Self { start: core::ptr::null_mut(), len: 0 };

    fn layout(len: usize) -> Layout {
        Layout::from_size_align(len, ALIGN).expect("a packed block is far smaller than memory")
    }

    /// At least `len` bytes; what they hold is lost when they grow.
    fn grow(&mut self, len: usize) {
        if len <= self.len {
            return;
        }
        *self = Self::EMPTY;
        // A power of two: sizes that creep up would allocate each time.
        let len = len.next_power_of_two();
        let layout = Self::layout(len);
        // SAFETY: the size is not zero, since it is more than what there was.
        let start = unsafe { alloc(layout) };
        if start.is_null() {
            handle_alloc_error(layout);
        }
        *self = Self { start, len };
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

/// Calls `f` with room for `first` and for `second` elements, both at the start of a cache line, contents arbitrary.
#[inline(always)]
pub(super) fn with_scratch<T, R>(
    first: usize,
    second: usize,
    f: impl FnOnce(*mut T, *mut T) -> R,
) -> R {
    thread_local!(static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch::EMPTY) });
    if first + second == 0 {
        return f(core::ptr::null_mut(), core::ptr::null_mut());
    }
    // Taken out while in use: a product inside an epilogue gets memory of its own.
    let mut scratch = SCRATCH.replace(Scratch::EMPTY);
    let offset = (first * size_of::<T>()).next_multiple_of(ALIGN);
    scratch.grow(offset + second * size_of::<T>());
    let start = scratch.start;
    let result = f(start.cast(), start.wrapping_add(offset).cast());
    SCRATCH.set(scratch);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_aligned_and_apart() {
        with_scratch::<f32, _>(17, 100, |a, b| {
            assert_eq!(a.addr() % ALIGN, 0);
            assert_eq!(b.addr() % ALIGN, 0);
            assert!(b.addr() >= a.addr() + 17 * 4);
        });
    }

    #[test]
    fn memory_is_kept_and_nested_use_gets_its_own() {
        let outer = with_scratch::<f64, _>(1000, 0, |a, _| {
            let inner = with_scratch::<f64, _>(10, 0, |a, _| a.addr());
            assert_ne!(a.addr(), inner);
            a.addr()
        });
        assert_eq!(with_scratch::<f64, _>(1000, 0, |a, _| a.addr()), outer);
    }
}
