"""The training objective: losses and metrics of `compile`, bound to a model's output heads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core, losses, metrics
from evengrad._common.advice import advise
from evengrad._common.checks import check_float
from evengrad._common.names import did_you_mean, free_name
from evengrad._core import Tensor
from evengrad._tensor import activations
from evengrad._tensor.step_masks import step_masks
from evengrad.layers._call_context import call_context
from evengrad.layers._untracked import check_called
from evengrad.losses._crossentropy import CrossEntropy, counted_of
from evengrad.losses._loss import combined
from evengrad.losses._targets import last_column_as
from evengrad.metrics._metric import (
    Metric,
    check_targets,
    held_by,
    own_metric,
    saved_by,
    states_of,
    weight_under_mask,
)
from evengrad.training._endings import PROBABILITIES, ending_of
from evengrad.training._own_steps import called_loss, refusal
from evengrad.training._seen_targets import check_accuracy, fit_seen, seen_by_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from evengrad.layers._layer import Layer
    from evengrad.layers._mixture import Mixture
    from evengrad.layers._module import ModuleTree
    from evengrad.training._compile_config import CompileConfig
    from evengrad.training._protocol import TrainableModel

Array = np.ndarray[Any, Any]
# What one unit alone has no part in.
SHARES_OF_ONE = ("softmax", "log_softmax")


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


def name_in_logs(name: str, output: str | None, weighted: bool, taken: Container[str]) -> str:
    """Return what the logs call a metric of an output, as Keras does: names that are not taken."""
    before = "" if output is None else f"{output}_"
    key = before + name
    if weighted and key in taken:
        key = f"{before}weighted_{name}"
    return free_name(key, taken) if key in taken else key


def shapes_of(arrays: list[Array]) -> Any:
    """Return the input shape, rows as None; a list where there are several inputs."""
    if len(arrays) == 1:
        return (None, *arrays[0].shape[1:])
    return [(None, *array.shape[1:]) for array in arrays]


def output_shapes_for(model: TrainableModel, arrays: list[Array]) -> list[Any]:
    """Return a built model's output shapes, with sizes that data says and Input leaves open."""
    shapes = model.output_shapes
    if None not in [size for shape in shapes for size in shape[1:]]:
        return shapes
    found = model.compute_output_shape(shapes_of(arrays))
    return found if isinstance(found, list) else [found]


def weight_of(rows: int, weights: list[Tensor | None]) -> Any:
    """Return what the rows of a batch weigh in all: their number, or the sum of their weights.

    1 where that is 0. Of several outputs the weights of the first count.
    """
    if weights[0] is None:
        return max(1, rows)
    total = weights[0].sum()
    return _core.where(total == 0.0, 1.0, total)


def noting(called: list[Any], also: Callable[[Any, Any], None] | None) -> Callable[..., None]:
    """Return a listener that notes which layers are called, and passes on what it hears."""

    def note(layer: Any, output: Any) -> None:
        called.append(layer)
        if also is not None:
            also(layer, output)

    return note


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


class HeadMismatchError(ValueError):
    """The end of the model does not fit its loss."""


class OutputHead:
    """One output of the model: its loss, and what the loss and the metrics get of it."""

    def __init__(
        self,
        model: TrainableModel,
        loss: losses.Loss | None,
        weight: Any,
        head: Layer | None,
        name: str,
        shape: tuple[int | None, ...],
    ) -> None:
        # What the loss and the metrics get follows from the model's end.
        self.loss = loss
        self.weight = 1.0 if weight is None else check_float(weight, "loss_weights")
        # The layer, or the output, that messages name.
        self.where = name if head is None else head.path
        # The final activation that is left out, because the loss takes logits.
        self.skipped: str | None = None
        self.logits = False
        self.size = shape[-1]
        # The number in the targets that stands for no class.
        self.ignored_class = loss.ignore_class if isinstance(loss, CrossEntropy) else None
        activation = ending = None if head is None else head.final_activation
        scores = isinstance(loss, CrossEntropy) or (loss and loss.score_activation)
        if activation is None and scores:
            ending = ending_of(model, name)
        # Whether the output, with its activation, is made of probabilities.
        self.probable = ending in PROBABILITIES
        if loss is not None and self.size == 1 and ending in SHARES_OF_ONE:
            end = (getattr(head, "layers", None) or [head])[-1]
            where = self.where if end is None else end.path
            raise HeadMismatchError(
                f"{loss.name}: {where} ends in {ending} over one unit, which is the same for "
                'all data; use activation="sigmoid" for yes and no, or a unit for each class'
            )
        if isinstance(loss, CrossEntropy):
            self._join(loss, activation)
        if loss is not None and loss.reduction == "none":
            raise ValueError(
                f'{loss.name}: training needs a loss that is reduced, got reduction="none"'
            )

    @property
    def raw(self) -> bool:
        """Whether the model puts out the logits or scores that the loss works on."""
        return self.skipped is None and self.squashing is not None

    @property
    def squashing(self) -> str | None:
        """The activation that makes probabilities of what the loss works on, if it has none."""
        if isinstance(self.loss, CrossEntropy):
            return self.loss.fused_activation if self.logits else None
        return None if self.loss is None or self.probable else self.loss.score_activation

    def activation_for(self, metric: Metric) -> str | None:
        """Return the activation through which a metric gets the output, as the loss got it."""
        if metric.accepts_logits:
            return None
        if not metric.needs_probabilities:
            return self.skipped
        if metric.from_logits is None:
            if self.raw:
                self._check_thresholds(metric)
            return self.squashing
        if metric.from_logits and self.probable:
            raise ValueError(
                f"{metric.name}: from_logits=True, but {self.where} makes probabilities; leave "
                "from_logits out"
            )
        if not metric.from_logits and self.raw:
            raise ValueError(
                f"{metric.name}: from_logits=False, but the loss takes the outputs of "
                f"{self.where} for scores without a {self.squashing}; leave from_logits out"
            )
        return None if metric.from_logits else self.skipped

    def _check_thresholds(self, metric: Metric) -> None:
        limits = metric.decides_at
        if limits and not any(0.0 < limit < 1.0 for limit in limits):
            raise ValueError(
                f"{metric.name}: expected a threshold in (0, 1), as the metric gets the "
                f"{self.squashing} of the outputs of {self.where}, got {limits[0]!r}; 0.5 stands "
                "for an output of 0"
            )

    def _join(self, loss: CrossEntropy, activation: str | None) -> None:
        """Decide whether a cross-entropy gets logits, from the model's end."""
        fused, where = loss.fused_activation, self.where
        if activation is None:
            # A subclass, or a function of the user's: its output shows what made it.
            self.logits = not self.probable if loss.from_logits is None else loss.from_logits
            return
        if activation in PROBABILITIES and loss.from_logits:
            raise HeadMismatchError(
                f"{loss.name}: from_logits=True, but {where} ends in {activation}, which makes "
                "probabilities; leave from_logits out, or remove the activation"
            )
        if activation == "linear" and loss.from_logits is False:
            raise HeadMismatchError(
                f"{loss.name}: from_logits=False, but {where} has no activation, so that its "
                f"outputs are logits; leave from_logits out, or give it activation={fused!r}"
            )
        if activation == fused:
            self.skipped, self.logits = activation, True
        elif fused == "softmax" and activation == "sigmoid":
            raise HeadMismatchError(
                f"{loss.name}: {where} ends in sigmoid, whose outputs are no shares of one; use "
                'softmax, or loss="binary_crossentropy" for classes that do not exclude each other'
            )
        elif activation in PROBABILITIES:
            self.logits = False
        else:
            self.logits = loss.from_logits is not False
            if activation not in ("linear", "log_softmax") and loss.from_logits is None:
                advise(
                    "%s: %s ends in %s, and its outputs are taken for logits; remove the "
                    "activation, or pass from_logits=True if it is meant",
                    loss.name,
                    where,
                    activation,
                )

    def loss_of(
        self, y: Tensor, output: Tensor, weight: Tensor | None, mixture: Mixture | None = None
    ) -> Tensor | None:
        """Return the reduced loss, if the output has one; rows may be mixed."""
        if mixture is not None:
            return mixture.of_loss(lambda y, weight: self.loss_of(y, output, weight), y, weight)
        loss = self.loss
        if step_masks and loss is not None:
            weight = loss.weight_under_mask(output, weight)
        if self.logits and isinstance(loss, CrossEntropy):
            return loss.from_logits_loss(y, output, weight)
        return None if loss is None else loss.value(y, output, weight)


@dataclass
class MetricTracker:
    """A metric of one output, under the name that it has in the logs."""

    key: str
    metric: Metric
    position: int
    weighted: bool
    # What the model's output, without an activation that the loss takes over, passes first.
    activation: str | None
    # Whether it is the accuracy that fits the loss.
    is_accuracy: bool


def track(
    every: list[MetricTracker],
    outputs: list[OutputHead],
    ys: list[Tensor],
    results: list[Tensor],
    weights: list[Tensor | None],
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
        y, weight = ys[one.position], weights[one.position] if one.weighted else None
        if step_masks:
            weight = weight_under_mask(one.metric, results[one.position], weight)
        ignored = outputs[one.position].ignored_class
        if ignored is not None:
            weight = combined(counted_of(y, ignored, prediction.dtype), weight)
        one.metric.update_state(y, prediction, weight)


def tracker_for(
    item: Any, output: OutputHead, shape: tuple[int | None, ...], targets: Array
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


def is_binary(loss: losses.Loss | None, outputs: int | None, targets: Array) -> bool:
    """Tell whether each output says yes or no by itself, where targets are no class numbers."""
    if outputs == 1:
        return True
    if isinstance(loss, (losses.Hinge, losses.SquaredHinge)):
        # One yes in each row: the classes exclude each other.
        return bool(((targets > 0).sum(axis=-1) != 1).any())
    return isinstance(loss, losses.BinaryCrossentropy)


class Objective:
    """Losses and metrics of a built model."""

    def __init__(self, config: CompileConfig, model: TrainableModel, targets: list[Array]) -> None:
        self.config = config
        self.model = model
        self.names = model.output_names
        # What inputs come in, and targets and weights.
        self.input_dtype, self.dtype = model.dtypes.inputs, model.dtypes.outputs
        if model.own_steps:
            raise refusal(model.path, model.own_steps[0])
        # What a class of users' takes for its loss in place of those of `compile`.
        own_loss = self.own_loss = model.own_loss
        if config.loss is None and own_loss is None:
            raise RuntimeError(f"{model.path}: compile with a loss before training or evaluating")
        weights = per_output(config.loss_weights, self.names, "loss_weights")
        given = per_output(config.losses, self.names, "loss")
        shapes = model.output_shapes
        # It gets what the model puts out, so that no activation is left to a loss.
        heads = model.heads() if own_loss is None else [None] * len(self.names)
        ends = zip(given, weights, heads, self.names, shapes, strict=True)
        self.outputs = [OutputHead(model, *end) for end in ends]
        config.settings.outputs = self.outputs
        self.without_activation = [output.skipped is not None for output in self.outputs]
        self.loss = Mean()
        # Whether there was a warning of weights without gradient.
        self.has_warned_of_unreached = False
        # What there were warnings of already.
        self.cautions: set[str] = set()
        # Whether the next step looks for layers that are called and are none of the model's.
        self.looks_for_strangers = model.tree.has_code_of_users or bool(model.tree.reads)
        self.finite_steps = _core.zeros((), dtype="float64")
        several = len(self.names) > 1 and own_loss is None
        self.output_losses = {name: Mean() for name in self.names} if several else {}
        self.metrics: list[MetricTracker] = []
        for argument in ("metrics", "weighted_metrics"):
            asked = getattr(config, argument)
            if asked is not None:
                self._add_metrics(argument, asked, targets, shapes)
        # Those of the step that calls the class's own `compute_loss`.
        self._penalties: list[Tensor] = []
        # What captured steps read the settings of.
        self.reads = [*given] if own_loss is None else [*given, own_loss]
        # All tensors that loss and metrics are tracked in.
        self.states: list[Tensor] = []
        for mean in (self.loss, *self.output_losses.values()):
            self.states += [mean.total, mean.count]
        self.states.append(self.finite_steps)
        self.sums = list(self.states)
        # Whether tracking changes these alone: no metric resets in a way of its own.
        self.lies_in_states = True
        for one in self.metrics:
            self.states += states_of(one.metric)
            self.reads.append(one.metric)
            if type(one.metric).reset_state is not Metric.reset_state:
                self.lies_in_states = False

    def _add_metrics(
        self, argument: str, given: Any, targets: list[Array], shapes: list[Any]
    ) -> None:
        weighted = argument == "weighted_metrics"
        for position, items in enumerate(metrics_per_output(given, self.names, argument)):
            for item in flat(items):
                shape, output = shapes[position], self.outputs[position]
                metric, activation = tracker_for(item, output, shape, targets[position])
                here = [one.metric for one in self.metrics]
                if metric is item:
                    metric = own_metric(metric, here, self.model.public)
                metric.build(shape[-1])
                output_name = self.names[position] if len(self.names) > 1 else None
                taken = {"loss", *(known.key for known in self.metrics)}
                ends = position, weighted, activation, item in metrics.ACCURACIES
                key = name_in_logs(metric.name, output_name, weighted, taken)
                self.metrics.append(MetricTracker(key, metric, *ends))

    def metric_directions(self) -> dict[str, str | None]:
        """Return where each figure is to go by its name in the logs: "min", "max" or None."""
        known: dict[str, str | None] = {"loss": "min"}
        known.update({f"{name}_loss": "min" for name in self.output_losses})
        known.update({one.key: one.metric.direction for one in self.metrics})
        return known

    def check_targets(
        self, ys: list[Array], names: list[str], xs: list[Array], weights: list[Array | None]
    ) -> list[Array]:
        """Return targets as the losses want them, or raise an error before anything runs.

        What stands in rows of weight 0 is nothing to losses and to metrics that are weighted.
        """
        shapes = output_shapes_for(self.model, xs)
        fitted = list(ys)
        for at, (output, shape, name) in enumerate(zip(self.outputs, shapes, names, strict=True)):
            loss, weight = output.loss, weights[at]
            if loss is None:
                fitted[at] = last_column_as(ys[at], shape)
            elif weight is None:
                fitted[at] = loss.check_target(ys[at], shape, name, self.dtype)
            else:
                known = [one.key for one in self.metrics if one.position == at and not one.weighted]
                fitted[at] = fit_seen(loss, ys[at], weight, (shape, name, self.dtype), known)
        for one in self.metrics:
            at, output = one.position, self.outputs[one.position]
            y, weight = fitted[at], weights[at] if one.weighted else None
            if weight is not None or output.ignored_class is not None:
                y = seen_by_metric(y, output, weight)
            if one.is_accuracy and not isinstance(output.loss, CrossEntropy):
                check_accuracy(one.metric, output.loss, y, names[at])
            check_targets(one.metric, y, shapes[at], names[at])
        return fitted

    # ---- the step

    def loss_and_metrics(  # noqa: C901 - one call for a step, not several
        self,
        xs: list[Tensor],
        ys: list[Tensor],
        weights: list[Tensor | None],
        tree: ModuleTree,
        *,
        training: bool,
        watch_loss: bool = False,
        resume: Callable[..., list[Tensor]] | None = None,
    ) -> Tensor:
        """Run the model on a batch, track loss and metrics, and return the loss.

        `resume` runs it where the inputs are what its frozen layers have made.
        """
        call_context.penalties = penalties = []
        mixtures: list[Mixture] = []
        call_context.mixtures = mixtures
        looks, before = training and self.looks_for_strangers, call_context.watching
        called: list[Any] = []
        if looks:
            call_context.watching = noting(called, before)
        try:
            run = self.model.forward if resume is None else resume
            results = run(xs, training, self.without_activation)
        finally:
            call_context.penalties, call_context.watching = None, before
            call_context.mixtures = None
        if looks:
            check_called(self.model.public, called)
            self.looks_for_strangers = False
        mixture = mixtures[0] if mixtures else None
        rows = int(xs[0].shape[0])
        penalties += tree.weight_penalties(partial(weight_of, rows, weights))
        total: Tensor | None = None
        ends = zip(self.names, self.outputs, ys, results, weights, strict=True)
        if self.own_loss is not None:
            total = self._called_loss(xs, ys, results, weights, penalties, mixtures, training)
            ends, penalties = zip(), []
        for name, output, y, result, weight in ends:
            loss = output.loss_of(y, result, weight, mixture)
            if loss is None:
                continue
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
                track(self.metrics, self.outputs, ys, results, weights)
        finally:
            _core.set_recording(recording)
        return total

    def _called_loss(
        self,
        xs: list[Tensor],
        ys: list[Tensor],
        results: list[Tensor],
        weights: list[Tensor | None],
        penalties: list[Tensor],
        mixtures: list[Mixture],
        training: bool,
    ) -> Tensor:
        """Return what the class's own `compute_loss` says of a batch."""
        model, own = self.model, self.own_loss
        assert own is not None  # noqa: S101 - who calls this has looked
        if mixtures:
            raise ValueError(
                f"{model.path}: compute_loss of a class does not know of rows that layers.MixUp "
                "mixes; leave the layer out"
            )
        weighted = any(one is not None for one in weights)
        self._penalties = penalties
        try:
            total = called_loss(
                own,
                model.packed_inputs(xs),
                model.packed_outputs(ys),
                model.packed_outputs(results),
                model.packed_outputs(weights) if weighted else None,
                training,
            )
        finally:
            self._penalties = []
        if not isinstance(total, Tensor) or total.size != 1:
            got = tuple(total.shape) if isinstance(total, Tensor) else type(total).__name__
            raise TypeError(
                f"{model.path}: compute_loss: expected a tensor of one element, got {got}"
            )
        return total.reshape(())

    def compiled_loss(
        self, ys: list[Tensor], results: list[Tensor], weights: list[Tensor | None]
    ) -> Tensor:
        """Return the loss of `compile` for what the model puts out, with penalties of the step."""
        total: Tensor | None = None
        for output, y, result, weight in zip(self.outputs, ys, results, weights, strict=True):
            loss = output.loss_of(y, result, weight)
            if loss is not None:
                share = loss * output.weight
                total = share if total is None else total + share
        if total is None:
            raise RuntimeError(f"{self.model.path}: compute_loss: no output has a loss")
        for penalty in self._penalties:
            total = total + penalty.astype(total.dtype)
        return total

    def first_invalid(self, steps: int, values: Array | None = None) -> int | None:
        """Return the first of the steps since the reset whose loss is not finite, if one is.

        By `values` of the states where given, else by those of now.
        """
        # The last of the sums, each of which is one number.
        counted = self.finite_steps.item() if values is None else values[len(self.sums) - 1]
        finite = int(counted)
        return finite if finite < steps else None

    def held(self) -> list[tuple[Tensor, Array]]:
        """Return the states as far as they count, with copies of their values."""
        states = self.states if self.lies_in_states else self.sums
        held = [(state, np.array(state.numpy())) for state in states]
        if not self.lies_in_states:
            for one in self.metrics:
                held += held_by(one.metric)
        return held

    def saved(self) -> list[Array]:
        """Return copies of the states, as far as they are filled, in the order of `states`."""
        saved = [np.array(state.numpy()) for state in self.sums]
        for one in self.metrics:
            saved += saved_by(one.metric)
        return saved

    def restore(self, values: Array) -> None:
        """Set all states to these values, one after the other."""
        at = 0
        for state in self.states:
            end = at + math.prod(state.shape)
            state.copy_(values[at:end].reshape(state.shape))
            at = end

    def means_in(self, values: Array) -> dict[str, float]:
        """Return the losses that states of these values come to, where there are no metrics.

        The states stay what they are: nothing is copied, which makes it quick.
        """
        # A sum and a count of each, in the order of the states; other states lie behind.
        numbers = values.tolist()
        names = ["loss", *(f"{name}_loss" for name in self.output_losses)]
        pairs = zip(names, numbers[::2], numbers[1::2], strict=False)
        return {name: total / count if count else 0.0 for name, total, count in pairs}

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
