//! Layer normalization: each row by its own statistics, by Ba, Kiros and Hinton, 2016.
//!
//! ```text
//! μ = Σ x/n      σ² = Σ (x - μ)²/n      r = 1/√(σ² + ε)      x̂ = (x - μ)·r      y = γ·x̂ + β
//! g = γ·∂y       ∂x = r·(g - Σ g/n - x̂·Σ g·x̂/n)      ∂γ = Σ_rows ∂y·x̂      ∂β = Σ_rows ∂y
//! ```
//! Sums without a name run over the n elements of a row. Rows are the work items forward and for ∂x, so that a plan
//! takes them through any number of such layers in one go; ∂γ and ∂β go by columns, beside the gradients of the
//! weights.

use smallvec::smallvec;

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::kernels::layer_norm as kernels;
use crate::launch::{Cost, Operand, Operands, launch, push};
use crate::layout::show;
use crate::ops::batch_norm::Affine;
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// Normalizes rows of `width` elements: the last dimensions of x, of any number. γ and β have as many elements.
pub fn layer_norm(x: &Tensor, width: usize, affine: Affine<'_>) -> Result<Tensor> {
    check(x, width, affine)?;
    let packed = x.packed()?;
    let rows = x.count().checked_div(width).unwrap_or(0);
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let statistic = || Tensor::empty(&[rows], x.dtype());
    let (mean, inverse) = (statistic()?, statistic()?);
    let gamma = affine.gamma.map(Tensor::packed).transpose()?;
    let beta = affine.beta.map(Tensor::packed).transpose()?;
    let mut operands: Operands = smallvec![
        Operand::read_own(&packed, width),
        Operand::write_own(&mean, 1),
        Operand::write_own(&inverse, 1),
        Operand::write_own(&out, width),
    ];
    let at_gamma = push(&mut operands, gamma.as_ref().map(Operand::read));
    let at_beta = push(&mut operands, beta.as_ref().map(Operand::read));
    let epsilon = affine.epsilon;
    // Every element is read three times, the last two from cache.
    let cost = Cost::elementwise(x.count(), 12.0, 2, x.dtype());
    with_float!(x.dtype(), "layer_norm", T => launch("layer_norm", rows, cost, operands,
    move |items, arguments| {
        kernels::forward(kernels::Forward::<T> {
            x: arguments.own(0, &items),
            width,
            epsilon,
            gamma: at_gamma.map(|i| arguments.all(i)),
            beta: at_beta.map(|i| arguments.all(i)),
            mean: arguments.own_mut(1, &items),
            inverse: arguments.own_mut(2, &items),
            out: arguments.own_mut(3, &items),
        });
    }))?;
    Ok(out.recorded("layer_norm", &affine.inputs(x), |_| LayerNormBackward {
        x: Saved::new(&packed),
        gamma: gamma.as_ref().map(Saved::new),
        mean: Saved::new(&mean),
        inverse: Saved::new(&inverse),
        width,
        shapes: [affine.gamma, affine.beta].map(|given| given.map(|given| given.shape().into())),
    }))
}

fn check(x: &Tensor, width: usize, affine: Affine<'_>) -> Result<()> {
    x.dtype().require_float("layer_norm")?;
    let mut size = 1;
    let last = x.shape().iter().rev().any(|&n| {
        size *= n;
        size == width
    });
    if !last {
        let got = show(x.shape());
        bail!(
            Shape,
            "layer_norm: expected x whose last dimensions have {width} elements, got {got}"
        );
    }
    affine.check_epsilon("layer_norm")?;
    for (what, tensor) in [("gamma", affine.gamma), ("beta", affine.beta)] {
        let Some(tensor) = tensor else { continue };
        if tensor.count() != width {
            let got = show(tensor.shape());
            bail!(
                Shape,
                "layer_norm: expected a {what} of {width} elements, got one of shape {got}"
            );
        }
        x.dtype().require_of("layer_norm", what, tensor.dtype())?;
    }
    Ok(())
}

struct LayerNormBackward {
    x: Saved,
    gamma: Option<Saved>,
    mean: Saved,
    inverse: Saved,
    width: usize,
    /// Shapes of γ and β, where given.
    shapes: [Option<crate::layout::Shape>; 2],
}

impl LayerNormBackward {
    /// ∂x: rows are the work items.
    fn rows(&self, grad: &Tensor) -> Result<Tensor> {
        let (x, mean, width) = (self.x.get()?, self.mean.get()?, self.width);
        let gamma = self.gamma.as_ref().map(Saved::get).transpose()?;
        let out = Tensor::empty(x.shape(), x.dtype())?;
        let mut operands: Operands = smallvec![
            Operand::read_own(grad, width),
            Operand::read_own(x, width),
            Operand::read_own(mean, 1),
            Operand::read_own(self.inverse.get()?, 1),
            Operand::write_own(&out, width),
        ];
        operands.extend(gamma.map(Operand::read));
        let has_gamma = gamma.is_some();
        let cost = Cost::elementwise(x.count(), 12.0, 3, x.dtype());
        with_float!(x.dtype(), "layer_norm", T => launch("layer_norm", mean.count(), cost, operands,
        move |items, arguments| {
            kernels::backward(kernels::Backward::<T> {
                grad: arguments.own(0, &items),
                x: arguments.own(1, &items),
                gamma: has_gamma.then(|| arguments.all(5)),
                width,
                mean: arguments.own(2, &items),
                inverse: arguments.own(3, &items),
                out: arguments.own_mut(4, &items),
            });
        }))?;
        Ok(out)
    }

    /// ∂γ and ∂β: columns are the work items.
    fn columns(&self, grad: &Tensor) -> Result<[Tensor; 2]> {
        let (x, width) = (self.x.get()?, self.width);
        let (gamma, beta) =
            (Tensor::empty(&[width], x.dtype())?, Tensor::empty(&[width], x.dtype())?);
        let operands = smallvec![
            Operand::read(grad),
            Operand::read(x),
            Operand::read(self.mean.get()?),
            Operand::read(self.inverse.get()?),
            Operand::write_own(&gamma, 1),
            Operand::write_own(&beta, 1),
        ];
        let cost = Cost::elementwise(x.count(), 4.0, 2, x.dtype());
        with_float!(x.dtype(), "layer_norm", T => launch("layer_norm_sums", width, cost, operands,
        move |items, arguments| {
            kernels::column_sums(kernels::ColumnSums::<T> {
                grad: arguments.all(0),
                x: arguments.all(1),
                mean: arguments.all(2),
                inverse: arguments.all(3),
                width,
                columns: items.clone(),
                gamma: arguments.own_mut(4, &items),
                beta: arguments.own_mut(5, &items),
            });
        }))?;
        Ok([gamma, beta])
    }
}

impl Backward for LayerNormBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let grad = grad.packed()?;
        let mut out: Gradients = smallvec![None; needs.len()];
        if needs[0] {
            out[0] = Some(self.rows(&grad)?);
        }
        if needs[1..].contains(&true) {
            let given = self.columns(&grad)?.into_iter().zip(&self.shapes);
            // Those that were given, in order, are the inputs after x.
            let given = given.filter_map(|(sum, shape)| shape.as_ref().map(|shape| (sum, shape)));
            for (place, (sum, shape)) in given.enumerate() {
                if needs[place + 1] {
                    out[place + 1] = Some(sum.view(crate::layout::Layout::contiguous(shape)));
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::tape::gradients;
    use crate::testing::{assert_close, gradcheck};

    fn some(shape: &[usize], seed: usize) -> Tensor {
        let n: usize = shape.iter().product();
        let values: Vec<f64> =
            (0..n).map(|i| ((i + seed) * 7919 % 6007) as f64 / 1001.0 - 3.0).collect();
        Tensor::from_slice(&values, shape).expect("fits")
    }

    fn values(t: &Tensor) -> Vec<f64> {
        t.to_vec::<f64>().expect("float64")
    }

    #[test]
    fn values_of_every_width() {
        for width in (1..40).chain([1023, 1025, 3000]) {
            let (x, gamma, beta) = (some(&[3, width], 1), some(&[width], 2), some(&[width], 3));
            let affine = Affine { gamma: Some(&gamma), beta: Some(&beta), epsilon: 0.1 };
            let y = layer_norm(&x, width, affine).expect("valid");
            let plain = Affine { gamma: None, beta: None, epsilon: 0.1 };
            let plain = values(&layer_norm(&x, width, plain).expect("valid"));
            let (g, b) = (values(&gamma), values(&beta));
            for (row, plain) in values(&x).chunks(width).zip(plain.chunks(width)) {
                let mean = row.iter().sum::<f64>() / width as f64;
                let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                for (x, y) in row.iter().zip(plain) {
                    let expected = (x - mean) / (variance + 0.1).sqrt();
                    assert!((y - expected).abs() < 1e-12, "{width}: {y}, {expected}");
                }
            }
            let expected: Vec<f64> =
                plain.iter().enumerate().map(|(i, y)| y * g[i % width] + b[i % width]).collect();
            assert_close(&y, &expected, 1e-12);
        }
    }

    /// The deviation of numbers far from zero is what single precision can hold, not what cancellation leaves.
    #[test]
    fn nothing_cancels_far_from_zero() {
        let data: Vec<f32> = (0..1000).map(|i| 10_000.0 + (i % 8) as f32).collect();
        let x = Tensor::from_slice(&data, &[1, 1000]).expect("fits");
        let affine = Affine { gamma: None, beta: None, epsilon: 0.0 };
        let y = layer_norm(&x, 1000, affine).expect("valid");
        let deviation = 5.25f64.sqrt();
        let expected: Vec<f64> = (0..1000).map(|i| (f64::from(i % 8) - 3.5) / deviation).collect();
        assert_close(&y, &expected, 1e-4);
    }

    #[test]
    fn gradients_of_all_that_may_be_given() {
        for shape in [&[4, 5][..], &[2, 3, 17], &[33, 70]] {
            let width = shape[shape.len() - 1];
            let (x, gamma, beta) = (some(shape, 1), some(&[width], 2), some(&[width], 3));
            for (with_gamma, with_beta) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let mut inputs = vec![x.clone()];
                inputs.extend(with_gamma.then(|| gamma.clone()));
                inputs.extend(with_beta.then(|| beta.clone()));
                gradcheck(
                    |t| {
                        let beta = with_beta.then(|| &t[t.len() - 1]);
                        let gamma = with_gamma.then(|| &t[1]);
                        layer_norm(&t[0], width, Affine { gamma, beta, epsilon: 0.2 })
                    },
                    &inputs,
                )
                .expect("the gradient");
            }
        }
    }

    #[test]
    fn threads_do_not_change_bits() {
        let leaf = |shape: &[usize], seed| {
            let t = some(shape, seed).cast(DType::F32).expect("casts");
            t.set_requires_grad(true).expect("a float leaf");
            t
        };
        let run = || {
            let (x, gamma, beta) = (leaf(&[600, 301], 1), leaf(&[301], 2), leaf(&[301], 3));
            let affine = Affine { gamma: Some(&gamma), beta: Some(&beta), epsilon: 1e-3 };
            let y = layer_norm(&x, 301, affine).expect("valid");
            let seed = leaf(&[600, 301], 4).detach();
            let found = gradients(&y, &[&x, &gamma, &beta], Some(&seed), false).expect("a graph");
            let all = found.into_iter().flatten().chain([y.detach()]);
            let bits =
                |t: Tensor| t.to_vec::<f32>().expect("float32").into_iter().map(f32::to_bits);
            all.flat_map(bits).collect::<Vec<_>>()
        };
        let before = crate::team::threads();
        crate::team::set_threads(1).expect("a count");
        let expected = run();
        for threads in [2, 3, 8] {
            crate::team::set_threads(threads).expect("a count");
            assert!(run() == expected, "{threads} threads");
        }
        crate::team::set_threads(before).expect("a count");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (x, three) = (some(&[4, 2], 0), some(&[3], 0));
        let plain = Affine { gamma: None, beta: None, epsilon: 0.1 };
        let text = |outcome: Result<Tensor>| outcome.expect_err("not valid").to_string();
        assert!(text(layer_norm(&x, 3, plain)).contains("3 elements"));
        assert!(text(layer_norm(&x, 2, Affine { beta: Some(&three), ..plain })).contains("beta"));
        assert!(text(layer_norm(&x, 2, Affine { epsilon: -1.0, ..plain })).contains("epsilon"));
        let none = Tensor::zeros(&[0, 2], DType::F64).expect("empty");
        assert_eq!(layer_norm(&none, 2, plain).expect("no rows").shape(), [0, 2]);
    }
}
