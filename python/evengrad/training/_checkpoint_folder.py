"""Checkpoint files in a folder: one for each point kept, written atomically, with a checksum."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evengrad._common.advice import advise
from evengrad.saving import _safetensors
from evengrad.saving._atomic import remove_unfinished
from evengrad.saving._errors import FileFormatError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad._common.arrays import Array

logger = logging.getLogger("evengrad")

# The name under which the header holds the description, and its version. Files of every version
# that was released stay readable.
KEY = "evengrad_checkpoint"
VERSION = 2
NAME = re.compile(r"checkpoint-\d{6,}-\d{8,}\.safetensors")


class Position(NamedTuple):
    """A place in a training: epochs that have ended, and steps of the one in progress."""

    epoch: int
    step: int

    @property
    def file_name(self) -> str:
        """The name of the file for this place; names sort as places do."""
        return f"checkpoint-{self.epoch:06d}-{self.step:08d}.safetensors"


class Checkpoint(NamedTuple):
    """What a file holds."""

    path: str
    position: Position
    description: dict[str, Any]
    tensors: dict[str, Array]


def _digest(text: str, tensors: Mapping[str, Array]) -> str:
    """Return what files of version 1 have for a checksum."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class CheckpointFolder:
    """The checkpoints of one training; the newest `keep` stay."""

    def __init__(self, folder: str | os.PathLike[str], keep: int) -> None:
        # Wherever the process goes meanwhile.
        self.folder = os.path.abspath(folder)
        self.keep = keep
        # Files to be replaced: damaged ones, or all of a training that is begun afresh.
        self._stale: set[str] = set()
        self._lock: int | None = None

    def hold(self) -> None:
        """Keep other trainings out of the folder until `release`, or raise a RuntimeError.

        Where the file system has no locks, nothing keeps two apart. The lock ends with the process.
        """
        if sys.platform == "win32" or not os.path.isdir(self.folder):
            # Folders cannot be locked there, or there is nothing to keep others out of.
            return
        self._lock = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise RuntimeError(
                f"checkpoint: another training writes into {self.folder!r}; wait for its end, end "
                "it, or pass another folder"
            ) from None
        except OSError as error:
            logger.debug("%s: without a lock: %s", self.folder, error)

    def release(self) -> None:
        """Let other trainings in."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def positions(self) -> list[Position]:
        """Return the places that there are files for, the newest first."""
        try:
            names = filter(NAME.fullmatch, os.listdir(self.folder))
        except FileNotFoundError:
            return []
        found = [re.findall(r"\d+", name) for name in names]
        return sorted((Position(*map(int, numbers)) for numbers in found), reverse=True)

    def start_afresh(self) -> None:
        """Have the files that there are replaced by the first that is written."""
        self._stale.update(position.file_name for position in self.positions())

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or raise an error; None without any file."""
        positions = self.positions()
        for number, position in enumerate(positions):
            try:
                return self.read(position)
            except (FileFormatError, OSError) as error:  # noqa: PERF203 - few files
                self._stale.add(position.file_name)
                if number + 1 == len(positions):
                    raise FileFormatError(
                        f"{self.folder}: no checkpoint is whole: {error}; pass resume=False to "
                        "begin afresh, which replaces them"
                    ) from error
                advise("%s; going on from the checkpoint before it", error)
        return None

    def read(self, position: Position) -> Checkpoint:
        """Return what the file for a place holds, or raise an error where it is damaged."""
        path = os.path.join(self.folder, position.file_name)
        tensors, metadata = _safetensors.read(path)
        text = metadata.get(KEY, "")
        try:
            description = json.loads(text)
            version = int(description["version"])
        except (LookupError, TypeError, ValueError) as error:
            raise FileFormatError(f"{path}: holds no checkpoint, or a damaged one") from error
        if version < VERSION and metadata.get("checksum") != _digest(text, tensors):
            raise FileFormatError(f"{path}: the checkpoint is damaged: its checksum differs")
        if version > VERSION:
            raise ValueError(
                f"{path}: version {version} of checkpoints is newer than {VERSION}, "
                "which this release of evengrad reads; update evengrad"
            )
        return Checkpoint(path, position, description, tensors)

    def write(
        self, position: Position, description: dict[str, Any], tensors: Mapping[str, Array]
    ) -> str:
        """Write a checkpoint, whole or not at all; return its path. Older ones go where too many.

        After an OSError, those that there are stay.
        """
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, position.file_name)
        text = json.dumps({"version": VERSION, **description}, allow_nan=False)
        _safetensors.write(path, tensors, {KEY: text})
        remove_unfinished(self.folder, NAME.pattern)
        stale, self._stale = self._stale - {position.file_name}, set()
        whole = [known.file_name for known in self.positions() if known.file_name not in stale]
        # The one just written counts, whatever its name.
        others = [name for name in whole if name != position.file_name]
        self._remove([*stale, *others[self.keep - 1 :]])
        return path

    def remove_all(self) -> None:
        """Remove all checkpoints, and the folder if nothing else is in it."""
        self._remove([position.file_name for position in self.positions()])
        try:
            os.rmdir(self.folder)
        except OSError:
            # Something of the user's is in it.
            return

    def _remove(self, names: list[str]) -> None:
        for name in names:
            try:
                os.unlink(os.path.join(self.folder, name))
            except OSError as error:  # noqa: PERF203 - few files
                advise("%s: an old checkpoint cannot be removed: %s", name, error)
