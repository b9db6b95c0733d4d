"""What copies of a training's state are asked: whether they are finite, and how large they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.optimizers._optimizer import has_slots
from evengrad.training._data import is_finite

if TYPE_CHECKING:
    from evengrad.callbacks._training_state import TrainingState
    from evengrad.training._protocol import TrainableModel

    Array = np.ndarray[Any, Any]


def all_finite(values: Array) -> bool:
    """Tell whether no number is NaN or infinite; a quick look first, which may be a false alarm."""
    return is_finite(values, values.dtype.name) or bool(np.isfinite(values).all())


def not_finite(state: TrainingState) -> set[str]:
    """Return the names of the copies that have a NaN or an infinity."""
    return {name for name, (_, values) in state.values.items() if not all_finite(values)}


def bytes_of(model: TrainableModel) -> int:
    """Return how much memory a copy of the state takes."""
    optimizer, total = model.config().optimizer, 0
    for tensor in model.tree.tensors:
        slots = optimizer.slots(tensor).values() if has_slots(optimizer, tensor) else ()
        total += sum(one.size * one.itemsize for one in (tensor, *slots))
    return total
