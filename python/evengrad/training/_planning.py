"""Profiling of a training step, without a trace: memory, multiply-adds, threads and time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._core import Steps
from evengrad.layers._module import state_of
from evengrad.losses import SparseCategoricalCrossentropy
from evengrad.losses import get as get_loss
from evengrad.training._data import count_or, prepare, prepare_inputs, refuse_batches
from evengrad.training._loop import ONE_STEP
from evengrad.training._objective import output_shapes_for, per_output
from evengrad.training._range_test import copied
from evengrad.training._step import DEFAULT_BATCH, ArraySource, Snapshot
from evengrad.training._training_plan import TrainingPlan

if TYPE_CHECKING:
    from evengrad.training._data import Array
    from evengrad.training._protocol import TrainableModel

# Seconds of measuring: enough for the plan to settle on a number of threads.
MEASURED = 0.3


def plan(
    model: TrainableModel, x: Any, y: Any, sample_weight: Any, batch_size: Any
) -> TrainingPlan:
    """Return what a step costs; see `Model.plan`."""
    size = count_or(DEFAULT_BATCH, batch_size, "batch_size")
    refuse_batches(x, "pass rows of one of them")
    config = model.config()
    # The time of a step does not depend on the numbers.
    xs = prepare_inputs(model, x, check_finite=False)
    optimizer = config.optimizer
    rate = float(optimizer.learning_rate) if not callable(optimizer.learning_rate) else 0.0
    with _core.Access(model.tree.tensors):
        trial = config.fresh(optimizer=copied(optimizer, model.tree.trainable, lambda _: rate))
    targets = _stand_in(model, xs) if y is None else y
    data = prepare(model, x, targets, sample_weight, config=trial, check_finite=False)
    rows, size = data.rows, min(size, data.rows)
    # Batches of one size alone are measured.
    source = ArraySource(data.taken(np.arange(rows // size * size)), size, training=True)
    # Other threads see the model as it was before, and find it so again.
    with _core.Access(model.tree.tensors, writes=True):
        snapshot = Snapshot(data.objective, variables=True)
        try:
            seconds = _measure(source)
        finally:
            snapshot.restore()
    return _describe(model, source, rows, seconds)


def _stand_in(model: TrainableModel, xs: list[Array]) -> list[Array]:
    """Return zeros in the place of targets."""
    rows = xs[0].shape[0]
    losses = per_output(model.config().loss, model.output_names, "loss")
    shapes = [(rows, *shape[1:]) for shape in output_shapes_for(model, xs)]
    return [
        np.zeros(shape[:-1], np.int64)
        if loss is not None and isinstance(get_loss(loss), SparseCategoricalCrossentropy)
        else np.zeros(shape, model.dtypes.outputs)
        for loss, shape in zip(losses, shapes, strict=True)
    ]


def _measure(source: ArraySource) -> float:
    """Return the seconds of a step, from the quickest of some runs."""
    session = source.session
    # The first step is captured.
    source.run(ONE_STEP)
    best, steps = np.inf, 1
    end = time.perf_counter() + MEASURED
    while True:
        before, start = session.step, time.perf_counter()
        ended = source.run(Steps(steps))
        now = time.perf_counter()
        done = (session.last_epoch_steps if ended else session.step) - before
        best = min(best, (now - start) / done)
        if now >= end:
            return float(best)
        steps = min(source.steps, 2 * steps)


def _describe(
    model: TrainableModel, source: ArraySource, rows: int, seconds: float
) -> TrainingPlan:
    optimizer = source.objective.config.optimizer
    parameters = {id(w): w for w in model.tree.tensors}.values()
    slots = [
        slot
        for tensor in {id(w): w for w in model.tree.trainable}.values()
        for slot in optimizer.slots(tensor).values()
    ]
    held = [sum(t.size * t.itemsize for t in group) for group in (parameters, slots)]
    per_row = sum(t.size * t.itemsize // t.shape[0] for t in source.data.tensors)
    at_a_time = rows if source.data.window == source.rows else source.data.window
    recording = source.kinds[0].recording
    native = None if recording is None else recording.plan
    facts = {} if native is None else native.describe()
    forward = sum(layer.multiply_adds(state_of(layer).input_shape) for layer in model.public.layers)
    return TrainingPlan(
        name=f"{model.public.name} ({type(model.public).__name__})",
        rows=rows,
        batch_size=source.batch_size,
        steps_per_epoch=-(-rows // source.batch_size),
        # Backward costs twice what forward does.
        multiply_adds=int(facts.get("flops", 6 * forward * source.batch_size) // 2),
        threads=facts.get("threads", 1),
        seconds_per_step=seconds,
        parameter_bytes=held[0],
        optimizer_bytes=held[1],
        data_bytes=at_a_time * per_row,
        working_bytes=max(0, facts.get("memory", 0) - sum(held) - source.data.window * per_row),
        phases=facts.get("phases", 0),
        explanation="" if native is None else native.explain(),
    )
