"""Change tracking for layers: a global count of attributes set, and the watchers of them."""

from __future__ import annotations

import itertools
import weakref
from typing import Protocol


class Watcher(Protocol):
    """What depends on the attributes of layers."""

    def forget(self) -> None:
        """Do without what was derived from attributes."""


_watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
_numbers = itertools.count()
_latest = next(_numbers)


def watch_attributes(watcher: Watcher) -> None:
    """Have a watcher told, once, when an attribute of any layer is set."""
    _watchers.add(watcher)


def latest_change() -> int:
    """Return the number of the latest change of any layer's attributes or structure."""
    return _latest


def count_change() -> int:
    """Return the number of a change that has just been made, after all watchers have heard of it.

    It is larger than that of any change before.
    """
    global _latest  # noqa: PLW0603 - one number for all layers, so that asking for it is quick
    _latest = number = next(_numbers)
    if _watchers:
        watchers = list(_watchers)
        _watchers.clear()
        for watcher in watchers:
            watcher.forget()
    return number
