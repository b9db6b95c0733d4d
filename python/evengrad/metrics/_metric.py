"""The base of all metrics."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evengrad import _core
from evengrad._common.checks import FLOATS
from evengrad._common.config import Named, remade
from evengrad._common.names import ESCAPES, snake_case
from evengrad._core import Tensor
from evengrad._tensor.reductions import native_sum
from evengrad._tensor.step_masks import step_masks
from evengrad.losses._crossentropy import check_labels
from evengrad.losses._loss import (
    as_floats,
    hide_masked,
    masked_weight,
    per_weight,
    weights_for,
)
from evengrad.losses._targets import first_row, last_column_as, refuse_nan

if TYPE_CHECKING:
    from evengrad._common.arrays import Array, Shape

# What a metric comes to: a number, or an array with one for each class or threshold.
Figure: TypeAlias = "float | Array"


class Metric(Named):
    """A figure that is gathered over many batches.

    The state lives in tensors that `update_state` changes in place, so that gathering is a part of
    a captured step and costs no Python. A subclass makes its state with `add_state` in `__init__`,
    or in `build` where it depends on the number of outputs, and writes `update_state` and `result`.

    Parameters
    ----------
    name
        The name in reports; by default from the class.

    Attributes
    ----------
    accepts_logits
        Whether logits serve as well as the probabilities that are made of them, in the same order.
        False by default: the metric gets what `Model.predict` returns.
    needs_probabilities
        Whether predictions must be probabilities. Where a model's loss takes its outputs for
        logits, or for the scores of a hinge loss, the metric then gets the loss's sigmoid or
        softmax of them.
    direction
        ``"max"`` where a larger figure is better, ``"min"`` where a smaller one is; callbacks that
        watch the figure go by it. None by default: they are told by their `mode`.

    Notes
    -----
    Figures are 0 before the first row. Nothing is broadcast. States are float64: Keras' argument
    ``dtype`` is taken by all metrics, and has no effect. Targets that a metric cannot count,
    such as a class number out of range, are an error where they can be looked at: from a call,
    `update_state`, `Model.fit` and `Model.evaluate`, not within a step of the user's own that is
    being captured.

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

    _is_read = True
    # It counts in float64.
    _without_effect = "dtype"
    accepts_logits = False
    needs_probabilities = False
    direction: str | None = None
    # Whether `update_state` takes values, and no targets and predictions.
    takes_values = False
    # What the user says about the predictions, where a metric has such an argument.
    from_logits: bool | None = None
    # Thresholds that the user gave, which must fit the scale of the predictions.
    decides_at: tuple[float, ...] = ()
    # The model that it counts for.
    _owner: weakref.ref[Any] | None = None

    def __init__(self, name: str | None = None) -> None:
        self.name = str.translate(name, ESCAPES) if name else snake_case(type(self).__name__)
        self._states: list[Tensor] = []

    def __getstate__(self) -> dict[str, Any]:
        # A copy counts for nobody yet.
        return {name: value for name, value in vars(self).items() if name != "_owner"}

    def add_state(self, shape: tuple[int, ...] = ()) -> Tensor:
        """Return a float64 tensor of zeros that `reset_state` clears."""
        state = _core.zeros(shape, dtype="float64")
        self._states.append(state)
        return state

    def build(self, outputs: int) -> None:
        """Make state that depends on the number of outputs; a model calls it, or the first batch.

        Parameters
        ----------
        outputs
            The size of the predictions' last dimension.
        """

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

    def _held(self) -> list[tuple[Tensor, Array]]:
        """Return the tensors that count, or parts of them, with copies of their values."""
        return [(state, np.array(state.numpy())) for state in self._states]

    def _saved(self) -> list[Array]:
        """Return copies of the states, as far as they are filled: of rows, the first elements."""
        return [np.array(state.numpy()) for state in self._states]

    def _check_values(self, y: Array, shape: Shape, what: str) -> None:
        """Raise an error for targets that the metric cannot count, to predictions of that shape."""

    def _check_given(self, targets: Tensor, predictions: Tensor, weights: Tensor | None) -> None:
        """Check the values of targets if they can be looked at, masked rows apart."""
        if _core.is_capturing():
            return
        y = targets.numpy()
        if weights is not None and 0 < weights.ndim <= y.ndim:
            seen = weights.numpy() != 0.0
            if not seen.any():
                return
            # An innocent row in the place of each masked one keeps the rows' numbers.
            y = np.array(y)
            y[~seen] = y[seen][0]
        self._check_values(y, tuple(predictions.shape), "y_true")

    def merge_states(self, states: list[list[Array]]) -> list[Array]:
        """Return the states that gathering all rows in one place would have come to.

        For trainings of several ranks, each of which gathers its rows. Here the sums, which fit
        states that batches are added to; a metric with others defines it.

        Parameters
        ----------
        states
            For each rank the states' values, in the order of `add_state`.

        Examples
        --------
        >>> eg.metrics.MeanSquaredError().merge_states([[3.0, 2.0], [1.0, 2.0]])
        [4.0, 4.0]
        """
        return [sum(values[1:], values[0]) for values in zip(*states, strict=True)]

    def result(self) -> Figure:
        """Return the figure over all batches since the last reset: a number, or an array."""
        raise NotImplementedError(f"{type(self).__name__} must define result")

    def reset_state(self) -> None:
        """Forget all batches."""
        for state in self._states:
            state.copy_(np.zeros(state.shape))

    def _weight_under_mask(self, output: Tensor, weight: Tensor | None) -> Tensor | None:
        """Return weights that are 0 at the steps that the mask of predictions leaves out."""
        return masked_weight(output, weight)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take in a batch and return the figure over all batches so far."""
        predictions = as_floats(y_pred)
        targets = last_column_as(as_targets(y_true), tuple(predictions.shape))
        if step_masks and step_masks.of(y_pred) is not None:
            if sample_weight is not None:
                sample_weight = weights_for(sample_weight, predictions)
            sample_weight = self._weight_under_mask(y_pred, sample_weight)
        self.update_state(targets, predictions, sample_weight)
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
        recording = _core.set_recording(False)
        try:
            # As they are in training.
            fitting = isinstance(y_pred, Tensor) and y_pred.dtype in FLOATS
            predictions = (y_pred if fitting else as_floats(y_pred)).detach()
            targets = as_targets(y_true)
            # Not so for the numbers of classes beside the scores of several.
            if 1 in (*targets.shape[-1:], *predictions.shape[-1:]):
                targets = last_column_as(targets, tuple(predictions.shape))
            weights = None
            if sample_weight is not None:
                weights = weights_for(sample_weight, predictions)
                targets, predictions = masked(targets, predictions, weights)
            self._check_given(targets, predictions, weights)
            values = self.values(targets, predictions)
            if weights is None or weights.ndim == 1:
                values = values if values.ndim < 2 else values.mean(dim=range(1, values.ndim))
            else:
                values = per_weight(values, weights)
            if weights is None:
                _core.accumulate(self.total, native_sum(values))
                _core.accumulate(self.count, self._one, scale=float(values.size))
                return
            _core.accumulate(self.total, hide_masked(values * weights, weights).sum())
            _core.accumulate(self.count, weights.sum())
        finally:
            _core.set_recording(recording)

    def result(self) -> float:
        """Return the mean; 0 before the first batch."""
        count = self.count.item()
        return self.total.item() / count if count else 0.0


class OutputsMetric(Metric):
    """A metric whose state depends on the number of outputs. A subclass writes `make_state`."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._outputs: int | None = None

    def build(self, outputs: int) -> None:
        """Make the state, once.

        Raises
        ------
        ValueError
            The metric has gathered over predictions with another number of outputs.
        """
        if self._outputs is None:
            self.make_state(outputs)
            self._outputs = outputs
        elif self._outputs != outputs:
            raise ValueError(
                f"{self.name}: expected predictions with {self._outputs} outputs, as before, got "
                f"{outputs}; make a new metric for them"
            )

    def make_state(self, outputs: int) -> None:
        """Make the state with `add_state`."""
        raise NotImplementedError(f"{type(self).__name__} must define make_state(outputs)")

    def flattened(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return targets, predictions (n, outputs), and n weights or None; one row for each step.

        Targets have the shape of the predictions, or are n class numbers. What stands in rows of
        weight 0 is left there.
        """
        targets, predictions = as_targets(y_true), as_floats(y_pred).detach()
        if predictions.ndim == 1:
            predictions = predictions.unsqueeze(-1)
        weights = None if sample_weight is None else weights_for(sample_weight, predictions)
        self._check_given(targets, predictions, weights)
        shape, given = tuple(predictions.shape), tuple(targets.shape)
        if given not in (shape, shape[:-1], (*shape[:-1], 1)):
            raise ValueError(
                f"{self.name}: expected targets in the shape of the predictions, {shape}, or class "
                f"numbers of shape {shape[:-1]}, got {given}"
            )
        outputs = shape[-1]
        self.build(outputs)
        targets = targets.reshape(-1, outputs) if given == shape else targets.reshape(-1)
        if weights is not None:
            weights = spread(weights, shape[:-1]).reshape(-1)
        return targets, predictions.reshape(-1, outputs), weights


def weight_under_mask(metric: Metric, output: Tensor, weight: Tensor | None) -> Tensor | None:
    """Return the weights with which a metric counts the steps that an output's mask keeps."""
    return metric._weight_under_mask(output, weight)  # noqa: SLF001 - as users derive from it


def own_metric(metric: Metric, others: list[Metric], model: Any) -> Metric:
    """Return the metric, or a new one like it where it counts in another place already.

    Places are those of one model, and other models; one state would add up what all of them count.
    """
    owner = None if metric._owner is None else metric._owner()  # noqa: SLF001 - no name for users
    elsewhere = owner is not None and owner is not model
    if elsewhere or any(metric is other for other in others):
        metric = remade(metric)
    metric._owner = weakref.ref(model)  # noqa: SLF001 - as above
    return metric


def states_of(metric: Metric) -> list[Tensor]:
    """Return the tensors in which a metric counts."""
    return metric._states  # noqa: SLF001 - no public name, as users derive from it


def held_by(metric: Metric) -> list[tuple[Tensor, Array]]:
    """Return the tensors of a metric that count, or parts of them, with copies of their values."""
    return metric._held()  # noqa: SLF001 - as above


def saved_by(metric: Metric) -> list[Array]:
    """Return copies of the states of a metric, as far as they are filled: see `fill`."""
    return metric._saved()  # noqa: SLF001 - as above


def merge(metric: Metric, states: list[list[Array]]) -> None:
    """Have a metric be what those of all ranks are together, of which `saved_by` has these."""
    for state, values in zip(states_of(metric), metric.merge_states(states), strict=True):
        fill(state, values)


def fill(state: Tensor, values: Array) -> None:
    """Set a state to what `saved_by` has returned for it."""
    if tuple(state.shape) == values.shape:
        state.copy_(values)
        return
    for at, part in enumerate(values):
        state[at, : len(part)].copy_(part)


def check_targets(metric: Metric, y: Array, shape: Shape, what: str) -> None:
    """Raise an error for targets that a metric cannot count, to predictions of that shape."""
    metric._check_values(y, shape, what)  # noqa: SLF001 - as above


def as_targets(values: Any) -> Tensor:
    """Return targets as a tensor without gradient."""
    tensor = values if isinstance(values, Tensor) else _core.tensor(np.asanyarray(values))
    return tensor.detach()


def masked(targets: Tensor, predictions: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets and predictions with zeros in the rows of weight 0, whatever stood there."""
    return hide_masked(targets, weights), hide_masked(predictions, weights)


def same_shape(y_true: Tensor, y_pred: Tensor, name: str) -> Tensor:
    """Return targets in the shape and dtype of the predictions; nothing is broadcast.

    A last dimension of 1 may be left out of the targets.
    """
    if tuple(y_pred.shape) == (*y_true.shape, 1):
        y_true = y_true.unsqueeze(-1)
    if tuple(y_true.shape) != tuple(y_pred.shape):
        raise ValueError(
            f"{name}: expected targets in the shape of the predictions, {tuple(y_pred.shape)}, got "
            f"{tuple(y_true.shape)}; reshape one of them"
        )
    return y_true.astype(y_pred.dtype)


def check_indicators(y: Array, shape: Shape, what: str) -> None:
    """Raise a ValueError for targets that are neither class numbers nor zeros and ones.

    Shares between 0 and 1 pass, as does the −1 of hinge losses, which counts as 0.
    """
    outputs = shape[-1] if shape else 1
    by_number = y.ndim < len(shape) or (y.ndim == len(shape) and y.shape[-1] == 1)
    if by_number and outputs is not None and outputs > 1:
        check_labels(y, outputs, what)
        return
    refuse_nan(y, what)
    wrong = ((y < 0) | (y > 1)) & (y != -1)
    if wrong.any():
        raise ValueError(
            f"{what}: expected zeros and ones, got {y[wrong][0].item()!r} in row "
            f"{first_row(wrong)}; map the classes to 0 and 1, or give the last layer an output for "
            "each class"
        )


def spread(weights: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return weights of rows, or of their steps, as weights of all that they hold."""
    return weights.reshape(*weights.shape, *[1] * (len(shape) - weights.ndim)).expand(*shape)


def weighted_sum(values: Tensor, weights: Tensor | None) -> Tensor:
    """Return Σ w · value over the first dimension."""
    return values.sum(0) if weights is None else (values * weights.unsqueeze(-1)).sum(0)


def ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, and 0 where the whole is 0."""
    shares = np.zeros_like(part)
    np.divide(part, whole, out=shares, where=whole != 0)
    return shares
