"""What the trained model makes of data: a confusion matrix, or residuals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._report import _chart
from evengrad.health._report._chart import BOTTOM, LEFT, RIGHT, TOP, Page
from evengrad.health._report._heat_map import SHADES, cells
from evengrad.health._report._histogram import single_histogram
from evengrad.health._report._markup import Markup, element, joined, place, shortened, shown, table
from evengrad.health._report._scale import scale_of
from evengrad.health._report._thinning import spread_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Array = np.ndarray[Any, Any]
# Classes whose counts are written into the cells; and cells of a side at most.
WRITTEN, MOST_CELLS = 12, 60
POINTS = 1500


def outcome_charts(page: Page, outcome: Mapping[str, Any], of: str = "") -> Markup:
    """Return the charts of an outcome, as `History.outcome` has it."""
    if "confusion" in outcome:
        counts = np.asarray(outcome["confusion"], np.float64)
        labels = [str(one) for one in outcome.get("labels", range(len(counts)))]
        return joined([confusion_chart(counts, labels, of), mistakes(counts, labels, of)])
    predicted = np.asarray(outcome["predicted"], np.float64).ravel()
    residuals = np.asarray(outcome["residuals"], np.float64).ravel()
    return joined(
        [
            residual_chart(page, predicted, residuals, of),
            single_histogram(
                f"Distribution of the residuals{of}",
                residuals,
                "target − prediction",
                _moments(residuals),
            ),
        ]
    )


def _moments(residuals: Array) -> str:
    finite = residuals[np.isfinite(residuals)]
    if not finite.size:
        return "no finite residual"
    root = float(np.sqrt(np.mean(finite**2)))
    return f"mean {shown(float(finite.mean()), 3)}, root mean square {shown(root, 3)}"


def confusion_chart(counts: Array, labels: Sequence[str], of: str) -> Markup:
    """Return the matrix of true and predicted classes, each row shaded by its own shares."""
    counts = np.where(np.isfinite(counts), counts, 0.0)
    classes = len(counts)
    right = float(np.trace(counts) / counts.sum()) if counts.sum() > 0 else math.nan
    title = f"Confusion matrix{of}"
    note = f"{classes} classes, {right:.1%} on the diagonal; shaded by share of the true class"
    if classes > MOST_CELLS:
        group = math.ceil(classes / MOST_CELLS)
        begins = np.arange(0, classes, group)
        counts = np.add.reduceat(np.add.reduceat(counts, begins, axis=0), begins, axis=1)
        labels = labels[::group]
        note += f"; {group} classes to a cell"
    side = len(counts)
    left, wide = 78.0, (RIGHT - 78.0) / side
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = counts / counts.sum(axis=1, keepdims=True)
    shades = np.clip(np.nan_to_num(shares) * SHADES, 0, SHADES - 1).astype(int)
    shades = np.where(counts > 0, shades, -1)
    parts = [
        element(
            "g",
            cells(shades),
            transform=f"translate({place(left)} 18) scale({wide:.5g})",
            class_="cells",
        ),
        _sides(labels, left, wide),
    ]
    if side <= WRITTEN:
        parts.append(_numbers(counts, shades, left, wide))
    rows = [[label, *map(shown, row)] for label, row in zip(labels, counts, strict=True)]
    few = rows if side <= 2 * WRITTEN else []
    return _chart.card(
        title,
        _chart.picture(title, note, *parts, height=18 + side * wide + 36),
        note=note,
        values=table(["true class", *labels], few, title) if few else None,
    )


def _sides(labels: Sequence[str], left: float, wide: float) -> Markup:
    bottom = 18 + len(labels) * wide
    every = math.ceil(12 / wide)
    # As long as the next label leaves room, of about six units to a character.
    across = max(every, math.ceil(max(len(shortened(one, 9)) for one in labels) * 6 / wide))
    parts = [_chart.text_at((left + RIGHT) / 2, bottom + 30, "predicted class", "middle")]
    parts.append(_chart.text_at(left - 6, 11, "true class", "end"))
    for at in range(0, len(labels), every):
        y = 18 + (at + 0.5) * wide + 3.5
        parts.append(_chart.text_at(left - 6, y, shortened(labels[at], 11), "end"))
    for at in range(0, len(labels), across):
        x = left + (at + 0.5) * wide
        parts.append(_chart.text_at(x, bottom + 14, shortened(labels[at], 9), "middle"))
    return joined(parts)


def _numbers(counts: Array, shades: Array, left: float, wide: float) -> Markup:
    return joined(
        element(
            "text",
            _chart.tick_text(float(f"{counts[y, x]:.3g}")),
            x=place(left + (x + 0.5) * wide),
            y=place(18 + (y + 0.5) * wide + 3.5),
            class_=f"t-middle ink i{shades[y, x]}",
        )
        for y in range(len(counts))
        for x in range(len(counts))
        if counts[y, x] > 0
    )


def mistakes(counts: Array, labels: Sequence[str], of: str) -> Markup:
    """Return what is most often taken for what."""
    wrong = np.where(np.isfinite(counts), counts, 0.0)
    totals = wrong.sum(axis=1)
    np.fill_diagonal(wrong, 0.0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [tuple(map(int, divmod(int(at), len(counts)))) for at in order]
    rows = [
        [
            shortened(labels[true], 24),
            shortened(labels[taken], 24),
            shown(wrong[true, taken]),
            f"{wrong[true, taken] / totals[true]:.1%}",
        ]
        for true, taken in pairs
        if wrong[true, taken] > 0
    ]
    title = f"Most frequent mistakes{of}"
    if not rows:
        return element("div", element("h3", title), element("p", "None."), class_="card")
    heads = ["true class", "predicted", "rows", "of the class"]
    return element("div", element("h3", title), table(heads, rows, title, numbers=2), class_="card")


def residual_chart(page: Page, predicted: Array, residuals: Array, of: str) -> Markup:
    """Return the residuals over the predictions: what is left should have no shape."""
    kept = spread_out(len(predicted), page.most(POINTS))
    x, y = predicted[kept], residuals[kept]
    x_axis = scale_of(x, LEFT + 6, RIGHT - 6)
    y_axis = scale_of(np.concatenate([y, -y]), BOTTOM, TOP)
    xs, ys = x_axis.at(x), y_axis.at(y)
    known = np.isfinite(xs) & np.isfinite(ys)
    dots = "".join(f"M{place(a)} {place(b)}h0" for a, b in zip(xs[known], ys[known], strict=True))
    ticks = [(float(x_axis.at([one])[0]), _chart.tick_text(one)) for one in x_axis.ticks()]
    zero = place(float(y_axis.at([0.0])[0]))
    title = f"Residuals{of}"
    said = f"{len(predicted)} rows; residuals {_chart.range_text(residuals)}"
    shown_of = f"{len(kept):,} of {len(predicted):,} rows"
    return _chart.card(
        title,
        _chart.picture(
            title,
            said,
            _chart.axes(x_axis, y_axis, "prediction", ticks),
            element("path", d=f"M{LEFT} {zero}H{RIGHT}", class_="zero-line"),
            element("path", d=dots, class_="dots"),
        ),
        note=f"target − prediction; {shown_of if len(kept) < len(predicted) else said}",
        values=_quantiles(residuals, title),
    )


def _quantiles(residuals: Array, title: str) -> Markup:
    finite = residuals[np.isfinite(residuals)]
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    found = np.quantile(finite, shares) if finite.size else np.full(len(shares), np.nan)
    rows = [[f"{s:.0%}", shown(float(v))] for s, v in zip(shares, found, strict=True)]
    return table(["share of rows below", "target − prediction"], rows, title)
