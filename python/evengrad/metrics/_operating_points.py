"""The best of one rate where a threshold keeps another one up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evengrad._common.checks import check_float
from evengrad.metrics._classes import figure_of
from evengrad.metrics._metric import ratio
from evengrad.metrics._scores import ScoresMetric

if TYPE_CHECKING:
    from evengrad._common.arrays import Array


def recall(true: Array, false: Array) -> Array:
    """Return the share of what is true that is said, above each threshold: the sensitivity."""
    del false
    return ratio(true, np.broadcast_to(true[-1], true.shape))


def specificity(true: Array, false: Array) -> Array:
    """Return the share of what is not true that is not said."""
    del true
    return ratio(false[-1] - false, np.broadcast_to(false[-1], false.shape))


def precision(true: Array, false: Array) -> Array:
    """Return the share of what is said that is true; 0 where nothing is said."""
    return ratio(true, true + false)


class _OperatingPoint(ScoresMetric):
    """What the metrics share: the argument that is a bound, and the two rates."""

    _limited: ClassVar[str]
    # What is bounded, and what is as large as it can be then.
    _rates: ClassVar[tuple[Any, Any]]

    def __init__(
        self,
        bound: float,
        num_thresholds: int | None,
        class_id: int | None,
        name: str | None,
        average: str | None,
    ) -> None:
        super().__init__(num_thresholds, None, average, class_id, name)
        setattr(self, self._limited, check_float(bound, self._limited, low=0.0, high=1.0))

    def result(self) -> Any:
        """Return the rate, or those of the classes; 0 where no threshold keeps the other up."""
        if self._outputs is None:
            return np.zeros(0) if self.average is None else 0.0
        summary, found, actual = self._summary(), [], []
        for column, count in enumerate(summary[:, 0]):
            true, false = self._points(column, count)
            kept, wanted = (rate(true, false) for rate in self._rates)
            fits = kept >= getattr(self, self._limited)
            found.append(float(wanted[fits].max()) if fits.any() else 0.0)
            actual.append(float(true[-1]))
        rates, has_nan = np.array(found), np.isnan(summary[:, 2])
        rates[has_nan] = math.nan
        weights = np.array(actual)
        return figure_of(self.joined(rates, (weights > 0.0) | has_nan, weights))


class SensitivityAtSpecificity(_OperatingPoint):
    """The largest sensitivity, tp / (tp + fn), of all thresholds that keep a specificity.

    The specificity is tn / (tn + fp). Every score is a threshold, as for `AUC`, which says how many
    are kept and what becomes of further ones.

    Parameters
    ----------
    specificity
        What the specificity is to be at least, in [0, 1].
    num_thresholds
        None: every score is a threshold. A number, 2 or more: so many, evenly spaced from 0 to 1,
        as in Keras.
    class_id
        Look at this output alone, against the rest.
    name
        The name in reports.
    average
        ``"binary"``: of class 1, of one output or of two. Of more outputs, each class against the
        rest: None for an array; ``"macro"`` for their mean, ``"weighted"`` for their mean weighted
        by the rows of each class, ``"micro"`` for all outputs together, as in Keras. Means leave
        out classes without a positive.

    Raises
    ------
    ValueError
        A bound outside of [0, 1], fewer than two thresholds, an unknown `average`; `average` and
        `class_id` together. From a call or `fit`: more than two outputs with neither; shapes that
        do not fit, labels out of range, scores outside of [0, 1].

    Notes
    -----
    Targets of zeros and ones in the shape of the predictions, or class numbers. 0 where no
    threshold keeps the bound. In a model whose loss takes logits the metric gets the probabilities.

    References
    ----------
    Fawcett, "An introduction to ROC analysis", 2006.

    Examples
    --------
    >>> y, p = [0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]
    >>> eg.metrics.SensitivityAtSpecificity(0.5)(y, p)
    0.5
    """

    _limited = "specificity"
    _rates = (specificity, recall)

    def __init__(
        self,
        specificity: float,
        num_thresholds: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        average: str | None = "binary",
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, average)


class SpecificityAtSensitivity(_OperatingPoint):
    """The largest specificity, tn / (tn + fp), of all thresholds that keep a sensitivity.

    Parameters
    ----------
    sensitivity
        What the sensitivity, tp / (tp + fn), is to be at least, in [0, 1].
    num_thresholds, class_id, name, average
        As for `SensitivityAtSpecificity`.

    Raises
    ------
    ValueError
        As for `SensitivityAtSpecificity`.

    Notes
    -----
    As for `SensitivityAtSpecificity`.

    References
    ----------
    Fawcett, "An introduction to ROC analysis", 2006.

    Examples
    --------
    >>> y, p = [0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.4, 0.8]
    >>> round(eg.metrics.SpecificityAtSensitivity(0.5)(y, p), 4)
    0.6667
    """

    _limited = "sensitivity"
    _rates = (recall, specificity)

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        average: str | None = "binary",
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, average)


class PrecisionAtRecall(_OperatingPoint):
    """The largest precision, tp / (tp + fp), of all thresholds that keep a recall.

    Parameters
    ----------
    recall
        What the recall, tp / (tp + fn), is to be at least, in [0, 1].
    num_thresholds, class_id, name, average
        As for `SensitivityAtSpecificity`.

    Raises
    ------
    ValueError
        As for `SensitivityAtSpecificity`.

    Notes
    -----
    As for `SensitivityAtSpecificity`. The precision where nothing is said counts as 0.

    References
    ----------
    Davis and Goadrich, "The relationship between precision-recall and ROC curves", 2006.

    Examples
    --------
    >>> y, p = [0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]
    >>> eg.metrics.PrecisionAtRecall(0.5)(y, p)
    0.5
    """

    _limited = "recall"
    _rates = (recall, precision)

    def __init__(
        self,
        recall: float,
        num_thresholds: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        average: str | None = "binary",
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, average)


class RecallAtPrecision(_OperatingPoint):
    """The largest recall, tp / (tp + fn), of all thresholds that keep a precision.

    Parameters
    ----------
    precision
        What the precision, tp / (tp + fp), is to be at least, in [0, 1].
    num_thresholds, class_id, name, average
        As for `SensitivityAtSpecificity`.

    Raises
    ------
    ValueError
        As for `SensitivityAtSpecificity`.

    Notes
    -----
    As for `SensitivityAtSpecificity`. The precision where nothing is said counts as 0.

    References
    ----------
    Davis and Goadrich, "The relationship between precision-recall and ROC curves", 2006.

    Examples
    --------
    >>> y, p = [0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]
    >>> eg.metrics.RecallAtPrecision(0.8)(y, p)
    0.5
    """

    _limited = "precision"
    _rates = (precision, recall)

    def __init__(
        self,
        precision: float,
        num_thresholds: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        average: str | None = "binary",
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, average)
