"""When training ends: scikit-learn's rule of `tol` and `n_iter_no_change`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from evengrad.callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from evengrad.callbacks._callback import Logs

# The rate below which "adaptive" divides it no more, and by what it divides.
LEAST_RATE, DIVISOR = 1e-6, 5.0


class Progress:
    """What an estimator knows of its training so far, which `partial_fit` and warm starts go on."""

    # How often each row of each embedding was trained; None of numbers, and of older files.
    category_counts: list[np.ndarray[Any, Any]] | None = None

    def __init__(self) -> None:
        # Epochs in a row that did not improve by `tol`.
        self.count = 0
        self.best: float | None = None
        self.losses: list[float] = []
        self.scores: list[float] = []
        self.validation_losses: list[float] = []
        # Rows seen.
        self.seen = 0

    def copied(self) -> Progress:
        """Return a copy that goes on by itself."""
        twin = Progress()
        vars(twin).update(vars(self))
        for name in ("losses", "scores", "validation_losses"):
            setattr(twin, name, list(getattr(self, name)))
        return twin


class StoppingRule(Callback):
    """Ends a training whose figure has not improved by `tol` for more than some epochs in a row.

    The figure is the loss, or the score of rows that are held out. The rule knows after how many
    epochs it can end a training at the earliest: those until then are run without it.

    Parameters
    ----------
    estimator
        Whose arguments hold.
    progress
        What was before, which the rule goes on.
    rows
        How many rows an epoch has.
    loss_of
        Returns the loss that scikit-learn reports, from the figures of an epoch: of training, or
        with the prefix of validation.
    """

    # Returns the score on the rows that are held out, where there are such.
    score: Callable[[], float] | None = None

    def __init__(
        self,
        estimator: Any,
        progress: Progress,
        rows: int,
        loss_of: Callable[..., float],
    ) -> None:
        self.estimator, self.progress, self.rows = estimator, progress, rows
        self.loss_of = loss_of
        self.epochs = 0
        # Whether the rule ended the training.
        self.has_stopped = False
        self.best_weights: list[np.ndarray[Any, Any]] | None = None
        self._figure = estimator.monitor or ("score" if estimator.early_stopping else "loss")
        # Larger is better of scores alone.
        self._sign = 1.0 if self._figure == "score" else -1.0
        sgd = estimator.solver == "sgd" if isinstance(estimator.solver, str) else False
        self._rates = estimator.learning_rate if sgd else "constant"

    def _epochs_left(self) -> int:
        patience = self.estimator.n_iter_no_change
        if self.estimator.verbose or self._rates == "invscaling":
            return 1
        left = patience + 1 - self.progress.count
        return max(1, int(min(left, sys.maxsize)))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Take in the epoch, and end the training where it is time."""
        del epoch
        figures = dict(logs or {})
        progress = self.progress
        self.epochs += 1
        progress.seen += self.rows
        figures["loss"] = self.loss_of(figures)
        if "val_loss" in figures:
            figures["val_loss"] = self.loss_of(figures, "val_")
        progress.losses.append(figures["loss"])
        if self.estimator.verbose:
            print(f"Iteration {self.epochs}, loss = {figures['loss']:.8f}")  # noqa: T201 - asked for
        if "val_loss" in figures:
            progress.validation_losses.append(figures["val_loss"])
        if self.score is not None:
            figures["score"] = self.score()
            progress.scores.append(figures["score"])
            if self.estimator.verbose:
                print(f"Validation score: {figures['score']:f}")  # noqa: T201 - asked for
        self._compare(figures)
        if self._rates == "invscaling":
            first = float(self.estimator.learning_rate_init)
            rate = first / (progress.seen + 1) ** self.estimator.power_t
            self.model.optimizer.learning_rate = rate
        if progress.count > self.estimator.n_iter_no_change:
            self._end()

    def _compare(self, figures: dict[str, Any]) -> None:
        """Count the epoch as one that improves, or as one that does not."""
        progress, tol = self.progress, float(self.estimator.tol)
        if self._figure not in figures:
            raise ValueError(
                f"monitor: no figure {self._figure!r}; there are {', '.join(sorted(figures))}"
            )
        value = self._sign * figures[self._figure]
        best = -float("inf") if progress.best is None else self._sign * progress.best
        progress.count = progress.count + 1 if value < best + tol else 0
        if value > best:
            progress.best = figures[self._figure]
            if self._keeps_best:
                self.best_weights = self.model.get_weights()

    @property
    def _keeps_best(self) -> bool:
        return bool(self.estimator.restore_best_weights) and self._figure != "loss"

    def _end(self) -> None:
        """End the training, or go on with a lower rate."""
        estimator = self.estimator
        what = "Validation score" if self.score is not None else "Training loss"
        text = (
            f"{what} did not improve more than tol={estimator.tol:f} for "
            f"{estimator.n_iter_no_change} consecutive epochs."
        )
        if self._rates == "adaptive":
            rate: Any = self.model.optimizer.learning_rate
            if rate > LEAST_RATE:
                self.model.optimizer.learning_rate = rate / DIVISOR
                self.progress.count = 0
                self._say(f"{text} Setting learning rate to {rate / DIVISOR:f}")
                return
            text += " Learning rate too small."
        self._say(f"{text} Stopping.")
        self.has_stopped = self.model.stop_training = True

    def _say(self, text: str) -> None:
        if self.estimator.verbose:
            print(text)  # noqa: T201 - asked for
