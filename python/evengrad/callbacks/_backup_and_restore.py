"""Checkpoints of a training as a callback: Keras' name for `fit(checkpoint=...)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.callbacks._callback import Callback, check_save_freq

if TYPE_CHECKING:
    import os


class BackupAndRestore(Callback):
    """Keep a training's state in a folder, and go on from it when `fit` is called again.

    The same as ``fit(checkpoint=backup_dir, resume="auto")``, with Keras' arguments: what a
    checkpoint holds, when it is refused, and what signals do is said there.

    Parameters
    ----------
    backup_dir
        The folder.
    save_freq
        ``"epoch"``, or a number of batches between two checkpoints.
    double_checkpoint
        Whether the checkpoint before the last one stays too.
    delete_checkpoint
        Whether the checkpoints are removed when the training has come to its end.

    Raises
    ------
    ValueError
        A value out of range. From `fit`: `checkpoint` is given too; the checkpoint is of another
        training.
    FileFormatError
        From `fit`: all checkpoints in the folder are damaged.

    Examples
    --------
    >>> model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    >>> model.compile("sgd", loss="mse")
    >>> x, y = np.ones((8, 2)), np.ones(8)
    >>> keep = eg.callbacks.BackupAndRestore("backup", delete_checkpoint=False)
    >>> len(model.fit(x, y, epochs=2, verbose=0, callbacks=[keep]).epoch)
    2
    >>> len(model.fit(x, y, epochs=5, verbose=0, callbacks=[keep]).epoch)
    5
    """

    is_passive = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        self.backup_dir = backup_dir
        self.save_freq = check_save_freq(save_freq)
        self.double_checkpoint = bool(double_checkpoint)
        self.delete_checkpoint = bool(delete_checkpoint)

    def as_arguments(self) -> dict[str, Any]:
        """Return the arguments of `fit` that mean the same.

        Examples
        --------
        >>> keep = eg.callbacks.BackupAndRestore("backup", save_freq=100)
        >>> keep.as_arguments()["every"]
        '100 steps'
        """
        by_epoch = self.save_freq == "epoch"
        return {
            "checkpoint": self.backup_dir,
            "every": "epoch" if by_epoch else f"{self.save_freq} steps",
            "keep": 2 if self.double_checkpoint else 1,
            "resume": "auto",
        }
