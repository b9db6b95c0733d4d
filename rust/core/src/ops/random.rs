//! Tensors of random numbers.
//!
//! ```text
//! uniform            x = low + (high - low) u          u uniform in [0, 1)
//! normal             x = mean + std z                  z standard normal
//! truncated_normal   x = mean + std z                  z standard normal under the condition |z| <= 2
//! ```
//!
//! Each is one draw of its generator. In a captured step every replay draws anew.

use smallvec::smallvec;

use crate::dtype::{DType, Element, with_float};
use crate::error::{Result, bail};
use crate::generator::Generator;
use crate::launch::{Cost, Operand, launch};
use crate::rng::{fill_normal, fill_truncated_normal, fill_uniform};
use crate::tensor::Tensor;

#[derive(Clone, Copy)]
enum Law {
    Uniform,
    Normal,
    TruncatedNormal,
}

/// `offset + scale · law`.
fn drawn(
    name: &'static str,
    law: Law,
    shape: &[usize],
    generator: &Generator,
    [offset, scale]: [f64; 2],
    dtype: DType,
) -> Result<Tensor> {
    dtype.require_float(name)?;
    if !offset.is_finite() || !scale.is_finite() || scale < 0.0 {
        bail!(
            Value,
            "{name}: expected finite bounds in order, or a finite mean and a deviation of at least 0"
        );
    }
    let out = Tensor::empty(shape, dtype)?;
    let number = generator.draw()?;
    let (key, begin) = (generator.key(), generator.first_element(shape));
    let operands = smallvec![Operand::read(&number), Operand::write_own(&out, 1)];
    let cost = Cost::elementwise(out.count(), 64.0, 1, dtype);
    with_float!(dtype, name, T => launch(name, out.count(), cost, operands,
    move |items, arguments| {
        let draw = arguments.all::<i64>(0)[0] as u64;
        let out = arguments.own_mut::<T>(1, &items);
        let first = begin + items.start as u64;
        match law {
            Law::Uniform => fill_uniform(key, draw, first, out),
            Law::Normal => fill_normal(key, draw, first, out),
            Law::TruncatedNormal => fill_truncated_normal(key, draw, first, out),
        }
        let (offset, scale) = (T::from_f64(offset), T::from_f64(scale));
        for x in out {
            *x = offset + scale * *x;
        }
    }))?;
    Ok(out)
}

impl Tensor {
    /// Uniform from `low` up to `high`.
    pub fn uniform(
        shape: &[usize],
        generator: &Generator,
        low: f64,
        high: f64,
        dtype: DType,
    ) -> Result<Self> {
        drawn("uniform", Law::Uniform, shape, generator, [low, high - low], dtype)
    }

    /// Normal with a mean and a standard deviation.
    pub fn normal(
        shape: &[usize],
        generator: &Generator,
        mean: f64,
        std: f64,
        dtype: DType,
    ) -> Result<Self> {
        drawn("normal", Law::Normal, shape, generator, [mean, std], dtype)
    }

    /// Normal, cut at two of the given deviations from the mean: the numbers that are left deviate by 0.88 of it.
    pub fn truncated_normal(
        shape: &[usize],
        generator: &Generator,
        mean: f64,
        std: f64,
        dtype: DType,
    ) -> Result<Self> {
        drawn("truncated_normal", Law::TruncatedNormal, shape, generator, [mean, std], dtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_bounds_and_moments_asked_for() {
        let generator = Generator::new(7, 1);
        let n = 40_000;
        let x = Tensor::uniform(&[n], &generator, -3.0, 5.0, DType::F32).expect("bounds");
        let x = x.to_vec::<f32>().expect("float32");
        assert!(x.iter().all(|x| (-3.0..=5.0).contains(x)));
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        // The deviation of the mean is 8 / sqrt(12 n) = 0.0115.
        assert!((mean - 1.0).abs() < 4.0 * 0.0115, "{mean}");
        let x = Tensor::truncated_normal(&[n], &generator, 1.0, 0.5, DType::F64).expect("bounds");
        let x = x.to_vec::<f64>().expect("float64");
        assert!(x.iter().all(|x| (0.0..=2.0).contains(x)));
        let x = Tensor::normal(&[n], &generator, 10.0, 2.0, DType::F64).expect("bounds");
        let x = x.sub(&Tensor::full(&[], 10.0, DType::F64).expect("small")).expect("float");
        let variance = x.square().expect("float").mean(&[], false).expect("float");
        // The deviation of the variance is 4 sqrt(2 / n) = 0.0283.
        assert!((variance.item().expect("one") - 4.0).abs() < 4.0 * 0.0283);
        assert_eq!(generator.draws(), 3);
    }

    #[test]
    fn a_draw_repeats_and_the_next_differs() {
        let generator = Generator::new(7, 1);
        let draw = || {
            let x = Tensor::normal(&[5], &generator, 0.0, 1.0, DType::F64).expect("bounds");
            x.to_vec::<f64>().expect("float64")
        };
        let (first, second) = (draw(), draw());
        assert!(first.iter().zip(&second).all(|(a, b)| a != b));
        generator.set_draws(0);
        assert_eq!(draw(), first);
        for (low, high) in [(1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            assert!(Tensor::uniform(&[1], &generator, low, high, DType::F32).is_err());
        }
        assert!(Tensor::normal(&[1], &generator, 0.0, -1.0, DType::F32).is_err());
        assert!(Tensor::normal(&[1], &generator, 0.0, 1.0, DType::I64).is_err());
        assert_eq!(generator.draws(), 1);
    }
}
