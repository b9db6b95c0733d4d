"""The base of all callbacks, the list of them that a call has, and the history that `fit` keeps."""

from __future__ import annotations

import csv
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from evengrad._common.checks import check_int
from evengrad._common.config import Configured
from evengrad._common.names import printable, shown_object
from evengrad.saving._paths import check_ordinary, errors_name, file_path

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import BinaryIO

    from evengrad.health import Finding
    from evengrad.health._examination import Observed
    from evengrad.health._non_finite import NonFinite
    from evengrad.training._protocol import PublicModel, Settings

logger = logging.getLogger("evengrad")

Logs: TypeAlias = "dict[str, Any] | None"


class Callback(Configured):
    """Hooks that `fit`, `evaluate` and `predict` call, and that may act on what they see.

    A subclass writes the methods it needs. Training returns to Python for each batch only if a
    callback has one of the methods for batches.

    Attributes
    ----------
    model
        The model; set ``self.model.stop_training = True`` to end the training after the epoch, or
        after the batch from within a method for batches; there ``stop_evaluating`` and
        ``stop_predicting`` end `evaluate`, or a validation, and `predict` after the batch.
    params
        What `fit` was called with: ``epochs``, ``initial_epoch``, ``steps`` (batches in an epoch,
        None if unknown), ``batch_size`` and ``rows`` (None of an iterable of batches), ``shuffle``,
        ``verbose`` and ``validation_freq``.
    all_ranks
        Whether every rank calls it, where several train together (``fit(comm=...)``). False: rank
        0 does, and what it decides, to stop, another learning rate, other values of variables,
        holds for all.

    Examples
    --------
    >>> class Tell(eg.callbacks.Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, sorted(logs))
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> x, y = np.zeros((4, 2)), np.zeros(4)
    >>> history = model.fit(x, y, verbose=0, callbacks=[Tell()])
    0 ['loss']
    """

    model: PublicModel
    params: dict[str, Any]
    all_ranks = False
    # Whether it may be there in a resumed training only, or before only, although it has a state.
    _joins_later: ClassVar[bool] = False
    # Whether nothing that the callback does changes what is trained, or how.
    is_passive = False
    # Where what reproduces a step is written, once its numbers are not finite.
    replay_file: str | None = None
    # Where steps are to be watched, of which `_on_watched` hears: each k-th, or "auto", as many as
    # take little time.
    watch_every: int | str | None = None
    # Whether it acts on what it hears of watched steps and of numbers that are not finite, and must
    # hear of them at once.
    acts: bool = False
    # Whether it must see what was measured now, and not at the epoch's end.
    is_urgent: bool = False

    def set_model(self, model: PublicModel) -> None:
        """Take the model; called before anything else."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Take what `fit` was called with."""
        self.params = params

    def on_train_begin(self, logs: Logs = None) -> None:
        """Hear that `fit` begins."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Hear that `fit` ends, with the last epoch's figures."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Hear that an epoch begins; they are counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Hear that an epoch ends, with its figures, those of validation under ``val_``."""

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hear that a training batch begins; Keras' short name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hear that a training batch ends; Keras' short name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hear that a training batch begins; they are counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hear that a training batch ends, with the epoch's figures so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Hear that an evaluation begins, also that of an epoch's end."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Hear that an evaluation ends, with its figures."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hear that a batch of an evaluation begins."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hear that a batch of an evaluation ends, with the figures so far."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Hear that `predict` begins."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Hear that `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hear that a block of rows of `predict` begins."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hear that a block of rows of `predict` ends."""

    def _on_non_finite(self, trouble: NonFinite) -> None:
        """Hear where numbers stopped being finite.

        In a training that goes on it is heard again if the numbers have been put right meanwhile.
        """

    def _on_watched(self, observed: Observed) -> None:
        """Hear what watched steps have measured of each layer."""

    def _steps_left(self) -> int:
        """Return after how many steps `_after_steps` is to be called.

        For who acts after a number of steps, without a return to Python for each.
        """
        return sys.maxsize

    def _after_steps(self) -> None:
        """Hear that steps have been made, as many as were left or fewer."""

    def _epochs_left(self) -> int:
        """Return after how many epochs it must hear of them, 1 or more.

        For who decides by the figures of epochs, and not by each: those until then may be run
        without a return to Python, and it hears of them one after the other when they have been.
        """
        return 1

    def state_dict(self) -> dict[str, Any] | None:
        """Return what a checkpoint keeps of the callback; None where it has no state.

        Numbers, text, None, NumPy arrays, and lists, tuples and dicts of them. A callback that
        decides by what it has seen so far writes this and `load_state_dict`, so that training
        resumes as if it had not been interrupted.

        Examples
        --------
        >>> eg.callbacks.EarlyStopping(patience=3).state_dict()["wait"]
        0
        """
        return None

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned, after `on_train_begin` of the resumed training.

        Parameters
        ----------
        state
            As `state_dict` returned it.

        Examples
        --------
        >>> stop, same = (eg.callbacks.EarlyStopping(patience=3) for _ in range(2))
        >>> same.load_state_dict(stop.state_dict())
        """

    def wants_batches(self, kind: str) -> bool:
        """Tell whether the callback has a method of its own for batches: train, test or predict."""
        names = [f"on_{kind}_batch_begin", f"on_{kind}_batch_end"]
        if kind == "train":
            names += ["on_batch_begin", "on_batch_end"]
        return any(overrides(self, name) for name in names)


# The hooks between whose calls steps are made: in these, callbacks may change what is trained.
BETWEEN_STEPS = tuple(
    name for name in vars(Callback) if name.startswith("on_") and name != "on_train_end"
)


def overrides(callback: Callback, method: str) -> bool:
    """Tell whether a callback has a method of its own of that name."""
    own = getattr(type(callback), method) is not getattr(Callback, method)
    return own or method in vars(callback)


def epochs_left(callbacks: Sequence[Callback]) -> int:
    """Return after how many epochs the first of some callbacks must hear of them."""
    return min(one._epochs_left() for one in callbacks)  # noqa: SLF001 - no public name, as users derive from it


def is_patient(callback: Callback) -> bool:
    """Tell whether a callback may hear of an epoch's beginning and end when more have been run."""
    within = ("on_epoch_begin", "_after_steps", "_on_non_finite")
    return (
        overrides(callback, "_epochs_left")
        and callback.watch_every is None
        and not callback.wants_batches("train")
        and not any(overrides(callback, hook) for hook in within)
    )


class Turns:
    """The callbacks that act after a number of steps."""

    def __init__(self, callbacks: list[Callback]) -> None:
        self.callbacks = [one for one in callbacks if overrides(one, "_steps_left")]

    def steps_left(self) -> int:
        """Return after how many steps the first of them wants its turn."""
        return min((one._steps_left() for one in self.callbacks), default=sys.maxsize)  # noqa: SLF001 - no public name, as users derive from it

    def give(self) -> None:
        """Give each of them its turn."""
        for one in self.callbacks:
            one._after_steps()  # noqa: SLF001 - as above


def joins_later(callback: Callback) -> bool:
    """Tell whether a callback with a state may be missing before or after a training resumes."""
    return callback._joins_later  # noqa: SLF001 - no public name, as users derive from it


class History(Callback):
    """The figures of every epoch; `fit` returns it, and ``model.history`` is it while training.

    Attributes
    ----------
    history
        A list for each figure, one value per epoch: ``"loss"``, the metrics' names, and the same
        under ``val_`` for the validation data, NaN in epochs without validation. A metric with one
        figure for each class, such as `metrics.ConfusionMatrix`, gives arrays. Where a schedule,
        `LearningRateScheduler` or `ReduceLROnPlateau` moves the learning rate,
        ``"learning_rate"`` is that of each epoch's last update.
    epoch
        The numbers of the epochs.
    seconds, steps
        The time from the beginning of the training to the end of its last epoch, validation and
        callbacks included, and the steps of these epochs; of a resumed training since then.
    epoch_seconds
        How long each epoch took, validation and callbacks of the one before included; NaN of those
        before a training was resumed.
    settings
        The arguments of `compile` that the model was trained with, as `report` shows them.
    health
        What a `GradientDoctor` measured: a dict of arrays, empty where none watched.
    findings
        What it found: a tuple of `health.Finding`.
    ended_by
        What ended the training before its last epoch, where `fit_many` did: text, else None.
    outcome
        What `report` shows of predictions: None, or a dict of ``"confusion"``, counts by true and
        predicted class, and ``"labels"``; or of ``"predicted"`` and ``"residuals"``.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> history = model.fit(np.zeros((4, 2)), np.zeros(4), epochs=2, verbose=0)
    >>> history.epoch, history.history["loss"], history.steps
    ([0, 1], [0.0, 0.0], 2)
    """

    # Also of what was pickled before there were such.
    seconds: float = 0.0
    steps: int = 0
    settings: Settings | None = None
    findings: tuple[Finding, ...] = ()
    ended_by: str | None = None
    outcome: dict[str, Any] | None = None
    is_passive = True

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.params: dict[str, Any] = {}
        self.health: dict[str, Any] = {}
        self._began = 0.0
        # Seconds by the epoch's number.
        self._took: dict[int, float] = {}

    @property
    def epoch_seconds(self) -> list[float]:
        """How long each epoch took."""
        # What was pickled before there were such has none.
        took = vars(self).get("_took", {})
        return [took.get(epoch, float("nan")) for epoch in self.epoch]

    def on_train_begin(self, logs: Logs = None) -> None:
        """Note the time."""
        del logs
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep the figures."""
        row, figures = len(self.epoch), logs or {}
        for name, value in figures.items():
            column = self.history.setdefault(name, [])
            # A figure that begins late has no value for the epochs before.
            column += [float("nan")] * (row - len(column))
            column[row:] = [value if isinstance(value, np.ndarray) else float(value)]
        if len(figures) < len(self.history):
            for column in self.history.values():
                column.extend([float("nan")] * (row + 1 - len(column)))
        if self._began:
            now = time.perf_counter() - self._began
            self._took[epoch], self.seconds = now - self.seconds, now
        # Last: without its number, a row counts as not written, and the next one overwrites it.
        self.epoch.append(epoch)

    def __getstate__(self) -> dict[str, Any]:
        # For copies that are made while another thread trains: rows that are written whole.
        state, rows = dict(vars(self)), list(self.epoch)
        columns = {name: list(column)[: len(rows)] for name, column in list(self.history.items())}
        return {**state, "epoch": rows, "history": columns}

    def share_time(self, ends: list[float]) -> None:
        """Share the time of the last epochs, run together, by when they ended."""
        together, begins = self.epoch[-len(ends) :], [0.0, *ends]
        spent = sum(self._took.get(epoch, 0.0) for epoch in together) / ends[-1]
        for epoch, begin, end in zip(together, begins, ends, strict=False):
            self._took[epoch] = (end - begin) * spent

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
        from evengrad._common.plot_style import plot_style, pyplot

        plt = pyplot("History.plot")
        known = [name for name in self._numbers() if not name.startswith("val_")]
        chosen = known if names is None else list(names)
        for name in chosen:
            if name not in self._numbers():
                raise ValueError(
                    f"names: no {name!r} in the history, only {', '.join(map(printable, known))}"
                )
        with plot_style(ax):
            if ax is None:
                count = max(1, len(chosen))
                _, made = plt.subplots(1, count, figsize=(5 * count, 3.5), squeeze=False)
                axes = list(made[0])
            else:
                axes = list(ax) if hasattr(ax, "__len__") else [ax] * len(chosen)
                if len(axes) < len(chosen):
                    raise ValueError(f"ax: expected {len(chosen)} axes, got {len(axes)}")
            for name, panel in zip(chosen, axes, strict=False):
                self._draw(name, panel)
        return axes[0] if len(chosen) <= 1 or (ax is not None and axes[0] is ax) else axes

    def _draw(self, name: str, panel: Any) -> None:
        """Draw the curves of one figure."""
        epochs = [number + 1 for number in self.epoch]
        shown = printable(name)
        panel.plot(epochs, self.history[name], label=shown)
        if f"val_{name}" in self.history:
            panel.plot(epochs, self.history[f"val_{name}"], linestyle="--", label=f"val_{shown}")
        panel.set_xlabel("epoch")
        panel.set_ylabel(shown)
        panel.legend()

    def _repr_html_(self) -> str:
        # Of use to notebooks alone.
        from evengrad.callbacks._history_table import as_html

        return as_html(self, self._numbers())

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

        Raises
        ------
        OSError
            The file cannot be written, or the path is no file but a folder, a pipe or a device.

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
        name = file_path(path)
        check_ordinary(name)
        with errors_name(name), open(name, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["epoch", *map(printable, self.history)])
            for row, epoch in enumerate(self.epoch):
                writer.writerow([epoch, *(plain(column[row]) for column in self.history.values())])

    def report(self, path: str | os.PathLike[str], x: Any = None, y: Any = None) -> None:
        """Write a page about the training: one HTML file that needs no network and no server.

        Findings with their cures, learning curves, what a `GradientDoctor` measured by layer, what
        becomes of data, the model, settings, versions and times. It is read without scripts too,
        has less than 1 MB, and is written whole or not at all.

        Parameters
        ----------
        path
            Where to; by custom it ends in ``.html``.
        x, y
            Inputs and targets, whose confusion matrix or residuals the page then has, and the
            activations of layers for the first 512; without them, what `outcome` has.

        Raises
        ------
        OSError
            The file cannot be written, or the path is no file but a folder, a pipe or a device.
        ValueError
            One of `x` and `y` without the other, or as many rows as the other has not; the history
            of no model.

        Examples
        --------
        >>> import pathlib
        >>> model = eg.Sequential([eg.layers.Dense(3, "softmax")], seed=1)
        >>> model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        >>> x, y = np.zeros((4, 2)), np.array([0, 1, 2, 2])
        >>> history = model.fit(x, y, epochs=2, verbose=0)
        >>> history.report("run.html", x, y)
        >>> "Confusion matrix" in pathlib.Path("run.html").read_text(encoding="utf-8")
        True
        """
        from evengrad.health._report._activations import activations_of
        from evengrad.health._report._outcomes import outcomes_of
        from evengrad.health._report._page import report_of
        from evengrad.saving._atomic import write_atomically

        name = file_path(path)
        check_ordinary(name)
        content = report_of(self, outcomes_of(self, x, y), activations_of(self, x))

        def fill(file: BinaryIO) -> None:
            file.write(content)

        write_atomically(name, fill)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self._numbers().items())
        return printable(f"<History of {len(self.epoch)} epochs{': ' + last if last else ''}>")


class CallbackList:
    """All callbacks of one call, in their order."""

    def __init__(self, callbacks: list[Callback], model: PublicModel) -> None:
        self.callbacks = callbacks
        self.model = model
        self._wanted: dict[str, bool] = {}
        # Whether any hears of numbers that are not finite, within the epoch.
        self.watches_loss = False
        for callback in callbacks:
            callback.set_model(model)
            self.watches_loss |= overrides(callback, "_on_non_finite")

    @property
    def replay_files(self) -> list[str]:
        """Where callbacks want what reproduces a step."""
        return [one.replay_file for one in self.callbacks if one.replay_file is not None]

    def set_params(self, params: dict[str, Any]) -> None:
        """Give all what the call was made with."""
        for callback in self.callbacks:
            callback.set_params(params)

    def wants_batches(self, kind: str) -> bool:
        """Tell whether any callback has methods for batches; looked up once."""
        if kind not in self._wanted:
            self._wanted[kind] = any(callback.wants_batches(kind) for callback in self.callbacks)
        return self._wanted[kind]

    def tell(self, hook: str, *args: Any) -> None:
        """Call one method of each."""
        for callback in self.callbacks:
            getattr(callback, hook)(*args)

    def release(self, logs: Logs) -> None:
        """After an exception: let callbacks give back what they hold; what they raise is logged."""
        for callback in self.callbacks:
            try:
                callback.on_train_end(logs)
            except Exception:  # noqa: PERF203 - each callback is told, whatever the others do
                logger.exception("on_train_end of %r failed after another exception", callback)


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list, or raise a TypeError that names the one that is none."""
    if callbacks is None:
        return []
    items = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for item in items:
        if not isinstance(item, Callback):
            raise TypeError(
                f"callbacks: expected evengrad.callbacks.Callback, got {shown_object(item)}"
            )
    return items


def check_save_freq(value: Any) -> str | int:
    """Return ``"epoch"``, or after how many batches something is saved."""
    return "epoch" if value == "epoch" else check_int(value, "save_freq", at_least=1)


def plain(value: Any) -> Any:
    """Return an array as nested lists, which fit in one line of a file; anything else as it is."""
    return value.tolist() if isinstance(value, np.ndarray) else value
