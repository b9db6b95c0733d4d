"""Stopping when the loss is no number any more."""

from __future__ import annotations

import logging
from typing import Any

from evengrad.callbacks._callback import Callback, Logs

logger = logging.getLogger("evengrad")


class TerminateOnNaN(Callback):
    """Stop the training at the first batch whose loss is NaN or infinite.

    The captured step itself counts the batches whose loss is finite, and training looks at the
    count a few times a second. So nothing returns to Python for each batch, and what is found is
    exactly the first; the steps of a fraction of a second may have followed it. The epoch's figures
    stand in the history as they are, and a warning in the log says where it was. The weights are
    those after the last step; to get good ones back use
    ``EarlyStopping(restore_best_weights=True)`` as well.

    Attributes
    ----------
    stopped_epoch, stopped_batch
        Where the first such loss was, both counted from 0; None if the last training had none. A
        training that is resumed from a checkpoint after it had stopped so has them again.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    >>> model.compile(eg.optimizers.SGD(1e30), loss="mse")
    >>> x, y = np.ones((8, 2)), np.ones(8)
    >>> stop = eg.callbacks.TerminateOnNaN()
    >>> history = model.fit(x, y, batch_size=2, epochs=5, verbose=0, callbacks=[stop])
    >>> history.epoch, stop.stopped_epoch, stop.stopped_batch
    ([0], 0, 1)
    """

    _joins_later = True

    def __init__(self) -> None:
        self.stopped_epoch: int | None = None
        self.stopped_batch: int | None = None
        self._epoch = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget the training before."""
        del logs
        self.stopped_epoch = self.stopped_batch = None

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember which epoch it is."""
        del logs
        self._epoch = epoch

    def _on_invalid_loss(self, batch: int) -> None:
        self.stopped_epoch, self.stopped_batch = self._epoch, batch
        self.model.stop_training = True
        logger.warning(
            "TerminateOnNaN: %s: the loss is NaN or infinite in epoch %d, batch %d (both counted "
            "from 0), and the training stops; lower the learning rate, clip the gradients, or look "
            "for extreme values in the data",
            self.model.path,
            self._epoch,
            batch,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return where the training has stopped, for checkpoints."""
        return {"stopped_epoch": self.stopped_epoch, "stopped_batch": self.stopped_batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.stopped_epoch, self.stopped_batch = state["stopped_epoch"], state["stopped_batch"]
