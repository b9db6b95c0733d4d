"""Losses of counts and of distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad.losses._crossentropy import EPSILON, safe_log, within_unit
from evengrad.losses._loss import Loss

if TYPE_CHECKING:
    import numpy as np

    from evengrad._core import Tensor


class Poisson(Loss):
    """The loss of counts: p − y · ln(p + 10⁻⁷), mean over all outputs and rows.

    Up to a constant it is the negative log-likelihood of counts y under a Poisson law of mean p.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

    Notes
    -----
    Targets y of 0 or more, predictions p above 0, of one shape: end the model in ``"softplus"`` or
    ``"exponential"``.

    Examples
    --------
    >>> round(eg.losses.Poisson()([[2.0], [0.0]], [[1.0], [3.0]]).item(), 4)
    2.0
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return p − y · ln(p + 10⁻⁷)."""
        return y_pred - y_true.astype(y_pred.dtype) * (y_pred + EPSILON).log()

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return targets of 0 or more, in the model's dtype and the shape of its output."""
        fitted = super().check_target(y, output_shape, what, dtype)
        if (fitted < 0).any():
            row = int((fitted < 0).reshape(len(fitted), -1).any(axis=1).argmax())
            raise ValueError(
                f"{what}: expected counts of 0 or more, got {fitted[row].tolist()!r} in row {row}; "
                "for other targets choose a loss such as mean_squared_error"
            )
        return fitted


class KLDivergence(Loss):
    """How far a distribution is from the true one: Σ y · ln(y / p), mean over the rows.

    Parameters
    ----------
    reduction, name
        As for every `Loss`.

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

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return targets in [0, 1], in the model's dtype and the shape of its output."""
        return within_unit(super().check_target(y, output_shape, what, dtype), what)


KLD = KLDivergence
