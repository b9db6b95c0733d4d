"""Inputs that are not scaled, and numbers that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad.health._finding import Finding
from evengrad.health._rules._measured import early, hidden, onset, series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.health._examination import Examination
    from evengrad.health._thresholds import Thresholds

# A first layer whose sums are this much smaller than its inputs got them scaled: initial values of
# He, Glorot and LeCun put out about what they get.
SCALED = 0.03


def unscaled_inputs(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find features far larger than 1, and inputs that are all far smaller."""
    data = examination.data
    if data is None or not len(data.mean):
        return
    scales = np.sqrt(data.mean**2 + data.std**2)
    scales = scales[np.isfinite(scales)]
    if (
        not len(scales)
        or not examination.layers
        or _scaled_inside(examination, float(np.sqrt(np.mean(scales**2))))
    ):
        return
    largest = float(scales.max())
    large = largest > thresholds.input_scale
    if not large and not 0 < largest < thresholds.input_scale_floor:
        return
    limit = thresholds.input_scale if large else thresholds.input_scale_floor
    path = examination.layers[0].path
    yield Finding("unscaled_inputs", path, largest, limit, None, "warning", "inputs")


def _scaled_inside(examination: Examination, rms: float) -> bool:
    """Tell whether layers of the model scale the inputs before the first kernel."""
    first = next((at for at, layer in enumerate(examination.layers) if layer.has_kernel), 0)
    if examination.layers[first].input_scaled:
        return True
    sums = early(examination, "preactivation_std")
    return bool(len(sums) and rms > 0 and sums[first] < SCALED * rms)


def non_finite(examination: Examination, thresholds: Thresholds) -> Iterator[Finding]:
    """Find NaN and infinite numbers: in the data, else in the layer or loss that had them first."""
    del thresholds  # One such number is too many.
    data = examination.data
    if data is not None and (data.non_finite_inputs or data.non_finite_targets):
        count = data.non_finite_inputs or data.non_finite_targets
        inputs = bool(data.non_finite_inputs)
        yield Finding(
            "non_finite",
            examination.layers[0].path if inputs and examination.layers else None,
            float(count),
            0.0,
            None,
            "error",
            "inputs" if inputs else "labels",
            tensor="input" if inputs else "loss",
            rows=data.non_finite_rows or None,
        )
        return
    share, loss = series(examination, "non_finite"), examination.loss
    samples = max(len(share), len(loss))
    outputs = np.zeros(samples, bool)
    outputs[: len(share)] = (share > 0).any(axis=1)
    sick = outputs.copy()
    sick[: len(loss)] |= ~np.isfinite(loss)
    if not sick.any():
        return
    sample = int(np.argmax(sick))
    places = [at for at in hidden(examination) if outputs[sample] and share[sample, at] > 0]
    yield Finding(
        "non_finite",
        examination.layers[places[0]].path if places else None,
        float(share[sample, places[0]]) if places else 1.0,
        0.0,
        onset(examination, sick),
        "error",
        "learning_rate",
        tensor="activation" if places else "loss",
    )
