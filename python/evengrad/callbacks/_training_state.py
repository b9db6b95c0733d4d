"""All that steps change of a model and its optimizer, copied: to go back to, and to check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad.optimizers._optimizer import (
    counts_of,
    has_slots,
    numbers_of,
    schedules_of,
    set_counts,
)

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._module import ModuleTree
    from evengrad.optimizers import Optimizer

    Array = np.ndarray[Any, Any]


def settings_of(optimizer: Optimizer) -> dict[str, Any]:
    """Return the numbers and the schedules that an optimizer goes by now."""
    return {**numbers_of(optimizer), **schedules_of(optimizer)}


def set_settings(optimizer: Optimizer, settings: dict[str, Any]) -> None:
    """Have an optimizer go by what `settings_of` returned."""
    now = settings_of(optimizer)
    for name, value in settings.items():
        if now.get(name) != value:
            setattr(optimizer, name, value)


class TrainingState:
    """Variables, the optimizer's slots, counts and settings, and random streams, at one moment."""

    def __init__(self, tree: ModuleTree, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        # By path, and for slots by their variable's path and their name.
        self.values: dict[str, tuple[Tensor, Array]] = {}
        # Variables that no update has given slots yet.
        self._without_slots: list[Tensor] = []
        with _core.Access(tree.tensors):
            for path, weight in tree.weights:
                self._copy(path, weight.tensor.detach())
                if not has_slots(optimizer, weight.tensor):
                    self._without_slots.append(weight.tensor)
                    continue
                for name, slot in optimizer.slots(weight.tensor).items():
                    self._copy(f"slot:{path}/{name}", slot)
        self.counts = counts_of(optimizer)
        self.settings = settings_of(optimizer)
        self.draws = [(stream, stream.draws) for _, stream in tree.generators]

    def _copy(self, name: str, tensor: Tensor) -> None:
        self.values[name] = tensor, np.array(tensor.numpy())

    def restore(self, *, settings: bool = True) -> None:
        """Put everything back, bit for bit; but the settings, where they are to stay."""
        for tensor, values in self.values.values():
            tensor.copy_(values)
        self._empty_slots()
        set_counts(self.optimizer, self.counts)
        if settings:
            set_settings(self.optimizer, self.settings)
        for stream, draws in self.draws:
            stream.draws = draws

    def _empty_slots(self) -> None:
        """Have slots that were made since begin anew."""
        made = [one for one in self._without_slots if has_slots(self.optimizer, one)]
        if not made:
            return
        other = type(self.optimizer)(**self.optimizer.get_config())
        for tensor in made:
            first = other.slots(tensor)
            for name, slot in self.optimizer.slots(tensor).items():
                slot.copy_(first[name].numpy())


def bytes_of(tree: ModuleTree, optimizer: Optimizer) -> int:
    """Return how much memory a `TrainingState` takes."""
    total = 0
    for tensor in tree.tensors:
        slots = optimizer.slots(tensor).values() if has_slots(optimizer, tensor) else ()
        total += sum(one.size * one.itemsize for one in (tensor, *slots))
    return total
