"""Initialisers that draw from one law whatever the shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad._checks import check_float
from evengrad.initializers._initializer import Initializer, checked_seed

if TYPE_CHECKING:
    from evengrad import _core
    from evengrad._core import Tensor


class RandomNormal(Initializer):
    """Normally distributed values.

    Parameters
    ----------
    mean
        The mean.
    stddev
        The standard deviation, 0 or more.
    seed
        Takes the place of the model's seed.

    Raises
    ------
    ValueError
        A negative `stddev`.

    Examples
    --------
    >>> w = eg.initializers.RandomNormal(stddev=2.0, seed=1)((1000, 100))
    >>> round(float(w.numpy().std()), 1)
    2.0
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = check_float(mean, "mean")
        self.stddev = check_float(stddev, "stddev", low=0.0)
        self.seed = checked_seed(seed)

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Draw."""
        return generator.normal(shape, self.mean, self.stddev, dtype)


class TruncatedNormal(Initializer):
    """Normally distributed values, drawn again where more than two deviations from the mean.

    Cutting makes the values' own deviation 0.8796 times `stddev`.

    Parameters
    ----------
    mean
        The mean.
    stddev
        The standard deviation before the cut, 0 or more.
    seed
        Takes the place of the model's seed.

    Raises
    ------
    ValueError
        A negative `stddev`.

    Examples
    --------
    >>> w = eg.initializers.TruncatedNormal(stddev=1.0, seed=1)((1000, 100)).numpy()
    >>> bool(abs(w).max() <= 2), round(float(w.std()), 2)
    (True, 0.88)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = check_float(mean, "mean")
        self.stddev = check_float(stddev, "stddev", low=0.0)
        self.seed = checked_seed(seed)

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Draw."""
        return generator.truncated_normal(shape, self.mean, self.stddev, dtype)


class RandomUniform(Initializer):
    """Values spread evenly over an interval.

    Parameters
    ----------
    minval, maxval
        The ends of the interval, `minval` not above `maxval`.
    seed
        Takes the place of the model's seed.

    Raises
    ------
    ValueError
        `minval` is above `maxval`.

    Examples
    --------
    >>> w = eg.initializers.RandomUniform(-1.0, 1.0, seed=1)((1000,)).numpy()
    >>> bool(abs(w).max() <= 1)
    True
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        self.minval = check_float(minval, "minval")
        self.maxval = check_float(maxval, "maxval", low=self.minval)
        self.seed = checked_seed(seed)

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Draw."""
        return generator.uniform(shape, self.minval, self.maxval, dtype)
