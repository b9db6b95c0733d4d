"""Schedules made of others: pieces one after the other, and multiples."""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING

from evengrad._common.checks import check_float, check_int
from evengrad._common.names import choose
from evengrad.optimizers.schedules._schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class PiecewiseConstantDecay(Schedule):
    """Constant between boundaries: ``values[i]`` up to ``boundaries[i]``, the last value after all.

    The conventions differ at a boundary itself: under ``"keras"`` and ``"tf1"`` the step with that
    number has the old value, under ``"torch"`` the new one.

    Parameters
    ----------
    boundaries
        Steps in rising order.
    values
        One more than there are boundaries.
    convention
        ``"keras"``, ``"torch"`` or ``"tf1"``.

    Raises
    ------
    ValueError
        Boundaries that do not rise; a number of values that does not fit.

    Examples
    --------
    >>> for convention in ("keras", "torch"):
    ...     schedule = eg.optimizers.schedules.PiecewiseConstantDecay(
    ...         [2, 4], [1.0, 0.1, 0.01], convention
    ...     )
    ...     print(*[schedule(step) for step in range(6)])
    1.0 1.0 1.0 0.1 0.1 0.01
    1.0 1.0 0.1 0.1 0.01 0.01
    """

    def __init__(
        self, boundaries: Sequence[int], values: Sequence[float], convention: str = "keras"
    ) -> None:
        self.boundaries = check_boundaries(boundaries)
        self.values = [check_float(value, "values", low=0.0) for value in values]
        self.convention = choose(convention, ("keras", "torch", "tf1"), "convention")
        check_pieces("values", len(self.values), len(self.boundaries))

    def __call__(self, step: int) -> float:
        """Return the value of the piece that the step lies in."""
        side = bisect.bisect_right if self.convention == "torch" else bisect.bisect_left
        return self.values[side(self.boundaries, step)]


class Join(Schedule):
    """Schedules one after the other, each counted from where it begins.

    From step ``boundaries[i]`` on, ``schedules[i + 1]`` is asked for ``step - boundaries[i]``.

    Parameters
    ----------
    schedules
        Functions of the step, or numbers for constants.
    boundaries
        Steps in rising order, one less than there are schedules.

    Raises
    ------
    ValueError
        Boundaries that do not rise; a number of schedules that does not fit.
    TypeError
        Something that is neither a number nor a function.

    Examples
    --------
    >>> schedules = eg.optimizers.schedules
    >>> warm_up = schedules.PolynomialDecay(0.0, 4, end_learning_rate=1.0)
    >>> joined = schedules.Join([warm_up, 1.0, schedules.ExponentialDecay(1.0, 1, 0.5)], [4, 6])
    >>> [joined(step) for step in range(9)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, schedules: Sequence[float | Callable[[int], float]], boundaries: Sequence[int]
    ) -> None:
        self.schedules = [
            schedule if callable(schedule) else check_float(schedule, "schedules", low=0.0)
            for schedule in schedules
        ]
        self.boundaries = check_boundaries(boundaries)
        check_pieces("schedules", len(self.schedules), len(self.boundaries))

    def __call__(self, step: int) -> float:
        """Return the value of the schedule that the step lies in."""
        piece = bisect.bisect_right(self.boundaries, step)
        schedule = self.schedules[piece]
        if not callable(schedule):
            return schedule
        return schedule(step - self.boundaries[piece - 1] if piece else step)


class Scaled(Schedule):
    """Another schedule, times a factor: η = factor · schedule(step).

    Parameters
    ----------
    schedule
        A function of the step.
    factor
        What it is multiplied with, 0 or more.

    Raises
    ------
    TypeError
        A schedule that is no function.
    ValueError
        A factor below 0.

    Examples
    --------
    >>> schedules = eg.optimizers.schedules
    >>> halved = schedules.Scaled(schedules.PolynomialDecay(1.0, 4), 0.5)
    >>> [round(halved(step), 3) for step in (0, 2)]
    [0.5, 0.25]
    """

    def __init__(self, schedule: Callable[[int], float], factor: float) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function of the step, got {schedule!r}")
        self.schedule = schedule
        self.factor = check_float(factor, "factor", low=0.0)

    def __call__(self, step: int) -> float:
        """Return the schedule's value times the factor."""
        return self.factor * self.schedule(step)


def check_boundaries(boundaries: Sequence[int]) -> list[int]:
    """Return steps in rising order, or raise an error."""
    steps = [check_int(step, "boundaries", at_least=0) for step in boundaries]
    if any(later <= earlier for earlier, later in itertools.pairwise(steps)):
        raise ValueError(f"boundaries: expected steps in rising order, got {steps}")
    return steps


def check_pieces(argument: str, pieces: int, boundaries: int) -> None:
    """Raise an error unless there is one piece more than there are boundaries."""
    if pieces != boundaries + 1:
        raise ValueError(
            f"{argument}: expected one more than there are boundaries, {boundaries + 1}, got "
            f"{pieces}"
        )
