"""What happened in a training."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.callbacks._callback import Callback, Logs
from evengrad.callbacks._monitor import plain

if TYPE_CHECKING:
    import os


class History(Callback):
    """The figures of every epoch; `fit` returns it, and ``model.history`` is it while training.

    Attributes
    ----------
    history
        A list for each figure, one value per epoch: ``"loss"``, the metrics' names, and the same
        under ``val_`` for the validation data. A metric with one figure for each class, such as
        `metrics.ConfusionMatrix`, gives arrays.
    epoch
        The numbers of the epochs.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> history = model.fit(np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0)
    >>> history.epoch, history.history["loss"]
    ([0, 1], [0.0, 0.0])
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.params: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep the figures."""
        row = len(self.epoch)
        for name, value in (logs or {}).items():
            column = self.history.setdefault(name, [])
            # A figure that begins late has no value for the epochs before.
            column += [float("nan")] * (row - len(column))
            column[row:] = [value if isinstance(value, np.ndarray) else float(value)]
        # Last: without its number, a row counts as not written, and the next one overwrites it.
        self.epoch.append(epoch)

    def drop_unfinished(self) -> None:
        """Forget the row that Ctrl-C cut off."""
        for column in self.history.values():
            del column[len(self.epoch) :]

    def _numbers(self) -> dict[str, list[Any]]:
        """Return the columns of numbers; a metric may also come to an array in each epoch."""
        return {
            name: column
            for name, column in self.history.items()
            if not any(isinstance(value, np.ndarray) for value in column)
        }

    def plot(self, names: list[str] | None = None, ax: Any = None) -> Any:
        """Draw the learning curves with matplotlib.

        Parameters
        ----------
        names
            Which figures, without ``val_``; all by default.
        ax
            Axes to draw on, one for each figure; new ones by default.

        Returns
        -------
        Axes or list of Axes
            One where one figure is drawn or `ax` is one, else a list.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            A name that is not in the history; a number of axes that does not fit.

        Examples
        --------
        >>> history = eg.callbacks.History()
        >>> history.on_epoch_end(0, {"loss": 1.0, "val_loss": 1.5})
        >>> axes = history.plot()
        >>> axes.get_ylabel()
        'loss'
        """
        try:
            from matplotlib import pyplot as plt
        except ImportError as error:
            raise ImportError(
                'History.plot needs matplotlib: pip install "evengrad[plot]"'
            ) from error
        known = [name for name in self._numbers() if not name.startswith("val_")]
        chosen = known if names is None else list(names)
        for name in chosen:
            if name not in self._numbers():
                raise ValueError(f"names: no {name!r} in the history, only {', '.join(known)}")
        if ax is None:
            _, made = plt.subplots(
                1, max(1, len(chosen)), figsize=(5 * max(1, len(chosen)), 3.5), squeeze=False
            )
            axes = list(made[0])
        else:
            axes = list(ax) if hasattr(ax, "__len__") else [ax] * len(chosen)
            if len(axes) < len(chosen):
                raise ValueError(f"ax: expected {len(chosen)} axes, got {len(axes)}")
        epochs = [number + 1 for number in self.epoch]
        for name, panel in zip(chosen, axes, strict=False):
            panel.plot(epochs, self.history[name], label=name)
            if f"val_{name}" in self.history:
                panel.plot(epochs, self.history[f"val_{name}"], label=f"val_{name}")
            panel.set_xlabel("epoch")
            panel.set_ylabel(name)
            panel.legend()
        return axes[0] if len(chosen) <= 1 or (ax is not None and axes[0] is ax) else axes

    def to_pandas(self) -> Any:
        """Return the figures as a pandas DataFrame, one row per epoch.

        Raises
        ------
        ImportError
            pandas is not installed.

        Examples
        --------
        >>> history = eg.callbacks.History()
        >>> history.on_epoch_end(0, {"loss": 1.0})
        >>> history.to_pandas()["loss"].tolist()
        [1.0]
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("History.to_pandas needs pandas: pip install pandas") from error
        return pd.DataFrame(self.history, index=pd.Index(self.epoch, name="epoch"))

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the figures to a CSV file, one row per epoch.

        Examples
        --------
        >>> import pathlib
        >>> history = eg.callbacks.History()
        >>> history.on_epoch_end(0, {"loss": 1.0})
        >>> history.to_csv("history.csv")
        >>> print(pathlib.Path("history.csv").read_text().strip())
        epoch,loss
        0,1.0
        """
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["epoch", *self.history])
            for row, epoch in enumerate(self.epoch):
                writer.writerow([epoch, *(plain(column[row]) for column in self.history.values())])

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self._numbers().items())
        return f"<History of {len(self.epoch)} epochs{': ' + last if last else ''}>"
