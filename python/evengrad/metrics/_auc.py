"""The area under curves that a threshold draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad._common.names import choose
from evengrad.losses._crossentropy import check_from_logits
from evengrad.metrics._classes import figure_of
from evengrad.metrics._metric import ratio
from evengrad.metrics._scores import ScoresMetric

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

SUMMATIONS = ("interpolation", "minoring", "majoring")


class AUC(ScoresMetric):
    """The area under the ROC curve, or under that of precision over recall.

    Under the ROC curve it is the chance that a positive scores higher than a negative, with half
    of the chance that they tie. Every score is a threshold, so that the area is exact however rare
    the positives and however near to each other the scores. That holds up to 131,072 scores, or as
    many divided by the number of classes where there are several, 1,024 at least. Further ones are
    joined to groups of neighbours in their order, which count as equal: thresholds at the quantiles
    of the data. A group of several has at most 1/16,384 of the positives and of the negatives at
    the time (1/128 with 128 classes or more). So memory does not grow with the rows, and a captured
    step can gather.

    Parameters
    ----------
    num_thresholds
        None: every score is a threshold. A number, 2 or more: so many, evenly spaced from 0 to 1,
        as in Keras; scores between two of them count as equal.
    curve
        ``"ROC"``: true positive rate over false positive rate, by trapezoids. ``"PR"``: precision
        over recall; between two points the true positives grow linearly with the predicted ones
        (Davis and Goadrich).
    summation_method
        How areas are summed between two points: ``"interpolation"`` as said; ``"minoring"`` takes
        the lower of the two heights, true positive rate or precision, ``"majoring"`` the higher.
    name
        The name in reports.
    thresholds
        The inner thresholds themselves, in (0, 1); 0 and 1 are added, and `num_thresholds` does not
        count.
    multi_label
        True: outputs are labels that do not exclude each other, and the area is the mean of the
        labels' areas, as with ``average="macro"``.
    num_labels
        How many labels there are, where the model is to be checked against it.
    label_weights
        A weight of 0 or more for each output: of its area in the mean of `multi_label` and
        ``"macro"``, of its scores with ``"micro"``.
    from_logits
        True: predictions are scores of any size, to which the sigmoid is applied; it keeps their
        order. False: they are probabilities. None: probabilities, and in a model whose loss takes
        logits the metric gets the probabilities that are made of them. What the model contradicts
        is an error.
    average
        ``"binary"``: the area of class 1, of one output or of two. Of more outputs, each class
        against the rest: None for an array with the area of each; ``"macro"`` for their mean,
        ``"weighted"`` for their mean weighted by the rows of each class, ``"micro"`` for the area
        over all outputs together. Means leave out classes without a positive or a negative.
    class_id
        The area of this output alone, against the rest.

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three.
    ValueError
        Fewer than two thresholds or more than ten million, one outside of [0, 1], an unknown
        `curve`, `summation_method` or `average`; two of `average`, `multi_label` and `class_id`;
        `label_weights` with nothing to weigh, or negative ones. From a call or `fit`: more than two
        outputs with none of these, another number of labels; a `class_id` that is not among them;
        shapes that do not fit, labels out of range, probabilities outside of [0, 1]; those of a
        captured step show at the epoch's end.

    Notes
    -----
    Targets of zeros and ones in the shape of the predictions, or class numbers. Without a positive
    or a negative the area is 0, with a score that is NaN it is NaN.

    References
    ----------
    Fawcett, "An introduction to ROC analysis", 2006; Davis and Goadrich, "The relationship between
    precision-recall and ROC curves", 2006.

    Examples
    --------
    >>> eg.metrics.AUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> y, p = [0, 1, 2, 2], np.eye(3)[[0, 1, 2, 0]]
    >>> round(eg.metrics.AUC(average="macro")(y, p), 4), eg.metrics.AUC(class_id=2)(y, p)
    (0.8611, 0.75)
    """

    _fix = "pass from_logits=True for scores of any size, or end the model in a sigmoid or softmax"

    def __init__(
        self,
        num_thresholds: int | None = None,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool | None = None,
        average: str | None = "binary",
        class_id: int | None = None,
    ) -> None:
        super().__init__(num_thresholds, thresholds, average, class_id, name)
        self.curve = choose(curve, ("ROC", "PR"), "curve")
        self.summation_method = choose(summation_method, SUMMATIONS, "summation_method")
        self.from_logits = check_from_logits(from_logits)
        self.multi_label = bool(multi_label)
        if multi_label and (average != "binary" or class_id is not None):
            raise ValueError(
                f"multi_label: expected neither average nor class_id beside it, got {average!r} "
                f"and {class_id}; it is average='macro' already"
            )
        self.num_labels = None
        if num_labels is not None:
            self.num_labels = check_int(num_labels, "num_labels", at_least=1)
        self.label_weights: list[float] | None = None
        if label_weights is not None:
            given = [check_float(one, "label_weights", low=0.0) for one in label_weights]
            self.label_weights = given
            if not multi_label and average not in ("macro", "micro"):
                raise ValueError(
                    "label_weights: expected multi_label=True, or average='macro' or 'micro', "
                    f"beside them, got average={average!r}"
                )

    def make_state(self, outputs: int) -> None:
        """Check the number of labels, and make the room for scores."""
        weights = self.label_weights
        for name, count in (
            ("num_labels", self.num_labels),
            ("label_weights", None if weights is None else len(weights)),
        ):
            if count is not None and count != outputs:
                raise ValueError(
                    f"{self.name}: {name}: expected {outputs} labels, as there are outputs, got "
                    f"{count}"
                )
        super().make_state(outputs)

    def _joins_as(self, outputs: int) -> str | None:
        return "macro" if self.multi_label else super()._joins_as(outputs)

    def _needs_one_class(self, outputs: int) -> bool:
        return not self.multi_label and super()._needs_one_class(outputs)

    def _given(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        if self.label_weights is None or self.average != "micro":
            return super()._given(y_true, y_pred, sample_weight)
        targets, scores, weights = self.by_output(y_true, y_pred, sample_weight)
        labels = _core.tensor(self.label_weights, dtype=scores.dtype)
        rows = scores.shape[0] // len(self.label_weights)
        each = labels.unsqueeze(0).expand(rows, len(self.label_weights)).reshape(-1)
        return targets, scores, each if weights is None else each * weights

    def result(self) -> Any:
        """Return the area, or the areas of the classes."""
        if self._outputs is None:
            return np.zeros(0) if self.average is None else 0.0
        summary = self._summary()
        kept, limits = (self.entries, self.summary), self._limits()
        given = None if limits is None else _core.tensor(limits)
        found = _core.areas_under_curve(*kept, self.curve, given).numpy()
        areas, positives, negatives = np.array(found.T)
        if self.summation_method != "interpolation":
            counts = summary[:, 0]
            areas = np.array([self._by_steps(*self._points(*one)) for one in enumerate(counts)])
        has_nan = np.isnan(summary[:, 2])
        counted = (positives > 0.0) & ((negatives > 0.0) | (self.curve == "PR"))
        areas[has_nan] = math.nan
        return figure_of(self.joined(areas, counted | has_nan, positives))

    def joined(self, scores: Array, counted: Array, actual: Array) -> Array:
        """Return the areas of the labels as `average` or `multi_label` has them."""
        weighted = self.label_weights is not None and self.average != "micro"
        if not (self.multi_label or weighted):
            return super().joined(scores, counted, actual)
        weights = counted * (1.0 if self.label_weights is None else np.array(self.label_weights))
        return ratio((scores * weights).sum(axis=-1), weights.sum(axis=-1))

    def _by_steps(self, true: Array, false: Array) -> float:
        """Return the area under steps between the points, from above or from below."""
        recall = ratio(true, np.broadcast_to(true[-1], true.shape))
        if self.curve == "ROC":
            along, heights = ratio(false, np.broadcast_to(false[-1], false.shape)), recall
        else:
            along, heights = recall, ratio(true, true + false)
        higher = np.minimum if self.summation_method == "minoring" else np.maximum
        return float((np.diff(along) * higher(heights[1:], heights[:-1])).sum())
