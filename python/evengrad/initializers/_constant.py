"""Initializers without randomness, besides those of zeros and ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.initializers._initializer import Initializer

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Constant(Initializer):
    """All of one value.

    Parameters
    ----------
    value
        The value.

    Raises
    ------
    TypeError
        A value that is no number.
    ValueError
        NaN.

    Examples
    --------
    >>> eg.initializers.Constant(0.5)((2,)).tolist()
    [0.5, 0.5]
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = check_float(value, "value")

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Return the value everywhere."""
        del generator
        return _core.full(shape, self.value, dtype=dtype)


class Identity(Initializer):
    """The identity, times a factor: ones on the diagonal, also of a matrix that is not square.

    As the kernel of a recurrent layer of rectifiers it lets the state pass unchanged at first.

    Parameters
    ----------
    gain
        What the matrix is multiplied with.

    Raises
    ------
    ValueError
        From a call: a shape of another number of dimensions than two.

    References
    ----------
    Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear
    units", 2015.

    Examples
    --------
    >>> eg.initializers.Identity(2.0)((2, 3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = check_float(gain, "gain")

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Return the matrix."""
        del generator
        try:
            rows, columns = shape
        except ValueError:
            raise ValueError(
                f"Identity: expected a shape of two dimensions, got {shape}; choose another "
                "initializer"
            ) from None
        return _core.tensor(self.gain * np.eye(rows, columns), dtype=dtype)
