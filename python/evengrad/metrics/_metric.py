"""The base of all metrics."""

from __future__ import annotations

from typing import Any

import numpy as np

from evengrad import _core
from evengrad._config import Configured
from evengrad._core import Tensor
from evengrad._names import snake_case
from evengrad.autograd import no_grad
from evengrad.losses._loss import as_floats, weights_for


class Metric(Configured):
    """A figure that is gathered over many batches.

    The state lives in tensors that `update_state` changes in place, so that gathering is a part of
    a captured step and costs no Python. A subclass makes its state with `add_state` in `__init__`,
    and writes `update_state` and `result`.

    Parameters
    ----------
    name
        The name in reports; by default from the class.

    Examples
    --------
    >>> class LargestError(eg.metrics.Metric):
    ...     def __init__(self, name=None):
    ...         super().__init__(name)
    ...         self.largest = self.add_state()
    ...
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         error = (y_pred - y_true).abs().amax().astype("float64")
    ...         self.largest.copy_(eg.maximum(self.largest, error))
    ...
    ...     def result(self):
    ...         return self.largest.item()
    >>> LargestError()(eg.tensor([1.0, 2.0]), eg.tensor([1.0, 5.0]))
    3.0
    """

    # Whether logits serve as well as the probabilities that are made of them, in the same order.
    accepts_logits = False

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._states: list[Tensor] = []

    def add_state(self, shape: tuple[int, ...] = ()) -> Tensor:
        """Return a float64 tensor of zeros that `reset_state` clears."""
        state = _core.zeros(shape, dtype="float64")
        self._states.append(state)
        return state

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch.

        Parameters
        ----------
        y_true, y_pred
            Targets and predictions, tensors without gradient.
        sample_weight
            A factor per row, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update_state")

    def result(self) -> float:
        """Return the figure over all batches since the last reset."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def reset_state(self) -> None:
        """Forget all batches."""
        for state in self._states:
            state.copy_(np.zeros(state.shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; see `Configured.get_config`."""
        config = super().get_config()
        if config.get("name") == snake_case(type(self).__name__):
            config["name"] = None
        return config

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Take in a batch and return the figure over all batches so far."""
        self.update_state(as_targets(y_true), as_floats(y_pred), sample_weight)
        return self.result()


class MeanMetric(Metric):
    """The weighted mean of a value per row: Σ w · value / Σ w. A subclass writes `values`.

    Examples
    --------
    >>> class Bias(eg.metrics.MeanMetric):
    ...     def values(self, y_true, y_pred):
    ...         return y_pred - y_true
    >>> Bias()(eg.tensor([1.0, 2.0]), eg.tensor([1.0, 5.0]))
    1.5
    """

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.total = self.add_state()
        self.count = self.add_state()
        self._one = _core.ones((), dtype="float64")

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return a floating-point value per row."""
        raise NotImplementedError(f"{type(self).__name__} must define values(y_true, y_pred)")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the sums."""
        with no_grad():
            values = self.values(as_targets(y_true), as_floats(y_pred).detach())
            if values.ndim > 1:
                values = values.mean(dim=tuple(range(1, values.ndim)))
            if sample_weight is None:
                _core.accumulate(self.total, values.sum())
                _core.accumulate(self.count, self._one, scale=float(values.size))
                return
            weights = weights_for(sample_weight, values)
            _core.accumulate(self.total, (values * weights).sum())
            _core.accumulate(self.count, weights.sum())

    def result(self) -> float:
        """Return the mean; 0 before the first batch."""
        count = self.count.item()
        return self.total.item() / count if count else 0.0


class FunctionMetric(MeanMetric):
    """The mean of a function of the user's, of targets and predictions."""

    def __init__(self, function: Any) -> None:
        super().__init__(getattr(function, "__name__", "metric"))
        self.function = function

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return what the function returns, a single number for the batch as one value."""
        values = self.function(y_true, y_pred)
        if not isinstance(values, Tensor):
            raise TypeError(
                f"{self.name}: expected a tensor, the function returned {type(values).__name__}; "
                "compute with evengrad operations"
            )
        if values.ndim == 0:
            values = values.expand(y_pred.shape[0])
        floats = values.dtype in ("float32", "float64")
        return values if floats else values.astype(y_pred.dtype)


def as_targets(values: Any) -> Tensor:
    """Return targets as a tensor without gradient."""
    tensor = values if isinstance(values, Tensor) else _core.tensor(np.asarray(values))
    return tensor.detach()
