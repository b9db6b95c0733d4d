"""Rows of embeddings that no row of the training was of: of unseen, missing and rare categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from evengrad.sklearn._input_graph import embedding_sizes, names_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.layers import Embedding
    from evengrad.models import Model
    from evengrad.sklearn._data import Rows
    from evengrad.sklearn._encoding import TableEncoder

    # For each categorical column how often each row of its embedding was trained.
    Counts = list[Array]


def counted(encoder: TableEncoder, rows: Rows, before: Counts | None) -> Counts:
    """Return how often rows of embeddings are asked for, by the weights of the data's rows."""
    sizes = [rows for rows, _ in embedding_sizes(encoder)]
    # Numbers come first, where there are some.
    codes = rows.x[-len(sizes) :] if sizes else []
    found = [np.bincount(one, rows.weights, size) for one, size in zip(codes, sizes, strict=True)]
    if before is None:
        return found
    return [one + other for one, other in zip(found, before, strict=True)]


def fill_untrained(model: Model, encoder: TableEncoder, counts: Counts) -> None:
    """Set rows that were not trained to the mean of those that were, by how often they were."""
    for name, trained in zip(names_of(encoder)[1], counts, strict=True):
        is_left = trained <= 0
        if not is_left.any() or is_left.all():
            continue
        vectors = cast("Embedding", model.get_layer(name)).embeddings
        values = np.array(vectors.detach().numpy())
        values[is_left] = np.average(values[~is_left], axis=0, weights=trained[~is_left])
        vectors.copy_(values)
