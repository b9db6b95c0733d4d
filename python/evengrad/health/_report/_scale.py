"""Axes: from values to places in a picture, and the ticks between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# On a linear axis, values that span more would lie on its edge.
LOG_FROM = 30.0
# Decades that a logarithmic axis shows, from the largest value down.
MOST_DECADES = 14


@dataclass(frozen=True)
class Scale:
    """An axis: values from `low` to `high` lie from `begin` to `end`."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, values: Any) -> Array:
        """Return where values lie; NaN where they have no place."""
        given = np.asarray(values, np.float64)
        low, high = self.low, self.high
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.log:
                given = np.log10(np.where(given > 0, np.maximum(given, low), np.nan))
                low, high = math.log10(low), math.log10(high)
            placed: Array = self.begin + (given - low) / (high - low) * (self.end - self.begin)
        return np.where(np.isfinite(placed), placed, np.nan)

    def ticks(self, most: int = 5) -> list[float]:
        """Return values that are easily read, at most so many."""
        return (
            log_ticks(self.low, self.high, most) if self.log else ticks(self.low, self.high, most)
        )


def spans_decades(values: Array) -> bool:
    """Tell whether values are seen better on a logarithmic axis."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and finite.min() > 0 and finite.max() > LOG_FROM * finite.min())


def scale_of(values: Array, begin: float, end: float, log: bool = False) -> Scale:
    """Return an axis on which all finite values lie, with a little room around them."""
    finite = values[np.isfinite(values)]
    # Differences of the largest numbers are none.
    finite = np.clip(finite, -1e300, 1e300)
    if log:
        finite = finite[finite > 0]
    if not finite.size:
        return Scale(0.1 if log else 0.0, 1.0, begin, end, log)
    low, high = float(finite.min()), float(finite.max())
    if log:
        low = max(low, high * 10.0**-MOST_DECADES, 1e-300)
        high = max(high, 1e-299)
        if high < low * 1.5:
            low, high = low / 2, high * 2
        return Scale(low / (high / low) ** 0.04, high * (high / low) ** 0.04, begin, end, log)
    room = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    # Where nothing is below 0, the axis is not either.
    bottom = 0.0 if 0 <= low < 0.5 * high else low - room
    return Scale(max(bottom, 0.0) if low >= 0 else bottom, high + room, begin, end, log)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * one for one in (1, 2, 5, 10) if power * one >= rough), power * 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return powers of ten; 2 and 5 times these where that leaves fewer than two."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    inside = [e for e in range(first, last + 1) if low * 0.999 <= 10.0**e <= high * 1.001]
    if len(inside) >= 2:
        return [10.0**e for e in inside[:: math.ceil(len(inside) / most)]]
    finer = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 5)]
    found = [one for one in finer if low <= one <= high]
    return found if len(found) >= 2 else ticks(low, high, 3)
