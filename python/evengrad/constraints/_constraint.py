"""The base of all constraints, and the simplest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.config import Configured

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Constraint(Configured):
    """Says what becomes of a variable after an update.

    A subclass writes `__call__`. It adds nothing to the loss.

    Examples
    --------
    >>> class Whole(eg.constraints.Constraint):
    ...     def __call__(self, w):
    ...         return w.clamp(-1.0, 1.0)
    >>> layer = eg.layers.Dense(1, kernel_constraint=Whole())
    """

    _is_read = True

    def __call__(self, w: Tensor) -> Tensor:
        """Return the values that take the place of `w`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, w)")

    def _check(self, shape: tuple[int, ...], variable: str) -> None:
        """Raise an error where a variable of that shape cannot be constrained."""


def check_shape(constraint: Any, shape: tuple[int, ...], variable: str) -> None:
    """Raise an error where a variable of that shape cannot be constrained; functions take any."""
    if isinstance(constraint, Constraint):
        constraint._check(shape, variable)  # noqa: SLF001 - no public name, as users derive from it


class NonNeg(Constraint):
    """No weight below 0: w ← max(w, 0).

    Examples
    --------
    >>> eg.constraints.NonNeg()(eg.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __call__(self, w: Tensor) -> Tensor:
        """Return max(w, 0)."""
        return _core.maximum(w, 0.0)
