//! Logarithms.
//!
//! With `x = 2^e m`, `sqrt(1/2) <= m < sqrt(2)` and `f = m - 1`:
//!
//! ```text
//! ln x       = e ln 2 + f + t(f)          t(f) = ln(1 + f) - f
//! ln(1 + x)  the same, with f = x 2^-e + (2^-e - 1), rounded once (exact for e = 0)
//! ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
//! ```
//!
//! `t` is a polynomial in `f` for f32; for f64, with `s = f / (2 + f)`, it comes from
//! `ln(1 + f) = 2 atanh s = f - f²/2 + s (f²/2 + z R(z))`, `z = s²`, `R(z) = (2 atanh s - 2 s) / s³`.
#![allow(clippy::unreadable_literal, reason = "coefficients are read by the compiler alone")]

use super::exp::exp;
use super::{Layout, Real, polynomial};
use crate::kernels::simd::{Lane, Vector};

/// What the logarithm needs to know of a lane type.
pub trait Constants: Lane {
    /// `(2 atanh s - 2 s) / s³` as a polynomial in `s²`.
    const ATANH: &'static [f64];
    /// `ln(1 + f) - f` for `sqrt(1/2) - 1 <= f <= sqrt(2) - 1`.
    fn log1p_tail<V: Vector<Elem = Self>>(f: V) -> V;
}

impl Constants for f32 {
    // On s² <= 0.02945, error relative to atanh: 2^-35.2.
    const ATANH: &'static [f64] = &[0.6666666, 0.40000972, 0.28498793, 0.24278814];

    #[inline(always)]
    fn log1p_tail<V: Vector<Elem = Self>>(f: V) -> V {
        // (ln(1 + f) - f + f²/2) / f³ on -0.2929 <= f <= 0.4143, error relative to ln(1 + f): 2^-29.2.
        const C: &[f64] = &[
            0.33333313,
            -0.25000167,
            0.20002222,
            -0.16659373,
            0.14209639,
            -0.12549545,
            0.12107872,
            -0.109173246,
            0.05343122,
        ];
        f * f * polynomial(f, C).mul_add(f, V::constant(-0.5))
    }
}

impl Constants for f64 {
    // On s² <= 0.02945, error relative to atanh: 2^-66.6.
    const ATANH: &'static [f64] = &[
        0.6666666666666666,
        0.40000000000004926,
        0.28571428569409774,
        0.22222222607239475,
        0.18181778329858286,
        0.1538699008385357,
        0.1325211850182672,
        0.1323505717650499,
    ];

    #[inline(always)]
    fn log1p_tail<V: Vector<Elem = Self>>(f: V) -> V {
        let s = f / (f + V::constant(2.0));
        let z = s * s;
        let half_square = V::constant(0.5) * f * f;
        s.mul_add(z.mul_add(polynomial(z, Self::ATANH), half_square), -half_square)
    }
}

/// `x = 2^e m` for normal `x > 0`: the biased exponent as an integer, and `m` in `[sqrt(1/2), sqrt(2))`.
#[inline(always)]
fn split_normal<V: Vector<Elem: Real>>(x: V) -> (V::Bits, V) {
    // With the patterns' distance from sqrt(1/2) to 1 added, the exponent steps at sqrt(1/2) 2^e.
    let shifted = V::bits_add(x.to_bits(), V::bits_splat(V::Elem::ONE - V::Elem::SQRT_HALF));
    let mantissa = V::bits_and(shifted, V::bits_splat(V::Elem::MANTISSA_MASK));
    let m = V::from_bits(V::bits_add(mantissa, V::bits_splat(V::Elem::SQRT_HALF)));
    (V::Elem::from_exponent::<V>(shifted), m)
}

/// `x = 2^e (1 + f)` for finite `x > 0`, subnormal ones too; other arguments give numbers that mean nothing.
#[inline(always)]
pub(super) fn split<V: Vector<Elem: Real>>(x: V) -> (V, V) {
    let (scale, shift) = V::Elem::SUBNORMAL_SCALE;
    let small = x.lt(V::constant(V::Elem::MIN_NORMAL));
    let x = V::select(small, x * V::constant(scale), x);
    let shift = V::select(small, V::constant(shift), V::constant(0.0));
    let (exponent, m) = split_normal(x);
    let e = V::from_int(V::bits_sub(exponent, V::bits_splat(V::Elem::BIAS)));
    (e - shift, m - V::constant(1.0))
}

/// `e ln 2 + ln(1 + f)`.
#[inline(always)]
fn combine<V: Vector<Elem: Real>>(e: V, f: V) -> V {
    let tail = V::Elem::log1p_tail(f);
    let low = f + e.mul_add(V::constant(V::Elem::LN2_LOW), tail);
    e.mul_add(V::constant(V::Elem::LN2_HIGH), low)
}

/// The result for `x > zero` finite, and the logarithm's special values elsewhere: minus infinity at `zero`, NaN
/// below it, `x` itself where it is infinite or NaN.
#[inline(always)]
fn with_edges<V: Vector>(x: V, zero: f64, result: V) -> V {
    let zero = V::constant(zero);
    let result = V::select(x.lt(V::constant(f64::INFINITY)), result, x);
    let result = V::select(x.eq(zero), V::constant(f64::NEG_INFINITY), result);
    V::select(x.lt(zero), V::constant(f64::NAN), result)
}

#[inline(always)]
pub(super) fn ln<V: Vector<Elem: Real>>(x: V) -> V {
    let (e, f) = split(x);
    with_edges(x, 0.0, combine(e, f))
}

/// `ln(1 + x)` for finite `x > -1`.
#[inline(always)]
fn log1p_finite<V: Vector<Elem: Real>>(x: V) -> V {
    let (exponent, _) = split_normal(x + V::constant(1.0));
    let e = V::from_int(V::bits_sub(exponent, V::bits_splat(V::Elem::BIAS)));
    // 2^-e may be subnormal, so its bits are built for 2^(2-e).
    let opposite = V::bits_sub(V::bits_splat(2 * V::Elem::BIAS + 2), exponent);
    let power = V::from_bits(V::Elem::to_exponent::<V>(opposite)) * V::constant(0.25);
    combine(e, x.mul_add(power, power - V::constant(1.0)))
}

#[inline(always)]
pub(super) fn log1p<V: Vector<Elem: Real>>(x: V) -> V {
    with_edges(x, -1.0, log1p_finite(x).copysign(x))
}

#[inline(always)]
pub(super) fn softplus<V: Vector<Elem: Real>>(x: V) -> V {
    let tail = log1p_finite(exp(-x.abs()));
    V::constant(0.0).max(x) + tail
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
        assert!(max_ulps("ln", testing::ln, each(f64::ln), all) <= 1.0);
        assert!(max_ulps("log1p", testing::log1p, each(f64::ln_1p), all) <= 2.0);
        let softplus = each(|x| if x > 40.0 { x } else { x.exp().ln_1p() });
        assert!(max_ulps("softplus", testing::softplus, softplus, all) <= 2.0);
    }

    #[test]
    fn f64_is_close_to_the_exact_value() {
        assert!(max_steps("ln", testing::ln, table::LN) <= 1);
        assert!(max_steps("log1p", testing::log1p, table::LOG1P) <= 1);
        assert!(max_steps("softplus", testing::softplus, table::SOFTPLUS) <= 1);
    }

    #[test]
    fn edges_are_exact() {
        check_edges(
            testing::ln,
            &[
                (1.0, 0.0),
                (0.0, -INF),
                (-0.0, -INF),
                (INF, INF),
                (-INF, NAN),
                (-1.0, NAN),
                (NAN, NAN),
            ],
        );
        check_edges(
            testing::log1p,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (-1.0, -INF),
                (INF, INF),
                (-INF, NAN),
                (-1.5, NAN),
                (NAN, NAN),
            ],
        );
        check_edges(testing::softplus, &[(INF, INF), (-INF, 0.0), (-1e30, 0.0), (NAN, NAN)]);
        assert_eq!(at(testing::softplus, 1e30_f32), 1e30);
    }

    #[test]
    fn log1p_passes_subnormals_through() {
        for bits in [1, 2, 3, 0x7f_ffff, 0x80_0001] {
            let x = f32::from_bits(bits);
            assert_eq!(at(testing::log1p, -x), -x);
        }
    }
}
