"""Functions of single numbers, applied to every element of a tensor.

All of them take a tensor, or anything that converts to one, of any shape, and return a tensor of
that shape; all are differentiable.
"""

from __future__ import annotations

from typing import Any

from evengrad import _core
from evengrad._core import Tensor


def as_tensor(x: Any) -> Tensor:
    """Return a tensor as it is, and anything else converted to one."""
    return x if isinstance(x, Tensor) else _core.tensor(x)


def exp(x: Any) -> Tensor:
    """Return e^x.

    Elementwise: e^x.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.exp([0.0, 1.0]).numpy().astype(float).round(4).tolist()
    [1.0, 2.7183]
    """
    return as_tensor(x).exp()


def expm1(x: Any) -> Tensor:
    """Return e^x − 1, accurate near zero.

    Elementwise: e^x − 1.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.expm1([0.0, 1.0]).numpy().astype(float).round(4).tolist()
    [0.0, 1.7183]
    """
    return as_tensor(x).expm1()


def log(x: Any) -> Tensor:
    """Return the natural logarithm.

    Elementwise: ln x.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.log([1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [0.0, 0.6931]
    """
    return as_tensor(x).log()


def log1p(x: Any) -> Tensor:
    """Return ln(1 + x), accurate near zero.

    Elementwise: ln(1 + x).

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.log1p([0.0, 1.0]).numpy().astype(float).round(4).tolist()
    [0.0, 0.6931]
    """
    return as_tensor(x).log1p()


def sqrt(x: Any) -> Tensor:
    """Return the square root.

    Elementwise: √x.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.sqrt([4.0, 9.0]).numpy().astype(float).round(4).tolist()
    [2.0, 3.0]
    """
    return as_tensor(x).sqrt()


def square(x: Any) -> Tensor:
    """Return the square.

    Elementwise: x².

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.square([-3.0, 2.0]).numpy().astype(float).round(4).tolist()
    [9.0, 4.0]
    """
    return as_tensor(x).square()


def abs(x: Any) -> Tensor:
    """Return the absolute value; its derivative at zero is 0.

    Elementwise: |x|.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.abs([-3.0, 2.0]).numpy().astype(float).round(4).tolist()
    [3.0, 2.0]
    """
    return as_tensor(x).abs()


def sign(x: Any) -> Tensor:
    """Return the sign: −1, 0 or 1; its derivative is 0.

    Elementwise: x / |x|, and 0 at zero.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.sign([-3.0, 0.0]).numpy().astype(float).round(4).tolist()
    [-1.0, 0.0]
    """
    return as_tensor(x).sign()


def sin(x: Any) -> Tensor:
    """Return the sine.

    Elementwise: sin x.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.sin([0.0, 1.0]).numpy().astype(float).round(4).tolist()
    [0.0, 0.8415]
    """
    return as_tensor(x).sin()


def cos(x: Any) -> Tensor:
    """Return the cosine.

    Elementwise: cos x.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.cos([0.0, 1.0]).numpy().astype(float).round(4).tolist()
    [1.0, 0.5403]
    """
    return as_tensor(x).cos()


def erf(x: Any) -> Tensor:
    """Return the error function.

    Elementwise: 2/√π ∫₀ˣ e^(−t²) dt.

    Parameters
    ----------
    x
        A tensor, or what converts to one.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.erf([0.0, 1.0]).numpy().astype(float).round(4).tolist()
    [0.0, 0.8427]
    """
    return as_tensor(x).erf()


def clamp(x: Any, low: float, high: float) -> Tensor:
    """Hold every element to [low, high]; the derivative at a bound is 1, outside 0.

    Parameters
    ----------
    x
        A tensor, or what converts to one.
    low, high
        The bounds.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.clamp([-3.0, 0.5, 3.0], -1.0, 1.0).tolist()
    [-1.0, 0.5, 1.0]
    """
    return as_tensor(x).clamp(low, high)


def maximum(x: Any, y: Any) -> Tensor:
    """Return the larger of two values, element by element; at a tie each has half of the gradient.

    Parameters
    ----------
    x, y
        Tensors, or what converts to them, whose shapes broadcast; numbers take the other's dtype.

    Returns
    -------
    Tensor
        Of the broadcast shape.

    Examples
    --------
    >>> z = eg.tensor([-2.0, 3.0])
    >>> eg.maximum(0.01 * z, z).numpy().astype(float).round(4).tolist()
    [-0.02, 3.0]
    """
    return _core.maximum(x, y)


def minimum(x: Any, y: Any) -> Tensor:
    """Return the smaller of two values, element by element; at a tie each has half of the gradient.

    Parameters
    ----------
    x, y
        Tensors, or what converts to them, whose shapes broadcast; numbers take the other's dtype.

    Returns
    -------
    Tensor
        Of the broadcast shape.

    Examples
    --------
    >>> z = eg.tensor([-2.0, 3.0])
    >>> eg.minimum(0.01 * z, z).numpy().astype(float).round(4).tolist()
    [-2.0, 0.03]
    """
    return _core.minimum(x, y)


def where(mask: Any, x: Any, y: Any) -> Tensor:
    """Take from `x` where the mask is true, else from `y`.

    Parameters
    ----------
    mask
        A bool tensor, or what converts to one.
    x, y
        Tensors, or what converts to them; all three shapes broadcast.

    Returns
    -------
    Tensor
        Of the broadcast shape.

    Examples
    --------
    >>> z = eg.tensor([-2.0, 3.0])
    >>> eg.where(z > 0, z, 0.0).tolist()
    [0.0, 3.0]
    """
    return _core.where(as_tensor(mask), x, y)
