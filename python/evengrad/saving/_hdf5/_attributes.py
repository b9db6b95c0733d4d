"""Attributes of objects in HDF5 files: texts, numbers, and lists of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.saving._hdf5._datatypes import kind_of, shape_of
from evengrad.saving._hdf5._objects import ATTRIBUTE, ATTRIBUTE_INFO, Header

if TYPE_CHECKING:
    from evengrad.saving._hdf5._datatypes import Kind
    from evengrad.saving._hdf5._source import Cursor, Source

# Parts of attributes of version 1, and things in the heap of texts, begin at multiples of this.
PADDING = 8
UTF8 = 1


def attributes_of(header: Header) -> dict[str, Any]:
    """Return the attributes of an object that are texts, numbers or lists of them, by name."""
    info = header.first(ATTRIBUTE_INFO)
    if info is not None:
        info.version(0)
        if info.number(1) & 1:
            info.take(2)
        if not header.source.undefined(info.offset()):
            info.damaged(
                "it has more attributes than are read here; write the file with "
                'h5py.File(path, "w"), without libver'
            )
    return dict(_attribute(cursor) for cursor in header.all(ATTRIBUTE))


def _attribute(cursor: Cursor) -> tuple[str, Any]:
    version = cursor.version(1, 2, 3)
    flags = cursor.number(1)
    if version > 1 and flags & 3:
        cursor.damaged("it shares parts of an attribute with others")
    sizes = [cursor.number(2) for _ in range(3)]
    if version == 3:
        cursor.number(1)

    def part(size: int) -> Cursor:
        padded = -(-size // PADDING) * PADDING if version == 1 else size
        return type(cursor)(cursor.source, cursor.take(padded), cursor.place)

    raw = bytes(part(sizes[0]).data).partition(b"\0")[0]
    name = raw.decode(errors="replace")
    place = f"{cursor.place}: attribute {name!r}"
    kind, shape = kind_of(part(sizes[1])), shape_of(part(sizes[2]))
    rest = type(cursor)(cursor.source, cursor.data[cursor.at :], place)
    return name, value_of(rest, kind, shape)


def value_of(cursor: Cursor, kind: Kind, shape: tuple[int, ...]) -> Any:
    """Return a text or an array, or a list of texts."""
    count = math.prod(shape)
    if kind.dtype is None:
        texts = [_heap_text(cursor) for _ in range(_counted(cursor, count))]
        return texts if shape else texts[0]
    raw = cursor.take(count * kind.dtype.itemsize)
    if not kind.text:
        return np.frombuffer(raw, kind.dtype).reshape(shape)
    size = kind.dtype.itemsize
    pieces = [bytes(raw[begin : begin + size]) for begin in range(0, count * size, size)]
    texts = [_decoded(cursor, piece.partition(b"\0")[0]) for piece in pieces]
    return texts if shape else texts[0]


def _counted(cursor: Cursor, count: int) -> int:
    """Return a number of references to texts, which must be there."""
    size = 8 + cursor.source.offset_size
    if count * size > cursor.left:
        cursor.damaged(f"it claims {count} texts where {cursor.left} bytes are left")
    return count


def _decoded(cursor: Cursor, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        cursor.damaged(f"{raw[:40]!r} is no text")


def _heap_text(cursor: Cursor) -> str:
    """Return a text that stands in a heap of such."""
    size, address, index = cursor.number(4), cursor.offset(), cursor.number(4)
    if size == 0 or address == 0:
        return ""
    content = _in_heap(cursor.source, address, index, cursor.place)
    if size > len(content):
        cursor.damaged(f"it claims a text of {size} bytes, and there are {len(content)}")
    return _decoded(cursor, bytes(content[:size]).partition(b"\0")[0])


def _in_heap(source: Source, address: int, wanted: int, place: str) -> memoryview:
    start_size = 8 + source.length_size
    start = source.cursor(address, start_size, place)
    start.expect(b"GCOL")
    start.version(1)
    start.take(3)
    heap = source.cursor(address + start_size, start.length() - start_size, place)
    while heap.left >= PADDING + source.length_size:
        index = heap.number(2)
        heap.take(6)
        size = heap.length()
        if index == wanted:
            return heap.take(size)
        if index == 0:
            break
        heap.take(min(-(-size // PADDING) * PADDING, heap.left))
    return source.damaged(place, f"the heap of texts has no number {wanted}")
