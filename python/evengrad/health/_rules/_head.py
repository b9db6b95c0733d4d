"""Heads and losses that do not fit each other or the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import heads, loss_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import DataFacts, Examination, LayerFacts
    from evengrad.health._thresholds import Thresholds

SHARES = frozenset({"softmax", "log_softmax"})
PROBABILITIES = frozenset({"softmax", "sigmoid", "hard_sigmoid"})
# Heads that put out no negative numbers, with a half where their gradient is 0.
FLAT_BELOW = frozenset({"relu", "relu6", "relu_squared", "threshold"})
# What heads can put out.
REACH = {
    **dict.fromkeys(PROBABILITIES, (0.0, 1.0)),
    **dict.fromkeys(("tanh", "hard_tanh", "softsign"), (-1.0, 1.0)),
    **dict.fromkeys(FLAT_BELOW | {"softplus", "exponential"}, (0.0, np.inf)),
}
# The part of their range by which targets may be out of reach: they are measured with errors.
SLACK = 0.05
DISTANCES = ("squared_error", "absolute_error", "huber", "log_cosh", "logcosh")


def head_loss_mismatch(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find outputs that cannot be what the loss compares with the targets."""
    del thresholds  # They fit, or they do not.
    places = heads(examination)
    if not places:
        if examination.training.refusal is not None:
            yield _finding(None, "loss", "error", 1.0)
        return
    for at in places if len(places) == 1 else []:
        layer = examination.layers[at]
        found = _mismatch(layer, examination)
        if found is not None:
            yield _finding(layer.path, *found)
            return
    if examination.training.refusal is not None:
        yield _finding(examination.layers[places[0]].path, "loss", "error", 1.0)


def _finding(path: str | None, cause: str, severity: str, value: float) -> Finding:
    return Finding("head_loss_mismatch", path, value, 0.0, None, severity, cause)


def _mismatch(head: LayerFacts, examination: Examination) -> tuple[str, str, float] | None:
    """Return cause, severity and value of what does not fit."""
    training, data = examination.training, examination.data
    loss = loss_name(examination)
    entropy = "crossentropy" in loss
    if head.function in SHARES and head.units == 1:
        # The share of one unit in itself is 1, whatever it computes.
        return "activation", "error", 1.0
    if entropy and head.function in FLAT_BELOW:
        return "activation", "error", 0.0
    if head.function in PROBABILITIES and training.from_logits:
        return "loss", "error", 1.0
    if entropy and head.function == "linear" and training.from_logits is False:
        return "loss", "error", 0.0
    return None if data is None or not data.rows else _unfit_targets(head, loss, data)


def _unfit_targets(head: LayerFacts, loss: str, data: DataFacts) -> tuple[str, str, float] | None:
    if loss.startswith("sparse") and 0 < head.units < data.classes:
        return "labels", "error", float(data.classes)
    if not any(name in loss for name in DISTANCES):
        return None
    if head.function in PROBABILITIES and data.targets != "numbers" and head.units > 1:
        # Squares of probabilities have gradients that vanish where a net is wrong and sure.
        return "loss", "warning", float(data.classes)
    if data.targets != "numbers":
        return None
    low, high = REACH.get(head.function or "", (-np.inf, np.inf))
    if np.isfinite(data.target_low) and np.isfinite(data.target_high):
        beyond = max(low - data.target_low, data.target_high - high)
        out_of_reach = beyond > SLACK * (data.target_high - data.target_low)
    else:
        # Numbers within two bounds vary by (high − mean) (mean − low) at most.
        mean = data.target_mean
        beyond = max(low - mean, mean - high)
        varies = data.target_std**2 > (high - mean) * (mean - low) if beyond <= 0 else True
        out_of_reach = bool(varies)
    return ("activation", "error", float(beyond)) if out_of_reach else None
