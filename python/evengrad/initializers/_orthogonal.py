"""The initializer that keeps lengths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.initializers._initializer import Initializer, checked_seed

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Rows that are made orthogonal to all before them in one product.
BLOCK = 32


def product(left: Any, right: Any) -> Any:
    """Return left · right with the core's bits: NumPy's depend on its library and its threads."""
    return _core.matmul(left, right).numpy()


def orthonormal_rows(matrix: Array) -> Array:
    """Make rows orthonormal, each by taking out of it what lies along those before: Gram-Schmidt.

    Each time twice, since the first leaves the rounding errors of what it took out. All factors of
    the triangle's diagonal are lengths, so that no matrix is preferred.
    """
    for start in range(0, len(matrix), BLOCK):
        done, block = matrix[:start], matrix[start : start + BLOCK]
        for _ in range(2 * bool(start)):
            block -= product(product(block, done.T), done)
        for j in range(len(block)):
            row, before = block[j : j + 1], block[:j]
            for _ in range(2 * bool(j)):
                row -= product(product(row, before.T), before)
            row /= np.sqrt(np.square(row).sum())
        # Rows that were nearly within the block have grown, and their errors with them.
        if start:
            block -= product(product(block, done.T), done)
    return matrix


class Orthogonal(Initializer):
    """A random matrix whose rows or columns, whichever are fewer, are orthonormal.

    A square one keeps the length of every vector that passes it, forward and backward, however
    often: the usual start of recurrent kernels. It is drawn evenly from all such matrices, as the
    orthogonal factor of a matrix of normal values.

    Parameters
    ----------
    gain
        What the matrix is multiplied with.
    seed
        Takes the place of the model's seed.

    Raises
    ------
    ValueError
        From a call: a shape of fewer than two dimensions. With more than two, all but the last are
        taken for one.

    References
    ----------
    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", 2014; Mezzadri, "How to generate random matrices from the classical
    compact groups", 2007 (the signs).

    Examples
    --------
    >>> w = eg.initializers.Orthogonal(seed=1)((3, 3), "float64").numpy()
    >>> bool(np.allclose(w @ w.T, np.eye(3)))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = check_float(gain, "gain")
        self.seed = checked_seed(seed)

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Draw."""
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal: expected a shape of two dimensions or more, got {shape}; choose "
                "another initializer for vectors"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        wide = (min(rows, columns), max(rows, columns))
        normal = np.array(generator.normal(wide, 0.0, 1.0, "float64").numpy())
        matrix = self.gain * orthonormal_rows(normal)
        matrix = matrix if rows <= columns else matrix.T
        return _core.tensor(np.ascontiguousarray(matrix).reshape(shape), dtype=dtype)
