"""The training loop."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._checks import check_float, check_int
from evengrad._training._arrays import (
    build_for,
    inputs_of,
    is_batches,
    targets_of,
    weights_of,
)
from evengrad._training._batches import BatchSource
from evengrad._training._evaluate import Evaluation
from evengrad._training._progress import Progress
from evengrad._training._runner import ArrayRunner, Stretches
from evengrad._training._split import rows_of, split_rows
from evengrad._training._unheard import Unheard
from evengrad.callbacks import History
from evengrad.callbacks._callback import Callback, CallbackList, check_callbacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._training._arrays import Array
    from evengrad._training._compiled import Bound
    from evengrad.models._model import Model

logger = logging.getLogger("evengrad")

DEFAULT_BATCH = 32


@dataclass
class Options:
    """The arguments of `fit` after x and y; documented there."""

    batch_size: Any
    epochs: Any
    verbose: Any
    callbacks: Any
    validation_split: Any
    validation_data: Any
    shuffle: Any
    class_weight: Any
    sample_weight: Any
    initial_epoch: Any
    steps_per_epoch: Any
    validation_batch_size: Any
    validation_shuffle: Any
    validation_stratify: Any

    def check(self) -> None:
        """Raise an error for a value out of range."""
        if self.batch_size is not None:
            self.batch_size = check_int(self.batch_size, "batch_size", at_least=1)
        if self.validation_batch_size is not None:
            self.validation_batch_size = check_int(
                self.validation_batch_size, "validation_batch_size", at_least=1
            )
        if self.steps_per_epoch is not None:
            self.steps_per_epoch = check_int(self.steps_per_epoch, "steps_per_epoch", at_least=1)
        self.epochs = check_int(self.epochs, "epochs", at_least=0)
        self.initial_epoch = check_int(self.initial_epoch, "initial_epoch", at_least=0)
        self.validation_split = check_float(
            self.validation_split, "validation_split", low=0.0, high=1.0, open_high=True
        )
        if self.validation_split and self.validation_data is not None:
            raise ValueError("validation_split, validation_data: expected one of the two, got both")


class ArraySource:
    """Epochs over arrays, in an order that is drawn anew each time."""

    def __init__(self, model: Model, x: Any, y: Any, options: Options) -> None:
        xs = inputs_of(model, x)
        build_for(model, xs)
        ys, names = targets_of(model, y, xs[0].shape[0])
        self.bound: Bound = model._compiled().bind(ys)
        ys = self.bound.check_targets(ys, names, xs)
        weight = weights_of(model, options.sample_weight, options.class_weight, xs, ys)
        self.validation: tuple[list[Array], list[Array], Array | None] | None = None
        if options.validation_split:
            train, held = split_rows(
                ys,
                options.validation_split,
                model._seed(),
                bool(options.validation_shuffle),
                options.validation_stratify,
            )
            kept = None if weight is None else weight[held]
            self.validation = (rows_of(xs, held), rows_of(ys, held), kept)
            xs, ys = rows_of(xs, train), rows_of(ys, train)
            weight = None if weight is None else weight[train]
        self.model = model
        self.shuffle = bool(options.shuffle)
        size = options.batch_size or DEFAULT_BATCH
        self.runner = ArrayRunner(self.bound, xs, ys, weight, batch_size=size, training=True)
        self.limit = options.steps_per_epoch
        self.steps = min(self.runner.steps_per_epoch, self.limit or self.runner.steps_per_epoch)

    def unheard(self) -> Unheard:
        """Return what runs the same epochs where nobody hears of each."""
        return Unheard(self.runner, self.model._shuffler() if self.shuffle else None)

    def epoch(self, stretches: Stretches) -> Iterator[int]:
        """Run an epoch; yield the number of steps after each stretch."""
        rows = self.runner.rows
        if self.shuffle:
            order = np.asarray(self.model._shuffler().permutation(rows))
        else:
            order = np.arange(rows, dtype=np.int64)
        yield from self.runner.epoch(order, stretches)


def fit(model: Model, x: Any, y: Any, options: Options) -> History:
    """Train a model; see `Model.fit`."""
    options.check()
    model._compiled()
    users = check_callbacks(options.callbacks)
    progress = Progress(options.verbose, options.epochs)
    source: ArraySource | BatchSource
    if is_batches(x):
        if y is not None or options.sample_weight is not None:
            raise ValueError(
                "y, sample_weight: expected None with an iterable of batches, which yields them"
            )
        if options.validation_split:
            raise ValueError(
                "validation_split: an iterable of batches cannot be split; pass validation_data"
            )
        source = BatchSource(model, x, options.class_weight, options.steps_per_epoch, training=True)
    else:
        if options.steps_per_epoch is not None:
            raise ValueError("steps_per_epoch: expected with an iterable of batches alone")
        source = ArraySource(model, x, y, options)
    validation = _validation(model, source, options)
    history = History()
    params = {"epochs": options.epochs, "steps": source.steps, "verbose": progress.style}
    callbacks = CallbackList([history, *users], model, params)
    model.history = history
    model.stop_training = False
    training = _Training(model, source, validation, history, callbacks, progress)
    if isinstance(source, ArraySource) and validation is None and not users and progress.is_silent:
        training.unheard = source.unheard()
    compilation = model._compiled()
    compilation.watches_loss = callbacks.watches_loss
    try:
        training.run(options.initial_epoch, options.epochs)
    except BaseException:
        training.leave(users)
        raise
    finally:
        compilation.watches_loss = False
    return history


def _validation(
    model: Model, source: ArraySource | BatchSource, options: Options
) -> Evaluation | None:
    size = options.validation_batch_size or options.batch_size or DEFAULT_BATCH
    if isinstance(source, ArraySource) and source.validation is not None:
        return Evaluation.of_checked(source.bound, *source.validation, size)
    data = options.validation_data
    if data is None:
        return None
    if is_batches(data):
        return Evaluation(model, data, None, None, batch_size=size)
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            "validation_data: expected (x, y), (x, y, sample_weight) or an iterable of batches"
        )
    weight = data[2] if len(data) == 3 else None
    try:
        return Evaluation(model, data[0], data[1], weight, batch_size=size)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from error


class _Training:
    """One call of `fit`, with everything checked."""

    def __init__(
        self,
        model: Model,
        source: ArraySource | BatchSource,
        validation: Evaluation | None,
        history: History,
        callbacks: CallbackList,
        progress: Progress,
    ) -> None:
        self.model = model
        self.source = source
        self.validation = validation
        self.history = history
        self.callbacks = callbacks
        self.progress = progress
        # Set where the history alone hears of epochs.
        self.unheard: Unheard | None = None
        self.logs: dict[str, Any] = {}

    def run(self, first: int, last: int) -> None:
        """Run the epochs."""
        tell = self.callbacks.tell
        tell("on_train_begin", {})
        epoch = first
        while epoch < last:
            # The first epoch captures the steps.
            count = 0 if epoch == first else self._several(epoch, last)
            if count == 0:
                tell("on_epoch_begin", epoch, {})
                self.progress.begin(epoch, self.source.steps)
                self._epoch()
                self.progress.end(self.logs)
                tell("on_epoch_end", epoch, self.logs)
            epoch += count or 1
            if self.model.stop_training:
                break
        if first < last:
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        tell("on_train_end", self.logs)

    def _several(self, epoch: int, last: int) -> int:
        """Run epochs from this one on without Python; return how many, 0 where that cannot be."""
        unheard = self.unheard
        prepared = None if unheard is None else unheard.prepare(last - epoch)
        if unheard is None or prepared is None:
            return 0
        epochs, count = prepared
        rows = self.history.epoch
        first, interrupt = len(rows), None
        try:
            unheard.run(epochs, count)
        finally:
            # After an exception too: these epochs have been run. Ctrl-C waits until all are noted.
            while True:
                try:
                    for self.logs in unheard.figures(epochs, len(rows) - first):
                        self.history.on_epoch_end(epoch + len(rows) - first, self.logs)
                    break
                except KeyboardInterrupt as error:
                    interrupt = error
            if interrupt is not None:
                raise interrupt
        return len(rows) - first

    def _epoch(self) -> None:
        singly = self.callbacks.wants_batches("train")
        watched = self.callbacks.watches_loss
        stretches = Stretches(singly, self.progress.timed or watched)
        bound = self.source.bound
        if bound is not None:
            bound.reset()
        told = -1
        for done in self.source.epoch(stretches):
            bound = self.source.bound
            if watched and bound is not None:
                self._watch(bound, done)
            if singly and told >= 0 and bound is not None:
                self.callbacks.tell("on_train_batch_end", told, bound.logs())
            if (singly or watched) and told >= 0 and self.model.stop_training:
                break
            if self.progress.timed and bound is not None:
                self.progress.update(done, bound.logs())
            if singly and done != self.source.steps:
                self.callbacks.tell("on_train_batch_begin", done, {})
            told = done
        if bound is None:
            raise ValueError("x: expected at least one batch, the iterable has none")
        self.logs = bound.logs()
        if self.validation is not None:
            figures = self.validation.run(self.callbacks)
            self.logs.update({f"val_{name}": value for name, value in figures.items()})

    def _watch(self, bound: Bound, done: int) -> None:
        """Tell callbacks of the first loss of the epoch that is not finite."""
        first = bound.first_invalid(done)
        if first is not None:
            self.callbacks.tell("_on_invalid_loss", first)

    def leave(self, users: list[Callback]) -> None:
        """After an exception: put the terminal in order and let callbacks give back what they hold.

        The exception is passed on; one that a callback raises here is logged.
        """
        self.progress.close()
        self.history._drop_unfinished()
        for callback in users:
            try:
                callback.on_train_end(self.logs)
            except Exception:  # noqa: PERF203 - each callback is told, whatever the others do
                logger.exception("on_train_end of %r failed after another exception", callback)
