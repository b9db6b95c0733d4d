"""The penalty on directions that are not orthogonal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad._tensor.norms import scaled
from evengrad.regularizers._regularizer import Regularizer

if TYPE_CHECKING:
    from evengrad._core import Tensor

# Shorter vectors are not brought to length 1: they have no direction to speak of.
SHORTEST = 1e-7


class OrthogonalRegularizer(Regularizer):
    """The mean absolute cosine between rows, or columns: c · the mean over i < j of abs(cosᵢⱼ).

    It is c where all are parallel, 0 where they are orthogonal to each other, or where there is but
    one. Columns of a `Dense` kernel are the incoming weights of each unit. The slope at
    orthogonal vectors is 0.

    Parameters
    ----------
    factor
        c; 0.01 by default.
    mode
        ``"rows"`` or ``"columns"``.

    Raises
    ------
    ValueError
        A factor below 0; an unknown mode. When called: a variable that is no matrix.

    References
    ----------
    Brock et al., "Neural photo editing with introspective adversarial networks", 2017, for the
    idea; the form is that of Keras.

    Examples
    --------
    >>> w = eg.tensor([[3.0, 4.0], [5.0, 0.0]])
    >>> penalty = eg.regularizers.OrthogonalRegularizer(factor=1.0)
    >>> round(penalty(w).item(), 6)
    0.6
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = check_float(factor, "factor", low=0.0)
        self.mode = choose(mode, ("rows", "columns"), "mode")

    def __call__(self, w: Tensor) -> Tensor:
        """Return c · the mean over i < j of abs(cosᵢⱼ)."""
        if len(w.shape) != 2:
            raise ValueError(
                f"OrthogonalRegularizer: expected a matrix, got shape {tuple(w.shape)}; it fits "
                "kernels of Dense, not biases"
            )
        vectors = w if self.mode == "rows" else w.T
        count = int(vectors.shape[0])
        # By the largest element, a constant to the slope: squares of large weights are no numbers.
        unit, shares = scaled(vectors, 1)
        squares = shares.square().sum(dim=1, keepdim=True)
        directions = shares / _core.maximum(squares, (SHORTEST / unit).square()).sqrt()
        others = _core.tensor(1.0 - np.eye(count), dtype=w.dtype)
        total = ((directions @ directions.T) * others).abs().sum()
        # Each pair stands twice in the sum; a single vector has no pair.
        return total * (self.factor / max(1, count * (count - 1)))
