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
# Steps whose loss and rate are kept; where there are more, every second one of them goes.
MOST_STEPS = 2**14
# Rows over which a unit must be inactive to be called dead: with fewer, units of a healthy layer
# look dead that are active in one row of a hundred.
ROWS_TO_DIE = 256
OF_SAMPLES = ("step", "epoch", "loss", "learning_rate", "gradient_norm", "clipped")


class Series:
    """Samples of a training, one after the other, and since when units are dead."""

    def __init__(self) -> None:
        self.latest: Observed | None = None
        # Those of the layers, in the order of the columns.
        self.paths: list[str] = []
        self.columns: dict[str, Array] = {}
        # By the layer's path: the epoch since which each unit has been inactive, −1 while alive.
        self.dead_since: dict[str, Array] = {}
        # The layers that have dead units.
        self._with_dead: set[str] = set()
        self._lived: dict[str, Array] = {}
        self._rows = 0
        self._begun = 0
        self.course = Course()

    def go_back(self, step: int) -> None:
        """Forget what was measured from that step on: the training goes on from there anew."""
        for columns in (self.columns, self.course.columns):
            kept = columns["step"] < step if columns else None
            columns.update({name: column[kept] for name, column in columns.items()})

    def add(self, observed: Observed) -> None:
        """Take in what was observed since the last time."""
        self.latest = observed
        self.paths = [facts.path for facts in observed.layers]
        figures = dict(observed.figures)
        if "dead" in figures:
            figures["dead"] = self._count_lives(observed, figures["epoch"])
        self.course.add(observed.begins, observed.course)
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

    def _count_lives(self, observed: Observed, epochs: Array) -> Array:
        """Note which units are dead; return their share in samples of these epochs, by layer."""
        found = np.tile(self._share_of_dead(observed), (len(epochs), 1))
        for lives in observed.lived:
            for facts, lived in zip(observed.layers, lives.counts, strict=True):
                if lived is not None:
                    before = self._lived.get(facts.path)
                    self._lived[facts.path] = lived if before is None else before + lived
            if self._rows == 0:
                self._begun = lives.epoch
            self._rows += lives.rows
            # Once enough rows have been seen since the last time; samples come by their epochs.
            if self._rows >= ROWS_TO_DIE and self._bury():
                found[np.searchsorted(epochs, lives.epoch) :] = self._share_of_dead(observed)
        return found

    def _share_of_dead(self, observed: Observed) -> Array:
        since = [self.dead_since.get(facts.path) for facts in observed.layers]
        return np.array([np.nan if one is None else (one >= 0).mean() for one in since])

    def _bury(self) -> bool:
        """Note which units are dead by now; return False where none has died or lives again."""
        has_changed = False
        for path, lived in self._lived.items():
            since = self.dead_since.get(path)
            known = since is not None and since.shape == lived.shape
            if known and path not in self._with_dead and lived.all():
                continue
            has_changed = True
            if since is None or since.shape != lived.shape:
                since = np.full(lived.shape, -1)
            inactive = lived == 0
            fresh = inactive & (since < 0)
            since = np.where(inactive, since, -1)
            since[fresh] = self._begun
            self.dead_since[path] = since
            if (since >= 0).any():
                self._with_dead.add(path)
            else:
                self._with_dead.discard(path)
        self._lived, self._rows = {}, 0
        return has_changed

    def examination(self) -> Examination | None:
        """Return all that findings follow from; None before anything was observed."""
        latest = self.latest
        if latest is None or not len(self):
            return None
        columns = self.columns
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

    def state_dict(self) -> dict[str, Any]:
        """Return all that was taken in."""
        return {
            "columns": dict(self.columns),
            "paths": list(self.paths),
            "dead_since": dict(self.dead_since),
            "lived": dict(self._lived),
            "counts": [self._rows, self._begun],
            "course": {"columns": dict(self.course.columns), "stride": self.course.stride},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.columns, self.paths = dict(state["columns"]), list(state["paths"])
        self.dead_since, self._lived = dict(state["dead_since"]), dict(state["lived"])
        self._with_dead = {path for path, since in self.dead_since.items() if (since >= 0).any()}
        # Older checkpoints have more.
        self._rows, self._begun = state["counts"][:2]
        self.course.columns = dict(state["course"]["columns"])
        self.course.stride = state["course"]["stride"]

    def as_dict(self) -> dict[str, Any]:
        """Return the series by name, as `History.health` has them."""
        found: dict[str, Any] = dict(self.columns)
        if self.paths:
            found["layers"] = list(self.paths)
        if self.latest is not None and self.latest.histograms is not None:
            counts, edges = self.latest.histograms
            found.update({"activation_histogram": counts, "activation_edges": edges})
        found["dead_since"] = dict(self.dead_since)
        found["every_step"] = dict(self.course.columns)
        return found


class Course:
    """What every step shows, watched or not; of a long training each second, fourth, … of them."""

    def __init__(self) -> None:
        self.columns: dict[str, Array] = {}
        self.stride = 1

    def add(self, begins: int, figures: dict[str, Array]) -> None:
        """Take in the steps from that number on."""
        numbers = np.arange(begins, begins + len(figures["step"]))
        kept = numbers % self.stride == 0
        for name, new in figures.items():
            known = self.columns.get(name)
            chosen = new[kept]
            self.columns[name] = chosen if known is None else np.concatenate([known, chosen])
        while len(self.columns["step"]) > MOST_STEPS:
            self.stride *= 2
            # The first that is kept is the first of all.
            self.columns = {name: column[::2] for name, column in self.columns.items()}
