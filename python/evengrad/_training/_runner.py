"""Running the steps of an epoch, in stretches without Python."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._training._source import Source
from evengrad._training._step import Batch, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._training._arrays import Array
    from evengrad._training._compiled import Bound
    from evengrad._training._step import Captured

# Seconds between two looks at the progress.
TURN = 0.2
# Shapes of batches that are captured; beyond these, steps run in Python, for a plan holds memory.
MANY_SHAPES = 16


class Stretches:
    """How many steps run before Python gets its turn."""

    def __init__(self, single: bool, timed: bool) -> None:
        self.single = single
        self.timed = timed
        self.steps = 1

    def next(self, left: int) -> int:
        """Return a number of steps, at most `left`."""
        if self.single:
            return 1
        return min(left, self.steps) if self.timed else left

    def took(self, steps: int, seconds: float) -> None:
        """Learn from a stretch how many steps fit between two looks."""
        fitting = steps * TURN / max(seconds, 1e-6)
        self.steps = max(1, int(min(fitting, 4 * self.steps)))


class ArrayRunner:
    """Runs epochs over arrays."""

    def __init__(
        self,
        bound: Bound,
        xs: list[Array],
        ys: list[Array],
        weight: Array | None,
        *,
        batch_size: int,
        training: bool,
    ) -> None:
        self.bound = bound
        self.training = training
        self.rows = int(xs[0].shape[0])
        self.batch_size = min(batch_size, self.rows)
        self.inputs, self.outputs = len(xs), len(ys)
        arrays = [*xs, *ys] if weight is None else [*xs, *ys, weight]
        dtype = bound.model.dtype
        dtypes = [
            *[dtype] * len(xs),
            *["int64" if y.dtype.kind in "iu" else dtype for y in ys],
            *[dtype] * (weight is not None),
        ]
        self.source = Source(arrays, dtypes, self.batch_size)
        self.steps_per_epoch = -(-self.rows // self.batch_size)
        self._steps: dict[int, Step] = {}

    def _step(self, batch_size: int) -> Step:
        step = self._steps.get(batch_size)
        if step is None or not step.is_current():
            batch = Batch(self.source.tensors, self.inputs, self.outputs, batch_size)
            fresh = Step(self.bound, batch, self.training)
            # What one batch showed holds for the other.
            fresh.eager = fresh.eager or any(known.eager for known in self._steps.values())
            self._steps[batch_size] = step = fresh
        return step

    def captured(self) -> list[Captured] | None:
        """Return the steps of an epoch; None where one needs Python, or is not captured yet."""
        if self.source.buffers:
            # Rows come piece by piece.
            return None
        sizes = {self.batch_size, self.rows % self.batch_size} - {0}
        steps = [self._steps.get(size) for size in sorted(sizes, reverse=True)]
        found = [step.captured() for step in steps if step is not None and step.is_current()]
        captured = [one for one in found if one is not None]
        return captured if len(captured) == len(sizes) else None

    def epoch(self, order: np.ndarray[Any, Any], stretches: Stretches) -> Iterator[int]:
        """Visit the rows in this order; yield the number of steps, first 0, after each stretch."""
        size = self.batch_size
        done, total = 0, self.steps_per_epoch
        whole = self.rows // size
        window = max(1, self.source.window // size)
        place: np.ndarray[Any, Any] = np.empty(0, np.int64)
        first = loaded = 0
        while done < total:
            yield done
            started = time.perf_counter()
            if done < whole:
                if done >= loaded:
                    first, loaded = done, min(whole, done + window)
                    place = self.source.load(order[first * size : loaded * size])
                steps = stretches.next(loaded - done)
                rows = place[(done - first) * size : (done - first + steps) * size]
                self._step(size).run(rows, steps)
            else:
                steps = 1
                rest = order[whole * size :]
                self._step(len(rest)).run(self.source.load(rest))
            stretches.took(steps, time.perf_counter() - started)
            done += steps
        yield done


class BatchRunner:
    """Runs steps over batches that come one by one."""

    def __init__(self, bound: Bound, training: bool, steps: dict[Any, Step] | None = None) -> None:
        self.bound = bound
        self.training = training
        self._steps: dict[Any, Step] = {} if steps is None else steps

    def run(self, xs: list[Array], ys: list[Array], weight: Array | None) -> None:
        """Do one step on one batch."""
        dtype = self.bound.model.dtype
        arrays = [np.ascontiguousarray(x, dtype=dtype) for x in xs]
        arrays += [np.ascontiguousarray(y, np.int64 if y.dtype.kind in "iu" else dtype) for y in ys]
        if weight is not None:
            arrays.append(np.ascontiguousarray(weight, dtype=dtype))
        key = (self.training, weight is None, *((a.shape, a.dtype.str) for a in arrays))
        step = self._steps.get(key)
        if step is None or not step.is_current():
            tensors = [_core.tensor(array) for array in arrays]
            step = Step(self.bound, Batch(tensors, len(xs), len(ys), None), self.training)
            step.eager = step.eager or any(known.eager for known in self._steps.values())
            if len(self._steps) < MANY_SHAPES or key in self._steps:
                self._steps[key] = step
            else:
                step.eager = True
        else:
            for tensor, array in zip(step.batch.tensors, arrays, strict=True):
                tensor.copy_(array)
        step.run()
