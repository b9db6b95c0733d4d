"""Training on batches that come one by one, from an iterable or a caller."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad.training._class_weights import refuse_balanced
from evengrad.training._data import Prepared, prepare, unpack_batch
from evengrad.training._feature_names import remember_names
from evengrad.training._loop import NO_BATCH, BroughtSource
from evengrad.training._pack import pack, unpack
from evengrad.training._step import Batch, Step, rehearse
from evengrad.training._watched_step import WatchedStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.layers._module import ModuleTree
    from evengrad.training._data import Array
    from evengrad.training._loop import Observer
    from evengrad.training._protocol import TrainableModel
    from evengrad.training._watching import Watching

logger = logging.getLogger("evengrad")

# Shapes of batches that are captured; beyond these, steps run in Python, for a plan holds memory.
MANY_SHAPES = 16


class BatchSource(BroughtSource):
    """Epochs over an iterable of batches; an iterator goes on where the last epoch ended.

    So does training on any iterable where `steps` make an epoch: it is begun anew once it has no
    more. Checkpoints keep the iterable's state where it has ``state_dict`` and ``load_state_dict``.
    With `watch_loss`, steps count those whose loss is finite. Messages call the iterable `name`,
    and the argument that says how many steps to make `limited_by`.
    """

    def __init__(
        self,
        model: TrainableModel,
        batches: Any,
        class_weight: Any,
        steps: int | None,
        *,
        training: bool,
        watch_loss: bool = False,
        check_finite: bool = True,
        name: str = "x",
        limited_by: str = "steps",
    ) -> None:
        super().__init__(steps)
        refuse_balanced(class_weight)
        self.model = model
        self.batches = batches
        self.class_weight = class_weight
        self.check_finite = check_finite
        self.name, self.limited_by = name, limited_by
        self.once: Iterator[Any] | None = iter(batches) if hasattr(batches, "__next__") else None
        self._goes_on = self.once is not None or (training and steps is not None)
        self.steps = steps or (len(batches) if hasattr(batches, "__len__") else None)
        self.objective = model.config().bound
        self.runner = BatchRunner(training, watch_loss)
        self._stream: Iterator[Any] | None = None
        # Whether the batch at hand was looked for before the epoch had begun.
        self._is_ahead = False
        # Batches used of the iterator in progress.
        self._used = 0
        # Whether the epoch in progress has come to the end of an iterable that goes on.
        self._is_over = False
        # Whether an epoch had no batch, as an iterator has none left.
        self.is_used_up = False

    def begin(self) -> None:
        """Have the figures begin anew, and the iterable too unless it is an iterator."""
        if self.objective is not None:
            self.objective.reset()
        if not self._goes_on and not self._is_ahead:
            self._stream, self._ahead = None, NO_BATCH
        self._is_ahead = self._is_over = False

    def describe(self, arrays: dict[str, Array]) -> dict[str, Any]:
        """Return what a checkpoint keeps of the iterable: its state, where it offers one."""
        kept: dict[str, Any] = {"used": self._used}
        if self._has_state:
            name = "batches" if self.name == "x" else self.name
            kept["state"] = pack(self.batches.state_dict(), name, arrays)
        return kept

    def go_on(self, step: int, described: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Go to a step of an epoch: by the iterable's state, or past the batches used before."""
        count = described["used"] if self._goes_on else step
        if "state" in described:
            self._load_state(described["state"], arrays)
        elif count:
            logger.info(
                "%s: %s has no state_dict and load_state_dict, so that training goes on by "
                "skipping %d batches: it must yield the same ones again",
                self.model.path,
                self.name,
                count,
            )
            for _ in range(count):
                self._fetch()
                self._take()
        self._used = described["used"]
        if step:
            self._is_ahead = False
            self.session.seek(step)

    def look_ahead(self) -> Prepared | None:
        """Fetch the first batch and return it; the model is built, and its losses are bound."""
        arrays: dict[str, Array] = {}
        # A copy: the iterable may go on writing into what it hands out.
        state = pack(self.batches.state_dict(), "batches", arrays) if self._has_state else None
        self._is_ahead = True
        first = self._prepare(self._ahead) if self._fetch() else None
        if first is not None:
            self.objective = first.objective
            self.objective.reset()
        if state is not None:
            self._load_state(state, arrays)
        return first

    @property
    def _has_state(self) -> bool:
        return hasattr(self.batches, "state_dict") and hasattr(self.batches, "load_state_dict")

    def _load_state(self, state: Any, arrays: dict[str, Array]) -> None:
        self.batches.load_state_dict(unpack(state, arrays))
        # An iterator over the state is asked for where the epoch's batches are.
        self._stream, self._ahead = None, NO_BATCH
        self._is_ahead = False

    def _next(self) -> Any:
        if self._is_over:
            return NO_BATCH
        if self._stream is None:
            self._stream = iter(self.batches) if self.once is None else self.once
            self._used = 0 if self.once is None else self._used
        found = next(self._stream, NO_BATCH)
        if found is NO_BATCH and self._goes_on and self.once is None:
            # The next epoch begins it anew; this one does, if it has just begun.
            self._stream = None
            if self._used and self.session.step == 0:
                return self._next()
            self._is_over = True
        return found

    def _prepare(self, item: Any) -> Prepared:
        """Return a batch that fits the model, or raise an error that says which it is."""
        try:
            x, y, weight = unpack_batch(item)
            weights, checked = (weight, self.class_weight), self.check_finite
            batch = prepare(self.model, x, y, *weights, check_finite=checked)
            self.runner.rehearse(batch)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self._place()}: {error}") from error
        return batch

    def has_more(self) -> bool:
        """Tell whether another epoch has batches; a warning says where an iterator has none."""
        if self.once is None or not self._used or self._fetch():
            return True
        self._warn_if_short()
        return False

    def _step(self) -> bool:
        if not self._fetch():
            if self.session.step == 0:
                self.is_used_up = self.once is not None and self._used > 0
                if not self.is_used_up:
                    raise ValueError(f"{self.name}: expected at least one batch, there is none")
            self._warn_if_short()
            return False
        batch = self._prepare(self._take())
        if self.objective is None:
            self.objective = batch.objective
            self.objective.reset()
        if self.runner.training and batch.names is not None:
            remember_names(self.model, batch.names)
        self.runner.run(batch, self.observer)
        self._used += 1
        return True


class BatchRunner:
    """Steps over batches that come one by one, captured by their shapes."""

    def __init__(
        self, training: bool, watch_loss: bool = False, steps: dict[Any, Step] | None = None
    ) -> None:
        self.training = training
        self.watch_loss = watch_loss
        # Who watches steps, if anybody does.
        self.watching: Watching | None = None
        self._steps: dict[Any, Step] = {} if steps is None else steps
        # What took a batch of one row.
        self._rehearsed: ModuleTree | None = None

    def rehearse(self, batch: Prepared) -> None:
        """Have layers refuse a batch of one row before anything is changed."""
        tree = batch.objective.model.tree
        if self.training and batch.rows == 1 and self._rehearsed is not tree:
            rehearse(batch, 1)
            self._rehearsed = tree

    def run(self, batch: Prepared, observer: Observer | None = None) -> None:
        """Do one step on one batch."""
        arrays: list[Array] = list(map(np.ascontiguousarray, *batch.columns()))
        kinds = [(array.shape, array.dtype.str) for array in arrays]
        watching = self.watching
        watched = watching is not None and watching.is_due
        key = (self.training, watched, *batch.weight_places, *kinds)
        step = self._steps.get(key)
        if observer is not None:
            if step is not None and not step.is_current():
                observer.changes()
            observer.takes(batch)
        if step is None or not step.is_current():
            tensors = [_core.tensor(array) for array in arrays]
            held = Batch(tensors, batch)
            step = Step(batch.objective, held, self.training, self.watch_loss)
            if watching is not None:
                step.noted_loss = watching.noted_loss
            if watching is not None and watched:
                step = WatchedStep(step, held, watching.begin(batch))
            step.eager = step.eager or any(known.eager for known in self._steps.values())
            if len(self._steps) < MANY_SHAPES or key in self._steps:
                self._steps[key] = step
            else:
                step.eager = True
        else:
            for tensor, array in zip(step.batch.tensors, arrays, strict=True):
                tensor.copy_(array)
        step()
