//! Layer normalization kernels: rows, each normalized by its own statistics; sums down the columns for the gradients of
//! factor and offset.
//!
//! Deviations are taken from a mean that is found first, and what rounding left out of it is put back: nothing cancels
//! where a mean is far from zero.

use core::ops::Range;

use super::math::{Real, VectorMath};
use super::rows::{Sum, Tail, is_far, narrow, widen};
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};
use super::softmax::each_vector;

/// Rows that one chain of a column sum adds before it goes to the outer sum: long chains drift.
const CHUNK_ROWS: usize = 16;
/// Vectors of columns that go down the rows together.
const TOGETHER: usize = 4;

/// Σ of a function of vectors of rows of equal length, position by position. `$x` are the vectors.
macro_rules! each_sum {
    ($tail:expr, [$($x:ident = $from:expr),+], $($sum:ident += $value:expr),+) => {
        let mut at = 0;
        while at < $tail.whole {
            // SAFETY: a whole vector stands at `at` of every row.
            $( let $x = unsafe { <T::V<S> as Vector>::load($from.add(at)) }; )+
            $( $sum.add($value); )+
            at += <T::V<S> as Vector>::LANES;
        }
        if $tail.left > 0 {
            // SAFETY: `left` elements stand at `at` of every row.
            $( let $x = unsafe { <T::V<S> as Vector>::load_first($from.add(at), $tail.left) }; )+
            $( $sum.add($tail.or_zero($value)); )+
        }
    };
}

/// Rows, and where their statistics and values go.
pub struct Forward<'a, T> {
    /// The rows.
    pub x: &'a [T],
    /// Elements of a row.
    pub width: usize,
    /// What is added to a variance.
    pub epsilon: f64,
    /// The factors of the elements of a row.
    pub gamma: Option<&'a [T]>,
    /// Their offsets.
    pub beta: Option<&'a [T]>,
    /// Gets μ of each row.
    pub mean: &'a mut [T],
    /// Gets r = 1/√(σ² + ε) of each row.
    pub inverse: &'a mut [T],
    /// Gets (x - μ)·r·γ + β.
    pub out: &'a mut [T],
}

impl<T: Scalar + Real> Kernel for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let n = self.width as f64;
        let far = is_far::<T::V<S>>(self.out, self.width);
        let rows = self.x.chunks_exact(self.width).zip(self.out.chunks_exact_mut(self.width));
        for ((x, out), (mean, inverse)) in rows.zip(self.mean.iter_mut().zip(self.inverse)) {
            let (x, out) = (x.as_ptr(), out.as_mut_ptr());
            let mut sum = Sum::<T::V<S>>::new();
            each_sum!(tail, [x = x], sum += x);
            let near: T = narrow(sum.total() / n);
            let center = T::V::<S>::splat(near);
            let (mut rest, mut squares) = (Sum::<T::V<S>>::new(), Sum::<T::V<S>>::new());
            each_sum!(tail, [x = x], rest += x - center, squares += (x - center) * (x - center));
            let rest = rest.total();
            let off = rest / n;
            let variance = (squares.total() - rest * off) / n;
            // Rounding may leave a little less than nothing; NaN stays.
            let variance = if variance < 0.0 { 0.0 } else { variance };
            *mean = narrow(widen(near) + off);
            *inverse = narrow(1.0 / (variance + self.epsilon).sqrt());
            let (m, r) = (T::V::<S>::splat(*mean), T::V::<S>::splat(*inverse));
            match (self.gamma.map(<[T]>::as_ptr), self.beta.map(<[T]>::as_ptr)) {
                (Some(gamma), Some(beta)) => {
                    each_vector!(tail, out, far: far, [x = x, g = gamma, b = beta] => ((x - m) * r).mul_add(g, b));
                }
                (Some(gamma), None) => {
                    each_vector!(tail, out, far: far, [x = x, g = gamma] => (x - m) * r * g);
                }
                (None, Some(beta)) => {
                    each_vector!(tail, out, far: far, [x = x, b = beta] => (x - m).mul_add(r, b));
                }
                (None, None) => {
                    each_vector!(tail, out, far: far, [x = x] => (x - m) * r);
                }
            }
        }
        if far {
            <T::V<S> as Vector>::settle();
        }
    }
}

/// Normalizes each row.
///
/// # Panics
/// Where a slice does not have the size that the others say.
pub fn forward<T: Scalar + Real>(rows: Forward<'_, T>) {
    let (r, n) = (&rows, rows.width);
    assert!(n > 0 && r.x.len() == r.out.len() && r.x.len() == r.mean.len() * n);
    assert!(r.inverse.len() == r.mean.len());
    assert!([r.gamma, r.beta].iter().flatten().all(|of| of.len() == n));
    dispatch(rows);
}

/// What the rows of a backward pass read.
pub struct Backward<'a, T> {
    /// ∂y.
    pub grad: &'a [T],
    /// The rows.
    pub x: &'a [T],
    /// The factors of the elements of a row.
    pub gamma: Option<&'a [T]>,
    /// Elements of a row.
    pub width: usize,
    /// μ of each row.
    pub mean: &'a [T],
    /// r of each row.
    pub inverse: &'a [T],
    /// Gets ∂x.
    pub out: &'a mut [T],
}

/// What the sums of a row have as shares of its ∂x.
#[inline(always)]
fn shares<V: Vector<Elem: Scalar>>(
    n: f64,
    inverse: V::Elem,
    total: Sum<V>,
    product: Sum<V>,
) -> (V, V) {
    let r = widen(inverse);
    let tilt = product.total() / n * r * r;
    (V::splat(narrow(total.total() / n)), V::splat(narrow(tilt)))
}

impl<T: Scalar + Real> Kernel for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let n = self.width as f64;
        let far = is_far::<T::V<S>>(self.out, self.width);
        let rows = self.grad.chunks_exact(self.width).zip(self.x.chunks_exact(self.width));
        let rows = rows.zip(self.out.chunks_exact_mut(self.width));
        for (((grad, x), out), (&mean, &inverse)) in rows.zip(self.mean.iter().zip(self.inverse)) {
            let (grad, x, out) = (grad.as_ptr(), x.as_ptr(), out.as_mut_ptr());
            let (m, r) = (T::V::<S>::splat(mean), T::V::<S>::splat(inverse));
            let (mut total, mut product) = (Sum::<T::V<S>>::new(), Sum::<T::V<S>>::new());
            // Σ g and Σ g·(x - μ) with g = ∂y·γ.
            if let Some(gamma) = self.gamma {
                let gamma = gamma.as_ptr();
                each_sum!(
                    tail,
                    [g = grad, f = gamma, x = x],
                    total += g * f,
                    product += g * f * (x - m)
                );
                let (shift, tilt) = shares(n, inverse, total, product);
                each_vector!(tail, out, far: far, [g = grad, f = gamma, x = x]
                    => (x - m).neg_mul_add(tilt, g * f - shift) * r);
            } else {
                each_sum!(tail, [g = grad, x = x], total += g, product += g * (x - m));
                let (shift, tilt) = shares(n, inverse, total, product);
                each_vector!(tail, out, far: far, [g = grad, x = x] => (x - m).neg_mul_add(tilt, g - shift) * r);
            }
        }
        if far {
            <T::V<S> as Vector>::settle();
        }
    }
}

/// ∂x = r·(g - Σ g/n - (x - μ)·r²·Σ g·(x - μ)/n) of each row, with g = ∂y·γ.
///
/// # Panics
/// Where a slice does not have the size that the others say.
pub fn backward<T: Scalar + Real>(rows: Backward<'_, T>) {
    let (r, n) = (&rows, rows.width);
    assert!(n > 0 && r.x.len() == r.out.len() && r.x.len() == r.mean.len() * n);
    assert!(r.grad.len() == r.x.len() && r.inverse.len() == r.mean.len());
    assert!(r.gamma.is_none_or(|gamma| gamma.len() == n));
    dispatch(rows);
}

/// Columns of a batch, and the gradients that all rows add to.
pub struct ColumnSums<'a, T> {
    /// ∂y, row by row.
    pub grad: &'a [T],
    /// The rows.
    pub x: &'a [T],
    /// μ of each row.
    pub mean: &'a [T],
    /// r of each row.
    pub inverse: &'a [T],
    /// Elements of a row.
    pub width: usize,
    /// Those to look at; the slices below have one element for each.
    pub columns: Range<usize>,
    /// Gets ∂γ = Σ ∂y·x̂.
    pub gamma: &'a mut [T],
    /// Gets ∂β = Σ ∂y.
    pub beta: &'a mut [T],
}

impl<T: Scalar + Real> ColumnSums<'_, T> {
    /// `K` vectors of columns, `at` after the first; the last has `left` lanes.
    ///
    /// # Safety
    /// Those columns lie in every row.
    #[inline(always)]
    unsafe fn vectors<V: VectorMath<Elem = T>, const K: usize>(&mut self, at: usize, left: usize) {
        let zero = V::constant(0.0);
        let (mut gamma, mut beta) = ([zero; K], [zero; K]);
        let lanes = |k: usize| if k + 1 == K { left } else { V::LANES };
        let first = self.columns.start + at;
        for (chunk, means) in self.mean.chunks(CHUNK_ROWS).enumerate() {
            let (mut products, mut sums) = ([zero; K], [zero; K]);
            for (i, &mean) in means.iter().enumerate() {
                let row = chunk * CHUNK_ROWS + i;
                let (m, r) = (V::splat(mean), V::splat(self.inverse[row]));
                for k in 0..K {
                    let from = row * self.width + first + k * V::LANES;
                    // SAFETY: the caller's promise.
                    let (g, x) = unsafe {
                        let (g, x) = (self.grad.as_ptr().add(from), self.x.as_ptr().add(from));
                        (V::load_first(g, lanes(k)), V::load_first(x, lanes(k)))
                    };
                    sums[k] = sums[k] + g;
                    products[k] = g.mul_add((x - m) * r, products[k]);
                }
            }
            for k in 0..K {
                gamma[k] = gamma[k] + products[k];
                beta[k] = beta[k] + sums[k];
            }
        }
        for k in 0..K {
            let to = at + k * V::LANES;
            // SAFETY: both slices have an element for each column.
            unsafe {
                gamma[k].store_first(self.gamma.as_mut_ptr().add(to), lanes(k));
                beta[k].store_first(self.beta.as_mut_ptr().add(to), lanes(k));
            }
        }
    }
}

impl<T: Scalar + Real> Kernel for ColumnSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self) {
        let lanes = <T::V<S> as Vector>::LANES;
        let mut at = 0;
        while at < self.columns.len() {
            let left = self.columns.len() - at;
            // SAFETY: `column_sums` asks for it.
            unsafe {
                if left >= TOGETHER * lanes {
                    self.vectors::<T::V<S>, TOGETHER>(at, lanes);
                    at += TOGETHER * lanes;
                } else {
                    self.vectors::<T::V<S>, 1>(at, left.min(lanes));
                    at += lanes;
                }
            }
        }
    }
}

/// Takes the sums of the columns, each in an order that the number of rows alone decides.
///
/// # Panics
/// Where a slice does not have the size that the others say.
pub fn column_sums<T: Scalar + Real>(columns: ColumnSums<'_, T>) {
    let (c, n) = (&columns, columns.columns.len());
    assert!(c.grad.len() == c.x.len() && c.x.len() == c.mean.len() * c.width);
    assert!(c.inverse.len() == c.mean.len() && c.columns.end <= c.width);
    assert!(c.gamma.len() == n && c.beta.len() == n);
    dispatch(columns);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rows::FAR_BYTES;

    /// Many rows are written past the caches: each is what it is by itself, up to the last element.
    #[test]
    fn many_rows_are_those_of_few() {
        let width = 2048;
        let count = FAR_BYTES / (width * size_of::<f32>()) + 3;
        let noise = |seed: usize, n: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7919 + seed) % 1013) as f32 / 500.0 - 1.0).collect()
        };
        let [x, grad] = [1, 2].map(|seed| noise(seed, count * width));
        let [gamma, beta] = [3, 4].map(|seed| noise(seed, width));
        let mut room = vec![0.0_f32; count * width + 16];
        let start = room.as_ptr().align_offset(64);
        let factors = [None, Some(&gamma[..])];
        let shifts = [None, Some(&beta[..])];
        for (gamma, beta) in factors.into_iter().flat_map(|g| shifts.map(|b| (g, b))) {
            let run = |x: &[f32], mean: &mut [f32], inverse: &mut [f32], out: &mut [f32]| {
                forward(Forward { x, width, epsilon: 1e-3, gamma, beta, mean, inverse, out });
            };
            let back = |grad: &[f32], x: &[f32], mean: &[f32], inverse: &[f32], out: &mut [f32]| {
                backward(Backward { grad, x, gamma, width, mean, inverse, out });
            };
            let (mut mean, mut inverse) = (vec![0.0; count], vec![0.0; count]);
            let out = &mut room[start..][..count * width];
            run(&x, &mut mean, &mut inverse, out);
            let (mut row, mut m, mut r) = (vec![0.0; width], [0.0], [0.0]);
            for (x, out) in x.chunks(width).zip(out.chunks(width)) {
                run(x, &mut m, &mut r, &mut row);
                assert!(row == out);
            }
            back(&grad, &x, &mean, &inverse, out);
            let of = grad.chunks(width).zip(x.chunks(width)).zip(out.chunks(width));
            for (i, ((grad, x), out)) in of.enumerate() {
                back(grad, x, &mean[i..=i], &inverse[i..=i], &mut row);
                assert!(row == out);
            }
        }
    }
}
