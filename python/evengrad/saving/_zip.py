"""Zip archives whose members are arrays: every size is compared with the file before it is used."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from evengrad.saving._checksum import PIECE_BYTES
from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

MAGIC = b"PK\x03\x04"
LOCAL_HEADER = struct.Struct("<4s2xH18xHH")
ENCRYPTED = 1
# What the format's compression makes of a byte at most.
MOST_EXPANSION = 1032
# Bytes of a member's beginning, for its header.
BEGINNING = 2**16


class Member(NamedTuple):
    """One file in an archive."""

    shown: str
    name: str
    # Where its bytes lie in the archive, how many they are there, and how many they become.
    begin: int
    stored: int
    size: int
    crc: int
    deflated: bool

    def beginning(self, file: BinaryIO, count: int = BEGINNING) -> bytes:
        """Return the first bytes."""
        count = min(count, self.size)
        file.seek(self.begin)
        if not self.deflated:
            return file.read(count)
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(
                file.read(min(self.stored, count)), count
            )
        except zlib.error as error:
            raise self.damaged(str(error)) from error

    def content(self, file: BinaryIO, skip: int = 0, *, checked: bool = True) -> Array:
        """Return all bytes behind the first `skip`; their checksum is compared if `checked`."""
        content = np.empty(self.size - skip, np.uint8)
        file.seek(self.begin)
        crc = (
            self._inflate(file, skip, content) if self.deflated else self._copy(file, skip, content)
        )
        if checked and crc != self.crc:
            raise self.damaged("its checksum differs")
        return content

    def _copy(self, file: BinaryIO, skip: int, content: Array) -> int:
        crc = zlib.crc32(file.read(skip))
        for begin in range(0, len(content), PIECE_BYTES):
            piece: Any = content[begin : begin + PIECE_BYTES].data
            if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]  # of every file
                raise self.damaged("it was cut off while the file was read")
            crc = zlib.crc32(piece, crc)
        return crc

    def _inflate(self, file: BinaryIO, skip: int, content: Array) -> int:
        machine, place, crc, left = zlib.decompressobj(-zlib.MAX_WBITS), -skip, 0, self.stored
        source = b""
        try:
            while place < len(content):
                if not source:
                    source = file.read(min(left, PIECE_BYTES))
                    left -= len(source)
                piece = machine.decompress(source, PIECE_BYTES)
                if not piece and not source:
                    raise self.damaged("it is shorter than it should be")
                source = machine.unconsumed_tail
                crc = zlib.crc32(piece, crc)
                seen = np.frombuffer(piece, np.uint8)[max(0, -place) :]
                at = max(0, place)
                if at + len(seen) > len(content):
                    raise self.damaged("it is longer than it should be")
                content[at : at + len(seen)] = seen
                place += len(piece)
        except zlib.error as error:
            raise self.damaged(str(error)) from error
        return crc

    def damaged(self, reason: str) -> FileFormatError:
        """Return the error for something that is wrong with the member."""
        return FileFormatError(f"{self.shown}: {self.name!r} is damaged: {reason}")


def members_of(shown: str, file: BinaryIO) -> dict[str, Member]:
    """Return the members of an archive by their names, in its order.

    Raises
    ------
    FileFormatError
        It is no whole archive, or a member lies outside of it, twice, encrypted, or compressed by
        another method than zip's own.
    """
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError) as error:
        raise FileFormatError(f"{shown}: no zip archive, damaged or cut off: {error}") from error
    members: dict[str, Member] = {}
    for entry in entries:
        name, what = entry.filename, f"{shown}: {entry.filename!r}"
        if name in members:
            raise FileFormatError(f"{what} occurs twice")
        if entry.flag_bits & ENCRYPTED:
            raise FileFormatError(f"{what} is encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileFormatError(f"{what} is compressed by method {entry.compress_type}")
        begin = _begin(what, file, entry.header_offset, size)
        deflated = entry.compress_type == zipfile.ZIP_DEFLATED
        most = entry.compress_size * (MOST_EXPANSION if deflated else 1)
        if begin + entry.compress_size > size or entry.file_size > most:
            raise FileFormatError(
                f"{what} claims {entry.file_size} bytes in {entry.compress_size} at {begin}; the "
                f"file has {size}"
            )
        members[name] = Member(
            shown, name, begin, entry.compress_size, entry.file_size, entry.CRC, deflated
        )
    return members


def _begin(what: str, file: BinaryIO, place: int, size: int) -> int:
    """Return where the bytes of a member begin, behind the header that stands before them."""
    if not 0 <= place <= size - LOCAL_HEADER.size:
        raise FileFormatError(f"{what} begins at {place}; the file has {size} bytes")
    file.seek(place)
    signature, _, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if signature != MAGIC:
        raise FileFormatError(f"{what} is damaged: no header at {place}")
    return place + LOCAL_HEADER.size + int(name) + int(extra)
