//! Softmax and the losses, as functions of the module.

use evengrad_core::ops::loss::{self, Reduction};
use evengrad_core::ops::pair_loss;
use evengrad_core::{DType, Tensor as CoreTensor};
use pyo3::prelude::*;

use crate::Any;
use crate::names::choose;
use crate::native_call::{run, run_tensor};
use crate::operand::other_tensor;
use crate::tensor::Tensor;

const REDUCTIONS: [(&str, Reduction); 3] =
    [("mean", Reduction::Mean), ("sum", Reduction::Sum), ("none", Reduction::None)];

/// Scores, target, weights of rows and reduction of a loss; `labels` says whether whole numbers of a target may stay what
/// they are.
fn arguments(
    scores: (&str, &Any<'_>),
    target: &Any<'_>,
    weight: Option<&Any<'_>>,
    reduction: &str,
    labels: bool,
) -> PyResult<(CoreTensor, CoreTensor, Option<CoreTensor>, Reduction)> {
    let reduction = choose("reduction", reduction, &REDUCTIONS)?;
    let scores = other_tensor(scores.0, scores.1, None)?;
    let dtype = scores.dtype();
    let numbers = |argument: &str, given: &Any<'_>| {
        let tensor = other_tensor(argument, given, None)?;
        let whole = labels && argument == "target" && tensor.dtype() == DType::I64;
        if whole || !dtype.is_float() {
            return Ok(tensor);
        }
        run(given.py(), || tensor.cast(dtype))
    };
    let target = numbers("target", target)?;
    let weight = weight.map(|weight| numbers("weight", weight)).transpose()?;
    Ok((scores, target, weight, reduction))
}

/// Shares that sum to one: e^x / Σ e^x along a dimension, without overflow.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     Scores.
/// dim : int
///     The dimension along which the shares sum to one.
///
/// Raises
/// ------
/// IndexError
///     If there is no such dimension.
/// TypeError
///     If the elements are not floating-point numbers.
///
/// Examples
/// --------
/// >>> eg._core.softmax(eg.tensor([[0.0, 0.0]])).tolist()
/// [[0.5, 0.5]]
#[pyfunction]
#[pyo3(signature = (x, dim=-1), text_signature = "(x, dim=-1)")]
pub(crate) fn softmax(x: &Any<'_>, dim: isize) -> PyResult<Tensor> {
    let scores = other_tensor("x", x, None)?;
    run_tensor(x.py(), || scores.softmax(dim))
}

/// The logarithm of the softmax: x - ln Σ e^x along a dimension, accurate where shares are tiny.
///
/// Parameters
/// ----------
/// x : Tensor or array
///     Scores.
/// dim : int
///     The dimension along which the shares sum to one.
///
/// Raises
/// ------
/// IndexError
///     If there is no such dimension.
/// TypeError
///     If the elements are not floating-point numbers.
///
/// Examples
/// --------
/// >>> eg._core.log_softmax(eg.tensor([[1000.0, 0.0]])).tolist()
/// [[0.0, -1000.0]]
#[pyfunction]
#[pyo3(signature = (x, dim=-1), text_signature = "(x, dim=-1)")]
pub(crate) fn log_softmax(x: &Any<'_>, dim: isize) -> PyResult<Tensor> {
    let scores = other_tensor("x", x, None)?;
    run_tensor(x.py(), || scores.log_softmax(dim))
}

/// Cross-entropy of rows of logits: -Σ t·ln softmax(z), from the logits, so that nothing overflows.
///
/// Parameters
/// ----------
/// logits : Tensor or array
///     (rows, classes).
/// target : Tensor or array
///     Labels, ``int64`` of shape (rows,), or probabilities of the logits' shape.
/// label_smoothing : float
///     ε: labels become (1 - ε) for the class plus ε / classes for each.
/// reduction : str
///     ``"mean"`` over the rows, ``"sum"``, or ``"none"`` for a loss for each row.
/// weight : Tensor or array, optional
///     (rows,): factors of the rows' losses. The mean still divides by the number of rows.
///
/// Raises
/// ------
/// ValueError
///     If shapes do not fit, a label is no class, or the reduction is unknown.
///
/// Examples
/// --------
/// >>> logits = eg.tensor([[0.0, 0.0], [10.0, 0.0]])
/// >>> eg._core.cross_entropy(logits, [0, 1], reduction="none").numpy().round(4)
/// array([ 0.6931, 10.    ], dtype=float32)
#[pyfunction]
#[pyo3(signature = (logits, target, label_smoothing=0.0, reduction="mean", weight=None))]
pub(crate) fn cross_entropy(
    logits: &Any<'_>,
    target: &Any<'_>,
    label_smoothing: f64,
    reduction: &str,
    weight: Option<&Any<'_>>,
) -> PyResult<Tensor> {
    let py = logits.py();
    let (z, target, weight, reduction) =
        arguments(("logits", logits), target, weight, reduction, true)?;
    run_tensor(py, || loss::cross_entropy(&z, &target, label_smoothing, weight.as_ref(), reduction))
}

/// Logistic cross-entropy of each logit: max(z, 0) - z·t + ln(1 + e^(-|z|)).
///
/// Parameters
/// ----------
/// logits : Tensor or array
///     Of any shape.
/// target : Tensor or array
///     Of the same shape, from 0 to 1.
/// reduction : str
///     ``"mean"`` over the elements, ``"sum"``, or ``"none"``.
/// weight : Tensor or array, optional
///     (rows,): factors of the rows' losses. The mean still divides by the number of elements.
///
/// Raises
/// ------
/// ValueError
///     If shapes do not fit, or the reduction is unknown.
///
/// Examples
/// --------
/// >>> logits = eg.tensor([1000.0, -1000.0])
/// >>> eg._core.binary_cross_entropy_with_logits(logits, [1.0, 1.0], "none").tolist()
/// [0.0, 1000.0]
#[pyfunction]
#[pyo3(signature = (logits, target, reduction="mean", weight=None))]
pub(crate) fn binary_cross_entropy_with_logits(
    logits: &Any<'_>,
    target: &Any<'_>,
    reduction: &str,
    weight: Option<&Any<'_>>,
) -> PyResult<Tensor> {
    let py = logits.py();
    let (z, target, weight, reduction) =
        arguments(("logits", logits), target, weight, reduction, false)?;
    run_tensor(py, || {
        pair_loss::binary_cross_entropy_with_logits(&z, &target, weight.as_ref(), reduction)
    })
}

/// The squared difference of each element: (prediction - target)².
///
/// Parameters
/// ----------
/// prediction : Tensor or array
///     Of any shape.
/// target : Tensor or array
///     Of the same shape.
/// reduction : str
///     ``"mean"`` over the elements, ``"sum"``, or ``"none"``.
/// weight : Tensor or array, optional
///     (rows,): factors of the rows' losses. The mean still divides by the number of elements.
///
/// Raises
/// ------
/// ValueError
///     If shapes do not fit, or the reduction is unknown.
///
/// Examples
/// --------
/// >>> eg._core.mse_loss(eg.tensor([1.0, 2.0]), [1.0, 4.0]).item()
/// 2.0
#[pyfunction]
#[pyo3(signature = (prediction, target, reduction="mean", weight=None))]
pub(crate) fn mse_loss(
    prediction: &Any<'_>,
    target: &Any<'_>,
    reduction: &str,
    weight: Option<&Any<'_>>,
) -> PyResult<Tensor> {
    let py = prediction.py();
    let (x, target, weight, reduction) =
        arguments(("prediction", prediction), target, weight, reduction, false)?;
    run_tensor(py, || pair_loss::mse_loss(&x, &target, weight.as_ref(), reduction))
}
