"""Saving the model while it is trained: after epochs or batches, always or where it is the best."""

from __future__ import annotations

import logging
import os
import re
import string
from typing import TYPE_CHECKING, Any

from evengrad.callbacks._callback import check_save_freq
from evengrad.callbacks._monitor import Monitor, passes_over_validation
from evengrad.saving._atomic import remove_unfinished
from evengrad.saving._paths import file_path, path_to_write

if TYPE_CHECKING:
    from evengrad.callbacks._callback import Logs

logger = logging.getLogger("evengrad")

# What a number comes to in a name, however it is formatted.
NUMBER = r"[-+.,% \deinfa]+"


class ModelCheckpoint(Monitor):
    """Save the model, or its weights, after epochs or batches.

    To go on with an interrupted training use ``fit(checkpoint=...)`` or `BackupAndRestore`: they
    keep all that the training needs. The files of this callback are models, as of `Model.save`.

    Parameters
    ----------
    filepath
        The file; ``{epoch}``, counted from 1, ``{batch}`` (with a number for `save_freq`) and
        figures such as ``{val_loss:.3f}`` in it are filled in. Without them each file replaces the
        one before. Epochs without validation write no file that is named after a figure of it.
    monitor
        The figure that tells which model is the best.
    verbose
        Whether the log says what was saved.
    save_best_only
        Whether only models that are better than all before are saved.
    save_weights_only
        Whether `Model.save_weights` writes the file, not `Model.save`.
    mode
        ``"min"``, ``"max"``, or ``"auto"``: as the metric says of itself in `Metric.direction`,
        whatever its name; losses go down.
    save_freq
        ``"epoch"``, or a number of batches.
    initial_value_threshold
        A figure that the first model to be saved must beat, with `save_best_only`.

    Attributes
    ----------
    best
        The best figure so far; None before the first, unless a threshold is given.

    Raises
    ------
    ValueError
        A value out of range; a `filepath` with the suffix of another format. From `fit`: no figure
        has the name that is monitored, or that stands in `filepath`; ``"auto"``, with
        `save_best_only`, for one that no metric says the direction of.
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

    is_passive = True
    _kept = ("best", "_batches")

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
        path_to_write(filepath, "ModelCheckpoint", "filepath")
        self.filepath = filepath
        self.verbose = verbose
        self.save_best_only = bool(save_best_only)
        self.save_weights_only = bool(save_weights_only)
        self._watch(monitor, mode)
        self.save_freq = check_save_freq(save_freq)
        self.initial_value_threshold = initial_value_threshold
        if initial_value_threshold is not None:
            self.best = float(initial_value_threshold)
        self._epoch = 0
        self._batches = 0

    def wants_batches(self, kind: str) -> bool:
        """Tell whether the callback saves after batches."""
        return kind == "train" and self.save_freq != "epoch"

    def on_train_begin(self, logs: Logs = None) -> None:
        """Take the direction of the figure; the best so far stays, from one `fit` to the next."""
        del logs
        self._forget_direction()
        if self.save_best_only:
            self._direction()

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
        path = self._path(logs, batch)
        if path is None:
            return
        if self.save_best_only:
            value = self._figure(logs)
            if value is None or not self._better(value, self.best):
                return
            self.best = value
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        # What was left of another epoch, in a training that was killed while it saved.
        remove_unfinished(os.path.dirname(os.path.abspath(path)), self._names())
        if self.verbose:
            logger.info("ModelCheckpoint: epoch %d: saved %s", self._epoch + 1, path)

    def _path(self, logs: Logs, batch: int | None) -> str | None:
        """Return the path of a file; None for one that is named after a validation there was not.

        That is in epochs between those with validation, over which callbacks pass.
        """
        figures: dict[str, Any] = {**(logs or {}), "epoch": self._epoch + 1}
        if batch is not None:
            figures["batch"] = batch + 1
        path = file_path(self.filepath)
        try:
            return path.format(**figures)
        except KeyError as error:
            of_validation = str(error.args[0]).startswith("val_")
            if batch is None and of_validation and passes_over_validation(self, figures):
                return None
            raise ValueError(
                f"filepath: no figure {error} for {path!r}; there are {', '.join(sorted(figures))}"
            ) from error

    def _names(self) -> str:
        """Return a regular expression for the names of files that `filepath` may come to."""
        parts = string.Formatter().parse(os.path.basename(file_path(self.filepath)))
        return "".join(
            re.escape(text) + ("" if field is None else NUMBER) for text, field, _, _ in parts
        )
