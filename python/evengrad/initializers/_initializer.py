"""The base of all initializers, and the simplest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import FLOATS, check_dtype
from evengrad._common.config import Configured
from evengrad._tensor.random import check_seed, next_seed

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Initializer(Configured):
    """Makes the first values of a variable.

    A subclass writes `sample`. Called by a layer, an initializer gets the seed of the model and the
    path of the variable, and draws from a stream of their own: two layers of equal shape never
    start with equal values, and an initializer's own `seed` takes the place of the model's.

    Examples
    --------
    >>> class Alternating(eg.initializers.Initializer):
    ...     def sample(self, shape, dtype, generator):
    ...         return eg.tensor(np.resize([1.0, -1.0], shape), dtype=dtype)
    >>> eg.layers.Dense(2, kernel_initializer=Alternating())(eg.ones((1, 2))).tolist()
    [[2.0, -2.0]]
    """

    seed: int | None = None

    def sample(self, shape: tuple[int, ...], dtype: str, generator: _core.Generator) -> Tensor:
        """Return the values, drawn from `generator`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define sample(shape, dtype, generator)"
        )

    def __call__(
        self, shape: Any, dtype: Any = None, *, seed: int | None = None, path: str = ""
    ) -> Tensor:
        """Return a tensor of first values.

        Parameters
        ----------
        shape
            The shape; a kernel is (in, out).
        dtype
            ``"float32"`` or ``"float64"``; the default dtype if None.
        seed
            Seed of the model; the initializer's own wins.
        path
            Path of the variable, which chooses the stream.

        Returns
        -------
        Tensor
            Fresh, without gradient.
        """
        kind = _core.get_default_dtype() if dtype is None else dtype
        if not (isinstance(kind, str) and kind in FLOATS):
            kind = check_dtype(kind)
        sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
        chosen = self.seed if self.seed is not None else seed
        chosen = next_seed() if chosen is None else chosen
        # As `random.generator` has it, which is a call more for each variable.
        stream = _core.Generator(chosen, _core.derive_stream(chosen, path))
        return self.sample(sizes, kind, stream)


def checked_seed(seed: int | None) -> int | None:
    """Return a seed or None, or raise an error."""
    return None if seed is None else check_seed(seed, "seed")


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
