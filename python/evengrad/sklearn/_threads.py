"""The number of threads that an estimator's calls may use."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from evengrad import _core

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Have calls inside use so many threads; None leaves it as it is."""
    if count is None:
        yield
        return
    before = _core.get_num_threads()
    _core.limit_num_threads(count)
    try:
        yield
    finally:
        _core.limit_num_threads(before)
