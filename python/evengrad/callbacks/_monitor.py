"""What callbacks that watch a figure have in common."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evengrad import metrics
from evengrad._common.names import choose, did_you_mean
from evengrad.callbacks._callback import Callback, Logs


def direction_by_name(name: str) -> str | None:
    """Return where the metric with that very name is to go; None where there is none."""
    if name in metrics.ACCURACIES:
        return "max"
    try:
        return metrics.get(name).direction
    except ValueError:
        return None


class Monitor(Callback):
    """A callback that compares a figure of each epoch with the best so far."""

    # Attributes that a checkpoint keeps, under these names without underscores.
    _kept: tuple[str, ...] = ("best",)

    def _watch(self, monitor: Any, mode: str) -> None:
        """Take the figure's name, and where it is to go: up, down, or as its metric says."""
        if not isinstance(monitor, str):
            kind = type(monitor).__name__
            raise TypeError(f"monitor: expected a figure's name, got {monitor!r} ({kind})")
        self.monitor = monitor
        self.mode = choose(mode, ("auto", "min", "max"), "mode")
        self.best: float | None = None
        self._forget_direction()

    def _forget_direction(self) -> None:
        """Have the direction follow from the metrics that the model has now."""
        # Figures are compared with their sign turned, so that smaller is always better.
        self._sign: float | None = {"min": 1.0, "max": -1.0}.get(self.mode)

    def _direction(self) -> float:
        """Return 1 where smaller is better, −1 where larger is; an error where nothing says so."""
        if self._sign is not None:
            return self._sign
        direction, known = self._told_direction()
        name = self.monitor.removeprefix("val_")
        if direction is None:
            who = type(self).__name__
            told = [one for one, way in known.items() if way is not None]
            among = "" if name in known else f"; {did_you_mean(name, told)}, and these after 'val_'"
            raise ValueError(
                f"{who}: no metric says whether {self.monitor!r} is better smaller or larger; pass "
                f'mode="min" or mode="max"{among}'
            )
        way = choose(direction, ("min", "max"), f"{name}: direction")
        self._sign = 1.0 if way == "min" else -1.0
        return self._sign

    def _told_direction(self) -> tuple[str | None, dict[str, str | None]]:
        """Return where the figure is to go, None where nothing says so; and who says it of what."""
        name = self.monitor.removeprefix("val_")
        known: dict[str, str | None] = {"loss": "min"}
        if name not in known:
            known.update(self.model.metric_directions())
        return known.get(name) or direction_by_name(name), known

    def _better(self, value: float, than: float | None, margin: float = 0.0) -> bool:
        """Tell whether a figure improves on another by more than a margin; NaN never does."""
        sign = self._direction()
        return sign * value < (math.inf if than is None else sign * than) - margin

    def _figure(self, logs: Logs) -> float | None:
        """Return the figure, or raise an error that lists those there are.

        None where it is one of validation, and this is an epoch without.
        """
        who, monitor, figures = type(self).__name__, self.monitor, logs or {}
        if monitor not in figures:
            if monitor.startswith("val_") and passes_over_validation(self, figures):
                return None
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


def passes_over_validation(callback: Callback, figures: dict[str, Any]) -> bool:
    """Tell whether an epoch with these figures had no validation, while others have."""
    if getattr(callback, "params", {}).get("validation_freq", 1) == 1:
        return False
    return not any(name.startswith("val_") for name in figures)
