"""Examining a model over a few steps of training: what `Model.diagnose` measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.arrays import is_batches
from evengrad._common.checks import check_int
from evengrad.callbacks._callback import Callback
from evengrad.health._examination import Examination, TrainingFacts
from evengrad.health._series import Series
from evengrad.losses._targets import NotFiniteError, UnknownClassError
from evengrad.optimizers._optimizer import rate_of
from evengrad.training._data import Prepared, prepare
from evengrad.training._data_facts import (
    LOOKED_AT,
    bad_rows_of,
    facts_of_targets,
    outputs_facts,
)
from evengrad.training._objective import HeadMismatchError, per_output
from evengrad.training._step import Batch, Snapshot
from evengrad.training._watched_step import WatchedStep
from evengrad.training._watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad.health._examination import Observed
    from evengrad.training._protocol import TrainableModel

    Array = np.ndarray[Any, Any]

# Steps of training where nothing is said: enough for updates to have done what they do, and a
# second at most for nets of a million weights.
STEPS = 50


class Collector(Callback):
    """Keeps what every step measures."""

    watch_every = 1

    def __init__(self) -> None:
        self.series = Series()

    def _on_watched(self, observed: Observed) -> None:
        self.series.add(observed)


def examine(
    model: TrainableModel,
    x: Any,
    y: Any,
    fit: Callable[..., object],
    *,
    batch_size: int,
    steps: int | None,
    sample_weight: Any,
    validation_data: Any,
) -> Examination:
    """Train a model for a few steps by its `fit`, and return all that was measured."""
    if is_batches(x):
        raise TypeError("x: expected arrays, got an iterable of batches; pass rows of one of them")
    steps = STEPS if steps is None else check_int(steps, "steps", at_least=1)
    size = check_int(batch_size, "batch_size", at_least=1)
    try:
        data = prepare(model, x, y, sample_weight, check_finite=False)
    except HeadMismatchError as error:
        return refused(model, size, y, refusal=str(error))
    except NotFiniteError as error:
        return refused(model, size, y, not_finite=error.rows)
    except UnknownClassError as error:
        return refused(model, size, y, unknown_classes=error.rows)
    probe = Probe(model, data, size)
    before = probe.run()
    facts, training = probe.watching.data, probe.watching.training
    assert training is not None  # noqa: S101 - what the probe has made
    bad = bad_rows_of(data.xs)
    if facts is not None and bad:
        # Training would only spread them.
        facts.non_finite_inputs = facts.non_finite_inputs or len(bad)
        facts.non_finite_rows = bad
        return Examination(probe.layers, training, facts, before=before)
    collector, of_epoch = Collector(), -(-data.rows // size)
    fit(
        x,
        y,
        batch_size=size,
        epochs=-(-steps // of_epoch),
        steps_per_epoch=steps if steps < of_epoch else None,
        sample_weight=sample_weight,
        validation_data=validation_data,
        callbacks=[collector],
        verbose=0,
        check_finite=False,
    )
    after = probe.run()
    examination = collector.series.examination() or Examination(probe.layers, training, facts)
    examination.before, examination.after = before, after
    return examination


class Probe:
    """One pass over the first rows of the data, forward and back, that changes nothing."""

    def __init__(self, model: TrainableModel, data: Prepared, batch_size: int) -> None:
        self.model = model
        self.data = data.taken(slice(0, min(data.rows, LOOKED_AT)))
        self.watching = Watching(model, (), 0)
        self.watch = self.watching.begin(self.data, batch_size, updates=False)
        self.layers = tuple(one.facts for one in self.watch.watched)
        self.batch = Batch.whole(self.data)

    def run(self) -> dict[str, Array]:
        """Return the measures of each layer over all these rows."""
        objective, tree = self.data.objective, self.model.tree
        with _core.Access(tree.tensors, writes=True):
            snapshot = Snapshot(objective, tree)
            try:
                WatchedStep.measure(objective, self.batch, tree, self.watch)
            finally:
                snapshot.restore()
        record = np.array(self.watch.record.numpy())[None]
        measures = {name: column[0] for name, column in self.watch.decode(record).items()}
        self.watch.take_lived()
        # Nothing is updated.
        del measures["update_ratio"]
        return measures


def refused(
    model: TrainableModel,
    batch_size: int,
    y: Any,
    *,
    refusal: str | None = None,
    not_finite: tuple[int, ...] = (),
    unknown_classes: tuple[int, ...] = (),
) -> Examination:
    """Return what is known where the head does not fit its loss, or targets are none of it."""
    config = model.config()
    losses = per_output(config.losses, model.output_names, "loss")
    given = per_output(y, model.output_names, "y") if len(losses) > 1 else [y]
    targets = [np.asarray(one) for one in given]
    training = TrainingFacts(
        optimizer=type(config.optimizer).__name__,
        learning_rate=rate_of(config.optimizer, 0),
        loss=type(losses[0]).__name__,
        batch_size=batch_size,
        from_logits=getattr(losses[0], "from_logits", None),
        refusal=refusal,
        outputs=outputs_facts(losses, targets, None),
    )
    data = facts_of_targets(targets[0])
    data.unknown_classes, data.non_finite_rows = unknown_classes, not_finite
    data.non_finite_targets = len(not_finite)
    return Examination(tuple(facts for _, facts in model.layer_facts()), training, data)
