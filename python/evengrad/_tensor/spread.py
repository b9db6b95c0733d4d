"""Variances, standard deviations and norms over dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._core import Tensor
from evengrad._tensor.conversion import as_float
from evengrad._tensor.dimensions import over_dimensions, spelled

if TYPE_CHECKING:
    from evengrad._tensor.conversion import Dims, TensorLike

__all__ = ["norm", "std", "var"]

# The native one, which this takes the place of as a method.
_var = Tensor.var


@over_dimensions
def var(
    x: TensorLike,
    dim: Dims = None,
    correction: float = 1.0,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    ddof: float | None = None,
    unbiased: bool | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return the variance over dimensions: Σ (x − mean)² / (n − correction).

    {dimensions}
    correction, ddof
        1, PyTorch's default, for the unbiased estimate of a sample's population; 0, the default of
        NumPy and Keras, for the sample's own variance. `ddof` is NumPy's name.
    unbiased
        PyTorch's older name: True for 1, False for 0.

    Raises
    ------
    IndexError
        There is no such dimension.
    TypeError
        One argument is given under two names.

    Examples
    --------
    >>> eg.var([1.0, 2.0, 3.0]).item(), eg.var([1.0, 3.0], ddof=0).item()
    (1.0, 1.0)
    """
    dim, keepdim = spelled("var", dim, keepdim, axis, keepdims)
    return _var(as_float(x), dim, _corrected("var", correction, ddof, unbiased), keepdim)


@over_dimensions
def std(
    x: TensorLike,
    dim: Dims = None,
    correction: float = 1.0,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    ddof: float | None = None,
    unbiased: bool | None = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return the standard deviation over dimensions: √(Σ (x − mean)² / (n − correction)).

    Where it is 0, the gradient is 0, too.

    {dimensions}
    correction, ddof
        1, PyTorch's default, for the unbiased estimate of a sample's population; 0, the default of
        NumPy and Keras, for the sample's own variance. `ddof` is NumPy's name.
    unbiased
        PyTorch's older name: True for 1, False for 0.

    Raises
    ------
    IndexError
        There is no such dimension.
    TypeError
        One argument is given under two names.

    Examples
    --------
    >>> eg.std([1.0, 2.0, 3.0]).item(), eg.std([[1.0, 3.0]], axis=1, ddof=0).tolist()
    (1.0, [1.0])
    """
    dim, keepdim = spelled("std", dim, keepdim, axis, keepdims)
    return _root(_var(as_float(x), dim, _corrected("std", correction, ddof, unbiased), keepdim))


def _corrected(name: str, correction: float, ddof: float | None, unbiased: bool | None) -> float:
    if ddof is not None and unbiased is not None:
        raise TypeError(f"{name}: ddof and unbiased are one argument, got both")
    if unbiased is not None:
        return float(unbiased)
    return float(correction if ddof is None else ddof)


def _root(x: Tensor, power: float = 0.5) -> Tensor:
    """Return a power below 1 of what is 0 or more, with a slope of 0 at 0."""
    positive = _core.where(x == 0.0, 1.0, x)
    root = positive.sqrt() if power == 0.5 else positive**power
    return _core.where(x == 0.0, 0.0, root)


@over_dimensions
def norm(
    x: TensorLike,
    p: float | str = 2.0,
    dim: Dims = None,
    keepdim: bool = False,
    *,
    axis: Dims = None,
    keepdims: bool | None = None,
) -> Tensor:
    """Return the p-norm of the elements over dimensions, taken for one vector: (Σ |x|ᵖ)^(1/p).

    It neither overflows nor vanishes where squares would; at 0 the gradient is 0.

    {dimensions}
    p
        Above 0; infinity for the largest absolute value, 0 for the number of elements that are not
        0; PyTorch's ``"fro"`` is 2.

    Raises
    ------
    IndexError
        There is no such dimension.
    ValueError
        A negative `p`, or another name.

    Examples
    --------
    >>> eg.norm([3.0, 4.0]).item(), eg.norm([[3.0, -4.0]], p=1, axis=1).tolist()
    (5.0, [7.0])
    """
    dim, keepdim = spelled("norm", dim, keepdim, axis, keepdims)
    power = _power(p)
    absolute = as_float(x).abs()
    if power == 0.0:
        return (absolute.detach() > 0.0).astype(absolute.dtype).sum(dim, keepdim)
    if power == 1.0 or not absolute.size:
        return absolute.sum(dim, keepdim)
    if power == math.inf:
        return absolute.amax(dim, keepdim)
    unit = _unit(absolute, dim)
    shares = absolute / unit
    sums = (shares.square() if power == 2.0 else shares**power).sum(dim, keepdim)
    return (unit if keepdim else unit.reshape(sums.shape)) * _root(sums, 1.0 / power)


def _unit(absolute: Tensor, dim: Dims) -> Tensor:
    """Return the largest absolute value, a constant to slopes; 1 where it is 0 or not finite."""
    largest = absolute.detach().amax(dim, keepdim=True)
    finite = _core.where(largest < math.inf, largest, 1.0)
    return _core.where(finite > 0.0, finite, 1.0)


def _power(p: Any) -> float:
    if isinstance(p, str):
        if p == "fro":
            return 2.0
        raise ValueError(f"p: expected a number or 'fro', got {p!r}; take numpy.linalg.norm for it")
    return check_float(p, "p", low=0.0)
