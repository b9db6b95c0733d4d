"""GELU, exact or by the tanh approximation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._common.names import choose
from evengrad._tensor.conversion import as_tensor

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad._tensor.conversion import TensorLike


def gelu(x: TensorLike, approximate: bool | str = False) -> Tensor:
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
