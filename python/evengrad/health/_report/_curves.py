"""Learning curves, and the figures that a training came to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.units import show_seconds
from evengrad.health._report._lines import Line, line_chart
from evengrad.health._report._markup import Markup, element, joined, shortened, shown

if TYPE_CHECKING:
    from evengrad.health._report._chart import Page

Array = np.ndarray[Any, Any]
# Charts of figures, and figures at the top of the page.
MOST_CHARTS, MOST_TILES = 36, 4
# Classes of a figure that has a value for each, those that are last the lowest.
MOST_CLASSES = 6


def columns_of(history: Any) -> dict[str, Array]:
    """Return the figures that are one number for each epoch."""
    rows = len(history.epoch)
    return {
        name: np.array(column[:rows], np.float64)
        for name, column in history.history.items()
        if len(column) >= rows and not any(isinstance(value, np.ndarray) for value in column)
    }


def pairs_of(history: Any) -> dict[str, list[Line]]:
    """Return the lines of each chart: a figure in training and in validation together."""
    known = columns_of(history)
    pairs: dict[str, list[Line]] = {}
    for name, values in known.items():
        figure = name.removeprefix("val_") if name.startswith("val_") else name
        lines = pairs.setdefault(figure, [])
        if name == figure:
            lines.insert(0, Line("training", values, "s1"))
        else:
            lines.append(Line("validation", values, "s2 dashed"))
    return pairs


def direction_of(history: Any, figure: str) -> str | None:
    """Return where a figure is to go, "min" or "max"; None where nothing says it."""
    model = getattr(history, "model", None)
    if model is not None:
        try:
            known = model.metric_directions()
        except RuntimeError:
            # Of a model that is not compiled any more.
            known = {}
        if figure in known:
            direction: str | None = known[figure]
            return direction
    return "min" if figure.endswith("loss") else None


def best_of(history: Any, figure: str, values: Array) -> int | None:
    """Return in which row a figure is best; None where nobody knows what is better."""
    direction = direction_of(history, figure)
    if direction is None or not np.isfinite(values).any():
        return None
    return int(np.nanargmin(values) if direction == "min" else np.nanargmax(values))


def learning_curves(history: Any, page: Page) -> Markup:
    """Return a chart for each figure."""
    pairs = pairs_of(history)
    if not history.epoch or not pairs:
        return element("p", "No epoch has ended yet.", class_="card")
    epochs = np.array(history.epoch, np.float64) + 1
    charts = [
        _curve(history, page, figure, epochs, lines)
        for figure, lines in list(pairs.items())[:MOST_CHARTS]
    ]
    left = len(pairs) - len(charts)
    charts += class_curves(history, page, epochs)
    seconds = np.array(history.epoch_seconds, np.float64)
    if np.isfinite(seconds).sum() > 1:
        charts.append(
            line_chart(page, "seconds of an epoch", epochs, [Line("time", seconds, "s1")])
        )
    if left:
        charts.append(element("p", f"{left} more figures are in history.history.", class_="card"))
    return joined(charts)


def _curve(history: Any, page: Page, figure: str, epochs: Array, lines: list[Line]) -> Markup:
    mark, last = None, lines[-1]
    if last.name == "validation":
        mark = best_of(history, figure, _finite(last.values))
    if mark is not None:
        best = f", best {shown(float(last.values[mark]))} in epoch {shown(float(epochs[mark]))}"
        lines = [*lines[:-1], replace(last, remark=best)]
    lost = sum(int((~np.isfinite(line.values)).sum()) for line in lines)
    note = f"{lost:,} values are not finite" if lost else None
    return line_chart(page, shortened(figure), epochs, lines, note=note, mark=mark)


def class_curves(history: Any, page: Page, epochs: Array) -> list[Markup]:
    """Return a chart for each figure that has a value for each class."""
    charts = []
    for name, column in history.history.items():
        shapes = {np.shape(value) for value in column}
        if len(shapes) != 1 or len(column) != len(epochs) or len(shapes.pop()) != 1:
            continue
        values = np.array(column, np.float64)
        lowest = sorted(np.argsort(values[-1], kind="stable")[:MOST_CLASSES].tolist())
        lines = [Line(f"class {at}", values[:, at], f"s{n}") for n, at in enumerate(lowest, 1)]
        some = f"the lowest of {values.shape[1]} classes" if len(lowest) < values.shape[1] else None
        charts.append(line_chart(page, shortened(name), epochs, lines, note=some))
    return charts[:MOST_CHARTS]


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)


def tiles(history: Any) -> Markup:
    """Return the last figures, the best of validation, and the time, at a glance."""
    pairs = list(pairs_of(history).items())[:MOST_TILES] if history.epoch else []
    entries = [_figure_tile(history, figure, lines) for figure, lines in pairs]
    steps = f"{history.steps:,} steps" if history.steps else ""
    entries.append(_tile("epochs", f"{len(history.epoch):,}", steps))
    if history.seconds > 0:
        rate = f"{history.steps / history.seconds:,.0f} steps per second" if history.steps else ""
        entries.append(_tile("time", show_seconds(history.seconds), rate))
    return element("dl", *entries, class_="tiles")


def _figure_tile(history: Any, figure: str, lines: list[Line]) -> Markup:
    values = lines[-1].values
    small = "in the last epoch"
    if lines[-1].name == "validation":
        small = f"in validation {shown(float(values[-1]))}"
        best = best_of(history, figure, _finite(values))
        if best is not None and best < len(values) - 1:
            epoch = history.epoch[best] + 1
            small += f", best {shown(float(values[best]))} in epoch {epoch:,}"
    return _tile(shortened(figure, 28), shown(float(lines[0].values[-1])), small)


def _tile(title: str, value: str, small: str) -> Markup:
    inner = element("small", small) if small else ""
    return element("div", element("dt", title), element("dd", value, inner))
