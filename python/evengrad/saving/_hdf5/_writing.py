"""HDF5 files out of groups and arrays, as h5py writes them where nobody asks for newer versions.

All that is not arrays is made in memory first, with the addresses of everything; then the bytes go
to the file from the first to the last. Equal content gives equal bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.saving._hdf5._objects import ATTRIBUTE, DATASPACE, DATATYPE, LAYOUT, SYMBOL_TABLE
from evengrad.saving._hdf5._source import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._common.arrays import Array

FILL_VALUE = 0x05
ALIGNMENT = 8
UNDEFINED = 2**64 - 1
SUPERBLOCK_BYTES = 96
# Half of the most entries in a leaf of names, and in a node of the tree above, by default.
LEAF_HALF, NODE_HALF = 4, 16
ENTRY_BYTES = 40
LEAF_BYTES = 8 + 2 * LEAF_HALF * ENTRY_BYTES
NODE_BYTES = 24 + (4 * NODE_HALF + 1) * 8
# The least size of a heap of texts.
HEAP_BYTES = 4096
# Floats by size: bit of the sign; then bits in all, place and bits of the exponent, bits of the
# mantissa, bias of the exponent.
FLOATS = {2: (15, 16, 10, 5, 10, 15), 4: (31, 32, 23, 8, 23, 127), 8: (63, 64, 52, 11, 52, 1023)}
# Texts of any length, of UTF-8, of which a reference is kept.
TEXT_TYPE = struct.pack("<B3sI", 0x19, b"\x01\x01\x00", 16) + struct.pack(
    "<B3sIHH", 0x10, b"\x00\x00\x00", 1, 0, 8
)


@dataclass
class NewGroup:
    """A group to be written: attributes that are texts; groups and arrays by name."""

    attributes: dict[str, str] = field(default_factory=dict)
    groups: dict[str, NewGroup] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)

    def at(self, path: str) -> NewGroup:
        """Return the group at a path below this one, made with those above it where it is new."""
        found = self
        for name in path.split("/"):
            found = found.groups.setdefault(name, NewGroup())
        return found


def pieces_of(root: NewGroup) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the file of a root group, a piece at a time."""
    return _File(root).pieces()


def size_of(root: NewGroup) -> int:
    """Return the length of the file of a root group."""
    return _File(root).end


class _File:
    """The layout of a file: pieces with their lengths, one after the other."""

    def __init__(self, root: NewGroup) -> None:
        self._pieces: list[bytearray | memoryview] = [bytearray(SUPERBLOCK_BYTES)]
        self.end = SUPERBLOCK_BYTES
        self._texts: bytearray | None = None
        self._texts_at = self._texts_used = self._texts_count = 0
        header, tree, heap = self._group(root)
        start = SIGNATURE + bytes([0, 0, 0, 0, 0, 8, 8, 0])
        start += struct.pack("<HHI", LEAF_HALF, NODE_HALF, 0)
        start += struct.pack("<QQQQ", 0, UNDEFINED, self.end, UNDEFINED)
        start += struct.pack("<QQIIQQ", 0, header, 1, 0, tree, heap)
        self._pieces[0] = bytearray(start)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes."""
        for piece in self._pieces:
            yield memoryview(piece)

    def _add(self, content: bytes | bytearray | memoryview) -> int:
        """Add a piece, and return its address."""
        address = self.end
        self._pieces.append(content if isinstance(content, memoryview) else bytearray(content))
        self.end += len(content)
        gap = -self.end % ALIGNMENT
        if gap:
            self._pieces.append(bytearray(gap))
            self.end += gap
        return address

    def _group(self, group: NewGroup) -> tuple[int, int, int]:
        """Add a group with all inside; return the addresses of header, tree and heap."""
        targets = {name: self._group(one)[0] for name, one in group.groups.items()}
        targets |= {name: self._array(one) for name, one in group.arrays.items()}
        names = sorted(targets, key=str.encode)
        places, heap = self._names(names)
        tree = self._tree([(places[name], targets[name]) for name in names])
        messages = [(SYMBOL_TABLE, struct.pack("<QQ", tree, heap))]
        messages += [
            (ATTRIBUTE, self._attribute(name, text)) for name, text in group.attributes.items()
        ]
        return self._header(messages), tree, heap

    def _names(self, names: list[str]) -> tuple[dict[str, int], int]:
        """Add the names of a group; return where they stand among each other, and their address."""
        content, places = bytearray(ALIGNMENT), {}
        for name in names:
            places[name] = len(content)
            content += padded(name.encode() + b"\0")
        data = self._add(content)
        # There is no free space, which 1 stands for.
        heap = b"HEAP" + bytes(4) + struct.pack("<QQQ", len(content), 1, data)
        return places, self._add(heap)

    def _tree(self, entries: list[tuple[int, int]]) -> int:
        """Add the tree that leads from names to addresses; return where its root is."""
        leaves = []
        for begin in range(0, len(entries), 2 * LEAF_HALF):
            part = entries[begin : begin + 2 * LEAF_HALF]
            content = b"SNOD\x01\x00" + struct.pack("<H", len(part))
            content += b"".join(struct.pack("<QQ24x", place, target) for place, target in part)
            # With the last name in it.
            leaves.append((self._add(content.ljust(LEAF_BYTES, b"\0")), part[-1][0]))
        level, below = 0, leaves
        while True:
            groups = [
                below[begin : begin + 2 * NODE_HALF]
                for begin in range(0, len(below), 2 * NODE_HALF)
            ] or [[]]
            nodes = self._nodes(groups, level)
            if len(nodes) == 1:
                return nodes[0][0]
            level, below = level + 1, nodes

    def _nodes(self, groups: list[list[tuple[int, int]]], level: int) -> list[tuple[int, int]]:
        """Add one level of a tree; return addresses of its nodes with the last name of each."""
        first, before, nodes = self.end, 0, []
        size = -(-NODE_BYTES // ALIGNMENT) * ALIGNMENT
        for place, children in enumerate(groups):
            left = first + (place - 1) * size if place else UNDEFINED
            right = first + (place + 1) * size if place + 1 < len(groups) else UNDEFINED
            content = b"TREE\x00" + struct.pack("<BHQQ", level, len(children), left, right)
            content += struct.pack("<Q", before)
            for address, last in children:
                content += struct.pack("<QQ", address, last)
                before = last
            nodes.append((self._add(content.ljust(NODE_BYTES, b"\0")), before))
        return nodes

    def _header(self, messages: list[tuple[int, bytes]]) -> int:
        content = bytearray()
        for kind, data in messages:
            whole = padded(data)
            content += struct.pack("<HHB3x", kind, len(whole), 0) + whole
        return self._add(struct.pack("<BxHII4x", 1, len(messages), 1, len(content)) + content)

    def _array(self, array: Array) -> int:
        """Add an array; return the address of its header."""
        whole = np.ascontiguousarray(array).reshape(array.shape)
        little = whole.astype(whole.dtype.newbyteorder("<"), copy=False)
        address = UNDEFINED
        if little.nbytes:
            address = self._add(little.reshape(-1).view(np.uint8).data)
        messages = [
            (DATASPACE, space_of(array.shape)),
            (DATATYPE, type_of(array.dtype)),
            # Space is made late, and filled with nothing of note.
            (FILL_VALUE, bytes([2, 2, 2, 1, 0, 0, 0, 0])),
            (LAYOUT, struct.pack("<BBQQ", 3, 1, address, little.nbytes)),
        ]
        return self._header(messages)

    def _attribute(self, name: str, text: str) -> bytes:
        raw = name.encode() + b"\0"
        space = space_of(())
        start = struct.pack("<BxHHH", 1, len(raw), len(TEXT_TYPE), len(space))
        return start + padded(raw) + padded(TEXT_TYPE) + padded(space) + self._text(text)

    def _text(self, text: str) -> bytes:
        """Put a text into a heap; return the reference to it."""
        raw = text.encode()
        size = 16 + len(padded(raw))
        # What is left of a heap has a start, too.
        if self._texts is None or self._texts_used + size + 16 > len(self._texts):
            whole = max(HEAP_BYTES, 16 + size + 16)
            self._texts = bytearray(b"GCOL\x01\x00\x00\x00" + struct.pack("<Q", whole))
            self._texts += bytes(whole - len(self._texts))
            self._texts_used, self._texts_count = 16, 0
            self._texts_at = self.end
            self._pieces.append(self._texts)
            self.end += whole
        self._texts_count += 1
        begin = self._texts_used
        item = struct.pack("<HH4xQ", self._texts_count, 1, len(raw)) + padded(raw)
        self._texts[begin : begin + size] = item
        self._texts_used += size
        rest = len(self._texts) - self._texts_used
        struct.pack_into("<HH4xQ", self._texts, self._texts_used, 0, 0, rest)
        return struct.pack("<IQI", len(raw), self._texts_at, self._texts_count)


def padded(raw: bytes) -> bytes:
    """Return bytes with zeros up to the next multiple of eight."""
    return raw + bytes(-len(raw) % ALIGNMENT)


def space_of(shape: tuple[int, ...]) -> bytes:
    """Return the message that describes a shape."""
    return struct.pack("<BBB5x", 1, len(shape), 0) + b"".join(struct.pack("<Q", n) for n in shape)


def type_of(dtype: np.dtype[Any]) -> bytes:
    """Return the message that describes a type of elements."""
    if dtype.kind == "f":
        sign, bits, place, exponent, mantissa, bias = FLOATS[dtype.itemsize]
        start = struct.pack("<B3sI", 0x11, bytes([0x20, sign, 0]), dtype.itemsize)
        return start + struct.pack("<HHBBBBI", 0, bits, place, exponent, 0, mantissa, bias)
    signed = 8 if dtype.kind == "i" else 0
    start = struct.pack("<B3sI", 0x10, bytes([signed, 0, 0]), dtype.itemsize)
    return start + struct.pack("<HH", 0, 8 * dtype.itemsize)
