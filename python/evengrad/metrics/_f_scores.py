"""F-scores: means of precision and recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._common.checks import check_float
from evengrad.metrics._confusion import Decisions

if TYPE_CHECKING:
    from evengrad._common.arrays import Array


class FBetaScore(Decisions):
    """A mean of precision and recall: (1 + β²) tp / ((1 + β²) tp + β² fn + fp).

    Recall counts β times as much as precision.

    Parameters
    ----------
    average
        ``"binary"``: the score of class 1, of one output or of two. Of more outputs: None for an
        array with the score of each class; ``"macro"`` for their mean, ``"weighted"`` for their
        mean weighted by the rows of each class, ``"micro"`` for the score of all counts together.
    beta
        β, above 0; 1 gives `F1Score`.
    threshold
        Predictions above it name a class, so that a row may have several or none. None: the largest
        of each row does; with one output, what is above ½.
    name
        The name in reports.
    class_id
        The score of this output alone.

    Raises
    ------
    ValueError
        `beta` is not above 0, an unknown `average`; `average` and `class_id` together. From a call
        or `fit`, as for `F1Score`.

    Notes
    -----
    Targets and predictions as for `F1Score`.

    References
    ----------
    Van Rijsbergen, "Information retrieval", 1979, chapter 7.

    Examples
    --------
    >>> y, p = [0, 1, 1], [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]
    >>> round(eg.metrics.FBetaScore(beta=2.0)(y, p), 4)
    0.5556
    """

    _for_several_labels = 'pass threshold=0.5, with average="macro" or class_id='

    def __init__(
        self,
        average: str | None = "binary",
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        class_id: int | None = None,
    ) -> None:
        limit = None if threshold is None else check_float(threshold, "threshold")
        super().__init__(limit, None, average, class_id, name)
        self.threshold = limit
        self.beta = check_float(beta, "beta", low=0.0, open_low=True, open_high=True)

    def _limits(self) -> list[float]:
        return [] if self.threshold is None else [self.threshold]

    def _shares(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        square = self.beta * self.beta
        return (1.0 + square) * right, predicted + square * actual


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn).

    Parameters
    ----------
    average
        ``"binary"``: the score of class 1, of one output or of two. Of more outputs: None for an
        array with the score of each class; ``"macro"`` for their mean, ``"weighted"`` for their
        mean weighted by the rows of each class, ``"micro"`` for the score of all counts together.
    threshold
        Predictions above it name a class, so that a row may have several or none. None: the largest
        of each row does; with one output, what is above ½.
    name
        The name in reports.
    class_id
        The score of this output alone.

    Raises
    ------
    ValueError
        An unknown `average`; `average` and `class_id` together. From a call or `fit`: more than two
        outputs with neither; a `class_id` that is not among them; shapes that do not fit, labels
        out of range, rows of several labels without a threshold; from `fit`, a threshold outside of
        (0, 1) where the loss takes logits.

    Notes
    -----
    Targets: class numbers (rows,), or rows of zeros and ones in the shape of the predictions.
    Predictions: (rows, classes), or one output, (rows, 1); in a model whose loss takes logits the
    metric gets the probabilities. A class that is neither there nor predicted scores 0; the mean of
    ``"macro"`` leaves it out, unless there is a threshold, as in scikit-learn.

    References
    ----------
    Van Rijsbergen, "Information retrieval", 1979, chapter 7.

    Examples
    --------
    >>> y, p = [0, 1, 1], [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]
    >>> round(eg.metrics.F1Score()(y, p), 4)
    0.6667
    >>> eg.metrics.F1Score(average=None)(y, p).round(4).tolist()
    [0.6667, 0.6667]
    """

    def __init__(
        self,
        average: str | None = "binary",
        threshold: float | None = None,
        name: str | None = None,
        class_id: int | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, class_id)
