//! The dense layer: y = f(x·W + b), one node of the tape.
//!
//! ```text
//! z = x·W + b      Δ = ∂y ⊙ f'(z)      ∂W = xᵀ·Δ      ∂b = Σ_rows Δ      ∂x = Δ·Wᵀ
//! ```
//! Rows of the batch are the work items forward and for ∂x, rows of W for ∂W, so that a plan can run rows through the
//! whole net and give each block of W its gradient and its update together.

use smallvec::smallvec;

use super::elementwise::{AnyUnary, Keeps, Unary as _, functions};
use super::matmul::{Product, columns_access, flipped, product, product_cost, rows_operand};
use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::launch::{Access, ByColumns, Operand, Operands, launch_either};
use crate::layout::show;
use crate::tape::{self, Backward, Gradients, Saved};
use crate::tensor::Tensor;

/// out = x·W (+ b, and then no less than `lowest`): rows are the work items.
fn affine(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>, lowest: f64) -> Result<Tensor> {
    let (m, k, n) = (x.shape()[0], x.shape()[1], kernel.shape()[1]);
    let out = Tensor::empty(&[m, n], x.dtype())?;
    if k == 0 {
        out.fill(0.0)?;
        return match bias {
            Some(bias) => out.add(&bias.detach()),
            None => Ok(out),
        };
    }
    let mut operands: Operands =
        smallvec![rows_operand(x), Operand::read(kernel), Operand::write_own(&out, n)];
    operands.extend(bias.map(Operand::read));
    let bias = bias.map(|_| (3, lowest));
    let product = Product::new(x, kernel);
    let cost = product_cost(m, k, n, x.dtype());
    with_float!(x.dtype(), "dense", T => launch_either("dense", m, cost, operands,
    move |rows, arguments| {
        product.rows::<T>(arguments, &rows, bias);
    },
    || ByColumns::new(columns_access(kernel, &out)?.into_iter().chain(bias.map(|_| Access::All)).collect(),
    move |items, arguments| {
        product.columns::<T>(arguments, &items, bias);
    })))?;
    Ok(out)
}

fn check(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    x.dtype().require_float("dense")?;
    if x.ndim() != 2 || kernel.ndim() != 2 || x.shape()[1] != kernel.shape()[0] {
        let (x, kernel) = (show(x.shape()), show(kernel.shape()));
        bail!(
            Shape,
            "dense: expected x of shape (rows, inputs) and a kernel of shape (inputs, items), got {x} and {kernel}"
        );
    }
    if let Some(bias) = bias
        && bias.shape() != [kernel.shape()[1]]
    {
        let (n, got) = (kernel.shape()[1], show(bias.shape()));
        bail!(
            Shape,
            "dense: expected a bias of shape ({n},) for the kernel's {n} items, got {got}"
        );
    }
    x.dtype().require_of("dense", "kernel", kernel.dtype())?;
    match bias {
        Some(bias) => x.dtype().require_of("dense", "bias", bias.dtype()),
        None => Ok(()),
    }
}

/// f(x·W + b) for a batch of rows; `activation` none means the identity.
///
/// x is (rows, inputs), `kernel` (inputs, units), `bias` (units,).
pub fn dense(
    x: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    activation: Option<Box<dyn AnyUnary>>,
) -> Result<Tensor> {
    check(x, kernel, bias)?;
    // A rectifier runs where the bias is added, while the product is in the cache.
    let rectified = bias.is_some()
        && x.shape()[1] > 0
        && activation.as_ref().is_some_and(|f| f.name() == functions::relu::NAME);
    let z = affine(x, kernel, bias, if rectified { 0.0 } else { f64::NEG_INFINITY })?;
    let (y, kept) = match &activation {
        None => (z, None),
        // The value is all the derivative needs, so it takes the place of z.
        Some(f) if f.keeps() == Keeps::Output => {
            if !rectified {
                f.value_into(&z, &z)?;
            }
            let kept = Saved::new(&z);
            (z, Some(kept))
        }
        Some(f) => {
            let y = Tensor::empty(z.shape(), z.dtype())?;
            f.value_into(&z, &y)?;
            (y, Some(Saved::new(&z)))
        }
    };
    let inputs: [&Tensor; 3] = [x, kernel, bias.unwrap_or(kernel)];
    let inputs = &inputs[..if bias.is_some() { 3 } else { 2 }];
    if !tape::is_recording(inputs) {
        return Ok(y);
    }
    Ok(y.recorded("dense", inputs, |_| DenseBackward {
        x: Saved::new(x),
        kernel: Saved::new(kernel),
        activation: activation.zip(kept),
    }))
}

struct DenseBackward {
    x: Saved,
    kernel: Saved,
    activation: Option<(Box<dyn AnyUnary>, Saved)>,
}

impl Backward for DenseBackward {
    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        // Δ = ∂y ⊙ f'(z)
        let delta = match &self.activation {
            Some((f, kept)) => f.slope(grad, kept.get()?)?,
            None => grad.packed()?,
        };
        let mut out: Gradients = smallvec![None; needs.len()];
        if needs[0] {
            out[0] = Some(product("dense", &delta, &flipped(self.kernel.get()?))?);
        }
        if needs[1] {
            out[1] = Some(product("dense", &flipped(self.x.get()?), &delta)?);
        }
        if needs.get(2) == Some(&true) {
            out[2] = Some(delta.sum(&[0], false)?);
        }
        Ok(out)
    }
}
