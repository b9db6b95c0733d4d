"""Initializers that draw from one law whatever the shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad.initializers._initializer import Initializer, checked_seed

if TYPE_CHECKING:
    from evengrad._core import Tensor

# Where PyTorch cuts a normal law, whatever its deviation.
BOUND = 2.0


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

    Cutting makes the values' own deviation 0.8796 times `stddev`. Under ``"torch"`` they lie
    between −2 and 2, whatever `mean` and `stddev`, as those of `torch.nn.init.trunc_normal_`.

    Parameters
    ----------
    mean
        The mean.
    stddev
        The standard deviation before the cut, 0 or more.
    seed
        Takes the place of the model's seed.
    convention
        ``"keras"``, ``"torch"``, or ``"tf1"``, which is as ``"keras"``.

    Raises
    ------
    ValueError
        A negative `stddev`; an unknown convention; under ``"torch"`` a `mean` more than two
        deviations outside −2 to 2.

    Examples
    --------
    >>> w = eg.initializers.TruncatedNormal(stddev=1.0, seed=1)((1000, 100)).numpy()
    >>> bool(abs(w).max() <= 2), round(float(w.std()), 2)
    (True, 0.88)
    """

    def __init__(
        self,
        mean: float = 0.0,
        stddev: float = 0.05,
        seed: int | None = None,
        convention: str = "keras",
    ) -> None:
        self.mean = check_float(mean, "mean")
        self.stddev = check_float(stddev, "stddev", low=0.0)
        self.seed = checked_seed(seed)
        self.convention = choose(convention, ("keras", "torch", "tf1"), "convention")
        if self.convention == "torch":
            reach = BOUND + 2 * self.stddev
            check_float(self.mean, "mean", low=-reach, high=reach)

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Draw."""
        if self.convention == "torch":
            return self._between_bounds(shape, dtype, generator)
        return generator.truncated_normal(shape, self.mean, self.stddev, dtype)

    def _between_bounds(
        self, shape: tuple[int, ...], dtype: str, generator: _core.Generator
    ) -> Tensor:
        """Draw until all are between the bounds; from a wide law by its density over them."""
        values = np.empty(shape, dtype).reshape(-1)
        wide, top = self.stddev > BOUND, np.clip(self.mean, -BOUND, BOUND)
        missing = np.arange(values.size)
        while missing.size:
            count = (missing.size,)
            if wide:
                drawn = generator.uniform(count, -BOUND, BOUND, "float64").numpy()
                far = ((drawn - self.mean) ** 2 - (top - self.mean) ** 2) / (2 * self.stddev**2)
                kept = generator.uniform(count, 0.0, 1.0, "float64").numpy() < np.exp(-far)
            else:
                drawn = generator.normal(count, self.mean, self.stddev, "float64").numpy()
                kept = np.abs(drawn) <= BOUND
            values[missing[kept]] = drawn[kept]
            missing = missing[~kept]
        return _core.tensor(values.reshape(shape), dtype=dtype)


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
