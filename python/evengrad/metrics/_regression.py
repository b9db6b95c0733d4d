"""Metrics of regressions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core, losses
from evengrad._common.checks import check_int
from evengrad._common.names import choose
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._loss import as_floats
from evengrad.metrics._metric import (
    OutputsMetric,
    as_targets,
    masked,
    same_shape,
    weighted_sum,
)
from evengrad.metrics._of_losses import LossMetric

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor


class MeanSquaredError(LossMetric):
    """The mean of (y − p)² over all outputs and rows.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ.

    Notes
    -----
    Targets and predictions of one shape, (rows, ...); a last dimension of 1 may be left out of the
    targets. Predictions count as the model puts them out.

    Examples
    --------
    >>> eg.metrics.MeanSquaredError()([[1.0], [2.0]], [[1.0], [4.0]])
    2.0
    """

    _kind = losses.MeanSquaredError


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of (y − p)², in the unit of y.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ.

    Notes
    -----
    Targets and predictions of one shape, (rows, ...); a last dimension of 1 may be left out of the
    targets. Predictions count as the model puts them out. The root is that of the mean over
    all batches, not a mean of the batches' roots.

    Examples
    --------
    >>> eg.metrics.RootMeanSquaredError()([[1.0], [2.0]], [[1.0], [6.0]])
    2.8284271247461903
    """

    def result(self) -> float:
        """Return the root."""
        return math.sqrt(super().result())


class MeanAbsoluteError(LossMetric):
    """The mean of |y − p| over all outputs and rows, in the unit of y.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ.

    Notes
    -----
    Targets and predictions of one shape, (rows, ...); a last dimension of 1 may be left out of the
    targets. Predictions count as the model puts them out.

    Examples
    --------
    >>> eg.metrics.MeanAbsoluteError()([[1.0], [2.0]], [[1.0], [4.0]])
    1.0
    """

    _kind = losses.MeanAbsoluteError


class MeanAbsolutePercentageError(LossMetric):
    """The mean of 100 · |y − p| / |y| over all outputs and rows, in percent.

    Targets smaller than 10⁻⁷ count as 10⁻⁷, so that the figure stays finite; it says little where
    targets are near 0.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ.

    Notes
    -----
    Targets and predictions of one shape, (rows, ...); a last dimension of 1 may be left out of the
    targets. Predictions count as the model puts them out.

    Examples
    --------
    >>> eg.metrics.MeanAbsolutePercentageError()([[1.0], [4.0]], [[1.5], [3.0]])
    37.5
    """

    _kind = losses.MeanAbsolutePercentageError


class MeanSquaredLogarithmicError(LossMetric):
    """The mean of (ln(1 + y) − ln(1 + p))² over all outputs and rows.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ, targets that are not finite.

    Notes
    -----
    Targets and predictions of one shape, (rows, ...); a last dimension of 1 may be left out of the
    targets. What is below 10⁻⁷ counts as 10⁻⁷, as in `losses.MeanSquaredLogarithmicError`.

    Examples
    --------
    >>> metric = eg.metrics.MeanSquaredLogarithmicError()
    >>> round(metric([[1.0], [3.0]], [[3.0], [3.0]]), 4)
    0.2402
    """

    _kind = losses.MeanSquaredLogarithmicError


class LogCoshError(LossMetric):
    """The mean of ln cosh(p − y) over all outputs and rows.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ, targets that are not finite.

    Notes
    -----
    Targets and predictions of one shape, (rows, ...); a last dimension of 1 may be left out of the
    targets. The loss of it is `losses.LogCosh`.

    Examples
    --------
    >>> round(eg.metrics.LogCoshError()([[0.0], [0.0]], [[0.0], [64.0]]), 4)
    31.6534
    """

    _kind = losses.LogCosh


class CosineSimilarity(LossMetric):
    """The mean cosine of the angle between target and prediction: Σ y · p / (‖y‖ ‖p‖).

    1 where both point the same way, 0 at a right angle, −1 where they are opposed; the loss of that
    name is its negative.

    Parameters
    ----------
    name
        The name in reports.
    axis
        The dimension that holds the features; not that of the rows.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ, targets that are not finite, an `axis` that the
        predictions do not have.

    Notes
    -----
    Targets and predictions: (rows, ..., features). Zeros have the cosine 0 with everything.

    Examples
    --------
    >>> eg.metrics.CosineSimilarity()([[1.0, 0.0], [1.0, 0.0]], [[5.0, 0.0], [0.0, 2.0]])
    0.5
    """

    direction = "max"
    _kind = losses.CosineSimilarity
    _settings = ("axis",)

    def __init__(self, name: str | None = None, axis: int = -1) -> None:
        super().__init__(name)
        self.axis = axis
        # Checks it.
        self.of_loss()

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the cosine of each row."""
        return 0.0 - super().values(y_true, y_pred)


class R2Score(OutputsMetric):
    """The share of the targets' variance that predictions explain: 1 − Σ(y − p)² / Σ(y − ȳ)².

    1 is perfect, 0 is as good as the mean of the targets, and it has no lower end.

    Parameters
    ----------
    class_aggregation
        How the outputs are joined: ``"uniform_average"``, ``"variance_weighted_average"``, or None
        for an array with one score for each.
    num_regressors
        The number of features for the adjusted score, 1 − (1 − R²)(n − 1)/(n − k − 1); 0 for the
        plain one. n is the number of rows, without those of weight 0: other weights do not change
        it, nor does their scale.
    name
        The name in reports.

    Raises
    ------
    ValueError
        An unknown `class_aggregation`; a negative `num_regressors`. From a call or `fit`: shapes
        that differ, another number of outputs than before.

    Notes
    -----
    Targets and predictions: (rows, outputs), or both (rows,). Targets without variance score 1
    where they are met exactly, else 0, as in scikit-learn. Sums are kept about the first batch's
    mean, so that large targets of small variance lose no digits.

    References
    ----------
    Draper and Smith, "Applied regression analysis", 1998, chapters 1 and 5.

    Examples
    --------
    >>> eg.metrics.R2Score()([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.5
    """

    direction = "max"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if class_aggregation is not None:
            options = ("uniform_average", "variance_weighted_average")
            choose(class_aggregation, options, "class_aggregation")
        self.class_aggregation = class_aggregation
        self.num_regressors = check_int(num_regressors, "num_regressors", at_least=0)
        self.count, self.rows = self.add_state(), self.add_state()
        self._one = _core.ones((), dtype="float64")

    def make_state(self, outputs: int) -> None:
        """Make the sums of each output."""
        self.center = self.add_state((outputs,))
        self.sums = self.add_state((outputs,))
        self.squares = self.add_state((outputs,))
        self.residuals = self.add_state((outputs,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the sums."""
        with no_grad():
            same_shape(as_targets(y_true), as_floats(y_pred), self.name)
            targets, predictions, weights = self.flattened(y_true, y_pred, sample_weight)
            targets = targets.reshape(*predictions.shape)
            if weights is not None:
                targets, predictions = masked(targets, predictions, weights)
            y, p = targets.astype("float64"), predictions.astype("float64")
            first: Tensor = self.rows == 0.0
            self.center.copy_(_core.where(first, y.mean(0), self.center))
            wide = None if weights is None else weights.astype("float64")
            from_center = y - self.center
            _core.accumulate(self.sums, weighted_sum(from_center, wide))
            _core.accumulate(self.squares, weighted_sum(from_center.square(), wide))
            _core.accumulate(self.residuals, weighted_sum((y - p).square(), wide))
            if wide is None:
                _core.accumulate(self.rows, self._one, scale=float(y.shape[0]))
                _core.accumulate(self.count, self._one, scale=float(y.shape[0]))
            else:
                counted: Tensor = wide > 0.0
                _core.accumulate(self.rows, counted.astype("float64").sum())
                _core.accumulate(self.count, wide.sum())

    def merge_states(self, states: list[list[Array]]) -> list[Array]:
        """Return the sums of all ranks, about one center."""
        filled = [one for one in states if one[1] > 0.0]
        if not filled:
            return states[0]
        center, moved = filled[0][2], []
        for count, rows, own, sums, squares, residuals in filled:
            # Σ w (y − c) and Σ w (y − c)², of which Σ w (y − own) and Σ w (y − own)² are known.
            way = own - center
            about = [sums + count * way, squares + 2.0 * way * sums + count * way * way]
            moved.append([count, rows, 0.0 * center, *about, residuals])
        merged = super().merge_states(moved)
        merged[2] = center
        return merged

    def result(self) -> Any:
        """Return the score, or the scores of the outputs; 0 before the first batch."""
        count = self.count.item()
        if not count:
            return 0.0
        sums = np.array(self.sums.numpy())
        total = np.maximum(self.squares.numpy() - sums * sums / count, 0.0)
        residual = np.array(self.residuals.numpy())
        scores = np.where(residual == 0.0, 1.0, 0.0)
        varied = total > 0.0
        scores[varied] = 1.0 - residual[varied] / total[varied]
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation is not None:
            whole = total.sum()
            scores = (scores * total).sum() / whole if whole else scores.mean()
        if self.num_regressors:
            rows = self.rows.item()
            free = rows - self.num_regressors - 1
            scores = 1.0 - (1.0 - scores) * (rows - 1) / free if free > 0 else scores
        return scores if self.class_aggregation is None else float(scores)


MSE = MeanSquaredError
MAE = MeanAbsoluteError
RMSE = RootMeanSquaredError
MAPE = MeanAbsolutePercentageError
MSLE = MeanSquaredLogarithmicError
