"""Figures of several ranks: each evaluates its rows, and what they track goes together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from evengrad._common.names import is_own
from evengrad.layers import Masking
from evengrad.losses._loss import MEANS
from evengrad.metrics._metric import merge, saved_by

if TYPE_CHECKING:
    from evengrad.distributed import Communicator
    from evengrad.training._objective import Objective


def rows_of(rows: int, comm: Communicator) -> slice:
    """Return which rows fall to a rank: as many as to others, or one more or less."""
    start, stop = (rows * number // comm.size for number in (comm.rank, comm.rank + 1))
    return slice(start, stop)


def shares(comm: Communicator | None, rows: int) -> TypeGuard[Communicator]:
    """Tell whether ranks share rows; of fewer than there are ranks, each has all."""
    return comm is not None and 1 < comm.size <= rows


def check_shareable(objective: Objective) -> None:
    """Raise an error for what the parts of a batch cannot be computed apart for."""
    for output in objective.outputs:
        loss = output.loss
        if loss is None:
            continue
        ignores = output.ignored_class is not None
        if loss.reduction not in MEANS or ignores:
            what = "an ignore_class" if ignores else f"reduction={loss.reduction!r}"
            raise ValueError(
                f"{loss.name}: with several ranks a loss is the mean over rows, as of "
                f'reduction="sum_over_batch_size", got {what}; a sample_weight of 0 leaves rows out'
            )
    for path, layer in objective.model.tree.layers:
        masks = isinstance(layer, Masking) or getattr(layer, "mask_zero", False)
        if masks or getattr(layer, "stateful", False):
            raise ValueError(
                f"{path.rstrip('/')}: with several ranks, layers that "
                f"{'mask steps' if masks else 'keep states from batch to batch'} are not there "
                "yet; train on one, or give all rows as many steps"
            )


def check_mergeable(objective: Objective) -> None:
    """Raise an error for a metric whose states of several ranks are not known to be summed."""
    for one in objective.metrics:
        metric = one.metric
        if not is_own(type(metric)) and not overrides_merge(metric):
            raise ValueError(
                f"metrics: {one.key}: with several ranks, each gathers its rows; define "
                "merge_states(self, states), which returns the states of all ranks together, on "
                f"{type(metric).__name__}, or leave it out"
            )


def overrides_merge(metric: Any) -> bool:
    """Tell whether a metric says how its states of several ranks go together."""
    return any("merge_states" in vars(kind) for kind in type(metric).__mro__ if not is_own(kind))


def merge_over_ranks(objective: Objective, comm: Communicator) -> None:
    """Have the figures of this rank be those of all ranks together."""
    sums = objective.sums
    flat = np.concatenate([np.array(state.numpy()).reshape(-1) for state in sums])
    comm.all_reduce(flat)
    at = 0
    for state in sums:
        state.copy_(flat[at : at + state.size].reshape(state.shape))
        at += state.size
    for one in objective.metrics:
        merge(one.metric, comm.gather(saved_by(one.metric)))
