"""Functions of numbers made of others: bounds, whole numbers, logarithms, products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import FLOATS, check_int
from evengrad._core import Tensor
from evengrad._tensor.conversion import as_float, as_tensor

if TYPE_CHECKING:
    from typing import TypeAlias

    from evengrad._tensor.conversion import TensorLike

    # A bound: a number, or one for each element.
    Bound: TypeAlias = float | TensorLike | None

__all__ = [
    "ceil",
    "clip",
    "dot",
    "floor",
    "log2",
    "log10",
    "masked_fill",
    "outer",
    "power",
    "round",
]

# The native one, which this takes the place of as a method.
_clamp = Tensor.clamp


def clamp(
    x: TensorLike, low: Bound = None, high: Bound = None, *, min: Bound = None, max: Bound = None
) -> Tensor:
    """Bound each element: min(max(x, low), high); the gradient is 0 outside of the bounds.

    Parameters
    ----------
    x
        The tensor, of any shape.
    low, high
        The bounds, numbers or tensors that broadcast; None for none.
    min, max
        PyTorch's names of them.

    Raises
    ------
    TypeError
        One bound is given under two names.

    Examples
    --------
    >>> eg.clamp([-1.0, 0.5, 3.0], 0.0, 1.0).tolist(), eg.clamp([-1.0, 3.0], min=0.0).tolist()
    ([0.0, 0.5, 1.0], [0.0, 3.0])
    """
    return _bounded("clamp", x, _one("clamp", low, min), _one("clamp", high, max))


def clip(
    x: TensorLike,
    a_min: Bound = None,
    a_max: Bound = None,
    *,
    min: Bound = None,
    max: Bound = None,
) -> Tensor:
    """Bound each element: NumPy's and Keras' name of `clamp`.

    Parameters
    ----------
    x
        The tensor, of any shape.
    a_min, a_max
        The bounds, numbers or tensors that broadcast; None for none.
    min, max
        Other names of them.

    Raises
    ------
    TypeError
        One bound is given under two names.

    Examples
    --------
    >>> eg.clip([-1.0, 0.5, 3.0], 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    return _bounded("clip", x, _one("clip", a_min, min), _one("clip", a_max, max))


def _one(name: str, bound: Bound, other: Bound) -> Any:
    if bound is not None and other is not None:
        raise TypeError(f"{name}: one bound is given under two names")
    return other if bound is None else bound


def _bounded(name: str, given: TensorLike, low: Any, high: Any) -> Tensor:
    x = as_tensor(given)
    if x.dtype not in FLOATS:
        return _bounded(name, x.astype("float64"), low, high).astype(x.dtype)
    if all(bound is None or isinstance(bound, (int, float)) for bound in (low, high)):
        return _clamp(x, -math.inf if low is None else low, math.inf if high is None else high)
    if low is not None:
        x = _core.maximum(x, _like(low, x))
    return x if high is None else _core.minimum(x, _like(high, x))


def _like(bound: Any, x: Tensor) -> Any:
    """Return a bound in the dtype of what it bounds."""
    return as_tensor(bound).astype(x.dtype)


def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """Round each element to the nearest whole number, halves to even ones, or to decimals.

    A step function: it has no gradient.

    Parameters
    ----------
    x
        The tensor, of any shape.
    decimals
        How many decimals are left; negative ones are places before the point.

    Raises
    ------
    TypeError
        Decimals that are no integer.

    Examples
    --------
    >>> eg.round([0.5, 1.5, -2.7]).tolist(), eg.round(eg.tensor([3.14159], "float64"), 2).tolist()
    ([0.0, 2.0, -3.0], [3.14])
    """
    tensor, places = as_tensor(x).detach(), check_int(decimals, "decimals", at_least=-400)
    if tensor.dtype not in FLOATS and places >= 0:
        return tensor
    if not places:
        return _whole(tensor)
    scale = 10.0 ** abs(places)
    if places > 0:
        return _whole(tensor * scale) / scale
    kind = tensor.dtype
    return (_whole(as_float(tensor) / scale) * scale).astype(kind)


def _whole(x: Tensor) -> Tensor:
    """Return the nearest whole numbers: from here on, numbers of this dtype have no fraction."""
    least = 2.0**52 if x.dtype == "float64" else 2.0**23
    size = x.abs()
    nearest = _core.where(size < least, (size + least) - least, size)
    return nearest * x.sign()


def floor(x: TensorLike) -> Tensor:
    """Return the largest whole number that is not above each element; it has no gradient.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.floor([1.7, -1.2]).tolist()
    [1.0, -2.0]
    """
    tensor = as_tensor(x).detach()
    if tensor.dtype not in FLOATS:
        return tensor
    nearest = _whole(tensor)
    return _core.where(nearest > tensor, nearest - 1.0, nearest)


def ceil(x: TensorLike) -> Tensor:
    """Return the smallest whole number that is not below each element; it has no gradient.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.ceil([1.7, -1.2]).tolist()
    [2.0, -1.0]
    """
    tensor = as_tensor(x).detach()
    if tensor.dtype not in FLOATS:
        return tensor
    nearest = _whole(tensor)
    return _core.where(nearest < tensor, nearest + 1.0, nearest)


def floor_divide(x: Tensor, y: Any) -> Tensor:
    """Return ⌊x / y⌋, what ``//`` does; it has no gradient."""
    return floor(x.detach() / y)


def remainder(x: Tensor, y: Any) -> Tensor:
    """Return x − ⌊x / y⌋ · y, what ``%`` does."""
    found: Tensor = x - floor_divide(x, y) * y
    return found


def log2(x: TensorLike) -> Tensor:
    """Return the logarithm to base 2.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.log2([1.0, 8.0]).tolist()
    [0.0, 3.0]
    """
    return as_float(x).log() / math.log(2.0)


def log10(x: TensorLike) -> Tensor:
    """Return the logarithm to base 10.

    Parameters
    ----------
    x
        The tensor, of any shape.

    Examples
    --------
    >>> eg.log10([1.0, 100.0]).tolist()
    [0.0, 2.0]
    """
    return as_float(x).log() / math.log(10.0)


def power(x: TensorLike, y: TensorLike) -> Tensor:
    """Return xʸ, what ``x**y`` does.

    Parameters
    ----------
    x, y
        Numbers, or tensors that broadcast.

    Raises
    ------
    ValueError
        The shapes do not broadcast.

    Examples
    --------
    >>> eg.power([2.0, 3.0], 2).tolist()
    [4.0, 9.0]
    """
    # Numbers take the dtype of what they meet.
    base, exponent = _number_or_tensor(x), _number_or_tensor(y)
    if not (isinstance(base, Tensor) or isinstance(exponent, Tensor)):
        base = as_float(x)
    found: Tensor = base**exponent
    return found


def _number_or_tensor(x: Any) -> Any:
    return x if isinstance(x, (int, float)) else as_float(x)


def masked_fill(x: TensorLike, mask: TensorLike, value: TensorLike) -> Tensor:
    """Return x, with a value where a mask is true: PyTorch's word for a use of `where`.

    Parameters
    ----------
    x
        The tensor, of any shape.
    mask
        Truths, that broadcast with `x`.
    value
        A number, or a tensor that broadcasts.

    Raises
    ------
    ValueError
        The shapes do not broadcast.

    Examples
    --------
    >>> eg.masked_fill([1.0, 2.0], [True, False], 0.0).tolist()
    [0.0, 2.0]
    """
    return _core.where(as_tensor(mask), value, as_tensor(x))


def dot(x: TensorLike, y: TensorLike) -> Tensor:
    """Return NumPy's product: of two vectors their scalar product, else the matrix product.

    Parameters
    ----------
    x
        Shape (..., n); or a number, for a multiple.
    y
        Shape (n,) or (n, m).

    Raises
    ------
    ValueError
        The shapes do not fit, or `y` has more dimensions, for which there is `einsum`.

    Examples
    --------
    >>> eg.dot([1.0, 2.0], [3.0, 4.0]).item()
    11.0
    """
    left, right = as_float(x), as_float(y)
    if not (left.ndim and right.ndim):
        return left * right
    if right.ndim > 2:
        raise ValueError(
            f"dot: expected y of one or two dimensions, got {right.shape}; take einsum"
        )
    return left @ right


def outer(x: TensorLike, y: TensorLike) -> Tensor:
    """Return all products of an element of one vector and one of another: zᵢⱼ = xᵢ · yⱼ.

    Parameters
    ----------
    x, y
        Tensors, taken for vectors.

    Examples
    --------
    >>> eg.outer([1.0, 2.0], [3.0, 4.0]).tolist()
    [[3.0, 4.0], [6.0, 8.0]]
    """
    return as_float(x).reshape(-1, 1) * as_float(y).reshape(1, -1)
