"""Which numbers of an array are not finite: the report, once a quick look has found some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad._common.arrays import Array

# Bytes looked at together, small enough for the caches.
PIECE_BYTES = 2**20
MATRIX_NDIM = 2


class Findings:
    """What is not finite in rows that come one piece after the other."""

    def __init__(self) -> None:
        self.count = 0
        self.rows: list[Array] = []
        self.columns: set[int] = set()
        # Index and value of the first.
        self.first: tuple[tuple[int, ...], float] | None = None

    def add(self, piece: Array, start: int, largest: float) -> None:
        """Look at the rows from `start` on."""
        # Also true of NaN.
        bad = ~(np.abs(piece) <= largest)
        if not bad.any():
            return
        places = np.argwhere(bad)
        if self.first is None:
            at = tuple(int(i) for i in places[0])
            self.first = (at[0] + start, *at[1:]), float(piece[at])
        self.count += len(places)
        self.rows.append(np.unique(places[:, 0]) + start)
        if piece.ndim == MATRIX_NDIM:
            self.columns |= {int(column) for column in np.unique(places[:, 1])}


def report(
    array: Array,
    what: str,
    dtype: str,
    names: Sequence[Any] | None = None,
    numbers: Array | None = None,
) -> str | None:
    """Return a message about the numbers that are not finite in a dtype, or None without any.

    `names` are the columns', `numbers` those of the rows, where these are part of others.
    """
    limits = np.finfo(dtype)
    largest = min(float(limits.max), float(np.finfo(array.dtype).max))
    found = Findings()
    size = max(1, PIECE_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), size):
        found.add(array[start : start + size], start, largest)
    if found.first is None:
        return None
    at, value = found.first
    rows = np.concatenate(found.rows)
    if numbers is not None:
        at, rows = (int(numbers[at[0]]), *at[1:]), numbers[rows]
    others = ""
    if found.count > 1:
        ends = [listed("row", rows.tolist())]
        if found.columns:
            columns = [show_column(column, names) for column in sorted(found.columns)]
            ends.append(listed("column", columns))
        others = f"; {found.count} such values in all, in {' and '.join(ends)}"
    fix = "drop or fill them, or pass check_finite=False for a model that handles them"
    expected = "finite numbers"
    if np.isfinite(value):
        expected = f"numbers of at most {limits.max:.4g} in size, as {dtype} holds them"
        fix = 'scale them, or make the model with dtype="float64"'
    place = show_place(at, names)
    return f"{what}: expected {expected}, got {value:.6g} in {place}{others}; {fix}"


def show_place(at: tuple[int, ...], names: Sequence[Any] | None) -> str:
    """Return the place of a number for messages: its row, and its column or index there."""
    row, *inside = at
    if not inside:
        return f"row {row}"
    if len(inside) == 1:
        return f"row {row}, column {show_column(inside[0], names)}"
    return f"row {row} at [{', '.join(map(str, inside))}]"


def show_column(column: int, names: Sequence[Any] | None) -> str:
    """Return a column's name in quotes, or its number where it has none."""
    return str(column) if names is None else repr(names[column])
