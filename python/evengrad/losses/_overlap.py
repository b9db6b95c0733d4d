"""Losses of the overlap between true and predicted sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from evengrad._common.checks import check_float, check_int
from evengrad.losses._functions import function_of
from evengrad.losses._loss import EPSILON, Loss, hide_masked, weights_for
from evengrad.losses._targets import check_probabilities, check_targets_within_unit

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

Axis: TypeAlias = int | list[int] | tuple[int, ...] | None
# Far more dimensions than arrays have.
DIMENSIONS = 64


class Overlap(Loss):
    """What such losses share: sums of y · p, (1 − y) · p and y · (1 − p)."""

    def __init__(
        self,
        axis: Axis = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.axis: int | list[int] | None = None
        if isinstance(axis, (list, tuple)):
            self.axis = [check_int(one, "axis", at_least=-DIMENSIONS) for one in axis]
        elif axis is not None:
            self.axis = check_int(axis, "axis", at_least=-DIMENSIONS)

    def _axes(self, size: int) -> list[int]:
        """Return the axes that sums go over, of so many."""
        if self.axis is None:
            return list(range(size))
        return [self.axis] if isinstance(self.axis, int) else self.axis

    def value(self, targets: Tensor, predictions: Tensor, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss; weights count in sums that go over rows. See `Loss`."""
        over_rows = 0 in (one % predictions.ndim for one in self._axes(predictions.ndim))
        if sample_weight is None or not over_rows:
            return super().value(targets, predictions, sample_weight)
        self._check_shapes(targets, predictions)
        weights = weights_for(sample_weight, predictions)
        y, p = (hide_masked(one, weights) for one in (targets, predictions))
        return self._reduce(self._of_sums(y.astype(p.dtype), p, weights))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return a value for all, or for what the axes leave."""
        return self._of_sums(y_true.astype(y_pred.dtype), y_pred, None)

    def _of_sums(self, y: Tensor, p: Tensor, weights: Tensor | None) -> Tensor:
        """Return 1 − a ratio of sums, with factors for rows or their steps; 0 without rows."""
        if p.size == 0:
            return p.sum()
        counted: Tensor | None = None
        if weights is not None:
            counted = weights.reshape(*weights.shape, *[1] * (y.ndim - weights.ndim))
        both, given, predicted = (
            self._sum(one if counted is None else one * counted) for one in (y * p, y, p)
        )
        return 1.0 - self._ratio(both, given, predicted)

    def _sum(self, values: Tensor) -> Tensor:
        return values.sum(dim=tuple(self._axes(values.ndim)))

    def _ratio(self, both: Tensor, given: Tensor, predicted: Tensor) -> Tensor:
        """Return the measure of overlap, of Σ y · p, Σ y and Σ p."""
        raise NotImplementedError

    def _check_shapes(self, targets: Tensor, predictions: Tensor) -> None:
        super()._check_shapes(targets, predictions)
        size = predictions.ndim
        wrong = [one for one in self._axes(size) if not -size <= one < size]
        if wrong:
            raise ValueError(
                f"{self.name}: axis: expected axes of predictions of shape "
                f"{tuple(predictions.shape)}, got {wrong[0]}"
            )

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        super()._check_values(y, outputs, what)
        check_targets_within_unit(y, what)

    def _check_predictions(self, p: Array) -> None:
        check_probabilities(p, self.name, 'end the model in "sigmoid" or "softmax"', 1.0)


class Dice(Overlap):
    """One minus the Dice coefficient: 1 − 2 · Σ y · p / (Σ y + Σ p).

    It is the F1 score of soft predictions, and looks at what is there alone: many rows without a
    member do not outweigh the few with one.

    Parameters
    ----------
    axis
        The axes that the sums go over, 0 for the rows; None for all. ``axis=1`` gives each row a
        value of its own.
    reduction, name
        As for every `Loss`: over what the axes leave.

    Raises
    ------
    TypeError
        An axis that is no integer.
    ValueError
        An axis that is not there, an unknown reduction. From a call or `fit`: targets outside of
        [0, 1], shapes that differ; from a call alone, predictions outside of [0, 1].

    Notes
    -----
    Targets in [0, 1] and predictions of one shape. The denominator has 10⁻⁷ added. Where sums go
    over rows, sample weights multiply what a row adds to each of them, and the loss of an epoch is
    the mean over its batches.

    References
    ----------
    Milletari, Navab and Ahmadi, "V-Net: fully convolutional neural networks for volumetric medical
    image segmentation", 2016.

    Examples
    --------
    >>> round(eg.losses.Dice()([[1.0], [0.0]], [[0.5], [0.5]]).item(), 4)
    0.5
    """

    def _ratio(self, both: Tensor, given: Tensor, predicted: Tensor) -> Tensor:
        return both * 2.0 / (given + predicted + EPSILON)


class Tversky(Overlap):
    """One minus the Tversky index: 1 − T / (T + α · F⁺ + β · F⁻).

    T = Σ y · p is what is found, F⁺ = Σ (1 − y) · p what is predicted and not there, F⁻ =
    Σ y · (1 − p) what is there and missed. α = β = ½ is `Dice`; a larger β makes up for rare
    members.

    Parameters
    ----------
    alpha
        α, the weight of false positives, at least 0.
    beta
        β, the weight of false negatives, at least 0.
    axis
        The axes that the sums go over, 0 for the rows; None for all.
    reduction, name
        As for every `Loss`: over what the axes leave.

    Raises
    ------
    TypeError
        A setting of another type.
    ValueError
        A setting out of range, an axis that is not there, an unknown reduction. From a call or
        `fit`: targets outside of [0, 1], shapes that differ; from a call alone, predictions outside
        of [0, 1].

    Notes
    -----
    Targets in [0, 1] and predictions of one shape. The denominator has 10⁻⁷ added. Where sums go
    over rows, sample weights multiply what a row adds to each of them. α weighs false positives, as
    the paper and Keras' documentation say; what Keras computes has the two exchanged.

    References
    ----------
    Salehi, Erdogmus and Gholipour, "Tversky loss function for image segmentation using 3D fully
    convolutional deep networks", 2017.

    Examples
    --------
    >>> loss = eg.losses.Tversky(alpha=0.2, beta=0.8)
    >>> round(loss([[1.0], [1.0]], [[1.0], [0.0]]).item(), 4)
    0.4444
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        axis: Axis = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(axis, reduction, name)
        self.alpha = check_float(alpha, "alpha", low=0.0, open_high=True)
        self.beta = check_float(beta, "beta", low=0.0, open_high=True)

    def _ratio(self, both: Tensor, given: Tensor, predicted: Tensor) -> Tensor:
        wrong = (predicted - both) * self.alpha + (given - both) * self.beta
        return both / (both + wrong + EPSILON)


dice = function_of(Dice, "[[1.0], [0.0]], [[0.5], [0.5]]", "0.5")
tversky = function_of(Tversky, "[[1.0], [1.0]], [[1.0], [0.0]], beta=0.8, alpha=0.2", "0.4444")
