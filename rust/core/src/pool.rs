//! Buffer pool: dead memory that waits for its next use, by size class, and the slabs of huge pages that buffers of
//! medium size are cut from.
//!
//! A deep net has hundreds of weights, moments and activations of some ten KiB each. In ordinary pages they need more
//! translations of addresses than a processor keeps; in slabs of huge pages a few will do. What is cut from a slab is
//! never joined again: it waits in the pool for a buffer of its class, and what would be too much to hold back is given
//! to the system page by page.
//!
//! The pool is only ever tried, never waited for: a child process that was forked while another thread held it falls back
//! to the allocator instead of hanging.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, TryLockError};

use crate::buffer::ALIGNMENT;
use crate::pages;

/// Memory that dead buffers may hold back from the system in all.
const LIMIT: usize = 256 << 20;
/// Capacities that are cut from slabs: from a page on; larger ones would leave too much of a slab unused.
const MEDIUM: std::ops::RangeInclusive<usize> = 4096..=1 << 20;
/// Bytes of a slab: four huge pages, of which those count that were touched.
const SLAB: usize = 4 * pages::HUGE;
/// Between pieces of a slab: with sizes of whole pages, a store to one would otherwise seem to the processor to be what
/// the next load from another reads.
const STAGGER: usize = 17 * ALIGNMENT;
/// Another thread holds the pool for some tens of nanoseconds. Memory of a slab is worth as many tries.
pub(crate) const TRIES: usize = 1000;

/// Where memory is from, and so who takes it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Allocator,
    /// Mapped for this buffer alone.
    Pages,
    /// Cut from a slab, which lives for as long as the process.
    Slab,
}

/// Memory of one buffer, dead or alive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) pointer: NonNull<u8>,
    pub(crate) origin: Origin,
}

// SAFETY: it is an address; whoever holds the piece decides who may look at the memory.
unsafe impl Send for Piece {}

/// A piece that waits, and whether the system has its pages back.
struct Waiting {
    piece: Piece,
    capacity: usize,
    emptied: bool,
}

/// Four size classes for each power of two that a `usize` holds.
const CLASSES: usize = 4 * usize::BITS as usize;

struct Pool {
    free: [Vec<Waiting>; CLASSES],
    held: usize,
    /// What is left of the newest slab: where it begins, and how many bytes.
    slab: Option<(NonNull<u8>, usize)>,
}

// SAFETY: as for `Piece`.
unsafe impl Send for Pool {}

static POOL: Mutex<Pool> =
    Mutex::new(Pool { free: [const { Vec::new() }; CLASSES], held: 0, slab: None });

/// The number of a size class, from its capacity: the highest bit and the two below it.
fn class_number(capacity: usize) -> usize {
    let octave = capacity.ilog2() as usize;
    4 * octave + ((capacity >> (octave - 2)) & 3)
}

impl Pool {
    /// Memory of a slab; none where the system has no more.
    fn cut(&mut self, capacity: usize) -> Option<Piece> {
        let needed = capacity + STAGGER;
        let (start, left) = match self.slab {
            Some((start, left)) if left >= needed => (start, left),
            _ => (pages::map(SLAB)?, SLAB),
        };
        // SAFETY: the slab has `left >= needed` bytes from `start` on.
        let rest = unsafe { start.add(needed) };
        self.slab = Some((rest, left - needed));
        Some(Piece { pointer: start, origin: Origin::Slab })
    }
}

/// Memory of so many bytes: recycled (holding old values), or new (zero) where it is of a medium size; none where the
/// caller has to allocate it.
pub(crate) fn take(capacity: usize) -> Option<Piece> {
    let mut pool = POOL.try_lock().ok()?;
    if let Some(waiting) = pool.free[class_number(capacity)].pop() {
        if !waiting.emptied {
            pool.held -= capacity;
        }
        return Some(waiting.piece);
    }
    // A sanitizer sees what it allocated itself.
    if cfg!(unix) && cfg!(not(sanitized)) && MEDIUM.contains(&capacity) {
        return pool.cut(capacity);
    }
    None
}

/// Keeps the memory of a dead buffer for the next one; false where the caller has to give it back.
pub(crate) fn give(piece: Piece, capacity: usize) -> bool {
    let is_slab = piece.origin == Origin::Slab;
    let Some(mut pool) = try_often(&POOL, if is_slab { TRIES } else { 1 }) else { return false };
    let emptied = pool.held + capacity > LIMIT;
    if emptied {
        if !is_slab {
            return false;
        }
        empty(piece, capacity);
    } else {
        pool.held += capacity;
    }
    pool.free[class_number(capacity)].push(Waiting { piece, capacity, emptied });
    true
}

/// Takes a lock that is only ever held for a moment; none where that moment does not end, as in a child process that was
/// forked while another thread held it.
pub(crate) fn try_often<T>(
    lock: &'static Mutex<T>,
    tries: usize,
) -> Option<MutexGuard<'static, T>> {
    for _ in 0..tries {
        match lock.try_lock() {
            Ok(pool) => return Some(pool),
            Err(TryLockError::Poisoned(_)) => return None,
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

/// Gives the whole pages of a dead piece of a slab back to the system.
pub(crate) fn empty(piece: Piece, capacity: usize) {
    const PAGE: usize = 4096;
    let start = piece.pointer.as_ptr().addr();
    let (first, end) = (start.next_multiple_of(PAGE), (start + capacity) / PAGE * PAGE);
    if first < end {
        #[cfg(unix)]
        // SAFETY: these pages lie within the piece, which nobody uses.
        unsafe {
            pages::forget(piece.pointer.add(first - start), end - first);
        }
    }
}

/// Gives dead buffers that came as pages back to the system, all of them.
pub(crate) fn release_pages() {
    #[cfg(unix)]
    if let Some(mut pool) = try_often(&POOL, TRIES) {
        for number in class_number(pages::HUGE)..CLASSES {
            let waiting = std::mem::take(&mut pool.free[number]);
            let (mapped, others): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|waiting| waiting.piece.origin == Origin::Pages);
            pool.free[number] = others;
            for waiting in mapped {
                pool.held -= waiting.capacity;
                // SAFETY: the piece came from `map` with this size, and waited for somebody to use it.
                unsafe { pages::unmap(waiting.piece.pointer, waiting.capacity) };
            }
        }
    }
}

/// Bytes that dead buffers hold at the moment.
pub fn held_bytes() -> usize {
    POOL.try_lock().map_or(0, |pool| pool.held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_slab_are_zero_aligned_and_apart() {
        let mut pool = Pool { free: [const { Vec::new() }; CLASSES], held: 0, slab: None };
        let mut taken: Vec<std::ops::Range<usize>> = Vec::new();
        // More than one slab holds.
        for capacity in [4096, 40 << 10, 1 << 20].into_iter().cycle().take(40) {
            let piece = pool.cut(capacity).expect("a few MiB");
            assert_eq!(piece.origin, Origin::Slab);
            // SAFETY: the piece is new and has `capacity` bytes.
            let bytes = unsafe { std::slice::from_raw_parts_mut(piece.pointer.as_ptr(), capacity) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(1);
            let start = bytes.as_ptr().addr();
            assert_eq!(start % ALIGNMENT, 0);
            assert!(
                taken.iter().all(|other| other.end <= start || start + capacity <= other.start)
            );
            taken.push(start..start + capacity);
        }
    }

    #[test]
    fn what_was_given_back_is_zero_and_usable_again() {
        let mut pool = Pool { free: [const { Vec::new() }; CLASSES], held: 0, slab: None };
        let first = pool.cut(40 << 10).expect("a few MiB");
        let second = pool.cut(40 << 10).expect("a few MiB");
        // SAFETY: both pieces are new, have 40 KiB, and are used here alone.
        unsafe {
            first.pointer.as_ptr().write_bytes(7, 40 << 10);
            second.pointer.as_ptr().write_bytes(8, 40 << 10);
            empty(first, 40 << 10);
            let middle = first.pointer.as_ptr().add(20 << 10);
            assert_eq!(middle.read(), 0);
            middle.write(9);
            let neighbour = std::slice::from_raw_parts(second.pointer.as_ptr(), 40 << 10);
            assert!(neighbour.iter().all(|&byte| byte == 8));
        }
    }

    #[test]
    #[cfg(unix)]
    fn released_pages_are_the_system_s() {
        // Of a size that no other test uses.
        let capacity = 7 * pages::HUGE;
        let pointer = pages::map(capacity).expect("some MiB");
        assert!(give(Piece { pointer, origin: Origin::Pages }, capacity));
        release_pages();
        assert!(take(capacity).is_none());
    }

    #[test]
    fn classes_tell_sizes_apart() {
        let sizes = [64, 80, 96, 112, 128, 160, 192, 224, 256, 4096, 5120, 1 << 20];
        let mut numbers: Vec<_> = sizes.map(class_number).to_vec();
        numbers.dedup();
        assert_eq!(numbers.len(), sizes.len());
        assert!(numbers.iter().all(|&number| number < CLASSES));
    }
}
