"""Data that comes batch by batch, from generators and other iterables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._training._arrays import build_for, inputs_of, targets_of, weights_of
from evengrad._training._runner import BatchRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._training._arrays import Array
    from evengrad._training._compiled import Bound
    from evengrad._training._runner import Stretches
    from evengrad.models._model import Model

PAIR, TRIPLE = 2, 3


def taken_apart(item: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample weights of one item."""
    if not isinstance(item, (tuple, list)) or len(item) not in (PAIR, TRIPLE):
        raise ValueError(
            "x: expected an iterable of (x, y) or (x, y, sample_weight), it yielded "
            f"{type(item).__name__}"
        )
    return item[0], item[1], item[2] if len(item) == TRIPLE else None


class BatchSource:
    """Epochs over an iterable of batches; an iterator goes on where the last epoch ended."""

    def __init__(
        self,
        model: Model,
        batches: Any,
        class_weight: Any,
        steps: int | None,
        training: bool,
    ) -> None:
        self.model = model
        self.batches = batches
        self.class_weight = class_weight
        self.training = training
        self.once = iter(batches) if hasattr(batches, "__next__") else None
        length = len(batches) if hasattr(batches, "__len__") else None
        self.steps: int | None = steps or length
        self.limit = steps
        self.bound: Bound | None = model._compiled().bound
        self.runner: BatchRunner | None = None

    def checked(self, item: Any) -> tuple[list[Array], list[Array], Array | None]:
        """Return a batch as arrays that fit the model, or raise an error."""
        x, y, weight = taken_apart(item)
        xs = inputs_of(self.model, x)
        build_for(self.model, xs)
        ys, names = targets_of(self.model, y, xs[0].shape[0])
        if self.runner is None:
            self.bound = self.model._compiled().bind(ys)
            self.runner = BatchRunner(self.bound, self.training)
        if self.bound is None:
            raise RuntimeError("the model has no losses yet")
        ys = self.bound.check_targets(ys, names, xs)
        return xs, ys, weights_of(self.model, weight, self.class_weight, xs, ys)

    def epoch(self, stretches: Stretches) -> Iterator[int]:
        """Run an epoch; yield the number of steps after each batch."""
        del stretches
        yield 0
        done = 0
        stream = iter(self.batches) if self.once is None else self.once
        while self.limit is None or done < self.limit:
            item = next(stream, None)
            if item is None:
                break
            batch = self.checked(item)
            if self.runner is None:
                raise RuntimeError("the model has no losses yet")
            self.runner.run(*batch)
            done += 1
            yield done
        if done == 0:
            raise ValueError(
                "x: expected batches for this epoch, the iterable has no more; pass "
                "steps_per_epoch, or an object that can be iterated anew for each epoch"
            )
