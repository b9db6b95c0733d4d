"""Truths of elements, and how truths are joined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._tensor.conversion import as_float, as_tensor

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike

__all__ = [
    "isfinite",
    "isinf",
    "isnan",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
]


def isnan(x: TensorLike) -> Tensor:
    """Tell where elements are NaN.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.isnan([1.0, float("nan")]).tolist()
    [False, True]
    """
    found: Tensor = as_tensor(x) != as_tensor(x)
    return found


def isinf(x: TensorLike) -> Tensor:
    """Tell where elements are infinite.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.isinf([1.0, float("-inf")]).tolist()
    [False, True]
    """
    found: Tensor = as_float(x).detach().abs() == math.inf
    return found


def isfinite(x: TensorLike) -> Tensor:
    """Tell where elements are neither NaN nor infinite.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.isfinite([1.0, float("nan"), float("inf")]).tolist()
    [True, False, False]
    """
    return as_float(x).detach().abs() < math.inf


def logical_and(x: TensorLike, y: TensorLike) -> Tensor:
    """Tell where both elements are true: anything but zero is.

    Parameters
    ----------
    x, y
        Tensors that broadcast.

    Raises
    ------
    ValueError
        The shapes do not broadcast.

    Examples
    --------
    >>> eg.logical_and([True, True], [True, False]).tolist()
    [True, False]
    """
    return (_truth(x) * _truth(y)).astype("bool")


def logical_or(x: TensorLike, y: TensorLike) -> Tensor:
    """Tell where one element or both are true: anything but zero is.

    Parameters
    ----------
    x, y
        Tensors that broadcast.

    Raises
    ------
    ValueError
        The shapes do not broadcast.

    Examples
    --------
    >>> eg.logical_or([True, False], [False, False]).tolist()
    [True, False]
    """
    return _core.maximum(_truth(x), _truth(y)).astype("bool")


def logical_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """Tell where one of two elements is true, and not both: anything but zero is.

    Parameters
    ----------
    x, y
        Tensors that broadcast.

    Raises
    ------
    ValueError
        The shapes do not broadcast.

    Examples
    --------
    >>> eg.logical_xor([True, True], [True, False]).tolist()
    [False, True]
    """
    found: Tensor = _truth(x) != _truth(y)
    return found


def logical_not(x: TensorLike) -> Tensor:
    """Tell where elements are not true: zero.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.logical_not([True, False]).tolist()
    [False, True]
    """
    found: Tensor = _truth(x) == 0.0
    return found


def _truth(x: TensorLike) -> Tensor:
    return as_tensor(x).detach().astype("bool").astype("float32")
