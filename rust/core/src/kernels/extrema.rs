//! The largest or smallest element of each row, its position, and its share of the gradient. NaN wins over all.

use super::math::Real;
use super::rows::{Tail, row_extreme};
use super::simd::{Kernel, Scalar, Simd, dispatch};

struct Extremes<'a, T, const LARGEST: bool> {
    x: &'a [T],
    width: usize,
    out: &'a mut [T],
}

impl<T: Scalar + Real, const LARGEST: bool> Kernel for Extremes<'_, T, LARGEST> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self) {
        let tail = Tail::<T::V<S>>::new(self.width);
        for (x, out) in self.x.chunks_exact(self.width).zip(self.out) {
            // SAFETY: the row has `width` elements.
            *out = unsafe { row_extreme::<T::V<S>, LARGEST>(x.as_ptr(), &tail) };
        }
    }
}

/// The largest element of each row of `width` elements, or the smallest.
///
/// # Panics
/// Where `out` does not have one element for each row, or `width` is zero.
pub fn extreme_rows<T: Scalar + Real>(largest: bool, x: &[T], width: usize, out: &mut [T]) {
    assert!(width > 0 && x.len() == out.len() * width);
    if largest {
        dispatch(Extremes::<T, true> { x, width, out });
    } else {
        dispatch(Extremes::<T, false> { x, width, out });
    }
}

/// True where an element is the extreme value of its row.
fn matches<T: Scalar>(x: T, extreme: T) -> bool {
    x == extreme || (x.is_nan() && extreme.is_nan())
}

/// The position of the first element of each row that is its largest.
///
/// # Panics
/// Where `out` and `largest` do not have one element for each row, or `width` is zero.
pub fn first_of_largest<T: Scalar>(x: &[T], largest: &[T], width: usize, out: &mut [i64]) {
    assert!(width > 0 && x.len() == out.len() * width && largest.len() == out.len());
    for ((x, &largest), out) in x.chunks_exact(width).zip(largest).zip(out) {
        *out = x.iter().position(|&x| matches(x, largest)).map_or(0, |i| i as i64);
    }
}

/// The gradient of each row shared equally by the elements that are its extreme value; zero for the others.
///
/// # Panics
/// Where the slices do not have the sizes of `out`, or `width` is zero.
pub fn share_gradient<T: Scalar>(x: &[T], extreme: &[T], grad: &[T], width: usize, out: &mut [T]) {
    assert!(width > 0 && x.len() == out.len());
    assert!(extreme.len() == grad.len() && x.len() == grad.len() * width);
    let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
    for ((x, out), (&extreme, &grad)) in rows.zip(extreme.iter().zip(grad)) {
        let count = x.iter().filter(|&&x| matches(x, extreme)).count();
        let share = grad / T::from(count).unwrap_or_else(T::one);
        for (out, &x) in out.iter_mut().zip(x) {
            *out = if matches(x, extreme) { share } else { T::zero() };
        }
    }
}
