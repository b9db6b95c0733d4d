"""Gradient mode: whether operations are recorded on the tape."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from evengrad import _core

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class no_grad:  # noqa: N801 - PyTorch's name; it is written as a function is
    """Leave operations off the tape: a context manager, and a decorator.

    Examples
    --------
    >>> x = eg.tensor([1.0], requires_grad=True)
    >>> with eg.no_grad():
    ...     y = 2.0 * x
    >>> y.requires_grad
    False

    >>> @eg.no_grad()
    ... def double(x):
    ...     return 2.0 * x
    >>> double(x).requires_grad
    False
    """

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> no_grad:  # noqa: PYI034 - `Self` is not in Python 3.10's `typing`
        self._before.append(_core.set_recording(False))
        return self

    def __exit__(self, *_: object) -> None:
        _core.set_recording(self._before.pop())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function, run off the tape."""

        @functools.wraps(function)
        def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
            with no_grad():
                return function(*args, **kwargs)

        return quiet
