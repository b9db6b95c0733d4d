"""Saving the model while it is trained: after epochs or batches, always or where it is the best."""

from __future__ import annotations

import logging
import math
import os
from typing import Any

from evengrad._common.checks import check_int
from evengrad._common.names import choose
from evengrad.callbacks._callback import Callback, Logs
from evengrad.callbacks._monitor import figure, is_larger_better

logger = logging.getLogger("evengrad")


class ModelCheckpoint(Callback):
    """Save the model, or its weights, after epochs or batches.

    To go on with an interrupted training use ``fit(checkpoint=...)`` or `BackupAndRestore`: they
    keep all that the training needs. The files of this callback are models, as of `Model.save`.

    Parameters
    ----------
    filepath
        The file; ``{epoch}``, counted from 1, ``{batch}`` (with a number for `save_freq`) and
        figures such as ``{val_loss:.3f}`` in it are filled in. Without them each file replaces the
        one before.
    monitor
        The figure that tells which model is the best.
    verbose
        Whether the log says what was saved.
    save_best_only
        Whether only models that are better than all before are saved.
    save_weights_only
        Whether `Model.save_weights` writes the file, not `Model.save`.
    mode
        ``"min"``, ``"max"``, or ``"auto"``: by the figure's name, accuracies up, losses down.
    save_freq
        ``"epoch"``, or a number of batches.
    initial_value_threshold
        A figure that the first model to be saved must beat, with `save_best_only`.

    Attributes
    ----------
    best
        The best figure so far.

    Raises
    ------
    ValueError
        A value out of range. From `fit`: no figure has the name that is monitored, or that stands
        in `filepath`.
    OSError
        From `fit`: the file cannot be written.

    Examples
    --------
    >>> import pathlib
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> save = eg.callbacks.ModelCheckpoint("net-{epoch:02d}.safetensors", monitor="loss")
    >>> history = model.fit(np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0, callbacks=[save])
    >>> sorted(path.name for path in pathlib.Path().glob("net-*"))
    ['net-01.safetensors', 'net-02.safetensors']
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        self.filepath = filepath
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = bool(save_best_only)
        self.save_weights_only = bool(save_weights_only)
        self.mode = choose(mode, ("auto", "min", "max"), "mode")
        by_epoch = save_freq == "epoch"
        self.save_freq: str | int = (
            "epoch" if by_epoch else check_int(save_freq, "save_freq", at_least=1)
        )
        self.initial_value_threshold = initial_value_threshold
        self._sign = -1.0 if is_larger_better(self.mode, self.monitor) else 1.0
        start = initial_value_threshold
        self.best = self._sign * math.inf if start is None else float(start)
        self._epoch = 0
        self._batches = 0

    def wants_batches(self, kind: str) -> bool:
        """Tell whether the callback saves after batches."""
        return kind == "train" and self.save_freq != "epoch"

    def state_dict(self) -> dict[str, Any]:
        """Return the best figure so far, and the batches since the last file."""
        return {"best": self.best, "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self._batches = state["best"], state["batches"]

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember which epoch it is."""
        del logs
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save after so many batches."""
        self._batches += 1
        if self._batches == self.save_freq:
            self._batches = 0
            self._save(logs, batch)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save after the epoch."""
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs, None)

    def _save(self, logs: Logs, batch: int | None) -> None:
        if self.save_best_only:
            value = figure(logs, self.monitor, "ModelCheckpoint")
            if not self._sign * value < self._sign * self.best:
                return
            self.best = value
        path = self._path(logs, batch)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            logger.info("ModelCheckpoint: epoch %d: saved %s", self._epoch + 1, path)

    def _path(self, logs: Logs, batch: int | None) -> str:
        figures: dict[str, Any] = {**(logs or {}), "epoch": self._epoch + 1}
        if batch is not None:
            figures["batch"] = batch + 1
        try:
            return os.fspath(self.filepath).format(**figures)
        except KeyError as error:
            raise ValueError(
                f"filepath: no figure {error} for {os.fspath(self.filepath)!r}; there are "
                f"{', '.join(sorted(figures))}"
            ) from error
