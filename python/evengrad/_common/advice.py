"""Advice to users: warnings, shown at the line of theirs that led to it."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

# Where the files of this package lie.
INSIDE = str(Path(__file__).resolve().parents[1])


class EvengradWarning(UserWarning):
    """Advice: what was asked for is done, and something in it is probably not as it was meant.

    All advice of this library is of this class, so that it can be silenced, made errors
    (``python -W error``), or looked for in tests, by itself.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", eg.EvengradWarning)
    ...     model = eg.Sequential([eg.layers.Dense(1)])
    """


def advise(message: str, *values: object) -> None:
    """Warn, with values in the places of ``%s`` and its like, as coming from the user's line."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to files above
    level = outside = 2
    while frame is not None:
        # Of the frames of this package, the first that was entered has the user's before it.
        if frame.f_code.co_filename.startswith(INSIDE):
            outside = level + 1
        frame, level = frame.f_back, level + 1
    text = message % values if values else message
    warnings.warn(text, EvengradWarning, stacklevel=outside)
