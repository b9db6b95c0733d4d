"""Steps of a training made once more: over rows from a place in it, or over kept batches.

A replay has an objective and a session of its own over the data that the training has, so that
where the training stands, and what it tracks, stays as it is. Variables, the optimizer and random
streams are those of the model: whoever replays puts them back.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from evengrad import _core
from evengrad._core import Steps
from evengrad.training._batches import BatchRunner
from evengrad.training._loop import ONE_STEP
from evengrad.training._objective import Objective
from evengrad.training._step import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor
    from evengrad.training._data import Prepared
    from evengrad.training._step import ArraySource

    Array = np.ndarray[Any, Any]
    # Makes a step itself: gets inputs, targets, weights, and the rows of the user's data.
    Maker = Callable[[list[Tensor], list[Tensor], list[Tensor | None], Array | None], None]


class Place(NamedTuple):
    """Where a training over rows stands: an epoch, a step of it, and what is left of the order."""

    epoch: int
    step: int
    # Steps of the order that earlier epochs have made, and where in its stream it was drawn.
    epoch_start: int
    draws: int


class Replay(Protocol):
    """What makes the steps after a place once more; they are counted from it."""

    objective: Objective

    def seek(self, at: int) -> None:
        """Go to a step; the model's state is put there by the caller."""

    def run(self, steps: int) -> bool:
        """Make steps; return whether all their losses are finite."""

    def examine(self, maker: Maker) -> None:
        """Have one step made by somebody else."""

    def place_of(self, at: int) -> tuple[int, int]:
        """Return epoch and batch of a step."""


def bare_objective(objective: Objective) -> Objective:
    """Return an objective of the same losses that tracks no metrics, and says nothing twice."""
    config = objective.config.fresh(metrics=None, weighted_metrics=None)
    bare = Objective(config, objective.model, [])
    bare.cautions = objective.cautions
    bare.has_warned_of_unreached = True
    bare.looks_for_strangers = False
    return bare


def place_of(source: ArraySource, epoch: int) -> Place:
    """Return where a training over rows stands."""
    session, shuffle = source.session, source.shuffle
    draws = session.order_draw
    if draws is None:
        draws = 0 if shuffle is None else shuffle.draws
    return Place(epoch, session.step, session.epoch_start, draws)


def steps_from(source: ArraySource, epoch_start: int) -> int:
    """Return the steps of an epoch that begins there in the order."""
    steps, order = source.limits
    if order is None:
        order = -(-source.rows // source.batch_size)
    left = order - epoch_start
    return left if steps is None else min(left, steps)


def after(source: ArraySource, place: Place, steps: int) -> Place:
    """Return the place so many steps after another one."""
    epoch, step, epoch_start, draws = place
    while steps:
        length = steps_from(source, epoch_start)
        if step + steps < length:
            return Place(epoch, step + steps, epoch_start, draws)
        steps, step, epoch = steps - (length - step), 0, epoch + 1
        epoch_start += length
        if steps_from(source, epoch_start) <= 0:
            # The next epoch has an order of its own.
            epoch_start, draws = 0, draws + 1
    return Place(epoch, step, epoch_start, draws)


class RowsReplay:
    """Steps over rows, from a place on, in the order in which they were made."""

    def __init__(self, source: ArraySource, place: Place) -> None:
        self.place = place
        prepared = replace(source.given, objective=bare_objective(source.objective))
        self.objective: Objective = prepared.objective
        stream = source.shuffle
        shuffle = None if stream is None else _core.Generator(stream.seed, stream.stream)
        self.numbers = prepared.row_numbers
        self.source = source.twin(prepared, shuffle)
        self._at = 0

    def place_of(self, at: int) -> tuple[int, int]:
        """Return epoch and batch of a step."""
        place = after(self.source, self.place, at)
        return place.epoch, place.step

    def seek(self, at: int) -> None:
        """Go to a step of the order that the training had there."""
        place = after(self.source, self.place, at)
        if self.source.shuffle is not None:
            self.source.shuffle.draws = place.draws
        self.source.session.seek(place.step, place.epoch_start)
        self._at = at

    def run(self, steps: int) -> bool:
        """Make steps; return whether all their losses are finite."""
        end, sound = self._at + steps, True
        while self._at < end:
            self.objective.reset()
            made = self._run(Steps(end - self._at))
            sound = sound and self.objective.first_invalid(made) is None
        return sound

    def _run(self, until: Steps) -> int:
        session = self.source.session
        before = session.step
        ended = self.source.run(until)
        made = (session.last_epoch_steps if ended else session.step) - before
        self._at += made
        return made

    def examine(self, maker: Maker) -> None:
        """Have one step made by somebody else."""
        place, source = after(self.source, self.place, self._at), self.source
        whole = source.rows // source.batch_size
        kind = source.kinds[0 if place.epoch_start + place.step < whole else -1]

        def make(xs: list[Tensor], ys: list[Tensor], weights: list[Tensor | None]) -> None:
            maker(xs, ys, weights, self._rows_of(kind.batch))

        kind.maker, kind.eager = make, True
        kind.renew()
        source.session.forget()
        self.objective.reset()
        try:
            self._run(ONE_STEP)
        finally:
            kind.maker = None

    def _rows_of(self, batch: Batch) -> Array:
        """Return the rows of the user's data that a batch is made of."""
        assert batch.feed is not None  # noqa: S101 - batches of rows are taken by a feed
        rows: Array = np.array(batch.feed.indices.numpy())
        held = self.source.data.held
        rows = rows if held is None else held[rows]
        return rows if self.numbers is None else self.numbers[rows]


class KeptBatch(NamedTuple):
    """A batch of an iterable, with its place: epoch and step."""

    batch: Prepared
    epoch: int
    step: int


class BatchesReplay:
    """Steps over batches that were kept as they came."""

    def __init__(self, batches: list[KeptBatch]) -> None:
        self.objective = bare_objective(batches[0].batch.objective)
        self.batches = batches
        self.runner = BatchRunner(training=True, watch_loss=True)
        self._at = 0

    def place_of(self, at: int) -> tuple[int, int]:
        """Return epoch and batch of a step."""
        return self.batches[at].epoch, self.batches[at].step

    def seek(self, at: int) -> None:
        """Go to a batch."""
        self._at = at

    def _next(self) -> Prepared:
        batch = self.batches[self._at].batch
        self._at += 1
        return replace(batch, objective=self.objective)

    def run(self, steps: int) -> bool:
        """Make steps; return whether all their losses are finite."""
        self.objective.reset()
        for _ in range(steps):
            self.runner.run(self._next())
        return self.objective.first_invalid(steps) is None

    def examine(self, maker: Maker) -> None:
        """Have one step made by somebody else."""
        batch = self._next()
        arrays: list[Array] = list(map(np.ascontiguousarray, *batch.columns()))
        xs, ys, weights = Batch(list(map(_core.tensor, arrays)), batch).next()
        self.objective.reset()
        with _core.Access(self.objective.model.tree.tensors, writes=True):
            maker(xs, ys, weights, None)


def copied(batch: Prepared) -> Prepared:
    """Return a batch in memory of its own, in the dtypes of steps."""
    arrays, dtypes = batch.columns()
    pairs = zip(arrays, dtypes, strict=True)
    own = [np.array(array, dtype=dtype, order="C") for array, dtype in pairs]
    xs, ys = len(batch.xs), len(batch.ys)
    return replace(batch, xs=own[:xs], ys=own[xs : xs + ys], weights=own[xs + ys :])


def bytes_in(batch: Prepared) -> int:
    """Return how much memory a copied batch takes."""
    arrays = [*batch.xs, *batch.ys, *batch.weights]
    return functools.reduce(lambda total, array: total + array.nbytes, arrays, 0)
