"""Figures to a file of JSON lines, epoch by epoch."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.callbacks._callback import Callback, Logs
from evengrad.callbacks._health_log import HealthLog, figures_of, measures_of
from evengrad.callbacks._log_file import LogFile

if TYPE_CHECKING:
    import os

    from evengrad.health import Finding

# Keys of lines that are no figures.
OWN_KEYS = ("epoch", "non_finite", "health", "finding")
# What tells one finding from another.
PLACE = ("kind", "layer", "step")


class JSONLogger(Callback):
    """Write the figures of every epoch as a line of JSON as soon as the epoch ends.

    A line is an object with ``"epoch"`` and the figures; arrays are lists. JSON has no number for
    NaN and infinity: they are ``null``, and ``"non_finite"`` says of each such figure which it was.
    Where a `GradientDoctor` stands before it in ``callbacks``, ``"health"`` has the doctor's last
    sample since the line before, with its step and epoch and the measures by layer, and a finding
    is a line with ``"finding"``; what the doctor looks at when training ends has lines behind the
    last epoch's. A figure with the name of one of these keys gets an underscore behind it. What is
    written stays, whatever becomes of the training; one that goes on from a checkpoint has no epoch
    twice.

    Parameters
    ----------
    path
        The file.
    append
        Whether lines are added to an existing file; else it is replaced.

    Examples
    --------
    >>> import pathlib
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> log = eg.callbacks.JSONLogger("training.jsonl")
    >>> history = model.fit(np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0, callbacks=[log])
    >>> print(pathlib.Path("training.jsonl").read_text().strip())
    {"epoch": 0, "loss": 0.0}
    {"epoch": 1, "loss": 0.0}

    ``pandas.read_json("training.jsonl", lines=True)`` makes it a table.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = path
        self.append = bool(append)
        self._file, self._health = LogFile(path), HealthLog()
        self._epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Look whether the file can be written.

        Raises
        ------
        OSError
            The path is no file but a folder, a pipe or a device.
        """
        del logs
        self._file, self._health = LogFile(self.path), HealthLog()
        self._file.begin(append=self.append)

    def state_dict(self) -> dict[str, Any]:
        """Return how much of the file is written, and what has been said."""
        return {"size": self._file.standing, "health": self._health.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind the lines that were there at the checkpoint."""
        self._file.size = state["size"]
        self._health.load_state_dict(state["health"])

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember which epoch it is."""
        del logs
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the findings of the epoch, each on a line, and its figures."""
        figures = named_apart(logs or {})
        line = {"epoch": epoch, **figures, **non_finite(figures), **self._last_sample()}
        self._write([*self._findings(epoch), line])

    def on_train_end(self, logs: Logs = None) -> None:
        """Write what a doctor has measured and found behind the last epoch's line."""
        del logs
        seen, lines = self._last_sample(), self._findings(self._epoch)
        if seen:
            lines.append({"epoch": self._epoch, **seen})
        if lines:
            self._write(lines)

    def _last_sample(self) -> dict[str, Any]:
        """Return the last watched step, where there is one since the last line."""
        health = self.model.history.health
        seen = self._health.new_samples(self.model.history)
        if not seen:
            return {}
        step, row = seen[-1]
        # A doctor hears of an epoch's steps when the epoch has ended.
        place = {"step": step, "epoch": int(health["epoch"][row])}
        layers = measures_of(health, row)
        return {"health": {**place, **figures_of(health, row), "layers": layers}}

    def _findings(self, epoch: int) -> list[dict[str, Any]]:
        found = self._health.new_findings(self.model.history)
        return [{"epoch": epoch, "finding": fields_of(finding)} for finding in found]

    def _write(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(in_json(line), allow_nan=False) + "\n" for line in lines)
        self._file.write(text.encode())


def in_json(value: Any) -> Any:
    """Return a value of what JSON has: lists in place of arrays, null for what is no number."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): in_json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(in_json, value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def named_apart(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures under names that no other key of a line has."""
    return {f"{name}_" if name in OWN_KEYS else name: one for name, one in figures.items()}


def non_finite(figures: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return which numbers are NaN or infinite, and what they are; nothing where none is."""
    found = {
        name: repr(float(value))
        for name, value in figures.items()
        if np.ndim(value) == 0 and not math.isfinite(value)
    }
    return {"non_finite": found} if found else {}


def fields_of(finding: Finding) -> dict[str, Any]:
    """Return a finding as a line has it: of the root its place, of remedies what people read."""
    root = finding.because
    place = None if root is None else {name: getattr(root, name) for name in PLACE}
    remedies = [{"text": one.text, "code": one.code} for one in finding.remedies]
    return {**vars(finding), "because": place, "remedies": remedies}
