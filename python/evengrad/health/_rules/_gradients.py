"""Gradients that vanish or explode over the depth of a net, or over the steps of a sequence."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import (
    LOGISTIC,
    early,
    first_step,
    heads,
    healed,
    hidden,
    learned,
    middle,
    onset,
    paired,
    samples_of_the_beginning,
    series,
    severity_of_late,
    tail,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import Examination
    from evengrad.health._thresholds import Thresholds

    Array = np.ndarray[Any, Any]

# What a ratio that is only there at the end is over, as a multiple of the threshold: mean gradients
# of nets that learn are small differences of large numbers.
AROSE = 10
# Samples that stand for the end of a long training.
MOST_LAST = 25
# Speeds are compared by their logarithms; what has underflown is as small as a float32 can be.
LEAST = 1e-38


def unstable_gradients(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find gradients that fall or rise geometrically from the last hidden layer to the first.

    s_l = ‖mean of dC/dz_l‖, fitted as ln s_l = a + b · l over the depth l.
    """
    places = _path(examination)
    depths = sorted({examination.layers[at].depth for at in places})
    if len(depths) < 2:
        return
    normalized = any(examination.layers[at].normalized for at in places)
    limit = thresholds.normalized_gradient_ratio if normalized else thresholds.gradient_ratio
    samples = list(_samples(examination))
    before = _before(examination)
    first = samples[: samples_of_the_beginning(examination)] if before is None else [before]
    if not first:
        return
    span = depths[-1] - depths[0]
    beginning = _usual_fall(examination, places, normalized, first)
    last = samples[tail(len(samples))]
    end = _usual_fall(examination, places, normalized, last[:: -(-len(last) // MOST_LAST) or 1])
    if _beyond(beginning, limit, span, thresholds):
        found = _unstable(examination, places, beginning, limit, span, first_step(examination))
        well = healed(examination) and not _beyond(end, limit, span, thresholds)
        yield dataclasses.replace(found, severity="note") if well else found
        return
    if learned(examination, thresholds.learned):
        return
    if _beyond(end, limit * AROSE, span, thresholds):
        falls = np.array([_fall(examination, places, normalized, sample) for sample in samples])
        sick = np.array([_beyond(fall, limit * AROSE, span, thresholds) for fall in falls])
        step = onset(examination, sick & (np.sign(falls) == np.sign(end)))
        found = _unstable(examination, places, end, limit, span, step, cause="learning_rate")
        severity = severity_of_late(examination, found.severity, thresholds.large_update)
        yield dataclasses.replace(found, severity=severity)


def _usual_fall(
    examination: Examination,
    places: list[int],
    normalized: bool,
    samples: list[tuple[Array, Array]],
) -> float:
    """Return the median over samples of ln(s_last / s_first)."""
    falls = [_fall(examination, places, normalized, sample) for sample in samples]
    return float(np.median(falls)) if falls else 0.0


def _path(examination: Examination) -> list[int]:
    """Return the layers that the gradient has no way around; frozen ones say nothing."""
    facts = examination.layers
    return [
        at
        for at in hidden(examination)
        if facts[at].trainable and not facts[at].shortcut and not facts[at].recurrent
    ]


def _samples(examination: Examination) -> Iterator[tuple[Array, Array]]:
    """Yield speed and kernel's gradient of each watched step."""
    speeds, gradients = series(examination, "speed"), series(examination, "kernel_gradient")
    yield from zip(speeds, gradients, strict=False)


def _before(examination: Examination) -> tuple[Array, Array] | None:
    """Return speed and kernel's gradient over all rows before the first step, where known."""
    known = examination.before or {}
    both = known.get("speed"), known.get("kernel_gradient")
    if both[0] is None or both[1] is None or not (np.nan_to_num(both[0]) > 0).sum() > 1:
        # Below a head that begins at 0 no gradient passes before the first step.
        return None
    return both[0], both[1]


def _fall(
    examination: Examination, places: list[int], normalized: bool, sample: tuple[Array, Array]
) -> float:
    """Return ln(s_last / s_first); 0 where layers disagree about the direction."""
    facts = examination.layers
    if normalized:
        # Below a batch normalization the mean of dC/dz is 0: kernels' gradients tell instead.
        sizes = np.array([max(1, layer.fan_in * layer.units) for layer in facts])
        return _fitted(examination, places, sample[1] / np.sqrt(sizes))
    widths = np.sqrt([max(1, layer.units) for layer in facts])
    # In nets that narrow or widen, speeds by unit and speeds by layer both have a slope.
    by_unit = _fitted(examination, places, sample[0])
    by_layer = _fitted(examination, places, sample[0] * widths)
    return _smaller(by_unit, by_layer)


def _fitted(examination: Examination, places: list[int], values: Array) -> float:
    """Return the rise of ln v over the depth, by its ends or a straight line: what is less."""
    by_depth: dict[int, float] = {}
    for at in places:
        depth = examination.layers[at].depth
        if np.isfinite(values[at]):
            # Of parallel branches one that learns is enough.
            by_depth[depth] = max(by_depth.get(depth, LEAST), float(values[at]))
    if len(by_depth) < 2:
        return 0.0
    depths = sorted(by_depth)
    logarithms = [math.log(by_depth[depth]) for depth in depths]
    dropped = _dropped(examination, places)
    kept = [
        logarithm - sum(dropped[above] for above in depths[place:])
        for place, logarithm in enumerate(logarithms)
    ]
    return _smaller(_rise(depths, logarithms), _rise(depths, kept))


def _rise(depths: list[int], logarithms: list[float]) -> float:
    """Return the rise from the first depth to the last, by both or by a line through all."""
    middle_depth, middle_value = sum(depths) / len(depths), sum(logarithms) / len(logarithms)
    off = [depth - middle_depth for depth in depths]
    both = zip(off, logarithms, strict=True)
    slope = sum(x * (y - middle_value) for x, y in both) / sum(x * x for x in off)
    return _smaller(logarithms[-1] - logarithms[0], slope * (depths[-1] - depths[0]))


def _dropped(examination: Examination, places: list[int]) -> dict[int, float]:
    """Return by depth what dropout adds to ln s: it keeps 1 − p, times 1 / (1 − p)."""
    found: dict[int, float] = {}
    for at in places:
        layer = examination.layers[at]
        found[layer.depth] = -0.5 * math.log(max(1e-3, 1 - layer.dropout))
    return found


def _smaller(one: float, other: float) -> float:
    """Return what is closer to 0 of two numbers of one sign, else 0."""
    return 0.0 if one * other <= 0 else min(one, other, key=abs)


def _beyond(fall: float, limit: float, span: int, thresholds: Thresholds) -> bool:
    return abs(fall) > math.log(limit) and abs(fall) / span > math.log(thresholds.gradient_gain)


def _unstable(
    examination: Examination,
    places: list[int],
    fall: float,
    limit: float,
    span: int,
    step: int | None,
    cause: str | None = None,
) -> Finding:
    ratio = math.exp(min(abs(fall), 700))
    return Finding(
        "vanishing_gradients" if fall > 0 else "exploding_gradients",
        examination.layers[places[0]].path,
        ratio,
        limit,
        step,
        "error" if ratio > limit**2 else "warning",
        cause or _cause(examination, places, fall / span),
    )


def _cause(examination: Examination, places: list[int], slope: float) -> str:
    """Return what makes gradients of a new net fall (slope over 0) or rise."""
    facts = [examination.layers[at] for at in places]
    logistic = sum(layer.function in LOGISTIC for layer in facts)
    if slope > 0 and 2 * logistic > len(facts):
        # No initial values save a logistic stack: Glorot's lose a factor of 4 with each layer.
        return "activation"
    if not all(paired(layer) for layer in facts):
        return "initializer"
    # Well-begun layers lose little each: it is their number, or a function that is none of ours.
    own = any(layer.function is None for layer in facts)
    return "activation" if own else "depth"


def exploding_sequences(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find gradients of recurrent kernels that grow with each step of the sequence."""
    # What explodes throws the weights away at once: the beginning counts as much as the rest.
    beginning = early(examination, "kernel_gradient")[None]
    gradients = np.concatenate([beginning, series(examination, "kernel_gradient")])
    recurrent = [at for at in hidden(examination) if examination.layers[at].recurrent]
    last = [at for at in heads(examination) if examination.layers[at].has_kernel]
    if not recurrent or not last:
        return
    # The gradient of the head's kernel is as large as what comes in: without that it tells how
    # large the gradient is that leaves the loss.
    size = np.nan_to_num(early(examination, "activation_rms")[recurrent], nan=1.0)
    with np.errstate(all="ignore"):
        ratios = size * gradients[:, recurrent] / gradients[:, last].max(axis=1, keepdims=True)
    ratios = np.where(np.isfinite(ratios), ratios, np.nan)
    typical = np.fmax(middle(ratios[1:]), ratios[0])
    if not (typical > thresholds.recurrent_gradient).any():
        return
    worst = int(np.nanargmax(typical))
    sick = ratios[1:, worst] > thresholds.recurrent_gradient
    yield Finding(
        "exploding_gradients",
        examination.layers[recurrent[worst]].path,
        float(typical[worst]),
        thresholds.recurrent_gradient,
        onset(examination, sick),
        "error",
        "architecture",
    )
