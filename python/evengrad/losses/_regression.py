"""Losses of regressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.losses._loss import Loss

if TYPE_CHECKING:
    from evengrad._core import Tensor


class MeanSquaredError(Loss):
    """The squared difference: (y − p)², mean over all outputs and rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Notes
    -----
    Targets and predictions of one shape. In a model, targets (rows,) are taken for (rows, 1);
    nothing is broadcast.

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

    Notes
    -----
    Targets and predictions of one shape. In a model, targets (rows,) are taken for (rows, 1);
    nothing is broadcast. The derivative at zero is 0.

    Examples
    --------
    >>> eg.losses.MeanAbsoluteError()([[1.0], [2.0]], [[1.0], [4.0]]).item()
    1.0
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return |y − p|."""
        return (y_pred - y_true.astype(y_pred.dtype)).abs()


MSE = MeanSquaredError
MAE = MeanAbsoluteError
