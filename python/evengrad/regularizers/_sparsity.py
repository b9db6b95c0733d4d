"""A penalty that keeps units silent for most rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._common.checks import check_float
from evengrad.regularizers._regularizer import Regularizer

if TYPE_CHECKING:
    from evengrad._core import Tensor

# A mean, and what it lacks to 1, count as this at least: the logarithms have no value at 0.
SMALLEST = 1e-6


class KLSparsity(Regularizer):
    """A penalty on outputs whose means over a batch are not as small as they are to be.

    c · Σⱼ (ρ · ln(ρ / ρ̂ⱼ) + (1 − ρ) · ln((1 − ρ) / (1 − ρ̂ⱼ))), with ρ̂ⱼ the mean of unit j over the
    rows: the divergence of two coins for each unit. It is multiplied by the rows, as a layer
    divides its `activity_regularizer` by them. For outputs in (0, 1), such as of the logistic
    function; ρ̂ and 1 − ρ̂ count as 10⁻⁶ at least.

    Parameters
    ----------
    target
        ρ, in (0, 1); 0.05 by default.
    weight
        c; 0.1 by default.

    Raises
    ------
    TypeError, ValueError
        A target that is not within (0, 1), or a weight below 0.

    References
    ----------
    Ng, "Sparse autoencoder", 2011.

    Examples
    --------
    Of one row, the mean is that row:

    >>> penalty = eg.regularizers.KLSparsity(0.5, 1.0)
    >>> penalty(eg.tensor([[0.5, 0.5]])).item()
    0.0
    >>> round(penalty(eg.tensor([[0.5, 0.9]])).item(), 4)
    0.5108
    """

    def __init__(self, target: float = 0.05, weight: float = 0.1) -> None:
        self.target = check_float(
            target, "target", low=0.0, high=1.0, open_low=True, open_high=True
        )
        self.weight = check_float(weight, "weight", low=0.0)

    def __call__(self, w: Tensor) -> Tensor:
        """Return the rows times c · Σⱼ KL(ρ, ρ̂ⱼ)."""
        units = w if w.ndim == 2 else w.reshape(-1, w.shape[-1])
        mean, rho = units.mean(0), self.target
        on = (rho / mean.clamp(SMALLEST, 1.0)).log() * rho
        off = ((1.0 - rho) / (1.0 - mean).clamp(SMALLEST, 1.0)).log() * (1.0 - rho)
        return (on + off).sum() * (self.weight * w.shape[0])
