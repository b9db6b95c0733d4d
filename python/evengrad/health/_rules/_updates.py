"""Updates that are too large or too small for the weights that they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import (
    CONSTANT,
    FIRST,
    large_targets,
    learned,
    middle,
    onset,
    series,
    tail,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import Examination, LayerFacts
    from evengrad.health._thresholds import Thresholds

    Array = np.ndarray[Any, Any]

# Optimizers whose steps are as large as the rate, whatever the gradient.
ADAPTIVE = ("adam", "rmsprop", "nadam", "adamax", "adamw", "lion", "adadelta", "ftrl")
# How many times as large updates of heads may be, for their size, as those of hidden layers.
HEADS = 10
# Gradients of healthy nets have a norm of 0.2 to 30; below this, they are what is small.
SMALL_GRADIENT = 1e-2
# Clipping that leaves less than this share of the gradient is what makes updates small.
CLIPPED_AWAY = 1e-2


def large_updates(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find kernels that a step changes by a large part of themselves."""
    ratios = series(examination, "update_ratio")
    limits = np.array([_limit(layer, thresholds) for layer in examination.layers])
    over = ratios > limits
    sick: Array = over & _lasting(over, ratios, examination)
    if not sick.any():
        return
    sample = int(np.flatnonzero(sick.any(axis=1))[0])
    worst = int(np.argmax(np.where(sick[sample], ratios[sample] / limits, 0)))
    value = float(ratios[sample, worst])
    # A kernel that a penalty has made small by then is changed by large parts of itself.
    shrunk = examination.layers[worst].penalized and sample > len(ratios) // 4
    outside = [at for at, layer in enumerate(examination.layers) if not layer.head]
    harmless = not sick[:, outside].any() and _fell(examination)
    cause = "labels" if large_targets(examination, thresholds.input_scale) else "learning_rate"
    if shrunk:
        cause = "regularization"
    yield Finding(
        "large_updates",
        examination.layers[worst].path,
        value,
        float(limits[worst]),
        onset(examination, np.asarray(sick.any(axis=1))),
        "note" if shrunk or harmless else "error" if value > 1 else "warning",
        cause,
    )


def _limit(layer: LayerFacts, thresholds: Thresholds) -> float:
    if layer.initializer in CONSTANT:
        # Where a kernel begins at 0 its first update is infinitely large, and no fault.
        return float("inf")
    # A table of embeddings begins far smaller than it ends.
    scale_free = layer.normalized or layer.kind == "Embedding"
    return thresholds.large_normalized_update if scale_free else thresholds.large_update


def _fell(examination: Examination) -> bool:
    """Tell whether the loss has become less, so that a head's large updates did no harm."""
    loss = np.asarray(examination.loss)
    return bool(len(loss)) and bool(np.median(loss[tail(len(loss))]) < np.median(loss[:FIRST]))


def _lasting(over: Array, ratios: Array, examination: Examination) -> Array:
    """Tell for each layer whether its large updates are more than chance."""
    # One step may be odd, one that changes the kernel by more than itself is not.
    often = (over.sum(axis=0) >= min(2, len(over))) | (ratios > 1).any(axis=0)
    # Updates of a normalized kernel are at right angles to it: it grows until they are small.
    still = over[tail(len(over))].any(axis=0)
    normalized = np.array([layer.normalized for layer in examination.layers])
    found: Array = np.where(normalized, still & often, often)
    return found


def small_updates(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find nets all of whose kernels hardly move: no layer learns."""
    typical = middle(series(examination, "update_ratio"))
    moving = [
        at
        for at, layer in enumerate(examination.layers)
        if layer.has_kernel and layer.trainable and np.isfinite(typical[at])
    ]
    inside = [at for at in moving if not examination.layers[at].head]
    if not moving:
        return
    largest = float(typical[inside or moving].max())
    # Heads have few weights, and gradients that no layer has made smaller.
    outside = [at for at in moving if at not in inside and not _begins_at_0(examination, at)]
    headlong = max((float(typical[at]) for at in outside if inside), default=0.0)
    if largest >= thresholds.small_update or headlong >= HEADS * thresholds.small_update:
        return
    if learned(examination, thresholds.learned):
        return
    yield Finding(
        "small_updates",
        None,
        largest,
        thresholds.small_update,
        int(examination.steps[0]) if len(examination.steps) else None,
        "warning",
        _cause_of_small(examination),
    )


def _begins_at_0(examination: Examination, at: int) -> bool:
    return examination.layers[at].initializer in CONSTANT


def _cause_of_small(examination: Examination) -> str:
    training = examination.training
    left = examination.clipped
    if training.clips and len(left) and np.median(left) < CLIPPED_AWAY:
        return "optimizer"
    if training.optimizer.lower() in ADAPTIVE or not len(examination.gradient_norm):
        return "learning_rate"
    small = np.median(examination.gradient_norm) < SMALL_GRADIENT
    # Neither the rate nor clipping: what comes back through the layers is next to nothing.
    return "activation" if small else "learning_rate"
