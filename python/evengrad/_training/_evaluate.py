"""Evaluation, and single batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._checks import check_int
from evengrad._training._arrays import build_for, inputs_of, is_batches, targets_of, weights_of
from evengrad._training._batches import BatchSource
from evengrad._training._progress import SILENT, show_logs, style
from evengrad._training._runner import ArrayRunner, BatchRunner, Stretches
from evengrad.callbacks._callback import CallbackList, check_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._training._arrays import Array
    from evengrad._training._compiled import Bound
    from evengrad.models._model import Model

DEFAULT_BATCH = 32


class Evaluation:
    """Data to evaluate on, checked and converted once."""

    def __init__(
        self,
        model: Model,
        x: Any,
        y: Any,
        sample_weight: Any,
        *,
        batch_size: int,
        steps: int | None = None,
    ) -> None:
        self.batches: BatchSource | None = None
        self.runner: ArrayRunner | None = None
        self.bound: Bound | None
        if is_batches(x):
            self.batches = BatchSource(model, x, None, steps, training=False)
            self.bound = self.batches.bound
            return
        xs = inputs_of(model, x)
        build_for(model, xs)
        ys, names = targets_of(model, y, xs[0].shape[0])
        self.bound = model._compiled().bind(ys)
        ys = self.bound.check_targets(ys, names, xs)
        weight = weights_of(model, sample_weight, None, xs, ys)
        self.runner = ArrayRunner(self.bound, xs, ys, weight, batch_size=batch_size, training=False)

    @classmethod
    def of_checked(
        cls, bound: Bound, xs: list[Array], ys: list[Array], weight: Array | None, size: int
    ) -> Evaluation:
        """Return an evaluation of data that has been checked."""
        self = cls.__new__(cls)
        self.batches, self.bound = None, bound
        self.runner = ArrayRunner(bound, xs, ys, weight, batch_size=size, training=False)
        return self

    def _epoch(self, stretches: Stretches) -> Iterator[int]:
        if self.batches is not None:
            yield from self.batches.epoch(stretches)
        elif self.runner is not None:
            yield from self.runner.epoch(np.arange(self.runner.rows, dtype=np.int64), stretches)

    def run(self, callbacks: CallbackList) -> dict[str, Any]:
        """Return the figures; those that a training is gathering meanwhile are left alone."""
        callbacks.tell("on_test_begin", {})
        kept = [] if self.bound is None else list(self.bound.kept())
        singly = callbacks.wants_batches("test")
        try:
            if self.bound is not None:
                self.bound.reset()
            told = -1
            for done in self._epoch(Stretches(singly, False)):
                if singly and told >= 0:
                    callbacks.tell("on_test_batch_end", told, {})
                if singly and (self.runner is None or done != self.runner.steps_per_epoch):
                    callbacks.tell("on_test_batch_begin", done, {})
                told = done
            if self.batches is not None:
                self.bound = self.batches.bound
            if self.bound is None:
                raise ValueError("x: expected at least one batch, the iterable has none")
            figures = self.bound.logs()
        finally:
            for state, values in kept:
                state.copy_(values)
        callbacks.tell("on_test_end", figures)
        return figures


def evaluate(
    model: Model,
    x: Any,
    y: Any,
    *,
    batch_size: Any,
    verbose: Any,
    sample_weight: Any,
    steps: Any,
    callbacks: Any,
) -> dict[str, Any]:
    """Return loss and metrics; see `Model.evaluate`."""
    size = DEFAULT_BATCH if batch_size is None else check_int(batch_size, "batch_size", at_least=1)
    limit = None if steps is None else check_int(steps, "steps", at_least=1)
    shown = SILENT if verbose == "auto" else style(verbose)
    users = check_callbacks(callbacks)
    evaluation = Evaluation(model, x, y, sample_weight, batch_size=size, steps=limit)
    count = evaluation.runner.steps_per_epoch if evaluation.runner else limit
    figures = evaluation.run(CallbackList(users, model, {"steps": count, "verbose": shown}))
    if shown != SILENT:
        print(show_logs(figures), flush=True)  # noqa: T201 - asked for
    return figures


def on_batch(
    model: Model, x: Any, y: Any, sample_weight: Any, class_weight: Any, *, training: bool
) -> dict[str, Any]:
    """Do one step on one batch; see `Model.train_on_batch`."""
    compilation = model._compiled()
    xs = inputs_of(model, x)
    build_for(model, xs)
    ys, names = targets_of(model, y, xs[0].shape[0])
    bound = compilation.bind(ys)
    ys = bound.check_targets(ys, names, xs)
    weight = weights_of(model, sample_weight, class_weight, xs, ys)
    kept = list(bound.kept())
    try:
        bound.reset()
        BatchRunner(bound, training, compilation.steps).run(xs, ys, weight)
        return bound.logs()
    finally:
        for state, values in kept:
            state.copy_(values)
