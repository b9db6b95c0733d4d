"""What all charts have: a card with a heading, a picture, what it says in words, and a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._report._markup import Markup, element, joined, place, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evengrad.health._report._scale import Scale

# In units of the pictures, which are shown at about a pixel each, on narrow screens too.
WIDTH, HEIGHT = 360, 212
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 10, 182
# Rows of the tables that say what pictures show.
TABLE_ROWS = 12


@dataclass
class Page:
    """What charts leave for the script, and how finely they are drawn."""

    # Of what fits into the file: 1 as a rule, less where much is to be shown.
    detail: float = 1.0
    charts: dict[str, Any] = field(default_factory=dict)
    # What was measured by layer; see `Measurements.data`.
    health: dict[str, Any] | None = None

    def most(self, count: int) -> int:
        """Return how many points to draw where all is well with so many."""
        return max(16, int(count * self.detail))

    def enter(self, data: dict[str, Any]) -> str:
        """Keep the data of a chart; return its identifier."""
        identifier = f"chart-{len(self.charts) + 1}"
        self.charts[identifier] = data
        return identifier


def card(
    title: object,
    picture: Markup,
    *,
    note: object = None,
    legend: Markup | None = None,
    values: Markup | None = None,
    identifier: str | None = None,
) -> Markup:
    """Return a figure with its heading; `values` is the same as a table, shown on request."""
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", title),
            element("p", note, class_="note") if note else "",
            legend or "",
        ),
        picture,
        element("details", element("summary", "Values as a table"), values) if values else "",
        class_="card",
        id=identifier,
    )


def picture(
    title: object, description: object, *parts: Markup, width: float = WIDTH, height: float = HEIGHT
) -> Markup:
    """Return a drawing that says what it shows."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *parts,
        viewBox=f"0 0 {place(width)} {place(height)}",
        role="img",
        aria_label=f"{title}: {description}",
    )


def legend(entries: Iterable[tuple[str, object]]) -> Markup:
    """Return what the lines of a chart are: classes of strokes, and names."""
    return element(
        "ul",
        *[
            element(
                "li",
                element(
                    "svg",
                    element("path", d="M0 5h22", class_=f"line {kind}"),
                    viewBox="0 0 22 10",
                    aria_hidden="true",
                ),
                name,
            )
            for kind, name in entries
        ],
        class_="legend",
    )


def text_at(x: float, y: float, text: object, kind: str = "start") -> Markup:
    """Return text in a picture; `kind` says how it lies: start, middle or end."""
    return element("text", text, x=place(x), y=place(y), class_=f"t-{kind}")


def axes(x: Scale, y: Scale, x_name: str, x_ticks: Sequence[tuple[float, str]]) -> Markup:
    """Return grid lines and labels."""
    parts = []
    for value in y.ticks():
        height = float(y.at([value])[0])
        parts.append(element("path", d=f"M{LEFT} {place(height)}H{RIGHT}", class_="grid"))
        parts.append(text_at(LEFT - 6, height + 3.5, tick_text(value), "end"))
    for where, label in x_ticks:
        parts.append(element("path", d=f"M{place(where)} {BOTTOM}v4", class_="axis"))
        # Beside the edges, labels would be cut off.
        kind = "end" if where > RIGHT - 12 else "middle"
        parts.append(text_at(min(where, RIGHT), BOTTOM + 15, label, kind))
    parts.append(element("path", d=f"M{LEFT} {BOTTOM}H{RIGHT}", class_="axis"))
    parts.append(text_at((x.begin + x.end) / 2, HEIGHT - 2, x_name, "middle"))
    return joined(parts)


def tick_text(value: float) -> str:
    """Return the label of a tick: short, as 1e-05 is."""
    if value == int(value) and 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    text = f"{value:.4g}"
    if "e" in text:
        digits, _, power = text.partition("e")
        return f"{digits}e{int(power)}"
    return text


def range_text(values: Any) -> str:
    """Return the least and the largest of values in words."""
    finite = np.asarray(values)[np.isfinite(values)]
    if not finite.size:
        return "no finite value"
    return f"from {shown(float(finite.min()))} to {shown(float(finite.max()))}"
