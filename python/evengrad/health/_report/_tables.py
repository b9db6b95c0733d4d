"""The tables of the report: the model, how it was trained, and what ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.units import show_bytes
from evengrad._common.versions import versions
from evengrad.health._report._markup import LONGEST_TEXT, Markup, element, shortened, table
from evengrad.layers._symbolic import show_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

# Layers that the summary of a model lists.
MOST_LAYERS = 400


def model_table(summary: Any) -> Markup:
    """Return a `Summary` as a table; None where there is no model."""
    if summary is None:
        return element("p", "The history does not know its model.", class_="card note")
    rows = [
        [
            shortened(row.layer),
            shortened(show_shape(row.output_shape)),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            show_bytes(row.memory),
        ]
        for row in summary.rows[:MOST_LAYERS]
    ]
    left = len(summary.rows) - len(rows)
    frozen = summary.parameters - summary.trainable
    counts = f"{summary.parameters:,} parameters ({summary.trainable:,} trainable, {frozen:,} not)"
    totals = (
        f"{counts}, {show_bytes(summary.memory)}, {summary.multiply_adds:,} multiply-adds per row"
    )
    return element(
        "div",
        table(
            ["layer", "output shape", "parameters", "multiply-adds", "memory"],
            rows,
            "Layers of the model",
            numbers=2,
        ),
        element("p", f"and {left} more layers") if left else "",
        element("p", totals, class_="note"),
        class_="card full",
    )


def settings_table(title: str, settings: Mapping[str, object]) -> Markup:
    """Return names and values in two columns."""
    rows = [[shortened(name), shortened(value, LONGEST_TEXT)] for name, value in settings.items()]
    return element(
        "div",
        element("h3", title),
        table(["name", "value"], rows, title, numbers=2),
        class_="card settings",
    )


def versions_table() -> Markup:
    """Return what is running."""
    return settings_table("Versions", versions())
