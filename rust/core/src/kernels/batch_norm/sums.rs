//! Sums down the columns for the backward pass of batch normalization.

use core::ops::Range;

use super::{CHUNK_ROWS, TOGETHER, put};
use crate::kernels::math::{Real, VectorMath};
use crate::kernels::simd::{Chain, Kernel, Scalar, Simd, Vector, dispatch};

/// Where the sums of a backward pass come from.
#[derive(Clone, Copy)]
pub enum SumsOf<'a, T> {
    /// ∂y and x, row by row.
    Rows {
        /// ∂y.
        grad: &'a [T],
        /// x.
        x: &'a [T],
    },
    /// What [`chunk_sums`] made of chunks of rows.
    Chunks(&'a [T]),
}

/// The sums that a backward pass needs of each column, and what the rows need of them.
///
/// ```text
/// ∂β = Σ ∂y      ∂γ = Σ ∂y·x̂      shift = ∂β/m      tilt = r·∂γ/m      with x̂ = (x - μ)·r
/// ```
pub struct Sums<'a, T> {
    /// Where the sums come from.
    pub of: SumsOf<'a, T>,
    /// Rows of the batch.
    pub rows: usize,
    /// Their features.
    pub width: usize,
    /// Those to look at; all slices below have one element for each.
    pub columns: Range<usize>,
    /// μ.
    pub mean: &'a [T],
    /// r.
    pub inverse: &'a [T],
    /// Gets ∂β.
    pub beta: &'a mut [T],
    /// Gets ∂γ.
    pub gamma: &'a mut [T],
    /// Gets the part of ∂x that all rows share.
    pub shift: &'a mut [T],
    /// Gets the part of ∂x that grows with the distance from the mean.
    pub tilt: &'a mut [T],
}

/// Σ g and Σ g·(x - μ) of `K` vectors of columns, of which the last has `left` lanes.
///
/// # Safety
/// Each of the rows, `width` elements apart, is valid for reading those columns, and so is `mean`.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "vectors of columns read as index equations")]
unsafe fn sums<V: VectorMath<Elem: Scalar + Real>, const K: usize>(
    [grad, x]: [*const V::Elem; 2],
    mean: *const V::Elem,
    rows: usize,
    width: usize,
    left: usize,
) -> ([V; K], [V; K]) {
    let zero = V::constant(0.0);
    let lanes = |k: usize| if k + 1 == K { left } else { V::LANES };
    let mut center = [zero; K];
    for k in 0..K {
        // SAFETY: the caller's promise.
        center[k] = unsafe { V::read(mean.add(k * V::LANES), lanes(k)) };
    }
    let (mut total, mut product) = ([zero; K], [zero; K]);
    let mut row = 0;
    while row < rows {
        let stop = (row + CHUNK_ROWS).min(rows);
        let (mut part, mut part_product) = ([zero; K], [zero; K]);
        for r in row..stop {
            for k in 0..K {
                let at = r * width + k * V::LANES;
                // SAFETY: the caller's promise.
                let (g, x) =
                    unsafe { (V::read(grad.add(at), lanes(k)), V::read(x.add(at), lanes(k))) };
                part[k] = part[k] + g;
                part_product[k] = g.mul_add(x - center[k], part_product[k]);
            }
        }
        for k in 0..K {
            total[k] = total[k] + part[k];
            product[k] = product[k] + part_product[k];
        }
        row = stop;
    }
    (total, product)
}

impl<T: Scalar + Real> Sums<'_, T> {
    #[inline(always)]
    fn finish<V: VectorMath<Elem = T>>(&mut self, at: usize, left: usize, total: V, product: V) {
        let part = V::constant(1.0 / self.rows as f64);
        // SAFETY: every slice has `left` elements from `at` on.
        unsafe {
            let inverse = V::read(self.inverse.as_ptr().add(at), left);
            let gamma = product * inverse;
            total.store_first(self.beta.as_mut_ptr().add(at), left);
            gamma.store_first(self.gamma.as_mut_ptr().add(at), left);
            (total * part).store_first(self.shift.as_mut_ptr().add(at), left);
            (gamma * inverse * part).store_first(self.tilt.as_mut_ptr().add(at), left);
        }
    }
}

impl<T: Scalar + Real> Kernel for Sums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let (rows, width) = (self.rows, self.width);
        let mut at = 0;
        while at < self.columns.len() {
            let left = self.columns.len() - at;
            let (column, mean) = (self.columns.start + at, self.mean.as_ptr().wrapping_add(at));
            if left >= TOGETHER * lanes {
                // SAFETY: the columns lie in every row.
                let (total, product) = unsafe {
                    self.of.columns::<T::V<S>, TOGETHER>(column, mean, rows, width, lanes)
                };
                for k in 0..TOGETHER {
                    self.finish(at + k * lanes, lanes, total[k], product[k]);
                }
                at += TOGETHER * lanes;
            } else {
                let left = left.min(lanes);
                // SAFETY: the columns lie in every row.
                let ([total], [product]) =
                    unsafe { self.of.columns::<T::V<S>, 1>(column, mean, rows, width, left) };
                self.finish(at, left, total, product);
                at += left;
            }
        }
    }
}

impl<T: Scalar + Real> SumsOf<'_, T> {
    /// The sums of `K` vectors of columns, of which the last has `left` lanes.
    ///
    /// # Safety
    /// Those columns lie in every row, and `mean` is valid for reading as many elements.
    #[inline(always)]
    unsafe fn columns<V: VectorMath<Elem = T>, const K: usize>(
        self,
        column: usize,
        mean: *const T,
        rows: usize,
        width: usize,
        left: usize,
    ) -> ([V; K], [V; K]) {
        match self {
            Self::Rows { grad, x } => {
                let from = [grad, x].map(|x| x.as_ptr().wrapping_add(column));
                // SAFETY: the caller's promise.
                unsafe { sums::<V, K>(from, mean, rows, width, left) }
            }
            Self::Chunks(parts) => {
                let zero = V::constant(0.0);
                let (mut total, mut product) = ([zero; K], [zero; K]);
                for part in parts.chunks_exact(2 * width) {
                    for k in 0..K {
                        let left = if k + 1 == K { left } else { V::LANES };
                        // SAFETY: the caller's promise; a chunk has `width` of either sum.
                        unsafe {
                            let at = part.as_ptr().add(column + k * V::LANES);
                            total[k] = total[k] + V::read(at, left);
                            product[k] = product[k] + V::read(at.add(width), left);
                        }
                    }
                }
                (total, product)
            }
        }
    }
}

struct ChunkSums<'a, T> {
    grad: &'a [T],
    x: &'a [T],
    mean: &'a [T],
    rows: usize,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for ChunkSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let (rows, width) = (self.rows, self.mean.len());
        let chunks = self.grad.chunks_exact(rows * width).zip(self.x.chunks_exact(rows * width));
        for ((grad, x), out) in chunks.zip(self.out.chunks_exact_mut(2 * width)) {
            let mut at = 0;
            while at < width {
                let from = [grad, x].map(|x| x.as_ptr().wrapping_add(at));
                let mean = self.mean.as_ptr().wrapping_add(at);
                let to = out.as_mut_ptr().wrapping_add(at);
                // SAFETY: the columns lie in every row, and `out` has two elements for each.
                at += unsafe {
                    if width - at >= TOGETHER * lanes {
                        let found = sums::<T::V<S>, TOGETHER>(from, mean, rows, width, lanes);
                        put(found, to, width, lanes)
                    } else {
                        let left = lanes.min(width - at);
                        put(sums::<T::V<S>, 1>(from, mean, rows, width, left), to, width, left)
                    }
                };
            }
        }
    }
}

/// Σ g and Σ g·(x - μ) of every column of each chunk of `rows` rows: (chunks, 2, features), for [`SumsOf::Chunks`].
///
/// # Panics
/// Where a slice does not have the size that the others say.
pub fn chunk_sums<T: Scalar + Real>([grad, x]: [&[T]; 2], mean: &[T], rows: usize, out: &mut [T]) {
    let chunk = rows * mean.len();
    assert!(chunk > 0 && grad.len() == x.len() && x.len().is_multiple_of(chunk));
    assert!(out.len() == x.len() / chunk * 2 * mean.len());
    dispatch(ChunkSums { grad, x, mean, rows, out });
}

/// Takes the sums of the columns.
///
/// # Panics
/// Where a slice does not have the size that the others say.
pub fn column_sums<T: Scalar + Real>(columns: Sums<'_, T>) {
    let (s, n) = (&columns, columns.columns.len());
    assert!(s.rows > 0 && s.columns.end <= s.width);
    match s.of {
        SumsOf::Rows { grad, x } => {
            assert!(grad.len() == x.len() && x.len() >= s.rows * s.width);
        }
        SumsOf::Chunks(parts) => assert!(parts.len().is_multiple_of(2 * s.width)),
    }
    assert!(s.mean.len() == n && s.inverse.len() == n && s.beta.len() == n && s.gamma.len() == n);
    assert!(s.shift.len() == n && s.tilt.len() == n);
    dispatch(columns);
}
