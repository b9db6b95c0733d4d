//! The exponential and its relatives.
//!
//! With `k = round(x / ln 2)` and `r = x - k ln 2`, `|r| <= ln(2)/2`:
//!
//! ```text
//! e^x     = 2^k (1 + p)           p = e^r - 1 = r + r² q(r)
//! e^x - 1 = 2^k p + (2^k - 1)
//! tanh x  = t / (t + 2)           t = e^2x - 1
//! 1 / (1 + e^-x) = 1 / (1 + z) for x >= 0, z / (1 + z) for x < 0        z = e^-|x|
//! ```
#![allow(clippy::unreadable_literal, reason = "coefficients are read by the compiler alone")]

use super::{Layout, Real, clamp, polynomial};
use crate::kernels::simd::{Lane, Vector};

/// Where the exponential family ends, and its polynomial.
pub trait Constants: Lane {
    /// Below, `e^x` is zero; above, infinity.
    const EXP_RANGE: (f64, f64);
    /// Below `x`, `e^x - 1` rounds to -1.
    const EXPM1_MIN: f64;
    /// Above, `tanh` rounds to 1.
    const TANH_MAX: f64;
    /// `q`: `(e^r - 1 - r) / r²`.
    const EXP: &'static [f64];
}

impl Constants for f32 {
    const EXP_RANGE: (f64, f64) = (-104.0, 89.0);
    const EXPM1_MIN: f64 = -18.0;
    const TANH_MAX: f64 = 9.5;
    // On |r| <= 0.347, error relative to e^r - 1: 2^-26.1.
    const EXP: &'static [f64] = &[0.49999997, 0.16666539, 0.041667745, 0.008367057, 0.0013839412];
}

impl Constants for f64 {
    const EXP_RANGE: (f64, f64) = (-746.0, 710.0);
    const EXPM1_MIN: f64 = -38.0;
    const TANH_MAX: f64 = 20.0;
    // On |r| <= 0.347, error relative to e^r - 1: 2^-59.7.
    const EXP: &'static [f64] = &[
        0.5,
        0.16666666666666677,
        0.041666666666666505,
        0.008333333333321608,
        0.0013888888888962895,
        0.00019841269886207915,
        2.4801587171854526e-05,
        2.755724410422601e-06,
        2.7557402932241094e-07,
        2.5109081382241237e-08,
        2.0875330540501197e-09,
    ];
}

/// `(k, e^r - 1)` for `x + low = k ln 2 + r`, where `low` is small against `x`.
#[inline(always)]
fn reduce<V: Vector<Elem: Real>>(x: V, low: Option<V>) -> (V, V) {
    let k = (x * V::constant(core::f64::consts::LOG2_E)).round();
    // Rounding LN2_HIGH to a whole lane is enough: the product is not rounded, and the difference is exact.
    let r = k.neg_mul_add(V::constant(V::Elem::LN2_HIGH), x);
    let r = k.neg_mul_add(V::constant(V::Elem::LN2_LOW), r);
    let r = low.map_or(r, |low| r + low);
    let q = polynomial(r, V::Elem::EXP);
    (k, (r * r).mul_add(q, r))
}

/// `2^k` in two factors, each a normal number, so that the product may overflow or be subnormal.
#[inline(always)]
fn power_of_two<V: Vector<Elem: Real>>(k: V) -> (V, V) {
    let k = V::bits_add(k.to_int(), V::bits_splat(2 * V::Elem::BIAS));
    let half = V::bits_shr::<1>(k);
    let factor = |exponent| V::from_bits(V::Elem::to_exponent::<V>(exponent));
    (factor(half), factor(V::bits_sub(k, half)))
}

#[inline(always)]
pub(super) fn exp<V: Vector<Elem: Real>>(x: V) -> V {
    let (low, high) = V::Elem::EXP_RANGE;
    let (k, p) = reduce(clamp(x, low, high), None);
    let (a, b) = power_of_two(k);
    p.mul_add(a, a) * b
}

/// `e^(x + low)` for an exponent known beyond the lane's precision; `low` is ignored where `x` is out of range.
#[inline(always)]
pub(super) fn exp_sum<V: Vector<Elem: Real>>(x: V, low: V) -> V {
    let (min, max) = V::Elem::EXP_RANGE;
    let held = clamp(x, min, max);
    let low = V::select(held.eq(x), low, V::constant(0.0));
    let (k, p) = reduce(held, Some(low));
    let (a, b) = power_of_two(k);
    p.mul_add(a, a) * b
}

#[inline(always)]
pub(super) fn expm1<V: Vector<Elem: Real>>(x: V) -> V {
    let (k, p) = reduce(clamp(x, V::Elem::EXPM1_MIN, V::Elem::EXP_RANGE.1), None);
    let (a, b) = power_of_two(k);
    // 2^k p + (2^k - 1) = b (a p + (a - 1/b)), which overflows only in the last product.
    let two_bias = V::bits_splat(2 * V::Elem::ONE);
    let reciprocal_b = V::from_bits(V::bits_sub(two_bias, b.to_bits()));
    (p.mul_add(a, a - reciprocal_b) * b).copysign(x)
}

#[inline(always)]
pub(super) fn tanh<V: Vector<Elem: Real>>(x: V) -> V {
    let one = V::constant(1.0);
    let two = V::constant(2.0);
    // Beyond TANH_MAX nothing changes; there 2^k is far from overflow, and one factor is enough.
    let (k, p) = reduce(two * V::constant(V::Elem::TANH_MAX).min(x.abs()), None);
    let exponent = V::bits_add(k.to_int(), V::bits_splat(V::Elem::BIAS));
    let power = V::from_bits(V::Elem::to_exponent::<V>(exponent));
    let t = p.mul_add(power, power - one);
    (t / (t + two)).copysign(x)
}

#[inline(always)]
pub(super) fn sigmoid<V: Vector<Elem: Real>>(x: V) -> V {
    let one = V::constant(1.0);
    let z = exp(-x.abs());
    V::select(x.lt(V::constant(0.0)), z, one) / (one + z)
}

#[cfg(test)]
mod tests {
    use crate::kernels::math::table;
    use crate::kernels::math::testing::{self, at, check_edges, max_steps, max_ulps};

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    fn each(f: impl Fn(f64) -> f64) -> impl Fn(&[f64]) -> Vec<f64> {
        move |x| x.iter().map(|&x| f(x)).collect()
    }

    #[test]
    fn f32_is_close_to_the_exact_value() {
        let all = |_| true;
        assert!(max_ulps("exp", testing::exp, each(f64::exp), all) <= 1.25);
        assert!(max_ulps("expm1", testing::expm1, each(f64::exp_m1), all) <= 2.0);
        assert!(max_ulps("tanh", testing::tanh, each(f64::tanh), all) <= 3.0);
        let sigmoid = each(|x| 1.0 / (1.0 + (-x).exp()));
        assert!(max_ulps("sigmoid", testing::sigmoid, sigmoid, all) <= 3.0);
    }

    #[test]
    fn f64_is_close_to_the_exact_value() {
        assert!(max_steps("exp", testing::exp, table::EXP) <= 1);
        assert!(max_steps("expm1", testing::expm1, table::EXPM1) <= 1);
        assert!(max_steps("tanh", testing::tanh, table::TANH) <= 1);
        assert!(max_steps("sigmoid", testing::sigmoid, table::SIGMOID) <= 1);
    }

    #[test]
    fn edges_are_exact() {
        check_edges(
            testing::exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (INF, INF),
                (-INF, 0.0),
                (1e30, INF),
                (-1e30, 0.0),
                (NAN, NAN),
            ],
        );
        check_edges(
            testing::expm1,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (INF, INF),
                (-INF, -1.0),
                (1e30, INF),
                (-1e30, -1.0),
                (NAN, NAN),
            ],
        );
        check_edges(
            testing::tanh,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (INF, 1.0),
                (-INF, -1.0),
                (1e30, 1.0),
                (-1e30, -1.0),
                (NAN, NAN),
            ],
        );
        check_edges(
            testing::sigmoid,
            &[
                (0.0, 0.5),
                (-0.0, 0.5),
                (INF, 1.0),
                (-INF, 0.0),
                (1e30, 1.0),
                (-1e30, 0.0),
                (NAN, NAN),
            ],
        );
    }

    #[test]
    fn exp_overflows_and_underflows_where_the_type_does() {
        assert_eq!(at(testing::exp, 88.722_84_f32), f32::INFINITY);
        assert!(at(testing::exp, 88.722_83_f32) < f32::INFINITY);
        assert_eq!(at(testing::exp, -103.98_f32), 0.0);
        assert_eq!(at(testing::exp, -103.97_f32), f32::from_bits(1));
        assert_eq!(at(testing::exp, 709.79_f64), f64::INFINITY);
        assert_eq!(at(testing::exp, -745.14_f64), 0.0);
        assert_eq!(at(testing::exp, -745.13_f64), f64::from_bits(1));
    }

    #[test]
    fn odd_functions_pass_subnormals_through() {
        for bits in [1, 2, 3, 0x7f_ffff, 0x80_0001] {
            let x = f32::from_bits(bits);
            assert_eq!(at(testing::tanh, -x), -x);
            assert_eq!(at(testing::expm1, -x), -x);
        }
    }
}
