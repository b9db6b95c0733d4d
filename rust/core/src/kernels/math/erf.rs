//! The error function and the normal distribution.
//!
//! Both rest on the scaled tail `M(t) = e^(t²/2) Φ(-t)`, `t >= 0`, which falls slowly from 1/2 like
//! `1 / (t sqrt(2π))` and so has a small relative error wherever it is evaluated. With `u = (t - c) / (t + c)`:
//!
//! ```text
//! M(t)   = P(u) / (t + c)
//! Φ(x)   = e^(-x²/2) M(-x) for x <= 0,   1 - Φ(-x) for x > 0
//! erf(x) = x + x E(x²) for |x| < 1,      1 - 2 e^(-x²) M(x sqrt(2)) for x >= 1
//! ```
#![allow(clippy::unreadable_literal, reason = "coefficients are read by the compiler alone")]

use super::exp::{exp, exp_sum};
use super::ln::ln;
use super::{Real, polynomial};
use crate::kernels::simd::{Lane, Vector};

/// The polynomials of a lane type.
pub trait Constants: Lane {
    /// `erf(x) / x - 1` in `x²`, `|x| <= 1`.
    const ERF: &'static [f64];
    /// `(t + c) M(t)` in `u`, `0 <= t <= TAIL_MAX`.
    const TAIL: &'static [f64];
    /// The `c` of `u`.
    const TAIL_CENTRE: f64;
    /// Beyond, `Φ(-t)` is zero.
    const TAIL_MAX: f64;
    /// `x / v` in `-ln(1 - v²)`, where `v = erf(x / sqrt(2))`, `|x| <= 2`.
    const QUANTILE: &'static [f64];
}

impl Constants for f32 {
    // Error relative to erf: 2^-29.1.
    const ERF: &'static [f64] = &[
        0.12837917,
        -0.37612626,
        0.11283579,
        -0.026853347,
        0.0051871645,
        -0.0007997887,
        7.807059e-05,
    ];
    // For t <= 14.5, relative error: 2^-26.2.
    const TAIL: &'static [f64] = &[
        0.7410803,
        -0.5529922,
        0.29537597,
        -0.098384485,
        0.008718703,
        0.007825174,
        -0.0022495347,
        -0.0008492518,
        0.0003075833,
        0.00013377638,
    ];
    const TAIL_CENTRE: f64 = 3.375;
    const TAIL_MAX: f64 = 14.5;
    // Relative error: 2^-25.4.
    const QUANTILE: &'static [f64] = &[
        1.2533141,
        0.3281177,
        0.016325627,
        -0.0032790424,
        -0.00021412686,
        9.0176494e-05,
        -6.2946733e-06,
    ];
}

impl Constants for f64 {
    // Error relative to erf: 2^-56.2.
    const ERF: &'static [f64] = &[
        0.1283791670955126,
        -0.3761263890318375,
        0.11283791670954857,
        -0.026866170645072893,
        0.005223977624780859,
        -0.0008548326978741749,
        0.00012055331036882581,
        -1.4925593506474248e-05,
        1.6460972810315018e-06,
        -1.6350025151792596e-07,
        1.4657879371241452e-08,
        -1.1365664674651134e-09,
        5.945258796630805e-11,
    ];
    // For t <= 39, relative error: 2^-53.5, most of it the first coefficient's rounding.
    const TAIL: &'static [f64] = &[
        0.769193049750063,
        -0.6653825028900556,
        0.4953056159699705,
        -0.3135331566714165,
        0.16502036617072777,
        -0.06911863870284257,
        0.020795066792598,
        -0.0029933768204460417,
        -0.0007978693237954497,
        0.0005448994670143458,
        -5.937614450836222e-05,
        -4.976479872748962e-05,
        1.668252009781608e-05,
        3.98715215106091e-06,
        -2.7714007395120595e-06,
        -3.4925419867869665e-07,
        4.3408909760330657e-07,
        5.8172977299655385e-08,
        -6.360584235975447e-08,
        -2.0640194418079595e-08,
        3.9243409603874525e-09,
        5.244795267463988e-09,
        1.5170467384415078e-09,
    ];
    const TAIL_CENTRE: f64 = 5.0;
    const TAIL_MAX: f64 = 39.0;
    // Relative error: 2^-53.6, most of it the first coefficient's rounding.
    const QUANTILE: &'static [f64] = &[
        1.2533141373155003,
        0.32811687386919713,
        0.01633323614772559,
        -0.0033023324212449693,
        -0.00018108048799229332,
        6.59181945647782e-05,
        2.8576801563217397e-06,
        -1.4339519473612755e-06,
        -4.989886656321706e-08,
        2.9276193474742835e-08,
        3.3184220659039614e-09,
        -1.993013272724579e-09,
        4.78797768824853e-10,
        -1.237753735918643e-10,
        2.7029907715854882e-11,
        -3.4910885999599167e-12,
        1.9428958251601915e-13,
    ];
}

/// `M(t)` for `0 <= t <= TAIL_MAX`.
#[inline(always)]
fn scaled_tail<V: Vector<Elem: Real>>(t: V) -> V {
    let c = V::constant(V::Elem::TAIL_CENTRE);
    let w = V::constant(1.0) / (t + c);
    // u = 2 t w - 1: an error of w here and one in the last factor have opposite effects.
    let u = (t + t).mul_add(w, V::constant(-1.0));
    polynomial(u, V::Elem::TAIL) * w
}

#[inline(always)]
pub(super) fn normal_cdf<V: Vector<Elem: Real>>(x: V) -> V {
    let minus_half = V::constant(-0.5);
    let t = V::constant(V::Elem::TAIL_MAX).min(x.abs());
    // The square in two parts: its rounding error would be t²/2 times too large in the result.
    let square = t * t;
    let rest = t.mul_add(t, -square);
    let tail = exp_sum(minus_half * square, minus_half * rest) * scaled_tail(t);
    V::select(V::constant(0.0).lt(x), V::constant(1.0) - tail, tail)
}

#[inline(always)]
pub(super) fn erf<V: Vector<Elem: Real>>(x: V) -> V {
    let one = V::constant(1.0);
    let size = x.abs();
    let square = x * x;
    let near = size.mul_add(polynomial(square, V::Elem::ERF), size);
    // Here the rounding of the square does no harm: the tail is small against 1.
    let t = V::constant(V::Elem::TAIL_MAX).min(size * V::constant(core::f64::consts::SQRT_2));
    let tail = exp(-square) * scaled_tail(t);
    let far = tail.mul_add(V::constant(-2.0), one);
    V::select(size.lt(one), near, far).copysign(x)
}

#[inline(always)]
pub(super) fn normal_quantile_central<V: Vector<Elem: Real>>(v: V) -> V {
    let w = -ln(v.neg_mul_add(v, V::constant(1.0)));
    v * polynomial(w, V::Elem::QUANTILE)
}

#[cfg(test)]
mod tests {
    use crate::kernels::math::table;
    use crate::kernels::math::testing::{self, at, check_edges, map, max_steps, max_ulps};

    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;

    #[test]
    fn f64_is_close_to_the_exact_value() {
        assert!(max_steps("erf", testing::erf, table::ERF) <= 1);
        assert!(max_steps("normal_cdf", testing::normal_cdf, table::NORMAL_CDF) <= 2);
        let quantile = testing::normal_quantile_central;
        assert!(max_steps("quantile", quantile, table::NORMAL_QUANTILE_CENTRAL) <= 2);
    }

    /// The reference is the f64 version: the standard library has none, and the test above holds it to the
    /// exact values.
    #[test]
    fn f32_is_close_to_the_exact_value() {
        assert!(max_ulps("erf", testing::erf, |x| map(testing::erf, x), |_| true) <= 1.5);
        let exact = |x: &[f64]| map(testing::normal_cdf, x);
        assert!(max_ulps("normal_cdf", testing::normal_cdf, exact, |_| true) <= 4.1);
        let quantile = testing::normal_quantile_central;
        let exact = |x: &[f64]| map(quantile, x);
        assert!(max_ulps("quantile", quantile, exact, |v| v.abs() <= 0.9545) <= 2.5);
    }

    #[test]
    fn edges_are_exact() {
        check_edges(
            testing::erf,
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
            testing::normal_cdf,
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
        check_edges(testing::normal_quantile_central, &[(0.0, 0.0), (-0.0, -0.0), (NAN, NAN)]);
    }

    #[test]
    fn two_standard_deviations_bound_the_quantile() {
        let v = 0.954_499_736_103_641_6_f64;
        assert!((at(testing::normal_quantile_central, v) - 2.0).abs() < 1e-14);
        assert!((at(testing::normal_quantile_central, v as f32) - 2.0).abs() < 2e-6);
    }
}
