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
from evengrad.metrics._accuracy import HALF
from evengrad.metrics._confusion import ClassesMetric, said_classes
from evengrad.metrics._metric import ratio

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# The outermost thresholds lie this far outside of [0, 1], so that 0 and 1 themselves are inside.
OUTSIDE = 1e-7
# As many as numbers of float32 in [½, 1], nearly, and few enough for memory.
THRESHOLD_LIMIT = 10_000_000


class AUC(ClassesMetric):
    """The area under the ROC curve, or under that of precision over recall.

    Under the ROC curve it is the chance that a positive scores higher than a negative. Scores are
    counted between `num_thresholds` evenly spaced thresholds, so that memory and time do not grow
    with the rows and a captured step can gather: scores that share an interval count as equal, and
    where many crowd into few intervals more thresholds tell them apart.

    Parameters
    ----------
    num_thresholds
        How many thresholds, 2 or more; from 0 to 1.
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

    Raises
    ------
    TypeError
        A `from_logits` that is none of the three.
    ValueError
        Fewer than two thresholds or more than ten million, one outside of [0, 1], an unknown
        `curve`. From a call or `fit`: shapes that do not fit, labels out of range, probabilities
        outside of [0, 1]; those of a captured step show at the epoch's end.

    Notes
    -----
    Targets of zeros and ones in the shape of the predictions, or class numbers; all outputs count
    together. Without a positive or a negative the area is 0, with a score that is NaN it is NaN.

    References
    ----------
    Fawcett, "An introduction to ROC analysis", 2006; Davis and Goadrich, "The relationship between
    precision-recall and ROC curves", 2006.

    Examples
    --------
    >>> eg.metrics.AUC()([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """

    direction = "max"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        name: str | None = None,
        thresholds: Any = None,
        from_logits: bool | None = None,
    ) -> None:
        super().__init__(name)
        self.num_thresholds = check_int(num_thresholds, "num_thresholds", at_least=2)
        if self.num_thresholds > THRESHOLD_LIMIT:
            raise ValueError(
                f"num_thresholds: expected at most {THRESHOLD_LIMIT}, got {self.num_thresholds}"
            )
        self.curve = choose(curve, ("ROC", "PR"), "curve")
        self.from_logits = check_from_logits(from_logits)
        if thresholds is None:
            self.thresholds = None
            inner = np.linspace(0.0, 1.0, self.num_thresholds)[1:-1]
        else:
            checked = [check_float(one, "thresholds", low=0.0, high=1.0) for one in thresholds]
            self.thresholds = sorted(set(checked))
            inner = np.array(self.thresholds)
        limits = np.concatenate([[-OUTSIDE], inner, [1.0 + OUTSIDE]])
        self._limits = _core.tensor(limits)
        # Weights of the positive and of the negative outputs above each threshold.
        self.positives = self.add_state((len(limits),))
        self.negatives = self.add_state((len(limits),))
        # By how much scores were outside of [0, 1], all together; NaN with one that is.
        self.strayed = self.add_state()

    def make_state(self, outputs: int) -> None:
        """Make nothing: all outputs count together."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the counts."""
        with no_grad():
            targets, scores, weights = self.vectors(y_true, y_pred, sample_weight)
            scores = self._within_unit(scores.sigmoid() if self.from_logits else scores)
            if weights is not None:
                weights = weights.unsqueeze(-1).expand(*scores.shape).reshape(1, -1)
            limits = self._limits.astype(scores.dtype)
            above: Tensor = scores.reshape(-1, 1) > limits
            said = above.astype(scores.dtype)
            true = said_classes(targets.reshape(1, -1), HALF)
            false = 1.0 - true
            if weights is not None:
                true, false = true * weights, false * weights
            # Sums over all outputs, for all thresholds at once.
            _core.accumulate(self.positives, (true @ said).reshape(-1))
            _core.accumulate(self.negatives, (false @ said).reshape(-1))

    def _within_unit(self, scores: Tensor) -> Tensor:
        """Return scores in [0, 1], and remember those that were not."""
        excess = (scores - scores.clamp(-SLACK, 1.0 + SLACK)).abs().sum()
        if not _core.is_capturing():
            self._check_strayed(excess.item())
        _core.accumulate(self.strayed, excess)
        return scores.clamp(0.0, 1.0)

    def _check_strayed(self, excess: float) -> None:
        if excess > 0.0:
            raise ValueError(
                f"{self.name}: expected scores in [0, 1], got some outside; pass from_logits=True "
                "for scores of any size, or end the model in a sigmoid or softmax"
            )

    def result(self) -> float:
        """Return the area."""
        strayed = self.strayed.item()
        self._check_strayed(strayed)
        if math.isnan(strayed):
            return math.nan
        true, false = np.array(self.positives.numpy()), np.array(self.negatives.numpy())
        if true[0] == 0.0 or (self.curve == "ROC" and false[0] == 0.0):
            return 0.0
        if self.curve == "ROC":
            # Thresholds rise, so that both rates fall.
            heights = (true[:-1] + true[1:]) / 2
            return float((heights * -np.diff(false)).sum() / (true[0] * false[0]))
        return float(precision_recall_area(true, false))


def precision_recall_area(true: Array, false: Array) -> Any:
    """Return the area under precision over recall, for counts above rising thresholds.

    Between two thresholds with t true of p predicted, t = a + s·p is a line; the area is the
    integral of t / p over dt / t[0], which is s·(Δt + a·ln(p[i] / p[i+1])) / t[0].
    """
    predicted = true + false
    steps = -np.diff(true)
    slope = ratio(steps, -np.diff(predicted))
    start = true[1:] - slope * predicted[1:]
    inside = (predicted[:-1] > 0) & (predicted[1:] > 0)
    growth = np.where(inside, predicted[:-1], 1.0) / np.where(inside, predicted[1:], 1.0)
    return (slope * (steps + start * np.log(growth))).sum() / true[0]
