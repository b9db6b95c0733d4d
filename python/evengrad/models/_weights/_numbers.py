"""Numbers in names of layers, and whether they tell the order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A name that ends in a number, or has none where the first of its kind stands.
NUMBERED = re.compile(r"(.*?)_?(\d*)")


def stem_and_number(name: str) -> tuple[str, int]:
    """Return what stands before the number at the end of a name, and the number, 0 for none."""
    stem, number = NUMBERED.fullmatch(name).groups()  # type: ignore[union-attr]  # of any text
    return stem, int(number or 0)


def numbers_in(path: str) -> list[tuple[str, int]]:
    """Return what to sort paths by: ``dense_2`` before ``dense_10``."""
    return [stem_and_number(part) for part in path.split("/")]


def are_numbered(paths: Iterable[str]) -> bool:
    """Tell whether paths differ in numbers alone, as far as each other's beginnings are the same.

    As ``0`` and ``2/1``, or ``dense`` and ``dense_1``, but not ``body`` and ``head``.
    """
    inside: dict[str, list[str]] = {}
    for path in paths:
        first, _, rest = path.partition("/")
        inside.setdefault(first, []).extend([rest] if rest else [])
    known = [stem_and_number(first) for first in inside]
    if len({stem for stem, _ in known}) > 1 or len(set(known)) != len(known):
        return False
    return all(are_numbered(rests) for rests in inside.values())
