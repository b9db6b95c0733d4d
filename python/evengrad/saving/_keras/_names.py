"""The names that Keras gives to groups in its files."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Between a word and a capital, or before the last of several capitals that begins a word.
BOUNDARIES = re.compile(r"(?<=[^_])(?=[A-Z][a-z]+)|(?<=[a-z])(?=[A-Z])")
NUMBERED = re.compile(r"(.*?)(?:_(\d+))?")


def snake_case(name: str) -> str:
    """Return the name of a class as groups have it: ``PReLU`` is ``p_re_lu``."""
    return BOUNDARIES.sub("_", re.sub(r"\W+", "", name)).lower()


def numbered(classes: Iterable[str]) -> list[str]:
    """Return the names of groups for layers of these classes: ``dense``, ``dense_1``, …."""
    seen: Counter[str] = Counter()
    names = []
    for one in classes:
        name = snake_case(one)
        names.append(f"{name}_{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of groups by class and number: ``dense_2`` before ``dense_10``."""

    def key(name: str) -> tuple[str, int]:
        match = NUMBERED.fullmatch(name)
        return (match[1], int(match[2] or 0)) if match else (name, 0)

    return sorted(names, key=key)
