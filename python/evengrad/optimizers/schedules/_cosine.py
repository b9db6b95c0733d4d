"""Schedules along a cosine."""

from __future__ import annotations

import math

from evengrad._common.checks import check_float, check_int
from evengrad.optimizers.schedules._schedule import Decay, Schedule, to_power


class CosineDecay(Decay):
    """Fall along half a wave: η = η₀ · [(1 − α) · ½ (1 + cos(π · min(step, T) / T)) + α].

    With a warm-up, η first goes in a straight line from `initial_learning_rate` to `warmup_target`
    over `warmup_steps`; then it falls from there, counted from the end of the warm-up.

    Parameters
    ----------
    initial_learning_rate
        η₀; where the warm-up begins, if there is one.
    decay_steps
        T, without the warm-up.
    alpha
        What is left at the end, as a share; 0 by default.
    warmup_target
        Where the warm-up leads; None for no warm-up.
    warmup_steps
        Steps of the warm-up.

    Raises
    ------
    ValueError
        A value out of range.

    References
    ----------
    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Examples
    --------
    >>> schedule = eg.optimizers.schedules.CosineDecay(0.0, 100, warmup_target=1.0, warmup_steps=10)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 60, 110, 120)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps)
        self.alpha = check_float(alpha, "alpha", low=0.0)
        self.warmup_target = (
            None if warmup_target is None else check_float(warmup_target, "warmup_target", low=0.0)
        )
        self.warmup_steps = check_int(warmup_steps, "warmup_steps", at_least=0)
        if self.warmup_steps and self.warmup_target is None:
            raise ValueError(
                f"warmup_target: expected where {self.warmup_steps} steps of warm-up lead, got None"
            )

    def __call__(self, step: int) -> float:
        """Return the line of the warm-up, then the cosine."""
        start, peak = self.initial_learning_rate, self.initial_learning_rate
        if self.warmup_target is not None:
            peak = self.warmup_target
            if step < self.warmup_steps:
                return start + (peak - start) * step / self.warmup_steps
            step -= self.warmup_steps
        share = half_wave(min(step, self.decay_steps) / self.decay_steps)
        return peak * ((1.0 - self.alpha) * share + self.alpha)


class CosineDecayRestarts(Schedule):
    """Fall along half a wave, again and again; period i has T · t_mul^i steps.

    η = η₀ · [(1 − α) · m_mul^i · ½ (1 + cos(π · t / period)) + α], t counted within the period.

    Parameters
    ----------
    initial_learning_rate
        η₀.
    first_decay_steps
        T, the first period.
    t_mul
        By what each period is longer than the one before, 1 or more; 2 by default.
    m_mul
        By what each peak is higher or lower; 1 by default.
    alpha
        What is left at the end of a period, as a share; 0 by default.

    Raises
    ------
    ValueError
        A value out of range.

    References
    ----------
    Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Examples
    --------
    >>> schedule = eg.optimizers.schedules.CosineDecayRestarts(1.0, 10)
    >>> [round(schedule(step), 4) for step in (0, 5, 9, 10, 20)]
    [1.0, 0.5, 0.0245, 1.0, 0.5]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self.initial_learning_rate = check_float(
            initial_learning_rate, "initial_learning_rate", low=0.0
        )
        self.first_decay_steps = check_float(
            first_decay_steps, "first_decay_steps", low=0.0, open_low=True
        )
        self.t_mul = check_float(t_mul, "t_mul", low=1.0)
        self.m_mul = check_float(m_mul, "m_mul", low=0.0)
        self.alpha = check_float(alpha, "alpha", low=0.0)

    def __call__(self, step: int) -> float:
        """Return the wave of the period that the step lies in."""
        # Periods are counted off, not found by a logarithm, whose rounding could miss a boundary.
        left, period, number = float(step), self.first_decay_steps, 0
        if self.t_mul == 1.0:
            number, left = int(left // period), left % period
        else:
            while left >= period:
                left, period, number = left - period, period * self.t_mul, number + 1
        share = to_power(self.m_mul, number) * half_wave(left / period)
        return self.initial_learning_rate * ((1.0 - self.alpha) * share + self.alpha)


def half_wave(share: float) -> float:
    """Return 1 at 0 and 0 at 1, along a cosine."""
    return 0.5 * (1.0 + math.cos(math.pi * share))
