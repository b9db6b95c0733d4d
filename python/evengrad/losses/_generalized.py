"""A cross-entropy for labels of which some are wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.losses._crossentropy import (
    Reduction,
    SparseCategoricalCrossentropy,
    one_hot,
    reduced,
)
from evengrad.losses._functions import function_of
from evengrad.losses._loss import EPSILON

if TYPE_CHECKING:
    from evengrad._core import Tensor


class CategoricalGeneralizedCrossEntropy(SparseCategoricalCrossentropy):
    """Between cross-entropy and absolute error: (1 − p[label]^q) / q, mean over the rows.

    For labels of which some are wrong: a row that the model is sure to be of another class than its
    label has the least gradient, where cross-entropy gives it the greatest. q near 0 is the
    cross-entropy, 1 the absolute error, which forgives most and trains slowest.

    In a model the loss looks at the last layer, as `SparseCategoricalCrossentropy` does.

    Parameters
    ----------
    q
        In (0, 1].
    reduction, name
        As for every `Loss`.
    from_logits
        None: look at the model; called directly, predictions are probabilities. True or False: as
        said, and an error where the model contradicts it.

    Raises
    ------
    TypeError
        A `q` that is no number, a `from_logits` that is none of the three; from `fit`, labels that
        are no numbers.
    ValueError
        `q` out of range, an unknown reduction. From a call or `fit`: labels out of range or not
        whole, shapes that do not fit; from a call alone, negative probabilities.

    Notes
    -----
    Targets: integers in [0, classes), shape (rows,), in `fit` also (rows, 1). Predictions: (rows,
    classes). Of sequences, (rows, steps) and (rows, steps, classes). Probabilities are taken as
    they are; those below 10⁻⁷ count as 10⁻⁷.

    References
    ----------
    Zhang and Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy
    labels", 2018.

    Examples
    --------
    >>> loss = eg.losses.CategoricalGeneralizedCrossEntropy(q=0.5)
    >>> round(loss([0], [[0.81, 0.19]]).item(), 4)
    0.2
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        from_logits: bool | None = None,
    ) -> None:
        super().__init__(from_logits, None, reduction, name)
        self.q = check_float(q, "q", low=0.0, high=1.0, open_low=True)

    def _fused(self, y_true: Tensor, logits: Tensor, reduction: Reduction) -> Tensor:
        logarithms = (_core.log_softmax(logits) * one_hot(y_true, logits)).sum(dim=-1)
        return reduced(-(logarithms * self.q).expm1() / self.q, reduction)

    def _from_probabilities(self, y_true: Tensor, probabilities: Tensor) -> Tensor:
        true = (probabilities * one_hot(y_true, probabilities)).sum(dim=-1)
        return (1.0 - true.clamp(EPSILON, math.inf) ** self.q) / self.q


categorical_generalized_cross_entropy = function_of(
    CategoricalGeneralizedCrossEntropy, "[0], [[0.81, 0.19]], q=0.5", "[0.2]"
)
