"""Checkpoints of a running `fit`: when they are written, what they hold, and resuming from one."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.checks import check_int
from evengrad.callbacks._callback import joins_later, overrides
from evengrad.layers._masks import masks_of, set_masks
from evengrad.layers._module import set_trainable
from evengrad.metrics._metric import fill
from evengrad.optimizers._optimizer import (
    Counts,
    averages_in_place,
    counts_of,
    has_slots,
    numbers_of,
    set_counts,
    set_numbers,
)
from evengrad.optimizers._rates import put_rates, rates_of
from evengrad.training._checkpoint_folder import Checkpoint, CheckpointFolder, Position
from evengrad.training._fingerprint import differences, frozen_layers
from evengrad.training._pack import pack, pack_streams, unpack, unpack_streams
from evengrad.training._settings import Settings
from evengrad.training._step import Snapshot

if TYPE_CHECKING:
    from evengrad.callbacks import Callback, History
    from evengrad.training._batches import BatchSource
    from evengrad.training._protocol import TrainableModel
    from evengrad.training._step import ArraySource

    Array = np.ndarray[Any, Any]

# Slots stand under this, then the variable's path and the slot's name.
SLOT = "slot:"
# Masks of what is pruned stand under this, then the variable's path.
MASK = "mask:"
UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
HOOKS_OF_VALIDATION = ("on_test_begin", "on_test_batch_begin", "on_test_batch_end")
EVERY = re.compile(r"(?:(\d+(?:\.\d+)?) )?(epochs?|steps?|s|min|h)")


@dataclass(frozen=True)
class Every:
    """How often checkpoints are written: one of the three is set."""

    epochs: int = 0
    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: Any) -> Every:
        """Return what ``"epoch"``, ``"100 steps"`` or ``"30 s"`` means, or raise an error."""
        found = EVERY.fullmatch(text) if isinstance(text, str) else None
        number = float(found[1] or 1) if found else 0.0
        unit = found[2] if found else ""
        whole = number == int(number) or unit in UNITS
        if number <= 0 or not whole:
            raise ValueError(
                "checkpoint_every: expected 'epoch', or a number with a unit, such as '5 epochs', "
                f"'100 steps', '30 s', '10 min' or '1 h', got {text!r}"
            )
        if unit in UNITS:
            return cls(seconds=number * UNITS[unit])
        return cls(steps=int(number)) if unit.startswith("step") else cls(epochs=int(number))


@dataclass
class CheckpointOptions:
    """The arguments of `fit` about checkpoints; documented there."""

    folder: str | os.PathLike[str]
    every: Every
    keep: int
    resume: bool | str
    # Whether the files are removed once training has come to its end.
    remove_at_end: bool = False


def check_options(checkpoint: Any, every: Any, keep: Any, resume: Any) -> CheckpointOptions | None:
    """Return the arguments about checkpoints, checked; None where there are to be none."""
    if not (isinstance(resume, bool) or resume == "auto"):
        raise ValueError(f"resume: expected True, False or 'auto', got {resume!r}")
    parsed, kept = Every.parse(every), check_int(keep, "keep", at_least=1)
    if checkpoint is None:
        if resume is True:
            raise ValueError("resume: expected checkpoint too, the folder to go on from")
        return None
    if not isinstance(checkpoint, (str, os.PathLike)) or not os.fspath(checkpoint):
        raise TypeError(f"checkpoint: expected the path of a folder, got {checkpoint!r}")
    if os.path.exists(checkpoint) and not os.path.isdir(checkpoint):
        raise ValueError(f"checkpoint: expected a folder, {os.fspath(checkpoint)!r} is a file")
    return CheckpointOptions(checkpoint, parsed, kept, resume)


@dataclass
class BeforeValidation:
    """What validation changes, as it was before: where a signal ends it, it is run anew."""

    snapshot: Snapshot
    described: dict[str, Any]
    arrays: dict[str, Array]


def kind_of(callback: Callback) -> str:
    """Return what must be the same of a callback with a state: its class, and what it watches."""
    watched = getattr(callback, "monitor", None)
    return type(callback).__name__ + ("" if watched is None else f" of {watched}")


class Checkpointing:
    """Writes the checkpoints of one `fit`, and restores the one that it goes on from."""

    def __init__(self, options: CheckpointOptions, model: TrainableModel) -> None:
        self.every = options.every
        self.remove_at_end = options.remove_at_end
        self.folder = CheckpointFolder(options.folder, options.keep)
        self.model = model
        self.settings = Settings(model)
        self.found = self._open(options.resume)
        # The rows that are held out, and what is built now, follow from the seed.
        self._seed_before, self._draws_before = model.seed(), model.shuffle().draws
        if self.found is not None and model.given_seed() is None:
            model.set_seed(int(self.found.description["seed"]))
        self._steps = self._epochs = 0
        self._written = time.monotonic()
        self._validation: BeforeValidation | None = None

    def _open(self, resume: bool | str) -> Checkpoint | None:
        """Have the folder for this training; return the checkpoint that it goes on from."""
        if resume is not True:
            os.makedirs(self.folder.folder, exist_ok=True)
        self.folder.hold()
        try:
            return self._find(resume)
        except BaseException:
            self.folder.release()
            raise

    def _find(self, resume: bool | str) -> Checkpoint | None:
        """Return the checkpoint to go on from, if there is to be one."""
        if resume is False:
            self.folder.start_afresh()
            return None
        found = self.folder.newest()
        if found is None and resume is True:
            raise FileNotFoundError(
                f"resume: no checkpoint in {self.folder.folder!r}; pass resume='auto' to begin "
                "where there is none"
            )
        return found

    def join(
        self,
        fingerprint: dict[str, str],
        source: ArraySource | BatchSource,
        validation: ArraySource | BatchSource | None,
        history: History,
        callbacks: list[Callback],
    ) -> None:
        """Take the training, or raise an error that names what differs from the checkpoint's."""
        self.fingerprint, self.source, self.history = fingerprint, source, history
        self.validation = validation
        with_state = [one for one in callbacks if overrides(one, "state_dict")]
        self.stateful = [one for one in with_state if not joins_later(one)]
        self.later = {kind_of(one): one for one in with_state if joins_later(one)}
        if self.found is None:
            return
        described = self.found.description
        begun = described["fingerprint"]
        # What callbacks had set by then, such as a learning rate, is no other training.
        changed = {
            name: text
            for name, text in described.get("changed", {}).items()
            if fingerprint.get(name) == text
        }
        lines = differences(fingerprint, {**begun, **changed})
        if lines:
            raise ValueError(
                f"{self.found.path}: the checkpoint is of another training; {'; '.join(lines)}. "
                "Make these as they were, or pass resume=False to begin afresh, or another folder"
            )
        now = list(map(kind_of, self.stateful))
        kept = [name for name, _ in described["callbacks"]]
        if now != kept:
            raise ValueError(
                f"{self.found.path}: callbacks: expected those with state of the checkpoint in its "
                f"order, {', '.join(kept) or 'none'}, got {', '.join(now) or 'none'}"
            )
        # As another process makes it, whatever callbacks have set in this one.
        self.fingerprint = begun

    def undo(self) -> None:
        """Give the model its seed back, as the training is not gone on with."""
        if self.model.seed() != self._seed_before:
            self.model.set_seed(self._seed_before)
            self.model.shuffle().draws = self._draws_before

    # ---- when

    @property
    def seconds_left(self) -> float:
        """Seconds until a checkpoint is due."""
        if not self.every.seconds:
            return math.inf
        return max(0.0, self._written + self.every.seconds - time.monotonic())

    @property
    def steps_left(self) -> int:
        """Steps until a checkpoint is due."""
        return self.every.steps - self._steps if self.every.steps else sys.maxsize

    def count(self, steps: int, epochs: int = 0) -> bool:
        """Count what was done; tell whether a checkpoint is due."""
        self._steps += steps
        self._epochs += epochs
        every = self.every
        if every.epochs:
            return self._epochs >= every.epochs
        if every.steps:
            return self._steps >= every.steps
        return time.monotonic() - self._written >= every.seconds

    # ---- what

    def before_validation(self, figures: dict[str, Any]) -> None:
        """Keep what validation changes; the steps of the epoch came to these figures."""
        objective, arrays = self.source.objective, dict[str, Any]()
        assert objective is not None  # noqa: S101 - steps have been made
        described = {"figures": pack(figures, "figures", arrays)}
        if self.validation is not None:
            described["validation"] = self.validation.describe(arrays)
        if any(overrides(one, hook) for one in self.stateful for hook in HOOKS_OF_VALIDATION):
            described["callbacks"] = self._describe_callbacks(arrays)
        self._validation = BeforeValidation(Snapshot(objective, self.model.tree), described, arrays)

    def after_validation(self) -> None:
        """Forget what was kept for a validation."""
        self._validation = None

    def save(self, epoch: int, begun: bool) -> None:
        """Write a checkpoint; where that fails, a warning says so, and later ones are tried."""
        arrays: dict[str, Array] = {}
        before, step = self._validation, self.source.session.step
        with _core.Access(self.model.tree.tensors, writes=True):
            if before is not None:
                before.snapshot.restore()
                step = self.source.session.last_epoch_steps
            description = self._describe(arrays)
        if before is not None:
            description.update(before.described)
            arrays.update(before.arrays)
        # Whether callbacks have done what they do at an epoch's beginning.
        description["begun"] = begun
        try:
            self._write(Position(epoch, step), description, arrays)
        except (OSError, ValueError) as error:
            advise(
                "%s: no checkpoint could be written (%s); training goes on, and older checkpoints "
                "stay. Make room, or pass another folder",
                self.folder.folder,
                error,
            )
        self._steps = self._epochs = 0
        self._written = time.monotonic()

    def _write(
        self, position: Position, description: dict[str, Any], arrays: dict[str, Array]
    ) -> None:
        self.folder.write(position, description, arrays)

    def _describe(self, arrays: dict[str, Array]) -> dict[str, Any]:
        model, optimizer = self.model, self.model.config().optimizer
        session, objective = self.source.session, self.source.objective
        swapped = averages_in_place(optimizer)
        if swapped:
            optimizer.swap_ema_weights(model.tree.trainable)
        try:
            for path, weight in model.tree.weights:
                arrays[f"variable:{path}"] = np.array(weight.tensor.detach().numpy())
                if has_slots(optimizer, weight.tensor):
                    for name, slot in optimizer.slots(weight.tensor).items():
                        arrays[f"{SLOT}{path}/{name}"] = np.array(slot.numpy())
            for path, mask in masks_of(model.public).items():
                arrays[f"{MASK}{path}"] = mask
        finally:
            if swapped:
                optimizer.swap_ema_weights(model.tree.trainable)
        if session.step and objective is not None:
            for number, values in enumerate(objective.saved()):
                arrays[f"metric:{number}"] = values
        draws = model.shuffle().draws
        settings, now = self.settings.describe()
        return {
            "fingerprint": self.fingerprint,
            "changed": {
                name: text for name, text in now.items() if text != self.fingerprint.get(name)
            },
            "settings": settings,
            "seed": model.seed(),
            # The order of an epoch in progress is drawn again from where it was drawn.
            "shuffle": draws if session.order_draw is None else session.order_draw,
            "generators": pack_streams(model.tree),
            "optimizer": {
                "counts": list(counts_of(optimizer)),
                "numbers": numbers_of(optimizer),
                "rates": rates_of(optimizer, model.tree.named_weights),
            },
            "frozen": frozen_layers(model),
            "history": pack([self.history.epoch, self.history.history], "history", arrays),
            "callbacks": self._describe_callbacks(arrays),
            "later": {
                kind: pack(callback.state_dict(), f"callback:{kind}", arrays)
                for kind, callback in self.later.items()
            },
            "batches": self.source.describe(arrays),
            "validation": self.validation and self.validation.describe(arrays),
            "stopped": bool(model.public.stop_training),
        }

    def _describe_callbacks(self, arrays: dict[str, Array]) -> list[Any]:
        return [
            [kind_of(callback), pack(callback.state_dict(), f"callback:{i}", arrays)]
            for i, callback in enumerate(self.stateful)
        ]

    # ---- going on

    def restore(self, found: Checkpoint) -> dict[str, Any] | None:
        """Put everything back as it was when the checkpoint was written.

        Return the figures of the epoch where its steps had been made and validation is next.
        """
        _, position, description, tensors = found
        is_next = "figures" in description
        step = 0 if is_next else position.step
        with _core.Access(self.model.tree.tensors, writes=True):
            self._restore_model(description, tensors)
            self._restore_optimizer(description["optimizer"])
            self._restore_settings(description.get("settings", {}))
        self.history.epoch, self.history.history = unpack(description["history"], tensors)
        for callback, (_, state) in zip(self.stateful, description["callbacks"], strict=True):
            if state is not None:
                callback.load_state_dict(unpack(state, tensors))
        for kind, state in description.get("later", {}).items():
            if kind in self.later:
                self.later[kind].load_state_dict(unpack(state, tensors))
        self.source.go_on(step, description["batches"], tensors)
        if self.validation is not None and description.get("validation") is not None:
            self.validation.go_on(0, description["validation"], tensors)
        objective = self.source.objective
        if step and objective is not None:
            # The figures of the epoch in progress.
            for number, state in enumerate(objective.states):
                fill(state, tensors[f"metric:{number}"])
            if np.isfinite(objective.loss.total.item()):
                # Whether or not somebody watched the loss then.
                objective.finite_steps.copy_(np.array(float(step)))
        self.model.public.stop_training = bool(description["stopped"])
        return unpack(description["figures"], tensors) if is_next else None

    def _restore_model(self, description: dict[str, Any], tensors: dict[str, Array]) -> None:
        """Put variables, slots, frozen layers and random streams back."""
        model = self.model
        optimizer = model.config().optimizer
        for (prefix, layer), state in zip(model.tree.layers, model.tree.states, strict=True):
            if state.trainable is (prefix in description["frozen"]):
                set_trainable(layer, not state.trainable)
        masks = {name[len(MASK) :]: one for name, one in tensors.items() if name.startswith(MASK)}
        set_masks(model.public, masks)
        kept = {name.rpartition("/")[0] for name in tensors if name.startswith(SLOT)}
        for path, weight in model.tree.weights:
            weight.tensor.copy_(tensors[f"variable:{path}"])
            if SLOT + path in kept:
                for name, slot in optimizer.slots(weight.tensor).items():
                    slot.copy_(tensors[f"{SLOT}{path}/{name}"])
        unpack_streams(model.tree, description["generators"])
        model.shuffle().draws = description["shuffle"]

    def _restore_optimizer(self, described: dict[str, Any]) -> None:
        """Put the optimizer's counts and numbers back."""
        optimizer = self.model.config().optimizer
        iterations, accumulated, memory = described["counts"]
        set_counts(optimizer, Counts(iterations, accumulated, memory))
        set_numbers(optimizer, described["numbers"])
        # Files of earlier versions have none.
        put_rates(optimizer, described.get("rates", {}), self.model.tree.named_weights)

    def _restore_settings(self, described: dict[str, Any]) -> None:
        """Put back what callbacks had set: schedules, and arguments of layers, losses, metrics."""
        left = self.settings.take_over(described)
        if left:
            advise(
                "%s: %s: had another value when the checkpoint was written, which no file can hold "
                "or this training does not know; set it again",
                self.folder.folder,
                ", ".join(left),
            )

    def finish(self) -> None:
        """Remove the files, where they were to last as long as the training."""
        if self.remove_at_end:
            self.folder.remove_all()

    def close(self) -> None:
        """Let other trainings use the folder."""
        self.folder.release()
