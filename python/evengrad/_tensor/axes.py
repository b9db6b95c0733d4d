"""Functions of several dimensions of a tensor together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_int

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evengrad._core import Tensor


def counted_from_left(axes: Sequence[int], ndim: int) -> list[int]:
    """Return dimensions counted from the left, in order, each once."""
    return sorted({axis % ndim for axis in axes})


def check_axes(axis: Any, *, rows: bool = False) -> list[int]:
    """Return one dimension or several as a list; the first one, the rows, only where it may be."""
    given = axis if isinstance(axis, (tuple, list)) else [axis]
    axes = [check_int(one, "axis", at_least=-8) for one in given]
    if not axes:
        raise ValueError("axis: expected at least one dimension, got none")
    if not rows and 0 in axes:
        raise ValueError("axis: expected any dimension but 0, the rows, got 0")
    return axes


def over_axes(x: Tensor, axes: Sequence[int], function: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a function of the last dimension for several dimensions, taken as one."""
    ndim = x.ndim
    chosen = counted_from_left(axes, ndim)
    if chosen == [ndim - 1]:
        return function(x)
    others = [axis for axis in range(ndim) if axis not in chosen]
    order = others + chosen
    moved = x.permute(*order)
    sizes = tuple(moved.shape)
    width = math.prod(sizes[len(others) :])
    result = function(moved.reshape(*sizes[: len(others)], width)).reshape(*sizes)
    return result.permute(*[order.index(axis) for axis in range(ndim)])
