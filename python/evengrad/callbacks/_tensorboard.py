"""Figures, weights and the doctor's series to event files, for TensorBoard."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.checks import check_int
from evengrad._common.names import choose, printable
from evengrad.callbacks import _event_files as events
from evengrad.callbacks._callback import Callback, Logs
from evengrad.callbacks._health_log import HealthLog, figures_of, measures_of
from evengrad.layers._module import module_tree
from evengrad.optimizers._optimizer import rate_of

if TYPE_CHECKING:
    from evengrad.health import Finding

TRAIN, VALIDATION = events.RUNS


class TensorBoard(Callback):
    """Write the course of a training to event files; ``tensorboard --logdir logs`` shows them.

    Folders and names are Keras': in ``train/`` and ``validation/`` ``epoch_loss`` and the other
    figures by epoch, ``epoch_learning_rate``, the rate of the epoch's last update, and with
    `histogram_freq` the weights; ``evaluation_loss_vs_iterations`` and, with `update_freq`,
    ``batch_loss`` by update, as `Optimizer.iterations` counts. Where a `GradientDoctor` stands
    before it in ``callbacks``, ``health_speed/dense`` and the like are the doctor's series by layer
    and update, and ``health_finding/...`` what it found. Arrays are left out of the figures. What
    is written stays, whatever becomes of the training; one that goes on from a checkpoint has no
    step twice.

    Needs tensorboard, or the smaller tensorboardX. Every training has files of its own, so that
    several in one folder lie on top of each other: give each a folder below one that they share.

    Parameters
    ----------
    log_dir
        The folder of the runs.
    histogram_freq
        How many epochs from one histogram of each variable to the next; 0 for none.
    write_steps_per_second
        Whether ``epoch_steps_per_second``, and with `update_freq` that of the batches, is written.
    update_freq
        ``"epoch"``; or ``"batch"``, or after how many updates the figures of the epoch so far are
        written, too: training returns to Python for each batch then.

    Raises
    ------
    ImportError
        Neither tensorboard nor tensorboardX is installed.
    ValueError, TypeError
        A value out of range.
    OSError
        From `fit`: the files cannot be written.

    Examples
    --------
    >>> import os
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> board = eg.callbacks.TensorBoard("logs/first", histogram_freq=1)
    >>> x, y = np.zeros((4, 2)), np.zeros(4)
    >>> history = model.fit(x, y, validation_split=0.5, verbose=0, callbacks=[board])
    >>> sorted(os.listdir("logs/first"))
    ['train', 'validation']
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        *,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
    ) -> None:
        self.log_dir = check_folder(log_dir)
        self.histogram_freq = check_int(histogram_freq, "histogram_freq", at_least=0)
        self.write_steps_per_second = bool(write_steps_per_second)
        self.update_freq = check_update_freq(update_freq)
        events.event_tools()
        self._files: events.EventFiles | None = None
        self._health = HealthLog()
        # Since when steps are counted for their number in a second: updates, and the time.
        self._since = {"epoch": (0, 0.0), "batch": (0, 0.0)}

    def wants_batches(self, kind: str) -> bool:
        """Tell whether batches are written: those of training alone, where `update_freq` says so.

        Parameters
        ----------
        kind
            ``"train"``, ``"test"`` or ``"predict"``.

        Examples
        --------
        >>> eg.callbacks.TensorBoard(update_freq=10).wants_batches("train")
        True
        """
        return kind == "train" and self.update_freq != "epoch"

    def on_train_begin(self, logs: Logs = None) -> None:
        """Make the folder; the files come with what is in them."""
        del logs
        self._files, self._health = events.EventFiles(self.log_dir), HealthLog()
        self._since["batch"] = self._now()

    def state_dict(self) -> dict[str, Any]:
        """Return how much is written."""
        files = None if self._files is None else self._files.state_dict()
        return {"files": files, "health": self._health.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what was written after the checkpoint, and go on from there."""
        if state["files"] is not None:
            self._writer().load_state_dict(state["files"])
        self._health.load_state_dict(state["health"])

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin to count steps."""
        del epoch, logs
        self._since["epoch"] = self._now()

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Write the figures so far."""
        del batch
        updates = self.model.optimizer.iterations
        every = self.update_freq
        if every == "epoch" or updates % (1 if every == "batch" else int(every)):
            return
        values = scalars("batch_", logs or {})
        if self.write_steps_per_second:
            values += scalars("batch_", self._steps_per_second("batch"))
        self._writer().write(TRAIN, values, updates)

    def on_test_end(self, logs: Logs = None) -> None:
        """Write what an evaluation comes to, beside the number of updates."""
        values = scalars("evaluation_", logs or {}, "_vs_iterations")
        self._writer().write(VALIDATION, values, self.model.optimizer.iterations)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the epoch's figures and rate, and the weights where it is their turn."""
        figures = logs or {}
        held_out = {name: one for name, one in figures.items() if name.startswith("val_")}
        trained = {name: one for name, one in figures.items() if name not in held_out}
        optimizer = self.model.optimizer
        trained["learning_rate"] = rate_of(optimizer, optimizer.iterations - 1)
        if self.write_steps_per_second:
            trained.update(self._steps_per_second("epoch"))
        values = scalars("epoch_", trained)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            values += self._histograms()
        writer = self._writer()
        writer.write(TRAIN, values, epoch)
        bare = {name.removeprefix("val_"): one for name, one in held_out.items()}
        writer.write(VALIDATION, scalars("epoch_", bare), epoch)
        self._write_health()

    def on_train_end(self, logs: Logs = None) -> None:
        """Write what the doctor has found since the last epoch's end."""
        del logs
        self._write_health()

    def _writer(self) -> events.EventFiles:
        if self._files is None:
            # An evaluation by itself.
            self._files = events.EventFiles(self.log_dir)
        return self._files

    def _now(self) -> tuple[int, float]:
        return self.model.optimizer.iterations, time.perf_counter()

    def _steps_per_second(self, since: str) -> dict[str, float]:
        updates, begun = self._since[since]
        self._since[since] = now, ended = self._now()
        return {"steps_per_second": (now - updates) / max(ended - begun, 1e-9)}

    def _histograms(self) -> list[dict[str, Any]]:
        """Return the weights, and the activations of the last epoch where a doctor has them."""
        parts = [
            events.histogram(f"{printable(path)}/histogram", tensor.numpy())
            for path, tensor in module_tree(self.model).named_weights
        ]
        health = self.model.history.health
        if "activation_histogram" in health:
            series = (health["layers"], health["activation_histogram"], health["activation_edges"])
            for path, counts, edges in zip(*series, strict=True):
                tag = f"health_activation/{printable(path)}"
                parts.append(events.counted(tag, np.asarray(counts), np.asarray(edges)))
        return [value for part in parts for value in part]

    def _write_health(self) -> None:
        history, writer = self.model.history, self._writer()
        health = history.health
        for step, row in self._health.new_samples(history):
            values = scalars("health_", figures_of(health, row))
            for path, measures in measures_of(health, row).items():
                values += scalars("health_", measures, f"/{path}")
            writer.write(TRAIN, values, step)
        for finding in self._health.new_findings(history):
            tag = printable(f"health_finding/{finding.kind}/{finding.layer or 'model'}")
            writer.write(TRAIN, [events.text(tag, words_of(finding))], finding.step or 0)


def scalars(before: str, figures: dict[str, Any], behind: str = "") -> list[dict[str, Any]]:
    """Return numbers as parts of a summary, under names with something around; no arrays."""
    return [
        events.scalar(printable(f"{before}{name}{behind}"), float(value))
        for name, value in figures.items()
        if np.ndim(value) == 0
    ]


def words_of(finding: Finding) -> str:
    """Return a finding in Markdown."""
    place = f"in `{finding.layer}`" if finding.layer else "in the model"
    first = (
        f"**{finding.kind}** {place} ({finding.severity}): {finding.value:.4g}, threshold "
        f"{finding.threshold:.4g}; cause: {finding.cause}"
    )
    return "\n".join([first, "", *(f"* {remedy.text}" for remedy in finding.remedies)])


def check_folder(path: Any) -> str:
    """Return the path of a folder as text, or raise an error."""
    if not isinstance(path, (str, bytes, os.PathLike)) or not os.fsdecode(path):
        raise TypeError(f"log_dir: expected the path of a folder, got {path!r}")
    return os.fsdecode(path)


def check_update_freq(value: Any) -> str | int:
    """Return ``"epoch"``, ``"batch"``, or after how many updates figures are written."""
    if isinstance(value, str):
        return choose(value, ("epoch", "batch"), "update_freq")
    return check_int(value, "update_freq", at_least=1)
