"""Stopping when nothing improves any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_float, check_int
from evengrad.callbacks._monitor import Monitor
from evengrad.layers._masks import masks_of, set_masks

if TYPE_CHECKING:
    import numpy as np

    from evengrad.callbacks._callback import Logs


class EarlyStopping(Monitor):
    """Stop the training when a figure has not improved for some epochs.

    An epoch improves if its figure is below the best so far by more than `min_delta` (above, for
    ``"max"``). Every other epoch counts as waited, one whose figure is NaN among them; the training
    stops after one of them, when `patience` have been waited in a row. So 0 and 1 both stop it at
    the first epoch that does not improve, which the first of all never is.

    Parameters
    ----------
    monitor
        The figure's name.
    min_delta
        What counts as an improvement, 0 or more.
    patience
        Epochs to wait, 0 or more.
    mode
        ``"min"``, ``"max"``, or ``"auto"``: as the metric says of itself in `Metric.direction`,
        whatever its name; losses go down.
    baseline
        The wait starts anew only where this is beaten too; no epoch that improves is the last.
    restore_best_weights
        Whether the model gets its best epoch's weights back, however the training ends, with what
        was pruned of them by then; they are kept in memory.
    start_from_epoch
        Epochs before this one are not counted.

    Raises
    ------
    ValueError
        A value out of range. From `fit`: no figure has the name that is monitored, or ``"auto"``
        with one that no metric says the direction of.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)])
    >>> model.compile("sgd", loss="mse")
    >>> stop = eg.callbacks.EarlyStopping("loss", patience=2)
    >>> x, y = np.zeros((4, 2)), np.zeros(4)
    >>> len(model.fit(x, y, epochs=50, verbose=0, callbacks=[stop]).epoch)
    3
    """

    is_passive = True
    _kept = ("wait", "best", "best_epoch", "stopped_epoch", "_best_weights", "_best_masks")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.min_delta = check_float(min_delta, "min_delta", low=0.0)
        self.patience = check_int(patience, "patience", at_least=0)
        self._begin(monitor, mode)
        self.baseline = baseline
        self.restore_best_weights = bool(restore_best_weights)
        self.start_from_epoch = check_int(start_from_epoch, "start_from_epoch", at_least=0)

    def _begin(self, monitor: str, mode: str) -> None:
        self._watch(monitor, mode)
        self.wait = 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._best_weights: list[np.ndarray[Any, Any]] | None = None
        # Of what was pruned by then.
        self._best_masks: dict[str, np.ndarray[Any, Any]] = {}

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget the training before."""
        del logs
        self._begin(self.monitor, self.mode)
        self._direction()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare the epoch with the best so far."""
        value = self._figure(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._better(value, self.best, self.min_delta):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._best_weights = self.model.get_weights()
                self._best_masks = masks_of(self.model)
            if self.baseline is None or self._better(value, self.baseline, self.min_delta):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Give the best weights back."""
        del logs
        if self._best_weights is not None:
            set_masks(self.model, self._best_masks)
            self.model.set_weights(self._best_weights)
            self._best_weights = None
