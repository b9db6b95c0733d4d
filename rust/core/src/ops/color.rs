//! Brightness and contrast of images, each by a number of its own.
//!
//! ```text
//! brightness   y = clip(x + d)                     ∂x = ∂y
//! contrast     y = clip(m + f (x - m))             ∂x = f ∂y + (1 - f) Σ ∂y / n        m = Σ x / n
//! ```
//! Sums run over the n pixels of one channel of one image; ∂y counts as zero where the bounds have cut.

use smallvec::smallvec;

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::kernels::color::{Color, change, change_backward};
use crate::launch::{Cost, Operand, launch};
use crate::ops::images::{check_rows, frame_of};
use crate::tape::Saved;
use crate::tensor::Tensor;

pub use crate::kernels::color::{Bounds, Change};

impl Tensor {
    /// Changes the colours of each image by its number, one of `numbers`: float64 of shape (images, 1).
    pub fn change_color(
        &self,
        change: Change,
        numbers: &Self,
        bounds: Bounds,
        channels_first: bool,
    ) -> Result<Self> {
        let frame = frame_of("change_color", self, channels_first)?;
        check_rows("change_color", "numbers", numbers, [self.shape()[0], 1])?;
        let Bounds { low, high } = bounds;
        if low > high || low.is_nan() || high.is_nan() {
            bail!(Value, "change_color: expected bounds in order, got {low} and {high}");
        }
        let (x, numbers) = (self.packed()?, numbers.packed()?);
        let color = Color {
            change,
            bounds,
            plane: frame.plane(),
            planes: frame.planes,
            channels: frame.channels,
        };
        let out = forward(&x, &numbers, color)?;
        Ok(out.recorded_of("change_color", self, |_| {
            let (x, numbers) = (Saved::new(&x), Saved::new(&numbers));
            move |grad| backward(grad, x.get()?, numbers.get()?, color)
        }))
    }
}

fn forward(x: &Tensor, numbers: &Tensor, color: Color) -> Result<Tensor> {
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let image = color.planes * color.plane;
    let operands = smallvec![
        Operand::read_own(x, image),
        Operand::read_own(numbers, 1),
        Operand::write_own(&out, image),
    ];
    let cost = Cost::elementwise(x.count(), 6.0, 2, x.dtype());
    with_float!(x.dtype(), "change_color", T => launch("change_color", x.shape()[0], cost, operands,
    move |items, arguments| {
        let (x, numbers) = (arguments.own::<T>(0, &items), arguments.own::<f64>(1, &items));
        change(&color, numbers, x, arguments.own_mut(2, &items));
    }))?;
    Ok(out)
}

fn backward(grad: &Tensor, x: &Tensor, numbers: &Tensor, color: Color) -> Result<Tensor> {
    let grad = grad.packed()?;
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let image = color.planes * color.plane;
    let operands = smallvec![
        Operand::read_own(x, image),
        Operand::read_own(numbers, 1),
        Operand::read_own(&grad, image),
        Operand::write_own(&out, image),
    ];
    let (images, cost) = (x.shape()[0], Cost::elementwise(x.count(), 12.0, 3, x.dtype()));
    with_float!(x.dtype(), "change_color", T => launch("change_color backward", images, cost, operands,
    move |items, arguments| {
        let (x, numbers) = (arguments.own::<T>(0, &items), arguments.own::<f64>(1, &items));
        let grad = arguments.own::<T>(2, &items);
        change_backward(&color, numbers, x, grad, arguments.own_mut(3, &items));
    }))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::testing::{assert_close, gradcheck};

    const SHAPES: [(&[usize], bool); 4] = [
        (&[2, 4, 5], false),
        (&[2, 17, 9, 3], false),
        (&[2, 3, 4, 6], false),
        (&[2, 3, 5, 7], true),
    ];

    fn some(shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f64> = (0..n).map(|i| (i * 7919 % 6007) as f64 / 1001.0 - 3.0).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    fn numbers() -> Tensor {
        Tensor::from_slice(&[0.7, 1.6], &[2, 1]).expect("fits")
    }

    #[test]
    fn values_are_those_of_the_composed_form() {
        let bounds = Bounds { low: -2.0, high: 2.5 };
        for (shape, first) in SHAPES {
            let x = some(shape);
            let axes: &[isize] = match (shape.len(), first) {
                (3, _) | (4, false) => &[1, 2],
                _ => &[2, 3],
            };
            let wide: Vec<usize> = std::iter::once(2).chain(shape[1..].iter().map(|_| 1)).collect();
            let number = Tensor::from_slice(&[0.7, 1.6], &wide).expect("fits");
            let mean = x.mean(axes, true).expect("float");
            let far = x.sub(&mean).expect("fits").mul(&number).expect("fits");
            let contrast = mean.add(&far).expect("fits");
            let brightness = x.add(&number).expect("fits");
            for (change, expected) in
                [(Change::Contrast, contrast), (Change::Brightness, brightness)]
            {
                let expected: Vec<f64> = expected.to_vec::<f64>().expect("float64");
                let expected: Vec<f64> = expected.iter().map(|x| x.clamp(-2.0, 2.5)).collect();
                let y = x.change_color(change, &numbers(), bounds, first).expect("fits");
                assert_close(&y, &expected, 1e-12);
                let short = x.cast(DType::F32).expect("casts");
                let y = short.change_color(change, &numbers(), bounds, first).expect("fits");
                assert_close(&y.cast(DType::F64).expect("casts"), &expected, 1e-5);
            }
        }
    }

    #[test]
    fn gradients_stop_at_the_bounds() {
        for (shape, first) in SHAPES {
            for change in [Change::Contrast, Change::Brightness] {
                for bounds in
                    [Bounds { low: -2.003, high: 2.503 }, Bounds { low: -99.0, high: 99.0 }]
                {
                    gradcheck(
                        |x| x[0].change_color(change, &numbers(), bounds, first),
                        &[some(shape)],
                    )
                    .expect("the gradient");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bounds = Bounds { low: 0.0, high: 1.0 };
        let run = |x: &Tensor, numbers: &Tensor, bounds| {
            x.change_color(Change::Contrast, numbers, bounds, false)
        };
        assert!(run(&some(&[2, 3, 4]), &numbers(), bounds).is_ok());
        assert!(run(&some(&[2, 3]), &numbers(), bounds).is_err());
        assert!(run(&some(&[3, 3, 4]), &numbers(), bounds).is_err());
        assert!(run(&some(&[2, 3, 4]), &numbers(), Bounds { low: 1.0, high: 0.0 }).is_err());
    }
}
