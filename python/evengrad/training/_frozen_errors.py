"""Why outputs of frozen layers cannot be kept."""

from __future__ import annotations


class NothingToKeepError(ValueError):
    """No frozen layer has outputs that could be kept."""


class NotToBeKeptError(ValueError):
    """The outputs of a frozen layer are not the same in each step."""
