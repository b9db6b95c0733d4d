"""The 1cycle schedule."""

from __future__ import annotations

from typing import Any, NamedTuple

from evengrad._common.checks import check_float, check_int
from evengrad._common.config import by_convention
from evengrad._common.names import choose
from evengrad.optimizers.schedules._cosine import half_wave
from evengrad.optimizers.schedules._schedule import Schedule


class _Phase(NamedTuple):
    """What happens between two steps."""

    first: float
    last: float
    rates: tuple[float, float]
    momenta: tuple[float, float]


class OneCycle(Schedule):
    """Rise to a high learning rate, fall again, and end far below the start.

    ``style="geron"``, with N steps: last = N // 10 + 1, half = (N − last) // 2; straight lines from
    max / 10 to max over the first half, back over the second, and from there to a thousandth of the
    start over the rest. ``style="torch"``: a cosine from max / 25 to max, at step 0.3 · N − 1, and
    another down to the start / 10⁴ at step N − 1; with `three_phase`, back to the start as long as
    it rose, and down from there. Past its end it keeps its last value.

    `momentum` is the schedule of the momentum that goes with it: high where the rate is low.

    Parameters
    ----------
    max_learning_rate
        The peak.
    total_steps
        N.
    style
        ``"geron"`` or ``"torch"``.
    div_factor
        The peak over the start; 10, or 25 under ``"torch"``.
    final_div_factor
        The start over the end; 1000, or 10⁴ under ``"torch"``.
    pct_start
        The share of steps that rise, under ``"torch"``.
    anneal_strategy
        ``"cos"`` or ``"linear"``, under ``"torch"``.
    three_phase
        Whether the fall pauses at the start's height, under ``"torch"``.
    max_momentum, base_momentum
        The momentum at the start and the end, and at the peak.

    Raises
    ------
    ValueError
        A value out of range; fewer steps than there are phases.

    References
    ----------
    Smith, "A disciplined approach to neural network hyper-parameters", 2018.

    Examples
    --------
    >>> schedule = eg.optimizers.schedules.OneCycle(1.0, 20)
    >>> [round(schedule(step), 6) for step in (0, 4, 8, 12, 16, 17, 18, 19)]
    [0.1, 0.55, 1.0, 0.55, 0.1, 0.075025, 0.05005, 0.025075]
    >>> [round(schedule.momentum(step), 4) for step in (0, 4, 8, 12, 16, 19)]
    [0.95, 0.9, 0.85, 0.9, 0.95, 0.95]
    >>> optimizer = eg.optimizers.SGD(schedule, momentum=schedule.momentum)
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        style: str = "geron",
        *,
        div_factor: float | None = None,
        final_div_factor: float | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        three_phase: bool = False,
        max_momentum: float = 0.95,
        base_momentum: float = 0.85,
    ) -> None:
        self.style = choose(style, ("geron", "torch"), "style")
        self.max_learning_rate = check_float(max_learning_rate, "max_learning_rate", low=0.0)
        self.total_steps = check_int(total_steps, "total_steps", at_least=3)
        first = by_convention(div_factor, self.style, geron=10.0, torch=25.0)
        self.div_factor = check_float(first, "div_factor", low=0.0, open_low=True)
        last = by_convention(final_div_factor, self.style, geron=1e3, torch=1e4)
        self.final_div_factor = check_float(last, "final_div_factor", low=0.0, open_low=True)
        self.pct_start = check_float(pct_start, "pct_start", low=0.0, high=1.0)
        self.anneal_strategy = choose(anneal_strategy, ("cos", "linear"), "anneal_strategy")
        self.three_phase = bool(three_phase)
        bounds: Any = {"low": 0.0, "high": 1.0, "open_high": True}
        self.max_momentum = check_float(max_momentum, "max_momentum", **bounds)
        self.base_momentum = check_float(base_momentum, "base_momentum", **bounds)
        self._phases = self._in_order()

    def _in_order(self) -> list[_Phase]:
        peak, steps = self.max_learning_rate, self.total_steps
        start = peak / self.div_factor
        end = start / self.final_div_factor
        high, low = self.max_momentum, self.base_momentum
        rise, fall = ((start, peak), (high, low)), ((peak, start), (low, high))
        if self.style == "geron":
            half = (steps - (steps // 10 + 1)) // 2
            return [
                _Phase(0, half, *rise),
                _Phase(half, 2 * half, *fall),
                _Phase(2 * half, steps, (start, end), (high, high)),
            ]
        risen = self.pct_start * steps - 1
        if not self.three_phase:
            return [_Phase(0, risen, *rise), _Phase(risen, steps - 1, (peak, end), (low, high))]
        fallen = 2 * self.pct_start * steps - 2
        return [
            _Phase(0, risen, *rise),
            _Phase(risen, fallen, *fall),
            _Phase(fallen, steps - 1, (start, end), (high, high)),
        ]

    def _place(self, step: int) -> tuple[_Phase, float]:
        """Return the phase that a step lies in, and how much of it has passed."""
        last = self._phases[-1]
        phase = next((phase for phase in self._phases if step <= phase.last), last)
        length = phase.last - phase.first
        share = 1.0 if length <= 0 else min(1.0, (step - phase.first) / length)
        if self.style == "torch" and self.anneal_strategy == "cos":
            share = 1.0 - half_wave(share)
        return phase, share

    def __call__(self, step: int) -> float:
        """Return the learning rate."""
        phase, share = self._place(step)
        first, last = phase.rates
        return first + (last - first) * share

    @property
    def momentum(self) -> OneCycleMomentum:
        """The schedule of the momentum: `max_momentum` to `base_momentum` and back."""
        return OneCycleMomentum(self)


class OneCycleMomentum(Schedule):
    """The momentum that goes with a `OneCycle`; its attribute `momentum` makes it.

    Parameters
    ----------
    cycle
        The schedule of the learning rate.

    Raises
    ------
    TypeError
        `cycle` is no `OneCycle`.

    Examples
    --------
    >>> cycle = eg.optimizers.schedules.OneCycle(1.0, 20)
    >>> eg.optimizers.schedules.OneCycleMomentum(cycle)(8)
    0.85
    """

    def __init__(self, cycle: OneCycle) -> None:
        if not isinstance(cycle, OneCycle):
            raise TypeError(f"cycle: expected a OneCycle, got {cycle!r}")
        self.cycle = cycle

    def __call__(self, step: int) -> float:
        """Return the momentum."""
        phase, share = self.cycle._place(step)  # noqa: SLF001 - both are of this file
        first, last = phase.momenta
        return first + (last - first) * share
