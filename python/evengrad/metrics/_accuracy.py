"""Accuracies: the share of rows, or of outputs, that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad.losses._crossentropy import check_labels, one_hot
from evengrad.losses._functions import derived
from evengrad.losses._loss import as_floats
from evengrad.metrics._metric import (
    MeanMetric,
    as_targets,
    check_indicators,
    check_targets,
    same_shape,
)

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape
    from evengrad._core import Tensor
    from evengrad.losses._functions import RowFunction

# Targets above it count as 1.
HALF = 0.5


class Accuracy(MeanMetric):
    """The share of predictions that equal their targets: of class numbers, not of scores.

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
    Targets and predictions of one shape; a last dimension of 1 may be left out of the targets. The
    string ``"accuracy"`` is another thing: it chooses among the accuracies below by the loss.

    Examples
    --------
    >>> eg.metrics.Accuracy()([[1.0], [2.0], [3.0], [4.0]], [[0.0], [2.0], [3.0], [4.0]])
    0.75
    """

    direction = "max"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each output that is equal to its target."""
        equal: Tensor = same_shape(y_true, y_pred, self.name) == y_pred
        return equal.astype(y_pred.dtype)


class _Sparse(MeanMetric):
    """What the metrics share whose targets are class numbers."""

    accepts_logits = True
    direction = "max"

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        classes = shape[-1]
        if classes is not None and y.shape[1:] in (shape[1:-1], (*shape[1:-1], 1)):
            check_labels(y, classes, what)


class SparseCategoricalAccuracy(_Sparse):
    """The share of rows whose largest prediction is that of the labelled class.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that do not fit, labels out of range or not whole.

    Notes
    -----
    Targets: class numbers, (rows,) or (rows, 1). Predictions: (rows, classes), probabilities or
    logits; of those that tie the first counts. A row with NaN is wrong.

    Examples
    --------
    >>> eg.metrics.SparseCategoricalAccuracy()([0, 1], [[0.9, 0.1], [0.7, 0.3]])
    0.5
    """

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each row that is right."""
        return _core.argmax_equals(y_pred, as_labels(y_true, y_pred, self.name))


class CategoricalAccuracy(MeanMetric):
    """The share of rows whose largest prediction is where the target is largest.

    Parameters
    ----------
    name
        The name in reports.

    Raises
    ------
    ValueError
        Shapes that differ.

    Notes
    -----
    Targets and predictions: (rows, classes), the latter probabilities or logits; of those that tie
    the first counts. A row with NaN is wrong.

    Examples
    --------
    >>> eg.metrics.CategoricalAccuracy()([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.7, 0.3]])
    0.5
    """

    accepts_logits = True
    direction = "max"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each row that is right."""
        labels = same_shape(y_true, y_pred, self.name).argmax(dim=-1)
        return _core.argmax_equals(y_pred, labels)


class BinaryAccuracy(MeanMetric):
    """The share of outputs on the right side of a threshold.

    Parameters
    ----------
    name
        The name in reports.
    threshold
        Predictions above it count as 1.

    Raises
    ------
    ValueError
        From a call or `fit`: shapes that differ, targets other than 0 and 1; from `fit`, a
        threshold outside of (0, 1) where the loss takes logits.

    Notes
    -----
    Targets and predictions of one shape, (rows, 1) or (rows, outputs); a last dimension of 1 may be
    left out of the targets, and those above ½ count as 1. In a model whose loss takes logits the
    metric gets their sigmoid. Predictions that are NaN are wrong.

    Examples
    --------
    >>> eg.metrics.BinaryAccuracy()([[1.0], [0.0]], [[0.9], [0.6]])
    0.5
    """

    needs_probabilities = True
    direction = "max"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = check_float(threshold, "threshold")
        self.decides_at = (self.threshold,)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each output that is right."""
        truth = same_shape(y_true, y_pred, self.name) > HALF
        # NaN is on neither side.
        above, below = y_pred > self.threshold, y_pred <= self.threshold
        return _core.where(truth, above.astype(y_pred.dtype), below.astype(y_pred.dtype))

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        if y.ndim == len(shape) or shape[-1] == 1:
            check_indicators(y, shape, what)


class SparseTopKCategoricalAccuracy(_Sparse):
    """The share of rows whose labelled class is among the `k` largest predictions.

    Parameters
    ----------
    k
        How many predictions count, 1 or more.
    name
        The name in reports.

    Raises
    ------
    ValueError
        `k` below 1. From a call or `fit`: shapes that do not fit, labels out of range or not whole.

    Notes
    -----
    Targets: class numbers, (rows,) or (rows, 1). Predictions: (rows, classes), probabilities or
    logits. A class that ties with the k-th largest counts as among them, as in Keras; NaN counts as
    larger.

    Examples
    --------
    >>> eg.metrics.SparseTopKCategoricalAccuracy(k=2)([2, 0], [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    0.0
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = check_int(k, "k", at_least=1)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each row that is right."""
        return among_largest(one_hot(as_labels(y_true, y_pred, self.name), y_pred), y_pred, self.k)


class TopKCategoricalAccuracy(MeanMetric):
    """The share of rows whose target class is among the `k` largest predictions.

    Parameters
    ----------
    k
        How many predictions count, 1 or more.
    name
        The name in reports.

    Raises
    ------
    ValueError
        `k` below 1; from a call, shapes that differ.

    Notes
    -----
    Targets and predictions: (rows, classes), the latter probabilities or logits. Ties and NaN count
    as for `SparseTopKCategoricalAccuracy`.

    Examples
    --------
    >>> eg.metrics.TopKCategoricalAccuracy(k=2)([[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]])
    1.0
    """

    accepts_logits = True
    direction = "max"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = check_int(k, "k", at_least=1)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each row that is right."""
        labels = same_shape(y_true, y_pred, self.name).argmax(dim=-1)
        return among_largest(one_hot(labels, y_pred), y_pred, self.k)


def accuracy_of(kind: type[MeanMetric], arguments: str, values: str) -> RowFunction:
    """Return the metric as a function, whose documentation shows that it makes these values."""
    returned = "1 for each row, or output, that is right, else 0."
    texts = {"family": "metrics", "returned": returned, "arguments": arguments, "values": values}
    return derived(kind, texts, values_of_rows, {})


def values_of_rows(metric: MeanMetric, y_true: Any, y_pred: Any) -> Tensor:
    """Return the values whose mean a metric is; those of targets are checked if they may be."""
    predictions, targets = as_floats(y_pred).detach(), as_targets(y_true)
    if not _core.is_capturing():
        check_targets(metric, targets.numpy(), tuple(predictions.shape), "y_true")
    return metric.values(targets, predictions)


def as_labels(y_true: Tensor, y_pred: Tensor, name: str) -> Tensor:
    """Return class numbers, one for each row of predictions; nothing is broadcast."""
    rows = tuple(y_pred.shape[:-1])
    if tuple(y_true.shape) not in (rows, (*rows, 1)):
        raise ValueError(
            f"{name}: expected class numbers of shape {rows} for predictions of shape "
            f"{tuple(y_pred.shape)}, got {tuple(y_true.shape)}; for one-hot rows there is "
            "categorical_accuracy, or top_k_categorical_accuracy"
        )
    return y_true.reshape(*rows)


def among_largest(chosen: Tensor, y_pred: Tensor, k: int) -> Tensor:
    """Return 1 for each row in which fewer than k predictions exceed the chosen class's."""
    # The choice is made by value: 0 · ∞ would be NaN. Where the score is NaN, all count as better.
    score = _core.where(chosen == 1.0, y_pred, 0.0).sum(dim=-1, keepdim=True)
    worse = (y_pred <= score).astype(y_pred.dtype).sum(dim=-1)
    return (worse > float(y_pred.shape[-1] - k)).astype(y_pred.dtype)


binary_accuracy = accuracy_of(BinaryAccuracy, "[[1.0], [0.0]], [[0.9], [0.6]]", "[[1.0], [0.0]]")
categorical_accuracy = accuracy_of(
    CategoricalAccuracy, "[[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.7, 0.3]]", "[1.0, 0.0]"
)
sparse_categorical_accuracy = accuracy_of(
    SparseCategoricalAccuracy, "[0, 1], [[0.9, 0.1], [0.7, 0.3]]", "[1.0, 0.0]"
)
top_k_categorical_accuracy = accuracy_of(
    TopKCategoricalAccuracy, "[[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]], k=2", "[1.0]"
)
sparse_top_k_categorical_accuracy = accuracy_of(
    SparseTopKCategoricalAccuracy, "[2, 0], [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], k=2", "[0.0, 1.0]"
)
