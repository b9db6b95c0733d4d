"""How the outputs of layers are distributed over data that a report is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from evengrad.health._report._outcomes import arrays_in, cut
from evengrad.health._report._thinning import spread_out

# Rows that are looked at, bars of a histogram, and layers that are run.
ROWS, BINS, MOST = 512, 32, 64


def activations_of(history: Any, x: Any) -> dict[str, Any]:
    """Return histograms as `History.health` has them, where a doctor has left none.

    Of the layers that it watched, or else of all that the model has; those within others have none.
    """
    if x is None or arrays_in(x) is None or "activation_histogram" in history.health:
        return {}
    places = {layer.path: at for at, layer in enumerate(history.model.layers)}
    paths = list(history.health.get("layers", places))
    counts = np.zeros((len(paths), BINS))
    edges = np.full((len(paths), BINS + 1), np.nan)
    rows = cut(x, slice(0, ROWS))
    for row in spread_out(len(paths), MOST):
        if paths[row] not in places:
            continue
        try:
            output = np.asarray(history.model.features(rows, places[paths[row]]), np.float64)
        except ValueError:
            # Of a layer that the model's call does not use, or with outputs of several shapes.
            continue
        finite = output[np.isfinite(output)]
        if finite.size:
            counts[row], edges[row] = np.histogram(finite, bins=BINS)
    return {"layers": paths, "activation_histogram": counts, "activation_edges": edges}
