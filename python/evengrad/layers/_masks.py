"""The masks of pruned variables, by their paths: looked at, kept elsewhere, and put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._tensor.masked import apply_masks, masked
from evengrad.layers._module import access_to, module_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad._core import Tensor

    Array = np.ndarray[Any, Any]


def masks_of(root: Any) -> dict[str, Array]:
    """Return the masks of the variables of a layer or model, True where an element is kept."""
    if not masked:
        return {}
    named = module_tree(root).named_weights
    return {
        path: np.array(mask.numpy())
        for path, tensor in named
        if (mask := masked.of(tensor)) is not None
    }


def set_masks(root: Any, masks: Mapping[str, Array]) -> None:
    """Have the variables of a layer or model have these masks and no others; what is pruned is 0.

    Steps that were captured are captured anew, where anything changes.
    """
    if not masks and not masked:
        return
    tree = module_tree(root)
    with access_to(root, writes=True):
        for (prefix, _), state in zip(tree.layers, tree.states, strict=True):
            others = 0
            for weight in state.weights:
                others += _set(weight.tensor, masks.get(prefix + weight.name))
            if others:
                state.changed()


def _set(tensor: Tensor, mask: Array | None) -> bool:
    """Have a variable have a mask, or none; return whether that is another one."""
    before = masked.of(tensor)
    if mask is None:
        masked.detach(tensor)
        return before is not None
    if before is not None and np.array_equal(before.numpy(), mask):
        apply_masks([tensor])
        return False
    masked.attach(tensor, _core.tensor(mask))
    apply_masks([tensor])
    return True
