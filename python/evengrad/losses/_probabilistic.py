"""Losses of counts and of distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad.losses._crossentropy import safe_log
from evengrad.losses._functions import function_of
from evengrad.losses._loss import EPSILON, Loss
from evengrad.losses._targets import check_probabilities, check_targets_within_unit, refuse

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Below this the logarithm has no number to work on.
SMALLEST = {dtype: float(np.finfo(dtype).tiny) for dtype in ("float32", "float64")}


class Poisson(Loss):
    """The loss of counts: p − y · ln(p + 10⁻⁷), mean over all outputs and rows.

    Up to a constant it is the negative log-likelihood of counts y under a Poisson law of mean p.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.
    deviance
        Whether it is half of the Poisson deviance, y · ln(y / p) − y + p with 0 · ln 0 = 0, as
        scikit-learn has it: 0 where p is y. The derivative is the same but for the 10⁻⁷, which is
        left out, so that tiny predictions are corrected too.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: negative or other than finite counts, shapes
        that differ; from a call alone, negative predictions.

    Notes
    -----
    Targets y of 0 or more, predictions p above 0, of one shape: end the model in ``"softplus"`` or
    ``"exponential"``. In training a prediction below −10⁻⁷ makes the loss NaN.

    References
    ----------
    McCullagh and Nelder, "Generalized linear models", 1989, chapter 6.

    Examples
    --------
    >>> round(eg.losses.Poisson()([[2.0], [0.0]], [[1.0], [3.0]]).item(), 4)
    2.0
    >>> eg.losses.Poisson(deviance=True)([[2.0], [0.0]], [[2.0], [3.0]]).item()
    1.5
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        deviance: bool = False,
    ) -> None:
        super().__init__(reduction, name)
        self.deviance = bool(deviance)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return p − y · ln(p + 10⁻⁷), or y · ln(y / p) − y + p."""
        y = y_true.astype(y_pred.dtype)
        if not self.deviance:
            return y_pred - y * (y_pred + EPSILON).log()
        # Two logarithms, as the quotient may be larger than numbers can be.
        least = SMALLEST[y_pred.dtype]
        y_log, p_log = (_core.maximum(one, least).log() for one in (y, y_pred))
        return y * (y_log - p_log) - y + y_pred

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        super()._check_values(y, outputs, what)
        fix = "for other targets choose a loss such as mean_squared_error"
        refuse(y < 0, y, f"{what}: expected counts of 0 or more", fix)

    def _check_predictions(self, p: Array) -> None:
        fix = 'end the model in "softplus" or "exponential"'
        refuse(p < 0, p, f"{self.name}: expected predictions of 0 or more", fix)


class KLDivergence(Loss):
    """How far a distribution is from the true one: Σ y · ln(y / p), mean over the rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Raises
    ------
    ValueError
        An unknown reduction. From a call or `fit`: targets outside of [0, 1], shapes that differ;
        from a call alone, predictions outside of [0, 1].

    Notes
    -----
    Targets and predictions: probabilities, (rows, classes). A class whose target is 0 adds nothing,
    and predictions below 10⁻⁷ count as 10⁻⁷. Against logits, `CategoricalCrossentropy` has the same
    gradient.

    References
    ----------
    Kullback and Leibler, "On information and sufficiency", 1951.

    Examples
    --------
    >>> round(eg.losses.KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]).item(), 4)
    0.1438
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return Σ y · ln(y / p)."""
        targets = y_true.astype(y_pred.dtype)
        # 0 · ln 0 = 0.
        known = _core.where(targets == 0.0, 1.0, targets)
        return (targets * (known.log() - safe_log(y_pred))).sum(dim=-1)

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        super()._check_values(y, outputs, what)
        check_targets_within_unit(y, what)

    def _check_predictions(self, p: Array) -> None:
        check_probabilities(p, self.name, "for logits use CategoricalCrossentropy")


poisson = function_of(Poisson, "[[2.0], [0.0]], [[1.0], [3.0]]", "[1.0, 3.0]")
kl_divergence = function_of(KLDivergence, "[[0.5, 0.5]], [[0.25, 0.75]]", "[0.1438]")
KLD = KLDivergence
kld = kl_divergence
