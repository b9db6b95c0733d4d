"""The bar chart of a race: speedup over each peer, by workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from results import best

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, NullFormatter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TypeAlias

    from entrants import Entrant
    from results import Figure

    Figures: TypeAlias = Mapping[str, Mapping[Entrant, Figure]]
    # By workload and peer, a ratio and its label.
    Rows: TypeAlias = dict[str, dict[str, tuple[float, str]]]

TITLES = {
    "training": "training, model.fit",
    "fresh-fit": "a new model, one epoch",
    "eager-loop": "training, eager loop by hand",
    "one-row": "one row at a time",
}
# Colours that people with any colour vision can tell apart (Okabe and Ito's), one for each peer.
COLOURS = {
    "torch": "#d55e00",
    "jax": "#0072b2",
    "keras": "#cc79a7",
    "sklearn": "#e69f00",
    "onnxruntime": "#009e73",
}


def draw(path: Path, tasks: Mapping[str, Rows], subtitle: str) -> bool:
    """Write the chart, one panel a task; return False where there is nothing to compare."""
    panels = {task: rows for task, rows in tasks.items() if rows}
    if not panels:
        return False
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(11, 4),
        squeeze=False,
        sharey=True,
        layout="constrained",
        width_ratios=[1 + len(rows) for rows in panels.values()],
    )
    for axis, (task, rows) in zip(axes[0], panels.items(), strict=True):
        bars(axis, rows)
        axis.set_title(TITLES[task], fontsize=10)
    axes[0][0].set_ylabel("evengrad's speed over the peer's")
    figure.suptitle(subtitle, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return True


def ratios(per_workload: Figures, ours: Entrant) -> Rows:
    """Return ours over the best of each peer, by workload and peer, where both have a figure.

    Each ratio comes with its label, which is marked where other processes were in the way.
    """
    rows = {}
    for workload, known in per_workload.items():
        if ours in known:
            quickest = {peer: best(known, [peer]) for peer in COLOURS}
            row = {
                peer: labelled(known[ours], known[entrant])
                for peer, entrant in quickest.items()
                if entrant is not None
            }
            if row:
                rows[workload] = row
    return rows


def labelled(ours: Figure, theirs: Figure) -> tuple[float, str]:
    """Return a ratio and its label."""
    quotient = ours.rate / theirs.rate
    return quotient, f"{quotient:.3g}" + "*" * (ours.disturbed or theirs.disturbed)


def bars(axis: plt.Axes, rows: Rows) -> None:
    """Draw a group of bars for each workload, on a logarithmic scale around 1."""
    peers = [peer for peer in COLOURS if any(peer in row for row in rows.values())]
    width = 0.8 / len(peers)
    for number, peer in enumerate(peers):
        present = [(place, *row[peer]) for place, row in enumerate(rows.values()) if peer in row]
        places = [place + (number - (len(peers) - 1) / 2) * width for place, _, _ in present]
        heights = [quotient - 1 for _, quotient, _ in present]
        drawn = axis.bar(places, heights, width, bottom=1, color=COLOURS[peer], label=peer)
        labels = [label for _, _, label in present]
        axis.bar_label(drawn, labels, fontsize=6, padding=1)
    axis.set_yscale("log")
    axis.axhline(1, color="black", linewidth=0.8)
    axis.margins(y=0.12)
    axis.set_xticks(range(len(rows)), rows, rotation=30, ha="right", fontsize=8)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=7, frameon=False)
