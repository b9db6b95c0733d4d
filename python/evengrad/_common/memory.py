"""How much memory there is to take."""

from __future__ import annotations

import os
from pathlib import Path

# What Linux knows of the machine, and of the control group that the process is confined to.
MACHINE = Path("/proc/meminfo")
GROUPS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


# The share of it that outputs of frozen layers may take, as long as they are kept.
_share = 0.25


def cache_memory() -> float:
    """Return the share of free memory that `fit(cache_frozen=True)` keeps outputs in."""
    return _share


def set_share(share: float) -> None:
    """Set what `cache_memory` returns."""
    global _share  # noqa: PLW0603 - a setting of the process
    _share = share


def available_bytes() -> int:
    """Return the bytes of memory that are to be had without swapping; 0 where nobody says so.

    The limit of the process' control group counts, where that is less than the machine has.
    """
    available = 0
    if MACHINE.exists():
        for line in MACHINE.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        available = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    for path in GROUPS:
        limit = path.read_text(encoding="ascii").strip() if path.exists() else "max"
        if limit.isdigit():
            available = min(available, int(limit))
    return available
