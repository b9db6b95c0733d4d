"""Metrics that count which classes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad._common.names import choose
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._crossentropy import one_hot
from evengrad.metrics._accuracy import HALF
from evengrad.metrics._metric import OutputsMetric, check_indicators, ratio, weighted_sum

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape
    from evengrad._core import Tensor


def said_classes(predictions: Tensor, threshold: float | None) -> Tensor:
    """Return 1 for each class that predictions (n, classes) name, else 0.

    Without a threshold that is the largest of each row, and a single output counts above ½.
    """
    if threshold is None and predictions.shape[-1] > 1:
        return one_hot(predictions.argmax(dim=-1), predictions)
    limit = HALF if threshold is None else threshold
    said: Tensor = predictions > limit
    return said.astype(predictions.dtype)


class ClassesMetric(OutputsMetric):
    """A metric of probabilities, whose targets are class numbers or zeros and ones."""

    needs_probabilities = True

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        check_indicators(y, shape, what)


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
        An unknown `normalize`. From a call or `fit`: shapes that do not fit, labels out of range.

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

    def make_state(self, outputs: int) -> None:
        """Make the matrix; one output means two classes."""
        classes = max(2, outputs)
        self.counts = self.add_state((classes, classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the counts."""
        with no_grad():
            targets, predictions, weights = self.vectors(y_true, y_pred, sample_weight)
            true, said = said_classes(targets, None), said_classes(predictions, None)
            if predictions.shape[-1] == 1:
                true, said = (_core.cat([1.0 - one, one], dim=-1) for one in (true, said))
            if weights is not None:
                said = said * weights.unsqueeze(-1)
            _core.accumulate(self.counts, true.T @ said)

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


class F1Score(ClassesMetric):
    """The harmonic mean of precision and recall, class by class: 2 tp / (2 tp + fp + fn).

    Parameters
    ----------
    average
        None for an array with the score of each class; ``"macro"`` for their mean, ``"weighted"``
        for their mean weighted by the rows of each class, ``"micro"`` for the score of all counts
        together.
    threshold
        Predictions above it name a class, so that a row may have several or none. None: the largest
        of each row does; with one output, what is above ½.
    name
        The name in reports.

    Raises
    ------
    ValueError
        An unknown `average`. From a call or `fit`: shapes that do not fit, labels out of range;
        from `fit`, a threshold outside of (0, 1) where the loss takes logits.

    Notes
    -----
    Targets: class numbers (rows,), or rows of zeros and ones in the shape of the predictions.
    Predictions: (rows, classes), or one output, (rows, 1); in a model whose loss takes logits the
    metric gets the probabilities. A class that is neither there nor predicted scores 0.

    References
    ----------
    Van Rijsbergen, "Information retrieval", 1979, chapter 7.

    Examples
    --------
    >>> y, p = [0, 1, 1], [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]
    >>> eg.metrics.F1Score()(y, p).round(4).tolist()
    [0.6667, 0.6667]
    >>> round(eg.metrics.F1Score("macro")(y, p), 4)
    0.6667
    """

    direction = "max"

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        if average is not None:
            choose(average, ("macro", "micro", "weighted"), "average")
        self.average = average
        self.threshold = None if threshold is None else check_float(threshold, "threshold")
        self.decides_at = () if self.threshold is None else (self.threshold,)

    def make_state(self, outputs: int) -> None:
        """Make the counts of each class."""
        self.right = self.add_state((outputs,))
        self.predicted = self.add_state((outputs,))
        self.actual = self.add_state((outputs,))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the counts."""
        with no_grad():
            targets, predictions, weights = self.vectors(y_true, y_pred, sample_weight)
            true = said_classes(targets, HALF)
            said = said_classes(predictions, self.threshold)
            _core.accumulate(self.right, weighted_sum(true * said, weights))
            _core.accumulate(self.predicted, weighted_sum(said, weights))
            _core.accumulate(self.actual, weighted_sum(true, weights))

    def result(self) -> Any:
        """Return the score, or the scores of the classes."""
        if self._outputs is None:
            return np.zeros(0) if self.average is None else 0.0
        right, actual = np.array(self.right.numpy()), np.array(self.actual.numpy())
        found = actual + self.predicted.numpy()
        if self.average == "micro":
            return float(ratio(2 * right.sum(keepdims=True), found.sum(keepdims=True))[0])
        scores = ratio(2 * right, found)
        if self.average is None:
            return scores
        if self.average == "macro":
            return float(scores.mean())
        return float((scores * ratio(actual, np.full_like(actual, actual.sum()))).sum())


class _Thresholded(ClassesMetric):
    """What precision and recall share: which outputs count as a yes."""

    direction = "max"

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        several = hasattr(thresholds, "__len__")
        self.top_k = None if top_k is None else check_int(top_k, "top_k", at_least=1)
        self.class_id = None if class_id is None else check_int(class_id, "class_id", at_least=0)
        # Among the k largest, any score is a yes.
        default = HALF if top_k is None else -float("inf")
        given = [default] if thresholds is None else (thresholds if several else [thresholds])
        checked = [check_float(one, "thresholds") for one in given]
        if not checked:
            raise ValueError("thresholds: expected at least one number, got none")
        self.thresholds = None if thresholds is None else (checked if several else checked[0])
        self.decides_at = () if thresholds is None else tuple(checked)
        self._limits = _core.tensor(np.array(checked))
        self._several = several
        self.right, self.whole = self.add_state((len(checked),)), self.add_state((len(checked),))

    def make_state(self, outputs: int) -> None:
        """Check that the class is among the outputs."""
        if self.class_id is not None and self.class_id >= outputs:
            raise ValueError(
                f"class_id: expected a class below {outputs}, as there are so many outputs, got "
                f"{self.class_id}"
            )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the counts."""
        with no_grad():
            targets, predictions, weights = self.vectors(y_true, y_pred, sample_weight)
            among = None if self.top_k is None else among_top(predictions, self.top_k)
            if self.class_id is not None:
                at = slice(self.class_id, self.class_id + 1)
                targets, predictions = targets[:, at], predictions[:, at]
                among = None if among is None else among[:, at]
            if weights is not None:
                weights = weights.unsqueeze(-1).expand(*predictions.shape).reshape(-1)
            limits = self._limits.astype(predictions.dtype)
            above: Tensor = predictions.reshape(-1, 1) > limits
            said = above.astype(predictions.dtype)
            if among is not None:
                said = said * among.reshape(-1, 1)
            true = said_classes(targets.reshape(-1, 1), HALF)
            _core.accumulate(self.right, weighted_sum(true * said, weights))
            _core.accumulate(self.whole, weighted_sum(self._of(true, said), weights))

    def _of(self, true: Tensor, said: Tensor) -> Tensor:
        """Return what the right ones are a share of."""
        raise NotImplementedError

    def result(self) -> Any:
        """Return the share; an array where several thresholds were given."""
        shares = ratio(np.array(self.right.numpy()), self.whole.numpy())
        return shares if self._several else float(shares[0])


class Precision(_Thresholded):
    """The share of what is predicted that is true: tp / (tp + fp), over all outputs.

    Parameters
    ----------
    thresholds
        Predictions above it are a yes; by default ½. Several give an array of results.
    top_k
        Only the `top_k` largest predictions of a row can be a yes; then there is no threshold
        unless one is given.
    class_id
        Look at this output alone.
    name
        The name in reports.

    Raises
    ------
    ValueError
        `top_k` below 1; a `class_id` that is not among the outputs. From a call or `fit`: shapes
        that do not fit, labels out of range; from `fit`, no threshold in (0, 1) where the loss
        takes logits.

    Notes
    -----
    Targets of zeros and ones in the shape of the predictions, or class numbers. Where nothing is
    predicted the precision is 0. In a model whose loss takes logits the metric gets the
    probabilities; other scores need another threshold, such as 0.

    Examples
    --------
    >>> eg.metrics.Precision()([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.6])
    0.6666666666666666
    """

    def _of(self, true: Tensor, said: Tensor) -> Tensor:
        del true
        return said


class Recall(_Thresholded):
    """The share of what is true that is predicted: tp / (tp + fn), over all outputs.

    Parameters
    ----------
    thresholds
        Predictions above it are a yes; by default ½. Several give an array of results.
    top_k
        Only the `top_k` largest predictions of a row can be a yes; then there is no threshold
        unless one is given.
    class_id
        Look at this output alone.
    name
        The name in reports.

    Raises
    ------
    ValueError
        `top_k` below 1; a `class_id` that is not among the outputs. From a call or `fit`: shapes
        that do not fit, labels out of range; from `fit`, no threshold in (0, 1) where the loss
        takes logits.

    Notes
    -----
    Targets of zeros and ones in the shape of the predictions, or class numbers. Where nothing is
    true the recall is 0. In a model whose loss takes logits the metric gets the probabilities;
    other scores need another threshold, such as 0.

    Examples
    --------
    >>> eg.metrics.Recall(thresholds=[0.1, 0.7])([0, 1, 1, 1], [0.9, 0.8, 0.2, 0.6]).tolist()
    [1.0, 0.3333333333333333]
    """

    def _of(self, true: Tensor, said: Tensor) -> Tensor:
        return true.expand(*said.shape)


def among_top(predictions: Tensor, k: int) -> Tensor:
    """Return 1 for each prediction that fewer than k of its row exceed, else 0."""
    better: Tensor = predictions.unsqueeze(-2) > predictions.unsqueeze(-1)
    rank = better.astype(predictions.dtype).sum(dim=-1)
    return (rank < float(k)).astype(predictions.dtype)
