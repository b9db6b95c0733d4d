"""`fit`: the training loop over epochs, with validation, callbacks, progress and checkpoints."""

from __future__ import annotations

import logging
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.arrays import is_batches, is_list_of_batches
from evengrad._common.checks import check_float, check_int
from evengrad._core import Epochs, Seconds, Steps
from evengrad.callbacks import BackupAndRestore, History
from evengrad.callbacks._callback import (
    Callback,
    CallbackList,
    Turns,
    check_callbacks,
    epochs_left,
    is_patient,
)
from evengrad.callbacks._learning_rate import RateChanger
from evengrad.callbacks._monitor import Monitor
from evengrad.optimizers._optimizer import rate_of, schedules_in
from evengrad.training import _fingerprint
from evengrad.training._batches import BatchSource
from evengrad.training._checkpointing import Checkpointing, CheckpointOptions, check_options
from evengrad.training._data import Prepared, prepare, shared_data
from evengrad.training._evaluate import Evaluation, validation_for
from evengrad.training._feature_names import remember_names
from evengrad.training._fit_queue import queues
from evengrad.training._forensics import Forensics
from evengrad.training._loop import epoch_requests, figures_of, warn_of_loss
from evengrad.training._options import Options, check_validation
from evengrad.training._progress import Progress
from evengrad.training._signals import GracefulStop, stopping
from evengrad.training._step import DEFAULT_BATCH, ArraySource, drive, right_to_train
from evengrad.training._watching import Watching

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from evengrad.training._frozen_rows import FrozenCache
    from evengrad.training._loop import Requests
    from evengrad.training._protocol import PublicModel, TrainableModel
    from evengrad.training._step import Until

logger = logging.getLogger("evengrad")

# What the arguments about checkpoints are where nothing is said.
NO_CHECKPOINTS = (None, "epoch", 2, "auto")
COUNTS = ("batch_size", "validation_batch_size", "steps_per_epoch", "validation_steps")
# Seconds between two looks at the progress, and at the loss for those who watch it.
TURN = 0.2
# For trainings that nobody watches, or that no signal ends early.
NO_PROGRESS, NO_SIGNALS = Progress(0, 0), GracefulStop(lambda: None)
# What a training asks for before an epoch at which others are waited for.
NO_STEP = Steps(0)
# Seconds that a session runs at most where its steps are counted.
LONGEST = 3600.0


def check(options: Options) -> None:
    """Raise an error for a value out of range."""
    for name in COUNTS:
        given = getattr(options, name)
        if given is not None:
            # More than the largest size are none that anybody could count.
            setattr(options, name, min(sys.maxsize, check_int(given, name, at_least=1)))
    for name in ("epochs", "initial_epoch"):
        given = getattr(options, name)
        if type(given) is not int or given < 0:
            setattr(options, name, check_int(given, name, at_least=0))
    share = options.validation_split
    if type(share) is not float or share != 0.0:
        share = check_float(share, "validation_split", low=0.0, high=1.0, open_high=True)
        options.validation_split = share
    if share and options.validation_data is not None:
        raise ValueError("validation_split, validation_data: expected one of the two, got both")
    every = options.validation_freq
    if type(every) is not int or every != 1 or options.validation_steps is not None:
        check_validation(options)


def checkpoints_for(options: Options, users: list[Callback]) -> CheckpointOptions | None:
    """Return how checkpoints are kept, by the arguments or by `BackupAndRestore`."""
    given = (options.checkpoint, options.checkpoint_every, options.keep, options.resume)
    found = None if given == NO_CHECKPOINTS else check_options(*given)
    for callback in users:
        if not isinstance(callback, BackupAndRestore):
            continue
        if found is not None:
            raise ValueError(
                "checkpoint, BackupAndRestore: expected one way of keeping checkpoints, got two"
            )
        found = check_options(**callback.as_arguments())
        if found is not None:
            found.remove_at_end = callback.delete_checkpoint
    return found


def fit(
    model: TrainableModel,
    x: Any,
    y: Any,
    options: Options,
    kind: type[Training] | None = None,
    checkpoints: Callable[[CheckpointOptions, TrainableModel], Checkpointing] = Checkpointing,
) -> History:
    """Train a model; see `Model.fit`. The training and its checkpoints may be of other kinds."""
    check(options)
    config = model.config()
    users = [] if options.callbacks is None else check_callbacks(options.callbacks)
    if model.public.gradual_pruning is not None:
        users = [*users, model.public.gradual_pruning]
    progress = NO_PROGRESS
    if options.verbose != 0:
        first, last = options.initial_epoch, options.epochs
        progress = Progress(options.verbose, last, first, alone=not users)
    about = checkpoints_for(options, users)
    right = right_to_train(model, alone=True)
    checkpointing = None
    try:
        # What an evaluation in another thread tracks comes to its end first; later ones track
        # their figures apart.
        with _core.Access([config], writes=True):
            checkpointing = None if about is None else checkpoints(about, model)
            given = options, users, progress, checkpointing
            return _train(kind or Training, model, x, y, *given)
    finally:
        right.leave()
        if checkpointing is not None:
            checkpointing.close()


def _train(
    kind: type[Training],
    model: TrainableModel,
    x: Any,
    y: Any,
    options: Options,
    users: list[Callback],
    progress: Progress,
    checkpointing: Checkpointing | None,
) -> History:
    """Train, and undo what was prepared where the training cannot begin."""
    names = model.public.feature_names_in_
    try:
        training = kind(model, x, y, options, users, progress, checkpointing)
    except BaseException:
        model.public.feature_names_in_ = names
        if checkpointing is not None:
            checkpointing.undo()
        raise
    try:
        requests = training.requests(options.initial_epoch, options.epochs)
        if checkpointing is None:
            drive(requests, queues[-1].run if queues else None)
        else:
            training.run(requests)
    except BaseException:
        training.leave()
        raise
    return training.history


class Training:
    """One call of `fit`: made with everything checked, before a step is run."""

    # Epochs before which it asks for no step, so that who drives it may end it there.
    pauses: Collection[int] = ()
    # Makes the list of all who hear of the training.
    callbacks_for: Callable[[list[Callback], PublicModel], CallbackList] = CallbackList

    def __init__(
        self,
        model: TrainableModel,
        x: Any,
        y: Any,
        options: Options,
        users: list[Callback],
        progress: Progress,
        checkpointing: Checkpointing | None,
    ) -> None:
        data: Prepared | None = None
        held: Prepared | None = None
        if type(x) is not np.ndarray and (is_batches(x) or (y is None and is_list_of_batches(x))):
            options.check_for_batches(y)
        else:
            weights = options.sample_weight
            data = prepare(model, x, y, weights, check_finite=options.check_finite)
            share, shuffle = options.validation_split, bool(options.validation_shuffle)
            if share:
                data, held = data.split(model, share, shuffle, options.validation_stratify)
            # After the split: validation is not weighted by class, as it is not by itself.
            if options.class_weight is not None:
                data = data.with_class_weight(options.class_weight)
            if data.names is not None:
                # Before validation data is looked at, whose columns are to be the same.
                remember_names(model, data.names)
        self.model, self.users, self.options = model, users, options
        self.progress = progress
        self.checkpointing = checkpointing
        self.history = History()
        # What keeps the outputs of frozen layers, where that is asked for.
        self.cache = self._cache(data) if options.cache_frozen else None
        self.callbacks = self.callbacks_for([self.history, *users], model.public)
        self.source = self._source(x, data)
        # Who watches what steps compute, if anybody does.
        self.watching = self._watch(data) if users else None
        self.validation: Evaluation | None = None
        if held is not None or options.validation_data is not None:
            self.validation = validation_for(model, held, options, self.cache)
        arrays = self.source if isinstance(self.source, ArraySource) else None
        self.callbacks.set_params(
            {
                "epochs": options.epochs,
                "steps": self.source.steps,
                "verbose": progress.style,
                "validation_freq": options.validation_freq,
                "initial_epoch": options.initial_epoch,
                "batch_size": arrays.batch_size if arrays else None,
                "rows": arrays.rows if arrays else None,
                "shuffle": bool(options.shuffle),
            }
        )
        objective = self.source.objective
        config = model.config() if objective is None else objective.config
        self.history.settings = config.settings
        self.signals = NO_SIGNALS
        if isinstance(self.source, BatchSource) and self._asks_for_outputs:
            self.source.look_ahead()
        if checkpointing is not None:
            fingerprint = {
                **_fingerprint.of_model(model),
                **_fingerprint.of_config(model.config()),
                **_fingerprint.of_options(options),
                **_fingerprint.of_data(data, ""),
                **_fingerprint.of_data(held, "validation's "),
                "validation": "none" if self.validation is None else self.validation.shown(),
            }
            validation = None if self.validation is None else self.validation.source
            checkpointing.join(fingerprint, self.source, validation, self.history, users)
            sessions = [one.session for one in (self.source, validation) if one is not None]
            self.signals = GracefulStop(stopping(sessions))
        model.public.history = self.history
        model.public.stop_training = False
        # Whether all who hear of epochs may hear of several at a time.
        self.are_patient = bool(users) and all(map(is_patient, users))
        # Beside the epoch, who acts after a number of steps.
        self.epoch, self.turns = 0, Turns(users) if users else None
        # Finds where numbers stop being finite, where a callback wants to hear of it.
        watched = (model, self.source, self.callbacks)
        self.forensics = Forensics(*watched) if self.callbacks.watches_loss else None
        # Whether nothing is to be said of the loss so far: `TerminateOnNaN` says it itself.
        self._is_sound = self.forensics is None
        # Whether the epoch has begun, steps of it that were noted, and whether callbacks have heard
        # that the training ends.
        self._begun, self._noted, self._has_left = False, 0, False
        # Those of an epoch whose steps had been made, and whose validation had not.
        self._figures: dict[str, Any] | None = None
        self.logs: dict[str, Any] = {}
        # Whether the rate moves, so that the history has that of each epoch.
        self._moves_rate = "learning_rate" in schedules_in(config.optimizer) or (
            bool(users) and any(isinstance(one, RateChanger) for one in users)
        )

    @property
    def _asks_for_outputs(self) -> bool:
        """Whether the outputs must be known before the first step: what is tracked follows them."""
        watched = any(isinstance(one, Monitor) for one in self.users)
        return self.checkpointing is not None or (watched and self.source.objective is None)

    def _cache(self, data: Prepared | None) -> FrozenCache | None:
        """Return what keeps the outputs of frozen layers."""
        from evengrad.training._frozen_rows import cache_for

        given = data is not None
        return cache_for(self.model, self.options, rows=given, alone=not self.users)

    def _source(self, x: Any, data: Prepared | None) -> ArraySource | BatchSource:
        """Return where steps come from: an iterable of batches, or data that was prepared."""
        model, options, watch = self.model, self.options, self.callbacks.watches_loss
        steps = options.steps_per_epoch
        if data is not None:
            size = options.batch_size or DEFAULT_BATCH
            order = model.shuffle() if options.shuffle else None
            frozen = None if self.cache is None else self.cache.rows(data, "training")
            settings: dict[str, Any] = {"watch_loss": watch, "frozen": frozen}
            if options.shared is not None:
                settings["resident"] = shared_data(data, size, options.shared)
            rows = ArraySource(data, size, training=True, shuffle=order, **settings)
            if steps is not None or options.drop_last:
                rows.limit(steps, options.drop_last, options.epochs - options.initial_epoch)
            rows.rehearse(data)
            return rows
        batches = BatchSource(
            model,
            x,
            options.class_weight,
            steps,
            training=True,
            watch_loss=watch,
            check_finite=options.check_finite,
            limited_by="steps_per_epoch",
        )
        epochs = options.epochs - options.initial_epoch
        if batches.once is not None and steps is None and epochs > 1:
            raise ValueError(
                f"x: an iterator can be passed over once, and there are {epochs} epochs; pass "
                "steps_per_epoch, or an object that can be iterated anew for each epoch"
            )
        return batches

    def _watch(self, data: Prepared | None) -> Watching | None:
        """Have steps watched, where a callback wants to hear of them."""
        doctors = [one for one in self.users if one.watch_every is not None]
        if not doctors:
            return None
        watching = Watching(self.model, doctors, self.options.initial_epoch)
        if isinstance(self.source, BatchSource):
            self.source.runner.watching = watching
            first = self.source.look_ahead()
            if first is not None:
                watching.over_batches(self.source, first)
        elif data is not None:
            watching.over_rows(self.source, data)
        return watching

    # ---- the whole

    def run(self, requests: Requests[None]) -> None:
        """Run the epochs, and stop at a whole step where a signal asks for it."""
        try:
            with self.signals:
                drive(requests)
        finally:
            if self.signals.received is not None:
                self.leave()
                self.signals.deliver()

    def requests(  # noqa: C901, PLR0912 - one loop, whose calls are counted
        self, first: int, last: int
    ) -> Requests[None]:
        """Run the epochs, from the first to the one before the last."""
        self.callbacks.tell("on_train_begin", {})
        self.epoch = first
        resumed = self.checkpointing is not None and self._go_on(self.checkpointing)
        public, source = self.model.public, self.source
        while self.epoch < last:
            # What had begun is gone on with. Else a callback, or the end of the data, ends it here.
            if not resumed and (public.stop_training or source.is_used_up):
                break
            if self.epoch in self.pauses:
                yield source, NO_STEP
                if public.stop_training:
                    break
            at_a_time = 0 if resumed else self._epochs_at_a_time
            if at_a_time:
                yield from self._run_together(min(last, self.epoch + at_a_time))
            else:
                yield from self._run_epoch(resumed)
                resumed = False
            if self.signals.received is not None and self.epoch < last:
                self._save()
                return
        if first < last:
            # Of the training as it stands: with more epochs it can be gone on with.
            if self.forensics is not None:
                self.forensics.finish()
            if self.watching is not None:
                self.watching.visit(self.epoch - 1, self.history.history, now=True)
            if self.checkpointing is not None:
                self._save()
            optimizer = self.model.config().optimizer
            optimizer.finalize_variable_values(self.model.tree.trainable)
        self._has_left = True
        if not self.progress.is_silent:
            self.progress.close(finished=True)
        self.callbacks.tell("on_train_end", self.logs)
        if self.checkpointing is not None:
            self.checkpointing.finish()

    def _go_on(self, checkpointing: Checkpointing) -> bool:
        """Restore a checkpoint where there is one; return whether its epoch had begun."""
        found = checkpointing.found
        if found is None:
            self._save()
            return False
        self.epoch = found.position.epoch
        self._begun = bool(found.description["begun"])
        if self._begun:
            # What callbacks do at an epoch's beginning was done then, and is part of the state.
            self.callbacks.tell("on_epoch_begin", self.epoch, {})
        self._figures = checkpointing.restore(found)
        if self.watching is not None:
            self.watching.go_on(self.epoch)
        self.logs = {name: column[-1] for name, column in self.history.history.items()}
        logger.info("%s: training goes on from %s", self.model.path, found.path)
        return self._begun

    def _save(self) -> None:
        if self.checkpointing is None:
            return
        if self.watching is not None:
            self.watching.visit(self.epoch, self.history.history, flush=True)
        self.checkpointing.save(self.epoch, self._begun)

    # ---- epochs that are heard of once several have been run

    @property
    def _epochs_at_a_time(self) -> int:
        """How many epochs may be run without Python between them; 0 where each returns to it."""
        source, watching = self.source, self.watching
        if (
            self.validation is not None
            or self.checkpointing is not None
            or not isinstance(source, ArraySource)
            or not source.objective.lies_in_states
        ):
            return 0
        shown = self.progress.epochs_at_a_time
        if not self.users:
            return shown
        if self.are_patient:
            return min(shown, epochs_left(self.users))
        # Callbacks that but watch can wait for some epochs.
        if watching is not None and watching.is_quiet(self.users) and not source.is_limited:
            return min(shown, watching.epochs_at_a_time)
        return 0

    def _run_together(  # noqa: C901 - one call for all epochs, not several
        self, until: int
    ) -> Requests[None]:
        """Run the epochs before that one, without Python between them."""
        source, rows, watching = self.source, self.history.epoch, self.watching
        assert isinstance(source, ArraySource)  # noqa: S101 - what `_epochs_at_a_time` has found
        begun, interrupt, objective = len(rows), None, source.objective
        start, steps = source.session.epoch_start, source.session.steps_per_epoch or 0
        before = self.history.steps
        shown: list[tuple[int, dict[str, Any]]] = []
        if not self.progress.is_silent:
            self.progress.begin(self.epoch, None)
        try:
            yield source, Epochs(until - self.epoch)
        finally:
            # After an exception too: these epochs have been run. Ctrl-C waits until all are noted.
            while True:
                try:
                    finished = source.session.finished()
                    for values in finished[len(rows) - begun :]:
                        later = len(finished) - 1 - (len(rows) - begun)
                        if later and not objective.metrics:
                            self.logs = objective.means_in(values)
                        else:
                            objective.restore(values)
                            self.logs = objective.logs()
                        self._note_together(self.epoch + len(rows) - begun, later, steps, values)
                        if not self.progress.is_silent:
                            shown.append((self.history.epoch[-1], self.logs))
                    limited = source.limits != (None, None)
                    made = len(finished)
                    made = source.steps_of(made, start) if limited else made * steps
                    self.history.steps = before + made
                    if len(finished) > 1:
                        self.history.share_time(source.session.ended())
                    break
                except KeyboardInterrupt as error:
                    interrupt = error
            if shown:
                self.progress.note(shown)
            if interrupt is not None:
                raise interrupt
        self.epoch = until
        if watching is not None:
            watching.visit(until - 1, self.history.history)

    def _note_together(
        self, epoch: int, later: int, steps: int, values: np.ndarray[Any, Any]
    ) -> None:
        """Note an epoch, after which so many have been run already."""
        if self.forensics is not None:
            self.forensics.passed(epoch, steps, values, is_now=later == 0)
        if self._is_sound and not math.isfinite(self.logs["loss"]):
            self._warn_of_loss(epoch, later * steps)
        if self._moves_rate:
            self._note_rate(later * steps)
        self.history.on_epoch_end(epoch, self.logs)
        if self.are_patient:
            for one in self.users:
                one.on_epoch_end(epoch, self.logs)

    # ---- one epoch after the other

    def _run_epoch(self, resumed: bool) -> Requests[None]:
        tell = self.callbacks.tell
        if not resumed:
            tell("on_epoch_begin", self.epoch, {})
            self._begun = True
        self.progress.begin(self.epoch, self.source.steps)
        figures, self._figures = self._figures, None
        if figures is None:
            if not (yield from self._run_steps(resumed)):
                return
            figures = figures_of(self.source)
        self.logs = figures
        validation = self.validation if self.options.validates(self.epoch) else None
        if validation is not None and not (yield from self._validate(validation)):
            self.progress.close()
            return
        if self._is_sound and not math.isfinite(self.logs.get("loss", 0.0)):
            self._warn_of_loss(self.epoch, 0)
        if self._moves_rate:
            self._note_rate(0)
        if not self.progress.is_silent:
            self.progress.note([(self.epoch, self.logs)])
        tell("on_epoch_end", self.epoch, self.logs)
        if self.watching is not None:
            self.watching.visit(self.epoch, self.history.history)
        self.epoch += 1
        self._begun = False
        checkpointing = self.checkpointing
        if checkpointing is not None and checkpointing.count(0, epochs=1):
            self._save()

    def _validate(self, validation: Evaluation) -> Requests[bool]:
        """Add the figures of validation; return False where a signal ends it."""
        checkpointing = self.checkpointing
        if checkpointing is not None:
            # Before it is looked whether there are batches, which may take one.
            checkpointing.before_validation(self.logs)
        if self.signals.received is not None:
            return False
        if validation.source.has_more():
            figures = yield from validation.requests(self.callbacks)
            if figures is None:
                return False
            self.logs.update({f"val_{name}": value for name, value in figures.items()})
        if checkpointing is not None:
            checkpointing.after_validation()
        return True

    def _run_steps(self, resumed: bool) -> Requests[bool]:
        """Make the steps of an epoch; return False where it is not to end now."""
        self._noted = self.source.session.step
        first = self._noted
        if self.forensics is not None:
            self.forensics.enters(self.epoch)
        if self._noted == 0:
            self.source.begin()
        # A callback for batches had stopped the epoch that is resumed.
        ended = resumed and self._stops_within
        if not ended:
            turns = self._until, self._after_steps
            ended = yield from epoch_requests(self.source, self.callbacks, "train", *turns)
        if self.signals.received is not None and not ended:
            self.progress.close()
            return False
        if self.source.is_used_up:
            # This epoch has come to nothing.
            self._begun = False
            return False
        self.history.steps += self._noted - first
        return True

    def _until(self) -> Until:
        """Return when the session is to come back: in time for all who want a turn."""
        seconds, steps = math.inf, sys.maxsize
        if self.progress.timed:
            seconds = TURN
        if self.forensics is not None:
            seconds, steps = TURN, self.forensics.steps_to_next_look()
        if self.turns is not None:
            steps = min(steps, self.turns.steps_left())
        if self.checkpointing is not None:
            seconds = min(seconds, self.checkpointing.seconds_left)
            steps = min(steps, self.checkpointing.steps_left)
        if seconds == math.inf and steps == sys.maxsize:
            return Epochs(1)
        return Seconds(min(seconds, LONGEST), steps)

    def _after_steps(self, ended: bool) -> bool:
        """Give everybody a turn; return whether the epoch is to be left."""
        session, objective = self.source.session, self.source.objective
        done = session.last_epoch_steps if ended else session.step
        if self.forensics is not None:
            self.forensics.came_to(done, done - self._noted, ended)
            if self.watching is not None:
                self.watching.attend(self.epoch, self.history.history)
        if self.progress.timed and objective is not None and self.progress.is_due:
            self.progress.update(done, objective.logs())
        if self.turns is not None:
            self.turns.give()
        if self.checkpointing is not None:
            due = self.checkpointing.count(done - self._noted)
            if due and not ended and not self.checkpointing.every.epochs:
                self._save()
        self._noted = done
        return self._stops_within or self.signals.received is not None

    @property
    def _stops_within(self) -> bool:
        """Whether the epoch is left early: for callbacks that hear of batches alone."""
        within = self.callbacks.wants_batches("train") or self.callbacks.watches_loss
        return within and bool(self.model.public.stop_training)

    def _note_rate(self, later: int) -> None:
        """Note the learning rate of the epoch's last update; so many steps were made since."""
        optimizer = self.model.config().optimizer
        made = optimizer.iterations - later // (optimizer.gradient_accumulation_steps or 1)
        self.logs["learning_rate"] = rate_of(optimizer, made - 1)

    def _warn_of_loss(self, epoch: int, later: int) -> None:
        self._is_sound = False
        warn_of_loss(self.model, self.logs["loss"], epoch, later)

    def leave(self) -> None:
        """After an exception: put the terminal in order and let callbacks give back what they hold.

        The exception is passed on; one that a callback raises here is logged.
        """
        if self._has_left:
            return
        self._has_left = True
        if self.watching is not None:
            self.watching.leave()
        self.progress.close()
        self.history.drop_unfinished()
        self.callbacks.release(self.logs)
