"""Pictures of docs/guide/reuse.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from picture import LINES, panels, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Path(__file__).resolve().parents[1] / "guide" / "reuse.md"

SHORT = {"then the top two unfrozen, then all": "4 layers, unfrozen by and by"}


@picture
def by_labels() -> Figure:
    """Draw the first table of the page."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    head, _, *body = rows[:8]
    labels = [int(cell.split()[0]) for cell in head[1:]]
    figure, axes = panels(1, 1, 3.2)
    for color, (name, *values) in zip(LINES, body, strict=False):
        style = "--" if "scratch" in name else "-"
        axes.plot(
            labels, [float(value) for value in values], style, color=color, marker="o", markersize=3
        )
        axes.lines[-1].set_label(SHORT.get(name, name))
    axes.set(xscale="log", xlabel="labels per class", ylabel="accuracy on unseen digits")
    axes.set_xticks(labels, [str(label) for label in labels])
    axes.minorticks_off()
    figure.legend(loc="outside lower center", ncols=2)
    return figure
