//! Reduction kernels: sums, and the largest or smallest element. Folds over the middle of (before, reduced, after), in
//! an order that `reduced` and `after` alone decide. NaN wins over all.
//!
//! What stands side by side in a vector depends on the shape:
//!
//! | | lanes are |
//! |---|---|
//! | `after` fills a vector | neighbouring columns, several rows in one pass |
//! | blocks of (reduced, after) are small | blocks, which are transposed for it; of one or two, columns |
//! | rows: `after` is 1 | parts of a row, joined at its end |
//! | a few columns | elements, in as many vectors as there are columns |

use core::ops::Range;

use super::math::Real;
use super::rows::{MOST_LANES, Tail, narrow, widen};
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};

mod walk;

pub(super) use walk::each_column;
use walk::{Extreme, Join, LANE_CHUNK, Lanes, Sum, columns, row, start};

/// Blocks of up to so many vectors are transposed.
const SMALL_BLOCK: usize = 16;
/// Rows shorter than so many vectors are, too.
const SHORT_ROW: usize = 2;

/// What elements are joined to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// Their sum.
    Sum,
    /// The largest of them.
    Largest,
    /// The smallest of them.
    Smallest,
}

/// So few blocks are folded one by one instead, each in the same order.
const FEW_BLOCKS: usize = 2;

/// True where blocks of (reduced, after) are folded side by side.
fn is_transposed(reduced: usize, after: usize, lanes: usize) -> bool {
    let most = if after == 1 { SHORT_ROW * lanes } else { SMALL_BLOCK * lanes };
    after < lanes && reduced * after < most
}

struct Blocks<'a, F, T> {
    _fold: F,
    x: &'a [T],
    reduced: usize,
    after: usize,
    out: &'a mut [T],
}

impl<F: Join, T: Scalar + Real> Blocks<'_, F, T> {
    #[inline(always)]
    fn transposed<V: Vector<Elem = T>>(self) {
        let width = self.reduced * self.after;
        let blocks =
            self.x.chunks(V::LANES * width).zip(self.out.chunks_mut(V::LANES * self.after));
        let mut before = 0;
        for (x, out) in blocks {
            let rows = x.len() / width;
            let all = self.x.len() - before;
            before += x.len();
            let mut column = 0;
            let mut sums = [start::<F, V>(); MOST_LANES];
            if self.after == 1 {
                let mut sum = sums[0];
                // SAFETY: the blocks lie in `x`, whose elements from there on are counted; each has its result.
                unsafe {
                    each_column::<V>(x.as_ptr(), all, rows, width, |_, x| sum = F::lanes(sum, x));
                    sum.store_first(out.as_mut_ptr(), rows);
                }
                continue;
            }
            // SAFETY: as above.
            unsafe {
                each_column::<V>(x.as_ptr(), all, rows, width, |_, x| {
                    sums[column] = F::lanes(sums[column], x);
                    column = if column + 1 == self.after { 0 } else { column + 1 };
                });
            }
            let mut lanes = [T::default(); MOST_LANES];
            for (column, sum) in sums.iter().enumerate().take(self.after) {
                // SAFETY: no vector has more lanes.
                unsafe { sum.store(lanes.as_mut_ptr()) };
                for (out, &lane) in out[column..].iter_mut().step_by(self.after).zip(&lanes) {
                    *out = lane;
                }
            }
        }
    }

    /// A few columns: `after` vectors hold `LANES` rows.
    #[inline(always)]
    fn few_columns<V: Vector<Elem = T>>(self) {
        let (after, group) = (self.after, self.after * V::LANES);
        let blocks =
            self.x.chunks_exact(self.reduced * after).zip(self.out.chunks_exact_mut(after));
        let mut lanes: Lanes<T> = [T::default(); MOST_LANES * MOST_LANES];
        for (x, out) in blocks {
            let mut totals = [start::<F, V>(); MOST_LANES];
            for chunk in x.chunks(group * LANE_CHUNK) {
                let mut sums = [start::<F, V>(); MOST_LANES];
                for rows in chunk.chunks(group) {
                    let mut from = rows.as_ptr();
                    if rows.len() < group {
                        lanes[..group].fill(narrow(F::START));
                        lanes[..rows.len()].copy_from_slice(rows);
                        from = lanes.as_ptr();
                    }
                    for (k, sum) in sums.iter_mut().enumerate().take(after) {
                        // SAFETY: `group` elements stand at `from`.
                        *sum = F::lanes(*sum, unsafe { V::load(from.add(k * V::LANES)) });
                    }
                }
                for (total, sum) in totals.iter_mut().zip(sums).take(after) {
                    *total = F::lanes(*total, sum);
                }
            }
            for (k, total) in totals.iter().enumerate().take(after) {
                // SAFETY: `after` is less than the lanes.
                unsafe { total.store(lanes.as_mut_ptr().add(k * V::LANES)) };
            }
            for (column, out) in out.iter_mut().enumerate() {
                let mut total = F::START;
                for &lane in lanes[column..group].iter().step_by(after) {
                    total = F::wide(total, widen(lane));
                }
                *out = narrow(total);
            }
        }
    }
}

impl<F: Join, T: Scalar + Real> Kernel for Blocks<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let (reduced, after) = (self.reduced, self.after);
        let small = is_transposed(reduced, after, lanes);
        if small && self.out.len() > FEW_BLOCKS * after {
            self.transposed::<T::V<S>>();
        } else if after == 1 && !small {
            let tail = Tail::<T::V<S>>::new(reduced);
            for (x, out) in self.x.chunks_exact(reduced).zip(self.out) {
                // SAFETY: the row has `reduced` elements.
                *out = narrow(unsafe { row::<F, T::V<S>>(x.as_ptr(), reduced, &tail) });
            }
        } else if after < lanes && !small {
            self.few_columns::<T::V<S>>();
        } else {
            let blocks = self.x.chunks_exact(reduced * after);
            for (x, out) in blocks.zip(self.out.chunks_exact_mut(after)) {
                // SAFETY: the block has `reduced` rows of `after` elements.
                unsafe {
                    columns::<F, T::V<S>>(x.as_ptr(), reduced, after, after, out.as_mut_ptr());
                }
            }
        }
    }
}

/// Folds the middle of (before, reduced, after): `out` has `before` times `after` elements.
///
/// # Panics
/// Where the slices do not have the sizes that the arguments say, or nothing is to be folded.
pub fn fold_blocks<T: Scalar + Real>(
    fold: Fold,
    x: &[T],
    reduced: usize,
    after: usize,
    out: &mut [T],
) {
    assert!(reduced > 0 && after > 0 && out.len().is_multiple_of(after));
    assert!(x.len() == out.len() * reduced);
    match fold {
        Fold::Sum => dispatch(Blocks { _fold: Sum, x, reduced, after, out }),
        Fold::Largest => dispatch(Blocks { _fold: Extreme::<true>, x, reduced, after, out }),
        Fold::Smallest => dispatch(Blocks { _fold: Extreme::<false>, x, reduced, after, out }),
    }
}

struct Columns<'a, F, T> {
    _fold: F,
    x: &'a [T],
    rows: usize,
    width: usize,
    first: usize,
    out: &'a mut [T],
}

impl<F: Join, T: Scalar + Real> Kernel for Columns<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self { x, rows, width, first, out, .. } = self;
        // SAFETY: each row has `width` elements, of which `out.len()` follow from `first` on.
        unsafe {
            let x = x.as_ptr().add(first);
            columns::<F, T::V<S>>(x, rows, width, out.len(), out.as_mut_ptr());
        }
    }
}

/// Folds some columns of a row-major block that is `width` wide, each as [`fold_blocks`] would where `width` fills a
/// vector.
///
/// # Panics
/// Where the slices do not have the sizes that the arguments say, or there is no row.
pub fn fold_columns<T: Scalar + Real>(
    fold: Fold,
    x: &[T],
    rows: usize,
    width: usize,
    columns: Range<usize>,
    out: &mut [T],
) {
    assert!(rows > 0 && x.len() == rows * width);
    assert!(columns.end <= width && out.len() == columns.len());
    let first = columns.start;
    match fold {
        Fold::Sum => dispatch(Columns { _fold: Sum, x, rows, width, first, out }),
        Fold::Largest => {
            dispatch(Columns { _fold: Extreme::<true>, x, rows, width, first, out });
        }
        Fold::Smallest => {
            dispatch(Columns { _fold: Extreme::<false>, x, rows, width, first, out });
        }
    }
}

struct Row<'a, F, T> {
    _fold: F,
    x: &'a [T],
}

impl<F: Join, T: Scalar + Real> Kernel for Row<'_, F, T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        let tail = Tail::<T::V<S>>::new(self.x.len());
        // SAFETY: the row has so many elements.
        unsafe { row::<F, T::V<S>>(self.x.as_ptr(), self.x.len(), &tail) }
    }
}

/// Folds all elements, in an order that their number alone decides.
pub fn fold_row<T: Scalar + Real>(fold: Fold, x: &[T]) -> f64 {
    match fold {
        Fold::Sum => dispatch(Row { _fold: Sum, x }),
        Fold::Largest => dispatch(Row { _fold: Extreme::<true>, x }),
        Fold::Smallest => dispatch(Row { _fold: Extreme::<false>, x }),
    }
}

/// Σ x, in an order that the number of elements alone decides.
pub fn sum_row<T: Scalar + Real>(x: &[T]) -> f64 {
    fold_row(Fold::Sum, x)
}

#[cfg(test)]
mod tests;
