"""The picture of a diagnosis: gradients and updates by layer, the loss by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import printable
from evengrad._common.plot_style import OKABE_ITO, plot_style, pyplot

if TYPE_CHECKING:
    from evengrad.health._diagnosis import Diagnosis

# Names that fit under a panel.
MOST_TICKS = 12


def draw(diagnosis: Diagnosis, ax: Any = None) -> Any:
    """Draw a diagnosis; see `Diagnosis.plot`."""
    plt = pyplot("Diagnosis.plot")
    with plot_style(ax):
        if ax is None:
            axes = list(plt.subplots(1, 3, figsize=(13, 3.5), layout="constrained")[1])
        else:
            axes = list(ax) if hasattr(ax, "__len__") else [ax]
            if len(axes) != 3:
                raise ValueError(f"ax: expected 3 axes, got {len(axes)}")
        _by_layer(diagnosis, axes[0], "speed", "gradient speed")
        _by_layer(diagnosis, axes[1], "update_ratio", "update over weights")
        examination = diagnosis.examination
        count = min(len(examination.steps), len(examination.loss))
        axes[2].plot(examination.steps[:count], examination.loss[:count])
        if not count:
            _say_nothing(axes[2])
        axes[2].set_xlabel("step")
        axes[2].set_ylabel("loss")
    return axes


def _say_nothing(axes: Any) -> None:
    """Tell why a panel is empty: what is refused, or has NaN in it, is not trained."""
    middle = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, "nothing was measured", **middle)
    axes.set_xticks([])
    axes.set_yticks([])


def _by_layer(diagnosis: Diagnosis, axes: Any, measure: str, label: str) -> None:
    """Draw a measure of each layer that has it, by a logarithmic scale; sick layers are marked."""
    known = [(path, values[measure]) for path, values in diagnosis.layers.items()]
    known = [(path, value) for path, value in known if np.isfinite(value) and value > 0]
    sick = {finding.layer for finding in diagnosis.findings if finding.severity != "note"}
    values = [value for _, value in known]
    axes.plot(range(len(known)), values, marker="o")
    marked = [at for at, (path, _) in enumerate(known) if path in sick]
    if marked:
        heights = [values[at] for at in marked]
        axes.plot(
            marked, heights, "s", color=OKABE_ITO["vermillion"], markersize=9, label="finding"
        )
        axes.legend()
    if values:
        axes.set_yscale("log")
    else:
        _say_nothing(axes)
    every = max(1, -(-len(known) // MOST_TICKS))
    axes.set_xticks(
        range(0, len(known), every),
        [printable(path) for path, _ in known[::every]],
        rotation=30,
        ha="right",
    )
    axes.set_ylabel(label)
