"""Line charts: figures over epochs or steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._report import _chart
from evengrad.health._report._chart import BOTTOM, LEFT, RIGHT, TABLE_ROWS, TOP, Page
from evengrad.health._report._markup import Markup, element, place, plain_number, shown, table
from evengrad.health._report._scale import Scale, scale_of, spans_decades
from evengrad.health._report._thinning import kept_points, spread_out

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]
POINTS = 360


@dataclass(frozen=True)
class Line:
    """A series of a chart, in one of the kinds of strokes that the styles have."""

    name: str
    values: Array
    kind: str = "s1"
    # What the legend says beside the name.
    remark: str = ""

    @property
    def color(self) -> str:
        """The class of its colour, without that of its dashes."""
        return self.kind.split()[0]


def path_of(xs: Array, ys: Array) -> str:
    """Return lines between points; what is no number is a gap, and a point alone a dot."""
    parts: list[str] = []
    known = np.isfinite(xs) & np.isfinite(ys)
    for at in np.flatnonzero(known):
        begins = at == 0 or not known[at - 1]
        alone = begins and (at == len(known) - 1 or not known[at + 1])
        parts.append(f"{'M' if begins else 'L'}{place(xs[at])} {place(ys[at])}")
        if alone:
            parts.append("h0")
    return "".join(parts)


def line_chart(
    page: Page,
    title: str,
    x: Array,
    lines: Sequence[Line],
    *,
    x_name: str = "epoch",
    log: bool | None = None,
    note: str | None = None,
    mark: int | None = None,
) -> Markup:
    """Return a chart of lines over x; `mark` is the place in x of a dot on the last.

    The axis is logarithmic where values span more than a linear one shows.
    """
    lines = [replace(one, values=np.asarray(one.values, np.float64)) for one in lines]
    everything = np.concatenate([line.values for line in lines])
    log = spans_decades(everything) if log is None else log
    y_axis = scale_of(everything, BOTTOM, TOP, log)
    x_axis = _x_axis(x)
    kept = kept_points([line.values for line in lines], page.most(POINTS))
    thin = x[kept]
    drawn = []
    for line in lines:
        path = path_of(x_axis.at(thin), y_axis.at(line.values[kept]))
        drawn.append(element("path", d=path, class_=f"line {line.kind}"))
    if mark is not None:
        last = lines[-1]
        drawn.append(_marked(x_axis, y_axis, x[mark], last, last.values[mark]))
    ticks = [(float(x_axis.at([one])[0]), _chart.tick_text(one)) for one in x_axis.ticks(4)]
    said = "; ".join(_in_words(line, x, x_name) for line in lines)
    notes = [one for one in (note, "logarithmic scale" if log else None) if one]
    identifier = page.enter(
        {
            "kind": "lines",
            "box": [x_axis.begin, x_axis.end, BOTTOM, TOP],
            "x": [plain_number(value) for value in thin],
            "xName": x_name,
            "xs": [x_axis.low, x_axis.high],
            "ys": [y_axis.low, y_axis.high, int(log)],
            "series": [
                {
                    "name": line.name,
                    "kind": line.kind,
                    "values": [plain_number(value) for value in line.values[kept]],
                }
                for line in lines
            ],
        }
    )
    return _chart.card(
        title,
        _chart.picture(title, said, _chart.axes(x_axis, y_axis, x_name, ticks), *drawn),
        note=", ".join(notes),
        legend=_chart.legend((line.kind, line.name + line.remark) for line in lines)
        if len(lines) > 1
        else None,
        values=_values(title, x, lines, x_name),
        identifier=identifier,
    )


def _x_axis(x: Array) -> Scale:
    low, high = (float(x.min()), float(x.max())) if len(x) else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Scale(low, high, LEFT + 6, RIGHT - 6)


def _marked(x_axis: Scale, y_axis: Scale, x: float, line: Line, y: float) -> Markup:
    left, top = float(x_axis.at([x])[0]), float(y_axis.at([y])[0])
    if not (np.isfinite(left) and np.isfinite(top)):
        return Markup("")
    return element("circle", cx=place(left), cy=place(top), r="3.5", class_=f"dot {line.color}")


def _in_words(line: Line, x: Array, x_name: str) -> str:
    known = np.flatnonzero(np.isfinite(line.values))
    if not known.size:
        return f"{line.name} has no finite value"
    first, last = known[0], known[-1]
    lost = len(line.values) - len(known)
    gaps = f", {lost} values are no finite numbers" if lost else ""
    return (
        f"{line.name} goes from {shown(line.values[first])} at {x_name} {shown(x[first])} to "
        f"{shown(line.values[last])} at {x_name} {shown(x[last])}, "
        f"{_chart.range_text(line.values)}{gaps}"
    )


def _values(title: str, x: Array, lines: Sequence[Line], x_name: str) -> Markup:
    rows = [
        [shown(x[at]), *[_cell(line.values[at]) for line in lines]]
        for at in spread_out(len(x), TABLE_ROWS)
    ]
    return table([x_name, *[line.name for line in lines]], rows, title)


def _cell(value: float) -> str:
    # Here the difference between what is not known and what is infinite counts.
    return shown(value) if np.isfinite(value) or np.isnan(value) else f"{value}"
