"""Tensors of random numbers, of grids, and in the shape of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_dtype, check_int
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.random import generator, next_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import DType, TensorLike

__all__ = [
    "eye",
    "full_like",
    "linspace",
    "ones_like",
    "rand",
    "randint",
    "randn",
    "randperm",
    "zeros_like",
]


def rand(
    *shape: int | Sequence[int], dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return numbers drawn evenly from [0, 1), from the stream of `utils.set_random_seed`.

    Parameters
    ----------
    *shape
        The sizes, one by one or together.
    dtype
        ``"float32"`` or ``"float64"``; the default dtype if None.
    requires_grad
        Whether gradients are computed for it.

    Raises
    ------
    ValueError
        A negative size, or an unknown dtype.

    Examples
    --------
    >>> x = eg.rand(2, 3)
    >>> x.shape, bool(((x >= 0.0) & (x < 1.0)).all())
    ((2, 3), True)
    """
    drawn = generator(next_seed(), "rand").uniform(_sizes(shape), 0.0, 1.0, _float(dtype))
    drawn.requires_grad = requires_grad
    return drawn


def randn(
    *shape: int | Sequence[int], dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return numbers drawn from N(0, 1), from the stream of `utils.set_random_seed`.

    Parameters
    ----------
    *shape
        The sizes, one by one or together.
    dtype
        ``"float32"`` or ``"float64"``; the default dtype if None.
    requires_grad
        Whether gradients are computed for it.

    Raises
    ------
    ValueError
        A negative size, or an unknown dtype.

    Examples
    --------
    >>> eg.randn(2, 3).shape, eg.randn((2, 3)).shape
    ((2, 3), (2, 3))
    """
    drawn = generator(next_seed(), "randn").normal(_sizes(shape), 0.0, 1.0, _float(dtype))
    drawn.requires_grad = requires_grad
    return drawn


def randint(low: int, high: int | None = None, size: int | Sequence[int] = ()) -> Tensor:
    """Return integers drawn evenly from [low, high), from the stream of `utils.set_random_seed`.

    Parameters
    ----------
    low, high
        The bounds, the upper one excluded, less than 2³² apart; with one of them, from 0 to it.
    size
        The shape.

    Raises
    ------
    ValueError
        Nothing lies between the bounds, or too much.

    Examples
    --------
    >>> x = eg.randint(0, 10, (4,))
    >>> x.dtype, bool(((x >= 0) & (x < 10)).all())
    ('int64', True)
    """
    first, end = (0, low) if high is None else (low, high)
    if not 0 < end - first < 2**32:
        raise ValueError(
            f"randint: expected bounds within [1, 2**32) of each other, got {low}, {high}"
        )
    drawn = generator(next_seed(), "randint").uniform(size, 0.0, 1.0, "float64")
    # Cut off towards zero, from 0 on, so that each has its share.
    whole = (drawn * float(end - first)).astype("int64")
    return (whole.astype("float64") + float(first)).astype("int64")


def randperm(n: int) -> Tensor:
    """Return the numbers from 0 to n − 1 in random order, from the stream of `set_random_seed`.

    Parameters
    ----------
    n
        How many.

    Raises
    ------
    ValueError
        A negative number.

    Examples
    --------
    >>> sorted(eg.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    count = check_int(n, "n", at_least=0)
    return _core.tensor(generator(next_seed(), "randperm").permutation(count))


def linspace(
    start: float,
    stop: float,
    num: int = 50,
    endpoint: bool = True,
    dtype: DType | None = None,
    *,
    steps: int | None = None,
) -> Tensor:
    """Return numbers at equal distances.

    Parameters
    ----------
    start, stop
        The first number, and the last, or with ``endpoint=False`` the one that would come next.
    num, steps
        How many; `steps` is PyTorch's name.
    endpoint
        Whether `stop` is one of them.
    dtype
        ``"float32"`` or ``"float64"``; the default dtype if None.

    Raises
    ------
    ValueError
        A negative number of them, or an unknown dtype.

    Examples
    --------
    >>> eg.linspace(0.0, 1.0, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    count = check_int(num if steps is None else steps, "num", at_least=0)
    values = np.linspace(start, stop, count, endpoint=endpoint)
    return _core.tensor(values, dtype=_float(dtype))


def eye(n: int, m: int | None = None, dtype: DType | None = None) -> Tensor:
    """Return a matrix of ones on the diagonal and zeros elsewhere.

    Parameters
    ----------
    n, m
        Rows and columns; as many columns as rows if None.
    dtype
        One of the four dtypes; the default dtype if None.

    Raises
    ------
    ValueError
        A negative number, or an unknown dtype.

    Examples
    --------
    >>> eg.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    rows = check_int(n, "n", at_least=0)
    columns = rows if m is None else check_int(m, "m", at_least=0)
    return _core.tensor(np.eye(rows, columns), dtype=dtype or _core.get_default_dtype())


def zeros_like(x: TensorLike, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return zeros in the shape of a tensor.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dtype
        The dtype; that of `x` if None.
    requires_grad
        Whether gradients are computed for it.

    Examples
    --------
    >>> eg.zeros_like(eg.ones((2, 2))).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    return full_like(x, 0, dtype, requires_grad)


def ones_like(x: TensorLike, dtype: DType | None = None, requires_grad: bool = False) -> Tensor:
    """Return ones in the shape of a tensor.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dtype
        The dtype; that of `x` if None.
    requires_grad
        Whether gradients are computed for it.

    Examples
    --------
    >>> eg.ones_like(eg.zeros(2)).tolist()
    [1.0, 1.0]
    """
    return full_like(x, 1, dtype, requires_grad)


def full_like(
    x: TensorLike, fill_value: float, dtype: DType | None = None, requires_grad: bool = False
) -> Tensor:
    """Return one number, everywhere in the shape of a tensor.

    Parameters
    ----------
    x
        The tensor, of any shape.
    fill_value
        The number.
    dtype
        The dtype; that of `x` if None.
    requires_grad
        Whether gradients are computed for it.

    Examples
    --------
    >>> eg.full_like(eg.zeros(2), 0.5).tolist()
    [0.5, 0.5]
    """
    like = as_tensor(x)
    return _core.full(like.shape, fill_value, dtype or like.dtype, requires_grad)


def _float(dtype: Any) -> str:
    return _core.get_default_dtype() if dtype is None else check_dtype(dtype)


def _sizes(shape: tuple[Any, ...]) -> Any:
    """Return sizes that came one by one, or together."""
    return shape[0] if len(shape) == 1 else shape
