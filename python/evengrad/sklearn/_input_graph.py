"""The beginning of a net on a table: an input for numbers, an embedding for each category."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import free_name, printable
from evengrad.layers import Concatenate, Embedding, Input

if TYPE_CHECKING:
    from evengrad.layers._symbolic import Symbolic
    from evengrad.sklearn._encoding import TableEncoder


def input_graph(encoder: TableEncoder, dtype: str) -> tuple[list[Symbolic], Any]:
    """Return the inputs of a net for what an encoder makes, and their vectors side by side."""
    taken: set[str] = set()

    def name_for(label: Any) -> str:
        # What layers may not be called.
        name = free_name(printable(str(label)).replace("/", "_") or "column", taken)
        taken.add(name)
        return name

    inputs, parts = [], []
    width = encoder.n_numbers_
    if width:
        # Before the columns, so that its name is free.
        inputs.append(Input((width,), dtype, name=name_for("numbers")))
        parts.append(inputs[0])
    for column in encoder.columns_:
        if column.cardinality is None or column.embedding_size is None:
            continue
        name = name_for(column.name)
        inputs.append(Input((), dtype, name=name))
        layer = Embedding(column.cardinality, column.embedding_size, name=name, dtype=dtype)
        parts.append(layer(inputs[-1]))
    return inputs, Concatenate(dtype=dtype)(parts) if len(parts) > 1 else parts[0]
