"""Losses that diverge, stand still, or differ between training and validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import (
    guess_loss,
    heads,
    hidden,
    large_targets,
    late,
    learned,
    onset,
    series,
    tail,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import Examination
    from evengrad.health._thresholds import Thresholds

    Array = np.ndarray[Any, Any]

# Batches over which the loss is smoothed.
WINDOW = 5
# Epochs from which on a curve tells: of a plateau, of overfitting, of underfitting.
PLATEAU_EPOCHS, OVERFITTING_EPOCHS, UNDERFITTING_EPOCHS = 6, 5, 10
# From this part of the loss of a guess on, nothing was learned.
NOTHING = 0.9
# Training loss over validation loss at the end of a net that remembers its rows.
REMEMBERED = 0.7
# A validation loss below this multiple of the training loss is that of a net that is too small, not
# of one that remembers.
ALIKE = 1.25
# The part of the threshold from which on a loss is that of too few units, where a hidden layer has
# fewer than there are outputs.
NARROW = 0.7
# Dropout from this rate on, or a penalty, is the first suspect of underfitting.
HEAVY_DROPOUT = 0.4


def diverging_loss(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find losses that rise well over their least and stay there, and the layer that moved most."""
    loss = np.asarray(examination.loss, np.float64)
    finite = loss[np.isfinite(loss)]
    if len(finite) < 3:
        return
    smooth = _smoothed(loss)
    end = float(np.median(loss[tail(len(loss))]))
    end = float("inf") if not np.isfinite(end) else end
    least = float(np.nanmin(np.where(np.isfinite(smooth), smooth, np.nan)))
    # Losses may come to 0, where every change is large, and below.
    reference = max(least, _floor(examination) or float(np.median(finite[:3])) / 4)
    if reference <= 0 or not end > thresholds.diverging * reference:
        return
    at = int(np.nanargmin(np.where(np.isfinite(smooth), smooth, np.nan)))
    sick = ~(smooth <= thresholds.diverging * reference)
    sick[: at + 1] = False
    step = onset(examination, sick)
    yield Finding(
        "diverging_loss",
        _moved_most(examination, int(np.argmax(sick)) if sick.any() else len(loss) - 1),
        end / reference,
        thresholds.diverging,
        step,
        "error",
        "labels" if large_targets(examination, thresholds.input_scale) else "learning_rate",
    )


def _smoothed(loss: Array) -> Array:
    """Return the median of each loss and the ones before it."""
    padded = np.concatenate([np.full(WINDOW - 1, loss[0]), loss])
    smooth: Array = np.median(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1)
    return smooth


def _floor(examination: Examination) -> float:
    """Return a loss below which changes say little: a quarter of that of a guess."""
    return (guess_loss(examination) or 0.0) / 4


def _moved_most(examination: Examination, sample: int) -> str | None:
    """Return the layer whose update at a sample is farthest over its usual one."""
    ratios = series(examination, "update_ratio")
    if sample >= len(ratios):
        return None
    places = [at for at in hidden(examination) if np.isfinite(ratios[: sample + 1, at]).any()]
    if not places:
        return None
    around = ratios[max(0, sample - WINDOW + 1) : sample + 1]
    usual = np.array([np.nanmedian(ratios[: sample + 1, at]) for at in places])
    peak = np.array([np.nanmax(np.nan_to_num(around[:, at])) for at in places])
    return examination.layers[places[int(np.argmax(peak / np.maximum(usual, 1e-30)))]].path


def plateau(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find training losses that stand still though much is left to learn."""
    loss = _curve(examination, "loss")
    guess = guess_loss(examination)
    if len(loss) < PLATEAU_EPOCHS or learned(examination, thresholds.learned):
        return
    if not np.isfinite(loss).all():
        return
    third = max(2, len(loss) // 3)
    before, after = float(np.min(loss[:-third])), float(np.min(loss[-third:]))
    gain = (before - after) / max(abs(before), 1e-30)
    # What stands still may be all that there is to learn, but not where that is nothing, or where
    # the rate is gone.
    nothing = guess is not None and after > NOTHING * guess
    severity = "warning" if nothing or _is_resting(examination, thresholds) else "note"
    if gain < thresholds.plateau:
        yield Finding(
            "plateau",
            None,
            gain,
            thresholds.plateau,
            _step_of_epoch(examination, len(loss) - third),
            severity,
            "learning_rate",
        )


def overfitting(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find validation losses that rise, or stay high, while the training loss goes on falling."""
    loss, validation = _curve(examination, "loss"), _curve(examination, "val_loss")
    epochs = min(len(loss), len(validation))
    if epochs < OVERFITTING_EPOCHS:
        return
    loss, validation = loss[:epochs], validation[:epochs]
    if not (np.isfinite(loss).all() and np.isfinite(validation).all()):
        return
    best = int(np.argmin(validation))
    last = float(np.median(validation[-3:]))
    least = max(float(validation[best]), 1e-30)
    falls = loss[-1] < loss[best] and loss[-1] < REMEMBERED * last
    # What is far below the loss of a guess has generalized, however it wobbles.
    matters = last > _floor(examination)
    rises = last > thresholds.overfitting * least and falls and matters
    gaps = validation / np.maximum(loss, 1e-30)
    gap = float(np.median(gaps[-3:]))
    high = last > thresholds.learned / 2 * (guess_loss(examination) or np.inf)
    apart = gap > thresholds.generalization_gap and high
    if not rises and not apart:
        return
    began = best + 1 if rises else int(np.argmax(gaps > thresholds.generalization_gap))
    yield Finding(
        "overfitting",
        None,
        last / least if rises else gap,
        thresholds.overfitting if rises else thresholds.generalization_gap,
        _step_of_epoch(examination, began),
        "warning",
        "regularization",
    )


def underfitting(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find training losses that are still near that of a guess after many epochs."""
    loss, guess = _curve(examination, "loss"), guess_loss(examination)
    if len(loss) < UNDERFITTING_EPOCHS or not guess or not np.isfinite(loss[-1]):
        return
    left = float(np.median(loss[-3:])) / guess
    limit = thresholds.underfitting * (NARROW if _is_narrow(examination) else 1)
    validation = _curve(examination, "val_loss")
    alike = not len(validation) or validation[-1] < ALIKE * loss[-1]
    cause = _cause_of_underfitting(examination, thresholds)
    if left > limit and alike:
        yield Finding(
            "underfitting",
            None,
            left,
            limit,
            _step_of_epoch(examination, len(loss) - 1),
            # A net that could learn more by heart, and does not, may know all that there is.
            "note" if cause == "data" else "warning",
            cause,
        )


def _is_narrow(examination: Examination) -> bool:
    """Tell whether a hidden layer has fewer units than the outputs."""
    outputs = max((examination.layers[at].units for at in heads(examination)), default=0)
    return any(0 < examination.layers[at].units < outputs for at in hidden(examination))


def _cause_of_underfitting(examination: Examination, thresholds: Thresholds) -> str:
    layers = examination.layers
    if _is_resting(examination, thresholds):
        return "learning_rate"
    held = any(layer.penalized or layer.dropout >= HEAVY_DROPOUT for layer in layers)
    if held:
        return "regularization"
    weights = sum(layer.fan_in * layer.units for layer in layers if layer.has_kernel)
    rows = 0 if examination.data is None else examination.data.rows
    small = weights < rows or not hidden(examination) or _is_narrow(examination)
    return "architecture" if small else "data"


def _is_resting(examination: Examination, thresholds: Thresholds) -> bool:
    """Tell whether updates have become so small that a schedule must have taken the rate away."""
    ratios = late(examination, "update_ratio")
    return bool(np.isfinite(ratios).any() and np.nanmax(ratios) < thresholds.small_update)


def _curve(examination: Examination, name: str) -> Array:
    return np.asarray(examination.curves.get(name, []), np.float64)


def _step_of_epoch(examination: Examination, epoch: int) -> int | None:
    """Return the first watched step of an epoch."""
    at = np.flatnonzero(np.asarray(examination.epochs) >= epoch)
    if len(at):
        return int(examination.steps[at[0]])
    return int(examination.steps[-1]) if len(examination.steps) else None
