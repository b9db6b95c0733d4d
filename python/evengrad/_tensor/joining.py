"""Tensors of parts, and parts of tensors, under the names of NumPy, Keras and PyTorch."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_int
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.dimensions import all_of, one_of, part

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import Dims, TensorLike

__all__ = [
    "chunk",
    "concat",
    "concatenate",
    "flip",
    "repeat",
    "split",
    "tril",
    "triu",
]


def concatenate(
    tensors: Iterable[TensorLike], axis: int | None = 0, *, dim: int | None = None
) -> Tensor:
    """Join tensors along a dimension: NumPy's and Keras' name of `cat`.

    Parameters
    ----------
    tensors
        Tensors, or what converts to them, whose other sizes are equal; at least one.
    axis, dim
        The dimension; if None, all elements are joined in row-major order.

    Raises
    ------
    ValueError
        There is no tensor, or the other sizes differ.
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.concatenate([eg.ones(1), [2.0, 3.0]]).tolist()
    [1.0, 2.0, 3.0]
    """
    parts = list(map(as_tensor, tensors))
    along = axis if dim is None else dim
    if along is None:
        return _core.cat([one.reshape(-1) for one in parts], 0)
    return _core.cat(parts, along)


concat = concatenate


def split(
    x: TensorLike,
    indices_or_sections: int | Sequence[int],
    axis: int = 0,
    *,
    dim: int | None = None,
) -> tuple[Tensor, ...]:
    """Cut a tensor into parts along a dimension, as views: NumPy's and Keras' function.

    Parameters
    ----------
    x
        The tensor, of one dimension or more.
    indices_or_sections
        The number of equal parts, or the places at which to cut.
    axis
        The dimension.
    dim
        An error: PyTorch's takes the size of the parts. `chunk` cuts as PyTorch's does.

    Raises
    ------
    IndexError
        There is no such dimension.
    TypeError
        `dim` is given.
    ValueError
        The parts would not be equal.

    Examples
    --------
    >>> [part.tolist() for part in eg.split(eg.arange(6), 3)]
    [[0, 1], [2, 3], [4, 5]]
    >>> [part.tolist() for part in eg.split(eg.arange(6), [1, 4])]
    [[0], [1, 2, 3], [4, 5]]
    """
    if dim is not None:
        raise TypeError(
            "split: expected axis= and the number of parts, or the places of the cuts; got dim=, "
            "with which PyTorch takes the size of parts: take chunk(x, parts, dim)"
        )
    x = as_tensor(x)
    along = one_of("split", x.ndim, axis)
    if isinstance(indices_or_sections, (tuple, list, np.ndarray)):
        cuts: list[Any] = [None, *map(int, indices_or_sections), None]
        return tuple(part(x, along, *pair) for pair in itertools.pairwise(cuts))
    count = check_int(indices_or_sections, "indices_or_sections", at_least=1)
    size, rest = divmod(x.shape[along], count)
    if rest:
        raise ValueError(
            f"split: a dimension of size {x.shape[along]} has no {count} equal parts; give the "
            "places of the cuts in a list, or take chunk"
        )
    return tuple(part(x, along, size * one, size * (one + 1)) for one in range(count))


def chunk(x: TensorLike, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Cut a tensor into parts along a dimension, as views; the last may be smaller, as PyTorch's.

    Parameters
    ----------
    x
        The tensor, of one dimension or more.
    chunks
        The number of parts; there are fewer where the size is.
    dim
        The dimension.

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        No part is asked for.

    Examples
    --------
    >>> [part.tolist() for part in eg.chunk(eg.arange(5), 2)]
    [[0, 1, 2], [3, 4]]
    """
    x = as_tensor(x)
    along = one_of("chunk", x.ndim, dim)
    size = -(-x.shape[along] // check_int(chunks, "chunks", at_least=1))
    starts = range(0, x.shape[along], size) if size else (0,)
    return tuple(part(x, along, start, start + size) for start in starts)


def flip(x: TensorLike, axis: Dims = None, *, dims: Dims = None) -> Tensor:
    """Reverse the order of the elements along dimensions, as a view.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axis, dims
        The dimensions; all if None.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.flip([[1.0, 2.0], [3.0, 4.0]], axis=1).tolist()
    [[2.0, 1.0], [4.0, 3.0]]
    """
    x = as_tensor(x)
    for dim in all_of("flip", x.ndim, axis if dims is None else dims):
        x = part(x, dim, None, None, -1)
    return x


def repeat(x: TensorLike, repeats: int, axis: int | None = None) -> Tensor:
    """Repeat each element along a dimension: NumPy's and Keras' function.

    PyTorch's of that name repeats the whole; it has this as `repeat_interleave`.

    Parameters
    ----------
    x
        The tensor, of any shape.
    repeats
        How often, 0 or more.
    axis
        The dimension; if None, all elements in row-major order.

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        A negative number.

    Examples
    --------
    >>> eg.repeat([1.0, 2.0], 2).tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    x = as_tensor(x)
    count = check_int(repeats, "repeats", at_least=0)
    if axis is None:
        x, axis = x.reshape(-1), 0
    along = one_of("repeat", x.ndim, axis)
    head, size, tail = x.shape[:along], x.shape[along], x.shape[along + 1 :]
    wide = x.unsqueeze(along + 1).expand((*head, size, count, *tail))
    return wide.reshape((*head, size * count, *tail))


def tril(x: TensorLike, k: int = 0) -> Tensor:
    """Return the lower triangle of matrices, and 0 above it.

    Parameters
    ----------
    x
        Shape (..., rows, columns).
    k
        The last diagonal that is kept: 0 the main one, 1 the one above.

    Raises
    ------
    ValueError
        Fewer than two dimensions.

    Examples
    --------
    >>> eg.tril(eg.ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle("tril", x, k, lower=True)


def triu(x: TensorLike, k: int = 0) -> Tensor:
    """Return the upper triangle of matrices, and 0 below it.

    Parameters
    ----------
    x
        Shape (..., rows, columns).
    k
        The first diagonal that is kept: 0 the main one, 1 the one above.

    Raises
    ------
    ValueError
        Fewer than two dimensions.

    Examples
    --------
    >>> eg.triu(eg.ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle("triu", x, k, lower=False)


def _triangle(name: str, given: TensorLike, k: int, *, lower: bool) -> Tensor:
    x = as_tensor(given)
    if x.ndim < 2:
        raise ValueError(f"{name}: expected shape (..., rows, columns), got {x.shape}")
    inside = np.tri(x.shape[-2], x.shape[-1], k if lower else k - 1, dtype=bool)
    return _core.where(inside if lower else ~inside, x, 0.0)
