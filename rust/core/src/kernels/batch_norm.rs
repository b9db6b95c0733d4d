//! Batches, normalised feature by feature: statistics down the columns, then a pass along the rows.
//!
//! Rows are cut into chunks of a fixed size. A chunk b of m' rows has a mean and a sum M of squared deviations, and joins
//! the m rows before it, a:
//!
//! ```text
//! δ = μ_b - μ_a      μ = μ_a + δ·m'/(m + m')      M = M_a + M_b + δ²·m·m'/(m + m')
//! ```
//!
//! Within a chunk deviations are taken from its own mean, so that nothing cancels where a mean is far from zero. Chunks
//! join in the order of the rows: each column has the bits that the number of rows alone decides.

use core::ops::Range;

use super::math::{Real, VectorMath};
use super::rows::Tail;
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};
use super::softmax::each_vector;

/// Rows of a chunk: few enough for a block of columns to stay in the fastest cache between its two passes.
const CHUNK_ROWS: usize = 16;
/// Vectors of columns that go down the rows together: whole lines of memory, and sums that do not wait for each other.
const TOGETHER: usize = 4;

/// Columns of a batch, and what they leave behind for the rows.
pub struct Statistics<'a, T> {
    /// The batch, row by row.
    pub x: &'a [T],
    /// Its rows, at least one.
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

/// `left` lanes from `from`.
///
/// # Safety
/// `from` is valid for reading `left <= LANES` elements.
#[inline(always)]
unsafe fn take<V: Vector>(from: *const V::Elem, left: usize) -> V {
    // SAFETY: the caller's promise.
    unsafe { if left >= V::LANES { V::load(from) } else { V::load_first(from, left) } }
}

/// Means and sums of squared deviations of `K` vectors of columns, of which the last has `left` lanes.
///
/// # Safety
/// Each of the rows, `width` elements apart, is valid for reading those columns.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "vectors of columns read as index equations")]
unsafe fn moments<V: VectorMath<Elem: Scalar + Real>, const K: usize>(
    x: *const V::Elem,
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
                let x = unsafe { take::<V>(x.add(r * width + k * V::LANES), lanes(k)) };
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
                let x = unsafe { take::<V>(x.add(r * width + k * V::LANES), lanes(k)) };
                let d = x - near[k];
                rest[k] = rest[k] + d;
                squares[k] = d.mul_add(d, squares[k]);
            }
        }
        let share = V::constant(count as f64 / (row + count) as f64);
        let weight = V::constant(row as f64 * count as f64 / (row + count) as f64);
        for k in 0..K {
            // What rounding left out of the chunk's mean.
            let off = rest[k] * part;
            let (chunk_mean, chunk_spread) = (near[k] + off, off.neg_mul_add(rest[k], squares[k]));
            let delta = chunk_mean - mean[k];
            // The first chunk joins nothing: its square times no rows may be infinity times zero.
            if row == 0 {
                (mean[k], spread[k]) = (chunk_mean, chunk_spread);
            } else {
                mean[k] = delta.mul_add(share, mean[k]);
                spread[k] = (delta * weight).mul_add(delta, spread[k] + chunk_spread);
            }
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
                take::<V>(gamma.as_ptr().add(at), left) * inverse
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
                let (m, v) = (take::<V>(to_mean, left), take::<V>(to_variance, left));
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
            let from = self.x.as_ptr().wrapping_add(self.columns.start + at);
            if left >= TOGETHER * lanes {
                // SAFETY: the columns lie in every row.
                let (mean, spread) =
                    unsafe { moments::<T::V<S>, TOGETHER>(from, rows, width, lanes) };
                for k in 0..TOGETHER {
                    self.finish(at + k * lanes, lanes, mean[k], spread[k]);
                }
                at += TOGETHER * lanes;
            } else {
                let left = left.min(lanes);
                // SAFETY: the columns lie in every row.
                let ([mean], [spread]) = unsafe { moments::<T::V<S>, 1>(from, rows, width, left) };
                self.finish(at, left, mean, spread);
                at += left;
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
    assert!(s.rows > 0 && s.x.len() >= s.rows * s.width && s.columns.end <= s.width);
    assert!(s.mean.len() == n && s.inverse.len() == n && s.scale.len() == n);
    assert!(s.gamma.is_none_or(|gamma| gamma.len() == n));
    assert!(s.moving.as_ref().is_none_or(|m| m.mean.len() == n && m.variance.len() == n));
    dispatch(columns);
}

/// The sums that a backward pass needs of each column, and what the rows need of them.
///
/// ```text
/// ∂β = Σ ∂y      ∂γ = Σ ∂y·x̂      shift = ∂β/m      tilt = r·∂γ/m      with x̂ = (x - μ)·r
/// ```
pub struct Sums<'a, T> {
    /// ∂y and x, row by row.
    pub grad: &'a [T],
    /// As above.
    pub x: &'a [T],
    /// Their rows.
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
        center[k] = unsafe { take::<V>(mean.add(k * V::LANES), lanes(k)) };
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
                    unsafe { (take::<V>(grad.add(at), lanes(k)), take::<V>(x.add(at), lanes(k))) };
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
            let inverse = take::<V>(self.inverse.as_ptr().add(at), left);
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
            let column = self.columns.start + at;
            let from = [self.grad, self.x].map(|x| x.as_ptr().wrapping_add(column));
            let mean = self.mean.as_ptr().wrapping_add(at);
            if left >= TOGETHER * lanes {
                // SAFETY: the columns lie in every row.
                let (total, product) =
                    unsafe { sums::<T::V<S>, TOGETHER>(from, mean, rows, width, lanes) };
                for k in 0..TOGETHER {
                    self.finish(at + k * lanes, lanes, total[k], product[k]);
                }
                at += TOGETHER * lanes;
            } else {
                let left = left.min(lanes);
                // SAFETY: the columns lie in every row.
                let ([total], [product]) =
                    unsafe { sums::<T::V<S>, 1>(from, mean, rows, width, left) };
                self.finish(at, left, total, product);
                at += left;
            }
        }
    }
}

/// Takes the sums of the columns.
///
/// # Panics
/// Where a slice does not have the size that the others say.
pub fn column_sums<T: Scalar + Real>(columns: Sums<'_, T>) {
    let (s, n) = (&columns, columns.columns.len());
    assert!(s.grad.len() == s.x.len() && s.x.len() >= s.rows * s.width && s.columns.end <= s.width);
    assert!(s.mean.len() == n && s.inverse.len() == n && s.beta.len() == n && s.gamma.len() == n);
    assert!(s.shift.len() == n && s.tilt.len() == n);
    dispatch(columns);
}

struct Rows<'a, T> {
    x: &'a [T],
    mean: &'a [T],
    scale: &'a [T],
    beta: Option<&'a [T]>,
    out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let width = self.mean.len();
        let tail = Tail::<T::V<S>>::new(width);
        let (mean, scale) = (self.mean.as_ptr(), self.scale.as_ptr());
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let (x, out) = (x.as_ptr(), out.as_mut_ptr());
            if let Some(beta) = self.beta {
                let beta = beta.as_ptr();
                each_vector!(tail, out, [x = x, m = mean, s = scale, b = beta] => (x - m).mul_add(s, b));
            } else {
                each_vector!(tail, out, [x = x, m = mean, s = scale] => (x - m) * s);
            }
        }
    }
}

/// (x - mean)·scale + β for rows of as many elements as there are means.
///
/// # Panics
/// Where there is no feature, or the slices differ in length.
pub fn normalise<T: Scalar + Real>(
    x: &[T],
    mean: &[T],
    scale: &[T],
    beta: Option<&[T]>,
    out: &mut [T],
) {
    let n = mean.len();
    assert!(n > 0 && x.len() == out.len() && scale.len() == n);
    assert!(beta.is_none_or(|beta| beta.len() == n));
    dispatch(Rows { x, mean, scale, beta, out });
}

/// What the rows of a backward pass read; all slices but the first two have one element a feature.
pub struct RowsBackward<'a, T> {
    /// ∂y.
    pub grad: &'a [T],
    /// The batch.
    pub x: &'a [T],
    /// μ.
    pub mean: &'a [T],
    /// γ·r.
    pub scale: &'a [T],
    /// ∂β/m.
    pub shift: &'a [T],
    /// r·∂γ/m.
    pub tilt: &'a [T],
    /// Gets ∂x.
    pub out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for RowsBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let width = self.mean.len();
        let tail = Tail::<T::V<S>>::new(width);
        let (mean, scale) = (self.mean.as_ptr(), self.scale.as_ptr());
        let (shift, tilt) = (self.shift.as_ptr(), self.tilt.as_ptr());
        let rows = self.grad.chunks_exact(width).zip(self.x.chunks_exact(width));
        for ((grad, x), out) in rows.zip(self.out.chunks_exact_mut(width)) {
            let (grad, x, out) = (grad.as_ptr(), x.as_ptr(), out.as_mut_ptr());
            each_vector!(tail, out, [g = grad, x = x, m = mean, s = scale, c = shift, t = tilt]
                => s * (x - m).neg_mul_add(t, g - c));
        }
    }
}

/// ∂x = γ·r·(∂y - shift - (x - μ)·tilt) for rows of as many elements as there are means.
///
/// # Panics
/// Where there is no feature, or the slices differ in length.
pub fn normalise_backward<T: Scalar + Real>(rows: RowsBackward<'_, T>) {
    let (r, n) = (&rows, rows.mean.len());
    assert!(n > 0 && r.grad.len() == r.out.len() && r.x.len() == r.out.len());
    assert!(r.scale.len() == n && r.shift.len() == n && r.tilt.len() == n);
    dispatch(rows);
}
