//! Batch normalization of a (rows, features) batch, by Ioffe and Szegedy, 2015.
//!
//! ```text
//! training     μ = Σ x/m      σ² = Σ (x - μ)²/m      r = 1/√(σ² + ε)      x̂ = (x - μ)·r      y = γ·x̂ + β
//!              ∂β = Σ ∂y      ∂γ = Σ ∂y·x̂      ∂x = γ·r·(∂y - ∂β/m - x̂·∂γ/m)
//! inference    μ and σ² are moving statistics, and constants: ∂x = γ·r·∂y
//! moving       v ← v·(1 - rate) + new·rate
//! ```
//! Statistics and sums are taken of chunks of rows, where a size of chunks divides the batch, and joined by features;
//! everything else goes along the rows. So a plan takes the rows of a batch from one normalization to the next in one go,
//! with one barrier for each, forward and backward.
//! A batch of one row has x̂ = 0 and a variance of 0.

use smallvec::smallvec;

use crate::dtype::with_float;
use crate::error::{Result, bail};
use crate::kernels::batch_norm::{
    Moving, Statistics, StatisticsOf, chunk_moments, chunk_rows, normalize, statistics,
};
use crate::launch::{Cost, Operand, Operands, launch};
use crate::layout::show;
use crate::ops::lanewise::map_into;
use crate::tape::Saved;
use crate::tensor::Tensor;

mod backward;
mod fixed;

use backward::BatchNormBackward;

/// Bytes of a batch that fits no core's own cache.
const LARGE: usize = 4 << 20;

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

impl<'a> Affine<'a> {
    pub(super) fn check_epsilon(&self, operation: &str) -> Result<()> {
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            bail!(Value, "{operation}: expected an epsilon of 0 or more, got {}", self.epsilon);
        }
        Ok(())
    }

    /// What the result depends on.
    pub(super) fn inputs(&self, x: &'a Tensor) -> Vec<&'a Tensor> {
        [Some(x), self.gamma, self.beta].into_iter().flatten().collect()
    }
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
    affine.check_epsilon("batch_norm")?;
    let given = [
        ("gamma", affine.gamma),
        ("beta", affine.beta),
        ("moving mean", moving[0]),
        ("moving variance", moving[1]),
    ];
    for (what, tensor) in given {
        let Some(tensor) = tensor else { continue };
        if tensor.shape() != &x.shape()[1..] {
            let (features, x) = (show(&x.shape()[1..]), show(x.shape()));
            bail!(
                Shape,
                "batch_norm: expected a {what} of shape {features} for x of shape {x}, got {}",
                show(tensor.shape())
            );
        }
        x.dtype().require_of("batch_norm", what, tensor.dtype())?;
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

/// The first half of the statistics, for chunks of rows: those are the work items. None where no size of chunks divides
/// the batch.
fn moments_of_chunks(x: &Tensor) -> Result<Option<Tensor>> {
    let (m, n) = (x.shape()[0], x.shape()[1]);
    let Some(rows) = chunk_rows(m).filter(|_| n > 0) else { return Ok(None) };
    let out = Tensor::empty(&[m / rows, 2, n], x.dtype())?;
    let operands = smallvec![Operand::read_own(x, rows * n), Operand::write_own(&out, 2 * n)];
    let ahead = x.count() * x.dtype().size() > LARGE;
    // Every element is read twice, the second time from cache.
    let cost = Cost::elementwise(x.count(), 6.0, 1, x.dtype());
    with_float!(x.dtype(), "batch_norm", T => launch("batch_moments", m / rows, cost, operands,
    move |items, arguments| {
        chunk_moments(arguments.own::<T>(0, &items), rows, n, ahead, arguments.own_mut(1, &items));
    }))?;
    Ok(Some(out))
}

/// Takes the statistics of the batch: features are the work items.
fn of_batch(
    x: &Tensor,
    affine: Affine<'_>,
    moving: Option<MovingStatistics<'_>>,
) -> Result<Features> {
    let (m, n) = (x.shape()[0], x.shape()[1]);
    let found = Features::empty(x)?;
    let chunks = moments_of_chunks(x)?;
    let from = chunks.as_ref().unwrap_or(x);
    let chunked = chunks.is_some();
    let gamma = affine.gamma.map(Tensor::packed).transpose()?;
    let mut operands: Operands = smallvec![
        Operand::read(from),
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
    let cost = Cost::elementwise(from.count(), 6.0, 1, x.dtype());
    with_float!(x.dtype(), "batch_norm", T => launch("batch_statistics", n, cost, operands,
    move |items, arguments| {
        let all = arguments.all(0);
        statistics(Statistics::<T> {
            of: if chunked { StatisticsOf::Chunks(all) } else { StatisticsOf::Rows(all) },
            rows: m,
            width: n,
            columns: items.clone(),
            epsilon,
            gamma: has_gamma.then(|| arguments.own(4, &items)),
            mean: arguments.own_mut(1, &items),
            inverse: arguments.own_mut(2, &items),
            scale: arguments.own_mut(3, &items),
            moving: update.map(|(rate, correction)| Moving {
                mean: arguments.own_mut(first_state, &items),
                variance: arguments.own_mut(first_state + 1, &items),
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

/// y = (x - μ)·scale + β: rows are the work items.
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
    let items = if n == 0 { 0 } else { m };
    let cost = Cost::elementwise(x.count(), 3.0, 2, x.dtype());
    with_float!(x.dtype(), "batch_norm", T => launch("batch_norm", items, cost, operands,
    move |items, arguments| {
        let beta = has_beta.then(|| arguments.all::<T>(4));
        let (mean, scale) = (arguments.all(2), arguments.all(3));
        normalize(arguments.own(0, &items), mean, scale, beta, arguments.own_mut(1, &items));
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
    y.recorded("batch_norm", &affine.inputs(x), |_| BatchNormBackward {
        x: Saved::new(packed),
        mean: Saved::new(&features.mean),
        inverse: Saved::new(&features.inverse),
        scale: Saved::new(&features.scale),
        has_gamma: affine.gamma.is_some(),
        training,
    })
}

/// Normalizes a batch by its own statistics, and moves `moving` towards them if given.
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

/// Normalizes rows by given statistics, which are constants: each row by itself.
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

#[cfg(test)]
mod tests;
