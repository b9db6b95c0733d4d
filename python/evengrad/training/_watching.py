"""Watched steps: which they are, what they have measured, and who gets it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad.callbacks._callback import BETWEEN_STEPS, overrides
from evengrad.health._examination import DataFacts, Lives, Observed, TrainingFacts
from evengrad.health._series import MOST_SAMPLES
from evengrad.health._watch import Watch
from evengrad.losses._crossentropy import CrossEntropy
from evengrad.optimizers._optimizer import (
    core_of,
    counts_of,
    left_by_clipping,
    momentum_of,
    note_norms,
    rate_of,
)
from evengrad.training._data_facts import data_facts, outputs_facts
from evengrad.training._watched_step import WatchedStep, run_over, uses_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad._core import Tensor
    from evengrad.callbacks._callback import Callback
    from evengrad.training._data import Prepared
    from evengrad.training._loop import BroughtSource
    from evengrad.training._protocol import TrainableModel
    from evengrad.training._step import ArraySource, Step

    Array = np.ndarray[Any, Any]

# Rows and numbers of a layer that a histogram of its outputs is made of, and its bars.
ROWS_OF_HISTOGRAMS, MOST_OF_HISTOGRAMS, BARS = 256, 2**14, 32
# What callbacks hear of within a training.
WITHIN = tuple(name for name in BETWEEN_STEPS if name != "on_train_begin")
# Seconds between two looks at what was measured.
BETWEEN_VISITS = 0.4


def training_facts(data: Prepared, batch_size: int) -> TrainingFacts:
    """Return how a model was compiled."""
    objective = data.objective
    optimizer = objective.config.optimizer
    losses = [output.loss for output in objective.outputs]
    loss = losses[0]
    given = loss.from_logits if isinstance(loss, CrossEntropy) else None
    return TrainingFacts(
        outputs=outputs_facts(losses, data.ys),
        optimizer=type(optimizer).__name__,
        learning_rate=rate_of(optimizer, int(optimizer.iterations)),
        loss=type(loss).__name__,
        batch_size=batch_size,
        momentum=momentum_of(optimizer, int(optimizer.iterations)),
        clips=clips(optimizer),
        from_logits=given,
    )


def clips(optimizer: Any) -> bool:
    """Tell whether an optimizer clips gradients."""
    names = ("clipnorm", "clipvalue", "global_clipnorm")
    return any(getattr(optimizer, name, None) is not None for name in names)


class Watching:
    """The watch over one training: which steps are watched, and what they have measured."""

    def __init__(
        self, model: TrainableModel, doctors: Sequence[Callback], first_epoch: int
    ) -> None:
        self.model = model
        self.doctors = doctors
        asked = [one.watch_every for one in doctors if isinstance(one.watch_every, int)]
        self.every = min(asked, default=None)
        self.first_epoch = first_epoch
        self._visited = time.perf_counter()
        # Where epochs are short, several lie between two visits: doubled until they take so long.
        self.epochs_at_a_time = 1
        self.watch: Watch | None = None
        # What every step leaves: its loss, and the norm of the gradient where the optimizer
        # computes it.
        self.noted_loss: Tensor | None = None
        self.noted: list[Tensor] = []
        # Watched steps of an epoch that has not ended.
        self._begun = 0
        # Of the coming watched steps each one, each second, fourth, … is a sample, as of those
        # before; and how many were, since as far apart.
        self._apart, self._taken = 1, 0
        self.data: DataFacts | None = None
        # Rows that activations are looked at over in the end.
        self.sample: Prepared | None = None
        self.training: TrainingFacts | None = None
        # Steps that were made since the first one that was noted; and before that one, as the
        # optimizer counts.
        self._made = self._before = 0
        # What drives the steps, and keeps the records of watched ones.
        self.session: _core.Session | None = None

    def begin(
        self, data: Prepared, batch_size: int | None = None, *, updates: bool = True
    ) -> Watch:
        """Return the watch for data like this, made at its first call.

        Without `updates`, steps only compute gradients.
        """
        if self.watch is None:
            objective = data.objective
            optimizer = objective.config.optimizer
            apart = not updates or clips(optimizer) or self._accumulated > 1
            parameters = self.model.tree.trainable
            uses = uses_in(data)
            self.watch = Watch(self.model.layer_facts(uses), uses, parameters, apart)
            self._count()
            self.noted_loss = _core.zeros((), dtype=uses.dtype)
            self.noted = [self.noted_loss]
            if knows_norms(optimizer):
                self.noted.append(_core.zeros((), dtype="float64"))
                note_norms(optimizer, self.noted[1])
            self.data = data_facts(data)
            self.sample = data.taken(slice(0, min(data.rows, ROWS_OF_HISTOGRAMS)))
            self.training = training_facts(data, batch_size or data.rows)
        return self.watch

    def _count(self) -> None:
        """Take over the number that the optimizer gives to the step to come."""
        counts = counts_of(self.model.config().optimizer)
        self._before = counts.iterations * self._accumulated + counts.accumulated - self._made

    def go_on(self, epoch: int) -> None:
        """Begin at an epoch, once a checkpoint was restored."""
        self.first_epoch = epoch
        self._count()

    def over_rows(self, source: ArraySource, data: Prepared) -> None:
        """Have a source over rows watch its steps."""
        began = time.perf_counter()
        watch = self.begin(data, source.batch_size)
        # All layers are looked at, those too whose outputs are kept.
        for kind, batch in zip(source.kinds, source.batches_as_given(), strict=True):
            alike = source.watched[0] if source.watched else None
            kind.noted_loss = self.noted_loss
            source.watched.append(WatchedStep(kind, batch, watch, alike))
        self._attend(source.session, source.watched, watch, began)

    def over_batches(self, source: BroughtSource, first: Prepared) -> None:
        """Have a source over batches that Python brings watch its steps; the first is known."""
        began = time.perf_counter()
        self._attend(source.session, [], self.begin(first), began)

    def _attend(
        self, session: _core.Session, steps: Sequence[Step], watch: Watch, began: float
    ) -> None:
        self.session = session
        optimizer = core_of(self.model.config().optimizer)
        record = watch.record
        session.watch(steps, record, self.every, self.noted, optimizer, watch.counts)
        session.spend(time.perf_counter() - began)

    @property
    def is_due(self) -> bool:
        """Whether the coming step, over a batch that Python brings, is watched."""
        return self.session is not None and self.session.is_watched

    # ---- what was measured

    def is_quiet(self, users: Sequence[Callback]) -> bool:
        """Tell whether callbacks but watch, and need not hear at each epoch's end."""
        return all(
            one.watch_every is not None
            and not one.acts
            and not any(overrides(one, hook) for hook in WITHIN)
            for one in users
        )

    def visit(
        self,
        epoch: int,
        curves: dict[str, list[float]],
        *,
        now: bool = False,
        flush: bool = False,
    ) -> None:
        """Have the doctors see what was measured up to the end of an epoch.

        Where epochs are short, not after each of them, unless a doctor acts on what it finds; all
        the same where the training ends `now`, or its state is written, and nothing may be left.
        """
        began = time.perf_counter()
        waits = not any(doctor.acts for doctor in self.doctors)
        if waits and not (now or flush) and began - self._visited < BETWEEN_VISITS:
            self.epochs_at_a_time *= 2
            return
        observed = self.observed(epoch, curves, now=now)
        if observed is not None:
            if now:
                observed.is_last, observed.histograms = True, self._histograms()
            for doctor in self.doctors:
                doctor._on_watched(observed)  # noqa: SLF001 - told as of all that happens
            # One of them may have taken the training back.
            self._count()
        if now:
            self.leave()
        self._visited = time.perf_counter()
        if self.session is not None:
            self.session.spend(self._visited - began)

    def attend(self, epoch: int, curves: dict[str, list[float]]) -> None:
        """Have the doctors see what was measured so far in an epoch, where one asks for it."""
        if any(doctor.is_urgent for doctor in self.doctors):
            self.visit(epoch, curves, flush=True)

    def leave(self) -> None:
        """Have the optimizer's steps note nothing any more."""
        note_norms(self.model.config().optimizer, None)

    def _histograms(self) -> tuple[Array, Array] | None:
        """Return counts of the outputs of each layer, and the edges between them."""
        if self.watch is None or self.sample is None:
            return None
        with self.watch.collecting() as outputs:
            run_over(self.sample)
        counts = np.zeros((len(outputs), BARS))
        edges = np.full((len(outputs), BARS + 1), np.nan)
        for at, output in enumerate(outputs):
            finite = output[np.isfinite(output)][:MOST_OF_HISTOGRAMS]
            if finite.size:
                counts[at], edges[at] = np.histogram(finite, bins=BARS)
        return counts, edges

    def observed(
        self, epoch: int, curves: dict[str, list[float]], *, now: bool = False
    ) -> Observed | None:
        """Return what was measured since the last time; None where nothing was."""
        watch = self.watch
        if watch is None or self.session is None or self.training is None:
            return None
        steps, values = self.session.samples()
        begins, every = self.session.course()
        self._begun += len(steps)
        lived = self._lived(watch, epoch, now)
        if not len(steps):
            values = np.zeros((0, watch.record.shape[0]))
        course = self._course(begins, every.reshape(-1, len(self.noted) + 2))
        if "clipped" not in course:
            # Of the steps between watched ones nothing is known.
            norms = watch.gradient_norms(values)
            for name, known in (
                ("gradient_norm", norms),
                ("clipped", self._clipped(watch, values, norms)),
            ):
                course[name] = np.full(len(course["step"]), np.nan)
                course[name][steps - begins] = known
        chosen = self._samples(len(steps))
        values, own = values[chosen], steps[chosen] - begins
        figures = {name: column[own] for name, column in course.items()} | watch.decode(values)
        # Of the loss's gradient, whatever the optimizer computes.
        figures["gradient_norm"] = watch.gradient_norms(values)
        return Observed(
            layers=tuple(one.facts for one in watch.watched),
            training=self.training,
            data=self.data,
            figures=figures,
            lived=lived,
            course=course,
            begins=begins,
            epoch=epoch,
            curves=curves,
        )

    def _samples(self, count: int) -> Array:
        """Return which of so many watched steps are taken in: evenly apart, and the last one.

        Of a training with many as many as are kept of all of it, and not at each look.
        """
        while self._taken + count // self._apart > MOST_SAMPLES:
            self._apart, self._taken = 2 * self._apart, self._taken // 2
        chosen = np.arange(0, count, self._apart)
        self._taken += len(chosen)
        if self._apart > 1 and count and chosen[-1] < count - 1:
            chosen = np.append(chosen, count - 1)
        return chosen

    def _course(self, begins: int, every: Array) -> dict[str, Array]:
        """Return what each of the steps since the last time has left."""
        loss, numbers = every[:, 0], np.arange(begins, begins + len(every))
        self._made = begins + len(every)
        found = {
            "step": (self._before + numbers) // self._accumulated,
            "epoch": self.first_epoch + every[:, -1].astype(np.int64),
            "loss": np.where(np.isfinite(loss), loss, np.nan),
            "learning_rate": every[:, -2],
        }
        if len(self.noted) > 1:
            optimizer = self.model.config().optimizer
            found["gradient_norm"] = every[:, 1]
            found["clipped"] = left_by_clipping(optimizer, every[:, 1])
        return found

    @property
    def _accumulated(self) -> int:
        """Steps that make an update."""
        return self.model.config().optimizer.gradient_accumulation_steps or 1

    def _clipped(self, watch: Watch, values: Array, norms: Array) -> Array:
        """Return what clipping has left of the gradient in watched steps; NaN if unknown."""
        if not clips(self.model.config().optimizer):
            return np.ones(len(norms))
        if self._accumulated == 1:
            left = np.ones(len(norms))
            np.divide(watch.clipped_norms(values), norms, out=left, where=norms > 0.0)
            return np.minimum(left, 1.0)
        return np.full(len(norms), np.nan)

    def _lived(self, watch: Watch, epoch: int, now: bool) -> list[Lives]:
        """Return in how many watched steps of each epoch units were alive."""
        if self.session is None or self.training is None:
            return []
        size = self.training.batch_size
        found = []
        for number, steps, values in zip(*self.session.counts(), strict=True):
            counts = watch.split_counts(values)
            found.append(Lives(self.first_epoch + int(number), int(steps) * size, counts))
            self._begun -= int(steps)
        if now and self._begun > 0:
            found.append(Lives(epoch, self._begun * size, watch.take_lived()))
        return found


def knows_norms(optimizer: Any) -> bool:
    """Tell whether each step computes the norm of all gradients, to clip them by it.

    Of gradients that are accumulated nothing is known.
    """
    every = optimizer.gradient_accumulation_steps or 1
    return optimizer.global_clipnorm is not None and every == 1
