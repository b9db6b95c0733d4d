"""Which steps of sequences count: masks that layers hand on beside their outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._core import Tensor
from evengrad._tensor.attached import Attached

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

# Booleans of shape (rows, steps), True for the steps that count.
step_masks: Attached[Tensor] = Attached()


def masks_of(x: Any) -> Any:
    """Return the mask of a tensor, or a list of those of several; None where there is none."""
    if not isinstance(x, (list, tuple)):
        return step_masks.of(x)
    found = [step_masks.of(one) for one in x]
    return None if all(one is None for one in found) else found


def as_mask(mask: Any) -> Any:
    """Return masks of users as tensors of booleans; what is nothing, or symbolic, stays."""
    if isinstance(mask, (list, tuple)) and any(is_whole(one) for one in mask):
        return [as_mask(one) for one in mask]
    if isinstance(mask, Tensor):
        return mask if mask.dtype == "bool" else mask.detach() != 0
    if mask is None or not isinstance(mask, (np.ndarray, list, tuple)):
        return mask
    values: Array = np.asarray(mask)
    return _core.tensor(values if values.dtype.kind == "b" else values != 0)


def is_whole(mask: Any) -> bool:
    """Tell whether a mask is one by itself, or stands for one, as no list is and no number."""
    return mask is None or not isinstance(mask, (list, tuple, bool, int, float, np.generic))


def either(one: Tensor, other: Tensor) -> Tensor:
    """Return where one of two masks is True."""
    found: Tensor = _core.where(one, 1.0, other.astype("float32")) != 0.0
    return found
