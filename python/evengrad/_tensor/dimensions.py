"""Dimensions that functions of tensors take, under the names of PyTorch and of NumPy."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import Dims

Function = TypeVar("Function", bound="Callable[..., Any]")
# What stands for it in docstrings, and what it stands for.
SHARED = "{dimensions}"
TEXT = """Parameters
    ----------
    x
        The tensor, of any shape.
    dim
        The dimension, or several; all if None.
    keepdim
        Whether reduced dimensions are kept, with size 1.
    axis, keepdims
        NumPy's and Keras' names of `dim` and `keepdim`."""


def over_dimensions(function: Function) -> Function:
    """Have the documentation of a function tell what dimensions are."""
    if function.__doc__ is not None:
        function.__doc__ = function.__doc__.replace(SHARED, TEXT)
    return function


def spelled(
    function: str, dim: Dims, keepdim: bool, axis: Dims, keepdims: bool | None
) -> tuple[Dims, bool]:
    """Return dimensions and whether they are kept, under whichever of their names they came."""
    if dim is not None and axis is not None:
        raise TypeError(f"{function}: dim and axis are one argument, got both")
    return (dim if axis is None else axis), (keepdim if keepdims is None else keepdims)


def one_of(function: str, ndim: int, dim: Any) -> int:
    """Return a dimension counted from the front, or raise an error."""
    try:
        number = operator.index(dim)
    except TypeError:
        raise TypeError(f"{function}: expected a dimension, an integer, got {dim!r}") from None
    if not -ndim <= number < ndim:
        raise IndexError(
            f"{function}: dim {number} is out of range for a tensor with {ndim} dimensions"
        )
    return number % ndim


def all_of(function: str, ndim: int, dims: Dims) -> tuple[int, ...]:
    """Return dimensions counted from the front, in their order; all where they are None."""
    if dims is None:
        return tuple(range(ndim))
    several = dims if isinstance(dims, (tuple, list)) else (dims,)
    return tuple(one_of(function, ndim, dim) for dim in several)


def part(x: Tensor, dim: int, start: int | None, stop: int | None, step: int = 1) -> Tensor:
    """Return a slice of one dimension, as a view."""
    return x[(slice(None),) * dim + (slice(start, stop, step),)]
