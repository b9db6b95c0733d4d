"""Schedules that fall by a formula."""

from __future__ import annotations

import math

from evengrad._common.checks import check_float, check_int
from evengrad.optimizers.schedules._schedule import Decay, Schedule, to_power


class ExponentialDecay(Decay):
    """Fall by a factor every so many steps: η = η₀ · rate^(step / steps).

    Parameters
    ----------
    initial_learning_rate
        η₀.
    decay_steps
        Steps in which η falls by one factor.
    decay_rate
        The factor.
    staircase
        Whether the exponent is rounded down, so that η falls at once every `decay_steps`.

    Raises
    ------
    ValueError
        A value out of range.

    References
    ----------
    Senior, Heigold, Ranzato & Yang, "An empirical study of learning rates in deep neural networks
    for speech recognition", 2013.

    Examples
    --------
    >>> schedule = eg.optimizers.schedules.ExponentialDecay(0.1, 10000, 0.1)
    >>> round(schedule(5000), 10)
    0.0316227766
    >>> eg.optimizers.schedules.ExponentialDecay(0.1, 10000, 0.1, staircase=True)(5000)
    0.1
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps)
        self.decay_rate = check_float(decay_rate, "decay_rate", low=0.0)
        self.staircase = bool(staircase)

    def __call__(self, step: int) -> float:
        """Return η₀ · rate^(step / steps)."""
        exponent = step / self.decay_steps
        if self.staircase:
            exponent = math.floor(exponent)
        return self.initial_learning_rate * to_power(self.decay_rate, exponent)


class StepDecay(Schedule):
    """Fall by a factor at every so many steps: η = η₀ · γ^⌊step / size⌋.

    That is `ExponentialDecay` with a staircase, under PyTorch's names for it.

    Parameters
    ----------
    initial_learning_rate
        η₀.
    step_size
        Steps between two falls.
    gamma
        γ; 0.1 by default.

    Raises
    ------
    ValueError
        A value out of range.

    Examples
    --------
    >>> schedule = eg.optimizers.schedules.StepDecay(1.0, 3, gamma=0.5)
    >>> [schedule(step) for step in range(7)]
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    """

    def __init__(self, initial_learning_rate: float, step_size: int, gamma: float = 0.1) -> None:
        self.initial_learning_rate = check_float(
            initial_learning_rate, "initial_learning_rate", low=0.0
        )
        self.step_size = check_int(step_size, "step_size", at_least=1)
        self.gamma = check_float(gamma, "gamma", low=0.0)

    def __call__(self, step: int) -> float:
        """Return η₀ · γ^⌊step / size⌋."""
        return self.initial_learning_rate * to_power(self.gamma, step // self.step_size)


class InverseTimeDecay(Decay):
    """Fall as one over time: η = η₀ / (1 + rate · step / steps).

    Parameters
    ----------
    initial_learning_rate
        η₀.
    decay_steps
        The unit of time.
    decay_rate
        How fast it falls.
    staircase
        Whether step / steps is rounded down.

    Raises
    ------
    ValueError
        A value out of range.

    References
    ----------
    Robbins & Monro, "A stochastic approximation method", 1951.

    Examples
    --------
    >>> eg.optimizers.schedules.InverseTimeDecay(0.1, 5, 0.5)(10)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps)
        self.decay_rate = check_float(decay_rate, "decay_rate", low=0.0)
        self.staircase = bool(staircase)

    def __call__(self, step: int) -> float:
        """Return η₀ / (1 + rate · step / steps)."""
        time = step / self.decay_steps
        if self.staircase:
            time = math.floor(time)
        return self.initial_learning_rate / (1.0 + self.decay_rate * time)


class PowerDecay(Decay):
    """Fall as a power of time: η = η₀ / (1 + step / steps)^c.

    Parameters
    ----------
    initial_learning_rate
        η₀.
    decay_steps
        Steps after which η is η₀ / 2^c.
    c
        The power; 1 by default.

    Raises
    ------
    ValueError
        A value out of range.

    References
    ----------
    Robbins & Monro, "A stochastic approximation method", 1951.

    Examples
    --------
    >>> schedule = eg.optimizers.schedules.PowerDecay(0.1, 100)
    >>> schedule(0), schedule(100), schedule(300)
    (0.1, 0.05, 0.025)
    """

    def __init__(self, initial_learning_rate: float, decay_steps: float, c: float = 1.0) -> None:
        super().__init__(initial_learning_rate, decay_steps)
        self.c = check_float(c, "c", low=0.0)

    def __call__(self, step: int) -> float:
        """Return η₀ / (1 + step / steps)^c."""
        return self.initial_learning_rate / to_power(1.0 + step / self.decay_steps, self.c)


class PolynomialDecay(Decay):
    """Fall to an end along a polynomial: η = (η₀ − η₁) · (1 − step / T)^power + η₁.

    The step is cut off at T. With `cycle`, T is the first multiple of `decay_steps` that is not
    below the step, so that η rises again after each, less high every time.

    Parameters
    ----------
    initial_learning_rate
        η₀.
    decay_steps
        T.
    end_learning_rate
        η₁; 1e-4 by default.
    power
        The power; 1, a straight line, by default.
    cycle
        Whether it begins anew after each T.

    Raises
    ------
    ValueError
        A value out of range.

    References
    ----------
    Liu, Rabinovich & Berg, "ParseNet: looking wider to see better", 2015.

    Examples
    --------
    >>> schedule = eg.optimizers.schedules.PolynomialDecay(1.0, 10, 0.1, power=2.0)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 20)]
    [1.0, 0.325, 0.1, 0.1]
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 1e-4,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        super().__init__(initial_learning_rate, decay_steps)
        self.end_learning_rate = check_float(end_learning_rate, "end_learning_rate", low=0.0)
        self.power = check_float(power, "power", low=0.0)
        self.cycle = bool(cycle)

    def __call__(self, step: int) -> float:
        """Return (η₀ − η₁) · (1 − step / T)^power + η₁."""
        if self.cycle:
            span = self.decay_steps * max(1, math.ceil(step / self.decay_steps))
        else:
            span = self.decay_steps
        left = 1.0 - min(step, span) / span
        above = self.initial_learning_rate - self.end_learning_rate
        return float(above * left**self.power + self.end_learning_rate)
