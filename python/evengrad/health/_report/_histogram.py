"""Histograms: bars whose areas may have any edges, one small picture for each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._report import _chart
from evengrad.health._report._markup import Markup, element, place, shortened, shown, table
from evengrad.health._report._thinning import spread_out

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, Any]
WIDTH, HEIGHT, BARS = 168, 92, 58
# Small pictures that are in view at once; more are behind a summary, and beyond these left out.
IN_VIEW, MOST = 12, 240


def bars_path(counts: Array, edges: Array, left: float, right: float, base: float) -> str:
    """Return bars on a base line, the highest as high as the place over it."""
    low, high = float(edges[0]), float(edges[-1])
    most = float(counts.max(initial=0.0))
    if not (np.isfinite(low) and np.isfinite(high) and most > 0):
        return ""
    if high <= low:
        # All values are the same one.
        middle = (left + right) / 2
        return f"M{place(middle - 2)} {place(base)}v-{place(base - 4)}h4v{place(base - 4)}z"
    xs = left + (edges - low) / (high - low) * (right - left)
    tops = (base - 4) * counts / most
    return "".join(
        f"M{place(xs[at])} {place(base)}v-{place(tops[at])}h{place(xs[at + 1] - xs[at])}"
        f"v{place(tops[at])}z"
        for at in range(len(counts))
        if tops[at] >= 0.05
    )


def small_histogram(name: str, layer: int, counts: Array, edges: Array) -> Markup:
    """Return the picture of one layer's distribution; by its number the script finds it."""
    total = float(counts.sum())
    low, high = float(edges[0]), float(edges[-1])
    parts = [
        element("path", d=bars_path(counts, edges, 4, WIDTH - 4, BARS + 8), class_="bars"),
        element("path", d=f"M4 {BARS + 8}H{WIDTH - 4}", class_="axis"),
        _chart.text_at(4, HEIGHT - 10, _chart.tick_text(float(f"{low:.3g}")), "start"),
        _chart.text_at(WIDTH - 4, HEIGHT - 10, _chart.tick_text(float(f"{high:.3g}")), "end"),
    ]
    if low < 0 < high:
        zero = 4 + (WIDTH - 8) * -low / (high - low)
        parts.insert(1, element("path", d=f"M{place(zero)} 4V{BARS + 8}", class_="grid"))
    said = f"{shown(total)} values from {shown(low)} to {shown(high)}"
    if total > 0:
        most = int(counts.argmax())
        said += f", most between {shown(float(edges[most]))} and {shown(float(edges[most + 1]))}"
    return element(
        "figure",
        element("figcaption", shortened(name, 40)),
        _chart.picture(name, said, *parts, width=WIDTH, height=HEIGHT),
        class_="small",
        data_layer=layer,
    )


def histograms(title: str, names: Sequence[str], counts: Array, edges: Array, note: str) -> Markup:
    """Return small pictures of all layers of which there is something to see."""
    known = [
        at for at in range(len(names)) if np.isfinite(edges[at]).all() and np.nansum(counts[at]) > 0
    ]
    if not known:
        return Markup("")
    known = [known[at] for at in spread_out(len(known), MOST)]
    pictures = [
        small_histogram(names[at], at, np.nan_to_num(counts[at]), edges[at]) for at in known
    ]
    hidden = pictures[IN_VIEW:]
    more = (
        element(
            "details",
            element("summary", f"{len(hidden)} more layers"),
            element("div", *hidden, class_="smalls"),
        )
        if hidden
        else ""
    )
    return element(
        "div",
        element("h3", title),
        element("p", note, class_="note"),
        element("div", *pictures[:IN_VIEW], class_="smalls"),
        more,
        class_="card beside",
    )


def single_histogram(title: str, values: Array, x_name: str, note: str) -> Markup:
    """Return a histogram of values in a card of its own."""
    finite = values[np.isfinite(values)]
    counts, edges = np.histogram(finite, bins=32) if finite.size else (np.zeros(1), np.zeros(2))
    left, right, base = _chart.LEFT, _chart.RIGHT, _chart.BOTTOM
    parts = [
        element("path", d=bars_path(counts, edges, left, right, base), class_="bars"),
        element("path", d=f"M{left} {base}H{right}", class_="axis"),
    ]
    for at, kind in ((0, "start"), (len(edges) // 2, "middle"), (-1, "end")):
        x = {"start": left, "middle": (left + right) / 2, "end": right}[kind]
        label = _chart.tick_text(float(f"{edges[at]:.3g}"))
        parts.append(_chart.text_at(x, base + 15, label, kind))
    parts.append(_chart.text_at((left + right) / 2, _chart.HEIGHT - 2, x_name, "middle"))
    rows = [
        [f"{shown(float(edges[at]))} to {shown(float(edges[at + 1]))}", shown(float(counts[at]))]
        for at in range(len(counts))
    ]
    said = f"{finite.size} values {_chart.range_text(values)}"
    return _chart.card(
        title,
        _chart.picture(title, said, *parts),
        note=note,
        values=table([x_name, "rows"], rows, title),
    )
