"""Metrics of regressions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evengrad.metrics._metric import MeanMetric

if TYPE_CHECKING:
    from evengrad._core import Tensor


class MeanSquaredError(MeanMetric):
    """The mean of (y − p)² over all outputs and rows.

    Examples
    --------
    >>> eg.metrics.MeanSquaredError()([[1.0], [2.0]], [[1.0], [4.0]])
    2.0
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (y − p)²."""
        return (y_pred - y_true.astype(y_pred.dtype)).square()


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of (y − p)², in the unit of y.

    Examples
    --------
    >>> eg.metrics.RootMeanSquaredError()([[1.0], [2.0]], [[1.0], [6.0]])
    2.8284271247461903
    """

    def result(self) -> float:
        """Return the root."""
        return math.sqrt(super().result())


class MeanAbsoluteError(MeanMetric):
    """The mean of |y − p| over all outputs and rows, in the unit of y.

    Examples
    --------
    >>> eg.metrics.MeanAbsoluteError()([[1.0], [2.0]], [[1.0], [4.0]])
    1.0
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return |y − p|."""
        return (y_pred - y_true.astype(y_pred.dtype)).abs()


MSE = MeanSquaredError
MAE = MeanAbsoluteError
RMSE = RootMeanSquaredError
