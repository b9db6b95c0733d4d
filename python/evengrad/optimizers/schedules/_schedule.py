"""The base of all schedules."""

from __future__ import annotations

import math

from evengrad._common.checks import check_float
from evengrad._common.config import Configured


class Schedule(Configured):
    """A number as a function of the steps made so far.

    A subclass writes `__call__`, and keeps its arguments under attributes of the same names; then
    it is saved with the model. A plain function serves an optimizer as well.

    Examples
    --------
    >>> class Halving(eg.optimizers.schedules.Schedule):
    ...     def __init__(self, start):
    ...         self.start = start
    ...
    ...     def __call__(self, step):
    ...         return self.start / 2**step
    >>> optimizer = eg.optimizers.SGD(Halving(1.0))
    >>> w = eg.tensor([2.0], requires_grad=True)
    >>> for _ in range(3):
    ...     optimizer.apply_gradients([(eg.tensor([1.0]), w)])
    >>> w.tolist()
    [0.25]
    """

    def __call__(self, step: int) -> float:
        """Return the value for the step that follows `step` others."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step)")


class Decay(Schedule):
    """Base of the schedules that fall from a first rate, in so many steps."""

    def __init__(self, initial_learning_rate: float, decay_steps: float) -> None:
        self.initial_learning_rate = check_float(
            initial_learning_rate, "initial_learning_rate", low=0.0
        )
        self.decay_steps = check_float(decay_steps, "decay_steps", low=0.0, open_low=True)


def to_power(base: float, exponent: float) -> float:
    """Return base^exponent; infinity, which no optimizer takes, where that is too large."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf
