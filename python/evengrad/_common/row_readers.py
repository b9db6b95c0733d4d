"""Rows that are read when steps need them: of stored data sets, of sparse matrices, of parts."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.arrays import is_sparse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad._common.arrays import Array

    # Raises an error for numbers that are not as they should be, given those of their rows.
    Look = Callable[[Array, Array], None]

# What is read together of a data set, and kept for the slice that comes next.
SPAN_BYTES = 16 * 2**20
# Bytes that are read along sooner than another read is begun.
GAP_BYTES = 64 * 2**10


class RowReader(ABC):
    """Rows that lie elsewhere, as an array as far as training is concerned."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.ndim = len(shape)
        self.row_bytes = math.prod(shape[1:]) * self.dtype.itemsize
        self.nbytes = shape[0] * self.row_bytes
        self._check: Look | None = None

    @abstractmethod
    def read(self, start: int, stop: int) -> Array:
        """Return the rows from one to before another."""

    @abstractmethod
    def take(self, rows: Array) -> Array:
        """Return rows by their numbers."""

    def check_with(self, look: Look, dtype: str) -> None:
        """Look at all rows: now where they are in memory, else as they are read."""
        del dtype
        self._check = look

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                rows, array = np.arange(start, stop), self.read(start, max(start, stop))
            else:
                rows = np.arange(start, stop, step)
                array = self.take(rows)
        else:
            rows = np.asarray(key)
            array = self.take(rows)
        if self._check is not None:
            self._check(array, rows)
        return array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all rows, read some at a time."""
        del copy
        whole = np.empty(self.shape, self.dtype if dtype is None else dtype)
        size = max(1, SPAN_BYTES // max(1, self.row_bytes))
        for start in range(0, len(self), size):
            whole[start : start + size] = self[start : start + size]
        return whole


class SparseRows(RowReader):
    """Rows of a sparse matrix, made dense some at a time."""

    def __init__(self, matrix: Any) -> None:
        super().__init__(matrix.shape, matrix.dtype)
        self.matrix = matrix.tocsr()

    def check_with(self, look: Look, dtype: str) -> None:
        """Look at all rows that have numbers which are not finite."""
        data = self.matrix.data
        if data.dtype.kind == "f":
            largest = min(float(np.finfo(dtype).max), float(np.finfo(data.dtype).max))
            bad = np.flatnonzero(~(np.abs(data) <= largest))
            rows = np.unique(np.searchsorted(self.matrix.indptr, bad, side="right") - 1)
            if rows.size:
                look(self.take(rows), rows)

    def read(self, start: int, stop: int) -> Array:
        """Return the rows from one to before another."""
        dense: Array = self.matrix[start:stop].toarray()
        return dense

    def take(self, rows: Array) -> Array:
        """Return rows by their numbers."""
        dense: Array = self.matrix[rows].toarray()
        return dense


class StoredRows(RowReader):
    """Rows of a data set in a file, as of h5py and zarr: what offers a shape, a dtype and slices.

    Each read is a slice. Rows by their numbers are sorted, and those that lie near each other, or
    in one chunk of the file, are read together: no chunk is read twice for them.
    """

    def __init__(self, source: Any) -> None:
        super().__init__(tuple(source.shape), source.dtype)
        self.source = source
        chunk = 1 if not source.chunks else int(np.max(source.chunks[0]))
        self.gap = max(chunk, GAP_BYTES // max(1, self.row_bytes))
        # Whole chunks.
        self.span = max(1, SPAN_BYTES // max(1, self.row_bytes) // chunk) * chunk
        self._held_start, self._held = 0, np.empty((0, *self.shape[1:]), self.dtype)

    def read(self, start: int, stop: int) -> Array:
        """Return the rows from one to before another; what is read along serves the next call."""
        parts = []
        while start < stop:
            inside = start - self._held_start
            if not 0 <= inside < len(self._held):
                self._held_start = start // self.span * self.span
                end = min(len(self), self._held_start + self.span)
                self._held = np.asarray(self.source[self._held_start : end])
                continue
            parts.append(self._held[inside : inside + stop - start])
            start += len(parts[-1])
        return parts[0] if len(parts) == 1 else np.concatenate([self._held[:0], *parts])

    def take(self, rows: Array) -> Array:
        """Return rows by their numbers."""
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        order = np.argsort(rows, kind="stable")
        for places in self._near(rows[order]):
            wanted = rows[order[places]]
            first = wanted[0]
            block = np.asarray(self.source[int(first) : int(wanted[-1]) + 1])
            taken[order[places]] = block[wanted - first]
        return taken

    def _near(self, rows: Array) -> Iterator[slice]:
        """Yield where, in sorted numbers of rows, those stand that are read together."""
        apart = (np.diff(rows) > self.gap) | (np.diff(rows // self.span) > 0)
        ends = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
        for start, stop in itertools.pairwise(ends):
            if start < stop:
                yield slice(start, stop)


class ChosenRows(RowReader):
    """Some rows of an array or of another reader, by their numbers: an index, no copy."""

    def __init__(self, base: Any, rows: Array) -> None:
        super().__init__((len(rows), *base.shape[1:]), base.dtype)
        self.base, self.rows = base, rows

    def read(self, start: int, stop: int) -> Array:
        """Return the rows from one to before another."""
        return np.asarray(self.base[self.rows[start:stop]])

    def take(self, rows: Array) -> Array:
        """Return rows by their numbers."""
        return np.asarray(self.base[self.rows[rows]])


def choose_rows(array: Any, rows: Any) -> Any:
    """Return rows of an array or a reader, by a slice or by their numbers, without a copy of them.

    They are a view, where they lie one after the other in memory.
    """
    if isinstance(rows, slice):
        rows = np.arange(*rows.indices(len(array)))
    first = int(rows[0])
    if isinstance(array, np.ndarray) and bool((np.diff(rows) == 1).all()):
        return array[first : first + len(rows)]
    return ChosenRows(array, rows)


def reader_for(value: Any) -> RowReader | None:
    """Return a reader of what is better read some rows at a time; None of anything else.

    A single value for each row is little, and is read at once.
    """
    if len(getattr(value, "shape", ())) <= 1:
        return None
    if is_sparse(value):
        return SparseRows(value)
    stored = all(hasattr(value, name) for name in ("shape", "dtype", "chunks", "__getitem__"))
    if stored and isinstance(value.dtype, np.dtype) and value.dtype.kind in "fiub":
        return StoredRows(value)
    return None
