"""The tensors of safetensors files, ours and others', as weights that are read when needed."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from evengrad.saving import _safetensors
from evengrad.saving._bfloat16 import widened
from evengrad.saving._checksum import Checksum, ChecksumWorkers
from evengrad.saving._weight_file import FileArray, WeightFile, grouped

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

BFLOAT16 = "BF16"
DTYPES = {**_safetensors.DTYPES, BFLOAT16: "<u2"}


def open_weights(shown: str, file: BinaryIO) -> WeightFile:
    """Return the tensors of an open file."""
    content = _Content(file, _safetensors.head_of(shown, file, DTYPES))
    arrays = [content.array(entry) for entry in content.head.entries]
    # The format has the widest first, and writers sort the others by their names.
    return dataclasses.replace(
        grouped(shown, arrays, ordered=False),
        metadata=content.head.metadata,
        confirm=content.confirm,
        close=content.close,
    )


class _Content:
    """What is read of one file, and its checksums, which are computed meanwhile."""

    def __init__(self, file: BinaryIO, head: _safetensors.Head) -> None:
        self.head, self._file = head, file
        self._workers = ChecksumWorkers(head.data_bytes if head.checksums else 0)
        self._running: list[tuple[_safetensors.Entry, Checksum]] = []

    def array(self, entry: _safetensors.Entry) -> FileArray:
        """Return a tensor that is not read yet."""
        read = functools.partial(self._read, entry)
        if entry.named == BFLOAT16:
            return FileArray(entry.name, entry.shape, np.dtype("f4"), read, widened)
        return FileArray(entry.name, entry.shape, entry.dtype, read)

    def _read(self, entry: _safetensors.Entry) -> Array:
        checksum = None
        if self.head.checksums is not None:
            checksum = Checksum(self._workers)
            self._running.append((entry, checksum))
        self._file.seek(self.head.begin + entry.begin)
        return entry.read(self._file, checksum)

    def confirm(self) -> None:
        """Compare the checksums of what was read."""
        for entry, checksum in self._running:
            entry.compare(checksum, self.head.checksums or {})

    def close(self) -> None:
        """End the threads."""
        self._workers.__exit__(None, None, None)
