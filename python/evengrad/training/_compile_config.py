"""The arguments of `compile`, checked as far as they can be before the outputs are known."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from evengrad import losses, metrics, optimizers
from evengrad._common.config import show
from evengrad.metrics import ACCURACIES
from evengrad.metrics._metric import Metric
from evengrad.training._objective import flat, metrics_per_output, name_in_logs, per_output

if TYPE_CHECKING:
    from evengrad.training._objective import Objective, OutputHead
    from evengrad.training._step import Step


# The arguments that say what is trained for and tracked.
OF_OBJECTIVE = ("loss", "metrics", "weighted_metrics", "loss_weights")


class CompileSettings:
    """The arguments of `compile` as histories keep them, also once the model has others.

    They hold the optimizer, with memory as large as the weights, until the model has another.
    """

    def __init__(self, config: CompileConfig) -> None:
        names = ("optimizer", *OF_OBJECTIVE, "run_eagerly")
        self.arguments: dict[str, Any] | None = {name: getattr(config, name) for name in names}
        # What the losses get of each output, once the model is built.
        self.outputs: list[OutputHead] = []
        self.limits: list[float | None] = []
        self.text: dict[str, str] = {}

    def described(self) -> dict[str, str]:
        """Return the arguments as text, by name; those that were not given are left out."""
        if self.arguments is None:
            return self.text
        given = dict(self.arguments)
        optimizer = given.pop("optimizer")
        settings = {f"optimizer.{name}": x for name, x in optimizer.get_config().items()}
        settings.pop("optimizer.name", None)
        return {
            "optimizer": type(optimizer).__name__,
            **{
                name: value if isinstance(value, str) else show(value)
                for name, value in {**given, **settings}.items()
                if value is not None
            },
        }

    def thresholds(self) -> list[float | None]:
        """Return above what each output says yes; None where its loss does not ask yes or no."""
        return [limit_of(one) for one in self.outputs] if self.outputs else self.limits

    def settle(self) -> None:
        """Keep text and numbers alone."""
        vars(self).update(self.__getstate__())

    def __getstate__(self) -> dict[str, Any]:
        text, limits = self.described(), self.thresholds()
        return {"arguments": None, "outputs": [], "limits": limits, "text": text}


def limit_of(output: OutputHead) -> float | None:
    """Return above what an output says yes; None where its loss does not ask yes or no."""
    loss = output.loss
    if loss is None or "sigmoid" not in (loss.fused_activation, loss.score_activation):
        return None
    return 0.0 if output.raw else 0.5


class CompileConfig:
    """The arguments of `compile`, the objective bound by them, and steps for single batches."""

    def __init__(
        self,
        optimizer: Any,
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
        self.settings = CompileSettings(self)
        # Whether it is known that the optimizer is this model's.
        self.is_claimed = False
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

    def metric_directions(self) -> dict[str, str | None]:
        """Return where each figure is to go: by its name in the logs, as far as it is known yet."""
        if self.bound is not None:
            return self.bound.metric_directions()
        known: dict[str, str | None] = {"loss": "min"}
        for weighted, given in enumerate((self.metrics, self.weighted_metrics)):
            for one in flat(given):
                if isinstance(one, str) and one in ACCURACIES:
                    metric: Metric = metrics.CategoricalAccuracy(one)
                else:
                    metric = metrics.get(one)
                known[name_in_logs(metric.name, None, bool(weighted), known)] = metric.direction
        return known

    def known_metrics(self) -> list[Metric]:
        """Return the metrics that track figures; before they are bound, those that were given."""
        if self.bound is not None:
            return [one.metric for one in self.bound.metrics]
        given = [*flat(self.metrics), *flat(self.weighted_metrics)]
        return [one for one in given if isinstance(one, Metric)]

    def __getstate__(self) -> dict[str, Any]:
        # What was captured stays in this process, and is made anew at need.
        return {**vars(self), "bound": None, "steps": {}, "is_claimed": False, "settings": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.settings = CompileSettings(self)

    def apart(self) -> CompileConfig:
        """Return the same with metrics that share no state with these."""
        ours = {
            name: copy.deepcopy(getattr(self, name)) for name in ("metrics", "weighted_metrics")
        }
        return self.fresh(**ours)

    def fresh(self, **changes: Any) -> CompileConfig:
        """Return the same, unbound and with these changes."""
        names = ("optimizer", *OF_OBJECTIVE, "run_eagerly")
        return CompileConfig(**{**{name: getattr(self, name) for name in names}, **changes})


def resolved(loss: Any) -> Any:
    """Return losses in place of their names and functions, in a list or dict as they are given."""
    if isinstance(loss, dict):
        return {name: resolved(one) for name, one in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [resolved(one) for one in loss]
    return None if loss is None else losses.get(loss)


def check_metric(metric: Any) -> None:
    """Raise an error for a metric that does not exist."""
    if isinstance(metric, Metric) and metric.takes_values:
        raise TypeError(
            f"metrics: {metric.name} takes values, not targets and predictions: update it in a "
            "loop of your own, or pass metrics.MeanMetricWrapper(function) or the function itself"
        )
    if isinstance(metric, str):
        metrics.get(metric)
    elif not isinstance(metric, Metric) and not callable(metric):
        raise TypeError(f"metrics: expected names, metrics or functions, got {metric!r}")
