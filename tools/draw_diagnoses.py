"""Run docs/guide/when-training-goes-wrong.md; write what it prints into it, and draw its pictures.

    .venv-test/bin/python tools/draw_diagnoses.py

The blocks of the page run in order, as its test runs them. What a block prints replaces the text
below it, and where the page shows a picture, the latest ``diagnosis`` and ``healed`` are drawn, one
below the other.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from run_pages import run_page

if TYPE_CHECKING:
    from evengrad.health import Diagnosis

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "guide" / "when-training-goes-wrong.md"


def draw_both(names: dict[str, Any], path: Path) -> None:
    """Draw what a page has found of a net, and of the same net after the cure."""
    draw(names["diagnosis"], names["healed"], path)


def draw(before: Diagnosis, after: Diagnosis, path: Path) -> None:
    """Draw two diagnoses, one below the other."""
    path.parent.mkdir(exist_ok=True)
    figure = plt.figure(figsize=(11, 6), layout="constrained")
    parts: Any = figure.subfigures(2, 1)
    for part, diagnosis, title in zip(parts, (before, after), ("before", "after"), strict=True):
        diagnosis.plot(part.subplots(1, 3))
        part.suptitle(title)
    figure.savefig(path, dpi=64)
    plt.close(figure)
    print(f"wrote {path}")


if __name__ == "__main__":
    run_page(PAGE, draw_both)
