"""What is attached to tensors: layers attach it, optimizers ask for it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from evengrad._core import Tensor

Thing = TypeVar("Thing")


class Attached(dict[int, "tuple[weakref.ref[Any], Thing]"]):
    """Things of tensors, by the tensors' identity, since tensors compare by their values.

    An entry goes with its tensor.
    """

    def attach(self, tensor: Tensor, thing: Thing) -> None:
        """Have a tensor have this, in the place of what it had."""
        key = id(tensor)
        self[key] = weakref.ref(tensor, lambda _: self.pop(key, None)), thing

    def detach(self, tensor: Tensor) -> None:
        """Have a tensor have nothing."""
        self.pop(id(tensor), None)

    def of(self, tensor: Tensor) -> Thing | None:
        """Return what a tensor has, if it has anything."""
        held, thing = self.get(id(tensor), (None, None))
        return thing if held is not None and held() is tensor else None
