"""The bytes of an HDF5 file, of which nothing is read that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from typing import NoReturn

# What addresses of nothing are.
SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The sizes in bytes that addresses and lengths may have.
WIDTHS = (4, 8)


class Source:
    """The bytes of a file; `shown` is what messages call it.

    Attributes
    ----------
    offset_size, length_size
        The sizes in bytes of addresses and of lengths, as the file has them.
    base
        What addresses count from.
    """

    def __init__(self, shown: str, data: bytes | bytearray | memoryview) -> None:
        self.shown = shown
        self.data = memoryview(data)
        self.offset_size = self.length_size = 8
        self.base = 0

    def damaged(self, place: str, reason: str) -> NoReturn:
        """Raise the error of a file that is not as it should be."""
        raise FileFormatError(f"{self.shown}: {place}: {reason}")

    def bytes_at(self, address: int, count: int, place: str) -> memoryview:
        """Return bytes of the file, if they are there."""
        begin = self.base + address
        if count < 0 or begin < 0 or begin + count > len(self.data):
            self.damaged(
                place,
                f"it claims {count} bytes at {begin}, the file has {len(self.data)}; it is cut off "
                "or damaged",
            )
        return self.data[begin : begin + count]

    def cursor(self, address: int, count: int, place: str) -> Cursor:
        """Return a reader of these bytes."""
        return Cursor(self, self.bytes_at(address, count, place), place)

    def undefined(self, address: int) -> bool:
        """Tell whether an address stands for nothing."""
        return address == (1 << (8 * self.offset_size)) - 1


class Cursor:
    """Reads bytes from the first to the last; `place` is what messages call them."""

    def __init__(self, source: Source, data: memoryview, place: str) -> None:
        self.source = source
        self.data = data
        self.place = place
        self.at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self.data) - self.at

    def damaged(self, reason: str) -> NoReturn:
        """Raise the error of a file that is not as it should be."""
        self.source.damaged(self.place, reason)

    def take(self, count: int) -> memoryview:
        """Return the next bytes."""
        if count > self.left:
            self.damaged(f"it claims {count} bytes where {self.left} are left")
        begin = self.at
        self.at += count
        return self.data[begin : self.at]

    def number(self, size: int) -> int:
        """Return the next bytes as a number, little endian and without a sign."""
        return int.from_bytes(self.take(size), "little")

    def offset(self) -> int:
        """Return the next address."""
        return self.number(self.source.offset_size)

    def length(self) -> int:
        """Return the next length."""
        return self.number(self.source.length_size)

    def expect(self, signature: bytes) -> None:
        """Take bytes that must be these."""
        found = bytes(self.take(len(signature)))
        if found != signature:
            self.damaged(f"expected {signature!r}, got {found!r}")

    def version(self, *known: int) -> int:
        """Take the number of a version, which must be known here."""
        found = self.number(1)
        if found not in known:
            self.damaged(f"version {found} of this part of the format is not known")
        return found


def root_address(source: Source) -> int:
    """Read the superblock; return the address of the root group, and set sizes and base."""
    cursor = source.cursor(0, min(len(source.data), 128), "its superblock")
    if bytes(source.data[: len(SIGNATURE)]) != SIGNATURE:
        source.damaged("its first bytes", "no HDF5 file, or damaged")
    cursor.take(len(SIGNATURE))
    version = cursor.version(0, 1, 2, 3)
    if version < 2:
        cursor.take(4)
    source.offset_size, source.length_size = cursor.number(1), cursor.number(1)
    if source.offset_size not in WIDTHS or source.length_size not in WIDTHS:
        cursor.damaged(
            f"addresses of {source.offset_size} and lengths of {source.length_size} bytes"
        )
    # Versions 0 and 1: a reserved byte, two sizes of nodes, flags; then the size of another node.
    cursor.take(1 if version >= 2 else 9 + 4 * version)
    base = cursor.offset()
    cursor.offset()
    end = cursor.offset()
    if end > len(source.data):
        cursor.damaged(
            f"the file should have {end} bytes and has {len(source.data)}: it is cut off"
        )
    if version < 2:
        # The address of a driver, then the entry of the root group, which begins with a name.
        cursor.take(2 * source.offset_size)
    root = cursor.offset()
    if base:
        cursor.damaged(f"its content begins at {base}, after bytes of something else")
    return root
