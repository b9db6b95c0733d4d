"""The initialiser that keeps lengths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad._checks import check_float
from evengrad.initializers._initializer import Initializer, checked_seed

if TYPE_CHECKING:
    from evengrad._core import Tensor

MATRIX = 2


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
        if len(shape) < MATRIX:
            raise ValueError(
                f"Orthogonal: expected a shape of two dimensions or more, got {shape}; choose "
                "another initialiser for vectors"
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        normal = generator.normal(tall, 0.0, 1.0, "float64").numpy()
        factor, triangle = np.linalg.qr(normal)
        # The factorisation chooses signs by its algorithm; with the triangle's diagonal positive no
        # matrix is preferred.
        factor = factor * np.where(np.diagonal(triangle) < 0.0, -1.0, 1.0)
        matrix = factor if rows >= columns else factor.T
        return _core.tensor(np.ascontiguousarray(self.gain * matrix).reshape(shape), dtype=dtype)
