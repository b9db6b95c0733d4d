"""Other shapes of tensors, under the names of NumPy, Keras and PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.dimensions import all_of, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import Dims, TensorLike

__all__ = [
    "broadcast_to",
    "expand_dims",
    "flatten",
    "moveaxis",
    "permute",
    "reshape",
    "squeeze",
    "swapaxes",
    "transpose",
    "unsqueeze",
]


def reshape(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """Return the same elements, in row-major order, with other sizes; a view where that serves.

    Parameters
    ----------
    x
        The tensor, of any shape.
    shape
        The sizes; one may be -1 and follows from the others.

    Raises
    ------
    ValueError
        The sizes do not have as many elements.

    Examples
    --------
    >>> eg.reshape([1.0, 2.0, 3.0, 4.0], (2, -1)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return as_tensor(x).reshape(shape)


def view(x: Tensor, *shape: int | Sequence[int]) -> Tensor:
    """Return the same elements with other sizes: PyTorch's name of `reshape`.

    Unlike PyTorch's it makes a copy where no view is possible.

    Parameters
    ----------
    x
        The tensor, of any shape.
    *shape
        The sizes, one by one or together; one may be -1 and follows from the others.

    Raises
    ------
    ValueError
        The sizes do not have as many elements.
    TypeError
        A dtype, of which NumPy's `view` makes other numbers; `astype` converts.

    Examples
    --------
    >>> eg.tensor([1.0, 2.0, 3.0, 4.0]).view(2, -1).shape
    (2, 2)
    """
    if any(isinstance(size, (str, type, np.dtype)) for size in shape):
        raise TypeError(f"view: expected sizes, got {shape[0]!r}; convert with .astype(dtype)")
    return x.reshape(*shape)


def flatten(x: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge dimensions, from one to another, into one.

    Parameters
    ----------
    x
        The tensor, of any shape.
    start_dim, end_dim
        The first and the last of them; negative ones count from the end.

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        The last one comes before the first.

    Examples
    --------
    >>> eg.flatten(eg.zeros((2, 3, 4)), 1).shape, eg.flatten(eg.zeros((2, 3, 4)), 0, 1).shape
    ((2, 12), (6, 4))
    """
    x = as_tensor(x)
    if not x.ndim:
        return x.reshape(1)
    first, last = one_of("flatten", x.ndim, start_dim), one_of("flatten", x.ndim, end_dim)
    if last < first:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    merged = int(np.prod(x.shape[first : last + 1], dtype=np.int64))
    return x.reshape((*x.shape[:first], merged, *x.shape[last + 1 :]))


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Return the dimensions in another order, as a view: NumPy's and Keras' function.

    The method `Tensor.transpose` is PyTorch's, which exchanges two; here that is `swapaxes`.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axes
        The new order; reversed if None.

    Raises
    ------
    ValueError
        `axes` does not name each dimension once.

    Examples
    --------
    >>> eg.transpose(eg.zeros((2, 3, 4))).shape, eg.transpose(eg.zeros((2, 3, 4)), (0, 2, 1)).shape
    ((4, 3, 2), (2, 4, 3))
    """
    x = as_tensor(x)
    return x.permute(tuple(axes) if axes is not None else tuple(range(x.ndim))[::-1])


def permute(x: TensorLike, dims: Sequence[int]) -> Tensor:
    """Return the dimensions in another order, as a view: PyTorch's function.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dims
        The new order.

    Raises
    ------
    ValueError
        `dims` does not name each dimension once.

    Examples
    --------
    >>> eg.permute(eg.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """
    return as_tensor(x).permute(tuple(dims))


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Exchange two dimensions, as a view.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axis1, axis2
        The dimensions.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.swapaxes(eg.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    return as_tensor(x).transpose(axis1, axis2)


def moveaxis(x: TensorLike, source: int, destination: int) -> Tensor:
    """Move a dimension to another place, as a view; the others keep their order.

    Parameters
    ----------
    x
        The tensor, of any shape.
    source, destination
        Where it is, and where it goes.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.moveaxis(eg.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = as_tensor(x)
    start, end = one_of("moveaxis", x.ndim, source), one_of("moveaxis", x.ndim, destination)
    order = [place for place in range(x.ndim) if place != start]
    order.insert(end, start)
    return x.permute(tuple(order))


def squeeze(x: TensorLike, dim: Dims = None, *, axis: Dims = None) -> Tensor:
    """Drop a dimension of size 1, several, or all of them, as a view; one of another size stays.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dim, axis
        The dimensions; all of size 1 if None.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.squeeze(eg.zeros((1, 3, 1))).shape, eg.squeeze(eg.zeros((1, 3, 1)), axis=0).shape
    ((3,), (3, 1))
    """
    x = as_tensor(x)
    dims = all_of("squeeze", x.ndim, dim if axis is None else axis)
    left = [size for place, size in enumerate(x.shape) if size != 1 or place not in dims]
    return x.reshape(tuple(left))


def unsqueeze(x: TensorLike, dim: int) -> Tensor:
    """Insert a dimension of size 1, as a view: PyTorch's name of `expand_dims`.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dim
        Its place; a negative one counts from the new end.

    Raises
    ------
    IndexError
        There is no such place.

    Examples
    --------
    >>> eg.unsqueeze([1.0, 2.0], 1).shape
    (2, 1)
    """
    return as_tensor(x).unsqueeze(dim)


def expand_dims(x: TensorLike, axis: Dims) -> Tensor:
    """Insert dimensions of size 1, as a view.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axis
        Their places in the result, one or several; negative ones count from the new end.

    Raises
    ------
    IndexError
        There is no such place.

    Examples
    --------
    >>> eg.expand_dims([1.0, 2.0], 0).shape, eg.expand_dims([1.0, 2.0], (0, -1)).shape
    ((1, 2), (1, 2, 1))
    """
    x = as_tensor(x)
    places = axis if isinstance(axis, (tuple, list)) else (axis,)
    whole = all_of("expand_dims", x.ndim + len(places), places)
    for place in sorted(whole):
        x = x.unsqueeze(place)
    return x


def broadcast_to(x: TensorLike, shape: int | Sequence[int]) -> Tensor:
    """Repeat dimensions of size 1, and new ones in front, as a view.

    Parameters
    ----------
    x
        The tensor, whose shape broadcasts to the new one.
    shape
        The sizes.

    Raises
    ------
    ValueError
        The shape does not broadcast to the new one.

    Examples
    --------
    >>> eg.broadcast_to([1.0, 2.0], (2, 2)).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """
    return as_tensor(x).expand(shape)
