"""What a doctor measured: heat maps by layer, histograms, steps, and data for the layer picker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._report._heat_map import heat_map, plain_rows
from evengrad.health._report._histogram import histograms
from evengrad.health._report._lines import Line, line_chart
from evengrad.health._report._markup import Markup, element, joined, plain_number, shortened
from evengrad.health._report._thinning import averaged, spread_out, stretches_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evengrad.health._report._chart import Page

Array = np.ndarray[Any, Any]
# Cells of a heat map, and columns and layers of it.
CELLS, COLUMNS, LAYERS = 6000, 96, 240
# Measures with a map of their own: title, whether the scale is logarithmic, what it is.
MAPS = {
    "speed": ("Gradient speed", True, "‖mean of ∂C/∂z‖ / √units, by layer and epoch"),
    "update_ratio": ("Update ratio", True, "‖ΔW‖ / ‖W‖ of a step; about 1e-3 is usual"),
    "dead": ("Dead units", False, "share of the units that no row of the batch activates"),
    "saturated": ("Saturated units", False, "share of (unit, row) on the flat of the activation"),
}
# What the layer picker shows beside these.
PICKED = ("inactive", "activation_mean", "activation_std")


class Measurements:
    """The series of `History.health`, in as many columns and layers as a page shows."""

    def __init__(self, health: Mapping[str, Any], page: Page) -> None:
        self.page = page
        self.health = health
        names = [str(name) for name in health["layers"]]
        self.chosen = spread_out(len(names), page.most(LAYERS))
        self.names = [shortened(names[at]) for at in self.chosen]
        self.left_out = len(names) - len(self.names)
        columns = max(24, min(COLUMNS, CELLS // max(1, len(self.names))))
        self.stretches = stretches_of(np.asarray(health["epoch"]), page.most(columns))
        begins = [int(places[0]) for places in self.stretches]
        self.epochs = np.asarray(health["epoch"], np.float64)[begins] + 1
        self.steps = np.asarray(health["step"], np.float64)[begins]
        # By measure: (layers, columns).
        self.tables = {name: self._table(name) for name in (*MAPS, *PICKED) if self._is_known(name)}

    def _is_known(self, name: str) -> bool:
        return name in self.health and bool(np.isfinite(self.health[name]).any())

    def _table(self, name: str) -> Array:
        values = np.asarray(self.health[name], np.float64)[:, self.chosen]
        log = name in MAPS and MAPS[name][1]
        table: Array = averaged(values, self.stretches, log).T
        return table

    def data(self) -> dict[str, Any]:
        """Return what the script reads."""
        return {
            "layers": self.names,
            "epochs": [plain_number(one) for one in self.epochs],
            "steps": [plain_number(one) for one in self.steps],
            "measures": {name: plain_rows(values) for name, values in self.tables.items()},
        }

    def map_of(self, measure: str) -> Markup:
        """Return the heat map of a measure; a word where nothing was measured."""
        title, log, note = MAPS[measure]
        values = self.tables.get(measure)
        if values is None:
            return element(
                "div",
                element("h3", title),
                element("p", "No layer of this model has any.", class_="note"),
                class_="card",
            )
        # Layers of which nothing is known have no row.
        known = np.flatnonzero(np.isfinite(values).any(axis=1))
        if self.left_out:
            note += f"; {len(known)} of {len(self.names) + self.left_out} layers"
        return heat_map(
            self.page,
            title,
            [self.names[at] for at in known],
            values[known],
            self.epochs,
            layers=known.tolist(),
            measure=measure,
            log=log,
            note=note + (", logarithmic colours" if log else ""),
        )

    def histograms(self) -> Markup:
        """Return how the activations of each layer are distributed."""
        return histograms_of(self.health, self.names, self.chosen)

    def step_charts(self) -> Markup:
        """Return what belongs to steps: the rate, the norm of the gradient, clipping."""
        steps = np.asarray(self.health["step"], np.float64)
        series = {
            name: np.asarray(self.health.get(name, ()), np.float64)
            for name in ("learning_rate", "gradient_norm", "clipped")
        }
        titles = {"learning_rate": "Learning rate", "gradient_norm": "Gradient norm"}
        charts = [
            line_chart(
                self.page,
                title,
                steps,
                [Line(title.lower(), series[name], "s1")],
                x_name="step",
                note=None if name == "learning_rate" else "of all trainable weights together",
            )
            for name, title in titles.items()
            if np.isfinite(series[name]).any()
        ]
        if (series["clipped"] < 1).any():
            charts.append(
                line_chart(
                    self.page,
                    "Clipping",
                    steps,
                    [Line("left of the gradient", series["clipped"], "s1")],
                    x_name="step",
                    log=False,
                    note="share of the gradient's norm that clipping has left",
                )
            )
        return joined(charts)


def histograms_of(health: Mapping[str, Any], names: Sequence[str], chosen: Array) -> Markup:
    """Return the activations of the chosen layers; nothing where nobody counted them."""
    counts, edges = (health.get(f"activation_{name}") for name in ("histogram", "edges"))
    if counts is None or edges is None or not len(counts):
        return Markup("")
    return histograms(
        "Activations by layer",
        names,
        np.asarray(counts, np.float64)[chosen],
        np.asarray(edges, np.float64)[chosen],
        "How the outputs of each layer are distributed after the training.",
    )
