"""Where numbers stop being finite in a training: exactly which step, tensor, layer and rows.

While all is well, the state that steps change is copied now and then. Once a loss or a variable is
not finite, the steps since the latest copy are made once more, with the same bits: first captured,
halving the span in which it must have happened, then the one step in Python, tensor by tensor.
Everything stands as it was found afterwards.
"""

from __future__ import annotations

import logging
import sys
import time
import weakref
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.memory import available_bytes
from evengrad._common.names import is_own
from evengrad.callbacks import LambdaCallback
from evengrad.callbacks._callback import BETWEEN_STEPS, Callback, overrides
from evengrad.callbacks._training_state import (
    TrainingState,
    bytes_of,
    set_settings,
    settings_of,
)
from evengrad.health._non_finite import Circumstances, NonFinite, finding_of
from evengrad.optimizers._optimizer import averages_in_place, counts_of
from evengrad.training._data import all_finite
from evengrad.training._replay_file import write_step
from evengrad.training._step import ArraySource
from evengrad.training._step_examination import StepExamination, values_of
from evengrad.training._step_replay import (
    BatchesReplay,
    KeptBatch,
    RowsReplay,
    bytes_in,
    copied,
    place_of,
)

if TYPE_CHECKING:
    import numpy as np

    from evengrad._core import Tensor
    from evengrad.callbacks._callback import CallbackList
    from evengrad.health._finding import Finding
    from evengrad.training._batches import BatchSource
    from evengrad.training._data import Prepared
    from evengrad.training._protocol import TrainableModel
    from evengrad.training._step_replay import Place, Replay

    Array = np.ndarray[Any, Any]

logger = logging.getLogger("evengrad")

# Seconds between two copies of the state at least: a replay takes about as long.
INTERVAL = 1.0
# The share of the time that copying takes at most.
SHARE = 0.01
# The share of free memory that a copy takes at most.
SHARE_OF_MEMORY = 8
# Bytes of batches of an iterable that are kept before the state is copied anew.
KEPT_BYTES = 64 * 2**20
# Numbers of a variable that tell whether somebody has set it.
PROBED = 8
# Findings that are told in one training.
MOST_TOLD = 10


class Forensics:
    """Watches a training for numbers that are not finite, and tells callbacks where they began."""

    def __init__(
        self, model: TrainableModel, source: ArraySource | BatchSource, callbacks: CallbackList
    ) -> None:
        self.model, self.callbacks = model, callbacks
        # The source knows who observes it; with its rows, it is freed once the training ends.
        self.source: ArraySource | BatchSource = weakref.proxy(source)
        self.optimizer = model.config().optimizer
        self._is_urgent = any(one.acts for one in callbacks.callbacks)
        # Whether a finding was told, after which there is nothing to look for until somebody has
        # put good values in place of those that are not finite; and how often one was.
        self.is_over, self._told = False, 0
        others = [one for one in callbacks.callbacks if not is_passive(one)]
        # Whether callbacks may set what steps go by: settings, or variables too.
        self._settings_change = bool(others)
        self._variables_change = any(map(may_set_variables, others))
        # Whether they may have done so since the latest steps: all the time, or between epochs.
        self._singly = callbacks.wants_batches("train")
        self._has_acted = True
        self.epoch = self._next = 0
        # Steps until the next look at the loss: few at first, so that few follow one that is NaN.
        self._look = 1
        self._good: TrainingState | None = None
        self._place: Place | None = None
        # Steps since the copy, and from which of them on which settings held.
        self._made = 0
        self._journal: list[tuple[int, dict[str, Any]]] = []
        self._batches: list[KeptBatch] = []
        self._kept_bytes = 0
        self._due = 0.0
        # Names of the copied values that were not finite from the beginning.
        self._broken: set[str] | None = None
        self._mark: Any = None
        source.observer = self

    # ---- what the source tells

    def begins(self) -> None:
        """Hear that steps are about to be run."""
        if self.is_over:
            return
        acted, self._has_acted = self._has_acted or self._singly, False
        if self._good is None:
            # Batches of an iterable may yet have to build the model.
            if isinstance(self.source, ArraySource):
                self._keep()
        elif self._settings_change and acted:
            settings = settings_of(self.optimizer)
            if self._marked() != self._mark:
                self._keep()
            elif settings != self._journal[-1][1]:
                self._journal.append((self._made, settings))

    def ends(self, ended: bool) -> None:
        """Hear that steps have been run, after which callbacks may act."""
        if self._settings_change and (ended or self._singly) and not self.is_over:
            self._mark = self._marked()

    def changes(self) -> None:
        """Hear that steps are others from now on: what trains has changed, or a layer's setting."""
        if not self.is_over and self._good is not None:
            self._keep()

    def takes(self, batch: Prepared) -> None:
        """Hear of the batch of an iterable that the next step is made over."""
        if self.is_over:
            return
        if self._good is None:
            self._keep()
        kept = copied(batch)
        self._batches.append(KeptBatch(kept, self.epoch, self.source.session.step))
        self._kept_bytes += bytes_in(kept)

    # ---- what the training tells

    def enters(self, epoch: int) -> None:
        """Hear that an epoch begins, or is gone on with, after callbacks have."""
        self.epoch, self._has_acted, self._look = epoch, True, 1
        if self.is_over and self._told < MOST_TOLD:
            named = self.model.tree.named_weights
            known = self._broken or set()
            self.is_over = not all(path in known or all_finite(values_of(x)) for path, x in named)

    def passed(self, epoch: int, steps: int, values: Array, *, is_now: bool) -> None:
        """Hear of a whole epoch that has been run, once, although it may be told again.

        `values` are those of the objective's states at its end.
        """
        if epoch < self._next:
            return
        self._next = epoch + 1
        objective = self.source.objective
        sound = objective is not None and objective.first_invalid(steps, values) is None
        if sound and not is_now and not self.is_over:
            # Most are like this, and may be as short as the rest of this method.
            self._made += steps
            return
        self.enters(epoch)
        self.came_to(steps, steps, True, is_now=is_now, values=values)

    def steps_to_next_look(self) -> int:
        """Return after how many steps to ask for the loss."""
        if not self._is_urgent:
            # Nobody acts on it: the steps are found all the same.
            return sys.maxsize
        steps = self._look
        if isinstance(self.source, ArraySource):
            self._look *= 4
        return steps

    def came_to(
        self,
        done: int,
        made: int,
        ended: bool,
        *,
        is_now: bool = True,
        values: Array | None = None,
    ) -> None:
        """Hear that the epoch has come to so many steps, some of which were made just now.

        Callbacks are told what has come up. Where more steps have been made since, it was not now.
        """
        objective = self.source.objective
        if self.is_over or objective is None:
            return
        self._made += made
        first, place = objective.first_invalid(done, values), self.epoch
        self.epoch += ended
        if first is not None:
            self._tell(self._made - (done - first) + 1, (place, first))
        elif (
            is_now
            and self._good is not None
            and (self._kept_bytes > KEPT_BYTES or time.monotonic() >= self._due)
        ):
            self._keep()

    def finish(self) -> None:
        """Hear that the training has ended: its last step may have broken a variable."""
        if self.is_over or self._good is None or self._made == 0:
            return
        # Without a copy, unless there is something to look for.
        tensors = self._good.values.items()
        broken = {name for name, (one, _) in tensors if not all_finite(values_of(one))}
        if broken - (self._broken or set()):
            self._tell(self._made, None)

    # ---- copies

    def _keep(self) -> None:
        """Copy the state, and begin from here; tell callbacks where it is not finite."""
        if averages_in_place(self.optimizer):
            return
        began = time.monotonic()
        if bytes_of(self.model.tree, self.optimizer) > available_bytes() // SHARE_OF_MEMORY:
            # Without a copy, the step is known and nothing else.
            self._good, self._batches, self._kept_bytes = None, [], 0
            return
        state = TrainingState(self.model.tree, self.optimizer)
        broken = not_finite(state)
        if self._broken is None:
            self._broken = broken
        elif broken - self._broken and self._made:
            self._tell(self._made, None)
            return
        self._good, self._made, self._batches, self._kept_bytes = state, 0, [], 0
        self._journal = [(0, state.settings)]
        if isinstance(self.source, ArraySource):
            self._place = place_of(self.source, self.epoch)
        now = time.monotonic()
        self._due = now + max(INTERVAL, (now - began) / SHARE)

    def _marked(self) -> Any:
        """Return what is another value when somebody else has trained or set variables."""
        counts = counts_of(self.optimizer)
        if not self._variables_change:
            return counts
        return counts, [probe(tensor) for tensor in self.model.tree.tensors]

    # ---- what came up

    def _tell(self, end: int, place: tuple[int, int] | None) -> None:
        """Find what happened in the steps before that one, and tell callbacks.

        `place` is epoch and batch of the first loss that is not finite; None where variables alone
        are not.
        """
        self.is_over, self._told = True, self._told + 1
        in_loss = place is not None
        found = self._investigate(end, end - 1 if in_loss else None)
        if found is None:
            finding = self._unexplained(end - 1, "loss" if in_loss else "weight")
            epoch, batch = place or self._latest()
        else:
            finding, *where = found
            epoch, batch = place or where
        trouble = NonFinite(finding, epoch, batch, in_loss)
        self._good, self._batches = None, []
        self.callbacks.tell("_on_non_finite", trouble)

    def _latest(self) -> tuple[int, int]:
        """Return epoch and batch of the step that was made last."""
        session = self.source.session
        if session.step:
            return self.epoch, session.step - 1
        return self.epoch - 1, session.last_epoch_steps - 1

    def _unexplained(self, at: int, tensor: str) -> Finding:
        """Return what is known without a replay: the step."""
        every = self.optimizer.gradient_accumulation_steps or 1
        now = counts_of(self.optimizer)
        made = now.iterations * every + now.accumulated - (self._made - at)
        step = max(0, made // every)
        rate = self.optimizer.learning_rate
        rate = float(rate(step) if callable(rate) else rate)
        return finding_of(Circumstances(tensor, None, step, rate, 1.0, signal=float("inf")))

    def _investigate(self, end: int, invalid: int | None) -> tuple[Finding, int, int] | None:
        """Return the finding with its epoch and batch; None where a replay does not show it."""
        good = self._good
        # A checkpoint may be of an epoch whose loss had broken before.
        if good is None or end < 1:
            return None
        # Other threads see the model as it was found.
        with _core.Access(self.model.tree.tensors, writes=True):
            found = TrainingState(self.model.tree, self.optimizer)
            try:
                return self._search(good, end, invalid)
            except Exception:
                # Whatever the user's code makes of a second time, the training is not to suffer.
                logger.debug("%s: no replay of its steps", self.model.path, exc_info=True)
                return None
            finally:
                found.restore()

    def _search(
        self, good: TrainingState, end: int, invalid: int | None
    ) -> tuple[Finding, int, int] | None:
        replay = self._replay()
        good.restore()
        replay.seek(0)
        low, high = 0, end
        while high - low > 1:
            middle = (low + high) // 2
            sound = self._run(replay, low, middle)
            state = TrainingState(self.model.tree, self.optimizer) if sound else good
            if sound and not self._is_worse(state):
                low, good = middle, state
            else:
                high = middle
                good.restore()
                replay.seek(low)
        finding = self._examine(replay, low)
        if finding is None or not self._is_faithful(replay, low, invalid):
            return None
        return finding, *replay.place_of(low)

    def _replay(self) -> Replay:
        if self._place is None:
            return BatchesReplay(self._batches)
        assert isinstance(self.source, ArraySource)  # noqa: S101 - which alone has places
        return RowsReplay(self.source, self._place)

    def _is_worse(self, state: TrainingState) -> bool:
        return bool(not_finite(state) - (self._broken or set()))

    def _run(self, replay: Replay, begin: int, end: int) -> bool:
        """Make steps with the settings of then; tell whether all losses are finite."""
        sound = True
        changes = [at for at, _ in self._journal if begin < at < end]
        for first, last in zip([begin, *changes], [*changes, end], strict=True):
            if first < last:
                self._set_as_at(first)
                sound = replay.run(last - first) and sound
        return sound

    def _set_as_at(self, step: int) -> None:
        settings = [settings for at, settings in self._journal if at <= step]
        set_settings(self.optimizer, settings[-1])

    def _examine(self, replay: Replay, at: int) -> Finding | None:
        """Make a step in Python, and return what is not finite in it first."""
        findings: list[Finding | None] = []

        def make(
            xs: list[Tensor],
            ys: list[Tensor],
            weights: list[Tensor | None],
            numbers: Array | None,
        ) -> None:
            step = StepExamination(replay.objective, xs, ys, weights, numbers)
            for path in self.callbacks.replay_files:
                write_step(path, step)
            findings.append(step.run())

        self._set_as_at(at)
        replay.examine(make)
        return findings[0]

    def _is_faithful(self, replay: Replay, at: int, invalid: int | None) -> bool:
        """Tell whether the loss breaks in a replay where it did in the training."""
        if invalid is None:
            return True
        has_broken = replay.objective.first_invalid(1) is not None
        if at == invalid or has_broken:
            return has_broken and at == invalid
        sound = at + 1 == invalid or self._run(replay, at + 1, invalid)
        return sound and not self._run(replay, invalid, invalid + 1)


def not_finite(state: TrainingState) -> set[str]:
    """Return the names of the copies that have a NaN or an infinity."""
    return {name for name, (_, values) in state.values.items() if not all_finite(values)}


def is_passive(callback: Callback) -> bool:
    """Tell whether nothing that a callback does changes what is trained, or how."""
    if is_own(type(callback)):
        return callback.is_passive
    return not any(overrides(callback, hook) for hook in BETWEEN_STEPS)


def may_set_variables(callback: Callback) -> bool:
    """Tell whether a callback is code of the user's."""
    return not is_own(type(callback)) or isinstance(callback, LambdaCallback)


def probe(tensor: Tensor) -> bytes:
    """Return a few numbers of a variable."""
    values = values_of(tensor).reshape(-1)
    return values[:: max(1, values.size // PROBED)].tobytes()
