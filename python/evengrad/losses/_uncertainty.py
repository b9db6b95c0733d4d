"""Losses of regressions that predict more than a mean: quantiles, and how sure they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.losses._functions import function_of
from evengrad.losses._loss import Loss

if TYPE_CHECKING:
    import numpy as np

    from evengrad._core import Tensor


class Quantile(Loss):
    """The pinball loss: max(q · (y − p), (q − 1) · (y − p)), mean over all.

    The prediction that makes it least is the q-quantile of the targets: the value that a share q of
    them lies below. Two quantiles, such as 0.05 and 0.95, are an interval of 90 %.

    Parameters
    ----------
    quantile
        q, in (0, 1); 0.5, the median, by default. Several in a list: one for each output, and a
        single column of targets is for all of them.
    reduction, name
        As for every `Loss`.

    Raises
    ------
    TypeError
        A quantile that is no number.
    ValueError
        A quantile outside (0, 1), no quantiles, an unknown reduction. From a call or `fit`: targets
        that are not finite, shapes that differ, outputs that are not as many as quantiles.

    Notes
    -----
    Targets and predictions of one shape, (rows, outputs); with several quantiles targets (rows,) or
    (rows, 1) serve too. The derivative where y = p is 0. Quantiles that are trained separately may
    cross: sort the predictions.

    References
    ----------
    Koenker and Bassett, "Regression quantiles", 1978.

    Examples
    --------
    >>> eg.losses.Quantile(0.9)([[1.0], [1.0]], [[0.0], [2.0]]).item()
    0.5
    >>> round(eg.losses.Quantile([0.1, 0.9])([[1.0]], [[0.0, 2.0]]).item(), 4)
    0.1
    """

    def __init__(
        self,
        quantile: float | list[float] = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        several = isinstance(quantile, (list, tuple))
        given = list(quantile) if isinstance(quantile, (list, tuple)) else [quantile]
        if not given:
            raise ValueError("quantile: expected one number or more, got none")
        checked = [
            check_float(one, "quantile", low=0.0, high=1.0, open_low=True, open_high=True)
            for one in given
        ]
        self.quantile: float | list[float] = checked if several else checked[0]

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return q · e where e = y − p is above 0, else (q − 1) · e."""
        error = y_true.astype(y_pred.dtype) - y_pred
        share = _core.tensor(self.quantile, dtype=y_pred.dtype)
        return error * share + (-error).relu()

    def _count(self) -> int | None:
        """Return how many quantiles there are, or None for one that all outputs share."""
        return len(self.quantile) if isinstance(self.quantile, list) else None

    def _check_shapes(self, targets: Tensor, predictions: Tensor) -> None:
        count = self._count()
        if count is None:
            super()._check_shapes(targets, predictions)
            return
        shape = tuple(predictions.shape)
        if not shape or shape[-1] != count:
            raise ValueError(
                f"{self.name}: expected an output for each of {count} quantiles, got predictions "
                f"of shape {shape}"
            )
        if tuple(targets.shape) not in (shape, (*shape[:-1], 1)):
            raise ValueError(
                f"{self.name}: expected targets in the shape of the predictions, {shape}, or "
                f"{(*shape[:-1], 1)}, got {tuple(targets.shape)}; reshape one of them"
            )

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return targets of one column, or of one for each output; see `Loss`."""
        count = self._count()
        if count is None:
            return super().check_target(y, output_shape, what, dtype)
        if output_shape[-1] != count:
            raise ValueError(
                f"{self.name}: expected an output for each of {count} quantiles, got a model with "
                f"outputs of shape {output_shape}; give the last layer {count} units"
            )
        if y.shape[1:] != output_shape[1:]:
            output_shape = (*output_shape[:-1], 1)
        return super().check_target(y, output_shape, what, dtype)


class GaussianNegativeLogLikelihood(Loss):
    """Mean and variance of a normal distribution: ½ · (ln σ² + (y − μ)² / σ²), mean over all.

    The model says how sure it is: it puts out means μ and as many logarithms of variances, ln σ²,
    behind them, so that its last layer has twice as many units as there are targets.

    Parameters
    ----------
    epsilon
        What variances are at least, above 0.
    full
        Whether the constant ½ · ln 2π is added, so that values are true likelihoods.
    reduction, name
        As for every `Loss`.

    Raises
    ------
    TypeError
        A setting of another type.
    ValueError
        `epsilon` is not above 0, an unknown reduction. From a call or `fit`: targets that are not
        finite, or that are not half as many as the outputs.

    Notes
    -----
    Targets (rows, k), predictions (rows, 2k); in a model, targets (rows,) are taken for (rows, 1).
    Logarithms of variances are used as they are down to ln ε; below it they have no gradient. A net
    that lowers its variances before its means are right trains slowly: begin with a few epochs of
    the mean squared error, or with a small learning rate. PyTorch's `GaussianNLLLoss` takes
    variances, in an argument of their own.

    References
    ----------
    Nix and Weigend, "Estimating the mean and variance of the target probability distribution",
    1994.

    Examples
    --------
    >>> loss = eg.losses.GaussianNegativeLogLikelihood()
    >>> loss([[1.0]], [[3.0, 0.0]]).item()
    2.0
    """

    def __init__(
        self,
        epsilon: float = 1e-6,
        full: bool = False,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.epsilon = check_float(epsilon, "epsilon", low=0.0, open_low=True, open_high=True)
        if not isinstance(full, bool):
            raise TypeError(f"full: expected True or False, got {full!r}")
        self.full = full

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return ½ · (ln σ² + (y − μ)² / σ²)."""
        count = y_pred.shape[-1] // 2
        mean = y_pred[..., :count]
        logarithm = y_pred[..., count:].clamp(math.log(self.epsilon), math.inf)
        error = (y_true.astype(y_pred.dtype) - mean).square()
        values = (logarithm + error * (-logarithm).exp()) * 0.5
        return values + 0.5 * math.log(2.0 * math.pi) if self.full else values

    def _check_shapes(self, targets: Tensor, predictions: Tensor) -> None:
        expected = (*targets.shape[:-1], 2 * targets.shape[-1]) if targets.ndim else None
        if tuple(predictions.shape) != expected:
            raise ValueError(
                f"{self.name}: expected a mean and a logarithm of a variance for each target, "
                f"predictions of shape {expected}, got {tuple(predictions.shape)}"
            )

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return targets that are half as many as the outputs; see `Loss`."""
        outputs = output_shape[-1]
        if outputs is None or outputs % 2:
            raise ValueError(
                f"{self.name}: expected outputs in even number, means and as many logarithms of "
                f"variances, got a model with outputs of shape {output_shape}; give the last layer "
                "two units for each target"
            )
        return super().check_target(y, (*output_shape[:-1], outputs // 2), what, dtype)


quantile = function_of(Quantile, "[[1.0], [1.0]], [[0.0], [2.0]], 0.9", "[0.9, 0.1]")
gaussian_negative_log_likelihood = function_of(
    GaussianNegativeLogLikelihood, "[[1.0]], [[3.0, 0.0]]", "[2.0]"
)
Pinball = Quantile
pinball = quantile
