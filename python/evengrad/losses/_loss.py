"""The base of all losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import FLOATS
from evengrad._common.config import Named
from evengrad._common.names import ESCAPES, choose, snake_case
from evengrad._core import Tensor
from evengrad._tensor.step_masks import step_masks
from evengrad.losses._targets import (
    fit_columns,
    in_dtype,
    last_column_as,
    refuse_nan,
    without_masked,
)

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape

# The mean by sample weights, which a factor of them all does not change.
BY_WEIGHT = "mean_with_sample_weight"
# The means that masked steps are no part of.
MEANS = ("sum_over_batch_size", "mean")
REDUCTIONS = ("sum_over_batch_size", "mean", BY_WEIGHT, "sum", "none")
# What is divided by, or has its logarithm taken, is held this far from 0, as Keras does.
EPSILON = 1e-7


class Loss(Named):
    """A number that says how far predictions are from targets.

    A subclass writes `call`, which returns a value per row.

    Parameters
    ----------
    reduction
        ``"sum_over_batch_size"`` or ``"mean"``: the sum over the rows, divided by their number;
        sample weights multiply, and do not change the divisor; 0 without rows.
        ``"mean_with_sample_weight"``: divided by the sum of the sample weights instead, 0 where
        that is 0. ``"sum"``. ``"none"`` or None for a value per row.
    name
        The name in reports; by default from the class.

    Raises
    ------
    ValueError
        An unknown reduction.

    Notes
    -----
    It computes in the dtype of the predictions: Keras' argument ``dtype`` is taken by all losses,
    and has no effect.

    Examples
    --------
    >>> class Quartic(eg.losses.Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ((y_true - y_pred) ** 4).mean(dim=-1)
    >>> Quartic()([[0.0], [0.0]], [[1.0], [2.0]]).item()
    8.5
    """

    _is_read = True
    # It computes in the dtype of the predictions.
    _without_effect = "dtype"
    # Whether class numbers may stand in a column, in calls too.
    _takes_columns = False
    # The activation whose logits the loss takes directly, when a model ends in it.
    fused_activation: str | None = None
    from_logits: bool | None = None
    # The activation that makes numbers in [0, 1] of the loss's scores, for metrics that need such:
    # it keeps their order, and ½ stands where the scores change sides.
    score_activation: str | None = None

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        self.reduction = choose("none" if reduction is None else reduction, REDUCTIONS, "reduction")
        self.name = str.translate(name, ESCAPES) if name else snake_case(type(self).__name__)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return a value per row."""
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss.

        Parameters
        ----------
        y_true
            Targets.
        y_pred
            Predictions.
        sample_weight
            A factor per row, also as a column, or per step of each row where predictions are (rows,
            steps, ...); one number for all; or None. A weight of 0 masks its row or step: whatever
            stands there, NaN included, reaches neither the loss nor the gradient of the others. The
            mean still divides by all of them, but not by the steps that the predictions' own mask
            leaves out, as it comes from `layers.Masking`.

        Returns
        -------
        Tensor
            One element, or one per row with ``reduction="none"``.

        Raises
        ------
        ValueError
            Shapes that do not fit together; nothing is broadcast. Targets that `fit` would refuse,
            such as labels out of range or NaN, and predictions that are no probabilities where the
            loss takes such; not within a step that is being captured, which may look at no values.
        """
        predictions = as_floats(y_pred)
        targets = y_true if isinstance(y_true, Tensor) else _core.tensor(np.asanyarray(y_true))
        if self._takes_columns:
            targets = self._fitted(targets, predictions)
        if not _core.is_capturing():
            self._check_shapes(targets, predictions)
            self._check_given(targets, predictions, sample_weight)
        if step_masks and step_masks.of(y_pred) is not None:
            if sample_weight is not None:
                sample_weight = weights_for(sample_weight, predictions)
            sample_weight = self.weight_under_mask(y_pred, sample_weight)
        return self.value(targets, predictions, sample_weight)

    def weight_under_mask(self, output: Tensor, weight: Tensor | None) -> Tensor | None:
        """Return weights with which the loss is that of the steps that a mask keeps.

        As in Keras a mean is over these steps: Σ w · loss, divided by their number. With other
        reductions that is so in each row.

        Parameters
        ----------
        output
            Predictions, which may have a mask, as those of layers behind `layers.Masking`.
        weight
            The weights of rows or steps; None for 1.

        Returns
        -------
        Tensor or None
            `weight`, where there is no mask.
        """
        masked, mask = masked_weight(output, weight), step_masks.of(output)
        if masked is None or mask is None or self.reduction == BY_WEIGHT:
            return masked
        counts: Tensor = mask.astype(masked.dtype)
        over, all_of_them = tuple(range(1, mask.ndim)), mask.size / max(1, mask.shape[0])
        if self.reduction in MEANS:
            over, all_of_them = tuple(range(mask.ndim)), float(mask.size)
        number = counts.sum(dim=over, keepdim=True)
        return masked * (all_of_them / _core.where(number == 0.0, 1.0, number))

    def value(self, targets: Tensor, predictions: Tensor, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss of tensors whose values were checked before, as `fit` does.

        Parameters
        ----------
        targets, predictions, sample_weight
            As for a call.
        """
        self._check_shapes(targets, predictions)
        if sample_weight is None:
            return self._reduce(self.call(targets, predictions))
        weights = weights_for(sample_weight, predictions)
        targets, predictions = hide_masked(targets, weights), hide_masked(predictions, weights)
        return self._reduce(self.call(targets, predictions), weights)

    def _each(self, targets: Tensor, predictions: Tensor) -> Tensor:
        """Return a value per row, or per element: what `call` does, where all targets count."""
        return self.call(targets, predictions)

    def _fitted(self, targets: Tensor, predictions: Tensor) -> Tensor:
        """Return targets that leave out a last dimension of 1, or write it, as `call` wants them.

        A call of a loss takes them as they are; metrics and functions take either.
        """
        fitted: Tensor = last_column_as(targets, tuple(predictions.shape))
        return fitted

    def _check_given(self, targets: Tensor, predictions: Tensor, sample_weight: Any) -> None:
        """Raise an error for values that the loss has no meaning for, masked rows apart."""
        y, p = targets.detach().numpy(), predictions.detach().numpy()
        if sample_weight is not None:
            seen = weights_for(sample_weight, predictions).numpy() != 0.0
            if not seen.any():
                return
            y, p = without_masked(y, seen), without_masked(p, seen)
        if p.size:
            self._check_values(y, p.shape[-1] if p.ndim else 1, "y_true")
            self._check_predictions(p)

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        """Raise a ValueError for targets that the loss has no meaning for."""
        del outputs
        refuse_nan(y, what)

    def _check_predictions(self, p: Array) -> None:
        """Raise a ValueError for predictions that the loss has no meaning for."""

    def _reduce(self, values: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return values of rows, or of their elements, as `reduction` says."""
        if weights is not None:
            if values.ndim < weights.ndim:
                raise ValueError(
                    f"{self.name}: expected a value for each sample weight or masked step, shape "
                    f"{tuple(weights.shape)}, got {tuple(values.shape)}; leave the means to the "
                    "reduction"
                )
            values = hide_masked(per_weight(values, weights) * weights, weights)
            if self.reduction == BY_WEIGHT:
                total = weights.sum()
                return values.sum() / _core.where(total == 0.0, 1.0, total)
        if values.ndim > 1:
            values = values.mean(dim=tuple(range(1, values.ndim)))
        if self.reduction == "none":
            return values
        # The mean of no rows is their sum, 0.
        return values.sum() if self.reduction == "sum" or values.size == 0 else values.mean()

    def _check_shapes(self, targets: Tensor, predictions: Tensor) -> None:
        """Refuse targets that would only fit by broadcasting."""
        if tuple(targets.shape) != tuple(predictions.shape):
            raise ValueError(
                f"{self.name}: expected targets in the shape of the predictions, "
                f"{tuple(predictions.shape)}, got {tuple(targets.shape)}; reshape one of them"
            )

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return targets as the loss wants them, or raise an error that names argument and fix.

        Parameters
        ----------
        y
            The targets, one row for each row of the data.
        output_shape
            What the model puts out, rows given as None.
        what
            What messages call the targets: ``"y"``.
        dtype
            The model's dtype.

        Raises
        ------
        ValueError
            Targets of another shape than the outputs, or values that the loss has no meaning for,
            such as NaN, labels out of range or targets outside [0, 1].
        TypeError
            Targets that are no numbers.
        """
        self._check_columns(y, output_shape, what)
        fitted = fit_columns(y, output_shape, what)
        if fitted.dtype.kind not in "fiub":
            raise TypeError(f"{what}: expected numbers, got dtype {fitted.dtype}")
        self._check_values(fitted, fitted.shape[-1], what)
        return in_dtype(fitted, dtype, what)

    def class_labels(self, y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Return the class of each row, or step, where the loss reads targets as classes.

        `Model.fit` keeps the shares of these classes in both parts of a `validation_split`, and
        finds `class_weight` by them. A loss of your own that reads class numbers returns them here.

        Parameters
        ----------
        y
            Targets as `check_target` returns them.

        Returns
        -------
        numpy.ndarray or None
            Whole numbers; None where targets are no classes, as here by default.

        Examples
        --------
        >>> eg.losses.CategoricalCrossentropy().class_labels(np.eye(3)).tolist()
        [0, 1, 2]
        >>> eg.losses.MeanSquaredError().class_labels(np.eye(3)) is None
        True
        """
        del y
        return None

    def _check_columns(self, y: Array, output_shape: Shape, what: str) -> None:
        """Raise a ValueError for targets that may be meant for another loss."""


class FunctionLoss(Loss):
    """A function of the user's, of targets and predictions, as a loss."""

    def __init__(self, function: Any) -> None:
        super().__init__(name=getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return what the function returns."""
        y_true = last_column_as(y_true, tuple(y_pred.shape))
        return checked_tensor(self.function(y_true, y_pred), self.name)

    def _check_shapes(self, targets: Tensor, predictions: Tensor) -> None:
        """Leave the shapes to the function."""

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return floating-point targets in the model's dtype, integers as they are.

        A last dimension of 1 is added or taken away, as the outputs have it.
        """
        y = last_column_as(y, output_shape)
        if y.dtype.kind not in "fiub":
            raise TypeError(f"{what}: expected numbers, got dtype {y.dtype}")
        self._check_values(y, y.shape[-1], what)
        if y.dtype.kind in "iub":
            return y.astype(np.int64, copy=False)
        return in_dtype(y, dtype, what)


def checked_tensor(values: Any, name: str) -> Tensor:
    """Return what a function of the user's has returned, which must be a tensor."""
    if not isinstance(values, Tensor):
        raise TypeError(
            f"{name}: expected a tensor, the function returned {type(values).__name__}; "
            "compute with evengrad operations"
        )
    return values


def value_of_each(loss: Loss, y_true: Any, y_pred: Any) -> Tensor:
    """Return the value of each row, or step: the mean over its outputs where each has a value.

    Values are checked, where they may be looked at.
    """
    predictions = as_floats(y_pred)
    targets = y_true if isinstance(y_true, Tensor) else _core.tensor(np.asanyarray(y_true))
    check_given(loss, targets, predictions)
    values = values_of(loss, targets, predictions)
    of_elements = values.ndim == predictions.ndim > 0
    return values.mean(dim=-1) if of_elements else values


def values_of(loss: Loss, targets: Tensor, predictions: Tensor) -> Tensor:
    """Return values of rows, steps or elements, whose mean a loss is; targets fit in shape.

    They may leave out a last dimension of 1, or write it.
    """
    targets = loss._fitted(targets, predictions)  # noqa: SLF001 - no name for users
    loss._check_shapes(targets, predictions)  # noqa: SLF001 - as above
    return loss._each(targets, predictions)  # noqa: SLF001 - as above


def check_given(loss: Loss, targets: Tensor, predictions: Tensor, weights: Any = None) -> None:
    """Raise an error for values that a loss has no meaning for, if they may be looked at."""
    if not _core.is_capturing():
        targets = loss._fitted(targets, predictions)  # noqa: SLF001 - no name for users
        loss._check_shapes(targets, predictions)  # noqa: SLF001 - as above
        loss._check_given(targets, predictions, weights)  # noqa: SLF001 - as above


def check_values(loss: Loss, y: Array, outputs: int, what: str) -> None:
    """Raise an error for targets that a loss has no meaning for."""
    loss._check_values(y, outputs, what)  # noqa: SLF001 - no name for users


def as_floats(values: Any) -> Tensor:
    """Return predictions as a floating-point tensor."""
    tensor = values if isinstance(values, Tensor) else _core.tensor(np.asanyarray(values))
    return tensor if tensor.dtype in FLOATS else tensor.astype(_core.get_default_dtype())


def combined(counted: Tensor, weights: Tensor | None) -> Tensor:
    """Return weights of rows, or of their steps, that are 0 where nothing counts."""
    if weights is None:
        return counted
    return counted * weights.reshape(*weights.shape, *[1] * (counted.ndim - weights.ndim))


def masked_weight(output: Tensor, weight: Tensor | None) -> Tensor | None:
    """Return the weights of an output's rows or steps, 0 for the steps that its mask leaves out."""
    mask = step_masks.of(output)
    return weight if mask is None else combined(mask.astype(output.dtype), weight)


def weights_for(sample_weight: Any, rows: Tensor) -> Tensor:
    """Return sample weights that fit the rows of a tensor, or their steps, in its dtype."""
    given = sample_weight
    weights = given if isinstance(given, Tensor) else _core.tensor(np.asanyarray(given))
    if weights.ndim == 0 and rows.ndim > 0:
        weights = weights.expand(rows.shape[0])
    elif weights.ndim > 1 and weights.shape[-1] == 1 and weights.shape != rows.shape[:-1]:
        # A column, of rows or of their steps.
        weights = weights.squeeze(-1)
    # The last dimension is that of the outputs: they share the weight of their step.
    by_step = 1 < weights.ndim < rows.ndim and weights.shape == rows.shape[: weights.ndim]
    if tuple(weights.shape) != tuple(rows.shape[:1]) and not by_step:
        raise ValueError(
            f"sample_weight: expected one weight per row, shape {tuple(rows.shape[:1])}, got "
            f"{tuple(weights.shape)}"
        )
    return weights.astype(rows.dtype)


def per_weight(values: Tensor, weights: Tensor) -> Tensor:
    """Return the means of the values that share a weight."""
    shared = tuple(range(weights.ndim, values.ndim))
    return values.mean(dim=shared) if shared else values


def hide_masked(values: Tensor, weights: Tensor) -> Tensor:
    """Return zeros where the weight is 0, so that what stands there goes nowhere."""
    if values.ndim < weights.ndim:
        return values
    if values.dtype not in FLOATS:
        # Class numbers: whole numbers of this size are exact in float64.
        return hide_masked(values.astype("float64"), weights).astype(values.dtype)
    masked: Tensor = weights == 0.0
    shape = (*weights.shape, *[1] * (values.ndim - weights.ndim))
    return _core.where(masked.reshape(*shape), 0.0, values)
