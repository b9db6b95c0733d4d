//! Powers: `x^y = e^(y ln x)`, where `ln x` and its product with `y` carry about twice the lane's precision,
//! because an error in the exponent becomes a relative error of the result as large as the exponent times it.
#![allow(clippy::unreadable_literal, reason = "coefficients are read by the compiler alone")]

use super::exp::exp_sum;
use super::{Real, ln, polynomial};
use crate::kernels::simd::{Lane, Vector};

/// `ln 2` again, its first part so short that its product with any exponent is exact.
pub trait Constants: Lane {
    /// The leading bits of `ln 2` (15 for f32, 42 for f64).
    const LN2_SHORT: f64;
    /// `ln 2 - LN2_SHORT`.
    const LN2_REST: f64;
}

impl Constants for f32 {
    const LN2_SHORT: f64 = 0.693145751953125;
    const LN2_REST: f64 = 1.4286068203094173e-6;
}

impl Constants for f64 {
    const LN2_SHORT: f64 = 0.6931471805598903;
    const LN2_REST: f64 = 5.497923018708371e-14;
}

/// `a + b` and what the sum lost, for `|a| >= |b|` or `a = 0`.
#[inline(always)]
fn fast_sum<V: Vector>(a: V, b: V) -> (V, V) {
    let sum = a + b;
    (sum, (a - sum) + b)
}

/// `a b` and what the product lost.
#[inline(always)]
fn product<V: Vector>(a: V, b: V) -> (V, V) {
    let p = a * b;
    (p, a.mul_add(b, -p))
}

/// `ln x` in two parts, for finite `x > 0`:
///
/// ```text
/// ln x = e ln 2 + 2 s + s³ R(s²),   s = f / (2 + f)
/// ```
#[inline(always)]
fn ln_in_two<V: Vector<Elem: Real>>(x: V) -> (V, V) {
    let two = V::constant(2.0);
    let (e, f) = ln::split(x);
    let (d, d_low) = fast_sum(two, f);
    let inverse = V::constant(1.0) / d;
    let s = f * inverse;
    let s_low = s.neg_mul_add(d_low, s.neg_mul_add(d, f)) * inverse;
    let (z, z_low) = product(s, s);
    let z_low = (two * s).mul_add(s_low, z_low);
    // R = c0 + z (c1 + c2 z + ...): only the sum with c0 has to be exact.
    let c = <V::Elem as ln::Constants>::ATANH;
    let (r, r_low) = fast_sum(V::constant(c[0]), z * polynomial(z, &c[1..]));
    let (zr, zr_low) = product(z, r);
    let zr_low = z.mul_add(r_low, z_low.mul_add(r, zr_low));
    let (w, w_low) = product(s, zr);
    let w_low = s.mul_add(zr_low, s_low.mul_add(zr, w_low));

    let (m, m_low) = fast_sum(two * s, w);
    let m_low = m_low + two.mul_add(s_low, w_low);
    let (sum, sum_low) = fast_sum(e * V::constant(V::Elem::LN2_SHORT), m);
    let low = e.mul_add(V::constant(V::Elem::LN2_REST), sum_low + m_low);
    fast_sum(sum, low)
}

#[inline(always)]
pub(super) fn powf<V: Vector<Elem: Real>>(x: V, y: V) -> V {
    let (zero, one) = (V::constant(0.0), V::constant(1.0));
    let infinity = V::constant(f64::INFINITY);
    let size = x.abs();

    let (high, low) = ln_in_two(size);
    let (p, p_low) = product(y, high);
    let exponent_low = y.mul_add(low, p_low);
    // |x| = 0, infinity and NaN, where the logarithm above means nothing.
    let p = V::select(size.lt(infinity), p, y * size);
    let p = V::select(size.eq(zero), y * -infinity, p);
    let power = exp_sum(p, exponent_low);

    // The sign is that of x where y is an odd integer; a negative x to a fraction has no value.
    let half = V::constant(0.5) * y;
    let whole = y.floor().eq(y);
    let odd = V::mask_and(whole, V::mask_not(half.floor().eq(half)));
    let signed = power.copysign(V::select(odd, x, one));
    let no_value =
        V::mask_and(V::mask_not(whole), V::mask_and(x.lt(zero), V::mask_not(x.eq(-infinity))));
    let result = V::select(no_value, V::constant(f64::NAN), signed);

    // 1^y and x^0 are 1 even for NaN, and so is (-1)^±inf.
    let unit = V::mask_or(y.eq(zero), x.eq(one));
    let unit = V::mask_or(unit, V::mask_and(size.eq(one), y.abs().eq(infinity)));
    V::select(unit, one, result)
}

#[cfg(test)]
mod tests {
    use crate::kernels::math::table::POWF;
    use crate::kernels::math::testing::{Power, at, max_ulps, steps};

    #[test]
    fn f32_is_close_to_the_exact_value() {
        for y in [0.5, -0.5, 2.0, 3.0, 1.0 / 3.0, 0.001, -1.7, 40.0, 1e6, -1e6] {
            // What f32 can hold of y is the exponent.
            let y = f64::from(y as f32);
            let exact = |x: &[f64]| x.iter().map(|x| x.powf(y)).collect();
            assert!(max_ulps(&format!("powf({y})"), Power(y), exact, |_| true) <= 1.5);
        }
    }

    #[test]
    fn f64_is_close_to_the_exact_value() {
        for &(x, y, exact) in POWF {
            let error = steps(at(Power(y), x), exact);
            println!("powf f64: {error} steps at ({x:e}, {y:e})");
            assert!(error <= 1, "{x:e}^{y:e} is {error} steps off");
        }
    }

    /// Zeros, infinities, NaN, odd and even and fractional exponents: IEEE 754 says what each gives, and the
    /// standard library follows it.
    #[test]
    fn special_cases_follow_ieee() {
        let inf = f64::INFINITY;
        let values = [0.0, 0.5, 1.0, 2.0, 3.0, 3.5, 1e30, inf];
        let both: Vec<f64> = values.iter().flat_map(|&x| [x, -x]).chain([f64::NAN]).collect();
        for &y in &both {
            for &x in &both {
                let wide = at(Power(y), x);
                let expected = x.powf(y);
                let same = wide.to_bits() == expected.to_bits()
                    || (wide.is_nan() && expected.is_nan())
                    || (expected.is_finite() && expected != 0.0 && steps(wide, expected) <= 1);
                assert!(same, "{x:e}^{y:e} = {wide:e}, not {expected:e}");

                let narrow = at(Power(y), x as f32);
                let expected = (x as f32).powf(y as f32);
                let close = (narrow - expected).abs() <= 2.0 * f32::EPSILON * expected.abs();
                let same = narrow.to_bits() == expected.to_bits()
                    || (narrow.is_nan() && expected.is_nan())
                    || (expected.is_finite() && expected != 0.0 && close);
                assert!(same, "{x:e}^{y:e} = {narrow:e}, not {expected:e} (f32)");
            }
        }
    }
}
