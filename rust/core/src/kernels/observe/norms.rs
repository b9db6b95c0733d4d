//! √Σ x², which neither overflows nor vanishes, and is NaN or infinite where an element is.

use super::{SMALL, widen};
use crate::kernels::simd::{Kernel, Scalar, Simd, Vector, dispatch};

/// Elements that are widened at a time.
const CHUNK: usize = 128;
/// Sums that do not wait for each other, the same for every instruction set.
const SUMS: usize = 16;

/// Numbers, or their distances from others.
pub(super) struct Norm<'a, T, const FROM: bool> {
    pub(super) x: &'a [T],
    pub(super) from: &'a [T],
}

impl<T: Scalar + Into<f64>, const FROM: bool> Norm<'_, T, FROM> {
    #[inline(always)]
    fn squares<V: Vector<Elem = f64>>(&self, scale: f64) -> f64 {
        let scale = V::splat(scale);
        let mut sums = [V::constant(0.0); SUMS];
        let vectors = SUMS / V::LANES;
        let (mut x, mut from) = ([0.0; CHUNK], [0.0; CHUNK]);
        let mut first = 0;
        while first < self.x.len() {
            let stop = (first + CHUNK).min(self.x.len());
            let all = (stop - first).next_multiple_of(SUMS);
            x[stop - first..all].fill(0.0);
            from[stop - first..all].fill(0.0);
            widen(&self.x[first..stop], &mut x);
            if FROM {
                widen(&self.from[first..stop], &mut from);
            }
            for at in (0..all).step_by(SUMS) {
                for (place, sum) in sums.iter_mut().enumerate().take(vectors) {
                    let at = at + place * V::LANES;
                    let take = |x: &[f64]| {
                        // SAFETY: there is a vector.
                        unsafe { V::load(x[at..at + V::LANES].as_ptr()) }
                    };
                    let x = if FROM { take(&x) - take(&from) } else { take(&x) };
                    let x = x * scale;
                    *sum = x.mul_add(x, *sum);
                }
            }
            first = stop;
        }
        fold(&mut sums[..vectors])
    }
}

/// The sum of all lanes, in an order that does not depend on the vector's width: of as many vectors as make a power of two.
#[inline(always)]
pub(super) fn fold<V: Vector>(sums: &mut [V]) -> V::Elem {
    let mut half = sums.len() / 2;
    while half > 0 {
        for place in 0..half {
            sums[place] = sums[place] + sums[place + half];
        }
        half /= 2;
    }
    sums[0].reduce_add()
}

impl<T: Scalar + Into<f64>, const FROM: bool> Kernel for Norm<'_, T, FROM> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self) -> f64 {
        // In a loop, for what is called at one place is inlined there.
        let mut scale = 1.0;
        loop {
            let sum = self.squares::<S::F64>(scale);
            match other_scale(sum, scale) {
                Some(other) => scale = other,
                None => return sum.sqrt() / scale,
            }
        }
    }
}

/// By what numbers have to be multiplied before a sum of their squares, where it has been found too small or too large; none
/// where it has not, or where they have been multiplied already.
#[inline(always)]
fn other_scale(sum: f64, scale: f64) -> Option<f64> {
    /// 2⁶⁰⁰.
    const LARGE: f64 = f64::from_bits((1023 + 600) << 52);
    if scale != 1.0 {
        None
    } else if sum < SMALL {
        Some(LARGE)
    } else {
        (sum == f64::INFINITY).then_some(1.0 / LARGE)
    }
}

/// √Σ x².
pub fn norm<T: Scalar + Into<f64>>(x: &[T]) -> f64 {
    dispatch(Norm::<T, false> { x, from: x })
}

/// √Σ x² of a few numbers, such as the norms of parts.
pub fn norm_of(numbers: &(impl Iterator<Item = f64> + Clone)) -> f64 {
    let mut scale = 1.0;
    loop {
        let sum: f64 = numbers.clone().map(|x| x * scale).map(|x| x * x).sum();
        match other_scale(sum, scale) {
            Some(other) => scale = other,
            None => return sum.sqrt() / scale,
        }
    }
}
