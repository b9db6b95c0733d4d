"""What a `GradientDoctor` leaves in the history, for logs that tell each part of it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._examination import MEASURES

if TYPE_CHECKING:
    from evengrad.callbacks._callback import History
    from evengrad.health import Finding

    Array = np.ndarray[Any, Any]

# Series of `History.health` with one value for each watched step.
OF_STEPS = ("loss", "learning_rate", "gradient_norm", "clipped")


class HealthLog:
    """Samples and findings that a log has not told yet."""

    def __init__(self) -> None:
        self._step = -1
        # Kind and layer: judged again, a finding may have begun at another step.
        self._told: list[list[str | None]] = []

    def new_findings(self, history: History) -> list[Finding]:
        """Return the findings that no call before has returned, each once in a training."""
        new = [one for one in history.findings if [one.kind, one.layer] not in self._told]
        self._told += [[one.kind, one.layer] for one in new]
        return new

    def new_samples(self, history: History) -> list[tuple[int, int]]:
        """Return the steps that were watched since the last call, and their rows in all series."""
        known = history.health.get("step", ())
        if len(known) and known[-1] < self._step:
            # A rescue has taken the training back there.
            self._step = int(known[-1])
        steps = enumerate(known)
        new = [(int(step), row) for row, step in steps if step > self._step]
        self._step = max([self._step, *(step for step, _ in new)])
        return new

    def state_dict(self) -> dict[str, Any]:
        """Return what has been told."""
        return {"step": self._step, "told": [*self._told]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._step, self._told = state["step"], list(map(list, state["told"]))


def figures_of(health: dict[str, Any], row: int) -> dict[str, float]:
    """Return what a watched step has shown of the whole model."""
    return {name: float(health[name][row]) for name in OF_STEPS if name in health}


def measures_of(health: dict[str, Any], row: int) -> dict[str, dict[str, float]]:
    """Return the measures of each layer in one sample, by its path; unknown ones are left out."""
    known = {name: health[name][row] for name in MEASURES if name in health}
    return {
        path: {name: float(of[at]) for name, of in known.items() if not np.isnan(of[at])}
        for at, path in enumerate(health["layers"])
    }
