"""Fewer points of long trainings: what stands out stays."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def kept_points(series: list[Array], most: int) -> Array:
    """Return the places of at most about so many points, the extremes of each stretch included.

    Of all series alike, which have their x in common.
    """
    count = len(series[0]) if series else 0
    if count <= most:
        return np.arange(count)
    stretches = max(1, most // (2 * len(series)))
    kept = {0, count - 1}
    for places in np.array_split(np.arange(count), stretches):
        for values in series:
            part = values[places]
            finite = np.flatnonzero(np.isfinite(part))
            if finite.size:
                kept.add(int(places[finite[part[finite].argmin()]]))
                kept.add(int(places[finite[part[finite].argmax()]]))
            if finite.size < len(part):
                # A gap stays one.
                kept.add(int(places[~np.isfinite(part)][0]))
    return np.array(sorted(kept))


def stretches_of(epochs: Array, most: int) -> list[Array]:
    """Return the places of samples in stretches of the same length, at most so many.

    Of whole epochs, or of equal parts of one, where each epoch has as many samples.
    """
    count = len(epochs)
    size = -(-count // most)
    each = int((epochs == epochs[0]).sum())
    if count % each == 0 and bool((epochs.reshape(-1, each) == epochs[::each, None]).all()):
        size = next((one for one in range(size, each) if each % one == 0), -(-size // each) * each)
    return [np.arange(begin, min(begin + size, count)) for begin in range(0, count, size)]


def averaged(values: Array, stretches: list[Array], log: bool) -> Array:
    """Return the means of stretches of rows, geometric ones with `log`; NaN where all is NaN."""
    found = np.full((len(stretches), values.shape[1]), np.nan)
    for row, places in enumerate(stretches):
        part = np.where(np.isfinite(values[places]), values[places], np.nan)
        if log:
            part = np.where(part < 0, np.nan, part)
        known = ~np.isnan(part)
        if log:
            counted = known & (part > 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                total = np.where(counted, np.log(np.where(counted, part, 1.0)), 0.0).sum(axis=0)
                means = np.exp(total / counted.sum(axis=0))
            # Zeros alone are zero.
            found[row] = np.where(
                counted.any(axis=0), means, np.where(known.any(axis=0), 0, np.nan)
            )
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                found[row] = np.where(known, part, 0.0).sum(axis=0) / known.sum(axis=0)
    return found


def spread_out(count: int, most: int) -> Array:
    """Return at most so many places out of `count`, evenly, the first and the last among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))
