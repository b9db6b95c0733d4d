"""The arguments of `fit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_int

if TYPE_CHECKING:
    import os

    from evengrad.distributed import Communicator
    from evengrad.training._data import SharedRows


@dataclass(eq=False)
class Options:
    """The arguments of `fit` after x and y, by the names that they have there."""

    batch_size: int | None
    epochs: int
    verbose: Any
    callbacks: Any
    validation_split: float
    validation_data: Any
    shuffle: bool
    class_weight: Any
    sample_weight: Any
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_freq: int | list[int]
    validation_shuffle: bool
    validation_stratify: bool | None
    checkpoint: str | os.PathLike[str] | None
    checkpoint_every: str
    keep: int
    resume: bool | str
    check_finite: bool
    drop_last: bool
    cache_frozen: Any = False
    # Rows that other trainings have in memory, which this one does not change.
    shared: SharedRows | None = None
    comm: Communicator | None = None
    sync_batch_norm: bool = True

    def check_for_batches(self, y: Any) -> None:
        """Raise an error for what an iterable of batches leaves no room for."""
        if y is not None or self.sample_weight is not None:
            raise ValueError(
                "y, sample_weight: expected None with an iterable of batches, which yields them"
            )
        if self.validation_split:
            raise ValueError(
                "validation_split: an iterable of batches cannot be split; pass validation_data"
            )
        if self.drop_last:
            raise ValueError(
                "drop_last: expected with arrays alone; an iterable makes its batches itself"
            )

    def validates(self, epoch: int) -> bool:
        """Tell whether validation runs after an epoch, counted from 0."""
        every = self.validation_freq
        return (epoch + 1) in every if isinstance(every, list) else (epoch + 1) % every == 0

    def validations(self) -> int:
        """Return how often validation runs in all."""
        every, first, last = self.validation_freq, self.initial_epoch, self.epochs
        if isinstance(every, list):
            return sum(first < epoch <= last for epoch in every)
        return int(last // every - first // every)


def check_validation(options: Options) -> None:
    """Raise an error for how often or how long validation is to run, where there may be none."""
    every = options.validation_freq
    if isinstance(every, (list, tuple, set, frozenset, range)):
        every = sorted(check_int(epoch, "validation_freq", at_least=1) for epoch in every)
        if not every:
            raise ValueError("validation_freq: expected at least one epoch, got none")
    else:
        every = check_int(every, "validation_freq", at_least=1)
    options.validation_freq = every
    if not options.validation_split and options.validation_data is None:
        raise ValueError(
            "validation_steps, validation_freq: expected with validation_data or validation_split"
        )
