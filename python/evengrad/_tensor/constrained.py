"""Which variables have a constraint: layers enter them, optimizers apply them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._tensor.attached import Attached
from evengrad._tensor.grad_mode import no_grad
from evengrad._tensor.masked import apply_masks, masked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evengrad._core import Tensor

constrained: Attached[Callable[..., Any]] = Attached()


def apply_constraints(tensors: Sequence[Tensor], gate: Tensor | None = None) -> None:
    """Bring back the variables that have a constraint, or a mask; captured steps do so too.

    With a gate, one element that is true or false, constraints act only where it is true.
    """
    for tensor in tensors:
        constraint = constrained.of(tensor)
        if constraint is not None:
            _apply(constraint, tensor, gate)
    if masked:
        apply_masks(tensors)


def _apply(constraint: Callable[..., Any], tensor: Tensor, gate: Tensor | None) -> None:
    with no_grad():
        values = constraint(tensor)
    if not isinstance(values, _core.Tensor) or values.shape != tensor.shape:
        got = getattr(values, "shape", type(values).__name__)
        raise ValueError(
            f"{constraint!r}: expected to return a tensor of shape {tuple(tensor.shape)}, got {got}"
        )
    with no_grad():
        tensor.copy_(values if gate is None else _core.where(gate, values, tensor))
