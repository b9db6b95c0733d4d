"""Learning rates that change between epochs."""

from __future__ import annotations

import inspect
import logging
import math
from typing import TYPE_CHECKING

from evengrad._common.checks import check_float, check_int
from evengrad._common.names import choose
from evengrad.callbacks._callback import Callback, Logs
from evengrad.callbacks._monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("evengrad")


class RateChanger(Callback):
    """A callback that sets the optimizer's learning rate, which must be a number."""

    def _rate(self) -> float:
        rate = self.model.optimizer.learning_rate
        if callable(rate):
            raise TypeError(
                f"{type(self).__name__}: the optimizer's learning rate is the schedule {rate!r}; "
                "use one of the two, or give the optimizer a number"
            )
        return rate

    def on_train_begin(self, logs: Logs = None) -> None:
        """Refuse an optimizer that has a schedule."""
        del logs
        self._rate()


class LearningRateScheduler(RateChanger):
    """Set the learning rate before each epoch.

    Parameters
    ----------
    schedule
        A function of the epoch, counted from 0; or of the epoch and the present learning rate.

    Raises
    ------
    TypeError
        From `fit`: the optimizer has a schedule of its own.
    ValueError
        From `fit`: a learning rate below 0.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile(eg.optimizers.SGD(1.0), loss="mse")
    >>> halve = eg.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    >>> history = model.fit(np.zeros((4, 2)), np.zeros(4), epochs=3, verbose=0, callbacks=[halve])
    >>> model.optimizer.learning_rate
    0.125
    """

    def __init__(self, schedule: Callable[..., float]) -> None:
        if not callable(schedule):
            raise TypeError(f"schedule: expected a function of the epoch, got {schedule!r}")
        self.schedule = schedule
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except (TypeError, ValueError):
            self._takes_rate = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the epoch's learning rate."""
        del logs
        known = (epoch, self._rate()) if self._takes_rate else (epoch,)
        self.model.optimizer.learning_rate = check_float(
            self.schedule(*known), f"schedule({epoch})", low=0.0
        )


class ReduceLROnPlateau(RateChanger, Monitor):
    """Cut the learning rate when a figure has not improved for some epochs: η ← max(η · f, min).

    Under ``"keras"`` an epoch improves if its figure is below best − `min_delta`, and the cut comes
    when `patience` epochs have been waited; a cooldown of n delays the next wait by n − 1 epochs.
    Under ``"torch"`` it improves below best · (1 − `min_delta`), the cut comes when more than
    `patience` epochs were bad, and a cooldown of n delays by n.

    Parameters
    ----------
    monitor
        The figure's name.
    factor
        f, below 1; 0.1 by default.
    patience
        Epochs to wait, 0 or more.
    mode
        ``"min"``, ``"max"``, or ``"auto"``: as the metric says of itself in `Metric.direction`,
        whatever its name; losses go down.
    min_delta
        What counts as an improvement; absolute under ``"keras"``, relative under ``"torch"``.
    cooldown
        Epochs of rest after a cut.
    min_lr
        The learning rate goes no lower.
    convention
        ``"keras"`` or ``"torch"``.

    Raises
    ------
    ValueError
        A value out of range. From `fit`: no figure has the name that is monitored, or ``"auto"``
        with one that no metric says the direction of.
    TypeError
        From `fit`: the optimizer has a schedule.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile(eg.optimizers.SGD(1.0), loss="mse")
    >>> cut = eg.callbacks.ReduceLROnPlateau("loss", patience=2)
    >>> rates = []
    >>> tell = eg.callbacks.LambdaCallback(
    ...     on_epoch_end=lambda epoch, logs: rates.append(round(model.optimizer.learning_rate, 9))
    ... )
    >>> x, y = np.zeros((4, 2)), np.zeros(4)
    >>> history = model.fit(x, y, epochs=6, verbose=0, callbacks=[cut, tell])
    >>> rates
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """

    _kept = ("best", "wait", "rest")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        *,
        convention: str = "keras",
    ) -> None:
        self.factor = check_float(factor, "factor", low=0.0, high=1.0, open_high=True)
        self.patience = check_int(patience, "patience", at_least=0)
        self._begin(monitor, mode)
        self.min_delta = check_float(min_delta, "min_delta", low=0.0)
        self.cooldown = check_int(cooldown, "cooldown", at_least=0)
        self.min_lr = check_float(min_lr, "min_lr", low=0.0)
        self.convention = choose(convention, ("keras", "torch"), "convention")

    def _begin(self, monitor: str, mode: str) -> None:
        self._watch(monitor, mode)
        self.wait = self.rest = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget the training before."""
        super().on_train_begin(logs)
        self._begin(self.monitor, self.mode)
        self._direction()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare the epoch with the best so far, and cut."""
        value = self._figure(logs)
        if value is None:
            return
        margin = self.min_delta
        if self.convention == "torch" and self.best is not None and math.isfinite(self.best):
            margin *= self.best
        better = self._better(value, self.best, margin)
        if better:
            self.best = value
        cut = self._waited(better) if self.convention == "keras" else self._was_bad(better)
        rate = self._rate()
        if cut and rate > self.min_lr:
            cut_rate = max(rate * self.factor, self.min_lr)
            self.model.optimizer.learning_rate = cut_rate
            logger.info("epoch %d: the learning rate is cut to %g", epoch, cut_rate)
        if cut and (rate > self.min_lr or self.convention == "torch"):
            self.rest, self.wait = self.cooldown, 0

    def _waited(self, better: bool) -> bool:
        if self.rest > 0:
            self.rest -= 1
            self.wait = 0
        if better:
            self.wait = 0
        if better or self.rest > 0:
            return False
        self.wait += 1
        return self.wait >= self.patience

    def _was_bad(self, better: bool) -> bool:
        self.wait = 0 if better else self.wait + 1
        if self.rest > 0:
            self.rest -= 1
            self.wait = 0
        return self.wait > self.patience
