"""Losses that diverge, stand still, or differ between training and validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import (
    guess_loss,
    heads,
    hidden,
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
    reference = max(least, _floor(examination))
    if not end > thresholds.diverging * reference:
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
        "learning_rate",
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
    # Without the loss of a guess, what stands still may be all that there is to learn.
    severity = "note" if guess is None else "warning"
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
    """Find validation losses that rise while the training loss goes on falling."""
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
    if last > thresholds.overfitting * least and falls and matters:
        yield Finding(
            "overfitting",
            None,
            last / least,
            thresholds.overfitting,
            _step_of_epoch(examination, best + 1),
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
    if left > limit and alike:
        yield Finding(
            "underfitting",
            None,
            left,
            limit,
            _step_of_epoch(examination, len(loss) - 1),
            "warning",
            _cause_of_underfitting(examination, thresholds),
        )


def _is_narrow(examination: Examination) -> bool:
    """Tell whether a hidden layer has fewer units than the outputs."""
    outputs = max((examination.layers[at].units for at in heads(examination)), default=0)
    return any(0 < examination.layers[at].units < outputs for at in hidden(examination))


def _cause_of_underfitting(examination: Examination, thresholds: Thresholds) -> str:
    layers, ratios = examination.layers, late(examination, "update_ratio")
    if np.isfinite(ratios).any() and np.nanmax(ratios) < thresholds.small_update:
        # A schedule has taken the rate away before anything was learned.
        return "learning_rate"
    held = any(layer.penalized or layer.dropout >= HEAVY_DROPOUT for layer in layers)
    return "regularization" if held else "architecture"


def _curve(examination: Examination, name: str) -> Array:
    return np.asarray(examination.curves.get(name, []), np.float64)


def _step_of_epoch(examination: Examination, epoch: int) -> int | None:
    """Return the first watched step of an epoch."""
    at = np.flatnonzero(np.asarray(examination.epochs) >= epoch)
    if len(at):
        return int(examination.steps[at[0]])
    return int(examination.steps[-1]) if len(examination.steps) else None
