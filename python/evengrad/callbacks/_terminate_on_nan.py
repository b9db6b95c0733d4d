"""Stopping when the loss is no number any more, and saying where it began."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from evengrad._common.advice import advise
from evengrad.callbacks._callback import Callback, Logs
from evengrad.health._non_finite import finding_again
from evengrad.saving._paths import path_to_write

if TYPE_CHECKING:
    import os

    from evengrad.health._finding import Finding
    from evengrad.health._non_finite import NonFinite


class TerminateOnNaN(Callback):
    """Stop the training at the first batch whose loss is NaN or infinite, and say where it began.

    The captured step itself counts the batches whose loss is finite, and training looks at the
    count a few times a second. So nothing returns to Python for each batch, and what is found is
    exactly the first; the steps of a fraction of a second may have followed it. The epoch's figures
    stand in the history as they are. The weights are those after the last step; to get good ones
    back use ``EarlyStopping(restore_best_weights=True)`` as well.

    Where it began is found by making the last steps once more, from a copy of the weights and of
    the optimizer's state that is made once a second at most: which step, and in it which tensor of
    which layer, in which rows. A warning says it. A variable that the last step of a
    training has broken is found too.

    Parameters
    ----------
    replay
        A file to write then, with all that the step needs: `evengrad.replay` makes it once more.
        None for no file.

    Attributes
    ----------
    stopped_epoch, stopped_batch
        Where the first such loss was, both counted from 0; None if the last training had none. A
        training that is resumed from a checkpoint after it had stopped so has them again.
    finding
        An `evengrad.health.Finding` of the step in which it began, which may be an earlier one;
        None likewise.

    Raises
    ------
    TypeError, ValueError
        `replay` is no path of a file, or names another format.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    >>> model.compile(eg.optimizers.SGD(1e30), loss="mse")
    >>> x, y = np.ones((8, 2)), np.ones(8)
    >>> stop = eg.callbacks.TerminateOnNaN()
    >>> history = model.fit(x, y, batch_size=2, epochs=5, verbose=0, callbacks=[stop])
    >>> history.epoch, stop.stopped_epoch, stop.stopped_batch
    ([0], 0, 1)
    >>> stop.finding.step, stop.finding.tensor, stop.finding.cause
    (1, 'loss', 'learning_rate')
    """

    _joins_later = True
    is_passive = True
    acts = True

    def __init__(self, replay: str | os.PathLike[str] | None = None) -> None:
        self.replay = self.replay_file = None
        if replay is not None:
            self.replay = self.replay_file = path_to_write(replay, "TerminateOnNaN", "replay")
        self.stopped_epoch: int | None = None
        self.stopped_batch: int | None = None
        self.finding: Finding | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget the training before."""
        del logs
        self.stopped_epoch = self.stopped_batch = self.finding = None

    def _on_non_finite(self, trouble: NonFinite) -> None:
        self.stopped_epoch, self.stopped_batch = trouble.epoch, trouble.batch
        self.finding = finding = trouble.finding
        self.model.stop_training = True
        history = self.model.history
        if finding not in history.findings:
            history.findings = (*history.findings, finding)
        advise(
            "TerminateOnNaN: %s: %s NaN or infinite in epoch %d, batch %d (both counted from 0), "
            "and the training stops. It began in step %s, in %s; cause: %s. %s",
            self.model.path,
            "the loss is" if trouble.in_loss else "variables are",
            trouble.epoch,
            trouble.batch,
            finding.step,
            finding.place,
            finding.cause,
            finding.remedies[0].text,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return where the training has stopped, for checkpoints."""
        finding = None if self.finding is None else asdict(self.finding)
        places = {"stopped_epoch": self.stopped_epoch, "stopped_batch": self.stopped_batch}
        return {**places, "finding": finding}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.stopped_epoch, self.stopped_batch = state["stopped_epoch"], state["stopped_batch"]
        # Checkpoints of earlier versions have none.
        described = state.get("finding")
        self.finding = None if described is None else finding_again(described)
