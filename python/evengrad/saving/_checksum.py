"""Checksums of tensors: CRC-32, computed in the background while files are read and written."""

from __future__ import annotations

import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

# Below this a thread costs more than it saves.
BACKGROUND_BYTES = 4 * 2**20


def digits_of(number: int) -> str:
    """Return a checksum as it stands in files."""
    return f"{number:08x}"


class Checksum:
    """The checksum of one tensor, whose bytes come one piece after the other."""

    def __init__(self, worker: ChecksumWorker) -> None:
        self._worker = worker
        self._number = 0
        self._latest: Future[None] | None = None

    def update(self, piece: memoryview) -> None:
        """Take in a piece, which must not change until `digits` was asked for."""
        self._latest = self._worker.run(self._add, piece)

    def _add(self, piece: memoryview) -> None:
        self._number = zlib.crc32(piece, self._number)

    def digits(self) -> str:
        """Return the checksum of all pieces."""
        if self._latest is not None:
            self._latest.result()
        return digits_of(self._number)


class ChecksumWorker:
    """Computes checksums in order: in a thread where there is much to do, else at once."""

    def __init__(self, total_bytes: int) -> None:
        self._pool = ThreadPoolExecutor(1) if total_bytes >= BACKGROUND_BYTES else None

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

    def run(self, add: Callable[[memoryview], None], piece: memoryview) -> Future[None] | None:
        """Call a function of a piece; what is returned waits for it."""
        if self._pool is not None:
            try:
                return self._pool.submit(add, piece)
            except RuntimeError:
                # The system refuses another thread, or the interpreter ends: what is queued first.
                self._pool.shutdown()
                self._pool = None
        add(piece)
        return None
