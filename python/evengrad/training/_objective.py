"""The training objective: losses and metrics of `compile`, bound to a model's outputs."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core, losses, metrics, optimizers
from evengrad._common.checks import check_float
from evengrad._common.names import did_you_mean
from evengrad._tensor import activations
from evengrad.layers._call_context import call_context
from evengrad.metrics import ACCURACIES
from evengrad.metrics._metric import Metric, check_targets, states_of
from evengrad.training._data import output_shapes_for
from evengrad.training._output_head import OutputHead

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._module import ModuleTree
    from evengrad.training._protocol import TrainableModel
    from evengrad.training._step import Step

logger = logging.getLogger("evengrad")


class CompileConfig:
    """The arguments of `compile`, the objective bound by them, and steps for single batches."""

    def __init__(
        self,
        optimizer: Any,
        *,
        loss: Any,
        metrics: Any,
        weighted_metrics: Any,
        loss_weights: Any,
        run_eagerly: bool,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.loss, self.metrics, self.weighted_metrics = loss, metrics, weighted_metrics
        self.loss_weights = loss_weights
        self.run_eagerly = bool(run_eagerly)
        self.bound: Objective | None = None
        self.steps: dict[Any, Step] = {}
        # What does not need the outputs is checked now.
        self.losses = resolved(loss)
        for one in [*flat(metrics), *flat(weighted_metrics)]:
            if one not in ACCURACIES:
                check_metric(one)

    def check_outputs(self, names: list[str]) -> None:
        """Raise an error for arguments that do not fit outputs of these names."""
        for argument in ("loss", "loss_weights"):
            per_output(getattr(self, argument), names, argument)
        for argument in ("metrics", "weighted_metrics"):
            metrics_per_output(getattr(self, argument), names, argument)

    def __getstate__(self) -> dict[str, Any]:
        # What was captured stays in this process, and is made anew at need.
        return {**vars(self), "bound": None, "steps": {}}

    def fresh(self, **changes: Any) -> CompileConfig:
        """Return the same, unbound and with these changes."""
        arguments = {
            "optimizer": self.optimizer,
            "loss": self.loss,
            "metrics": self.metrics,
            "weighted_metrics": self.weighted_metrics,
            "loss_weights": self.loss_weights,
            "run_eagerly": self.run_eagerly,
        }
        return CompileConfig(**{**arguments, **changes})

    def bind(self, model: TrainableModel, targets: list[np.ndarray[Any, Any]]) -> Objective:
        """Bind losses and metrics to the built model's outputs, once."""
        if self.bound is None:
            self.bound = Objective(self, model, targets)
        return self.bound


def resolved(loss: Any) -> Any:
    """Return losses in place of their names and functions, in a list or dict as they are given."""
    if isinstance(loss, dict):
        return {name: resolved(one) for name, one in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [resolved(one) for one in loss]
    return None if loss is None else losses.get(loss)


def check_metric(metric: Any) -> None:
    """Raise an error for a metric that does not exist."""
    if isinstance(metric, str):
        metrics.get(metric)
    elif not isinstance(metric, Metric) and not callable(metric):
        raise TypeError(f"metrics: expected names, metrics or functions, got {metric!r}")


def flat(value: Any) -> list[Any]:
    """Return the items of nested lists and dicts."""
    if value is None:
        return []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [item for part in value for item in flat(part)]
    return [value]


def per_output(value: Any, names: list[str], argument: str) -> list[Any]:
    """Return one item for each output from a list, a dict by output name, or a single value."""
    if isinstance(value, dict):
        for name in value:
            if name not in names:
                raise ValueError(f"{argument}: no output {name!r}; {did_you_mean(name, names)}")
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise ValueError(
                f"{argument}: expected one for each of the {len(names)} outputs, got {len(value)}"
            )
        return list(value)
    return [value] * len(names)


def metrics_per_output(given: Any, names: list[str], argument: str) -> list[Any]:
    """Return the metrics of each output; a list without lists in it stands for every output."""
    if isinstance(given, dict):
        return per_output(given, names, argument)
    for item in given if isinstance(given, (list, tuple)) else []:
        if isinstance(item, (list, tuple)):
            return per_output(given, names, argument)
    return [given] * len(names)


class Mean:
    """A weighted mean that a captured step adds to."""

    def __init__(self) -> None:
        self.total = _core.zeros((), dtype="float64")
        self.count = _core.zeros((), dtype="float64")
        self.zero = _core.zeros((), dtype="float64")
        self.one = _core.ones((), dtype="float64")

    def add(self, value: Tensor, rows: int) -> None:
        """Take in a batch's mean."""
        _core.accumulate(self.total, value.detach(), scale=float(rows))
        _core.accumulate(self.count, self.one, scale=float(rows))

    def reset(self) -> None:
        """Forget all batches."""
        self.total.copy_(self.zero)
        self.count.copy_(self.zero)

    def result(self) -> float:
        """Return the mean; 0 before the first batch."""
        count = self.count.item()
        return float(self.total.item()) / count if count else 0.0


@dataclass
class MetricTracker:
    """A metric of one output, under the name that it has in the logs."""

    key: str
    metric: Metric
    position: int
    weighted: bool
    # What the model's output, without an activation that the loss takes over, passes first.
    activation: str | None


def track(
    every: list[MetricTracker], ys: list[Tensor], results: list[Tensor], weight: Tensor | None
) -> None:
    """Have all metrics take in a batch."""
    finished: dict[tuple[int, str], Tensor] = {}
    for one in every:
        prediction = results[one.position].detach()
        if one.activation is not None:
            known = (one.position, one.activation)
            if known not in finished:
                finished[known] = activations.get(one.activation)(prediction)
            prediction = finished[known]
        one.metric.update_state(ys[one.position], prediction, weight if one.weighted else None)


def tracker_for(
    item: Any, output: OutputHead, shape: tuple[int | None, ...], targets: np.ndarray[Any, Any]
) -> tuple[Metric, str | None]:
    """Return the metric that was asked for, and the activation through which it gets the output."""
    # A metric may compare with arrays; only a string can stand for an accuracy.
    if not isinstance(item, str) or item not in metrics.ACCURACIES:
        metric = metrics.get(item)
        return metric, output.activation_for(metric)
    loss = output.loss
    by_label = targets.ndim < len(shape) and shape[-1] != 1
    if by_label or isinstance(loss, losses.SparseCategoricalCrossentropy):
        return metrics.SparseCategoricalAccuracy(name=item), None
    if not is_binary(loss, shape[-1], targets):
        return metrics.CategoricalAccuracy(name=item), None
    if output.raw:
        # What the loss makes of it is above ½ where the score itself is above 0.
        return metrics.BinaryAccuracy(name=item, threshold=0.0), None
    return metrics.BinaryAccuracy(name=item), output.skipped


def is_binary(loss: losses.Loss | None, outputs: int | None, targets: np.ndarray[Any, Any]) -> bool:
    """Tell whether each output says yes or no by itself, where targets are no class numbers."""
    if outputs == 1:
        return True
    if isinstance(loss, (losses.Hinge, losses.SquaredHinge)):
        # One yes in each row: the classes exclude each other.
        return bool(((targets > 0).sum(axis=-1) != 1).any())
    return isinstance(loss, losses.BinaryCrossentropy)


class Objective:
    """Losses and metrics of a built model."""

    def __init__(
        self, config: CompileConfig, model: TrainableModel, targets: list[np.ndarray[Any, Any]]
    ) -> None:
        self.config = config
        self.model = model
        self.names = model.output_names
        self.dtype = model.dtype
        if config.loss is None:
            raise RuntimeError(f"{model.path}: compile with a loss before training or evaluating")
        weights = per_output(config.loss_weights, self.names, "loss_weights")
        given = per_output(config.losses, self.names, "loss")
        self.outputs = [
            OutputHead(
                loss,
                1.0 if weight is None else check_float(weight, "loss_weights"),
            )
            for loss, weight in zip(given, weights, strict=True)
        ]
        for output, head, name in zip(self.outputs, model.heads(), self.names, strict=True):
            output.join(model, head, name)
            if output.loss is not None and output.loss.reduction == "none":
                raise ValueError(
                    f"{output.loss.name}: training needs a loss that is reduced, got "
                    'reduction="none"'
                )
        self.without_activation = [output.skipped is not None for output in self.outputs]
        self.loss = Mean()
        # Whether the log has a warning of weights without gradient.
        self.has_warned_of_unreached = False
        self.finite_steps = _core.zeros((), dtype="float64")
        several = len(self.names) > 1
        self.output_losses = {name: Mean() for name in self.names} if several else {}
        self.metrics: list[MetricTracker] = []
        for argument in ("metrics", "weighted_metrics"):
            given = getattr(config, argument)
            if given is not None:
                self._add_metrics(argument, given, targets)
        # All tensors that loss and metrics are tracked in.
        self.states: list[Tensor] = []
        for mean in (self.loss, *self.output_losses.values()):
            self.states += [mean.total, mean.count]
        self.states.append(self.finite_steps)
        # Whether tracking changes these alone: no metric resets in a way of its own.
        self.lies_in_states = True
        for one in self.metrics:
            self.states += states_of(one.metric)
            if type(one.metric).reset_state is not Metric.reset_state:
                self.lies_in_states = False

    def _add_metrics(self, argument: str, given: Any, targets: list[np.ndarray[Any, Any]]) -> None:
        weighted = argument == "weighted_metrics"
        shapes = self.model.output_shapes
        for position, items in enumerate(metrics_per_output(given, self.names, argument)):
            for item in flat(items):
                shape, output = shapes[position], self.outputs[position]
                metric, activation = tracker_for(item, output, shape, targets[position])
                metric.build(shape[-1])
                several = len(self.names) > 1
                key = f"{self.names[position]}_{metric.name}" if several else metric.name
                taken = {"loss", *(known.key for known in self.metrics)}
                number, base = 1, key
                while key in taken:
                    key, number = f"{base}_{number}", number + 1
                self.metrics.append(MetricTracker(key, metric, position, weighted, activation))

    def check_targets(
        self,
        ys: list[np.ndarray[Any, Any]],
        names: list[str],
        xs: list[np.ndarray[Any, Any]],
    ) -> list[np.ndarray[Any, Any]]:
        """Return targets as the losses want them, or raise an error before anything runs."""
        shapes = output_shapes_for(self.model, xs)
        fitted = list(ys)
        for at, (output, shape, name) in enumerate(zip(self.outputs, shapes, names, strict=True)):
            if output.loss is not None:
                fitted[at] = output.loss.check_target(ys[at], shape, name, self.dtype)
        for one in self.metrics:
            # What stands in rows of weight 0 is nothing to those that are weighted.
            if not one.weighted:
                at = one.position
                check_targets(one.metric, fitted[at], shapes[at], names[at])
        return fitted

    # ---- the step

    def loss_and_metrics(
        self,
        xs: list[Tensor],
        ys: list[Tensor],
        weight: Tensor | None,
        tree: ModuleTree,
        *,
        training: bool,
        watch_loss: bool = False,
    ) -> Tensor:
        """Run the model on a batch, track loss and metrics, and return the loss."""
        call_context.penalties = penalties = []
        try:
            results = self.model.forward(xs, training, self.without_activation)
        finally:
            call_context.penalties = None
        penalties += tree.weight_penalties()
        total: Tensor | None = None
        rows = int(xs[0].shape[0])
        for name, output, y, result in zip(self.names, self.outputs, ys, results, strict=True):
            if output.loss is None:
                continue
            loss = output.loss_of(y, result, weight)
            if self.output_losses:
                self.output_losses[name].add(loss, rows)
            share = loss if output.weight == 1.0 else loss * output.weight
            total = share if total is None else total + share
        if total is None:
            raise RuntimeError(f"{self.model.path}: no output has a loss")
        for penalty in penalties:
            total = total + penalty.astype(total.dtype)
        self.loss.add(total, rows)
        recording = _core.set_recording(False)
        try:
            if watch_loss:
                # The sum stays what it is once it is NaN or infinite.
                finite: Tensor = self.loss.total.abs() < float("inf")
                _core.accumulate(self.finite_steps, finite.astype("float64"))
            if self.metrics:
                track(self.metrics, ys, results, weight)
        finally:
            _core.set_recording(recording)
        return total

    def first_invalid(self, steps: int) -> int | None:
        """Return the first of the steps since the reset whose loss is not finite, if one is."""
        finite = int(self.finite_steps.item())
        return finite if finite < steps else None

    def restore(self, values: np.ndarray[Any, Any]) -> None:
        """Set all states to these values, one after the other."""
        at = 0
        for state in self.states:
            end = at + math.prod(state.shape)
            state.copy_(values[at:end].reshape(state.shape))
            at = end

    def reset(self) -> None:
        """Forget all batches."""
        for mean in (self.loss, *self.output_losses.values()):
            mean.reset()
        self.finite_steps.copy_(self.loss.zero)
        for one in self.metrics:
            one.metric.reset_state()

    def logs(self) -> dict[str, Any]:
        """Return the figures over the batches since the last reset: numbers, and some arrays."""
        figures: dict[str, Any] = {"loss": self.loss.result()}
        for name, mean in self.output_losses.items():
            figures[f"{name}_loss"] = mean.result()
        for one in self.metrics:
            figure = one.metric.result()
            figures[one.key] = figure if np.ndim(figure) else float(figure)
        return figures
