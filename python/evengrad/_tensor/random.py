"""Seeds and streams: one stream of random numbers for each variable, by seed and path.

A variable's values depend on its model's seed and on its path in the model alone: not on the order
of building, nor on what else drew numbers, nor on the number of threads.
"""

from __future__ import annotations

import contextlib
import random
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_int

if TYPE_CHECKING:
    from collections.abc import Iterator

# Streams are numbered by 64 bits; seeds too.
SEED_LIMIT = 2**63


class _Seeds:
    """The seed of this process, and how many seeds were derived from it."""

    def __init__(self) -> None:
        self.seed: int | None = None
        self.derived = 0
        self.lock = threading.Lock()


_seeds = _Seeds()
# In whose place those of `seeds_from` stand.
_inside: ContextVar[_Seeds | None] = ContextVar("seeds", default=None)


def set_random_seed(seed: int) -> None:
    """Seed everything: models and layers made from now on, `random` and NumPy's global generator.

    Two runs with one seed that make the same models in the same order give the same bits, for any
    number of threads. A model with a `seed` of its own does not depend on this one.

    Parameters
    ----------
    seed
        An integer, 0 or more.

    Raises
    ------
    ValueError
        The seed is negative or not below 2⁶³.

    Examples
    --------
    >>> eg.utils.set_random_seed(7)
    >>> first = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)]).get_weights()
    >>> eg.utils.set_random_seed(7)
    >>> second = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)]).get_weights()
    >>> bool((first[0] == second[0]).all())
    True
    """
    _seeds.seed = check_seed(seed, "seed")
    _seeds.derived = 0
    random.seed(seed)
    # NumPy's global generator takes 32 bits.
    np.random.seed(seed % 2**32)  # noqa: NPY002 - users' code may draw from it


def check_seed(seed: Any, argument: str) -> int:
    """Return a seed as an integer, or raise an error that names the argument."""
    value = check_int(seed, argument, at_least=0)
    if value >= SEED_LIMIT:
        raise ValueError(f"{argument}: expected an integer below 2**63, got {value}")
    return value


def next_seed() -> int:
    """Return the seed of the next model or layer that was given none."""
    seeds = _inside.get() or _seeds
    with seeds.lock:
        if seeds.seed is None:
            # What `secrets` would ask, without the imports that it brings.
            seeds.seed = random.SystemRandom().randrange(SEED_LIMIT)
        seeds.derived += 1
        return int(_core.derive_stream(seeds.seed, f"seed/{seeds.derived}")) % SEED_LIMIT


@contextlib.contextmanager
def seeds_from(seed: int) -> Iterator[None]:
    """Have models and layers made inside that are given no seed follow from this one."""
    seeds = _Seeds()
    seeds.seed = seed
    token = _inside.set(seeds)
    try:
        yield
    finally:
        _inside.reset(token)


def generator(seed: int, path: str) -> _core.Generator:
    """Return the random stream of one variable, one noise layer or one shuffle."""
    return _core.Generator(seed, _core.derive_stream(seed, path))
