//! Batch normalization kernels: statistics down the columns, then a pass along the rows.
//!
//! Rows are cut into chunks of a fixed size. A chunk b of m' rows has a mean and a sum M of squared deviations, and joins
//! the m rows before it, a:
//!
//! ```text
//! δ = μ_b - μ_a      μ = μ_a + δ·m'/(m + m')      M = M_a + M_b + δ²·m·m'/(m + m')
//! ```
//!
//! Chunks whose size divides the batch can be looked at where their rows are made, and joined afterwards.
//!
//! Within a chunk deviations are taken from its own mean, so that nothing cancels where a mean is far from zero. Chunks
//! join in the order of the rows: each column has the bits that the number of rows alone decides.

use core::ops::Range;

use super::caches::prefetch;
use super::math::{Real, VectorMath};
use super::simd::{Chain, Kernel, Scalar, Simd, Vector, dispatch};

mod rows;
mod sums;

pub use rows::{RowsBackward, normalize, normalize_backward};
pub use sums::{Sums, SumsOf, chunk_sums, column_sums};

/// Rows of a chunk: few enough for a block of columns to stay in the fastest cache between its two passes.
const CHUNK_ROWS: usize = 16;
/// Vectors of columns that go down the rows together: whole lines of memory, and sums that do not wait for each other.
const TOGETHER: usize = 4;

/// Where the statistics of a batch come from.
#[derive(Clone, Copy)]
pub enum StatisticsOf<'a, T> {
    /// The batch, row by row.
    Rows(&'a [T]),
    /// What [`chunk_moments`] made of chunks of rows.
    Chunks(&'a [T]),
}

/// Columns of a batch, and what they leave behind for the rows.
pub struct Statistics<'a, T> {
    /// Where they come from.
    pub of: StatisticsOf<'a, T>,
    /// Rows of the batch, at least one.
    pub rows: usize,
    /// Its features.
    pub width: usize,
    /// Those to look at; all slices below have one element for each.
    pub columns: Range<usize>,
    /// What is added to a variance.
    pub epsilon: f64,
    /// The features' factors.
    pub gamma: Option<&'a [T]>,
    /// Gets μ.
    pub mean: &'a mut [T],
    /// Gets r = 1/√(σ² + ε).
    pub inverse: &'a mut [T],
    /// Gets γ·r.
    pub scale: &'a mut [T],
    /// Statistics of many batches, moved towards this one's.
    pub moving: Option<Moving<'a, T>>,
}

/// Statistics of many batches: v += (new - v)·rate, as v·(1 - rate) + new·rate.
pub struct Moving<'a, T> {
    /// The mean.
    pub mean: &'a mut [T],
    /// The variance.
    pub variance: &'a mut [T],
    /// Weight of the new value.
    pub rate: f64,
    /// What a batch's biased variance is multiplied by first.
    pub correction: f64,
}

/// How a chunk joins the rows before it.
#[derive(Clone, Copy)]
struct Join<V> {
    first: bool,
    share: V,
    weight: V,
}

impl<V: Vector> Join<V> {
    #[inline(always)]
    fn new(before: usize, count: usize) -> Self {
        let (before, count) = (before as f64, count as f64);
        let all = before + count;
        let (share, weight) = (V::constant(count / all), V::constant(before * count / all));
        Self { first: before == 0.0, share, weight }
    }

    #[inline(always)]
    fn apply(self, (mean, spread): (V, V), chunk: (V, V)) -> (V, V) {
        // The first chunk joins nothing: its square times no rows may be infinity times zero.
        if self.first {
            return chunk;
        }
        let delta = chunk.0 - mean;
        let spread = (delta * self.weight).mul_add(delta, spread + chunk.1);
        (delta.mul_add(self.share, mean), spread)
    }
}

/// Writes two numbers of each of `K` vectors of columns, `width` elements apart; gives how many columns they are.
///
/// # Safety
/// `to` is valid for writing those columns, `left` lanes in the last vector, and so is what stands `width` further.
#[inline(always)]
unsafe fn put<V: Vector, const K: usize>(
    (one, other): ([V; K], [V; K]),
    to: *mut V::Elem,
    width: usize,
    left: usize,
) -> usize {
    for (k, (one, other)) in one.into_iter().zip(other).enumerate() {
        let left = if k + 1 == K { left } else { V::LANES };
        // SAFETY: the caller's promise.
        unsafe {
            one.store_first(to.add(k * V::LANES), left);
            other.store_first(to.add(width + k * V::LANES), left);
        }
    }
    (K - 1) * V::LANES + left
}

/// Means and sums of squared deviations of `K` vectors of columns, of which the last has `left` lanes. `AHEAD` asks for the
/// next rows while these are in the cache, where hardware does not see that far: a batch larger than caches.
///
/// # Safety
/// Each of the rows, `width` elements apart, is valid for reading those columns.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "vectors of columns read as index equations")]
unsafe fn moments<V: VectorMath<Elem: Scalar + Real>, const K: usize, const AHEAD: bool>(
    from: *const V::Elem,
    rows: usize,
    width: usize,
    left: usize,
) -> ([V; K], [V; K]) {
    let zero = V::constant(0.0);
    let (mut mean, mut spread) = ([zero; K], [zero; K]);
    let lanes = |k: usize| if k + 1 == K { left } else { V::LANES };
    let mut row = 0;
    while row < rows {
        let count = CHUNK_ROWS.min(rows - row);
        let part = V::constant(1.0 / count as f64);
        let mut sum = [zero; K];
        for r in row..row + count {
            for k in 0..K {
                // SAFETY: the caller's promise.
                let x = unsafe { V::read(from.add(r * width + k * V::LANES), lanes(k)) };
                sum[k] = sum[k] + x;
            }
        }
        let mut near = [zero; K];
        for k in 0..K {
            near[k] = sum[k] * part;
        }
        let (mut rest, mut squares) = ([zero; K], [zero; K]);
        for r in row..row + count {
            for k in 0..K {
                // SAFETY: the caller's promise.
                let x = unsafe { V::read(from.add(r * width + k * V::LANES), lanes(k)) };
                let d = x - near[k];
                if AHEAD {
                    let next = (r + CHUNK_ROWS) * width + k * V::LANES;
                    prefetch(from.wrapping_add(next));
                }
                rest[k] = rest[k] + d;
                squares[k] = d.mul_add(d, squares[k]);
            }
        }
        let join = Join::new(row, count);
        for k in 0..K {
            // What rounding left out of the chunk's mean.
            let off = rest[k] * part;
            let chunk = (near[k] + off, off.neg_mul_add(rest[k], squares[k]));
            (mean[k], spread[k]) = join.apply((mean[k], spread[k]), chunk);
        }
        row += count;
    }
    (mean, spread)
}

impl<T: Scalar + Real> Statistics<'_, T> {
    /// What follows from the moments of one vector of columns, `at` after the first.
    #[inline(always)]
    fn finish<V: VectorMath<Elem = T>>(&mut self, at: usize, left: usize, mean: V, spread: V) {
        let one = V::constant(1.0);
        let variance = spread * V::constant(1.0 / self.rows as f64);
        // Rounding may leave a little less than nothing; NaN stays.
        let zero = V::constant(0.0);
        let variance = V::select(variance.lt(zero), zero, variance);
        let inverse = one / (variance + V::constant(self.epsilon)).sqrt();
        // SAFETY: every slice has `left` elements from `at` on.
        unsafe {
            let scale = if let Some(gamma) = self.gamma {
                V::read(gamma.as_ptr().add(at), left) * inverse
            } else {
                inverse
            };
            mean.store_first(self.mean.as_mut_ptr().add(at), left);
            inverse.store_first(self.inverse.as_mut_ptr().add(at), left);
            scale.store_first(self.scale.as_mut_ptr().add(at), left);
            if let Some(moving) = &mut self.moving {
                let (keep, rate) = (V::constant(1.0 - moving.rate), V::constant(moving.rate));
                let corrected = variance * V::constant(moving.correction);
                let (to_mean, to_variance) =
                    (moving.mean.as_mut_ptr().add(at), moving.variance.as_mut_ptr().add(at));
                let (m, v) = (V::read(to_mean, left), V::read(to_variance, left));
                m.mul_add(keep, mean * rate).store_first(to_mean, left);
                v.mul_add(keep, corrected * rate).store_first(to_variance, left);
            }
        }
    }
}

impl<T: Scalar + Real> Kernel for Statistics<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let (rows, width) = (self.rows, self.width);
        let mut at = 0;
        while at < self.columns.len() {
            let left = self.columns.len() - at;
            let column = self.columns.start + at;
            if left >= TOGETHER * lanes {
                // SAFETY: the columns lie in every row.
                let (mean, spread) =
                    unsafe { self.of.columns::<T::V<S>, TOGETHER>(column, rows, width, lanes) };
                for k in 0..TOGETHER {
                    self.finish(at + k * lanes, lanes, mean[k], spread[k]);
                }
                at += TOGETHER * lanes;
            } else {
                let left = left.min(lanes);
                // SAFETY: the columns lie in every row.
                let ([mean], [spread]) =
                    unsafe { self.of.columns::<T::V<S>, 1>(column, rows, width, left) };
                self.finish(at, left, mean, spread);
                at += left;
            }
        }
    }
}

impl<T: Scalar + Real> StatisticsOf<'_, T> {
    /// Means and sums of squared deviations of `K` vectors of columns, of which the last has `left` lanes.
    ///
    /// # Safety
    /// Those columns lie in every row.
    #[inline(always)]
    unsafe fn columns<V: VectorMath<Elem = T>, const K: usize>(
        self,
        column: usize,
        rows: usize,
        width: usize,
        left: usize,
    ) -> ([V; K], [V; K]) {
        match self {
            // SAFETY: the caller's promise.
            Self::Rows(x) => unsafe {
                moments::<V, K, false>(x.as_ptr().add(column), rows, width, left)
            },
            Self::Chunks(parts) => {
                let zero = V::constant(0.0);
                let (mut mean, mut spread) = ([zero; K], [zero; K]);
                let count = rows * 2 * width / parts.len();
                for (i, part) in parts.chunks_exact(2 * width).enumerate() {
                    let join = Join::new(i * count, count);
                    for k in 0..K {
                        let left = if k + 1 == K { left } else { V::LANES };
                        // SAFETY: the caller's promise; a chunk has `width` means and sums.
                        unsafe {
                            let at = part.as_ptr().add(column + k * V::LANES);
                            let chunk = (V::read(at, left), V::read(at.add(width), left));
                            (mean[k], spread[k]) = join.apply((mean[k], spread[k]), chunk);
                        }
                    }
                }
                (mean, spread)
            }
        }
    }
}

/// Takes the statistics of the columns.
///
/// # Panics
/// Where there is no row, or a slice does not have the size that the others say.
pub fn statistics<T: Scalar + Real>(columns: Statistics<'_, T>) {
    let (s, n) = (&columns, columns.columns.len());
    assert!(s.rows > 0 && s.columns.end <= s.width);
    match s.of {
        StatisticsOf::Rows(x) => assert!(x.len() >= s.rows * s.width),
        StatisticsOf::Chunks(parts) => {
            assert!(!parts.is_empty() && parts.len().is_multiple_of(2 * s.width));
        }
    }
    assert!(s.mean.len() == n && s.inverse.len() == n && s.scale.len() == n);
    assert!(s.gamma.is_none_or(|gamma| gamma.len() == n));
    assert!(s.moving.as_ref().is_none_or(|m| m.mean.len() == n && m.variance.len() == n));
    dispatch(columns);
}

struct ChunkMoments<'a, T, const AHEAD: bool> {
    x: &'a [T],
    rows: usize,
    width: usize,
    out: &'a mut [T],
}

impl<T: Scalar + Real, const AHEAD: bool> Kernel for ChunkMoments<'_, T, AHEAD> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let (rows, width) = (self.rows, self.width);
        let chunks = self.x.chunks_exact(rows * width);
        for (x, out) in chunks.zip(self.out.chunks_exact_mut(2 * width)) {
            let mut at = 0;
            while at < width {
                let (from, to) = (x.as_ptr().wrapping_add(at), out.as_mut_ptr().wrapping_add(at));
                // SAFETY: the columns lie in every row, and `out` has two elements for each.
                at += unsafe {
                    if width - at >= TOGETHER * lanes {
                        let found = moments::<T::V<S>, TOGETHER, AHEAD>(from, rows, width, lanes);
                        put(found, to, width, lanes)
                    } else {
                        let left = lanes.min(width - at);
                        put(moments::<T::V<S>, 1, AHEAD>(from, rows, width, left), to, width, left)
                    }
                };
            }
        }
    }
}

/// Mean and sum of squared deviations of every column of each chunk of `rows` rows: (chunks, 2, features), for
/// [`StatisticsOf::Chunks`]. `ahead` is for batches larger than caches; it changes no result.
///
/// # Panics
/// Where a slice does not have the size that the others say.
pub fn chunk_moments<T: Scalar + Real>(
    x: &[T],
    rows: usize,
    width: usize,
    ahead: bool,
    out: &mut [T],
) {
    let chunk = rows * width;
    assert!(chunk > 0 && x.len().is_multiple_of(chunk) && out.len() == x.len() / chunk * 2 * width);
    if ahead {
        dispatch(ChunkMoments::<T, true> { x, rows, width, out });
    } else {
        dispatch(ChunkMoments::<T, false> { x, rows, width, out });
    }
}

/// The rows of a chunk that is looked at where its rows are made: of the sizes from 4 to 64 that divide the batch the one
/// that comes closest to sixteen chunks, an even number if there is one. None for a batch that has no such size.
pub fn chunk_rows(rows: usize) -> Option<usize> {
    let distance = |size: &usize| {
        let chunks = rows / size;
        let odd = f64::from(u8::from(chunks % 2 == 1));
        (chunks as f64 / 16.0).log2().abs() + odd
    };
    (4..=64)
        .filter(|&size| rows.is_multiple_of(size) && rows / size > 1)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
}
