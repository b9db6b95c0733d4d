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


def relu(x: Any) -> Tensor:
    """Rectify; the derivative at zero is 0.

    Elementwise: max(0, x).

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
    >>> eg.relu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [0.0, 2.0]
    """
    return as_tensor(x).relu()


def relu6(x: Any) -> Tensor:
    """Rectify and hold to 6.

    Elementwise: min(max(0, x), 6).

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
    >>> eg.relu6([-1.0, 8.0]).numpy().astype(float).round(4).tolist()
    [0.0, 6.0]
    """
    return as_tensor(x).relu6()


def selu(x: Any) -> Tensor:
    """Apply the self-normalising unit (Klambauer et al. 2017).

    Elementwise: λx where x > 0, else λα(e^x − 1), with α = 1.67326… and λ = 1.05070….

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
    >>> eg.selu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-1.1113, 2.1014]
    """
    return as_tensor(x).selu()


def sigmoid(x: Any) -> Tensor:
    """Apply the logistic function.

    Elementwise: 1 / (1 + e^(−x)).

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
    >>> eg.sigmoid([0.0, 2.0]).numpy().astype(float).round(4).tolist()
    [0.5, 0.8808]
    """
    return as_tensor(x).sigmoid()


def tanh(x: Any) -> Tensor:
    """Return the hyperbolic tangent.

    Elementwise: tanh x.

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
    >>> eg.tanh([0.0, 2.0]).numpy().astype(float).round(4).tolist()
    [0.0, 0.964]
    """
    return as_tensor(x).tanh()


def softplus(x: Any) -> Tensor:
    """Rectify smoothly.

    Elementwise: ln(1 + e^x).

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
    >>> eg.softplus([0.0, 2.0]).numpy().astype(float).round(4).tolist()
    [0.6931, 2.1269]
    """
    return as_tensor(x).softplus()


def softsign(x: Any) -> Tensor:
    """Apply the softsign.

    Elementwise: x / (1 + |x|).

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
    >>> eg.softsign([-1.0, 3.0]).numpy().astype(float).round(4).tolist()
    [-0.5, 0.75]
    """
    return as_tensor(x).softsign()


def silu(x: Any) -> Tensor:
    """Apply the sigmoid-weighted unit, also called swish (Ramachandran et al. 2017).

    Elementwise: x · sigmoid(x).

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
    >>> eg.silu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.2689, 1.7616]
    """
    return as_tensor(x).silu()


def gelu(x: Any) -> Tensor:
    """Apply the Gaussian error unit (Hendrycks & Gimpel 2016), not its tanh approximation.

    Elementwise: x · Φ(x), Φ the normal distribution function.

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
    >>> eg.gelu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.1587, 1.9545]
    """
    return as_tensor(x).gelu()


def mish(x: Any) -> Tensor:
    """Apply Mish (Misra 2019).

    Elementwise: x · tanh(softplus(x)).

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
    >>> eg.mish([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.3034, 1.944]
    """
    return as_tensor(x).mish()


def hard_sigmoid(x: Any) -> Tensor:
    """Apply the logistic function made of three straight pieces.

    Elementwise: x/6 + ½ held to [0, 1].

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
    >>> eg.hard_sigmoid([-4.0, 1.5]).numpy().astype(float).round(4).tolist()
    [0.0, 0.75]
    """
    return as_tensor(x).hard_sigmoid()


def hard_tanh(x: Any) -> Tensor:
    """Apply the hyperbolic tangent made of three straight pieces.

    Elementwise: x held to [−1, 1].

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
    >>> eg.hard_tanh([-4.0, 0.5]).numpy().astype(float).round(4).tolist()
    [-1.0, 0.5]
    """
    return as_tensor(x).hard_tanh()


def hard_silu(x: Any) -> Tensor:
    """Apply SiLU with the hard sigmoid, also called hard swish (Howard et al. 2019).

    Elementwise: x · hard_sigmoid(x).

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
    >>> eg.hard_silu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.3333, 1.6667]
    """
    return as_tensor(x).hard_silu()


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    """Rectify with a leak (Maas et al. 2013); the derivative at zero is the slope.

    Elementwise: x where x > 0, else negative_slope · x.

    Parameters
    ----------
    x
        A tensor, or what converts to one.
    negative_slope
        Factor below zero; PyTorch's default, where Keras' layer has 0.3.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.leaky_relu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.01, 2.0]
    """
    return as_tensor(x).leaky_relu(negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """Apply the exponential linear unit (Clevert et al. 2015).

    Elementwise: x where x > 0, else alpha · (e^x − 1).

    Parameters
    ----------
    x
        A tensor, or what converts to one.
    alpha
        The function tends to −alpha; it is smooth at zero for 1 alone.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.elu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.6321, 2.0]
    """
    return as_tensor(x).elu(alpha)


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """Apply the continuously differentiable exponential unit (Barron 2017).

    Elementwise: x where x > 0, else alpha · (e^(x/alpha) − 1).

    Parameters
    ----------
    x
        A tensor, or what converts to one.
    alpha
        The function tends to −alpha.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Examples
    --------
    >>> eg.celu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.6321, 2.0]
    """
    return as_tensor(x).celu(alpha)


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
