"""Checksums of tensors: CRC-32 of each 4 MiB, by other threads while files are read and written."""

from __future__ import annotations

import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from evengrad._core import get_num_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

Found = TypeVar("Found")
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
            self._pieces.append(self._workers.run(digits_of, data[begin : begin + PIECE_BYTES]))

    def digits(self) -> str:
        """Return the checksum of all that was taken in."""
        return "".join(one if isinstance(one, str) else one.result() for one in self._pieces)


class RunningCrc:
    """One CRC-32 of all bytes, one after the other, while the next ones are read."""

    def __init__(self, workers: ChecksumWorkers) -> None:
        self._workers = workers
        self._last: Future[int] | int = 0

    def update(self, data: Any, ready: Any = None) -> None:
        """Take in bytes, which must not change until `value`, once something is computed."""
        self._last = self._workers.run(_continued, data, self._last, ready)

    def value(self) -> int:
        """Return the checksum of all that was taken in."""
        return _number(self._last)


def _number(known: Future[int] | int) -> int:
    return known if isinstance(known, int) else known.result()


def _continued(data: memoryview, before: Future[int] | int, ready: Any) -> int:
    # Workers take pieces in their order: what this one waits for is done already, or being done.
    if isinstance(ready, Future):
        ready.result()
    return zlib.crc32(data, _number(before))


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

    def run(self, compute: Callable[..., Found], *given: Any) -> Future[Found] | Found:
        """Return what a function computes of what is given, or what will have it."""
        if self._pool is not None and not self._refused:
            try:
                return self._pool.submit(compute, *given)
            except RuntimeError:
                # The system refuses another thread, or the interpreter ends.
                self._refused = True
        return compute(*given)
