"""Sums, means, products and truths over dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.checks import FLOATS
from evengrad._core import Tensor
from evengrad._tensor.conversion import as_float, as_tensor
from evengrad._tensor.dimensions import all_of, over_dimensions, part, spelled

if TYPE_CHECKING:
    from evengrad._tensor.conversion import Dims, TensorLike

__all__ = [
    "all",
    "any",
    "logsumexp",
    "mean",
    "prod",
    "sum",
]

# The native ones, which these take the place of as methods. What `fit` calls in each step takes the
# native one itself.
native_sum, _mean, _logsumexp = Tensor.sum, Tensor.mean, Tensor.logsumexp


@over_dimensions
def sum(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Sum over dimensions: Σ x.

    {dimensions}

    Returns
    -------
    Tensor
        In the dtype of `x`; of truths and integers as ``int64``, exact below 2⁵³.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> eg.sum(x, axis=0).tolist(), (x > 1.5).sum().item()
    ([4.0, 6.0], 3)
    """
    if axis is not None or keepdims is not None:
        dim, keepdim = spelled("sum", dim, keepdim, axis, keepdims)
    x = x if type(x) is Tensor else as_tensor(x)
    if x.dtype in FLOATS:
        return native_sum(x, dim, keepdim)
    return native_sum(x.astype("float64"), dim, keepdim).astype("int64")


@over_dimensions
def mean(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Average over dimensions: Σ x / n; NaN over no elements.

    {dimensions}

    Returns
    -------
    Tensor
        In the dtype of `x`; of truths and integers in the default dtype.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> eg.mean(x, axis=1, keepdims=True).tolist(), (x > 1.5).mean().item()
    ([[1.5], [3.5]], 0.75)
    """
    if axis is not None or keepdims is not None:
        dim, keepdim = spelled("mean", dim, keepdim, axis, keepdims)
    return _mean(as_float(x), dim, keepdim)


@over_dimensions
def logsumexp(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return ln Σ eˣ over dimensions, without overflow; -inf over no elements.

    {dimensions}

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> round(eg.logsumexp([1000.0, 1000.0]).item(), 3)
    1000.693
    """
    dim, keepdim = spelled("logsumexp", dim, keepdim, axis, keepdims)
    return _logsumexp(as_float(x), dim, keepdim)


@over_dimensions
def prod(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Multiply over dimensions: Π x; 1 over no elements. Zeros have right gradients, too.

    {dimensions}

    Returns
    -------
    Tensor
        In the dtype of `x`; of truths and integers as ``int64``, exact below 2⁵³.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.prod([[1.0, 2.0], [3.0, 4.0]], axis=0).tolist()
    [3.0, 8.0]
    """
    dim, keepdim = spelled("prod", dim, keepdim, axis, keepdims)
    given = as_tensor(x)
    dims = all_of("prod", given.ndim, dim)
    found = given if given.dtype in FLOATS else given.astype("float64")
    for one in dims:
        found = _product(found, one)
    if not keepdim:
        left = [size for place, size in enumerate(found.shape) if place not in dims]
        found = found.reshape(tuple(left))
    return found if given.dtype in FLOATS else found.astype("int64")


def _product(x: Tensor, dim: int) -> Tensor:
    """Return the products along a dimension, which is left with size 1."""
    if not x.shape[dim]:
        return _core.ones((*x.shape[:dim], 1, *x.shape[dim + 1 :]), dtype=x.dtype)
    while (size := x.shape[dim]) > 1:
        half = size // 2
        pairs = part(x, dim, 0, half) * part(x, dim, half, 2 * half)
        x = pairs if size % 2 == 0 else _core.cat([pairs, part(x, dim, 2 * half, None)], dim)
    return x


@over_dimensions
def any(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Tell where any element over dimensions is true: anything but zero is.

    {dimensions}

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.any(eg.tensor([[0.0, 2.0], [0.0, 0.0]]), axis=1).tolist()
    [True, False]
    """
    dim, keepdim = spelled("any", dim, keepdim, axis, keepdims)
    return native_sum(_truths(x), dim, keepdim) > 0.0


@over_dimensions
def all(
    x: TensorLike,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Tell where all elements over dimensions are true: anything but zero is.

    {dimensions}

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.all(eg.tensor([[1.0, 2.0], [0.0, 3.0]]), axis=1).tolist()
    [True, False]
    """
    dim, keepdim = spelled("all", dim, keepdim, axis, keepdims)
    found: Tensor = native_sum(1.0 - _truths(x), dim, keepdim) == 0.0
    return found


def _truths(x: TensorLike) -> Tensor:
    """Return 1 for what is true and 0 for what is not; their sums are exact below 2⁵³."""
    return as_tensor(x).detach().astype("bool").astype("float64")
