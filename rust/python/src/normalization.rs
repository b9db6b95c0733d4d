//! Normalization of batches and of rows as functions of the module.

use evengrad_core::ops::batch_norm::{
    Affine, MovingStatistics, batch_norm as core_batch_norm, batch_norm_inference,
};
use evengrad_core::ops::layer_norm::layer_norm as core_layer_norm;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::Any;
use crate::native_call::run_tensor;
use crate::operand::other_tensor;
use crate::tensor::Tensor;

/// Batch normalization over rows: gamma·(x - mean)/√(variance + epsilon) + beta, feature by feature.
///
/// In training mean and (biased) variance are those of the batch, and moving statistics, where given, become
/// ``moving·(1 - rate) + batch·rate``, in place. Otherwise mean and variance are the moving statistics, as constants.
///
/// Parameters
/// ----------
/// x : Tensor
///     (rows, features).
/// gamma, beta : Tensor, optional
///     (features,); 1 and 0 if None.
/// moving_mean, moving_variance : Tensor, optional
///     (features,), both or neither; needed unless training.
/// training : bool
///     Whether to normalize by the statistics of this batch.
/// rate : float
///     From 0 to 1: the weight of this batch in the moving statistics.
/// unbiased : bool
///     Whether the moving variance takes the batch's variance with divisor rows - 1.
/// epsilon : float
///     0 or more.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit, there is no row to take statistics of, or moving statistics are missing.
/// TypeError
///     If the dtypes differ.
/// RuntimeError
///     If moving statistics that are to be changed require a gradient.
///
/// References
/// ----------
/// Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
/// 2015.
///
/// Examples
/// --------
/// >>> mean, variance = eg.zeros((1,)), eg.ones((1,))
/// >>> x = eg.tensor([[-1.0], [1.0]])
/// >>> eg._core.batch_norm(x, None, None, mean, variance, True, rate=0.5, epsilon=3.0).tolist()
/// [[-0.5], [0.5]]
/// >>> eg._core.batch_norm(x + 1.0, None, None, mean, variance, False, epsilon=3.0).tolist()
/// [[0.0], [1.0]]
#[pyfunction]
#[pyo3(signature = (x, gamma=None, beta=None, moving_mean=None, moving_variance=None, training=false, rate=0.01,
    unbiased=false, epsilon=1e-3))]
#[allow(clippy::too_many_arguments, reason = "they are Python's, by name")]
pub(crate) fn batch_norm(
    x: &Any<'_>,
    gamma: Option<&Any<'_>>,
    beta: Option<&Any<'_>>,
    moving_mean: Option<&Bound<'_, Tensor>>,
    moving_variance: Option<&Bound<'_, Tensor>>,
    training: bool,
    rate: f64,
    unbiased: bool,
    epsilon: f64,
) -> PyResult<Tensor> {
    let (py, x) = (x.py(), other_tensor("x", x, None)?);
    let gamma = gamma.map(|gamma| other_tensor("gamma", gamma, None)).transpose()?;
    let beta = beta.map(|beta| other_tensor("beta", beta, None)).transpose()?;
    let moving = match (moving_mean, moving_variance) {
        (Some(mean), Some(variance)) => Some((&mean.get().0, &variance.get().0)),
        (None, None) if training => None,
        _ => {
            return Err(PyValueError::new_err(
                "batch_norm: expected moving_mean and moving_variance, both, or neither in training",
            ));
        }
    };
    let affine = || Affine { gamma: gamma.as_ref(), beta: beta.as_ref(), epsilon };
    run_tensor(py, || match moving {
        Some((mean, variance)) if !training => batch_norm_inference(&x, mean, variance, affine()),
        _ => {
            let moving =
                moving.map(|(mean, variance)| MovingStatistics { mean, variance, rate, unbiased });
            core_batch_norm(&x, affine(), moving)
        }
    })
}

/// Layer normalization of rows: gamma·(x - mean)/√(variance + epsilon) + beta.
///
/// Mean and (biased) variance are those of each row: of the last dimensions of x, which have ``width`` elements.
///
/// Parameters
/// ----------
/// x : Tensor
///     (..., width), or with as many elements in the last dimensions.
/// width : int
///     Elements of a row.
/// gamma, beta : Tensor, optional
///     ``width`` elements; 1 and 0 if None.
/// epsilon : float
///     0 or more.
///
/// Raises
/// ------
/// ValueError
///     If the shapes do not fit.
/// TypeError
///     If the dtypes differ.
///
/// References
/// ----------
/// Ba, Kiros and Hinton, "Layer normalization", 2016.
///
/// Examples
/// --------
/// >>> eg._core.layer_norm(eg.tensor([[0.0, 2.0], [10.0, -30.0]]), 2, epsilon=0.0).tolist()
/// [[-1.0, 1.0], [1.0, -1.0]]
#[pyfunction]
#[pyo3(signature = (x, width, gamma=None, beta=None, epsilon=1e-5))]
pub(crate) fn layer_norm(
    x: &Any<'_>,
    width: usize,
    gamma: Option<&Any<'_>>,
    beta: Option<&Any<'_>>,
    epsilon: f64,
) -> PyResult<Tensor> {
    let (py, x) = (x.py(), other_tensor("x", x, None)?);
    let gamma = gamma.map(|gamma| other_tensor("gamma", gamma, None)).transpose()?;
    let beta = beta.map(|beta| other_tensor("beta", beta, None)).transpose()?;
    let affine = Affine { gamma: gamma.as_ref(), beta: beta.as_ref(), epsilon };
    run_tensor(py, || core_layer_norm(&x, width, affine))
}
