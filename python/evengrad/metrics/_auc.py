"""The area under curves that a threshold draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad._common.names import choose
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._crossentropy import check_from_logits
from evengrad.losses._targets import SLACK
from evengrad.metrics._classes import AveragedMetric, figure_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Scores that are kept one by one, all classes together (3 MB), and of each class at least.
ROOM, LEAST_ROOM = 2**17, 2**10
# As many as numbers of float32 in [½, 1], nearly, and few enough for memory.
THRESHOLD_LIMIT = 10_000_000


class AUC(AveragedMetric):
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
    name
        The name in reports.
    thresholds
        The inner thresholds themselves, in (0, 1); 0 and 1 are added, and `num_thresholds` does not
        count.
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
        `curve` or `average`; `average` and `class_id` together. From a call or `fit`: more than two
        outputs with neither, a `class_id` that is not among them; shapes that do not fit, labels
        out of range, probabilities outside of [0, 1]; those of a captured step show at the epoch's
        end.

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

    def __init__(
        self,
        num_thresholds: int | None = None,
        curve: str = "ROC",
        name: str | None = None,
        thresholds: Any = None,
        from_logits: bool | None = None,
        average: str | None = "binary",
        class_id: int | None = None,
    ) -> None:
        super().__init__(average, class_id, name)
        self.num_thresholds = None
        if num_thresholds is not None:
            self.num_thresholds = check_int(num_thresholds, "num_thresholds", at_least=2)
            if self.num_thresholds > THRESHOLD_LIMIT:
                raise ValueError(
                    f"num_thresholds: expected at most {THRESHOLD_LIMIT}, got {self.num_thresholds}"
                )
        self.curve = choose(curve, ("ROC", "PR"), "curve")
        self.from_logits = check_from_logits(from_logits)
        self.thresholds = None
        if thresholds is not None:
            checked = [check_float(one, "thresholds", low=0.0, high=1.0) for one in thresholds]
            self.thresholds = sorted(set(checked))

    @property
    def _limits(self) -> Tensor | None:
        """The inner thresholds that were asked for; None where every score is one."""
        inner: Any = self.thresholds
        if inner is None:
            if self.num_thresholds is None:
                return None
            inner = np.linspace(0.0, 1.0, self.num_thresholds)[1:-1]
        return _core.tensor(np.array(inner, dtype="float64"))

    def make_counts(self, outputs: int) -> None:
        """Make the room for scores."""
        columns = 1 if self.average == "micro" or self._column is not None else outputs
        room = max(LEAST_ROOM, ROOM // columns)
        self.entries = self.add_state((columns, room, 3))
        self.summary = self.add_state((columns, 3))

    def reset_state(self) -> None:
        """Forget all batches."""
        # Entries that are not counted are not there.
        if self._outputs is not None:
            self.summary.copy_(np.zeros(self.summary.shape))

    def _held(self) -> list[tuple[Tensor, Array]]:
        summary = np.array(self.summary.numpy())
        # Without the room that is left, which is much for small data.
        parts = [self.entries[at, : int(count)] for at, count in enumerate(summary[:, 0])]
        filled = [(part, np.array(part.numpy())) for part in parts if part.size]
        return [(self.summary, summary), *filled]

    def _saved(self) -> list[Array]:
        summary = np.array(self.summary.numpy())
        most = int(summary[:, 0].max())
        return [np.array(self.entries[:, :most].numpy()), summary]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch's scores."""
        with no_grad():
            targets, scores, weights = self.flattened(y_true, y_pred, sample_weight)
            if not _core.is_capturing():
                seen = slice(None) if weights is None else weights.numpy() != 0.0
                self._check_strayed(scores.numpy()[seen])
            if self.from_logits and self._limits is not None:
                scores = scores.sigmoid()
            kept = self.entries, self.summary
            _core.collect_scores(*kept, scores, targets, weights, class_id=self._column)

    def _check_strayed(self, scores: Array) -> None:
        if not self.from_logits and ((scores < -SLACK) | (scores > 1.0 + SLACK)).any():
            raise ValueError(
                f"{self.name}: expected scores in [0, 1], got some outside; pass from_logits=True "
                "for scores of any size, or end the model in a sigmoid or softmax"
            )

    def result(self) -> Any:
        """Return the area, or the areas of the classes."""
        if self._outputs is None:
            return np.zeros(0) if self.average is None else 0.0
        summary = np.array(self.summary.numpy())
        self._check_strayed(summary[:, 1:])
        kept = self.entries, self.summary
        found = _core.areas_under_curve(*kept, self.curve, self._limits).numpy()
        areas, positives, negatives = np.array(found.T)
        has_nan = np.isnan(summary[:, 2])
        counted = (positives > 0.0) & ((negatives > 0.0) | (self.curve == "PR"))
        areas[has_nan] = math.nan
        return figure_of(self.joined(areas, counted | has_nan, positives))
