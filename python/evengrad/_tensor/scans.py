"""What goes along a dimension: running sums, orders, elements by their places."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad._common.checks import FLOATS
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.dimensions import one_of, part, spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike

__all__ = ["argsort", "cumprod", "cumsum", "gather", "sort", "take_along_axis"]


def cumsum(x: TensorLike, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """Return running sums along a dimension: yₖ = x₁ + … + xₖ.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dim, axis
        The dimension; all elements in row-major order if None.

    Returns
    -------
    Tensor
        As `x` in shape and dtype, truths as ``int64``; of integers exact below 2⁵³.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.cumsum([[1.0, 2.0], [3.0, 4.0]], axis=1).tolist()
    [[1.0, 3.0], [3.0, 7.0]]
    """
    return _running("cumsum", x, spelled("cumsum", dim, False, axis, None)[0], operator.add)


def cumprod(x: TensorLike, dim: int | None = None, *, axis: int | None = None) -> Tensor:
    """Return running products along a dimension: yₖ = x₁ · … · xₖ. Zeros have right gradients, too.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dim, axis
        The dimension; all elements in row-major order if None.

    Returns
    -------
    Tensor
        As `x` in shape and dtype, truths as ``int64``; of integers exact below 2⁵³.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.cumprod([2.0, 3.0, 4.0]).tolist()
    [2.0, 6.0, 24.0]
    """
    return _running("cumprod", x, spelled("cumprod", dim, False, axis, None)[0], operator.mul)


def _running(
    name: str, given: TensorLike, dim: object, join: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return running results, in as many operations as doubling the reach of each takes."""
    x = as_tensor(given)
    kind = x.dtype
    x = x if kind in FLOATS else x.astype("float64")
    if dim is None:
        x, dim = x.reshape(-1), 0
    along, reach = one_of(name, x.ndim, dim), 1
    while reach < x.shape[along]:
        joined = join(part(x, along, reach, None), part(x, along, None, -reach))
        x = _core.cat([part(x, along, None, reach), joined], along)
        reach *= 2
    return x if kind in FLOATS else x.astype("int64")


def argsort(
    x: TensorLike, axis: int | None = -1, descending: bool = False, *, dim: int | None = None
) -> Tensor:
    """Return the places of the elements along a dimension in the order of their values.

    Equal ones keep their order. NaN counts as the largest. The order is found by NumPy, outside of
    captured steps.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axis, dim
        The dimension; all elements in row-major order if None.
    descending
        Whether the largest comes first.

    Returns
    -------
    Tensor
        As `x` in shape, ``int64``.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.argsort([3.0, 1.0, 2.0]).tolist(), eg.argsort([3.0, 1.0, 2.0], descending=True).tolist()
    ([1, 2, 0], [0, 2, 1])
    """
    tensor = as_tensor(x)
    axis = axis if dim is None else dim
    if axis is None:
        tensor, axis = tensor.reshape(-1), 0
    along = one_of("argsort", tensor.ndim, axis)
    values = tensor.detach().numpy()
    if not descending:
        return _core.tensor(np.argsort(values, along, kind="stable"))
    # From behind, so that equal ones keep their order.
    places = np.argsort(np.flip(values, along), along, kind="stable")
    return _core.tensor(np.flip(values.shape[along] - 1 - places, along))


def sort(
    x: TensorLike, axis: int | None = -1, descending: bool = False, *, dim: int | None = None
) -> Tensor:
    """Return the elements along a dimension in the order of their values.

    NumPy's function, which returns values alone; `argsort` has their places. NaN counts as the
    largest. The order is found by NumPy, outside of captured steps.

    Parameters
    ----------
    x
        The tensor, of any shape.
    axis, dim
        The dimension; all elements in row-major order if None.
    descending
        Whether the largest comes first.

    Returns
    -------
    Tensor
        As `x` in dtype, and in shape where `axis` is not None.

    Raises
    ------
    IndexError
        There is no such dimension.

    Examples
    --------
    >>> eg.sort([3.0, 1.0, 2.0]).tolist(), eg.sort([3.0, 1.0, 2.0], descending=True).tolist()
    ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    """
    tensor = as_tensor(x)
    axis = axis if dim is None else dim
    if axis is None:
        tensor, axis = tensor.reshape(-1), 0
    return gather(tensor, axis, argsort(tensor, axis, descending))


def gather(x: TensorLike, dim: int, index: TensorLike) -> Tensor:
    """Return elements along a dimension by their places: yᵢⱼ = xᵢₖ, k = indexᵢⱼ, along the last.

    PyTorch's function. `take_along_axis` has NumPy's order of arguments, and broadcasts.

    Parameters
    ----------
    x
        The tensor, of any shape.
    dim
        The dimension along which elements are taken.
    index
        Integers, with as many dimensions as `x`, in which the others are no larger; negative ones
        count from the end.

    Returns
    -------
    Tensor
        In the shape of `index`.

    Raises
    ------
    IndexError
        There is no such dimension, or no such element.
    ValueError
        The shapes do not fit together.
    TypeError
        Places that are no integers.

    Examples
    --------
    >>> x = eg.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> eg.gather(x, 1, [[1], [0]]).tolist()
    [[2.0], [3.0]]
    """
    tensor, places = as_tensor(x), as_tensor(index)
    along = one_of("gather", tensor.ndim, dim)
    others = [
        size <= whole
        for number, (size, whole) in enumerate(zip(places.shape, tensor.shape, strict=False))
        if number != along
    ]
    if places.ndim != tensor.ndim or not all(others):
        raise ValueError(
            f"index: expected {tensor.ndim} dimensions within {tensor.shape} but for dimension "
            f"{along}, got shape {places.shape}"
        )
    check_places("index", places, tensor.shape[along])
    grid = np.indices(places.shape, sparse=True)
    steps = np.cumprod([1, *tensor.shape[:0:-1]])[::-1]
    around = sum(
        (grid[d] * steps[d] for d in range(tensor.ndim) if d != along), np.zeros((), np.int64)
    )
    rest = np.broadcast_to(around, places.shape).astype(np.float64)
    row = positions(places, tensor.shape[along], float(steps[along]), tensor.size)
    return _core.take(tensor.reshape(-1), (row + rest).astype("int64"))


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = -1) -> Tensor:
    """Return elements along a dimension by their places, as NumPy's function of that name does.

    Parameters
    ----------
    x
        The tensor, of any shape.
    indices
        Integers, with as many dimensions as `x`, whose other sizes broadcast with those of `x`;
        negative ones count from the end.
    axis
        The dimension along which elements are taken; if None, among all in row-major order.

    Returns
    -------
    Tensor
        In the shape of `indices`, broadcast.

    Raises
    ------
    IndexError
        There is no such dimension, or no such element.
    ValueError
        The shapes do not fit together.
    TypeError
        Places that are no integers.

    Examples
    --------
    >>> x = eg.tensor([[3.0, 1.0], [2.0, 4.0]])
    >>> eg.take_along_axis(x, x.argsort(axis=1), axis=1).tolist()
    [[1.0, 3.0], [2.0, 4.0]]
    """
    tensor, places = as_tensor(x), as_tensor(indices)
    if axis is None:
        tensor, axis = tensor.reshape(-1), 0
    along = one_of("take_along_axis", tensor.ndim, axis)
    if places.ndim != tensor.ndim:
        raise ValueError(
            f"indices: expected {tensor.ndim} dimensions as x has, got shape {places.shape}"
        )

    def but(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
        return (*shape[:along], size, *shape[along + 1 :])

    around = np.broadcast_shapes(but(tensor.shape, 1), but(places.shape, 1))
    tensor = tensor.expand(but(around, tensor.shape[along]))
    return gather(tensor, along, places.expand(but(around, places.shape[along])))


def check_places(argument: str, places: Tensor, size: int) -> None:
    """Raise an error for places that are none; what a captured step takes is checked as it runs."""
    if places.dtype != "int64":
        raise TypeError(f"{argument}: expected integers, got {places.dtype}")
    if _core.is_capturing() or not places.size:
        return
    found = places.numpy()
    if found.min() < -size or found.max() >= size:
        worst = found.min() if found.min() < -size else found.max()
        raise IndexError(f"{argument}: {worst} is out of range for a dimension of size {size}")


def positions(places: Tensor, size: int, step: float, nowhere: int) -> Tensor:
    """Return how far places lie from the beginning, as numbers with a fraction, exact below 2⁵³.

    What lies outside comes to `nowhere`, so that it is refused where elements are taken.
    """
    number = places.astype("float64")
    number = _core.where(number < 0.0, number + float(size), number)
    inside = _core.where(number < 0.0, float(nowhere), number * step)
    return _core.where(number >= float(size), float(nowhere), inside)
