"""Objects of HDF5 files: the messages in their headers, of versions 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.saving._hdf5._source import Cursor, Source

# The kinds of messages that matter here.
DATASPACE, LINK_INFO, DATATYPE, LINK = 0x01, 0x02, 0x03, 0x06
EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE = 0x07, 0x08, 0x0B, 0x0C
CONTINUATION, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x10, 0x11, 0x15
# A message whose content stands elsewhere.
SHARED = 0x02
CHECKSUM_BYTES = 4


@dataclass(frozen=True)
class Message:
    """One message in the header of an object."""

    kind: int
    cursor: Cursor


class Header:
    """All messages of an object."""

    def __init__(self, source: Source, address: int, place: str) -> None:
        self.source = source
        self.place = place
        self.messages: list[Message] = []
        # Blocks that are still to be read, and where those begin that were: none is read twice.
        self._blocks: list[tuple[int, int]] = []
        self._seen: set[int] = set()
        modern = bytes(source.bytes_at(address, 4, place)) == b"OHDR"
        first = self._modern(address) if modern else self._classic(address)
        self._blocks.append(first)
        while self._blocks:
            begin, size = self._blocks.pop(0)
            if begin in self._seen:
                source.damaged(place, "its header leads back to itself")
            self._seen.add(begin)
            if modern:
                self._modern_block(begin, size, whole=(begin, size) != first)
            else:
                self._classic_block(begin, size)

    def _classic(self, address: int) -> tuple[int, int]:
        start = self.source.cursor(address, 16, self.place)
        start.version(1)
        start.take(7)
        return address + 16, start.number(4)

    def _modern(self, address: int) -> tuple[int, int]:
        """Read the start of a header of version 2; return where its messages are."""
        rest = min(64, len(self.source.data) - address)
        start = self.source.cursor(address, rest, self.place)
        start.expect(b"OHDR")
        start.version(2)
        flags = start.number(1)
        start.take((16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0))
        size = start.number(1 << (flags & 3))
        self._ordered = bool(flags & 4)
        return address + start.at, size

    def _classic_block(self, begin: int, size: int) -> None:
        block = self.source.cursor(begin, size, self.place)
        while block.left >= 8:
            kind, length, flags = block.number(2), block.number(2), block.number(1)
            block.take(3)
            self._add(kind, length, flags, block)

    def _modern_block(self, begin: int, size: int, *, whole: bool) -> None:
        block = self.source.cursor(begin, size, self.place)
        if whole:
            block.expect(b"OCHK")
        ends = CHECKSUM_BYTES if whole else 0
        start = 6 if self._ordered else 4
        while block.left - ends >= start:
            kind, length, flags = block.number(1), block.number(2), block.number(1)
            block.take(start - 4)
            self._add(kind, length, flags, block)

    def _add(self, kind: int, length: int, flags: int, block: Cursor) -> None:
        content = type(block)(self.source, block.take(length), self.place)
        if kind == CONTINUATION:
            self._blocks.append((content.offset(), content.length()))
        elif kind:
            if flags & SHARED:
                self.source.damaged(self.place, "it shares parts of its header with others")
            self.messages.append(Message(kind, content))

    def all(self, kind: int) -> Iterator[Cursor]:
        """Yield the messages of a kind."""
        return (message.cursor for message in self.messages if message.kind == kind)

    def first(self, kind: int) -> Cursor | None:
        """Return the first message of a kind, if there is one."""
        return next(self.all(kind), None)
