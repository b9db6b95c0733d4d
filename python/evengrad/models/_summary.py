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
from evengrad.models._network import check_built

if TYPE_CHECKING:
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
    """

    layer: str
    output_shape: Any
    parameters: int
    multiply_adds: int
    memory: int


@dataclass(frozen=True)
class Summary:
    """What `Model.summary` returns; prints as a table.

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
        table = underlined(aligned([self.HEADINGS, *self._cells()], left=(0, 1)))
        return "\n".join([printable(self.name), *table, table[1], *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        totals = "<br>".join(html.escape(line) for line in self._totals())
        table = html_table([self.HEADINGS, *self._cells()], printable(self.name))
        return f"{table}<p>{totals}</p>"


def _row(layer: Layer) -> SummaryRow:
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
    )


def summarize(model: Model) -> Summary:
    """Return the summary of a built model."""
    check_built(model, "summary")
    rows = tuple(_row(layer) for layer in model.layers)
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
