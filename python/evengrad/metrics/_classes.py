"""What metrics of classes share: which outputs count, and how the scores of several are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.checks import check_float, check_int
from evengrad._common.names import choose
from evengrad.losses._crossentropy import one_hot
from evengrad.losses._loss import as_floats
from evengrad.losses._targets import first_row, show_row
from evengrad.metrics._accuracy import HALF
from evengrad.metrics._metric import OutputsMetric, check_indicators, ratio, spread

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape
    from evengrad._core import Tensor

AVERAGES = ("binary", "macro", "micro", "weighted")


def check_one_class(y: Array, shape: Shape, what: str, fix: str) -> None:
    """Raise a ValueError for rows of zeros and ones that name several classes, or none."""
    if len(shape) < 2 or y.ndim < len(shape) or y.shape[-1] == 1:
        return
    wrong = ((y > HALF).sum(axis=-1) > 1) | (y <= 0).all(axis=-1)
    if wrong.any():
        raise ValueError(
            f"{what}: expected rows that name one class, got {show_row(y, first_row(wrong))} in "
            f"row {first_row(wrong)}; {fix}"
        )


def checked_limits(thresholds: Any) -> tuple[list[float], bool]:
    """Return the thresholds that were given, none for None, and whether they are several."""
    several = hasattr(thresholds, "__len__")
    given = thresholds if several else [thresholds]
    limits = [] if thresholds is None else [check_float(one, "thresholds") for one in given]
    if several and not limits:
        raise ValueError("thresholds: expected at least one number, got none")
    return limits, several


class ClassesMetric(OutputsMetric):
    """A metric of probabilities, whose targets are class numbers or zeros and ones."""

    needs_probabilities = True

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        check_indicators(y, shape, what)

    def by_output(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return targets (n,), predictions (n, 1) and n weights or None; a row for each output.

        Weights may also be one for each output.
        """
        predictions = as_floats(y_pred).detach()
        shape = tuple(predictions.shape)
        each: Tensor | None = None
        if sample_weight is not None and 1 < len(shape) == np.ndim(sample_weight) and shape[-1] > 1:
            given = as_floats(sample_weight)
            if tuple(given.shape) == shape:
                each, sample_weight = given.detach().astype(predictions.dtype), None
        targets, predictions, weights = self.flattened(y_true, predictions, sample_weight)
        if targets.ndim == 1 and predictions.shape[-1] > 1:
            targets = one_hot(targets, predictions)
        if weights is not None:
            each = spread(weights, tuple(predictions.shape))
        ones = None if each is None else each.reshape(-1)
        return targets.reshape(-1), predictions.reshape(-1, 1), ones


class AveragedMetric(ClassesMetric):
    """A metric with a score for each class, which `average` joins. A subclass makes its counts.

    One or two outputs, two classes that exclude each other, have the score of class 1.
    """

    direction = "max"
    # What labels that do not exclude each other need.
    _for_several_labels = 'pass average="macro" or class_id='

    def __init__(self, average: str | None, class_id: int | None, name: str | None) -> None:
        super().__init__(name)
        self.average = None if average is None else choose(average, AVERAGES, "average")
        self.class_id = None if class_id is None else check_int(class_id, "class_id", at_least=0)
        if class_id is not None and average != "binary":
            raise ValueError(
                f"average, class_id: expected one of the two, got {average!r} and {class_id}; one "
                "class leaves nothing to join"
            )

    def make_counts(self, outputs: int) -> None:
        """Make the state."""
        raise NotImplementedError(f"{type(self).__name__} must define make_counts(outputs)")

    def make_state(self, outputs: int) -> None:
        """Check that the outputs say which classes count, and make the counts.

        Raises
        ------
        ValueError
            More than two outputs, and nothing that says so; a class that is not among them.
        """
        if self.class_id is not None and self.class_id >= outputs:
            raise ValueError(
                f"class_id: expected a class below {outputs}, as there are so many outputs, got "
                f"{self.class_id}"
            )
        if self._joins_as(outputs) == "binary" and self.class_id is None and outputs > 2:
            raise ValueError(
                f"{self.name}: expected one or two outputs, got {outputs}; pass "
                f'metrics.{type(self).__name__} with average="macro", "micro", "weighted" or None '
                f"for an array of the classes, or with class_id=0 to {outputs - 1} for one of them"
            )
        column = self.class_id
        if column is None and self._joins_as(outputs) == "binary":
            column = outputs - 1
        # The output that counts alone, if one does.
        self._column = column
        self.make_counts(outputs)

    def _joins_as(self, outputs: int) -> str | None:
        """Return how scores are joined; `average`, where nothing else follows from the outputs."""
        del outputs
        return self.average

    def joined(self, scores: Array, counted: Array, actual: Array) -> Array:
        """Return the scores (..., classes) of the classes as `average` has them.

        Parameters
        ----------
        scores
            The score of each class.
        counted
            Which classes a mean is over.
        actual
            The weight of the rows of each class.
        """
        if self.average is None:
            return scores
        if scores.shape[-1] == 1:
            single: Array = scores[..., 0]
            return single
        weights = counted * (actual if self.average == "weighted" else 1.0)
        return ratio((scores * weights).sum(axis=-1), weights.sum(axis=-1))

    def _needs_one_class(self, outputs: int) -> bool:
        """Tell whether the figure has a meaning only if the classes exclude each other."""
        return outputs == 2 and self.average == "binary" and self.class_id is None

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        super()._check_values(y, shape, what)
        if shape and shape[-1] is not None and self._needs_one_class(shape[-1]):
            fix = f"for labels that do not exclude each other {self._for_several_labels}"
            check_one_class(y, shape, what, fix)


def figure_of(values: Any) -> Any:
    """Return a number as a float, an array as it is."""
    return values if np.ndim(values) else float(values)
