"""Groups of HDF5 files: the names in them, with the addresses of what has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.saving._hdf5._objects import LINK, LINK_INFO, SYMBOL_TABLE, Header

if TYPE_CHECKING:
    from evengrad.saving._hdf5._source import Cursor, Source

# A name that leads to a place by itself, and is no other name for something.
HARD = 0
ENTRY_REST = 20
NODE_START = 8


def members_of(header: Header) -> dict[str, int] | None:
    """Return the addresses of what is in a group, by name; None of what is no group."""
    table = header.first(SYMBOL_TABLE)
    if table is not None:
        return _Table(header.source, header.place, table.offset(), table.offset()).members
    info = header.first(LINK_INFO)
    if info is None:
        return None
    return _linked(header, info)


def _linked(header: Header, info: Cursor) -> dict[str, int]:
    """Return the members of a group whose names stand in its header."""
    info.version(0)
    if info.number(1) & 1:
        info.take(8)
    if not header.source.undefined(info.offset()):
        info.damaged(
            'it has more names than are read here; write the file with h5py.File(path, "w"), '
            "without libver"
        )
    members: dict[str, int] = {}
    for link in header.all(LINK):
        link.version(1)
        flags = link.number(1)
        kind = link.number(1) if flags & 8 else HARD
        link.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))
        name = _text(link, bytes(link.take(link.number(1 << (flags & 3)))))
        if kind != HARD:
            link.damaged(f"{name!r} is another name for something else, which is not followed")
        members[name] = link.offset()
    return members


def _text(cursor: Cursor, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        cursor.damaged(f"{raw[:40]!r} is no text")


class _Table:
    """The names in a group as older files have them: a tree of nodes, and a heap of texts."""

    def __init__(self, source: Source, place: str, tree: int, heap: int) -> None:
        self.source = source
        self.place = place
        self.members: dict[str, int] = {}
        self.names = self._heap(heap)
        left, seen = [tree], {tree}
        while left:
            for child in self._children(left.pop()):
                if child in seen:
                    source.damaged(place, "its tree of names leads back to itself")
                seen.add(child)
                left.append(child)

    def _heap(self, address: int) -> memoryview:
        rest = 8 + 2 * self.source.length_size + self.source.offset_size
        start = self.source.cursor(address, rest, self.place)
        start.expect(b"HEAP")
        start.version(0)
        start.take(3)
        size = start.length()
        start.length()
        return self.source.bytes_at(start.offset(), size, self.place)

    def _children(self, address: int) -> list[int]:
        """Return what is below a node of the tree; the names of a leaf are added."""
        if bytes(self.source.bytes_at(address, 4, self.place)) == b"SNOD":
            self._leaf(address)
            return []
        sizes = self.source.offset_size, self.source.length_size
        start = self.source.cursor(address, NODE_START + 2 * sizes[0], self.place)
        start.expect(b"TREE")
        start.version(0)
        start.number(1)
        count = start.number(2)
        begin = address + NODE_START + 2 * sizes[0]
        rest = self.source.cursor(begin, count * sum(sizes) + sizes[1], self.place)
        children = []
        for _ in range(count):
            rest.length()
            children.append(rest.offset())
        return children

    def _leaf(self, address: int) -> None:
        start = self.source.cursor(address, NODE_START, self.place)
        start.expect(b"SNOD")
        start.version(1)
        start.take(1)
        count = start.number(2)
        size = 2 * self.source.offset_size + 4 + ENTRY_REST
        entries = self.source.cursor(address + NODE_START, count * size, self.place)
        for _ in range(count):
            name, target, kind = entries.offset(), entries.offset(), entries.number(4)
            entries.take(ENTRY_REST)
            text = bytes(self.names[name:]).partition(b"\0")[0] if name < len(self.names) else b""
            if kind not in (0, 1) or not text:
                entries.damaged(f"{text!r} is no name that leads to something")
            self.members[_text(entries, text)] = target
