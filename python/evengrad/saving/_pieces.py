"""Reading large arrays piece by piece, by several threads, with checksums of the pieces."""

from __future__ import annotations

import os
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, BinaryIO

from evengrad.saving._checksum import PIECE_BYTES, ChecksumWorkers, digits_of
from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._common.arrays import Array

# Reads at a place, whatever others read meanwhile; Windows has no such call.
READS_AT_PLACES = hasattr(os, "preadv")


class PieceReader:
    """Fills arrays of bytes from a file; they are whole once what it returned is waited for.

    Parameters
    ----------
    shown
        What messages call the file.
    file
        It is open until the reader is closed.
    total_bytes
        How much there is to read at most; threads are for much.
    """

    def __init__(self, shown: str, file: BinaryIO, total_bytes: int) -> None:
        self.workers = ChecksumWorkers(total_bytes if READS_AT_PLACES else 0)
        self._shown, self._file = shown, file

    def pieces(self, content: Array, place: int) -> Iterator[tuple[memoryview, Any]]:
        """Yield the pieces of an array, and what to wait for until each is filled from a place."""
        for piece, at in _cut(content, place):
            yield piece, self.workers.run(self._fill, piece, at)

    def digits(self, content: Array, place: int) -> list[Future[str] | str]:
        """Return the checksums of an array's pieces, or what will have them, once they are read."""
        return [
            self.workers.run(self._filled_digits, piece, at) for piece, at in _cut(content, place)
        ]

    def _filled_digits(self, piece: memoryview, place: int) -> str:
        self._fill(piece, place)
        return digits_of(piece)

    def _fill(self, piece: memoryview, place: int) -> None:
        done = 0
        if not READS_AT_PLACES:
            self._file.seek(place)
        while done < len(piece):
            if READS_AT_PLACES:
                count = os.preadv(self._file.fileno(), [piece[done:]], place + done)
            else:
                count = self._file.readinto(piece[done:])  # type: ignore[attr-defined]  # of files
            if not count:
                raise FileFormatError(f"{self._shown}: it was cut off while it was read")
            done += count

    def close(self) -> None:
        """End the threads."""
        self.workers.__exit__(None, None, None)


def wait_for(pending: Any) -> Any:
    """Return what was computed, or raise the error that came up."""
    return pending.result() if isinstance(pending, Future) else pending


def _cut(content: Array, place: int) -> Iterator[tuple[memoryview, int]]:
    for begin in range(0, len(content), PIECE_BYTES):
        yield content[begin : begin + PIECE_BYTES].data, place + begin
