"""How often yes and no are said rightly and wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._tensor.grad_mode import no_grad
from evengrad.metrics._accuracy import HALF
from evengrad.metrics._classes import ClassesMetric, checked_limits, figure_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array


class _Count(ClassesMetric):
    """What the counts share: what is said rightly, said, true, and there at all."""

    def __init__(self, thresholds: Any = None, name: str | None = None) -> None:
        super().__init__(name)
        limits, self._several = checked_limits(thresholds)
        self.thresholds = limits if self._several else next(iter(limits), None)
        self.decides_at = tuple(limits) or (HALF,)

    def _limits(self) -> list[float]:
        """Return the thresholds as they stand now."""
        given: Any = self.thresholds
        return [HALF] if given is None else list(given) if self._several else [given]

    def make_state(self, outputs: int) -> None:
        """Make the counts, which are those of all outputs together."""
        del outputs
        self.counts = self.add_state((len(self.decides_at), 3, 1))
        self.whole = self.add_state()
        self._one = _core.ones((), dtype="float64")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the counts."""
        with no_grad():
            targets, predictions, weights = self.by_output(y_true, y_pred, sample_weight)
            limits = self._limits()
            _core.count_decisions(self.counts, predictions, targets, weights, limits=limits)
            if weights is None:
                _core.accumulate(self.whole, self._one, scale=float(predictions.shape[0]))
            else:
                _core.accumulate(self.whole, weights.astype("float64").sum())

    def result(self) -> Any:
        """Return the count; an array of one for each threshold where several were given."""
        if self._outputs is None:
            found = np.zeros(len(self.decides_at))
        else:
            right, said, true = np.array(self.counts.numpy())[..., 0].T
            found = self._of(right, said, true, self.whole.item())
        return figure_of(found if self._several else found[0])

    def _of(self, right: Array, said: Array, true: Array, whole: float) -> Array:
        """Return the count, of what is said rightly, said, true, and there at all."""
        raise NotImplementedError


class TruePositives(_Count):
    """How many outputs are a yes and are said to be one.

    Parameters
    ----------
    thresholds
        Predictions above it are a yes; ½ where None. Several give an array of counts.
    name
        The name in reports.

    Raises
    ------
    ValueError
        No threshold in a list. From a call or `fit`: shapes that do not fit, targets other than
        zeros and ones or class numbers; from `fit`, no threshold in (0, 1) where the loss takes
        logits.

    Notes
    -----
    All outputs of all rows are counted together, as in Keras, those of a softmax too: with
    `Precision` and `Recall` it agrees for one output, and under ``average="micro"`` and
    ``thresholds=0.5`` for more. Counts of single classes are in `ConfusionMatrix`. Targets of zeros
    and ones in the shape of the predictions, or class numbers. Sample weights, of rows, steps or
    single outputs, make sums of weights of the counts.

    Examples
    --------
    >>> eg.metrics.TruePositives()([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.6])
    2.0
    """

    direction = "max"

    def _of(self, right: Array, said: Array, true: Array, whole: float) -> Array:
        del said, true, whole
        return right


class TrueNegatives(_Count):
    """How many outputs are a no and are said to be one.

    Parameters
    ----------
    thresholds
        Predictions above it are a yes; ½ where None. Several give an array of counts.
    name
        The name in reports.

    Raises
    ------
    ValueError
        As for `TruePositives`.

    Notes
    -----
    As for `TruePositives`.

    Examples
    --------
    >>> eg.metrics.TrueNegatives()([0, 0, 1, 1], [0.9, 0.2, 0.2, 0.6])
    1.0
    """

    direction = "max"

    def _of(self, right: Array, said: Array, true: Array, whole: float) -> Array:
        return whole - said - true + right


class FalsePositives(_Count):
    """How many outputs are a no and are said to be a yes.

    Parameters
    ----------
    thresholds
        Predictions above it are a yes; ½ where None. Several give an array of counts.
    name
        The name in reports.

    Raises
    ------
    ValueError
        As for `TruePositives`.

    Notes
    -----
    As for `TruePositives`.

    Examples
    --------
    >>> eg.metrics.FalsePositives()([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.6])
    1.0
    """

    direction = "min"

    def _of(self, right: Array, said: Array, true: Array, whole: float) -> Array:
        del true, whole
        return said - right


class FalseNegatives(_Count):
    """How many outputs are a yes and are said to be a no.

    Parameters
    ----------
    thresholds
        Predictions above it are a yes; ½ where None. Several give an array of counts.
    name
        The name in reports.

    Raises
    ------
    ValueError
        As for `TruePositives`.

    Notes
    -----
    As for `TruePositives`.

    Examples
    --------
    >>> eg.metrics.FalseNegatives()([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.6])
    1.0
    """

    direction = "min"

    def _of(self, right: Array, said: Array, true: Array, whole: float) -> Array:
        del said, whole
        return true - right
