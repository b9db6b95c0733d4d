"""Rows on their way into tensors: all of them at once, or as many as a window holds at a time."""

from __future__ import annotations

import functools
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.memory import available_bytes
from evengrad._common.row_readers import ChosenRows, RowReader, StoredRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Tensor

    Array = np.ndarray[Any, Any]
    # Numbers of rows, and where these are to go.
    Gather = Callable[[Array, Array], None]

# A memory map is read where it lies, as whoever makes one wants it; up to this size it is sooner
# converted, which takes less than all the small reads of an epoch.
MAPPED_BYTES = 64 * 2**20
# The share of the memory that is to be had which a copy may take, where rows are scattered: each of
# their reads passes over the whole of the memory that they lie in.
SHARE_OF_MEMORY = 4
# Bytes that are converted together: they pass the nearest caches.
CONVERTED_BYTES = 2**20
# Pieces are larger by these factors where rows are slow to reach: scattered in memory, or stored in
# a file, of whose chunks a piece of a shuffled epoch reads most.
FAR, STORED = 16, 128


def base_of(array: Any) -> Any:
    """Return what rows were chosen from, however often."""
    while isinstance(array, ChosenRows):
        array = array.base
    return array


def is_mapped(array: Any) -> bool:
    """Tell whether an array's memory is a file's."""
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


def is_scattered(array: Any) -> bool:
    """Tell whether the numbers of a row lie apart, as where columns come first."""
    return isinstance(array, np.ndarray) and not array[:1].flags.c_contiguous


def most_resident(array: Any, resident_bytes: int) -> int:
    """Return up to which size all rows of an array are kept in a tensor."""
    base = base_of(array)
    if is_scattered(base):
        # As many processes as there are cores may share a map.
        processes = (os.cpu_count() or 1) if is_mapped(base) else 1
        return max(resident_bytes, available_bytes() // (SHARE_OF_MEMORY * processes))
    return min(resident_bytes, MAPPED_BYTES) if is_mapped(base) else resident_bytes


def reach(array: Any) -> int:
    """Return by which factor pieces are larger than of rows that lie side by side in memory."""
    base = base_of(array)
    if isinstance(base, StoredRows):
        return STORED
    return FAR if is_scattered(base) or is_cold(base) else 1


def is_cold(array: Any) -> bool:
    """Tell whether an array is mapped from a file that is larger than memory."""
    return is_mapped(array) and array.nbytes > available_bytes()


def choose_window(
    arrays: list[Any], sizes: list[int], batch_size: int, resident_bytes: int, piece_bytes: int
) -> int:
    """Return how many rows tensors are to hold at a time: whole batches, or all rows.

    `sizes` are the bytes of a row in the tensors.
    """
    rows = len(arrays[0])
    limits = [most_resident(array, resident_bytes) for array in arrays]
    fits = all(rows * size <= most for size, most in zip(sizes, limits, strict=True))
    if fits and rows * sum(sizes) <= max(limits):
        return rows
    piece = piece_bytes * max(map(reach, arrays))
    return min(rows, max(1, piece // max(1, sum(sizes) * batch_size)) * batch_size)


def fill(tensor: Tensor, array: Any) -> None:
    """Bring all rows into a tensor, converted some at a time, in the order in which they lie."""
    row_bytes = math.prod(array.shape[1:]) * array.dtype.itemsize
    count = max(1, CONVERTED_BYTES // max(1, row_bytes))
    if len(array) <= count:
        tensor.copy_(np.ascontiguousarray(array, tensor.dtype))
        return
    for start in range(0, len(array), count):
        part = np.ascontiguousarray(array[start : start + count], tensor.dtype)
        tensor[start : start + count].copy_(part)


def gatherer(array: Any) -> Gather:
    """Return what copies rows of an array, each from its place, into an array of as many."""
    if isinstance(array, ChosenRows):
        chosen, inner = array.rows, gatherer(array.base)
        return lambda rows, to: inner(chosen[rows], to)
    if isinstance(array, np.ndarray) and array.flags.c_contiguous:
        return functools.partial(by_pages if is_cold(array) else by_rows, array)
    if isinstance(array, np.ndarray) and array.flags.f_contiguous:
        return functools.partial(by_columns, array)
    if isinstance(array, RowReader):
        return array.copy_rows
    return functools.partial(by_index, array)


def by_rows(array: Array, rows: Array, to: Array) -> None:
    """Copy rows in their order."""
    if array.dtype == to.dtype:
        # Without "clip", NumPy would go by a copy.
        np.take(array, rows, 0, out=to, mode="clip")
    else:
        to[:] = np.take(array, rows, 0, mode="clip")


def by_pages(array: Array, rows: Array, to: Array) -> None:
    """Copy rows in the order in which they lie, page by page of a file."""
    order = np.argsort(rows)
    to[order] = np.take(array, rows[order], 0, mode="clip")


def by_columns(array: Array, rows: Array, to: Array) -> None:
    """Copy rows whose columns come first, of each column from its beginning to its end."""
    order = np.argsort(rows)
    to[order] = np.take(array.T, rows[order], -1, mode="clip").T


def by_index(array: Array, rows: Array, to: Array) -> None:
    """Copy rows that lie in another way."""
    to[:] = array[rows]
