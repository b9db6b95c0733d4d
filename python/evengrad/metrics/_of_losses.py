"""Metrics that are the mean of a loss over rows, and of any function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from evengrad import _core
from evengrad._common.checks import FLOATS
from evengrad._common.config import outside_scopes
from evengrad._tensor.grad_mode import no_grad
from evengrad.losses._functions import class_of
from evengrad.losses._loss import (
    Loss,
    as_floats,
    check_given,
    check_values,
    checked_tensor,
    values_of,
)
from evengrad.metrics._metric import MeanMetric, as_targets

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape
    from evengrad._core import Tensor


class LossMetric(MeanMetric):
    """The mean of a loss over rows. A subclass names the loss, and the arguments that it sets."""

    direction = "min"
    _kind: ClassVar[type[Loss]]
    _settings: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def is_of(cls, kind: type[Loss]) -> bool:
        """Tell whether its figure is the mean of that loss, neither its root nor its negative."""
        own = cls.result is MeanMetric.result and cls.values is LossMetric.values
        return own and getattr(cls, "_kind", None) is kind

    def of_loss(self) -> Loss:
        """Return the loss, with the settings as they stand now."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self._settings}
        with outside_scopes():
            return self._kind(**given, reduction="none", name=self.name)

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return the loss of each row, or of each output."""
        return values_of(self.of_loss(), y_true, y_pred)

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        outputs = shape[-1] if shape else 1
        if outputs is not None:
            check_values(self.of_loss(), y, outputs, what)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take in a batch and return the figure over all batches so far."""
        # Within a training the model's end says what predictions are.
        check_given(self.of_loss(), as_targets(y_true), as_floats(y_pred).detach(), sample_weight)
        return super().__call__(y_true, y_pred, sample_weight)


class MeanMetricWrapper(MeanMetric):
    """The weighted mean of what a function of targets and predictions returns.

    Parameters
    ----------
    fn
        A function of targets and predictions, tensors, that returns a tensor: a value for each row,
        or one for the batch; or a `Loss`.
    name
        The name in reports; by default the function's.
    **kwargs
        What the function takes beside.

    Raises
    ------
    TypeError
        No function; from a call or `fit`, one that returns no tensor.

    Notes
    -----
    ``metrics=[function]`` makes it, too. A value for the batch counts as that of each of its rows.
    Predictions count as the model puts them out.

    Examples
    --------
    >>> def within(y_true, y_pred, limit):
    ...     return (y_pred - y_true).abs() <= limit
    >>> metric = eg.metrics.MeanMetricWrapper(within, limit=0.5)
    >>> metric(np.array([1.0, 2.0]), np.array([1.25, 4.0]))
    0.5
    """

    def __init__(self, fn: Any, name: str | None = None, **kwargs: Any) -> None:
        if not callable(fn) or isinstance(fn, type):
            raise TypeError(f"fn: expected a function of targets and predictions, got {fn!r}")
        own = fn.name if isinstance(fn, Loss) else getattr(fn, "__name__", "metric")
        super().__init__(name or own)
        self.fn, self._named = fn, kwargs
        if isinstance(fn, Loss) or class_of(fn, Loss) is not None:
            self.direction = "min"

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return what the function returns, a single number for the batch as one of each row."""
        if isinstance(self.fn, Loss):
            return values_of(self.fn, y_true, y_pred)
        values = checked_tensor(self.fn(y_true, y_pred, **self._named), self.name)
        if values.ndim == 0:
            values = values.expand(y_pred.shape[0])
        return values if values.dtype in FLOATS else values.astype(y_pred.dtype)


class TrainingLoss(MeanMetricWrapper):
    """A loss: for each batch what its reduction makes of rows and weights, mean by their rows.

    So is the figure ``"loss"`` of a training, which has the penalties besides.
    """

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss, loss.name)
        self.loss = loss

    def _weight_under_mask(self, output: Tensor, weight: Tensor | None) -> Tensor | None:
        """Return the weights with which the loss is that of the steps that count."""
        if self.loss.reduction == "none":
            return super()._weight_under_mask(output, weight)
        return self.loss.weight_under_mask(output, weight)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the sums."""
        if self.loss.reduction == "none":
            super().update_state(y_true, y_pred, sample_weight)
            return
        with no_grad():
            predictions = as_floats(y_pred).detach()
            value = self.loss(as_targets(y_true), predictions, sample_weight)
            rows = float(predictions.shape[0])
            _core.accumulate(self.total, value, scale=rows)
            _core.accumulate(self.count, self._one, scale=rows)
