"""Losses of regressions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad._tensor.norms import scaled
from evengrad.losses._functions import function_of
from evengrad.losses._loss import Loss

if TYPE_CHECKING:
    from evengrad._core import Tensor


class MeanSquaredError(Loss):
    """The squared difference: (y − p)², mean over all outputs and rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: targets that are not finite, shapes that differ.

    Notes
    -----
    Targets and predictions of one shape. In a model, targets (rows,) are taken for (rows, 1);
    nothing is broadcast. The prediction that makes it least is the mean of the targets.

    References
    ----------
    Bishop, "Pattern recognition and machine learning", 2006, section 1.5.5.

    Examples
    --------
    >>> eg.losses.MeanSquaredError()([[1.0], [2.0]], [[1.0], [4.0]]).item()
    2.0
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (y − p)²."""
        return (y_pred - y_true.astype(y_pred.dtype)).square()


class MeanAbsoluteError(Loss):
    """The absolute difference: |y − p|, mean over all outputs and rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: targets that are not finite, shapes that differ.

    Notes
    -----
    Targets and predictions of one shape. In a model, targets (rows,) are taken for (rows, 1);
    nothing is broadcast. The derivative at zero is 0. The prediction that makes it least is the
    median of the targets.

    References
    ----------
    Bishop, "Pattern recognition and machine learning", 2006, section 1.5.5.

    Examples
    --------
    >>> eg.losses.MeanAbsoluteError()([[1.0], [2.0]], [[1.0], [4.0]]).item()
    1.0
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return |y − p|."""
        return (y_pred - y_true.astype(y_pred.dtype)).abs()


class Huber(Loss):
    """The squared error near 0, the absolute one beyond: mean over all outputs and rows.

    With e = p − y: e² / 2 where |e| ≤ δ, else δ · (|e| − δ / 2).

    Parameters
    ----------
    delta
        δ, above 0.
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        `delta` is not above 0, an unknown reduction. From a call or `fit`: targets that are not
        finite, shapes that differ.

    Notes
    -----
    Targets and predictions of one shape. In a model, targets (rows,) are taken for (rows, 1);
    nothing is broadcast.

    References
    ----------
    Huber, "Robust estimation of a location parameter", 1964.

    Examples
    --------
    >>> eg.losses.Huber()([[0.0], [0.0]], [[0.5], [-3.0]]).item()
    1.3125
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.delta = check_float(delta, "delta", low=0.0, open_low=True, open_high=True)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return c · (|e| − c / 2) with c = min(|e|, δ): both branches, without a large square."""
        size = (y_pred - y_true.astype(y_pred.dtype)).abs()
        held = size.clamp(0.0, self.delta)
        return held * (size - held * 0.5)


class LogCosh(Loss):
    """ln cosh(p − y), mean over all outputs and rows: e² / 2 near 0, |e| − ln 2 far away.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: targets that are not finite, shapes that differ.

    Notes
    -----
    Targets and predictions of one shape. In a model, targets (rows,) are taken for (rows, 1);
    nothing is broadcast. The derivative is tanh(p − y).

    References
    ----------
    Saleh and Saleh, "Statistical properties of the log-cosh loss function used in machine
    learning", 2022.

    Examples
    --------
    >>> eg.losses.LogCosh()([[0.0]], [[64.0]]).item()
    63.30685281944005
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return ln cosh e, exact at both ends."""
        error = y_pred - y_true.astype(y_pred.dtype)
        size = error.abs()
        # −½ ln(1 − tanh² e) keeps its digits near 0, |e| + ln(1 + e^(−2|e|)) − ln 2 far from it.
        near = (-error.clamp(-1.0, 1.0).tanh().square()).log1p() * -0.5
        far = size + (size * -2.0).exp().log1p() - math.log(2.0)
        return _core.where(size <= 1.0, near, far)


class CosineSimilarity(Loss):
    """The cosine of the angle between target and prediction, negated: −Σ y · p / (‖y‖ ‖p‖).

    −1 where both point the same way, 0 at a right angle, 1 where they are opposed.

    Parameters
    ----------
    axis
        The dimension that holds the features, the last by default; not that of the rows.
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: targets that are not finite, shapes that differ;
        an `axis` that the predictions do not have, or that is that of the rows.

    Notes
    -----
    Targets and predictions: (rows, ..., features). Zeros have the cosine 0 with everything.

    References
    ----------
    Salton, Wong and Yang, "A vector space model for automatic indexing", 1975.

    Examples
    --------
    >>> loss = eg.losses.CosineSimilarity(reduction="none")
    >>> loss([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], [[5.0, 0.0], [0.0, 2.0], [1.0, 1.0]]).tolist()
    [-1.0, 0.0, 0.0]
    """

    def __init__(
        self, axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction, name)
        self.axis = check_int(axis, "axis", at_least=-8)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return −cos of each row."""
        axis = self.axis + y_pred.ndim if self.axis < 0 else self.axis
        if not 0 < axis < y_pred.ndim:
            raise ValueError(
                f"{self.name}: axis: expected a dimension of {tuple(y_pred.shape)} after that of "
                f"the rows, got {self.axis}"
            )
        return 0.0 - (unit(y_true.astype(y_pred.dtype), axis) * unit(y_pred, axis)).sum(dim=axis)


def unit(x: Tensor, axis: int) -> Tensor:
    """Return vectors of length 1, and zeros as they are; no square overflows."""
    # Lengths do not matter to the result, so that the divisor needs no gradient.
    _, shares = scaled(x, axis)
    square = shares.square().sum(dim=axis, keepdim=True)
    return shares / _core.where(square == 0.0, 1.0, square).sqrt()


mean_squared_error = function_of(MeanSquaredError, "[[1.0, 2.0]], [[1.0, 4.0]]", "[2.0]")
mean_absolute_error = function_of(MeanAbsoluteError, "[[1.0, 2.0]], [[1.0, 4.0]]", "[1.0]")
huber = function_of(Huber, "[[0.0], [0.0]], [[0.5], [-3.0]]", "[0.125, 2.5]")
log_cosh = function_of(LogCosh, "[[0.0], [0.0]], [[0.0], [64.0]]", "[0.0, 63.3069]")
cosine_similarity = function_of(
    CosineSimilarity, "[[1.0, 0.0], [1.0, 0.0]], [[5.0, 0.0], [0.0, 2.0]]", "[-1.0, 0.0]"
)
MSE = MeanSquaredError
mse = mean_squared_error
MAE = MeanAbsoluteError
mae = mean_absolute_error
