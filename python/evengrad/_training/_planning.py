"""Measuring what a training step costs, without a trace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._checks import check_int
from evengrad._training._arrays import (
    build_for,
    inputs_of,
    is_batches,
    output_shapes_for,
    targets_of,
    weights_of,
)
from evengrad._training._compiled import Bound, Compilation, per_output
from evengrad._training._range_test import DEFAULT_BATCH, copied
from evengrad._training._runner import ArrayRunner
from evengrad._training._step import Kept
from evengrad.losses import SparseCategoricalCrossentropy
from evengrad.losses import get as get_loss
from evengrad.models._planning import TrainingPlan

if TYPE_CHECKING:
    from evengrad._training._arrays import Array
    from evengrad._training._step import Step
    from evengrad.models._model import Model

# Seconds of measuring: enough for the plan to settle on a number of threads.
MEASURED = 0.3


def plan(model: Model, x: Any, y: Any, sample_weight: Any, batch_size: Any) -> TrainingPlan:
    """Return what a step costs; see `Model.plan`."""
    size = DEFAULT_BATCH if batch_size is None else check_int(batch_size, "batch_size", at_least=1)
    if is_batches(x):
        raise TypeError("x: expected arrays, got an iterable of batches; pass rows of one of them")
    compilation = model._compiled()
    xs = inputs_of(model, x)
    rows = xs[0].shape[0]
    build_for(model, xs)
    ys, names = targets_of(model, _stand_in(model, xs) if y is None else y, rows)
    optimizer = compilation.optimizer
    rate = float(optimizer.learning_rate) if not callable(optimizer.learning_rate) else 0.0
    trial = Compilation(
        model,
        copied(optimizer, model, lambda _: rate),
        loss=compilation.loss,
        metrics=compilation.metrics,
        weighted_metrics=compilation.weighted_metrics,
        loss_weights=compilation.loss_weights,
        run_eagerly=compilation.run_eagerly,
    )
    bound = Bound(trial, ys)
    ys = bound.check_targets(ys, names, xs)
    weight = weights_of(model, sample_weight, None, xs, ys)
    runner = ArrayRunner(bound, xs, ys, weight, batch_size=size, training=True)
    kept = Kept(bound, variables=True)
    try:
        step = runner._step(runner.batch_size)
        seconds = _measure(runner, step)
    finally:
        kept.put_back()
    return _describe(model, runner, step, seconds)


def _stand_in(model: Model, xs: list[Array]) -> list[Array]:
    """Return zeros in the place of targets."""
    rows = xs[0].shape[0]
    names = model.output_names
    losses = per_output(model._compiled().loss, names, "loss")
    shapes = [(rows, *shape[1:]) for shape in output_shapes_for(model, xs)]
    return [
        np.zeros(shape[:-1], np.int64)
        if loss is not None and isinstance(get_loss(loss), SparseCategoricalCrossentropy)
        else np.zeros(shape, model.dtype)
        for loss, shape in zip(losses, shapes, strict=True)
    ]


def _measure(runner: ArrayRunner, step: Step) -> float:
    """Return the seconds of a step, from the quickest of some stretches."""
    size = runner.batch_size
    most = max(1, min(runner.rows, runner.source.window) // size)
    place = runner.source.load(np.arange(most * size, dtype=np.int64))
    # The first step is captured.
    step.run(place[:size])
    best, steps = np.inf, 1
    end = time.perf_counter() + MEASURED
    while True:
        start = time.perf_counter()
        step.run(place[: steps * size], steps)
        now = time.perf_counter()
        best = min(best, (now - start) / steps)
        if now >= end:
            return float(best)
        steps = min(most, 2 * steps)


def _describe(model: Model, runner: ArrayRunner, step: Step, seconds: float) -> TrainingPlan:
    optimizer = runner.bound.compilation.optimizer
    parameters = {id(w): w for w in model.weights}.values()
    slots = [
        slot
        for tensor in {id(w): w for w in model.trainable_weights}.values()
        for slot in optimizer.slots(tensor).values()
    ]
    held = [sum(t.size * t.itemsize for t in group) for group in (parameters, slots)]
    data = sum(tensor.size * tensor.itemsize for tensor in runner.source.tensors)
    native = None if step.recording is None else step.recording.plan
    facts = {} if native is None else native.describe()
    forward = sum(layer.multiply_adds(layer._state.input_shape) for layer in model.layers)
    return TrainingPlan(
        name=f"{model.name} ({type(model).__name__})",
        rows=runner.rows,
        batch_size=runner.batch_size,
        steps_per_epoch=runner.steps_per_epoch,
        # Backward costs twice what forward does.
        multiply_adds=int(facts.get("flops", 6 * forward * runner.batch_size) // 2),
        threads=facts.get("threads", 1),
        seconds_per_step=seconds,
        parameter_bytes=held[0],
        optimizer_bytes=held[1],
        data_bytes=data,
        working_bytes=max(0, facts.get("memory", 0) - sum(held) - data),
        phases=facts.get("phases", 0),
        explanation="" if native is None else native.explain(),
    )
