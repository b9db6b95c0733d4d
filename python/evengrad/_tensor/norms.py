"""Norms of tensors whose squares no floating-point number holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core

if TYPE_CHECKING:
    from evengrad._core import Tensor


def scaled(x: Tensor, axis: Any) -> tuple[Tensor, Tensor]:
    """Return the largest absolute value along dimensions, kept with size 1, and x over it.

    It is 1 where all are zeros, and a constant to slopes.
    """
    largest = x.detach().abs().amax(dim=axis, keepdim=True)
    unit = _core.where(largest == 0.0, 1.0, largest)
    return unit, x / unit


def scaled_norm(x: Tensor, axis: Any = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `scaled` does, and the norm of the shares: ‖x‖ is first · last.

    That norm is 0 where all are zeros, and else between 1 and the root of their number. An `axis`
    of None is all dimensions.
    """
    dimensions = tuple(range(x.ndim)) if axis is None else axis
    unit, shares = scaled(x, dimensions)
    return unit, shares, shares.square().sum(dim=dimensions, keepdim=True).sqrt()
