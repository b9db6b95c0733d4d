"""What callbacks that watch a figure have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import did_you_mean

if TYPE_CHECKING:
    from evengrad.callbacks._callback import Logs

# Figures that are better when they are larger; everything else is better when it is smaller.
LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "r2")


def is_larger_better(mode: str, monitor: str) -> bool:
    """Tell whether a figure should rise: as the mode says, or by its name."""
    by_name = mode == "auto" and any(word in monitor for word in LARGER_IS_BETTER)
    return mode == "max" or by_name


def figure(logs: Logs, monitor: str, who: str) -> float:
    """Return the figure of that name, or raise an error that lists those there are."""
    figures = logs or {}
    if monitor not in figures:
        raise ValueError(
            f"{who}: no figure {monitor!r} in this training; {did_you_mean(monitor, figures)}"
            + ("; pass validation_data" if monitor.startswith("val_") else "")
        )
    value = figures[monitor]
    if isinstance(value, np.ndarray):
        raise TypeError(
            f"{who}: expected a number to watch, but {monitor!r} is an array of shape "
            f"{value.shape}; watch another figure, or have the metric average"
        )
    return float(value)


def plain(value: Any) -> Any:
    """Return an array as nested lists, which fit in one line of a file; anything else as it is."""
    return value.tolist() if isinstance(value, np.ndarray) else value
