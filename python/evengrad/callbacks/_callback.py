"""The base of all callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from evengrad._common.config import Configured

if TYPE_CHECKING:
    from evengrad.training._protocol import PublicModel

Logs: TypeAlias = "dict[str, Any] | None"


class Callback(Configured):
    """Hooks that `fit`, `evaluate` and `predict` call, and that may act on what they see.

    A subclass writes the methods it needs. Training returns to Python for each batch only if a
    callback has one of the methods for batches.

    Attributes
    ----------
    model
        The model; set ``self.model.stop_training = True`` to end the training after the epoch, or
        after the batch from within a method for batches.
    params
        What `fit` was called with: ``epochs``, ``steps`` (batches in an epoch, None if unknown) and
        ``verbose``.

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

    def _on_invalid_loss(self, batch: int) -> None:
        """Hear which batch of the epoch was the first whose loss is not finite."""

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


def overrides(callback: Callback, method: str) -> bool:
    """Tell whether a callback has a method of its own of that name."""
    own = getattr(type(callback), method) is not getattr(Callback, method)
    return own or method in vars(callback)


class CallbackList:
    """All callbacks of one call, in their order."""

    def __init__(self, callbacks: list[Callback], model: PublicModel) -> None:
        self.callbacks = callbacks
        self._wanted: dict[str, bool] = {}
        # Whether any hears within the epoch of a loss that is not finite.
        self.watches_loss = False
        for callback in callbacks:
            callback.set_model(model)
            if overrides(callback, "_on_invalid_loss"):
                self.watches_loss = True

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


def check_callbacks(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list, or raise a TypeError that names the one that is none."""
    if callbacks is None:
        return []
    items = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    for item in items:
        if not isinstance(item, Callback):
            made = "; did you forget its parentheses?" if isinstance(item, type) else ""
            raise TypeError(f"callbacks: expected evengrad.callbacks.Callback, got {item!r}{made}")
    return items
