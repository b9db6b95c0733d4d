"""The beginning of a net on a table: an input for numbers, an embedding for each category."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import free_name, printable
from evengrad.layers import Concatenate, Embedding, Input

if TYPE_CHECKING:
    from evengrad.layers._symbolic import Symbolic
    from evengrad.sklearn._encoding import TableEncoder


def names_of(encoder: TableEncoder) -> tuple[str | None, list[str]]:
    """Return the name of the input of numbers, if there is one, and those of the embeddings."""
    taken: set[str] = set()

    def name_for(label: Any) -> str:
        # What layers may not be called.
        name = free_name(printable(str(label)).replace("/", "_") or "column", taken)
        taken.add(name)
        return name

    # Before the columns, so that its name is free.
    numbers = name_for("numbers") if encoder.n_numbers_ else None
    return numbers, [name_for(one.name) for one in encoder.columns_ if one.cardinality is not None]


def embedding_sizes(encoder: TableEncoder) -> list[tuple[int, int]]:
    """Return rows and places of the embedding of each categorical column."""
    sizes = ((one.cardinality, one.embedding_size) for one in encoder.columns_)
    return [(rows, places) for rows, places in sizes if rows is not None and places is not None]


def input_graph(encoder: TableEncoder, dtype: str) -> tuple[list[Symbolic], Any]:
    """Return the inputs of a net for what an encoder makes, and their vectors side by side."""
    inputs: list[Symbolic] = []
    parts: list[Any] = []
    numbers, names = names_of(encoder)
    if numbers is not None:
        inputs.append(Input((encoder.n_numbers_,), dtype, name=numbers))
        parts.append(inputs[0])
    for name, size in zip(names, embedding_sizes(encoder), strict=True):
        inputs.append(Input((), dtype, name=name))
        parts.append(Embedding(*size, name=name, dtype=dtype)(inputs[-1]))
    return inputs, Concatenate(dtype=dtype)(parts) if len(parts) > 1 else parts[0]
