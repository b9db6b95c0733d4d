//! What batch normalisation does along the rows, once the features' numbers are known.

use crate::kernels::math::Real;
use crate::kernels::rows::Tail;
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
