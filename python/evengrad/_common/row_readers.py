"""Rows that are read when steps need them: of stored data sets, of sparse matrices, of parts."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.arrays import is_sparse
from evengrad._common.tables import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad._common.arrays import Array

    # Raises an error for rows that are not as they should be, given their numbers.
    Look = Callable[[Any, Array], None]

# What is read together of a data set, where its chunks are no larger: so little that its memory is
# used again by the next read.
SPAN_BYTES = 2 * 2**20
# Bytes that are read along sooner than another read is begun, which takes as long.
GAP_BYTES = 256 * 2**10


class RowReader(ABC):
    """Rows that lie elsewhere, as an array as far as training is concerned."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.ndim = len(shape)
        self.row_bytes = math.prod(shape[1:]) * self.dtype.itemsize
        self.nbytes = shape[0] * self.row_bytes

    @abstractmethod
    def check_with(self, look: Look, dtype: str) -> None:
        """Look at all rows: now where they are in memory, else as they are read."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Array:
        """Return the rows from one to before another."""

    @abstractmethod
    def take(self, rows: Array) -> Array:
        """Return rows by their numbers."""

    def copy_rows(self, rows: Array, to: Array) -> None:
        """Copy rows by their numbers into an array of as many."""
        to[:] = self.take(rows)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        if not isinstance(key, slice):
            return self.take(np.asarray(key))
        start, stop, step = key.indices(len(self))
        if step == 1:
            return self.read(start, max(start, stop))
        return self.take(np.arange(start, stop, step))

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
                look(ChosenRows(self, rows), rows)

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

    Each read is a slice of whole chunks. Rows by their numbers are sorted, and those that lie near
    each other are read together, so that no chunk is read twice for them.
    """

    def __init__(self, source: Any) -> None:
        super().__init__(tuple(source.shape), source.dtype)
        self.source = source
        self._chunk = 1 if not source.chunks else int(np.max(source.chunks[0]))
        self._gap = max(self._chunk, GAP_BYTES // max(1, self.row_bytes))
        self._span = max(1, SPAN_BYTES // max(1, self.row_bytes) // self._chunk) * self._chunk
        # What was read last: the next rows may lie in the same chunks.
        self._held_start, self._held = 0, np.empty((0, *self.shape[1:]), self.dtype)
        self._look: Look | None = None

    def check_with(self, look: Look, dtype: str) -> None:
        """Look at rows as they are read."""
        del dtype
        self._look = look

    def read(self, start: int, stop: int) -> Array:
        """Return the rows from one to before another."""
        return self.take(np.arange(start, stop))

    def take(self, rows: Array) -> Array:
        """Return rows by their numbers."""
        taken = np.empty((len(rows), *self.shape[1:]), self.dtype)
        self.copy_rows(rows, taken)
        return taken

    def copy_rows(self, rows: Array, to: Array) -> None:
        """Copy rows by their numbers into an array of as many, in the order of the file."""
        order = np.argsort(rows, kind="stable")
        for near in self._near(rows[order]):
            places = order[near]
            numbers = rows[places]
            part = self._block(int(numbers[0]), int(numbers[-1]) + 1)[numbers - numbers[0]]
            if self._look is not None:
                self._look(part, numbers)
            to[places] = part

    def _near(self, rows: Array) -> Iterator[slice]:
        """Yield where, in sorted numbers of rows, those stand that are read together."""
        apart = (np.diff(rows) > self._gap) | (np.diff(rows // self._span) > 0)
        ends = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
        for start, stop in itertools.pairwise(ends):
            if start < stop:
                yield slice(start, stop)

    def _block(self, start: int, stop: int) -> Array:
        """Return the rows from one to before another, from what was read last if they are there."""
        if not self._held_start <= start < stop <= self._held_start + len(self._held):
            self._held_start = start // self._chunk * self._chunk
            end = min(len(self), -(-stop // self._chunk) * self._chunk)
            self._held = np.asarray(self.source[self._held_start : end])
        return self._held[start - self._held_start : stop - self._held_start]


class ChosenRows(RowReader):
    """Some rows of an array or of another reader, by their numbers: an index, no copy."""

    def __init__(self, base: Any, rows: Array) -> None:
        super().__init__((len(rows), *base.shape[1:]), base.dtype)
        self.base, self.rows = base, rows

    def check_with(self, look: Look, dtype: str) -> None:
        """Do nothing: what rows are chosen from looks at them."""

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
    if isinstance(value, RowReader):
        return value
    dtype = getattr(value, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind not in NUMBERS:
        return None
    if is_sparse(value):
        return SparseRows(value)
    return StoredRows(value) if hasattr(value, "chunks") else None
