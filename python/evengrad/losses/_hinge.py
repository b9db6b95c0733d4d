"""Hinge losses: of classifiers that want a margin between the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.names import choose
from evengrad.losses._functions import function_of
from evengrad.losses._loss import Loss
from evengrad.losses._targets import one_hot_labels, refuse, yes_or_no_labels

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Whose categorical hinge it is.
CONVENTIONS = ("textbook", "keras", "torch")


class _BinaryHinge(Loss):
    """What the hinge losses of two classes share: which targets they take."""

    score_activation = "sigmoid"

    def class_labels(self, y: Array) -> Array | None:
        """Return −1 or 1, or 0 or 1, for each row of a single output; else one-hot rows' class."""
        if y.shape[-1] == 1:
            return yes_or_no_labels(y, (0, 1), (-1, 1))
        return one_hot_labels(y > 0)

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        super()._check_values(y, outputs, what)
        # Either −1 and 1, or 0 and 1: all three together would make 0 and −1 one class.
        lowest = -1 if (y == -1).any() else 0
        refuse(
            (y != lowest) & (y != 1),
            y,
            f"{what}: expected targets that are all −1 or 1, or all 0 or 1",
            "for more classes there is categorical_hinge, for a regression mean_squared_error",
        )


class Hinge(_BinaryHinge):
    """The distance to the margin: max(0, 1 − y · s), mean over all outputs and rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: targets other than these, shapes that differ.

    Notes
    -----
    Targets y are −1 or 1, or 0 and 1, where 0 is taken for −1; not all three. Predictions s are
    scores of any size, in the shape of the targets: the last layer needs no activation. The
    derivative at the margin is 0. ``"accuracy"`` beside it takes a score above 0 for a yes; with
    several outputs and one yes in each row it compares the largest. Metrics that need probabilities
    get the sigmoid of the scores: ½ at the score 0, and the same order.

    References
    ----------
    Cortes and Vapnik, "Support-vector networks", 1995.

    Examples
    --------
    >>> eg.losses.Hinge()([[1.0], [0.0]], [[0.25], [-3.0]]).item()
    0.375
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return max(0, 1 − y · s)."""
        return missing_margin(y_true, y_pred)


class SquaredHinge(_BinaryHinge):
    """The squared distance to the margin: max(0, 1 − y · s)², mean over all outputs and rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        As for `Hinge`.

    Notes
    -----
    Targets and predictions as for `Hinge`.

    References
    ----------
    Tang, "Deep learning using linear support vector machines", 2013.

    Examples
    --------
    >>> eg.losses.SquaredHinge()([[1.0], [0.0]], [[0.5], [-3.0]]).item()
    0.125
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return max(0, 1 − y · s)²."""
        return missing_margin(y_true, y_pred).square()


class CategoricalHinge(Loss):
    """The distance by which the right class fails to lead: max(0, 1 + max_{j≠y} s_j − s_y).

    Parameters
    ----------
    reduction, name
        As for every `Loss`.
    convention
        ``"textbook"``: the formula above, Crammer and Singer's. ``"keras"``: the maximum runs over
        (1 − y) ⊙ s, so that the right class takes part with 0; the loss is larger where all other
        scores are negative. ``"torch"``: ``MultiMarginLoss``, Weston and Watkins', the mean of
        max(0, 1 + s_j − s_y) over the other classes, divided by the number of all.

    Raises
    ------
    ValueError
        An unknown reduction or convention. From a call or `fit`: targets that are no one-hot rows,
        shapes that differ.

    Notes
    -----
    Targets: one-hot rows, (rows, classes). Predictions: scores, (rows, classes). Largest scores
    that tie share the gradient. Metrics that need probabilities get the softmax of the scores.

    References
    ----------
    Crammer and Singer, "On the algorithmic implementation of multiclass kernel-based vector
    machines", 2001; Weston and Watkins, "Support vector machines for multi-class pattern
    recognition", 1999.

    Examples
    --------
    >>> y, scores = [[0.0, 1.0, 0.0]], [[-3.0, 0.5, -2.0]]
    >>> eg.losses.CategoricalHinge()(y, scores).item()
    0.0
    >>> eg.losses.CategoricalHinge(convention="keras")(y, scores).item()
    0.5
    """

    score_activation = "softmax"

    def class_labels(self, y: Array) -> Array | None:
        """Return the class of each one-hot row."""
        return one_hot_labels(y)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        convention: str = "textbook",
    ) -> None:
        super().__init__(reduction, name)
        self.convention = choose(convention, CONVENTIONS, "convention")

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the value of each row."""
        targets = y_true.astype(y_pred.dtype)
        right = (targets * y_pred).sum(dim=-1, keepdim=True)
        if self.convention == "keras":
            others = ((1.0 - targets) * y_pred).amax(dim=-1, keepdim=True)
            return (1.0 + others - right).relu().squeeze(-1)
        chosen: Tensor = targets == 1.0
        if self.convention == "torch":
            margins = (1.0 + y_pred - right).relu()
            return _core.where(chosen, 0.0, margins).mean(dim=-1)
        others = _core.where(chosen, -float("inf"), y_pred).amax(dim=-1, keepdim=True)
        return (1.0 + others - right).relu().squeeze(-1)

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        super()._check_values(y, outputs, what)
        wrong = ((y != 0) & (y != 1)).any(axis=-1) | (y.sum(axis=-1) != 1)
        fix = "make them with evengrad.utils.to_categorical(y)"
        refuse(wrong, y, f"{what}: expected one-hot rows", fix)


def missing_margin(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """Return max(0, 1 − y · s), with 0 among the targets taken for −1."""
    targets = y_true.astype(y_pred.dtype)
    signs = _core.where(targets == 0.0, -1.0, targets)
    return (1.0 - signs * y_pred).relu()


hinge = function_of(Hinge, "[[1.0], [0.0]], [[0.25], [-3.0]]", "[0.75, 0.0]")
squared_hinge = function_of(SquaredHinge, "[[1.0], [0.0]], [[0.5], [-3.0]]", "[0.25, 0.0]")
categorical_hinge = function_of(CategoricalHinge, "[[0.0, 1.0, 0.0]], [[-3.0, 0.5, 0.0]]", "[0.5]")
