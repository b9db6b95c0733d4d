"""Averaged weights in evaluation."""

from __future__ import annotations

from evengrad.callbacks._callback import Callback, Logs
from evengrad.optimizers._optimizer import averages_in_place


class SwapEMAWeights(Callback):
    """Evaluate with the averages of the weights, train with the weights themselves.

    For an optimizer made with ``use_ema=True``. In front of each evaluation weights and averages
    are exchanged, after it they are exchanged back, bit for bit.

    Parameters
    ----------
    swap_on_epoch
        Whether the averages stay in place from the end of an epoch to the beginning of the next,
        for callbacks after this one that save or look at the model. False by default.

    Raises
    ------
    ValueError
        From `fit` or `evaluate`: the optimizer keeps no averages.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    >>> model.compile(eg.optimizers.SGD(0.5, use_ema=True), loss="mse")
    >>> x, y = np.ones((8, 1)), np.ones(8)
    >>> swap = eg.callbacks.SwapEMAWeights()
    >>> history = model.fit(x, y, validation_data=(x, y), epochs=3, verbose=0, callbacks=[swap])
    """

    all_ranks = True

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = bool(swap_on_epoch)

    def _put(self, averaged: bool) -> None:
        optimizer = self.model.optimizer
        if averaged is not averages_in_place(optimizer):
            optimizer.swap_ema_weights(self.model.trainable_weights)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Refuse an optimizer that keeps no averages."""
        del logs
        if not self.model.optimizer.use_ema:
            raise ValueError(
                "SwapEMAWeights: the optimizer keeps no averages; make it with use_ema=True"
            )

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Put the weights back."""
        del epoch, logs
        self._put(False)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Put the averages in place."""
        del logs
        self._put(True)

    def on_test_end(self, logs: Logs = None) -> None:
        """Put the weights back."""
        del logs
        self._put(False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Put the averages in place, if they are to stay for the callbacks that follow."""
        del epoch, logs
        self._put(self.swap_on_epoch)

    def on_train_end(self, logs: Logs = None) -> None:
        """Put the weights back where training was interrupted in between."""
        del logs
        self._put(False)
