//! Sine and cosine.
//!
//! With `k = round(x 2/π)` and `r = x - k π/2`, `|r| <= π/4`, the quadrant `k mod 4` says which:
//!
//! ```text
//! sin r = r + r³ S(r²)        cos r = 1 - r²/2 + r⁴ C(r²)
//! ```
#![allow(clippy::unreadable_literal, reason = "coefficients are read by the compiler alone")]

use super::{Real, polynomial};
use crate::kernels::simd::{Lane, Vector};

/// What the reduction and the two polynomials need to know of a lane type.
pub trait Constants: Lane {
    /// `π/2` as a sum of three lanes, the largest first.
    const HALF_PI: [f64; 3];
    /// The largest argument whose reduction is still accurate.
    const ANGLE_MAX: f64;
    /// `(sin r - r) / r³` in `r²`.
    const SIN: &'static [f64];
    /// `(cos r - 1 + r²/2) / r⁴` in `r²`.
    const COS: &'static [f64];
}

impl Constants for f32 {
    const HALF_PI: [f64; 3] = [1.5707963705062866, -4.371138828673793e-8, -1.7151245100058819e-15];
    const ANGLE_MAX: f64 = 1048576.0;
    // On |r| <= 0.7855, relative error: 2^-27.9.
    const SIN: &'static [f64] = &[-0.16666655, 0.008332189, -0.00019518285];
    // The same: 2^-33.
    const COS: &'static [f64] = &[0.041666646, -0.001388731, 2.4432327e-05];
}

impl Constants for f64 {
    const HALF_PI: [f64; 3] =
        [core::f64::consts::FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];
    const ANGLE_MAX: f64 = 1073741824.0;
    // On |r| <= 0.7855, relative error: 2^-57.9.
    const SIN: &'static [f64] = &[
        -0.1666666666666663,
        0.00833333333332184,
        -0.00019841269829358528,
        2.755731353851396e-06,
        -2.505073438912787e-08,
        1.5895433274828252e-10,
    ];
    // The same: 2^-63.9.
    const COS: &'static [f64] = &[
        0.041666666666666595,
        -0.0013888888888873338,
        2.480158728899748e-05,
        -2.755731421529868e-07,
        2.0875705114827507e-09,
        -1.1358732760360504e-11,
    ];
}

/// `x >= 0` less the nearest of the multiples of π/2.
struct Reduced<V> {
    x: V,
    /// Which multiple.
    k: V,
    /// Sine and cosine of what is left.
    sine: V,
    cosine: V,
}

#[inline(always)]
fn reduced<V: Vector<Elem: Real>>(x: V) -> Reduced<V> {
    let (half, one) = (V::constant(0.5), V::constant(1.0));
    let k = (x * V::constant(core::f64::consts::FRAC_2_PI)).round();
    // One rounding in each step; the first is exact by cancellation.
    let r = V::Elem::HALF_PI.into_iter().fold(x, |r, part| k.neg_mul_add(V::constant(part), r));
    let square = r * r;
    let sine = (square * r).mul_add(polynomial(square, V::Elem::SIN), r);
    let fourth = square * square;
    let cosine = half.neg_mul_add(square, one);
    let lost = half.neg_mul_add(square, one - cosine);
    let cosine = cosine + fourth.mul_add(polynomial(square, V::Elem::COS), lost);
    Reduced { x, k, sine, cosine }
}

/// `sin(x + shift π/2)`.
#[inline(always)]
fn shifted_sine<V: Vector<Elem: Real>>(of: &Reduced<V>, shift: f64) -> V {
    let &Reduced { x, k, sine, cosine } = of;
    let (half, two) = (V::constant(0.5), V::constant(2.0));
    let quadrant = k + V::constant(shift);
    let turn = (half * quadrant).floor();
    let even = (turn * two).eq(quadrant);
    let negative = V::mask_not((half * turn).floor().eq(half * turn));
    let value = V::select(even, sine, cosine);
    let value = V::select(negative, -value, value);
    let in_range = x.le(V::constant(V::Elem::ANGLE_MAX));
    V::select(in_range, value, V::constant(f64::NAN))
}

#[inline(always)]
pub(super) fn sin<V: Vector<Elem: Real>>(x: V) -> V {
    let sign = V::constant(1.0).copysign(x);
    shifted_sine(&reduced(x.abs()), 0.0) * sign
}

#[inline(always)]
pub(super) fn cos<V: Vector<Elem: Real>>(x: V) -> V {
    shifted_sine(&reduced(x.abs()), 1.0)
}

#[inline(always)]
pub(super) fn sin_cos<V: Vector<Elem: Real>>(x: V) -> (V, V) {
    let (sign, reduced) = (V::constant(1.0).copysign(x), reduced(x.abs()));
    (shifted_sine(&reduced, 0.0) * sign, shifted_sine(&reduced, 1.0))
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
        let moderate = |x: f32| x.abs() <= 1_048_576.0;
        assert!(max_ulps("sin", testing::sin, each(f64::sin), moderate) <= 2.0);
        assert!(max_ulps("cos", testing::cos, each(f64::cos), moderate) <= 2.0);
    }

    #[test]
    fn f64_is_close_to_the_exact_value() {
        assert!(max_steps("sin", testing::sin, table::SIN) <= 1);
        assert!(max_steps("cos", testing::cos, table::COS) <= 1);
    }

    #[test]
    fn edges_are_exact() {
        let sin = testing::sin;
        check_edges(sin, &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (NAN, NAN)]);
        check_edges(testing::cos, &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN), (NAN, NAN)]);
    }

    #[test]
    fn arguments_out_of_range_give_no_number() {
        assert!(at(testing::sin, 1.1e6_f32).is_nan());
        assert!(at(testing::cos, -1.1e6_f32).is_nan());
        assert!(at(testing::cos, 1.1e9_f64).is_nan());
    }
}
