"""Figures to a file, epoch by epoch."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from evengrad._common.names import printable
from evengrad.callbacks._callback import Callback, Logs, plain
from evengrad.callbacks._log_file import LogFile
from evengrad.callbacks._monitor import passes_over_validation
from evengrad.saving._paths import errors_name

if TYPE_CHECKING:
    import os


class CSVLogger(Callback):
    """Write the figures of every epoch to a CSV file as soon as the epoch ends.

    Parameters
    ----------
    filename
        The file.
    separator
        What stands between values.
    append
        Whether lines are added to an existing file; else it is replaced.

    Examples
    --------
    >>> import pathlib
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> log = eg.callbacks.CSVLogger("training.csv")
    >>> history = model.fit(np.zeros((4, 2)), np.zeros(4), verbose=0, callbacks=[log])
    >>> print(pathlib.Path("training.csv").read_text().strip())
    epoch,loss
    0,0.0
    """

    is_passive = True

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename = filename
        self.separator = separator
        self.append = bool(append)
        self._names: list[str] | None = None
        self._file = LogFile(filename, "filename")

    def on_train_begin(self, logs: Logs = None) -> None:
        """Look for the columns of a file that is to be continued.

        Raises
        ------
        OSError
            The file cannot be read, or the path is no file but a folder, a pipe or a device.
        """
        del logs
        self._names, self._file = None, LogFile(self.filename, "filename")
        if self._file.begin(append=self.append):
            path = self._file.path
            with errors_name(path), open(path, newline="", encoding="utf-8") as file:
                self._names = next(csv.reader(file, delimiter=self.separator))[1:]

    def state_dict(self) -> dict[str, Any]:
        """Return the columns, and how much of the file is written."""
        return {"names": self._names, "size": self._file.standing}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on behind the lines that were there at the checkpoint."""
        self._names, self._file.size = state["names"], state["size"]

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a line; the first one begins the file."""
        figures: dict[str, Any] = {printable(name): value for name, value in (logs or {}).items()}
        lines = io.StringIO()
        writer = csv.writer(lines, delimiter=self.separator, lineterminator="\n")
        if self._names is None:
            self._names = list(figures)
            if passes_over_validation(self, figures):
                # The first epoch is without, later ones are not.
                self._names += [f"val_{name}" for name in figures if name != "learning_rate"]
        if self._file.is_empty:
            writer.writerow(["epoch", *self._names])
        values = (figures.get(name, "") for name in self._names)
        writer.writerow([epoch, *map(plain, values)])
        self._file.write(lines.getvalue().encode())
