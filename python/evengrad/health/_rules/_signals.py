"""Signals that fade or swell on their way through a net; units that all compute the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import (
    CONSTANT,
    LOGISTIC,
    early,
    first_step,
    healed,
    hidden,
    late,
    learned,
    onset,
    paired,
    series,
    severity_of_late,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad.health._examination import Examination
    from evengrad.health._thresholds import Thresholds

    Array = np.ndarray[Any, Any]

# The share of a factor by which a layer at least contributes, so that slow drift over a hundred
# layers is no finding.
LEAST_FACTOR = 1.1


def signal_collapse(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find outputs that fade with the depth, or that come to the same for all rows."""
    for at_first, measured in ((True, early), (False, late)):
        found = _collapsed(examination, thresholds, measured)
        if found is None or (not at_first and learned(examination, thresholds.learned)):
            continue
        layer, value, limit = found
        severity = _severity(examination, thresholds, at_first=at_first)
        if at_first and healed(examination) and not _collapsed(examination, thresholds, late):
            severity = "note"
        yield Finding(
            "signal_collapse",
            examination.layers[layer].path,
            value,
            limit,
            first_step(examination) if at_first else _last_step(examination),
            severity,
            _cause_of_collapse(examination) if at_first else "learning_rate",
        )
        return


def _collapsed(
    examination: Examination,
    thresholds: Thresholds,
    measured: Callable[[Examination, str], Array],
) -> tuple[int, float, float] | None:
    """Return the first layer that has faded, or to which all rows are the same; and its measure."""
    faded = _faded(examination, thresholds, measured(examination, "activation_rms"))
    return faded or _same_rows(examination, thresholds, measured(examination, "row_spread"))


def _faded(
    examination: Examination, thresholds: Thresholds, rms: Array
) -> tuple[int, float, float] | None:
    """Return the first layer whose output is a small part of the first one's, with that part."""
    places = _unnormalized(examination, rms)
    if len(places) < 2 or rms[places[0]] == 0:
        return None
    for at in places[1:]:
        part = float(rms[at] / rms[places[0]])
        if 0 < part < 1 / thresholds.signal_ratio and _steep(examination, places[0], at, part):
            return at, part, 1 / thresholds.signal_ratio
    return None


def _same_rows(
    examination: Examination, thresholds: Thresholds, spread: Array
) -> tuple[int, float, float] | None:
    """Return the first layer for which all rows are the same, with what differs of them."""
    for at in hidden(examination):
        if 0 < spread[at] < thresholds.row_spread:
            return at, float(spread[at]), thresholds.row_spread
    return None


def signal_explosion(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find outputs that swell with the depth."""
    for at_first, measured in ((True, early), (False, late)):
        rms = measured(examination, "activation_rms")
        places = _unnormalized(examination, rms)
        growth = [float(rms[at] / max(rms[places[0]], 1e-300)) for at in places]
        over = [
            at
            for at, times in zip(places, growth, strict=True)
            if times > thresholds.signal_growth and _steep(examination, places[0], at, 1 / times)
        ]
        if not over or (not at_first and learned(examination, thresholds.learned)):
            continue
        facts = [examination.layers[at] for at in places]
        cause = "depth" if all(paired(layer) for layer in facts) else "initializer"
        yield Finding(
            "signal_explosion",
            examination.layers[over[0]].path,
            max(growth),
            thresholds.signal_growth,
            first_step(examination) if at_first else _last_step(examination),
            _severity(examination, thresholds, at_first=at_first),
            cause if at_first else "learning_rate",
        )
        return


def symmetric_units(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find layers whose units are all equal, and stay so because their gradients are."""
    spread, rms = early(examination, "unit_spread"), early(examination, "activation_rms")
    later = late(examination, "unit_spread")
    for at in hidden(examination):
        layer = examination.layers[at]
        if layer.units < 2 or layer.shortcut:
            continue
        nothing = layer.initializer in CONSTANT and rms[at] == 0
        # Dropout tells units apart, slowly; one that stays equal is no unit of its own.
        if nothing or (
            spread[at] < thresholds.unit_spread
            and rms[at] > 0
            and not later[at] > thresholds.unit_spread
        ):
            value = 0.0 if nothing else float(spread[at])
            limit, step = thresholds.unit_spread, first_step(examination)
            yield Finding("symmetric_units", layer.path, value, limit, step, "error", "initializer")
            return


def _unnormalized(examination: Examination, rms: Array) -> list[int]:
    facts = examination.layers
    return [
        at
        for at in hidden(examination)
        if np.isfinite(rms[at])
        and not (facts[at].normalized or facts[at].shortcut or facts[at].recurrent)
    ]


def _steep(examination: Examination, first: int, at: int, part: float) -> bool:
    steps = max(1, examination.layers[at].depth - examination.layers[first].depth)
    return bool(part ** (-1 / steps) > LEAST_FACTOR)


def _cause_of_collapse(examination: Examination) -> str:
    facts = [examination.layers[at] for at in hidden(examination)]
    if 2 * sum(layer.function in LOGISTIC for layer in facts) > len(facts):
        return "activation"
    return "depth" if all(paired(layer) for layer in facts) else "initializer"


def _severity(examination: Examination, thresholds: Thresholds, *, at_first: bool) -> str:
    if at_first:
        return "error"
    return severity_of_late(examination, "error", thresholds.large_update)


def _last_step(examination: Examination) -> int | None:
    known = series(examination, "activation_rms")
    return onset(examination, np.zeros(len(known), bool))
