"""Which variables have a constraint: layers enter them, optimizers apply them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._tensor.grad_mode import no_grad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evengrad._core import Tensor

# By identity, since tensors compare by their values; an entry goes with its tensor.
constrained: dict[int, tuple[weakref.ref[Any], Callable[..., Any]]] = {}


def constrain(tensor: Tensor, constraint: Callable[..., Any]) -> None:
    """Have `constraint` applied to a variable after each update."""
    key = id(tensor)
    held = weakref.ref(tensor, lambda _: constrained.pop(key, None))
    constrained[key] = (held, constraint)


def unconstrain(tensor: Tensor) -> None:
    """Have a variable stay as updates leave it."""
    constrained.pop(id(tensor), None)


def constraint_of(tensor: Tensor) -> Callable[..., Any] | None:
    """Return the constraint on a variable, if there is one."""
    held, constraint = constrained.get(id(tensor), (None, None))
    return constraint if held is not None and held() is tensor else None


def apply_constraints(tensors: Iterable[Tensor], gate: Tensor | None = None) -> None:
    """Bring back the variables that have a constraint, in place; captured steps do so too.

    With a gate, one element that is true or false, only where it is true.
    """
    for tensor in tensors:
        constraint = constraint_of(tensor)
        if constraint is None:
            continue
        with no_grad():
            values = constraint(tensor)
        if not isinstance(values, _core.Tensor) or values.shape != tensor.shape:
            got = getattr(values, "shape", type(values).__name__)
            raise ValueError(
                f"{constraint!r}: expected to return a tensor of shape {tuple(tensor.shape)}, got "
                f"{got}"
            )
        with no_grad():
            tensor.copy_(values if gate is None else _core.where(gate, values, tensor))
