"""Writing a file so that it is whole or absent, also after a crash."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TRIES = 16


def write_atomically(path: str | os.PathLike[str], pieces: Iterable[bytes | memoryview]) -> None:
    """Write pieces to a new file beside `path`, then move it there.

    The file reaches the disk before the move, and the folder after it: a crash or a power failure
    at any moment leaves the old file or the new one. A symbolic link is followed, and the mode is
    the old file's, or what the umask gives.
    """
    target = os.path.realpath(os.fspath(path))
    folder = os.path.dirname(target)
    descriptor, temporary = _create_beside(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _create_beside(target: str) -> tuple[int, str]:
    """Create a file in the target's folder that nobody else has; the umask decides its mode."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for _ in range(TRIES):
        temporary = f"{target}.{os.urandom(4).hex()}.tmp"
        try:
            return os.open(temporary, flags, 0o666), temporary
        except FileExistsError:
            continue
    raise FileExistsError(f"{target}: no free name for a temporary file beside it")


def _sync_folder(folder: str) -> None:
    """Make the move durable; some systems have no way to."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
