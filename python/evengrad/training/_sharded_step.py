"""Steps over one rank's part of each batch, whose gradients are those of the whole batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad.layers import BatchNormalization
from evengrad.layers._call_context import call_context
from evengrad.training._rank_figures import rows_of
from evengrad.training._segments import Segments, SumOverRanks
from evengrad.training._step import ArraySource, Batch, Step

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.distributed import Communicator
    from evengrad.training._data import Prepared
    from evengrad.training._objective import Objective

# Gradients are summed in pieces of about this size: larger ones are sent no faster, and smaller
# ones cost a message each.
BUCKET_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Part:
    """One rank's rows of a batch: from `start` to before `stop` of `rows`."""

    start: int
    stop: int
    rows: int
    # Whether the rows are the rank's own. Where there are fewer than ranks, one stands for none.
    counts: bool = True

    @classmethod
    def of(cls, rows: int, ranks: Communicator) -> Part:
        """Return what falls to a rank: as many rows as to others, or one more or less."""
        own = rows_of(rows, ranks)
        if own.stop > own.start:
            return cls(own.start, own.stop, rows)
        return cls(0, 1, rows, counts=False)

    @property
    def share(self) -> float:
        """What part of the batch it is."""
        return (self.stop - self.start) / self.rows if self.counts else 0.0


def add_up(ranks: Communicator, tensor: Tensor) -> None:
    """Have a tensor become its sum over all ranks."""
    values = np.array(tensor.detach().numpy())
    ranks.all_reduce(values)
    tensor.copy_(values)


class ShardedStep(Step):
    """A step over a rank's part of each batch, captured in segments.

    Each rank has the loss of its rows, weighed by their share of the batch; the gradients of all
    are summed, so that every rank makes the update that one alone would make of the whole batch.
    """

    recorder = Segments

    def __init__(
        self,
        objective: Objective,
        batch: Batch,
        training: bool,
        alike: Step | None,
        part: Part,
        ranks: Communicator,
        sync_batch_norm: bool,
    ) -> None:
        super().__init__(objective, batch, training, alike=alike)
        self.part, self.ranks = part, ranks
        self.sync_batch_norm = sync_batch_norm
        self.gradients = self._gradients

    def _add_up(self, tensor: Tensor) -> None:
        """Have a tensor become its sum over all ranks, in each replay too."""
        action = partial(add_up, self.ranks, tensor)
        segments = self.recording
        if isinstance(segments, Segments) and segments.is_open:
            segments.cut(action)
        else:
            action()

    def _sum(self, tensor: Tensor) -> Tensor:
        total: Tensor = SumOverRanks.apply(tensor, self._add_up)
        return total

    def _body(self) -> None:
        part, objective = self.part, self.objective
        streams = [stream for _, stream in self.tree.generators]
        kept: list[Tensor] = []
        if not part.counts:
            kept = [state * 1.0 for state in objective.states]
        before = call_context.sum_over_ranks, call_context.counts_rows
        try:
            if self.sync_batch_norm:
                call_context.sum_over_ranks = self._sum
            call_context.counts_rows = part.counts
            for stream in streams:
                stream.set_part(part.start, part.stop - part.start)
            super()._body()
        finally:
            call_context.sum_over_ranks, call_context.counts_rows = before
            for stream in streams:
                stream.set_part(0, 0)
        for state, value in zip(objective.states, kept, strict=False):
            state.copy_(value)
        if not self.sync_batch_norm:
            self._average_statistics()

    def _gradients(
        self, loss: Tensor, parameters: list[Tensor]
    ) -> list[tuple[Tensor | None, Tensor]]:
        optimizer = self.objective.config.optimizer
        pairs = optimizer.compute_gradients(loss * self.part.share, parameters)
        reached = [gradient for gradient, _ in pairs if gradient is not None]
        summed = iter(self._summed(reached))
        return [(None if gradient is None else next(summed), weight) for gradient, weight in pairs]

    def _summed(self, tensors: list[Tensor]) -> list[Tensor]:
        """Return the sums of tensors over all ranks, which go together as far as they are small."""
        found: list[Tensor] = []
        for bucket in buckets(tensors):
            flat = _core.cat([one.reshape(-1) for one in bucket])
            if len(bucket) == 1:
                flat = flat * 1.0
            self._add_up(flat)
            at = 0
            for one in bucket:
                found.append(flat[at : at + one.size].reshape(*one.shape))
                at += one.size
        return found

    def _average_statistics(self) -> None:
        """Have the moving statistics, which each rank takes from its rows, be the same for all."""
        layers = [
            layer
            for _, layer in self.tree.layers
            if isinstance(layer, BatchNormalization) and layer.trainable
        ]
        own = [tensor for one in layers for tensor in (one.moving_mean, one.moving_variance)]
        summed = self._summed([tensor * self.part.share for tensor in own])
        for tensor, mean in zip(own, summed, strict=True):
            tensor.copy_(mean)


def buckets(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Return tensors in groups of one dtype and of about the size that is sent at a time."""
    groups: list[list[Tensor]] = []
    size = 0
    for one in tensors:
        taken = one.size * one.itemsize
        if not groups or groups[-1][0].dtype != one.dtype or size + taken > BUCKET_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += taken
    return groups


class ShardedSource(ArraySource):
    """Epochs over arrays of which each rank makes its part of every batch.

    The order of the rows is that of one rank alone, whatever the number of ranks.
    """

    def __init__(
        self,
        data: Prepared,
        batch_size: int,
        *,
        shuffle: _core.Generator | None,
        ranks: Communicator,
        sync_batch_norm: bool,
    ) -> None:
        self.ranks, self.sync_batch_norm = ranks, sync_batch_norm
        self.feed_for, self.step_for = self._feed, self._step
        super().__init__(data, batch_size, training=True, shuffle=shuffle)

    def _feed(self, size: int) -> _core.Feed:
        # The step is made for it next.
        self._part = Part.of(size, self.ranks)
        return _core.Feed(size, (self._part.start, self._part.stop))

    def _step(
        self,
        objective: Objective,
        batch: Batch,
        training: bool,
        watch_loss: bool,
        alike: Step | None,
    ) -> Step:
        del watch_loss
        shared = self._part, self.ranks, self.sync_batch_norm
        return ShardedStep(objective, batch, training, alike, *shared)
