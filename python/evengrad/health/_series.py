"""The series of all that was observed of a training, kept within bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._examination import MEASURES, Examination

if TYPE_CHECKING:
    from evengrad.health._examination import Observed

    Array = np.ndarray[Any, Any]

# Samples that are kept; where there are more, every second one of them goes. A thousand are as many
# as a picture shows, and 20 layers with 15 measures then take 5 MB.
MOST_SAMPLES = 2048
# Rows over which a unit must be inactive to be called dead: with fewer, units of a healthy layer
# look dead that are active in one row of a hundred.
ROWS_TO_DIE = 256
OF_SAMPLES = ("step", "epoch", "loss", "learning_rate", "gradient_norm", "clipped")


class Series:
    """Samples of a training, one after the other, and since when units are dead."""

    def __init__(self) -> None:
        self.latest: Observed | None = None
        self.columns: dict[str, Array] = {}
        # By the layer's path: the epoch since which each unit has been inactive, −1 while alive.
        self.dead_since: dict[str, Array] = {}
        self._lived: dict[str, Array] = {}
        self._rows = 0
        self._begun = 0
        # The first step that is judged.
        self._from = 0

    def begin_anew(self) -> None:
        """Have what comes judged by itself: the steps so far lead elsewhere."""
        self._from = int(self.columns["step"][-1]) + 1 if len(self) else 0

    def add(self, observed: Observed) -> None:
        """Take in what was observed since the last time."""
        self.latest = observed
        figures = dict(observed.figures)
        self._count_lives(observed, figures)
        for name, new in figures.items():
            known = self.columns.get(name)
            self.columns[name] = new if known is None else np.concatenate([known, new])
        while len(self) > MOST_SAMPLES:
            # The first and the last stay.
            self.columns = {
                name: np.concatenate([column[:-1:2], column[-1:]])
                for name, column in self.columns.items()
            }

    def __len__(self) -> int:
        return len(self.columns.get("step", ()))

    def _count_lives(self, observed: Observed, figures: dict[str, Array]) -> None:
        """Note which units are dead, once enough rows have been seen since the last time."""
        for facts, lived in zip(observed.layers, observed.lived, strict=True):
            if lived is not None:
                before = self._lived.get(facts.path)
                self._lived[facts.path] = lived if before is None else before + lived
        if self._rows == 0 and len(figures["epoch"]):
            self._begun = int(figures["epoch"][0])
        self._rows += observed.rows
        dead = np.full(len(observed.layers), np.nan)
        if self._rows >= ROWS_TO_DIE:
            self._bury()
        for at, facts in enumerate(observed.layers):
            since = self.dead_since.get(facts.path)
            if since is not None:
                dead[at] = (since >= 0).mean()
        if "dead" in figures:
            figures["dead"] = np.tile(dead, (len(figures["dead"]), 1))

    def _bury(self) -> None:
        for path, lived in self._lived.items():
            since = self.dead_since.get(path)
            if since is None or since.shape != lived.shape:
                since = np.full(lived.shape, -1)
            inactive = lived == 0
            fresh = inactive & (since < 0)
            since = np.where(inactive, since, -1)
            since[fresh] = self._begun
            self.dead_since[path] = since
        self._lived, self._rows = {}, 0

    def examination(self) -> Examination | None:
        """Return all that findings follow from; None before anything was observed."""
        latest = self.latest
        if latest is None:
            return None
        judged = self.columns["step"] >= self._from
        columns = {name: column[judged] for name, column in self.columns.items()}
        return Examination(
            layers=latest.layers,
            training=latest.training,
            data=latest.data,
            steps=columns["step"],
            epochs=columns["epoch"],
            measures={name: columns[name] for name in MEASURES},
            loss=columns["loss"],
            learning_rate=columns["learning_rate"],
            gradient_norm=columns["gradient_norm"],
            clipped=columns["clipped"],
            curves={name: list(column) for name, column in latest.curves.items()},
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the series by name, as `History.health` has them."""
        found: dict[str, Any] = dict(self.columns)
        if self.latest is not None:
            found["layers"] = [facts.path for facts in self.latest.layers]
            if self.latest.histograms is not None:
                counts, edges = self.latest.histograms
                found.update({"activation_histogram": counts, "activation_edges": edges})
        found["dead_since"] = dict(self.dead_since)
        return found
