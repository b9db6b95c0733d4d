"""Initialisers without randomness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._checks import check_float
from evengrad.initializers._initializer import Initializer

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Zeros(Initializer):
    """All zero: the usual start of a bias.

    Examples
    --------
    >>> eg.initializers.Zeros()((2,)).tolist()
    [0.0, 0.0]
    """

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Return zeros."""
        del generator
        return _core.zeros(shape, dtype=dtype)


class Ones(Initializer):
    """All one.

    Examples
    --------
    >>> eg.initializers.Ones()((2,)).tolist()
    [1.0, 1.0]
    """

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Return ones."""
        del generator
        return _core.ones(shape, dtype=dtype)


class Constant(Initializer):
    """All of one value.

    Parameters
    ----------
    value
        The value.

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
