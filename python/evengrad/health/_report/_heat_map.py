"""Heat maps: a measure by layer and time, with a scale of colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._report import _chart
from evengrad.health._report._chart import RIGHT, TABLE_ROWS, Page
from evengrad.health._report._markup import (
    Markup,
    element,
    joined,
    place,
    plain_number,
    shortened,
    shown,
    table,
)
from evengrad.health._report._scale import MOST_DECADES
from evengrad.health._report._thinning import spread_out

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]
# Steps of the scale of colours.
SHADES = 12
# Where cells begin, behind the names of the layers, and the widest name in characters.
CELLS_LEFT, NAME = 92, 14


@dataclass(frozen=True)
class Shading:
    """From values to shades: 0 is the lightest, -1 stands for nothing, -2 for exactly zero."""

    low: float
    high: float
    log: bool

    def of(self, values: Array) -> Array:
        """Return the shades of values."""
        low, high = self.low, self.high
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.log:
                part = np.log10(values / low) / math.log10(high / low)
            else:
                part = (values - low) / (high - low)
        steps = np.nan_to_num(part, posinf=1.0, neginf=0.0) * SHADES
        shades = np.clip(steps, 0, SHADES - 1).astype(int)
        if self.log:
            shades = np.where(values == 0, -2, shades)
        return np.where(np.isfinite(values) & ~(self.log & (values < 0)), shades, -1)


def shading_of(values: Array, log: bool) -> Shading:
    """Return a scale of colours for all values; shares have theirs from 0 to 1."""
    if not log:
        return Shading(0.0, 1.0, False)
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return Shading(0.1, 1.0, True)
    high = max(float(positive.max()), 1e-290)
    low = max(float(positive.min()), high * 10.0**-MOST_DECADES)
    return Shading(low, high if high > low * 1.01 else low * 10, True)


def cells(shades: Array) -> Markup:
    """Return one path for each shade: neighbours in a row are drawn together."""
    found: dict[int, list[str]] = {}
    for y, row in enumerate(shades):
        begin = 0
        for x in range(1, len(row) + 1):
            if x == len(row) or row[x] != row[begin]:
                if row[begin] != -1:
                    wide = x - begin
                    found.setdefault(int(row[begin]), []).append(f"M{begin} {y}h{wide}v1h-{wide}z")
                begin = x
    return joined(
        element("path", d="".join(parts), class_="zero" if shade == -2 else f"h{shade}")
        for shade, parts in sorted(found.items())
    )


def heat_map(
    page: Page,
    title: str,
    names: Sequence[str],
    values: Array,
    labels: Array,
    *,
    layers: Sequence[int],
    measure: str,
    log: bool,
    note: str,
) -> Markup:
    """Return a map of (layers, columns) values; `labels` has the epoch of each column.

    `measure` and `layers` are where the script finds the values.
    """
    rows, columns = values.shape
    height = min(22.0, max(3.0, 190.0 / rows))
    top, bottom = 4.0, 4.0 + height * rows
    wide = (RIGHT - CELLS_LEFT) / columns
    shading = shading_of(values, log)
    shades = shading.of(values)
    drawn = element(
        "g",
        cells(shades),
        transform=f"translate({CELLS_LEFT} {place(top)}) scale({wide:.5g} {height:.5g})",
        class_="cells",
    )
    identifier = page.enter(
        {
            "kind": "heat",
            "measure": measure,
            "rows": list(layers),
            "box": [CELLS_LEFT, top, RIGHT, bottom],
            "percent": int(not log),
        }
    )
    said = f"{rows} layers over {columns} stretches of the training, {_chart.range_text(values)}"
    return _chart.card(
        title,
        _chart.picture(
            title,
            said,
            _names(names, height, top),
            drawn,
            _epochs(labels, wide, bottom),
            _key(shading, bottom + 36, bool((shades == -2).any())),
            height=bottom + 66,
        ),
        note=note,
        values=_values(title, names, values, labels, log),
        identifier=identifier,
    )


def _names(names: Sequence[str], height: float, top: float) -> Markup:
    every = math.ceil(11 / height)
    return joined(
        element(
            "text",
            element("title", names[at]),
            shortened(names[at], NAME),
            x=CELLS_LEFT - 6,
            y=place(top + (at + 0.5) * height + 3.5),
            class_="t-end",
        )
        for at in range(0, len(names), every)
    )


def _epochs(labels: Array, wide: float, bottom: float) -> Markup:
    parts = []
    for at in spread_out(len(labels), 5):
        middle = CELLS_LEFT + (at + 0.5) * wide
        parts.append(element("path", d=f"M{place(middle)} {place(bottom)}v4", class_="axis"))
        parts.append(_chart.text_at(middle, bottom + 15, shown(labels[at]), "middle"))
    parts.append(_chart.text_at((CELLS_LEFT + RIGHT) / 2, bottom + 28, "epoch", "middle"))
    return joined(parts)


def _key(shading: Shading, top: float, zeros: bool) -> Markup:
    """Return the scale of colours with its ends."""
    wide = (RIGHT - CELLS_LEFT) / SHADES
    ends = [shading.low, shading.high]
    texts = [f"{end:.0%}" for end in ends] if not shading.log else list(map(shown_short, ends))
    parts = [
        element(
            "rect",
            x=place(CELLS_LEFT + at * wide),
            y=place(top),
            width=place(wide + 0.2),
            height="8",
            class_=f"h{at}",
        )
        for at in range(SHADES)
    ]
    parts.append(_chart.text_at(CELLS_LEFT, top + 20, texts[0], "start"))
    parts.append(_chart.text_at(RIGHT, top + 20, texts[1], "end"))
    if zeros:
        parts.append(element("rect", x="4", y=place(top), width="12", height="8", class_="zero"))
        parts.append(_chart.text_at(20, top + 8, "exactly 0", "start"))
    return joined(parts)


def shown_short(value: float) -> str:
    """Return a number with two digits that count."""
    return _chart.tick_text(float(f"{value:.2g}"))


def _values(title: str, names: Sequence[str], values: Array, labels: Array, log: bool) -> Markup:
    chosen = spread_out(len(labels), 5)
    rows = [
        [
            shortened(names[at], 40),
            *[_cell(values[at, one], log) for one in chosen],
        ]
        for at in spread_out(len(names), 4 * TABLE_ROWS)
    ]
    heads = ["layer", *[f"epoch {shown(labels[one])}" for one in chosen]]
    return table(heads, rows, title)


def _cell(value: float, log: bool) -> str:
    if not math.isfinite(value):
        return "–"
    return shown(value, 3) if log else f"{value:.1%}"


def plain_rows(values: Array) -> list[list[float | int | None]]:
    """Return a table of numbers for JSON."""
    return [[plain_number(value) for value in row] for row in values]
