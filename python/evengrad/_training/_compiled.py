"""What `compile` was told, and how it fits a model's outputs."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core, losses, metrics, optimizers
from evengrad._checks import check_float
from evengrad._names import did_you_mean
from evengrad._training._arrays import output_shapes_for
from evengrad._training._gathering import Gathered, Mean, gather, metric_for
from evengrad._training._output import Output
from evengrad.autograd import no_grad
from evengrad.layers._state import context
from evengrad.metrics import ACCURACIES
from evengrad.metrics._metric import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._core import Tensor
    from evengrad._training._step import Step
    from evengrad.models._model import Model

logger = logging.getLogger("evengrad")


class Compilation:
    """The arguments of `compile`, and the steps that were captured for single batches."""

    def __init__(
        self,
        model: Model,
        optimizer: Any,
        *,
        loss: Any,
        metrics: Any,
        weighted_metrics: Any,
        loss_weights: Any,
        run_eagerly: bool,
    ) -> None:
        self.model = model
        self.optimizer = optimizers.get(optimizer)
        self.loss, self.metrics, self.weighted_metrics = loss, metrics, weighted_metrics
        self.loss_weights = loss_weights
        self.run_eagerly = bool(run_eagerly)
        # Whether training steps count those whose loss is finite; a callback's wish.
        self.watches_loss = False
        self.bound: Bound | None = None
        self.steps: dict[Any, Step] = {}
        # What does not need the outputs is checked now.
        for one in flat(loss):
            losses.get(one)
        for one in [*flat(metrics), *flat(weighted_metrics)]:
            if one not in ACCURACIES:
                check_metric(one)
        # A model that is built knows its outputs; any other is asked when it is.
        if model.built:
            for argument, value in (("loss", loss), ("loss_weights", loss_weights)):
                per_output(value, model.output_names, argument)
            for argument, value in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
                metrics_per_output(value, model.output_names, argument)

    def __getstate__(self) -> dict[str, Any]:
        # What was captured stays in this process, and is made anew at need.
        return {**vars(self), "bound": None, "steps": {}}

    def fresh(self) -> Compilation:
        """Return the same for a model whose layers have changed."""
        return Compilation(
            self.model,
            self.optimizer,
            loss=self.loss,
            metrics=self.metrics,
            weighted_metrics=self.weighted_metrics,
            loss_weights=self.loss_weights,
            run_eagerly=self.run_eagerly,
        )

    def bind(self, targets: list[np.ndarray[Any, Any]]) -> Bound:
        """Fit losses and metrics to the built model's outputs, once."""
        if self.bound is None:
            self.bound = Bound(self, targets)
        return self.bound


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
    nested = isinstance(given, (list, tuple)) and any(
        isinstance(item, (list, tuple)) for item in given
    )
    if isinstance(given, dict) or nested:
        return per_output(given, names, argument)
    return [given] * len(names)


class Bound:
    """Losses and metrics of a built model."""

    def __init__(self, compilation: Compilation, targets: list[np.ndarray[Any, Any]]) -> None:
        self.compilation = compilation
        self.model = compilation.model
        model = self.model
        names = model.output_names
        if compilation.loss is None:
            raise RuntimeError(f"{model.path}: compile with a loss before training or evaluating")
        weights = per_output(compilation.loss_weights, names, "loss_weights")
        given = per_output(compilation.loss, names, "loss")
        self.outputs = [
            Output(
                None if loss is None else losses.get(loss),
                1.0 if weight is None else check_float(weight, "loss_weights"),
            )
            for loss, weight in zip(given, weights, strict=True)
        ]
        heads = model._heads()
        for output, head, name in zip(self.outputs, heads, names, strict=True):
            output.join(model, head, name)
            if output.loss is not None and output.loss.reduction == "none":
                raise ValueError(
                    f"{output.loss.name}: training needs a loss that is reduced, got "
                    'reduction="none"'
                )
        self.without_activation = [output.skipped is not None for output in self.outputs]
        self.loss = Mean()
        # Whether the log has told of weights without gradient.
        self.unreached_told = False
        self.finite_steps = _core.zeros((), dtype="float64")
        self.output_losses = {name: Mean() for name in names} if len(names) > 1 else {}
        self.metrics: list[Gathered] = []
        for argument in ("metrics", "weighted_metrics"):
            self._take_metrics(argument, getattr(compilation, argument), targets)

    def _take_metrics(self, argument: str, given: Any, targets: list[np.ndarray[Any, Any]]) -> None:
        names = self.model.output_names
        lists = metrics_per_output(given, names, argument)
        for position, items in enumerate(lists):
            for item in flat(items):
                shape, output = self.model._output_shapes[position], self.outputs[position]
                metric, activation = metric_for(item, output, shape, targets[position])
                metric.build(shape[-1])
                key = metric.name if len(names) == 1 else f"{names[position]}_{metric.name}"
                taken = {"loss", *(known.key for known in self.metrics)}
                number, base = 1, key
                while key in taken:
                    key, number = f"{base}_{number}", number + 1
                weighted = argument == "weighted_metrics"
                self.metrics.append(Gathered(key, metric, position, weighted, activation))

    def check_targets(
        self,
        ys: list[np.ndarray[Any, Any]],
        names: list[str],
        xs: list[np.ndarray[Any, Any]],
    ) -> list[np.ndarray[Any, Any]]:
        """Return targets as the losses want them, or raise an error before anything runs."""
        shapes = output_shapes_for(self.model, xs)
        fitted = [
            y if output.loss is None else output.loss.check_target(y, shape, name, self.model.dtype)
            for y, output, shape, name in zip(ys, self.outputs, shapes, names, strict=True)
        ]
        for one in self.metrics:
            # What stands in rows of weight 0 is nothing to those that are weighted.
            if not one.weighted:
                at = one.position
                one.metric._check_values(fitted[at], shapes[at], names[at])
        return fitted

    # ---- the step

    def loss_and_metrics(
        self, xs: list[Tensor], ys: list[Tensor], weight: Tensor | None, training: bool
    ) -> Tensor:
        """Run the model on a batch, gather loss and metrics, and return the loss."""
        context.penalties = penalties = []
        try:
            results = self.model._forward(xs, training, self.without_activation)
        finally:
            context.penalties = None
        penalties += self.model._weight_penalties()
        total: Tensor | None = None
        rows = int(xs[0].shape[0])
        names = self.model.output_names
        for name, output, y, result in zip(names, self.outputs, ys, results, strict=True):
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
        with no_grad():
            if training and self.compilation.watches_loss:
                # The sum stays what it is once it is NaN or infinite.
                finite: Tensor = self.loss.total.abs() < float("inf")
                _core.accumulate(self.finite_steps, finite.astype("float64"))
            gather(self.metrics, ys, results, weight)
        return total

    def first_invalid(self, steps: int) -> int | None:
        """Return the first of the steps since the reset whose loss is not finite, if one is."""
        finite = int(self.finite_steps.item())
        return finite if finite < steps else None

    def states(self) -> list[Tensor]:
        """Return all tensors that gathering changes."""
        means = [self.loss, *self.output_losses.values()]
        found = [tensor for mean in means for tensor in (mean.total, mean.count)]
        found.append(self.finite_steps)
        for one in self.metrics:
            found += one.metric._states
        return found

    def lies_in_states(self) -> bool:
        """Tell whether gathering changes `states` alone: no metric forgets in its own way."""
        return all(type(one.metric).reset_state is Metric.reset_state for one in self.metrics)

    def restore(self, values: np.ndarray[Any, Any]) -> None:
        """Set all states to these values, one after the other."""
        at = 0
        for state in self.states():
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

    def kept(self) -> Iterator[tuple[Tensor, np.ndarray[Any, Any]]]:
        """Yield the gathering tensors with copies of their values, to put them back later."""
        for state in self.states():
            yield state, np.array(state.numpy())
