"""The largest and the smallest elements over dimensions, and their places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._common.checks import FLOATS
from evengrad._core import Tensor
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.dimensions import over_dimensions, spelled

if TYPE_CHECKING:
    from evengrad._tensor.conversion import Dims, TensorLike

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "max",
    "min",
]

# The native ones, which these take the place of as methods.
_amax, _amin, _argmax = Tensor.amax, Tensor.amin, Tensor.argmax


@over_dimensions
def amax(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return the largest element over dimensions; equal ones share the gradient, NaN wins.

    {dimensions}

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        There is nothing to choose from.

    Examples
    --------
    >>> eg.amax([[1.0, 2.0], [4.0, 3.0]], 1).tolist()
    [2.0, 4.0]
    """
    dim, keepdim = spelled("amax", dim, keepdim, axis, keepdims)
    x = as_tensor(x)
    if x.dtype in FLOATS:
        return _amax(x, dim, keepdim)
    return _amax(x.astype("float64"), dim, keepdim).astype(x.dtype)


@over_dimensions
def amin(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return the smallest element over dimensions; equal ones share the gradient, NaN wins.

    {dimensions}

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        There is nothing to choose from.

    Examples
    --------
    >>> eg.amin([[1.0, 2.0], [4.0, 3.0]], 1).tolist()
    [1.0, 3.0]
    """
    dim, keepdim = spelled("amin", dim, keepdim, axis, keepdims)
    x = as_tensor(x)
    if x.dtype in FLOATS:
        return _amin(x, dim, keepdim)
    return _amin(x.astype("float64"), dim, keepdim).astype(x.dtype)


def max(x: TensorLike, axis: Dims = None, keepdims: bool = False, *, dim: Dims = None) -> Tensor:
    """Return the largest element over dimensions, as NumPy's and Keras' functions of that name do.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axis
        The dimension, or several; all if None.
    keepdims
        Whether reduced dimensions are kept, with size 1.
    dim
        An error: PyTorch's returns places, too. `amax` and `argmax` do one each.

    Raises
    ------
    TypeError
        `dim` is given, or a second tensor, for which there is `maximum`.

    Examples
    --------
    >>> eg.max([[1.0, 2.0], [4.0, 3.0]], axis=0).tolist()
    [4.0, 3.0]
    """
    _check_extreme("max", axis, dim)
    return amax(x, axis, keepdims)


def min(x: TensorLike, axis: Dims = None, keepdims: bool = False, *, dim: Dims = None) -> Tensor:
    """Return the smallest element over dimensions, as NumPy's and Keras' functions of that name do.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axis
        The dimension, or several; all if None.
    keepdims
        Whether reduced dimensions are kept, with size 1.
    dim
        An error: PyTorch's returns places, too. `amin` and `argmin` do one each.

    Raises
    ------
    TypeError
        `dim` is given, or a second tensor, for which there is `minimum`.

    Examples
    --------
    >>> eg.min([[1.0, 2.0], [4.0, 3.0]], axis=0).tolist()
    [1.0, 2.0]
    """
    _check_extreme("min", axis, dim)
    return amin(x, axis, keepdims)


def _check_extreme(name: str, axis: Dims, dim: Dims) -> None:
    if dim is not None:
        raise TypeError(
            f"{name}: expected axis=, got dim=, with which PyTorch returns values and places; "
            f"take a{name}(dim) for the values and arg{name}(dim) for the places"
        )
    if isinstance(axis, Tensor):
        raise TypeError(f"{name}: expected an axis, got a tensor; take eg.{name}imum(x, y) for two")


@over_dimensions
def argmax(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return the position of the first largest element, as ``int64``; NaN counts as the largest.

    Over several dimensions positions are counted in their row-major order. Not differentiable.

    {dimensions}

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        There is nothing to choose from.

    Examples
    --------
    >>> eg.argmax([[1.0, 2.0], [4.0, 3.0]], 1).tolist()
    [1, 0]
    """
    dim, keepdim = spelled("argmax", dim, keepdim, axis, keepdims)
    x = as_tensor(x)
    return _argmax(x if x.dtype in FLOATS else x.astype("float64"), dim, keepdim)


@over_dimensions
def argmin(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return the position of the first smallest element, as ``int64``; NaN counts as the smallest.

    Over several dimensions positions are counted in their row-major order. Not differentiable.

    {dimensions}

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        There is nothing to choose from.

    Examples
    --------
    >>> eg.argmin([[1.0, 2.0], [4.0, 3.0]], 1).tolist()
    [0, 1]
    """
    dim, keepdim = spelled("argmin", dim, keepdim, axis, keepdims)
    x = as_tensor(x).detach()
    return _argmax(-(x if x.dtype in FLOATS else x.astype("float64")), dim, keepdim)
