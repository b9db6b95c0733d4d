"""The conditions under which SELU nets normalize themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import first_step, hidden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import Examination, LayerFacts
    from evengrad.health._thresholds import Thresholds

# What mean and deviation of most features may be off by; as in `Model.check_selu`, with the
# sampling error of few rows.
TOLERANCE = 0.1


def selu_conditions(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find the first condition that a net of SELU violates: the others follow the same remedy."""
    del thresholds  # A condition holds or not.
    inside = [examination.layers[at] for at in hidden(examination)]
    selu = [layer for layer in inside if layer.function == "selu"]
    if 2 * len(selu) <= len(inside) or not selu:
        return
    conditions = (
        ("regularization", "warning", [layer for layer in inside if layer.dropout > 0]),
        ("initializer", "warning", [layer for layer in selu if not _lecun(layer)]),
        ("activation", "warning", [layer for layer in inside if layer.function != "selu"]),
        ("architecture", "warning", [layer for layer in inside if _around(layer)]),
        ("regularization", "warning", [layer for layer in inside if _held(layer)]),
        ("architecture", "note", [layer for layer in inside if layer.normalized]),
    )
    step = first_step(examination)
    for cause, severity, violating in conditions:
        if violating:
            path, count = violating[0].path, float(len(violating))
            yield Finding("selu_conditions", path, count, 0.0, step, severity, cause)
            return
    off = _off_features(examination)
    if off > 0:
        severity = "warning" if off > 1 / 2 else "note"
        yield Finding("selu_conditions", inside[0].path, off, 0.0, step, severity, "inputs")


def _lecun(layer: LayerFacts) -> bool:
    return (layer.initializer or "").startswith("LecunNormal")


def _around(layer: LayerFacts) -> bool:
    return layer.shortcut or layer.recurrent


def _held(layer: LayerFacts) -> bool:
    return layer.penalized or layer.constrained


def _off_features(examination: Examination) -> float:
    """Return the share of features that are not standardized; constant ones do not count."""
    data = examination.data
    if data is None or not len(data.mean) or examination.layers[0].input_scaled:
        return 0.0
    varying = data.std > 0
    if not varying.any():
        return 0.0
    close = TOLERANCE + 3 / np.sqrt(max(1, data.rows))
    off = (abs(data.mean) > close) | (abs(data.std - 1) > close)
    return float(np.mean(off[varying]))
