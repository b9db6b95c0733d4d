"""Columns of numbers on one scale, with missing ones in the middle of those that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array

SCALINGS = ("standard", "quantile")
# As many as scikit-learn's QuantileTransformer keeps by default.
QUANTILES = 1000
# Where the ends of a normal distribution are cut off, as probabilities; as there.
TAIL = 1e-7


class Statistics(NamedTuple):
    """What is kept of the numbers in a column."""

    median: float
    mean: float
    # 1 where all values are one.
    scale: float
    # In equal steps of probability from 0 to 1; none where they are not asked for.
    quantiles: Array
    has_missing: bool


def check_scaling(numeric: Any) -> None:
    """Raise an error for an argument that names no way of scaling."""
    if numeric is not None and numeric not in SCALINGS:
        raise ValueError(f"numeric: expected 'standard', 'quantile' or None, got {numeric!r}")


def known_numbers(values: Array, where: str) -> tuple[Array, Array]:
    """Return which values are missing, and those that are not; an error where one is infinite."""
    missing = np.isnan(values)
    known = values[~missing] if missing.any() else values
    if not np.isfinite(known).all():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(
            f"{where}: expected finite numbers, or NaN for missing ones, got {values[row]} in row "
            f"{row}; replace it, by NaN where the value is not known"
        )
    return missing, known


def measure(values: Array, where: str, numeric: str | None) -> Statistics:
    """Return the statistics of a column; one without a known value counts as zeros."""
    missing, known = known_numbers(values, where)
    count = min(QUANTILES, len(values)) if numeric == "quantile" else 0
    if not known.size:
        return Statistics(0.0, 0.0, 1.0, np.zeros(count), True)
    quantiles = np.percentile(known, 100 * np.linspace(0, 1, count)) if count else np.zeros(0)
    # Rounding may leave them a little out of order.
    quantiles = np.maximum.accumulate(quantiles)
    mean, deviation = float(known.mean()), deviation_of(known)
    # What rounding leaves of a constant column, as in scikit-learn: by the bound of Chan, Golub and
    # LeVeque, "Algorithms for computing the sample variance", 1983.
    if deviation <= known.size * float(np.finfo("float64").eps) * abs(mean):
        deviation = 1.0
    return Statistics(float(np.median(known)), mean, deviation, quantiles, bool(missing.any()))


def deviation_of(values: Array) -> float:
    """Return the standard deviation, also where squares are larger than numbers can be."""
    with np.errstate(over="ignore"):
        deviation = float(values.std())
    if not np.isfinite(deviation):
        size = np.abs(values).max()
        deviation = float(size * (values / size).std())
    return deviation


def scale(values: Array, statistics: Statistics, numeric: str | None) -> Array:
    """Return numbers without missing ones on the scale that is asked for."""
    if numeric == "quantile":
        return to_normal(values, statistics.quantiles)
    if numeric == "standard":
        return (values - statistics.mean) / statistics.scale
    return values


def to_normal(values: Array, quantiles: Array) -> Array:
    """Return numbers as quantiles of the normal distribution, in the place of their own.

    Between two known quantiles by a straight line; where several are one, as a value that occurs
    often has them, in their middle. Beyond the ends it is where the normal distribution has 1e-7.
    """
    lowest, highest = quantiles[0], quantiles[-1]
    if lowest == highest:
        return np.zeros_like(values)
    steps = np.linspace(0, 1, len(quantiles))
    from_below = np.interp(values, quantiles, steps)
    from_above = -np.interp(-values, -quantiles[::-1], -steps[::-1])
    share = (from_below + from_above) / 2
    share[values <= lowest], share[values >= highest] = 0.0, 1.0
    # scikit-learn requires SciPy; its import takes as long as a hundred of these.
    from scipy.special import ndtri

    normal: Callable[[Array], Array] = ndtri
    return normal(np.clip(share, TAIL, 1 - TAIL))


def unscale(values: Array, statistics: Statistics, numeric: str | None) -> Array:
    """Return the numbers that `scale` makes these of; quantiles beyond the ends are the ends."""
    if numeric == "quantile":
        from scipy.special import ndtr

        known = statistics.quantiles
        found: Array = np.interp(ndtr(values), np.linspace(0, 1, len(known)), known)
        return found
    if numeric == "standard":
        return values * statistics.scale + statistics.mean
    return values


def fitting(values: Array, dtype: str, where: str) -> Array:
    """Return numbers, or raise an error where a dtype does not hold one."""
    largest = float(np.finfo(dtype).max)
    if not (np.abs(values) <= largest).all():
        raise ValueError(
            f"{where}: expected numbers of at most {largest:.4g} in size, as {dtype} holds them; "
            "scale them, or use dtype='float64'"
        )
    return values
