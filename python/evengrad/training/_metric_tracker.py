"""Metric trackers: running means of loss and metrics in steps, and which accuracy fits a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad import _core, losses, metrics
from evengrad._tensor import activations

if TYPE_CHECKING:
    import numpy as np

    from evengrad._core import Tensor
    from evengrad.metrics import Metric
    from evengrad.training._output_head import OutputHead


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
