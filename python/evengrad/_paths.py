"""Which layer a variable belongs to: layers enter them, optimizers ask for their paths."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evengrad._core import Tensor

# By identity, since tensors compare by their values; an entry goes with its tensor.
_owners: dict[int, tuple[weakref.ref[Any], weakref.ref[Any], str]] = {}


def enter(tensor: Tensor, layer: Any, name: str) -> None:
    """Note that a tensor is the layer's variable of that name."""
    key = id(tensor)
    held = weakref.ref(tensor, lambda _: _owners.pop(key, None))
    _owners[key] = (held, weakref.ref(layer), name)


def _owner(tensor: Tensor) -> tuple[Any, str]:
    """Return the layer that has a tensor for a variable, and its name; None for any other."""
    held, owner, name = _owners.get(id(tensor), (None, None, ""))
    layer = None if owner is None else owner()
    return (None if held is None or held() is not tensor else layer), name


def path_of(tensor: Tensor) -> str | None:
    """Return a variable's path, as `Model.named_weights` has it; None for any other tensor."""
    layer, name = _owner(tensor)
    return None if layer is None else f"{layer.path}/{name}"


def decays(tensor: Tensor) -> bool:
    """Tell whether the weight decay of optimizers reaches a tensor, unless a group says less."""
    layer, name = _owner(tensor)
    weights = [] if layer is None else layer._state.weights
    return all(weight.decays for weight in weights if weight.name == name)
