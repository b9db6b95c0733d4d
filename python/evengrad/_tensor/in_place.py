"""Arithmetic that changes a tensor where it lies."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from evengrad._core import Tensor
from evengrad._tensor.arithmetic import clamp
from evengrad._tensor.conversion import as_tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._tensor.conversion import TensorLike


def _assigning(symbol: str, operate: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    """Return what an assignment such as ``x += y`` does.

    Where the tape records nothing, the tensor changes in place, under all of its names. Where it
    does, what it holds must stay: the name on the left gets a new tensor.
    """

    def assign(x: Tensor, other: Any) -> Any:
        found = operate(x, other)
        if not isinstance(found, Tensor):
            return found
        if not found.requires_grad:
            return _put(f"x {symbol}= y", x, found)
        if x.requires_grad and x.is_leaf:
            raise RuntimeError(
                f"x {symbol}= y: a leaf that requires a gradient is not changed in place where "
                f"operations are recorded; write it within `with evengrad.no_grad():`, or "
                f"x = x {symbol} y for a new tensor"
            )
        return found

    return assign


def _assigning_power() -> Callable[..., Any]:
    """Return the method for ``x **= y``, which Python may give a modulus, as it does to `pow`."""
    assign = _assigning("**", operator.pow)

    def assign_power(x: Tensor, other: Any, mod: Any = None) -> Any:
        return assign(x, other) if mod is None else NotImplemented

    return assign_power


def _put(name: str, x: Tensor, found: Tensor) -> Tensor:
    if found.shape != x.shape or found.dtype != x.dtype:
        raise ValueError(
            f"{name}: expected a result of shape {x.shape} and dtype {x.dtype}, as x has it, got "
            f"{found.shape} and {found.dtype}; write a new tensor, without the assignment in place"
        )
    return x.copy_(found)


def _changed(name: str, instead: str, x: Tensor, found: Tensor) -> Tensor:
    if found.requires_grad:
        raise RuntimeError(
            f"{name}: what requires a gradient is not changed in place where operations are "
            f"recorded; write {instead}, or do it within `with evengrad.no_grad():`"
        )
    return _put(name, x, found)


def add_(self: Tensor, other: TensorLike, alpha: float = 1.0) -> Tensor:
    """Add to this tensor in place: x ← x + alpha · other.

    Parameters
    ----------
    other
        A number, or a tensor that broadcasts to this one's shape.
    alpha
        A factor.

    Raises
    ------
    RuntimeError
        The operation would be recorded.
    ValueError
        The result has another shape or dtype.

    Examples
    --------
    >>> eg.zeros(2).add_([1.0, 2.0], alpha=3.0).tolist()
    [3.0, 6.0]
    """
    return _changed("add_", "x = x + y", self, self + _scaled(other, alpha))


def sub_(self: Tensor, other: TensorLike, alpha: float = 1.0) -> Tensor:
    """Subtract from this tensor in place: x ← x − alpha · other.

    Parameters
    ----------
    other
        A number, or a tensor that broadcasts to this one's shape.
    alpha
        A factor.

    Raises
    ------
    RuntimeError
        The operation would be recorded.
    ValueError
        The result has another shape or dtype.

    Examples
    --------
    >>> eg.ones(2).sub_([1.0, 2.0]).tolist()
    [0.0, -1.0]
    """
    return _changed("sub_", "x = x - y", self, self - _scaled(other, alpha))


def mul_(self: Tensor, other: TensorLike) -> Tensor:
    """Multiply this tensor in place: x ← x · other.

    Parameters
    ----------
    other
        A number, or a tensor that broadcasts to this one's shape.

    Raises
    ------
    RuntimeError
        The operation would be recorded.
    ValueError
        The result has another shape or dtype.

    Examples
    --------
    >>> eg.ones(2).mul_([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return _changed("mul_", "x = x * y", self, self * _operand(other))


def div_(self: Tensor, other: TensorLike) -> Tensor:
    """Divide this tensor in place: x ← x / other.

    Parameters
    ----------
    other
        A number, or a tensor that broadcasts to this one's shape.

    Raises
    ------
    RuntimeError
        The operation would be recorded.
    ValueError
        The result has another shape or dtype.

    Examples
    --------
    >>> eg.ones(2).div_(4.0).tolist()
    [0.25, 0.25]
    """
    return _changed("div_", "x = x / y", self, self / _operand(other))


def clamp_(self: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """Bound this tensor's elements in place.

    Parameters
    ----------
    min, max
        The bounds; None for none.

    Raises
    ------
    RuntimeError
        The operation would be recorded.

    Examples
    --------
    >>> eg.tensor([-1.0, 3.0]).clamp_(0.0, 1.0).tolist()
    [0.0, 1.0]
    """
    return _changed("clamp_", "x = x.clamp(low, high)", self, clamp(self, min, max))


def fill_(self: Tensor, value: float) -> Tensor:
    """Have all elements of this tensor be one number, in place and off the tape.

    Parameters
    ----------
    value
        The number.

    Examples
    --------
    >>> eg.zeros(2).fill_(0.5).tolist()
    [0.5, 0.5]
    """
    return self.copy_(as_tensor(value).expand(self.shape))


def zero_(self: Tensor) -> Tensor:
    """Have all elements of this tensor be zero, in place and off the tape.

    Examples
    --------
    >>> eg.ones(2).zero_().tolist()
    [0.0, 0.0]
    """
    return fill_(self, 0.0)


def _operand(other: TensorLike) -> Any:
    """Return a list as a tensor; what operators take as it is."""
    return as_tensor(other) if isinstance(other, (list, tuple)) else other


def _scaled(other: TensorLike, alpha: float) -> Any:
    operand = _operand(other)
    return operand if alpha == 1.0 else operand * alpha


METHODS = {
    "__iadd__": _assigning("+", operator.add),
    "__isub__": _assigning("-", operator.sub),
    "__imul__": _assigning("*", operator.mul),
    "__itruediv__": _assigning("/", operator.truediv),
    "__ipow__": _assigning_power(),
    **{one.__name__: one for one in (add_, sub_, mul_, div_, clamp_, fill_, zero_)},
}
