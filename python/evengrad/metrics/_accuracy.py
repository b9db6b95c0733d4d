"""Accuracies: the share of rows, or of outputs, that are right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._checks import check_float, check_int
from evengrad.losses._crossentropy import one_hot
from evengrad.metrics._metric import MeanMetric, same_shape

if TYPE_CHECKING:
    from evengrad._core import Tensor

# Targets above it count as 1.
HALF = 0.5


class SparseCategoricalAccuracy(MeanMetric):
    """The share of rows whose largest prediction is that of the labelled class.

    Targets: class numbers, (rows,). Predictions: (rows, classes).

    Examples
    --------
    >>> eg.metrics.SparseCategoricalAccuracy()([0, 1], [[0.9, 0.1], [0.7, 0.3]])
    0.5
    """

    accepts_logits = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each row that is right."""
        right: Tensor = y_pred.argmax(dim=-1) == as_labels(y_true, y_pred, self.name)
        return right.astype(y_pred.dtype)


class CategoricalAccuracy(MeanMetric):
    """The share of rows whose largest prediction is where the target is largest.

    Targets and predictions: (rows, classes).

    Examples
    --------
    >>> eg.metrics.CategoricalAccuracy()([[1.0, 0.0], [0.0, 1.0]], [[0.9, 0.1], [0.7, 0.3]])
    0.5
    """

    accepts_logits = True

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each row that is right."""
        right: Tensor = y_pred.argmax(dim=-1) == y_true.argmax(dim=-1)
        return right.astype(y_pred.dtype)


class BinaryAccuracy(MeanMetric):
    """The share of outputs on the right side of a threshold.

    Parameters
    ----------
    name
        The name in reports.
    threshold
        Predictions above it count as 1.

    Examples
    --------
    >>> eg.metrics.BinaryAccuracy()([[1.0], [0.0]], [[0.9], [0.6]])
    0.5
    """

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = check_float(threshold, "threshold")

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each output that is right."""
        truth = same_shape(y_true, y_pred, self.name) > HALF
        right: Tensor = (y_pred > self.threshold) == truth
        return right.astype(y_pred.dtype)


class SparseTopKCategoricalAccuracy(MeanMetric):
    """The share of rows whose labelled class is among the `k` largest predictions.

    Parameters
    ----------
    k
        How many predictions count, 1 or more.
    name
        The name in reports.

    Notes
    -----
    Targets: class numbers, (rows,). Predictions: (rows, classes). A class that ties with the k-th
    largest counts as among them, as in Keras.

    Examples
    --------
    >>> eg.metrics.SparseTopKCategoricalAccuracy(k=2)([2, 0], [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    0.0
    """

    accepts_logits = True

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

    Notes
    -----
    Targets and predictions: (rows, classes).

    Examples
    --------
    >>> eg.metrics.TopKCategoricalAccuracy(k=2)([[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]])
    1.0
    """

    accepts_logits = True

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = check_int(k, "k", at_least=1)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return 1 for each row that is right."""
        return among_largest(one_hot(y_true.argmax(dim=-1), y_pred), y_pred, self.k)


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
