"""What callbacks that watch a figure have in common."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evengrad._common.names import choose, did_you_mean
from evengrad.callbacks._callback import Callback, Logs

# Figures that are better when they are larger; everything else is better when it is smaller.
LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "r2")


class Monitor(Callback):
    """A callback that compares a figure of each epoch with the best so far."""

    # Attributes that a checkpoint keeps, under these names without underscores.
    _kept: tuple[str, ...] = ("best",)

    def _watch(self, monitor: str, mode: str) -> None:
        """Take the figure's name, and where it is to go: up, down, or as its name says."""
        self.monitor = monitor
        self.mode = choose(mode, ("auto", "min", "max"), "mode")
        by_name = mode == "auto" and any(word in monitor for word in LARGER_IS_BETTER)
        # Figures are compared with their sign turned, so that smaller is always better.
        self._sign = -1.0 if mode == "max" or by_name else 1.0
        self.best = self._sign * math.inf

    def _better(self, value: float, than: float, margin: float = 0.0) -> bool:
        return self._sign * value < self._sign * than - margin

    def _figure(self, logs: Logs) -> float:
        """Return the figure, or raise an error that lists those there are."""
        who, monitor, figures = type(self).__name__, self.monitor, logs or {}
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

    def state_dict(self) -> dict[str, Any]:
        """Return the best figure so far, and what else was counted or kept since then."""
        return {name.lstrip("_"): getattr(self, name) for name in self._kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        for name in self._kept:
            setattr(self, name, state[name.lstrip("_")])
