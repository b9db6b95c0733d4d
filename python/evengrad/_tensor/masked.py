"""Which elements of variables are pruned: zero, whatever optimizers and constraints would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._tensor.attached import Attached
from evengrad._tensor.grad_mode import no_grad

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evengrad._core import Tensor

# True for the elements that are kept.
masked: Attached[Tensor] = Attached()


def masked_gradients(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> list[Tensor]:
    """Return gradients without those of pruned elements, which move nothing and bound nothing."""
    found = []
    with no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            kept = masked.of(parameter)
            found.append(gradient if kept is None else _core.where(kept, gradient, 0.0))
    return found


def apply_masks(tensors: Iterable[Tensor]) -> None:
    """Have pruned elements be zero, in place; captured steps do so too."""
    for tensor in tensors:
        kept = masked.of(tensor)
        if kept is not None:
            with no_grad():
                tensor.copy_(_core.where(kept, tensor, 0.0))
