//! Memory that the work after a product needs, asked for while the product runs.
//!
//! A core reads from afar about ten lines in the time of one, and a product leaves it nothing to wait for. All at once
//! would fill the queue of outstanding reads, and what the product itself needs would wait behind them: so each tile asks
//! for a few lines. They come to the second-level cache: in the first, they would take the place of the factors, and
//! on Zen 4 nothing is gained then.

use core::cell::Cell;

use crate::kernels::caches::{LINE, prefetch_near};

/// Some bytes at an address, which need not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The first of them.
    pub from: *const u8,
    /// How many.
    pub bytes: usize,
}

/// Multiply-adds of a vector for each line that is asked for.
const EACH: usize = 24;
/// The most lines that a tile asks for.
const MOST: usize = 128;

/// Bytes that may be asked for during a product of so many operations, on vectors of 16 lanes.
pub(crate) fn room(flops: f64) -> usize {
    (flops / (2 * 16 * EACH) as f64) as usize * LINE
}

/// What is left to be asked for.
pub(super) struct Later<'a> {
    pieces: Cell<&'a [Piece]>,
    /// Bytes of the first that have been asked for.
    done: Cell<usize>,
}

impl<'a> Later<'a> {
    #[inline(always)]
    pub(super) fn new(pieces: &'a [Piece]) -> Self {
        Self { pieces: Cell::new(pieces), done: Cell::new(0) }
    }

    /// Lines for each tile of so many multiply-adds of a vector.
    #[inline(always)]
    pub(super) fn each(&self, work: usize) -> usize {
        if self.pieces.get().is_empty() { 0 } else { (work / EACH).clamp(1, MOST) }
    }

    /// Asks for so many lines more.
    #[inline(always)]
    pub(super) fn ask(&self, lines: usize) {
        let mut left = lines;
        while left > 0
            && let Some((first, others)) = self.pieces.get().split_first()
        {
            let done = self.done.get();
            let here = left.min((first.bytes - done).div_ceil(LINE));
            prefetch_near(first.from.wrapping_add(done), here * LINE);
            left -= here;
            let done = done + here * LINE;
            if done >= first.bytes {
                self.pieces.set(others);
                self.done.set(0);
            } else {
                self.done.set(done);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_are_asked_for_once() {
        let memory = [0_u8; 1000];
        let piece = |start: usize, bytes| Piece { from: memory[start..].as_ptr(), bytes };
        let pieces = [piece(0, 64), piece(100, 1), piece(200, 65 + 64)];
        let later = Later::new(&pieces);
        assert_eq!(later.each(240), 10);
        assert_eq!(later.each(1), 1);
        later.ask(3);
        assert_eq!(later.pieces.get(), &pieces[2..]);
        assert_eq!(later.done.get(), 64);
        later.ask(1);
        assert_eq!(later.done.get(), 128);
        later.ask(7);
        assert!(later.pieces.get().is_empty());
        assert_eq!(later.each(240), 0);
        later.ask(1);
    }
}
