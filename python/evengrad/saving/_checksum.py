"""Checksums of tensors: CRC-32 of each 4 MiB, by other threads while files are read and written."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from evengrad._core import get_num_threads

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

    from typing_extensions import Self

# A part of the format. Pieces are read one by one, and their checksums computed side by side.
PIECE_BYTES = 4 * 2**20
# One thread copies at the rate at which so many compute checksums.
MOST_THREADS = 4


def digits_of(piece: bytes | memoryview) -> str:
    """Return the checksum of a piece as it stands in files."""
    return f"{zlib.crc32(piece):08x}"


class Checksum:
    """The checksum of one tensor: those of its pieces, one behind the other."""

    def __init__(self, workers: ChecksumWorkers) -> None:
        self._workers = workers
        self._pieces: list[Future[str] | str] = []

    def update(self, data: memoryview) -> None:
        """Take in whole pieces, or the last ones, which must not change until `digits`."""
        for begin in range(0, len(data), PIECE_BYTES):
            self._pieces.append(self._workers.run(data[begin : begin + PIECE_BYTES]))

    def digits(self) -> str:
        """Return the checksum of all that was taken in."""
        return "".join(one if isinstance(one, str) else one.result() for one in self._pieces)


class ChecksumWorkers:
    """Computes checksums: in threads where there is much to do, else at once."""

    def __init__(self, total_bytes: int) -> None:
        threads = min(get_num_threads(), MOST_THREADS)
        several = threads > 1 and total_bytes >= PIECE_BYTES
        self._pool = ThreadPoolExecutor(threads) if several else None
        self._refused = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, piece: memoryview) -> Future[str] | str:
        """Return the checksum of a piece, or what will have it."""
        if self._pool is not None and not self._refused:
            try:
                return self._pool.submit(digits_of, piece)
            except RuntimeError:
                # The system refuses another thread, or the interpreter ends.
                self._refused = True
        return digits_of(piece)
