"""Which layer a variable belongs to: layers enter them, optimizers ask for their paths."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from evengrad._core import Tensor

# By identity, since tensors compare by their values; an entry goes with its tensor.
_owners: dict[int, Owner] = {}


class Owner(NamedTuple):
    """The layer that has a tensor for a variable, the variable's name, and whether it decays."""

    tensor: weakref.ref[Any]
    layer: weakref.ref[Any]
    name: str
    decays: bool


def enter(tensor: Tensor, layer: Any, name: str, decays: bool) -> None:
    """Note that a tensor is the layer's variable of that name, and whether its weights decay."""
    key = id(tensor)
    held = weakref.ref(tensor, lambda _: _owners.pop(key, None))
    _owners[key] = Owner(held, weakref.ref(layer), name, decays)


def path_of(tensor: Tensor) -> str | None:
    """Return a variable's path, as `Model.named_weights` has it; None for any other tensor."""
    owner = _owners.get(id(tensor))
    layer = owner.layer() if owner is not None and owner.tensor() is tensor else None
    return None if owner is None or layer is None else f"{layer.path}/{owner.name}"


def decays(tensor: Tensor) -> bool:
    """Tell whether the weight decay of optimizers reaches a tensor, unless a group says less."""
    owner = _owners.get(id(tensor))
    # Only what is noted of a layer that lives counts.
    return owner is None or owner.decays or owner.tensor() is not tensor or owner.layer() is None
