"""Training on batches that come one by one, from an iterable or a caller."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad.training._data import Prepared, prepare, unpack_batch
from evengrad.training._loop import BroughtSource
from evengrad.training._pack import pack, unpack
from evengrad.training._step import Batch, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.training._data import Array
    from evengrad.training._protocol import TrainableModel

logger = logging.getLogger("evengrad")

# Shapes of batches that are captured; beyond these, steps run in Python, for a plan holds memory.
MANY_SHAPES = 16


class BatchSource(BroughtSource):
    """Epochs over an iterable of batches; an iterator goes on where the last epoch ended.

    Checkpoints keep the iterable's state where it has ``state_dict`` and ``load_state_dict``. With
    `watch_loss`, steps count those whose loss is finite.
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
    ) -> None:
        super().__init__(steps)
        self.model = model
        self.batches = batches
        self.class_weight = class_weight
        self.check_finite = check_finite
        self.once: Iterator[Any] | None = iter(batches) if hasattr(batches, "__next__") else None
        self.steps = steps or (len(batches) if hasattr(batches, "__len__") else None)
        self.objective = model.config().bound
        self.runner = BatchRunner(training, watch_loss)
        self._stream: Iterator[Any] | None = None
        # Whether the batch at hand was looked for before the epoch had begun.
        self._is_ahead = False
        # Batches used in all epochs.
        self._used = 0

    def begin(self) -> None:
        """Have the figures begin anew, and the iterable too unless it is an iterator."""
        if self.objective is not None:
            self.objective.reset()
        if self.once is None and not self._is_ahead:
            self._stream = self._ahead = None
        self._is_ahead = False

    def describe(self, arrays: dict[str, Array]) -> dict[str, Any]:
        """Return what a checkpoint keeps of the iterable: its state, where it offers one."""
        kept: dict[str, Any] = {"used": self._used}
        if self._has_state:
            kept["state"] = pack(self.batches.state_dict(), "batches", arrays)
        return kept

    def go_on(self, step: int, described: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Go to a step of an epoch: by the iterable's state, or past the batches used before."""
        self._used = described["used"]
        if "state" in described:
            self._load_state(described["state"], arrays)
        else:
            count = step if self.once is None else self._used
            logger.info(
                "%s: x has no state_dict and load_state_dict, so that training goes on by skipping "
                "%d batches: it must yield the same ones again",
                self.model.path,
                count,
            )
            for _ in range(count):
                self._fetch()
                self._take()
        if step:
            self._is_ahead = False
            self.session.seek(step)

    def look_ahead(self) -> None:
        """Fetch the first batch, so that the model is built and its losses are bound."""
        arrays: dict[str, Array] = {}
        # A copy: the iterable may go on writing into what it hands out.
        state = pack(self.batches.state_dict(), "batches", arrays) if self._has_state else None
        self._is_ahead = True
        if self._fetch():
            x, y, weight = unpack_batch(self._ahead)
            self.objective = self._prepare(x, y, weight).objective
            self.objective.reset()
        if state is not None:
            self._load_state(state, arrays)

    def _prepare(self, x: Any, y: Any, weight: Any) -> Prepared:
        checked = self.check_finite
        return prepare(self.model, x, y, weight, self.class_weight, check_finite=checked)

    @property
    def _has_state(self) -> bool:
        return hasattr(self.batches, "state_dict") and hasattr(self.batches, "load_state_dict")

    def _load_state(self, state: Any, arrays: dict[str, Array]) -> None:
        self.batches.load_state_dict(unpack(state, arrays))
        # An iterator over the state is asked for where the epoch's batches are.
        self._stream = self._ahead = None
        self._is_ahead = False

    def _next(self) -> Any:
        if self._stream is None:
            self._stream = iter(self.batches) if self.once is None else self.once
        return next(self._stream, None)

    def _step(self) -> bool:
        if not self._fetch():
            if self.session.step == 0:
                raise ValueError(
                    "x: expected batches for this epoch, the iterable has no more; pass "
                    "steps_per_epoch, or an object that can be iterated anew for each epoch"
                )
            return False
        x, y, weight = unpack_batch(self._take())
        batch = self._prepare(x, y, weight)
        if self.objective is None:
            self.objective = batch.objective
            self.objective.reset()
        self.runner.run(batch)
        self._used += 1
        return True


class BatchRunner:
    """Steps over batches that come one by one, captured by their shapes."""

    def __init__(
        self, training: bool, watch_loss: bool = False, steps: dict[Any, Step] | None = None
    ) -> None:
        self.training = training
        self.watch_loss = watch_loss
        self._steps: dict[Any, Step] = {} if steps is None else steps

    def run(self, batch: Prepared) -> None:
        """Do one step on one batch."""
        arrays: list[Array] = list(map(np.ascontiguousarray, *batch.columns()))
        key = (self.training, batch.weight is None, *((a.shape, a.dtype.str) for a in arrays))
        step = self._steps.get(key)
        if step is None or not step.is_current():
            tensors = [_core.tensor(array) for array in arrays]
            held = Batch(tensors, len(batch.xs), len(batch.ys), None)
            step = Step(batch.objective, held, self.training, self.watch_loss)
            step.eager = step.eager or any(known.eager for known in self._steps.values())
            if len(self._steps) < MANY_SHAPES or key in self._steps:
                self._steps[key] = step
            else:
                step.eager = True
        else:
            for tensor, array in zip(step.batch.tensors, arrays, strict=True):
                tensor.copy_(array)
        step()
