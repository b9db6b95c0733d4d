"""Losses of errors beside the size of the targets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evengrad.losses._functions import function_of
from evengrad.losses._loss import EPSILON, Loss

if TYPE_CHECKING:
    from evengrad._core import Tensor


class MeanAbsolutePercentageError(Loss):
    """The absolute difference in percent of the target: 100 · |y − p| / |y|, mean over all.

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
    nothing is broadcast. A target nearer to 0 than 10⁻⁷ counts as that far from it, as in Keras: a
    single one outweighs all others. The prediction that makes it least lies below the median of the
    targets, for it is cheaper to predict too little than too much.

    References
    ----------
    Hyndman and Koehler, "Another look at measures of forecast accuracy", 2006.

    Examples
    --------
    >>> eg.losses.MeanAbsolutePercentageError()([[2.0], [4.0]], [[1.0], [5.0]]).item()
    37.5
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 100 · |y − p| / |y|."""
        targets = y_true.astype(y_pred.dtype)
        return (y_pred - targets).abs() / targets.abs().clamp(EPSILON, math.inf) * 100.0


class MeanSquaredLogarithmicError(Loss):
    """The squared difference of logarithms: (ln(1 + y) − ln(1 + p))², mean over all.

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
    For counts and amounts over several orders of magnitude: twice as much costs the same as half as
    much. Targets and predictions of one shape; in a model, targets (rows,) are taken for (rows, 1);
    nothing is broadcast. What is below 10⁻⁷, negative numbers among it, counts as 10⁻⁷, as in
    Keras, and predictions there have no gradient: end the model in ``"softplus"`` or
    ``"exponential"``.

    References
    ----------
    Tofallis, "A better measure of relative prediction accuracy for model selection and model
    estimation", 2015.

    Examples
    --------
    >>> loss = eg.losses.MeanSquaredLogarithmicError()
    >>> round(loss([[1.0], [3.0]], [[3.0], [3.0]]).item(), 4)
    0.2402
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return (ln(1 + y) − ln(1 + p))²."""
        targets = y_true.astype(y_pred.dtype).clamp(EPSILON, math.inf)
        return (y_pred.clamp(EPSILON, math.inf).log1p() - targets.log1p()).square()


mean_absolute_percentage_error = function_of(
    MeanAbsolutePercentageError, "[[2.0], [4.0]], [[1.0], [5.0]]", "[50.0, 25.0]"
)
mean_squared_logarithmic_error = function_of(
    MeanSquaredLogarithmicError, "[[1.0], [3.0]], [[3.0], [3.0]]", "[0.4805, 0.0]"
)
MAPE = MeanAbsolutePercentageError
mape = mean_absolute_percentage_error
MSLE = MeanSquaredLogarithmicError
msle = mean_squared_logarithmic_error
