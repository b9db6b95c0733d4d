"""Focal losses: cross-entropies that pass lightly over what is right already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.losses._crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Reduction,
    reduced,
    safe_log,
    shares,
)
from evengrad.losses._functions import function_of

if TYPE_CHECKING:
    from evengrad._core import Tensor

# Shares of the other side below it count as this much: x^gamma has no slope at 0 if gamma < 1.
TINY = 1e-30


class BinaryFocalCrossentropy(BinaryCrossentropy):
    """Cross-entropy of yes and no, less where it is right: (1 − p_t)^γ · CE(y, p).

    p_t = y · p + (1 − y) · (1 − p) is the probability of what is true. In a model the loss looks at
    the last layer, as `BinaryCrossentropy` does, and works on the inputs of a sigmoid.

    Parameters
    ----------
    apply_class_balancing
        Whether rows are weighted by α for class 1 and by 1 − α for class 0.
    alpha
        α, in [0, 1].
    gamma
        γ, 0 or more; 0 leaves the cross-entropy as it is.
    from_logits, label_smoothing, reduction, name
        As for `BinaryCrossentropy`.

    Raises
    ------
    ValueError
        `alpha`, `gamma` or `label_smoothing` out of bounds, an unknown reduction; from a call or
        `fit`, values as for `BinaryCrossentropy`.

    Notes
    -----
    Targets and predictions of one shape, (rows, 1) or (rows, outputs).

    References
    ----------
    Lin et al., "Focal loss for dense object detection", 2017.

    Examples
    --------
    >>> loss = eg.losses.BinaryFocalCrossentropy(gamma=2.0)
    >>> round(loss([[1.0], [0.0]], [[0.9], [0.2]]).item(), 6)
    0.00499
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)
        self.apply_class_balancing = bool(apply_class_balancing)
        self.alpha = check_float(alpha, "alpha", low=0.0, high=1.0)
        self.gamma = check_float(gamma, "gamma", low=0.0, open_high=True)

    def _fused(self, y_true: Tensor, logits: Tensor, reduction: Reduction) -> Tensor:
        entropy = super()._fused(y_true, logits, "none")
        values = self._focal(y_true, entropy, logits.sigmoid(), (-logits).sigmoid())
        return reduced(values, reduction)

    def _from_probabilities(self, y_true: Tensor, probabilities: Tensor) -> Tensor:
        entropy = super()._from_probabilities(y_true, probabilities)
        return self._focal(y_true, entropy, probabilities, 1.0 - probabilities)

    def _focal(self, y_true: Tensor, entropy: Tensor, yes: Tensor, no: Tensor) -> Tensor:
        targets = self._smoothed(y_true, yes)
        # 1 − p_t, from both sides apart: a difference to 1 would lose its digits.
        values = entropy * power(targets * no + (1.0 - targets) * yes, self.gamma)
        if not self.apply_class_balancing:
            return values
        return values * (targets * self.alpha + (1.0 - targets) * (1.0 - self.alpha))


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """Cross-entropy of class probabilities, less where it is right: −Σ α · (1 − p)^γ · y · ln p.

    In a model the loss looks at the last layer, as `CategoricalCrossentropy` does, and works on the
    inputs of a softmax.

    Parameters
    ----------
    alpha
        The weight of the classes, 0 or more: one number, or a sequence with one for each class.
    gamma
        γ, 0 or more; 0 leaves the cross-entropy as it is, times `alpha`.
    from_logits, label_smoothing, reduction, name
        As for `CategoricalCrossentropy`.

    Raises
    ------
    ValueError
        `alpha`, `gamma` or `label_smoothing` out of bounds, an unknown reduction; from a call,
        another number of classes than in `alpha`; values as for `CategoricalCrossentropy`.

    Notes
    -----
    Targets and predictions: (rows, classes). Probabilities are divided by the sum of their row, as
    in Keras.

    References
    ----------
    Lin et al., "Focal loss for dense object detection", 2017.

    Examples
    --------
    >>> loss = eg.losses.CategoricalFocalCrossentropy(alpha=1.0)
    >>> round(loss([[1.0, 0.0]], [[0.8, 0.2]]).item(), 6)
    0.008926
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool | None = None,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, reduction, name)
        several = hasattr(alpha, "__len__")
        weights = [check_float(one, "alpha", low=0.0) for one in (alpha if several else [alpha])]
        self.alpha = weights if several else weights[0]
        self.gamma = check_float(gamma, "gamma", low=0.0, open_high=True)

    def _fused(self, y_true: Tensor, logits: Tensor, reduction: Reduction) -> Tensor:
        logarithms = _core.log_softmax(logits)
        return reduced(self._focal(y_true, logarithms, -logarithms.expm1()), reduction)

    def _from_probabilities(self, y_true: Tensor, probabilities: Tensor) -> Tensor:
        divided = shares(probabilities)
        return self._focal(y_true, safe_log(divided), 1.0 - divided)

    def _focal(self, y_true: Tensor, logarithms: Tensor, rest: Tensor) -> Tensor:
        values = self._smoothed(y_true, rest) * logarithms * power(rest, self.gamma)
        if isinstance(self.alpha, float):
            return -(values.sum(dim=-1) * self.alpha)
        if len(self.alpha) != rest.shape[-1]:
            raise ValueError(
                f"{self.name}: expected predictions of {len(self.alpha)} classes, as alpha has, "
                f"got {rest.shape[-1]}"
            )
        return -(values * _core.tensor(self.alpha, dtype=rest.dtype)).sum(dim=-1)


def power(share: Tensor, gamma: float) -> Tensor:
    """Return share^gamma, with a finite slope at 0."""
    return share.clamp(TINY, 1.0) ** gamma


binary_focal_crossentropy = function_of(
    BinaryFocalCrossentropy, "[[1.0], [0.0]], [[0.9], [0.2]]", "[0.0011, 0.0089]"
)
categorical_focal_crossentropy = function_of(
    CategoricalFocalCrossentropy, "[[1.0, 0.0]], [[0.8, 0.2]]", "[0.0022]"
)
