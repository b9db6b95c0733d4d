"""Tables of a model's layers."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad._common.names import printable
from evengrad._common.text_tables import aligned, html_table, underlined
from evengrad._common.units import show_bytes
from evengrad.layers._module import state_of
from evengrad.layers._symbolic import row_size, show_shape
from evengrad.models._network import check_built, graph_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model


@dataclass(frozen=True)
class SummaryRow:
    """One layer of a summary.

    Attributes
    ----------
    layer
        Path and class.
    output_shape
        Rows given as None.
    parameters
        Values in the layer's variables.
    multiply_adds
        Multiplications with addition that one row costs in a forward pass.
    memory
        Bytes of the variables and of one row's output.
    connected_to
        The paths of the layers whose outputs it takes, and the names of the model's inputs; of a
        model that was not drawn none.
    """

    layer: str
    output_shape: Any
    parameters: int
    multiply_adds: int
    memory: int
    connected_to: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Summary:
    """What `Model.summary` prints, and returns: ``str(summary)`` is the table.

    Attributes
    ----------
    name
        The model's name.
    rows
        One `SummaryRow` for each layer.
    parameters
        Values in all variables, each counted once.
    trainable
        Those that training changes.
    multiply_adds
        Multiplications with addition of one row's forward pass; training costs about three times
        as many.
    memory
        Bytes of all variables.
    """

    name: str
    rows: tuple[SummaryRow, ...]
    parameters: int
    trainable: int
    multiply_adds: int
    memory: int

    HEADINGS = ("layer", "output shape", "parameters", "multiply-adds", "memory")

    @property
    def is_chain(self) -> bool:
        """Whether each layer takes the output of the one above it."""
        above = (None, *(row.layer.rpartition(" (")[0] for row in self.rows))
        return all(
            row.connected_to in ((), (path,)) or (path is None and len(row.connected_to) == 1)
            for path, row in zip(above, self.rows, strict=False)
        )

    def _table(self) -> list[tuple[str, ...]]:
        """Return the rows of cells below their headings."""
        if self.is_chain:
            return [self.HEADINGS, *self._cells()]
        connected = [printable(", ".join(row.connected_to)) for row in self.rows]
        lines = zip(self._cells(), connected, strict=True)
        return [(*self.HEADINGS, "connected to"), *((*cells, names) for cells, names in lines)]

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                printable(row.layer),
                show_shape(row.output_shape),
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
                show_bytes(row.memory),
            )
            for row in self.rows
        ]

    def _totals(self) -> tuple[str, ...]:
        frozen = self.parameters - self.trainable
        counts = f"{self.parameters:,} parameters ({self.trainable:,} trainable, {frozen:,} not)"
        return (
            f"{counts}, {show_bytes(self.memory)}",
            f"{self.multiply_adds:,} multiply-adds per row",
        )

    def __str__(self) -> str:
        table = underlined(aligned(self._table(), left=(0, 1, len(self.HEADINGS))))
        return "\n".join([printable(self.name), *table, table[1], *self._totals()])

    def __repr__(self) -> str:
        # Short: where it is shown, `Model.summary` has just printed the table.
        return f"<Summary of {printable(self.name)}: {self._totals()[0]}>"

    def as_html(self) -> str:
        """Return the table for a notebook; all text in it is escaped."""
        totals = "<br>".join(html.escape(line) for line in self._totals())
        return f"{html_table(self._table(), printable(self.name))}<p>{totals}</p>"


def _connections(model: Model) -> dict[int, list[str]]:
    """Return what each layer of a model that was drawn is connected to, by the layer's identity."""
    graph = graph_of(model)
    if graph is None:
        return {}
    several = len(graph.inputs) > 1
    names = {
        id(symbol): symbol.name or (f"input {place}" if several else "input")
        for place, symbol in enumerate(graph.inputs)
    }
    found: dict[int, list[str]] = {}
    for node in graph.nodes:
        if node.layer is None:
            continue
        taken = found.setdefault(id(node.layer), [])
        taken += [names[id(symbol)] for symbol in node.inputs if names[id(symbol)] not in taken]
        for place, symbol in enumerate(node.outputs):
            which = f"[{place}]" if len(node.outputs) > 1 else ""
            names[id(symbol)] = node.layer.path + which
    return found


def _row(layer: Layer, connected_to: Sequence[str]) -> SummaryRow:
    shape = state_of(layer).input_shape
    output = layer.compute_output_shape(shape) if shape is not None else ()
    outputs = output if isinstance(output, list) else [output]
    weights = sum(tensor.size * tensor.itemsize for tensor in layer.weights)
    width = 8 if layer.dtype == "float64" else 4
    return SummaryRow(
        layer=f"{layer.path} ({type(layer).__name__})",
        output_shape=output,
        parameters=layer.count_params(),
        multiply_adds=layer.multiply_adds(shape) if shape is not None else 0,
        memory=weights + width * sum(row_size(one) for one in outputs),
        connected_to=tuple(connected_to),
    )


def summarize(model: Model) -> Summary:
    """Return the summary of a built model."""
    check_built(model, "summary")
    connections = _connections(model)
    rows = tuple(_row(layer, connections.get(id(layer), ())) for layer in model.layers)
    distinct = {id(tensor): tensor for tensor in model.weights}.values()
    trainable = {id(tensor): tensor for tensor in model.trainable_weights}.values()
    return Summary(
        name=f"{model.name} ({type(model).__name__})",
        rows=rows,
        parameters=sum(tensor.size for tensor in distinct),
        trainable=sum(tensor.size for tensor in trainable),
        multiply_adds=sum(row.multiply_adds for row in rows),
        memory=sum(tensor.size * tensor.itemsize for tensor in distinct),
    )
