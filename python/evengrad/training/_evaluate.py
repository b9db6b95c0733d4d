"""`evaluate`, validation within `fit`, and steps on single batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.arrays import is_batches
from evengrad.callbacks._callback import CallbackList, check_callbacks
from evengrad.training import _fingerprint
from evengrad.training._batches import BatchRunner, BatchSource
from evengrad.training._data import count_or, prepare
from evengrad.training._loop import run_epoch
from evengrad.training._progress import SILENT, show_logs, style
from evengrad.training._step import DEFAULT_BATCH, ArraySource, Snapshot

if TYPE_CHECKING:
    from evengrad.training._protocol import TrainableModel


class Evaluation:
    """Data to evaluate on, checked and converted once."""

    def __init__(self, source: ArraySource | BatchSource) -> None:
        self.source = source

    def run(self, callbacks: CallbackList) -> dict[str, Any]:
        """Return the figures over all of the data; what steps of training tracked is lost."""
        source = self.source
        callbacks.tell("on_test_begin", {})
        source.begin()
        run_epoch(source, callbacks, "test")
        if source.objective is None:
            raise ValueError("x: expected at least one batch, the iterable has none")
        figures = source.objective.logs()
        callbacks.tell("on_test_end", figures)
        return figures

    def shown(self) -> str:
        """Return a fingerprint of the data."""
        if isinstance(self.source, BatchSource):
            return type(self.source.batches).__name__
        return _fingerprint.shown([_fingerprint.of_array(a) for a in self.source.data.arrays])


def evaluate(
    model: TrainableModel,
    x: Any,
    y: Any,
    batch_size: Any,
    verbose: Any,
    sample_weight: Any,
    steps: Any,
    callbacks: Any,
    check_finite: bool,
) -> dict[str, Any]:
    """Return loss and metrics; see `Model.evaluate`."""
    size = count_or(DEFAULT_BATCH, batch_size, "batch_size")
    limit = count_or(None, steps, "steps")
    shown = SILENT if verbose == "auto" else style(verbose)
    listening = CallbackList(check_callbacks(callbacks), model.public)
    source: ArraySource | BatchSource
    if is_batches(x):
        source = BatchSource(model, x, None, limit, training=False, check_finite=check_finite)
    else:
        prepared = prepare(model, x, y, sample_weight, check_finite=check_finite)
        source = ArraySource(prepared, size, training=False)
    listening.set_params({"steps": source.steps, "verbose": shown})
    # A training in progress, whose callback asks, goes on with its own figures.
    snapshot = None if source.objective is None else Snapshot(source.objective, tracked_alone=True)
    try:
        figures = Evaluation(source).run(listening)
    finally:
        if snapshot is not None:
            snapshot.restore()
    if shown != SILENT:
        print(show_logs(figures), flush=True)  # noqa: T201 - asked for
    return figures


def on_batch(
    model: TrainableModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    check_finite: bool,
    *,
    training: bool,
) -> dict[str, Any]:
    """Do one step on one batch; see `Model.train_on_batch`."""
    batch = prepare(model, x, y, sample_weight, class_weight, check_finite=check_finite)
    objective = batch.objective
    snapshot = Snapshot(objective, tracked_alone=True)
    try:
        objective.reset()
        BatchRunner(training, steps=model.config().steps).run(batch)
        return objective.logs()
    finally:
        snapshot.restore()


def as_list(logs: dict[str, Any]) -> Any:
    """Return figures as Keras does: the loss alone, or a list that begins with it."""
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
