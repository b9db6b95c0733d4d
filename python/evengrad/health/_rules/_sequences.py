"""Gradients that vanish over the steps of a sequence, inside a recurrent layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import early, first_step, healed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import Examination
    from evengrad.health._thresholds import Thresholds

# Layers whose gates open as they learn: what they pass back at first is no sickness.
GATED = frozenset({"LSTM", "GRU"})
# What has underflown is as small as a float32 can be.
LEAST = 1e-38


def vanishing_sequences(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find recurrent layers whose first steps get next to nothing of the gradient."""
    first, last = (early(examination, f"{which}_step_gradient") for which in ("first", "last"))
    if not len(first):
        return
    with np.errstate(invalid="ignore"):
        ratios = np.where(last > 0, last / np.maximum(first, LEAST), np.nan)
    sick = [at for at in range(len(ratios)) if ratios[at] > thresholds.sequence_ratio]
    if not sick:
        return
    worst = max(sick, key=lambda at: float(ratios[at]))
    layer = examination.layers[worst]
    harmless = layer.kind in GATED or healed(examination)
    yield Finding(
        "vanishing_gradients",
        layer.path,
        float(ratios[worst]),
        thresholds.sequence_ratio,
        first_step(examination),
        "note" if harmless else "warning",
        "architecture",
    )
