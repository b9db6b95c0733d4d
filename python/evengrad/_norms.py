"""Norms of tensors whose squares no floating-point number holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core

if TYPE_CHECKING:
    from evengrad._core import Tensor


def scaled_norm(x: Tensor, axis: Any = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest absolute value, x over it, and the norm of that: ‖x‖ is first · last.

    That norm is 0 where all are zeros, and else between 1 and the root of their number. The
    dimensions of `axis`, all of them if None, are kept with size 1.
    """
    dimensions = tuple(range(x.ndim)) if axis is None else axis
    largest = x.abs().amax(dim=dimensions, keepdim=True)
    shares = x / _core.where(largest == 0.0, 1.0, largest)
    return largest, shares, shares.square().sum(dim=dimensions, keepdim=True).sqrt()
