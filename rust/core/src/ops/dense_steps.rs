//! Weighted sums at the steps of sequences that count, one node of the tape.
//!
//! ```text
//! z = x·W + b      ∂W = Σ xᵀ·∂z      ∂b = Σ ∂z      ∂x = ∂z·Wᵀ
//! ```
//! as in `dense`, over all steps between the first and the last one of a row that count. At the other steps z and ∂x
//! are 0, and ∂z must be. Rows of the batch are the work items forward and for ∂x, rows of W for ∂W; padding costs
//! nothing in either.

use std::ops::Range;

use smallvec::smallvec;

use super::matmul::{matrix, multiply, product_cost};
use crate::dtype::{DType, with_float};
use crate::error::{Result, bail};
use crate::kernels::gemm::{Gemm, MatMut};
use crate::launch::{Operand, Operands, launch, push};
use crate::layout::show;
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// Refuses what does not say which steps count.
pub(crate) fn check_counts(name: &str, counts: &Tensor, expected: [usize; 2]) -> Result<()> {
    if counts.dtype() != DType::Bool || counts.shape() != expected {
        let (wanted, got) = (show(&expected), show(counts.shape()));
        bail!(
            Shape,
            "{name}: expected booleans of shape {wanted} for the steps that count, got {} of shape {got}",
            counts.dtype().name()
        );
    }
    Ok(())
}

/// The steps from the first to the last one that counts.
fn span(counts: &[u8]) -> Range<usize> {
    let Some(first) = counts.iter().position(|&count| count != 0) else {
        return 0..0;
    };
    first..counts.iter().rposition(|&count| count != 0).map_or(0, |last| last + 1)
}

/// The steps of all rows, one row behind the other, from the first to the last one of a row that counts: ranges that
/// touch are one.
fn runs(counts: &[u8], steps: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut rows = counts
        .chunks_exact(steps)
        .enumerate()
        .map(move |(row, counts)| {
            let own = span(counts);
            row * steps + own.start..row * steps + own.end
        })
        .filter(|run| !run.is_empty())
        .peekable();
    std::iter::from_fn(move || {
        let mut run = rows.next()?;
        while let Some(next) = rows.next_if(|next| next.start == run.end) {
            run.end = next.end;
        }
        Some(run)
    })
}

/// Σ leftᵀ·right over the steps that count: (rows, steps, k) and (rows, steps, n) make (k, n).
pub(crate) fn product_of_steps(
    name: &'static str,
    left: &Tensor,
    right: &Tensor,
    counts: &Tensor,
) -> Result<Tensor> {
    let &[rows, steps, k] = left.shape() else {
        bail!(Shape, "{name}: expected (rows, steps, inputs), got {}", show(left.shape()));
    };
    let n = right.shape()[2];
    let out = Tensor::empty(&[k, n], left.dtype())?;
    let cost = product_cost(k, rows * steps, n, left.dtype());
    let operands = smallvec![
        Operand::read(left),
        Operand::read(right),
        Operand::read(counts),
        Operand::write_own(&out, n),
    ];
    with_float!(left.dtype(), name, T => launch(name, k, cost, operands, move |items, arguments| {
        let counts = arguments.all::<u8>(2);
        let own = arguments.own_mut::<T>(3, &items);
        let c = MatMut { ptr: own.as_mut_ptr(), row_stride: n as isize };
        let mut begun = false;
        for run in runs(counts, steps) {
            let a = matrix(arguments.pointer::<T>(0), (1, k as isize)).at(items.start, run.start);
            let b = matrix(arguments.pointer::<T>(1), (n as isize, 1)).at(run.start, 0);
            let size = (items.len(), n, run.len());
            multiply(Gemm { accumulate: begun, ..Gemm::new(size, a, b, c) }, None);
            begun = true;
        }
        if !begun {
            own.fill(0.0);
        }
    }))?;
    Ok(out)
}

/// left·right (+ b) at the steps that count, 0 at the others: (rows, steps, k) and (k, n) in any strides.
fn steps_product(
    left: &Tensor,
    right: &Tensor,
    bias: Option<&Tensor>,
    counts: &Tensor,
) -> Result<Tensor> {
    let (rows, steps, k) = (left.shape()[0], left.shape()[1], left.shape()[2]);
    let n = right.shape()[1];
    let out = Tensor::empty(&[rows, steps, n], left.dtype())?;
    let cost = product_cost(rows * steps, k, n, left.dtype());
    let strides = (right.strides()[0], right.strides()[1]);
    let mut operands: Operands = smallvec![
        Operand::read_own(left, steps * k),
        Operand::read(right),
        Operand::write_own(&out, steps * n),
        Operand::read_own(counts, steps),
    ];
    let biased = push(&mut operands, bias.map(Operand::read));
    let name = "dense over steps";
    with_float!(left.dtype(), name, T => launch(name, rows, cost, operands, move |items, arguments| {
        let counts = arguments.own::<u8>(3, &items);
        let x = arguments.own::<T>(0, &items);
        let out = arguments.own_mut::<T>(2, &items);
        let b = matrix(arguments.pointer::<T>(1), strides);
        let bias = biased.map(|i| (arguments.pointer::<T>(i), f64::NEG_INFINITY));
        let mut done = 0;
        for run in runs(counts, steps) {
            out[done * n..run.start * n].fill(0.0);
            let x = &x[run.start * k..run.end * k];
            let a = matrix(x.as_ptr().cast_mut(), (k as isize, 1));
            let own = &mut out[run.start * n..run.end * n];
            let c = MatMut { ptr: own.as_mut_ptr(), row_stride: n as isize };
            multiply(Gemm::new((run.len(), n, k), a, b, c), bias);
            done = run.end;
        }
        out[done * n..].fill(0.0);
    }))?;
    Ok(out)
}

/// x·W + b at the steps that count: x is (rows, steps, inputs), `kernel` (inputs, units), `bias` (units,), `counts`
/// (rows, steps) of booleans.
pub fn dense_steps(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    counts: &Tensor,
) -> Result<Tensor> {
    x.dtype().require_float("dense_steps")?;
    let fits = x.ndim() == 3 && kernel.ndim() == 2 && x.shape()[2] == kernel.shape()[0];
    if !fits || x.shape()[1] * x.shape()[2] == 0 {
        let (x, kernel) = (show(x.shape()), show(kernel.shape()));
        bail!(
            Shape,
            "dense_steps: expected x of shape (rows, steps, inputs) and a kernel of shape (inputs, items), got {x} and {kernel}"
        );
    }
    let units = kernel.shape()[1];
    if let Some(bias) = bias
        && bias.shape() != [units]
    {
        bail!(
            Shape,
            "dense_steps: expected a bias of shape ({units},), got {}",
            show(bias.shape())
        );
    }
    for tensor in bias.into_iter().chain([kernel]) {
        x.dtype().require_of("dense_steps", "another argument", tensor.dtype())?;
    }
    check_counts("dense_steps", counts, [x.shape()[0], x.shape()[1]])?;
    let (x_packed, counts) = (x.packed()?, counts.packed()?);
    let bias_packed = bias.map(Tensor::packed).transpose()?;
    let out = steps_product(&x_packed, kernel, bias_packed.as_ref(), &counts)?;
    let inputs: [&Tensor; 3] = [x, kernel, bias.unwrap_or(kernel)];
    let inputs = &inputs[..if bias.is_some() { 3 } else { 2 }];
    Ok(out.recorded("dense_steps", inputs, |_| DenseStepsBackward {
        x: Saved::new(&x_packed),
        kernel: Saved::new(kernel),
        counts: Saved::new(&counts),
    }))
}

struct DenseStepsBackward {
    x: Saved,
    kernel: Saved,
    counts: Saved,
}

impl Backward for DenseStepsBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let (grad, counts) = (grad.packed()?, self.counts.get()?);
        let mut out: Gradients = smallvec![None; needs.len()];
        if needs[0] {
            let transposed = super::matmul::flipped(self.kernel.get()?);
            out[0] = Some(steps_product(&grad, &transposed, None, counts)?);
        }
        if needs[1] {
            out[1] = Some(product_of_steps("dense over steps", self.x.get()?, &grad, counts)?);
        }
        if needs.get(2) == Some(&true) {
            let shape = grad.shape();
            out[2] = Some(grad.with_shape(&[shape[0] * shape[1], shape[2]])?.sum(&[0], false)?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_count_have_the_values_of_dense_and_the_others_none() {
        let x: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 11) - 5.0).collect();
        let x = Tensor::from_slice(&x, &[3, 4, 2]).expect("fits");
        let kernel = Tensor::from_slice(&[1.0, -2.0, 0.5, 3.0, 1.0, 0.0], &[2, 3]).expect("fits");
        let bias = Tensor::from_slice(&[0.5, 0.25, -1.0], &[3]).expect("fits");
        let counts =
            Tensor::from_slice(&[1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0_u8], &[3, 4]).expect("fits");
        let vectors = x.with_shape(&[12, 2]).expect("fits");
        let whole = crate::ops::dense::dense(&vectors, &kernel, Some(&bias), None).expect("fits");
        let whole = whole.to_vec::<f64>().expect("f64");
        let found = dense_steps(&x, &kernel, Some(&bias), &counts).expect("fits");
        let found = found.to_vec::<f64>().expect("f64");
        // From the first to the last step that counts.
        for (step, inside) in [1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0].into_iter().enumerate() {
            let own = step * 3..step * 3 + 3;
            let expected = if inside == 1 { &whole[own.clone()] } else { &[0.0; 3] };
            assert_eq!(&found[own], expected, "step {step}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let x = Tensor::zeros(&[2, 3, 4], DType::F64).expect("zeros");
        let kernel = Tensor::zeros(&[4, 5], DType::F64).expect("zeros");
        let counts = Tensor::zeros(&[2, 3], DType::Bool).expect("zeros");
        let error = |x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>, counts: &Tensor| {
            dense_steps(x, kernel, bias, counts).expect_err("wrong").to_string()
        };
        assert!(error(&kernel, &kernel, None, &counts).contains("(rows, steps, inputs)"));
        assert!(error(&x, &kernel, Some(&kernel), &counts).contains("a bias of shape (5,)"));
        assert!(error(&x, &kernel, None, &kernel).contains("booleans of shape (2, 3)"));
    }
}
