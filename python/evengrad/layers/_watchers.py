"""Who is told when an attribute of a layer is set."""

from __future__ import annotations

import weakref
from typing import Protocol


class Watcher(Protocol):
    """What depends on the attributes of layers."""

    def forget(self) -> None:
        """Do without what was derived from attributes."""


watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()


def watch_attributes(watcher: Watcher) -> None:
    """Have a watcher told, once, when an attribute of any layer is set."""
    watchers.add(watcher)
