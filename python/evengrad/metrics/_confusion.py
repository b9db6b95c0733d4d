"""Metrics that count which classes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_int
from evengrad._common.names import choose
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._loss import as_floats
from evengrad.metrics._classes import (
    AveragedMetric,
    ClassesMetric,
    check_one_class,
    checked_limits,
    figure_of,
)
from evengrad.metrics._metric import ratio

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape


class ConfusionMatrix(ClassesMetric):
    """How many rows of each class are taken for each class.

    The result is an array: element (i, j) is the number of rows of class i that are predicted as
    class j. In the logs of a training it stands as an array, too.

    Parameters
    ----------
    normalize
        None for numbers; ``"true"`` for shares of each true class (the rows sum to one),
        ``"pred"`` of each predicted class (the columns do), ``"all"`` of everything.
    name
        The name in reports.

    Raises
    ------
    ValueError
        An unknown `normalize`. From a call or `fit`: shapes that do not fit, labels out of range,
        rows that name several classes or none.

    Notes
    -----
    Targets: class numbers (rows,), or one-hot rows. Predictions: (rows, classes), of which the
    largest counts; or one output, (rows, 1), where class 1 is predicted above ½; in a model whose
    loss takes logits the metric gets the probabilities. Sample weights make sums of weights of the
    numbers.

    Examples
    --------
    >>> matrix = eg.metrics.ConfusionMatrix()
    >>> matrix([0, 1, 1], [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """

    def __init__(self, normalize: str | None = None, name: str | None = None) -> None:
        super().__init__(name)
        if normalize is not None:
            choose(normalize, ("true", "pred", "all"), "normalize")
        self.normalize = normalize

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        super()._check_values(y, shape, what)
        fix = "labels that do not exclude each other have a matrix each: pass them one by one"
        check_one_class(y, shape, what, fix)

    def make_state(self, outputs: int) -> None:
        """Make the matrix; one output means two classes."""
        classes = max(2, outputs)
        self.counts = self.add_state((classes, classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the counts."""
        with no_grad():
            targets, predictions, weights = self.flattened(y_true, y_pred, sample_weight)
            _core.count_confusion(self.counts, predictions, targets, weights)

    def result(self) -> np.ndarray[Any, Any]:
        """Return the counts, or shares as `normalize` says; a class without rows has shares 0."""
        if self._outputs is None:
            return np.zeros((0, 0))
        counts = np.array(self.counts.numpy())
        if self.normalize is None:
            return counts
        axis = {"true": 1, "pred": 0, "all": None}[self.normalize]
        whole = counts.sum(axis=axis, keepdims=True)
        return ratio(counts, np.broadcast_to(whole, counts.shape))


class Decisions(AveragedMetric):
    """What precision, recall and F1 share: counts of the yeses that are right, said, and true."""

    def __init__(
        self,
        thresholds: Any,
        top_k: int | None,
        average: str | None,
        class_id: int | None,
        name: str | None,
    ) -> None:
        super().__init__(average, class_id, name)
        self.top_k = None if top_k is None else check_int(top_k, "top_k", at_least=1)
        # Without one the largest of a row is the yes, or with `top_k` so many of them.
        limits, self._several = checked_limits(thresholds)
        self.decides_at = tuple(limits)
        self._sets = max(1, len(limits))
        # Whether predictions are one-dimensional: with `top_k` these are the scores of one row.
        self._is_row = False

    def make_state(self, outputs: int) -> None:
        """Check that the outputs say which classes count, and make the counts."""
        if self.top_k is not None and outputs == 1 and not self._is_row:
            raise ValueError(
                f"top_k: expected rows of several predictions, got one output, which is always "
                f"the largest of its row; leave top_k out of {self.name}"
            )
        super().make_state(outputs)

    def make_counts(self, outputs: int) -> None:
        """Make the counts, for each threshold: what is said rightly, said, and true."""
        self.counts = self.add_state((self._sets, 3, outputs))

    def _limits(self) -> list[float]:
        """Return the thresholds as they stand now."""
        raise NotImplementedError

    def _joins_as(self, outputs: int) -> str | None:
        # What is among the largest of a row has its meaning over all of them.
        over_all = self.top_k is not None and self.average == "binary" and outputs > 1
        return "micro" if over_all else self.average

    def _decides_by_largest(self, outputs: int) -> bool:
        return not self._limits() and self.top_k is None and outputs > 1

    def _needs_one_class(self, outputs: int) -> bool:
        by_two = super()._needs_one_class(outputs) and self.top_k is None
        return by_two or self._decides_by_largest(outputs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the counts."""
        with no_grad():
            y_pred = as_floats(y_pred)
            self._is_row = self.top_k is not None and y_pred.ndim == 1
            targets, predictions, weights = self.flattened(y_true, y_pred, sample_weight)
            kept = self.counts, predictions, targets, weights
            _core.count_decisions(*kept, limits=self._limits(), top_k=self.top_k)

    def _shares(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        """Return what is divided by what."""
        raise NotImplementedError

    def result(self) -> Any:
        """Return the score, or the scores of the classes; an array for several thresholds too."""
        if self._outputs is None:
            counts = np.zeros((self._sets, 0 if self.average is None else 1))
            values = self.joined(counts, counts, counts)
        else:
            values = self._values(self._outputs)
        return figure_of(values if self._several else values[0])

    def _values(self, outputs: int) -> Array:
        counts = np.array(self.counts.numpy())
        if self._column is not None:
            counts = counts[..., self._column : self._column + 1]
        right, predicted, actual = counts.swapaxes(0, 1)
        part, whole = self._shares(right, predicted, actual)
        if self._joins_as(outputs) == "micro":
            return ratio(part.sum(axis=-1), whole.sum(axis=-1))
        # As in scikit-learn: a class that is neither there nor said is no class of the data, but
        # each of the labels that do not exclude each other is one.
        by_largest = self._decides_by_largest(outputs)
        counted = (predicted + actual > 0) | (not by_largest)
        return self.joined(ratio(part, whole), counted, actual)


class _Thresholded(Decisions):
    """What precision and recall share: their arguments."""

    _for_several_labels = 'pass thresholds=0.5, with average="macro" or class_id='

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        average: str | None = "binary",
    ) -> None:
        super().__init__(thresholds, top_k, average, class_id, name)
        checked = list(self.decides_at)
        self.thresholds = checked if self._several else next(iter(checked), None)

    def _limits(self) -> list[float]:
        given: Any = self.thresholds
        return [] if given is None else list(given) if self._several else [given]


class Precision(_Thresholded):
    """The share of what is predicted that is true: tp / (tp + fp).

    Parameters
    ----------
    thresholds
        Predictions above it are a yes. None: the largest of each row is; with one output, what is
        above ½. Several give an array of results.
    top_k
        Only the `top_k` largest predictions of a row can be a yes, the first of those that tie;
        then there is no threshold unless one is given. One-dimensional predictions are one row.
    class_id
        Look at this output alone.
    name
        The name in reports.
    average
        ``"binary"``: the score of class 1, of one output or of two; with `top_k` that of all counts
        together. Of more outputs: None for an array with the score of each class; ``"macro"`` for
        their mean, ``"weighted"`` for their mean weighted by the rows of each class, ``"micro"``
        for the score of all counts together.

    Raises
    ------
    ValueError
        `top_k` below 1; an unknown `average`; `average` and `class_id` together. From a call or
        `fit`: more than two outputs with neither; a `class_id` that is not among them; `top_k` with
        one output; shapes that do not fit, labels out of range, rows of several labels without a
        threshold; from `fit`, no threshold in (0, 1) where the loss takes logits.

    Notes
    -----
    Targets of zeros and ones in the shape of the predictions, or class numbers. Where nothing is
    predicted the precision is 0; the mean of ``"macro"`` leaves out classes that are neither there
    nor predicted, unless there is a threshold or `top_k`, as in scikit-learn. In a model whose loss
    takes logits the metric gets the probabilities; other scores need another threshold, such as 0.

    Examples
    --------
    >>> eg.metrics.Precision()([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.6])
    0.6666666666666666
    """

    def _shares(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        del actual
        return right, predicted


class Recall(_Thresholded):
    """The share of what is true that is predicted: tp / (tp + fn).

    Parameters
    ----------
    thresholds
        Predictions above it are a yes. None: the largest of each row is; with one output, what is
        above ½. Several give an array of results.
    top_k
        Only the `top_k` largest predictions of a row can be a yes, the first of those that tie;
        then there is no threshold unless one is given. One-dimensional predictions are one row.
    class_id
        Look at this output alone.
    name
        The name in reports.
    average
        ``"binary"``: the score of class 1, of one output or of two; with `top_k` that of all counts
        together. Of more outputs: None for an array with the score of each class; ``"macro"`` for
        their mean, ``"weighted"`` for their mean weighted by the rows of each class, ``"micro"``
        for the score of all counts together.

    Raises
    ------
    ValueError
        `top_k` below 1; an unknown `average`; `average` and `class_id` together. From a call or
        `fit`: more than two outputs with neither; a `class_id` that is not among them; `top_k` with
        one output; shapes that do not fit, labels out of range, rows of several labels without a
        threshold; from `fit`, no threshold in (0, 1) where the loss takes logits.

    Notes
    -----
    Targets of zeros and ones in the shape of the predictions, or class numbers. Where nothing is
    true the recall is 0; the mean of ``"macro"`` leaves out classes that are neither there nor
    predicted, unless there is a threshold or `top_k`, as in scikit-learn. In a model whose loss
    takes logits the metric gets the probabilities; other scores need another threshold, such as 0.

    Examples
    --------
    >>> eg.metrics.Recall(thresholds=[0.1, 0.7])([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.6]).tolist()
    [1.0, 0.3333333333333333]
    """

    def _shares(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        del predicted
        return right, actual
