"""Activation functions of single numbers, applied to every element of a tensor.

All of them take a tensor, or anything that converts to one, of any shape, and return a tensor of
that shape; all are differentiable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._elementwise import as_tensor
from evengrad._names import choose

if TYPE_CHECKING:
    from evengrad._core import Tensor


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
    """Rectify and hold to 6; the derivative at zero is 0, at 6 it is 1 as that of `clamp`.

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


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Tensor:
    """Rectify with a leak (Maas et al. 2013); the derivative at zero is the slope.

    Elementwise: x where x > 0, else negative_slope · x.

    Parameters
    ----------
    x
        A tensor, or what converts to one.
    negative_slope
        Factor below zero, any finite number; PyTorch's default, where Keras' layer has 0.3.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Raises
    ------
    ValueError
        An infinite slope.

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
        The function tends to −alpha; 0 or more. It is smooth at zero for 1 alone.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Raises
    ------
    ValueError
        A negative or infinite `alpha`.

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
        The function tends to −alpha; more than 0.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Raises
    ------
    ValueError
        An `alpha` of 0 or less, or infinite.

    Examples
    --------
    >>> eg.celu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.6321, 2.0]
    """
    return as_tensor(x).celu(alpha)


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


def gelu(x: Any, approximate: bool | str = False) -> Tensor:
    """Apply the Gaussian error unit (Hendrycks & Gimpel 2016), exactly or by tanh.

    Elementwise: x · Φ(x), Φ the normal distribution function; approximately
    x/2 · (1 + tanh(√(2/π) · (x + 0.044715x³))), which older networks were trained with.

    Parameters
    ----------
    x
        A tensor, or what converts to one.
    approximate
        Keras' False or True, or PyTorch's ``"none"`` or ``"tanh"``.

    Returns
    -------
    Tensor
        As `x` in shape and dtype.

    Raises
    ------
    ValueError
        Another `approximate`.

    Examples
    --------
    >>> eg.gelu([-1.0, 2.0]).numpy().astype(float).round(4).tolist()
    [-0.1587, 1.9545]
    >>> eg.gelu([-1.0, 2.0], "tanh").numpy().astype(float).round(4).tolist()
    [-0.1588, 1.9546]
    """
    if not isinstance(approximate, bool):
        approximate = choose(approximate, ("none", "tanh"), "approximate") == "tanh"
    return as_tensor(x).gelu_tanh() if approximate else as_tensor(x).gelu()


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
    """Apply the logistic function made of three straight pieces; at ±3 the slope is 1/6.

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
    """Apply the hyperbolic tangent made of three straight pieces; at ±1 the slope is 1.

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

    Elementwise: x · hard_sigmoid(x). The derivative at ±3 is that of the middle piece.

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
