//! Dropout: each element survives with probability 1 - p and is scaled so that its expectation stays.
//!
//! ```text
//! y = x · mask / (1 - p)            ∂C/∂x = ∂C/∂y · mask / (1 - p)
//! ```
//!
//! The mask is a function of the generator's key, the number of the draw and the place of the element: nothing
//! is stored for the backward pass but that number, and the backward pass is the forward pass of the gradient.

use smallvec::smallvec;

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::generator::Generator;
use crate::kernels::dropout::{Mask, apply};
use crate::launch::{Cost, Operand, launch};
use crate::rng::Key;
use crate::tape::Saved;
use crate::tensor::Tensor;

/// `x · mask / (1 - rate)`, with a mask whose elements are counted from `begin` on.
fn masked(x: &Tensor, key: Key, number: &Tensor, rate: f64, begin: u64) -> Result<Tensor> {
    let x = x.packed()?;
    let out = Tensor::empty(x.shape(), x.dtype())?;
    // By rows, so that it joins the layers around it.
    let items = if x.ndim() < 2 { x.count() } else { x.shape()[0] };
    let row = x.count().checked_div(items).unwrap_or(0);
    let operands =
        smallvec![Operand::read_own(&x, row), Operand::read(number), Operand::write_own(&out, row)];
    let cost = Cost::elementwise(x.count(), 16.0, 2, x.dtype());
    with_float!(x.dtype(), "dropout", T => launch("dropout", items, cost, operands,
    move |items, arguments| {
        let draw = arguments.all::<i64>(1)[0] as u64;
        let first = begin + (items.start * row) as u64;
        let mask = Mask { key, draw, rate };
        apply(mask, first, arguments.own::<T>(0, &items), arguments.own_mut(2, &items));
    }))?;
    Ok(out)
}

impl Tensor {
    /// Drops each element with probability `rate` and divides the others by `1 - rate`.
    pub fn dropout(&self, rate: f64, generator: &Generator) -> Result<Self> {
        self.dtype().require_float("dropout")?;
        if !(0.0..=1.0).contains(&rate) {
            bail!(Value, "dropout: expected a rate from 0 to 1, got {rate}");
        }
        let (key, number) = (generator.key(), generator.draw()?);
        let begin = generator.first_element(self.shape());
        let out = masked(self, key, &number, rate, begin)?;
        Ok(out.recorded_of("dropout", self, |_| {
            let number = Saved::new(&number);
            move |grad| masked(grad, key, number.get()?, rate, begin)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::tape::backward;

    #[test]
    fn survivors_are_scaled_and_as_many_as_expected() {
        let n = 100_000;
        for dtype in [DType::F32, DType::F64] {
            let x = Tensor::ones(&[100, n / 100], dtype).expect("small");
            for rate in [0.001, 0.2, 0.5, 0.9] {
                let y = x.dropout(rate, &Generator::new(5, 0)).expect("a rate");
                let y = y.cast(DType::F64).expect("casts").to_vec::<f64>().expect("float64");
                let kept: Vec<f64> = y.into_iter().filter(|&y| y != 0.0).collect();
                assert!(kept.iter().all(|y| (y * (1.0 - rate) - 1.0).abs() < 1e-6), "{rate}");
                let deviation = (n as f64 * rate * (1.0 - rate)).sqrt();
                let surplus = kept.len() as f64 - n as f64 * (1.0 - rate);
                assert!(surplus.abs() < 4.0 * deviation, "{rate}: {surplus}");
            }
        }
    }

    #[test]
    fn the_gradient_passes_where_the_value_did() {
        let x = Tensor::full(&[7, 33], 2.0, DType::F64).expect("small");
        x.set_requires_grad(true).expect("a float leaf");
        let y = x.dropout(0.3, &Generator::new(1, 1)).expect("a rate");
        let ones = Tensor::ones(&[33, 7], DType::F64).expect("small");
        backward(&y, Some(&ones.transpose(0, 1).expect("two dims")), false).expect("a graph");
        let grad = x.grad().expect("reached").to_vec::<f64>().expect("float64");
        let value = y.to_vec::<f64>().expect("float64");
        assert!(value.iter().zip(grad).all(|(value, grad)| *value == 2.0 * grad));
    }

    #[test]
    fn masks_do_not_depend_on_shape_type_or_pieces() {
        let n = 1000;
        let drawn = |shape: &[usize], dtype| {
            let y = Tensor::ones(shape, dtype).expect("small").dropout(0.5, &Generator::new(9, 4));
            y.expect("a rate").cast(DType::F64).expect("casts").to_vec::<f64>().expect("float64")
        };
        let whole = drawn(&[n], DType::F64);
        assert_eq!(drawn(&[8, 125], DType::F64), whole);
        assert_eq!(drawn(&[n, 1], DType::F32), whole);
        assert_eq!(drawn(&[137], DType::F64), whole[..137]);
        for (start, stop) in [(0, 1), (1, 2), (3, 70), (63, 65), (64, 129), (127, 1000), (500, 501)]
        {
            let mask = Mask { key: Key { seed: 9, stream: 4 }, draw: 0, rate: 0.5 };
            let mut part = vec![7.0; stop - start];
            apply(mask, start as u64, &vec![1.0; stop - start], &mut part);
            assert_eq!(part, whole[start..stop], "{start}..{stop}");
        }
    }

    #[test]
    fn parts_of_a_batch_get_the_whole_batch_s_masks() {
        let whole = Tensor::ones(&[10, 7], DType::F64).expect("small");
        let drawn = |x: &Tensor, generator: &Generator| {
            x.dropout(0.5, generator).expect("a rate").to_vec::<f64>().expect("float64")
        };
        let expected = drawn(&whole, &Generator::new(3, 1));
        for (first, rows) in [(0, 4), (4, 3), (7, 3)] {
            let generator = Generator::new(3, 1);
            generator.set_part(first, rows);
            let x = Tensor::ones(&[rows as usize, 7], DType::F64).expect("small");
            let at = first as usize * 7;
            assert_eq!(drawn(&x, &generator), expected[at..at + rows as usize * 7]);
            generator.set_draws(0);
            assert_eq!(drawn(&whole, &generator), expected);
        }
    }

    #[test]
    fn rates_at_the_ends_and_beyond() {
        let generator = Generator::new(0, 0);
        let x = Tensor::from_slice(&[1.0f32, f32::INFINITY, f32::NAN], &[3]).expect("fits");
        let none = x.dropout(1.0, &generator).expect("a rate");
        assert_eq!(none.to_vec::<f32>().expect("float32"), [0.0; 3]);
        let all = x.dropout(0.0, &generator).expect("a rate").to_vec::<f32>().expect("float32");
        assert!(all[0] == 1.0 && all[1] == f32::INFINITY && all[2].is_nan());
        assert_eq!(generator.draws(), 2);
        for rate in [-0.1, 1.1, f64::NAN] {
            assert!(x.dropout(rate, &generator).is_err());
        }
        let empty = Tensor::zeros(&[0, 3], DType::F32).expect("empty");
        assert_eq!(empty.dropout(0.5, &generator).expect("a rate").shape(), [0, 3]);
    }
}
