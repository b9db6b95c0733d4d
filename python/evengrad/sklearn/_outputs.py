"""What a model puts out for rows that were checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models import Model

# Rows computed at a time: few enough that what layers make of them stays in the caches.
BLOCK = 4096


def outputs_of(model: Model, x: Any) -> Array:
    """Return the outputs for rows in the model's dtype."""
    if type(x) is np.ndarray and 0 < len(x) <= BLOCK:
        # From a capture, without what `predict` does for large data and for callbacks.
        recording = _core.set_recording(False)
        try:
            # A copy, as callers may write into what they get.
            found: Array = np.array(model(x).numpy())
        finally:
            _core.set_recording(recording)
        return found
    outputs: Array = model.predict(x, batch_size=BLOCK, verbose=0, check_finite=False)
    return outputs


def logits_of(model: Model, x: Any) -> Array | None:
    """Return the only output before its activation; None where the model is a class of a user."""
    parts = (
        [x] if isinstance(x, list) else [x[at : at + BLOCK] for at in range(0, x.shape[0], BLOCK)]
    )
    recording = _core.set_recording(False)
    try:
        return np.concatenate([_raw(model, part) for part in parts])
    except NotImplementedError:
        return None
    finally:
        _core.set_recording(recording)


def _raw(model: Model, x: Any) -> Array:
    rows = x.toarray() if hasattr(x, "toarray") else x
    if isinstance(rows, list):
        inputs: Any = [_core.tensor(np.ascontiguousarray(one)) for one in rows]
    else:
        inputs = _core.tensor(np.ascontiguousarray(rows))
    raw: Array = model.call_without_activation(inputs).numpy()
    return raw
