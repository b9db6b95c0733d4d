"""Writing a file so that it is whole or absent, also after a crash."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import sys
from typing import TYPE_CHECKING

from evengrad.saving._paths import check_ordinary, errors_name

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

TRIES = 16


def write_atomically(path: str, fill: Callable[[BinaryIO], None]) -> None:
    """Make a new file beside `path`, have a function fill it, then move it there.

    The file reaches the disk before the move, and the folder after it: a crash or a power failure
    at any moment leaves the old file or the new one. A symbolic link is followed, and the mode is
    the old file's, or what the umask gives. What a process left here that was killed while it wrote
    the same file is removed. Each OSError carries the path.
    """
    with errors_name(path):
        target = os.path.realpath(path)
        check_ordinary(target)
        folder, name = os.path.split(target)
        descriptor, temporary = _create_beside(target)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
                if sys.platform != "win32":
                    # Before the lock goes with the descriptor.
                    _move(temporary, target)
            if sys.platform == "win32":
                # Files that are open cannot be moved.
                _move(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_folder(folder)
    remove_unfinished(folder, re.escape(name))


def _move(temporary: str, target: str) -> None:
    with contextlib.suppress(OSError):
        os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
    os.replace(temporary, target)


def remove_unfinished(folder: str, names: str) -> None:
    """Remove what killed processes left of files whose names are of that regular expression.

    What is still being written is locked, and stays; so does all where locks cannot be had.
    """
    temporary = re.compile(rf"(?:{names})\.[0-9a-f]{{8}}\.tmp")
    with contextlib.suppress(OSError):
        for name in filter(temporary.fullmatch, os.listdir(folder)):
            _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(path: str) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            # Refused where the file is open.
            os.unlink(path)
            return
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)


def _create_beside(target: str) -> tuple[int, str]:
    """Create and lock a file in the target's folder; the umask decides its mode."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for _ in range(TRIES):
        temporary = f"{target}.{os.urandom(4).hex()}.tmp"
        try:
            descriptor = os.open(temporary, flags, 0o666)
        except FileExistsError:
            continue
        if _lock(descriptor):
            return descriptor, temporary
        os.close(descriptor)
    raise FileExistsError(errno.EEXIST, "no free name for a temporary file beside it", target)


def _lock(descriptor: int) -> bool:
    """Lock a new file; tell whether it is still there, as `remove_unfinished` may have been first.

    A file system without locks keeps everything.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return os.fstat(descriptor).st_nlink > 0


def _sync_folder(folder: str) -> None:
    """Make the move durable; some systems, and folders that may not be read, have no way to."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
