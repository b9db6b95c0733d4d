//! Loss kernels for rows of pairs: sums of a function of two numbers.

use super::map::Lanewise;
use super::math::Real;
use super::rows::{Sum, Tail, narrow, widen};
use super::simd::{Kernel, Scalar, Simd, Vector, dispatch};

struct SumPairs<'a, F, T> {
    function: F,
    x: &'a [T],
    y: &'a [T],
    width: usize,
    weight: Option<&'a [T]>,
    out: &'a mut [T],
}

impl<F: Lanewise<2>, T: Scalar + Real> Kernel for SumPairs<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        let pairs = self.x.chunks_exact(self.width).zip(self.y.chunks_exact(self.width));
        for (row, ((x, y), out)) in pairs.zip(self.out).enumerate() {
            let mut sum = Sum::<T::V<S>>::new();
            let mut at = 0;
            while at < tail.whole {
                // SAFETY: a whole vector stands at `at` of both rows.
                let pair = unsafe {
                    [T::V::<S>::load(x.as_ptr().add(at)), T::V::<S>::load(y.as_ptr().add(at))]
                };
                sum.add(self.function.apply(pair));
                at += <T::V<S> as Vector>::LANES;
            }
            if tail.left > 0 {
                let zero = T::V::<S>::constant(0.0);
                // SAFETY: both rows have `width` elements.
                let pair = unsafe { [tail.load(x.as_ptr(), zero), tail.load(y.as_ptr(), zero)] };
                sum.add(tail.or_zero(self.function.apply(pair)));
            }
            let weight = self.weight.map_or(1.0, |weight| widen(weight[row]));
            *out = narrow(weight * sum.total());
        }
    }
}

/// `weight · Σ function(x, y)` over each row of `width` pairs.
///
/// # Panics
/// Where the slices do not have `width` elements, or one, for each row, or `width` is zero.
pub fn sum_pairs_rows<F: Lanewise<2>, T: Scalar + Real>(
    function: F,
    x: &[T],
    y: &[T],
    width: usize,
    weight: Option<&[T]>,
    out: &mut [T],
) {
    assert!(width > 0 && x.len() == y.len() && x.len() == out.len() * width);
    assert!(weight.is_none_or(|weight| weight.len() == out.len()));
    dispatch(SumPairs { function, x, y, width, weight, out });
}
