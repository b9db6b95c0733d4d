//! Batch normalisation of a (rows, features) batch, by Ioffe and Szegedy, 2015.
//!
//! ```text
//! training     μ = Σ x/m      σ² = Σ (x - μ)²/m      r = 1/√(σ² + ε)      x̂ = (x - μ)·r      y = γ·x̂ + β
//!              ∂β = Σ ∂y      ∂γ = Σ ∂y·x̂      ∂x = γ·r·(∂y - ∂β/m - x̂·∂γ/m)
//! inference    μ and σ² are moving statistics, and constants: ∂x = γ·r·∂y
//! moving       v ← v·(1 - rate) + new·rate
//! ```
//! Statistics and sums run down the columns (a feature is a unit), everything else along the rows, so that a plan takes
//! the rows of a batch from one normalisation to the next in one go, with two barriers for each, forward and backward.
//! A batch of one row has x̂ = 0 and a variance of 0.

use std::ops::Range;

use smallvec::smallvec;

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::kernels::batch_norm::{
    Moving, RowsBackward, Statistics, Sums, column_sums, normalise, normalise_backward, statistics,
};
use crate::launch::{Arguments, Cost, Operand, Operands, launch};
use crate::layout::show;
use crate::ops::lanewise::map_into;
use crate::tape::{Backward, Gradients, Saved};
use crate::tensor::Tensor;

mod fixed;

/// Factor and offset of each feature, either or both left out, and what is added to variances.
#[derive(Clone, Copy)]
pub struct Affine<'a> {
    /// γ, (features,); none means 1.
    pub gamma: Option<&'a Tensor>,
    /// β, (features,); none means 0.
    pub beta: Option<&'a Tensor>,
    /// ε.
    pub epsilon: f64,
}

/// Statistics over many batches, (features,) each, that a training pass moves towards those of its batch.
#[derive(Clone, Copy)]
pub struct MovingStatistics<'a> {
    /// Changed in place.
    pub mean: &'a Tensor,
    /// Changed in place.
    pub variance: &'a Tensor,
    /// Weight of the new value.
    pub rate: f64,
    /// True to take the batch's variance with divisor m - 1 (m where there is one row).
    pub unbiased: bool,
}

/// What both passes keep of the statistics: μ, r and γ·r, (features,) each.
struct Features {
    mean: Tensor,
    inverse: Tensor,
    scale: Tensor,
}

impl Features {
    fn empty(like: &Tensor) -> Result<Self> {
        let new = || Tensor::empty(&like.shape()[1..], like.dtype());
        Ok(Self { mean: new()?, inverse: new()?, scale: new()? })
    }
}

fn check(x: &Tensor, affine: Affine<'_>, moving: [Option<&Tensor>; 2]) -> Result<()> {
    x.dtype().require_float("batch_norm")?;
    if x.ndim() != 2 {
        bail!(Shape, "batch_norm: expected x of shape (rows, features), got {}", show(x.shape()));
    }
    if !(affine.epsilon >= 0.0 && affine.epsilon.is_finite()) {
        bail!(Value, "batch_norm: expected an epsilon of 0 or more, got {}", affine.epsilon);
    }
    let given = [
        ("gamma", affine.gamma),
        ("beta", affine.beta),
        ("moving mean", moving[0]),
        ("moving variance", moving[1]),
    ];
    for (what, tensor) in given {
        let Some(tensor) = tensor else { continue };
        if tensor.shape() != &x.shape()[1..] {
            bail!(
                Shape,
                "batch_norm: expected a {what} of shape {} for x of shape {}, got {}",
                show(&x.shape()[1..]),
                show(x.shape()),
                show(tensor.shape())
            );
        }
        if tensor.dtype() != x.dtype() {
            bail!(
                Type,
                "batch_norm: x is {} but the {what} is {}; convert x with .astype(\"{}\")",
                x.dtype().name(),
                tensor.dtype().name(),
                tensor.dtype().name()
            );
        }
    }
    Ok(())
}

/// Refuses moving statistics that cannot be changed in place.
fn check_state(x: &Tensor, affine: Affine<'_>, moving: MovingStatistics<'_>) -> Result<()> {
    let states = [moving.mean, moving.variance];
    if states.iter().any(|state| state.requires_grad()) {
        bail!(
            State,
            "batch_norm: moving statistics are changed in place and cannot require a gradient"
        );
    }
    if !states.iter().all(|state| state.layout().is_contiguous()) {
        bail!(Value, "batch_norm: moving statistics are changed in place and must be contiguous");
    }
    let apart = |a: &Tensor, b: &Tensor| {
        let (one, other) = (Operand::read(a), Operand::read(b));
        !std::sync::Arc::ptr_eq(a.buffer(), b.buffer())
            || one.extent.end <= other.extent.start
            || other.extent.end <= one.extent.start
    };
    let read = [Some(x), affine.gamma, affine.beta];
    let others =
        states.iter().all(|state| read.iter().flatten().all(|tensor| apart(state, tensor)));
    if !(others && apart(moving.mean, moving.variance)) {
        bail!(
            Value,
            "batch_norm: moving statistics share memory with each other or with an argument"
        );
    }
    if !(0.0..=1.0).contains(&moving.rate) {
        bail!(Value, "batch_norm: expected a rate from 0 to 1, got {}", moving.rate);
    }
    Ok(())
}

/// Takes the statistics of the batch: features are the units.
fn of_batch(
    x: &Tensor,
    affine: Affine<'_>,
    moving: Option<MovingStatistics<'_>>,
) -> Result<Features> {
    let (m, n) = (x.shape()[0], x.shape()[1]);
    let found = Features::empty(x)?;
    let gamma = affine.gamma.map(Tensor::packed).transpose()?;
    let mut operands: Operands = smallvec![
        Operand::read(x),
        Operand::write_own(&found.mean, 1),
        Operand::write_own(&found.inverse, 1),
        Operand::write_own(&found.scale, 1),
    ];
    let has_gamma = gamma.is_some();
    operands.extend(gamma.as_ref().map(|gamma| Operand::read_own(gamma, 1)));
    let first_state = operands.len();
    if let Some(moving) = moving {
        operands.push(Operand::write_own(moving.mean, 1));
        operands.push(Operand::write_own(moving.variance, 1));
    }
    let update = moving.map(|moving| {
        let correction = if moving.unbiased && m > 1 { m as f64 / (m - 1) as f64 } else { 1.0 };
        (moving.rate, correction)
    });
    let epsilon = affine.epsilon;
    // Every element is read twice, the second time from cache.
    let cost = Cost::elementwise(x.count(), 6.0, 1, x.dtype());
    with_float!(x.dtype(), "batch_norm", T => launch("batch_statistics", n, cost, operands,
    move |units: Range<usize>, arguments: &Arguments<'_>| {
        statistics(Statistics::<T> {
            x: arguments.all(0),
            rows: m,
            width: n,
            columns: units.clone(),
            epsilon,
            gamma: has_gamma.then(|| arguments.own(4, &units)),
            mean: arguments.own_mut(1, &units),
            inverse: arguments.own_mut(2, &units),
            scale: arguments.own_mut(3, &units),
            moving: update.map(|(rate, correction)| Moving {
                mean: arguments.own_mut(first_state, &units),
                variance: arguments.own_mut(first_state + 1, &units),
                rate,
                correction,
            }),
        });
    }))?;
    Ok(found)
}

/// μ, r and γ·r of moving statistics: copies, so that they may move on before the backward pass.
fn of_moving(x: &Tensor, affine: Affine<'_>, mean: &Tensor, variance: &Tensor) -> Result<Features> {
    let found = Features::empty(x)?;
    mean.detach().copy_into(&found.mean)?;
    map_into("batch_norm", fixed::Inverse(affine.epsilon), [&variance.detach()], &found.inverse)?;
    match affine.gamma {
        Some(gamma) => {
            map_into(
                "batch_norm",
                fixed::Product,
                [&gamma.detach(), &found.inverse],
                &found.scale,
            )?;
        }
        None => found.inverse.copy_into(&found.scale)?,
    }
    Ok(found)
}

/// y = (x - μ)·scale + β: rows are the units.
fn rows_forward(x: &Tensor, features: &Features, beta: Option<&Tensor>) -> Result<Tensor> {
    let (m, n) = (x.shape()[0], x.shape()[1]);
    let out = Tensor::empty(x.shape(), x.dtype())?;
    let beta = beta.map(Tensor::packed).transpose()?;
    let mut operands: Operands = smallvec![
        Operand::read_own(x, n),
        Operand::write_own(&out, n),
        Operand::read(&features.mean),
        Operand::read(&features.scale),
    ];
    let has_beta = beta.is_some();
    operands.extend(beta.as_ref().map(Operand::read));
    let units = if n == 0 { 0 } else { m };
    let cost = Cost::elementwise(x.count(), 3.0, 2, x.dtype());
    with_float!(x.dtype(), "batch_norm", T => launch("batch_norm", units, cost, operands,
    move |units: Range<usize>, arguments: &Arguments<'_>| {
        let beta = has_beta.then(|| arguments.all::<T>(4));
        let (mean, scale) = (arguments.all(2), arguments.all(3));
        normalise(arguments.own(0, &units), mean, scale, beta, arguments.own_mut(1, &units));
    }))?;
    Ok(out)
}

fn recorded(
    y: Tensor,
    x: &Tensor,
    packed: &Tensor,
    affine: Affine<'_>,
    features: &Features,
    training: bool,
) -> Tensor {
    let mut inputs = vec![x];
    inputs.extend(affine.gamma);
    inputs.extend(affine.beta);
    y.recorded(&inputs, |_| BatchNormBackward {
        x: Saved::new(packed),
        mean: Saved::new(&features.mean),
        inverse: Saved::new(&features.inverse),
        scale: Saved::new(&features.scale),
        has_gamma: affine.gamma.is_some(),
        training,
    })
}

/// Normalises a batch by its own statistics, and moves `moving` towards them if given.
///
/// x is (rows, features) with at least one row; everything else is (features,).
pub fn batch_norm(
    x: &Tensor,
    affine: Affine<'_>,
    moving: Option<MovingStatistics<'_>>,
) -> Result<Tensor> {
    check(x, affine, [moving.map(|m| m.mean), moving.map(|m| m.variance)])?;
    if let Some(moving) = moving {
        check_state(x, affine, moving)?;
    }
    if x.shape()[0] == 0 {
        bail!(
            Value,
            "batch_norm: expected at least one row to take statistics of, got x of shape {}",
            show(x.shape())
        );
    }
    let packed = x.packed()?;
    let features = of_batch(&packed, affine, moving)?;
    let y = rows_forward(&packed, &features, affine.beta)?;
    Ok(recorded(y, x, &packed, affine, &features, true))
}

/// Normalises rows by given statistics, which are constants: each row by itself.
///
/// x is (rows, features); everything else is (features,).
pub fn batch_norm_inference(
    x: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    affine: Affine<'_>,
) -> Result<Tensor> {
    check(x, affine, [Some(mean), Some(variance)])?;
    let packed = x.packed()?;
    let features = of_moving(&packed, affine, mean, variance)?;
    let y = rows_forward(&packed, &features, affine.beta)?;
    Ok(recorded(y, x, &packed, affine, &features, false))
}

struct BatchNormBackward {
    x: Saved,
    mean: Saved,
    inverse: Saved,
    scale: Saved,
    has_gamma: bool,
    training: bool,
}

/// ∂β, ∂γ and what rows need of them, (features,) each.
struct ColumnSums {
    beta: Tensor,
    gamma: Tensor,
    shift: Tensor,
    tilt: Tensor,
}

impl BatchNormBackward {
    /// Sums down the columns: features are the units.
    fn sums(&self, grad: &Tensor) -> Result<ColumnSums> {
        let (x, mean, inverse) = (self.x.get()?, self.mean.get()?, self.inverse.get()?);
        let (m, n) = (x.shape()[0], x.shape()[1]);
        let new = || Tensor::empty(&[n], x.dtype());
        let sums = ColumnSums { beta: new()?, gamma: new()?, shift: new()?, tilt: new()? };
        let operands: Operands = smallvec![
            Operand::read(grad),
            Operand::read(x),
            Operand::read_own(mean, 1),
            Operand::read_own(inverse, 1),
            Operand::write_own(&sums.beta, 1),
            Operand::write_own(&sums.gamma, 1),
            Operand::write_own(&sums.shift, 1),
            Operand::write_own(&sums.tilt, 1),
        ];
        let cost = Cost::elementwise(x.count(), 4.0, 2, x.dtype());
        with_float!(x.dtype(), "batch_norm", T => launch("batch_sums", n, cost, operands,
        move |units: Range<usize>, arguments: &Arguments<'_>| {
            column_sums(Sums::<T> {
                grad: arguments.all(0),
                x: arguments.all(1),
                rows: m,
                width: n,
                columns: units.clone(),
                mean: arguments.own(2, &units),
                inverse: arguments.own(3, &units),
                beta: arguments.own_mut(4, &units),
                gamma: arguments.own_mut(5, &units),
                shift: arguments.own_mut(6, &units),
                tilt: arguments.own_mut(7, &units),
            });
        }))?;
        Ok(sums)
    }

    /// ∂x of a training pass: rows are the units.
    fn rows(&self, grad: &Tensor, sums: &ColumnSums) -> Result<Tensor> {
        let x = self.x.get()?;
        let (m, n) = (x.shape()[0], x.shape()[1]);
        let out = Tensor::empty(x.shape(), x.dtype())?;
        let operands: Operands = smallvec![
            Operand::read_own(grad, n),
            Operand::read_own(x, n),
            Operand::write_own(&out, n),
            Operand::read(self.mean.get()?),
            Operand::read(self.scale.get()?),
            Operand::read(&sums.shift),
            Operand::read(&sums.tilt),
        ];
        let units = if n == 0 { 0 } else { m };
        let cost = Cost::elementwise(x.count(), 5.0, 3, x.dtype());
        with_float!(x.dtype(), "batch_norm", T => launch("batch_norm", units, cost, operands,
        move |units: Range<usize>, arguments: &Arguments<'_>| {
            normalise_backward(RowsBackward::<T> {
                grad: arguments.own(0, &units),
                x: arguments.own(1, &units),
                mean: arguments.all(3),
                scale: arguments.all(4),
                shift: arguments.all(5),
                tilt: arguments.all(6),
                out: arguments.own_mut(2, &units),
            });
        }))?;
        Ok(out)
    }
}

impl Backward for BatchNormBackward {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn backward(&self, grad: &Tensor, needs: &[bool]) -> Result<Gradients> {
        let grad = grad.packed()?;
        let mut out: Gradients = smallvec![None; needs.len()];
        let of_parameters = needs[1..].contains(&true);
        let sums = if of_parameters || self.training { Some(self.sums(&grad)?) } else { None };
        if needs[0] {
            out[0] = Some(match &sums {
                Some(sums) if self.training => self.rows(&grad, sums)?,
                _ => fixed::product(&grad, self.scale.get()?)?,
            });
        }
        if let Some(sums) = sums {
            let beta = if self.has_gamma { 2 } else { 1 };
            if self.has_gamma && needs[1] {
                out[1] = Some(sums.gamma);
            }
            if needs.get(beta) == Some(&true) {
                out[beta] = Some(sums.beta);
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
