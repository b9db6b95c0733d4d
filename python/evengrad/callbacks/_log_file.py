"""A file that a callback adds to while it trains, and goes on with where a checkpoint was."""

from __future__ import annotations

import os
from typing import Any

from evengrad.saving._paths import check_ordinary, errors_name, file_path


class LogFile:
    """A file that is added to, each time whole or not at all.

    It is open only while it is written to: what was written is there for others to read, and stays
    whatever becomes of the training.

    Attributes
    ----------
    path
        The file.
    size
        Bytes of the file that stand, where what is behind them was written after the last
        checkpoint, or by a training before; None where all of it stands.
    """

    def __init__(self, path: Any, argument: str = "path") -> None:
        self.path = file_path(path, argument)
        self.size: int | None = None

    def begin(self, *, append: bool = False) -> bool:
        """Look at what there is, and return whether there are lines to go on behind.

        Raises
        ------
        OSError
            The path is no file but a folder, a pipe or a device.
        """
        check_ordinary(self.path)
        goes_on = append and os.path.exists(self.path) and os.path.getsize(self.path) > 0
        self.size = None if goes_on else 0
        return goes_on

    @property
    def is_empty(self) -> bool:
        """Whether what is written next is the first of the file."""
        return self.size == 0 or not os.path.exists(self.path)

    @property
    def standing(self) -> int | None:
        """Bytes that a checkpoint is to keep, for `size` of a training that goes on from it."""
        written = self.size is None and os.path.exists(self.path)
        return os.path.getsize(self.path) if written else self.size

    def write(self, data: bytes) -> None:
        """Add to the file, whole or not at all."""
        with errors_name(self.path), open(self.path, "ab", buffering=0) as file:
            end = file.tell() if self.size is None else min(self.size, file.tell())
            rest = data
            try:
                file.truncate(end)
                while rest:
                    rest = rest[file.write(rest) :]
            except BaseException:
                file.truncate(end)
                raise
        self.size = None
