"""Heads and losses that do not fit each other or the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad._common.names import snake_case
from evengrad.health._finding import Finding
from evengrad.health._rules._measured import ends_of, heads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import DataFacts, Examination, LayerFacts, OutputFacts
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
    unknown = () if examination.data is None else examination.data.unknown_classes
    any_found = False
    for at in places:
        layer = examination.layers[at]
        found = next(
            filter(None, (_mismatch(layer, one) for one in ends_of(layer, examination))), None
        )
        if found is not None:
            rows = unknown if found[0] == "labels" else ()
            yield _finding(layer.path, *found, rows=rows)
            any_found = True
    if any_found or not (examination.training.refusal or unknown):
        return
    path = examination.layers[places[0]].path if places else None
    if not unknown:
        yield _finding(path, "loss", "error", 1.0)
        return
    # Numbers below 0, or above all that a unit stands for in a head that is not known.
    yield _finding(path, "labels", "error", float(len(unknown)), rows=unknown)


def _finding(
    path: str | None, cause: str, severity: str, value: float, rows: tuple[int, ...] = ()
) -> Finding:
    return Finding("head_loss_mismatch", path, value, 0.0, None, severity, cause, rows=rows or None)


def _mismatch(head: LayerFacts, output: OutputFacts) -> tuple[str, str, float] | None:
    """Return cause, severity and value of what does not fit."""
    loss = snake_case(output.loss)
    entropy = "crossentropy" in loss
    if head.function in SHARES and head.units == 1 and loss:
        # The share of one unit in itself is 1, whatever it computes.
        return "activation", "error", 1.0
    if entropy and head.function in FLAT_BELOW:
        return "activation", "error", 0.0
    if head.function in PROBABILITIES and output.from_logits:
        return "loss", "error", 1.0
    if entropy and head.function == "linear" and output.from_logits is False:
        return "loss", "error", 0.0
    data = output.data
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
