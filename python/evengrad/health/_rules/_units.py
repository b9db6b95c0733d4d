"""Units that no longer learn: saturated ones and dead ones."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import (
    SQUASHING,
    early,
    first_step,
    late,
    learned,
    onset,
    series,
    severity_of_late,
    tail,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import Examination
    from evengrad.health._thresholds import Thresholds

    Array = np.ndarray[Any, Any]

# In deep nets rows come to the same, so that units are on for all of them or for none: half of the
# units are then dead without being ill. From this share of dead units before any training on, ...
DEEP = 0.25
# ... as many standard deviations of the number of such units are no finding.
DEVIATIONS = 3


def saturated_activations(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find layers most of whose units lie in the flat part of their activation."""
    before = _squashed(examination, early(examination, "saturated"))
    at_first = [at for at in _inside(examination) if before[at] > thresholds.saturated_before]
    if at_first:
        # What is behind the first such layer may follow from it.
        yield _finding(
            "saturated_activations",
            examination,
            at_first[0],
            float(before[at_first[0]]),
            thresholds.saturated_before,
            first_step(examination),
            "initializer",
        )
        return
    after = _squashed(examination, late(examination, "saturated"))
    worst = _worst(examination, after)
    if worst is None or learned(examination, thresholds.learned):
        return
    if after[worst] > thresholds.saturated:
        sick = series(examination, "saturated")[:, worst] > thresholds.saturated
        found = _finding(
            "saturated_activations",
            examination,
            worst,
            float(after[worst]),
            thresholds.saturated,
            onset(examination, sick),
            "learning_rate",
        )
        severity = severity_of_late(examination, found.severity, thresholds.large_update)
        yield dataclasses.replace(found, severity=severity)


def dead_units(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find layers most of whose units are 0 in every row."""
    before, after = early(examination, "dead"), _lasting(examination)
    limits = _limits(examination, before, thresholds.dead)
    over = np.where(np.isfinite(after), after - limits, -1.0)
    worst = _worst(examination, over)
    if worst is None or over[worst] <= 0:
        return
    at_first = bool(before[worst] > limits[worst])
    if at_first:
        worst = next(at for at in _inside(examination) if before[at] > limits[at])
    sick = series(examination, "dead")[:, worst] > limits[worst]
    yield _finding(
        "dead_units",
        examination,
        worst,
        float(after[worst]),
        float(limits[worst]),
        first_step(examination) if at_first else onset(examination, sick),
        "initializer" if at_first else "learning_rate",
    )


def _squashed(examination: Examination, share: Array) -> Array:
    """Return the share of layers whose activation is flat on both sides; NaN of others."""
    rows = examination.layers
    return np.where([layer.activation in SQUASHING for layer in rows], share, np.nan)


def _lasting(examination: Examination) -> Array:
    """Return the share of dead units at the end: the least of several batches, for all are few."""
    if examination.after is not None and "dead" in examination.after:
        return np.asarray(examination.after["dead"])
    known = series(examination, "dead")
    if not len(known):
        return early(examination, "dead")
    last = known[tail(len(known))]
    known_here = np.isfinite(last)
    least: Array = np.where(known_here, last, np.inf).min(axis=0)
    return np.where(known_here.any(axis=0), least, np.nan)


def _limits(examination: Examination, before: Array, dead: float) -> Array:
    """Return for each layer from which share on its units are dead."""
    chance = [DEVIATIONS * math.sqrt(0.25 / max(1, layer.units)) for layer in examination.layers]
    return dead + np.where(before > DEEP, chance, 0.0)


def _inside(examination: Examination) -> list[int]:
    return [at for at, layer in enumerate(examination.layers) if not layer.head]


def _worst(examination: Examination, values: Array) -> int | None:
    places = [at for at in _inside(examination) if np.isfinite(values[at])]
    return max(places, key=lambda at: float(values[at])) if places else None


def _finding(
    kind: str,
    examination: Examination,
    at: int,
    value: float,
    limit: float,
    step: int | None,
    cause: str,
) -> Finding:
    severity = "error" if value > (1 + limit) / 2 else "warning"
    return Finding(kind, examination.layers[at].path, value, limit, step, severity, cause)
