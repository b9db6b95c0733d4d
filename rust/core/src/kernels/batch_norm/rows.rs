//! What batch normalization does along the rows, once the features' numbers are known.

use crate::kernels::math::Real;
use crate::kernels::rows::{Tail, is_far};
use crate::kernels::simd::{Kernel, Scalar, Simd, Vector, dispatch};
use crate::kernels::softmax::each_vector;

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
        let far = is_far::<T::V<S>>(self.out, width);
        for (x, out) in self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width)) {
            let (x, out) = (x.as_ptr(), out.as_mut_ptr());
            if let Some(beta) = self.beta {
                let beta = beta.as_ptr();
                each_vector!(tail, out, far: far, [x = x, m = mean, s = scale, b = beta]
                    => (x - m).mul_add(s, b));
            } else {
                each_vector!(tail, out, far: far, [x = x, m = mean, s = scale] => (x - m) * s);
            }
        }
        if far {
            <T::V<S> as Vector>::settle();
        }
    }
}

/// (x - mean)·scale + β for rows of as many elements as there are means.
///
/// # Panics
/// Where there is no feature, or the slices differ in length.
pub fn normalize<T: Scalar + Real>(
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
        let far = is_far::<T::V<S>>(self.out, width);
        let rows = self.grad.chunks_exact(width).zip(self.x.chunks_exact(width));
        for ((grad, x), out) in rows.zip(self.out.chunks_exact_mut(width)) {
            let (grad, x, out) = (grad.as_ptr(), x.as_ptr(), out.as_mut_ptr());
            each_vector!(tail, out, far: far, [g = grad, x = x, m = mean, s = scale, c = shift, t = tilt]
                => s * (x - m).neg_mul_add(t, g - c));
        }
        if far {
            <T::V<S> as Vector>::settle();
        }
    }
}

/// ∂x = γ·r·(∂y - shift - (x - μ)·tilt) for rows of as many elements as there are means.
///
/// # Panics
/// Where there is no feature, or the slices differ in length.
pub fn normalize_backward<T: Scalar + Real>(rows: RowsBackward<'_, T>) {
    let (r, n) = (&rows, rows.mean.len());
    assert!(n > 0 && r.grad.len() == r.out.len() && r.x.len() == r.out.len());
    assert!(r.scale.len() == n && r.shift.len() == n && r.tilt.len() == n);
    dispatch(rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::rows::FAR_BYTES;

    /// A large batch is written past the caches: each row is what it is by itself, up to the last element.
    #[test]
    fn rows_of_a_large_batch_are_those_of_small_ones() {
        let width = 2048;
        let rows = FAR_BYTES / (width * size_of::<f32>()) + 3;
        let noise = |seed: usize, n: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7919 + seed) % 1013) as f32 / 500.0 - 1.0).collect()
        };
        let [x, grad] = [1, 2].map(|seed| noise(seed, rows * width));
        let [mean, scale, beta, shift, tilt] = [3, 4, 5, 6, 7].map(|seed| noise(seed, width));
        let backward = |grad: &[f32], x: &[f32], out: &mut [f32]| {
            let (mean, scale, shift, tilt) = (&mean[..], &scale[..], &shift[..], &tilt[..]);
            normalize_backward(RowsBackward { grad, x, mean, scale, shift, tilt, out });
        };
        // Aligned, and one element off: only the first can be written so.
        let mut room = vec![0.0_f32; rows * width + 32];
        let start = room.as_ptr().align_offset(64);
        for start in [start, start + 1] {
            let out = &mut room[start..][..rows * width];
            normalize(&x, &mean, &scale, Some(&beta), out);
            let mut row = vec![0.0; width];
            for (x, out) in x.chunks(width).zip(out.chunks(width)) {
                normalize(x, &mean, &scale, Some(&beta), &mut row);
                assert!(row == out);
            }
            backward(&grad, &x, out);
            for ((grad, x), out) in grad.chunks(width).zip(x.chunks(width)).zip(out.chunks(width)) {
                backward(grad, x, &mut row);
                assert!(row == out);
            }
        }
    }
}
