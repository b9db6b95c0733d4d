"""Arrays in HDF5 files: where their elements lie, whole or in chunks, and what chunks passed."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.saving._hdf5._datatypes import kind_of, shape_of
from evengrad.saving._hdf5._objects import DATASPACE, DATATYPE, EXTERNAL, FILTERS, LAYOUT, Header

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.saving._hdf5._source import Cursor

COMPACT, CONTIGUOUS, CHUNKED = 0, 1, 2
# Filters by their numbers: of zlib, of bytes sorted by their place in elements, of checksums.
DEFLATE, SHUFFLE, FLETCHER = 1, 2, 3
# What zlib makes of one byte at most.
MOST_EXPANSION = 1032


class Dataset:
    """An array in a file, which is read when it is asked for.

    Attributes
    ----------
    shape, dtype
        Those of the array; opaque elements have the dtype ``V`` and their size.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        space, kind, layout = (header.first(one) for one in (DATASPACE, DATATYPE, LAYOUT))
        if space is None or kind is None or layout is None:
            header.source.damaged(header.place, "shape, type or place of its elements are missing")
        if header.first(EXTERNAL) is not None:
            header.source.damaged(header.place, "its elements stand in other files")
        self.shape = shape_of(space)
        found = kind_of(kind)
        if found.dtype is None:
            header.source.damaged(header.place, "an array of texts is not read")
        self.dtype: np.dtype[Any] = found.dtype
        self._layout = layout
        self._begin = layout.at

    @property
    def place(self) -> str:
        """What messages call it."""
        return self._header.place

    @property
    def nbytes(self) -> int:
        """The number of bytes of all elements."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> Array:
        """Return the array; a view of the file's bytes where they lie as they are."""
        layout = type(self._layout)(self._header.source, self._layout.data, self.place)
        layout.take(self._begin)
        version = layout.version(1, 2, 3, 4)
        if version < 3:
            dimensions, kind = layout.number(1), layout.number(1)
            layout.take(5)
            return self._old(layout, kind, dimensions)
        kind = layout.number(1)
        if kind == COMPACT:
            return self._array(layout.take(layout.number(2)))
        if kind == CONTIGUOUS:
            return self._contiguous(layout.offset(), layout.length())
        if kind != CHUNKED or version == 4:
            layout.damaged(
                "its elements lie in a way that is not read here; write the file with "
                'h5py.File(path, "w"), without libver'
            )
        dimensions = layout.number(1)
        return self._chunked(layout, layout.offset(), dimensions)

    def _old(self, layout: Cursor, kind: int, dimensions: int) -> Array:
        if kind == COMPACT:
            layout.take(4 * dimensions)
            return self._array(layout.take(layout.number(4)))
        address = layout.offset()
        if kind == CONTIGUOUS:
            return self._contiguous(address, self.nbytes)
        return self._chunked(layout, address, dimensions)

    def _contiguous(self, address: int, size: int) -> Array:
        source = self._header.source
        if self.nbytes == 0:
            return np.zeros(self.shape, self.dtype)
        if source.undefined(address):
            source.damaged(self.place, "its elements were never written")
        return self._array(source.bytes_at(address, size, self.place))

    def _array(self, raw: memoryview | bytes) -> Array:
        """Return the array of these bytes, which must be as many as its shape has."""
        if len(raw) < self.nbytes:
            self._header.source.damaged(
                self.place,
                f"shape {self.shape} of {self.dtype} has {self.nbytes} bytes, and {len(raw)} are "
                "there",
            )
        return np.frombuffer(raw, self.dtype, math.prod(self.shape)).reshape(self.shape)

    def _chunked(self, layout: Cursor, address: int, dimensions: int) -> Array:
        sizes = tuple(layout.number(4) for _ in range(dimensions))[:-1]
        if len(sizes) != len(self.shape) or 0 in sizes:
            layout.damaged(f"chunks of {sizes} do not fit shape {self.shape}")
        filters = _filters(self._header)
        chunks = list(self._chunks(address, dimensions))
        # Not more is made than these chunks can hold, whatever shapes claim.
        most = sum(size for size, _, _, _ in chunks) * (MOST_EXPANSION if filters else 1)
        chunk_bytes = math.prod(sizes) * self.dtype.itemsize
        if self.nbytes > most or (chunks and chunk_bytes > most):
            self._header.source.damaged(
                self.place, f"{len(chunks)} chunks cannot hold {self.nbytes} bytes"
            )
        array = np.zeros(self.shape, self.dtype)
        for size, skipped, offsets, begin in chunks:
            raw = self._header.source.bytes_at(begin, size, self.place)
            values = self._unpacked(raw, filters, skipped, chunk_bytes).reshape(sizes)
            places = tuple(slice(at, at + width) for at, width in zip(offsets, sizes, strict=True))
            target = array[places]
            target[...] = values[tuple(slice(width) for width in target.shape)]
        return array

    def _chunks(self, address: int, dimensions: int) -> Any:
        """Yield size, filters that were left out, place in the array and address of each chunk."""
        source = self._header.source
        key = 8 + 8 * dimensions
        left, seen = [] if source.undefined(address) else [address], {address}
        while left:
            at = left.pop()
            begin = 8 + 2 * source.offset_size
            node = source.cursor(at, begin, self.place)
            node.expect(b"TREE")
            if node.number(1) != 1:
                node.damaged("its tree is none of chunks")
            level, count = node.number(1), node.number(2)
            size = count * (key + source.offset_size)
            entries = source.cursor(at + begin, size, self.place)
            for _ in range(count):
                length, skipped = entries.number(4), entries.number(4)
                offsets = tuple(entries.number(8) for _ in range(dimensions))[:-1]
                child = entries.offset()
                if child in seen:
                    entries.damaged("its tree of chunks leads back to itself")
                seen.add(child)
                if level:
                    left.append(child)
                else:
                    yield length, skipped, offsets, child

    def _unpacked(self, raw: memoryview, filters: list[int], skipped: int, wanted: int) -> Array:
        data: Any = raw
        for place in reversed(range(len(filters))):
            if skipped >> place & 1:
                continue
            if filters[place] == DEFLATE:
                data = self._inflated(data, wanted)
            elif filters[place] == FLETCHER:
                data = data[:-4]
            else:
                width = self.dtype.itemsize
                whole = np.frombuffer(data, np.uint8)
                whole = whole[: len(whole) // width * width]
                data = whole.reshape(width, -1).T.tobytes()
        if len(data) != wanted:
            self._header.source.damaged(
                self.place, f"a chunk has {len(data)} bytes in place of {wanted}"
            )
        return np.frombuffer(data, self.dtype)

    def _inflated(self, data: Any, wanted: int) -> bytes:
        machine = zlib.decompressobj()
        try:
            # Checksums of four bytes may follow the elements.
            return machine.decompress(data, wanted + 8)
        except zlib.error as error:
            self._header.source.damaged(self.place, f"a chunk is damaged: {error}")


def _filters(header: Header) -> list[int]:
    """Return the numbers of the filters that chunks went through, in their order."""
    message = header.first(FILTERS)
    if message is None:
        return []
    version = message.version(1, 2)
    count = message.number(1)
    if version == 1:
        message.take(6)
    found = []
    for _ in range(count):
        number = message.number(2)
        if number not in (DEFLATE, SHUFFLE, FLETCHER):
            message.damaged(f"its chunks went through filter {number}, which is not read")
        named = version == 1
        name = message.number(2) if named else 0
        message.take(2)
        values = message.number(2)
        message.take(name + 4 * values + (4 if version == 1 and values % 2 else 0))
        found.append(number)
    return found
