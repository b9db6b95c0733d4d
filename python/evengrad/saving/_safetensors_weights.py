"""The tensors of safetensors files, ours and others', as weights that are read when needed."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from evengrad.saving import _safetensors
from evengrad.saving._bfloat16 import widened
from evengrad.saving._pieces import PieceReader, wait_for
from evengrad.saving._weight_file import FileArray, WeightFile, grouped

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

BFLOAT16 = "BF16"
DTYPES = {**_safetensors.DTYPES, BFLOAT16: "<u2"}


def open_weights(shown: str, file: BinaryIO) -> WeightFile:
    """Return the tensors of an open file."""
    content = _Content(shown, file, _safetensors.head_of(shown, file, DTYPES))
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

    def __init__(self, shown: str, file: BinaryIO, head: _safetensors.Head) -> None:
        self.head = head
        self._reader = PieceReader(shown, file, head.data_bytes)
        self._running: list[tuple[_safetensors.Entry, list[Any]]] = []

    def array(self, entry: _safetensors.Entry) -> FileArray:
        """Return a tensor that is not read yet."""
        read = functools.partial(self._read, entry)
        if entry.named == BFLOAT16:
            return FileArray(entry.name, entry.shape, np.dtype("f4"), read, widened)
        return FileArray(entry.name, entry.shape, entry.dtype, read)

    def _read(self, entry: _safetensors.Entry) -> Array:
        data = np.empty(entry.end - entry.begin, np.uint8)
        place = self.head.begin + entry.begin
        if self.head.checksums is None:
            pending = [filled for _, filled in self._reader.pieces(data, place)]
        else:
            pending = list(self._reader.digits(data, place))
        self._running.append((entry, pending))
        return entry.shaped(data)

    def confirm(self) -> None:
        """Wait for what is read, and compare its checksums."""
        for entry, pending in self._running:
            found = [wait_for(one) for one in pending]
            if self.head.checksums is not None:
                entry.compare("".join(found), self.head.checksums)
        self._running.clear()

    def close(self) -> None:
        """End the threads."""
        self._reader.close()
