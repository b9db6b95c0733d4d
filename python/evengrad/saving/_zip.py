"""Zip archives whose members are arrays: every size is compared with the file before it is used."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from evengrad.saving._checksum import PIECE_BYTES, RunningCrc
from evengrad.saving._errors import FileFormatError
from evengrad.saving._pieces import PieceReader, wait_for

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

MAGIC = b"PK\x03\x04"
LOCAL_HEADER = struct.Struct("<4s2xH18xHH")
ENCRYPTED = 1
# What the format's compression makes of a byte at most.
MOST_EXPANSION = 1032
# What `zipfile` raises for archives that are none, or not whole.
NO_ARCHIVE = (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError)


class Member(NamedTuple):
    """One file in an archive: where its bytes lie, how many they are, and what they become."""

    shown: str
    name: str
    begin: int
    stored: int
    size: int
    crc: int
    deflated: bool

    def damaged(self, reason: str) -> FileFormatError:
        """Return the error for something that is wrong with the member."""
        return FileFormatError(f"{self.shown}: {self.name!r} is damaged: {reason}")


def names_in(file: BinaryIO) -> list[str]:
    """Return the names of the members of an archive; none of what is no whole archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except NO_ARCHIVE:
        return []


class Archive:
    """An open archive, and the checksums of what is read, which are computed meanwhile."""

    def __init__(self, shown: str, file: BinaryIO) -> None:
        self.shown, self._file = shown, file
        size = os.fstat(file.fileno()).st_size
        self.members = members_of(shown, file, size)
        self._reader = PieceReader(shown, file, size)
        self._filling: list[Any] = []
        self._running: list[tuple[Member, RunningCrc]] = []

    def beginning(self, member: Member, count: int) -> bytes:
        """Return the first bytes of a member."""
        count = min(count, member.size)
        self._file.seek(member.begin)
        if not member.deflated:
            return self._file.read(count)
        try:
            packed = self._file.read(min(member.stored, count))
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, count)
        except zlib.error as error:
            raise member.damaged(str(error)) from error

    def content(self, member: Member, skip: int = 0, *, checked: bool = True) -> Array:
        """Return the bytes of a member behind the first `skip`; `confirm` says that they are."""
        content = np.empty(member.size - skip, np.uint8)
        crc = RunningCrc(self._reader.workers)
        if checked:
            self._running.append((member, crc))
        self._file.seek(member.begin)
        if member.deflated:
            self._inflate(member, skip, content, crc)
            return content
        before = self._file.read(skip)
        if checked:
            crc.update(before)
        for piece, filled in self._reader.pieces(content, member.begin + skip):
            self._filling.append(filled)
            if checked:
                crc.update(piece, filled)
        return content

    def _inflate(self, member: Member, skip: int, content: Array, crc: RunningCrc) -> None:
        machine, left, source = zlib.decompressobj(-zlib.MAX_WBITS), member.stored, b""
        place = -skip
        while place < len(content):
            if not source:
                source = self._file.read(min(left, PIECE_BYTES))
                left -= len(source)
            try:
                piece = machine.decompress(source, PIECE_BYTES)
            except zlib.error as error:
                raise member.damaged(str(error)) from error
            if not piece and not source:
                raise member.damaged("it is shorter than it should be")
            source = machine.unconsumed_tail
            crc.update(piece)
            seen = np.frombuffer(piece, np.uint8)[max(0, -place) :]
            at = max(0, place)
            if at + len(seen) > len(content):
                raise member.damaged("it is longer than it should be")
            content[at : at + len(seen)] = seen
            place += len(piece)

    def confirm(self) -> None:
        """Wait for what is read, and compare its checksums."""
        for filled in self._filling:
            wait_for(filled)
        self._filling.clear()
        for member, crc in self._running:
            if crc.value() != member.crc:
                raise member.damaged("its checksum differs")
        self._running.clear()

    def close(self) -> None:
        """End the threads."""
        self._reader.close()


def members_of(shown: str, file: BinaryIO, size: int) -> dict[str, Member]:
    """Return the members of an archive by their names, in its order.

    Raises
    ------
    FileFormatError
        It is no whole archive, or a member lies outside of it, twice, encrypted, or compressed by
        another method than zip's own.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except NO_ARCHIVE as error:
        raise FileFormatError(f"{shown}: no zip archive, damaged or cut off: {error}") from error
    members: dict[str, Member] = {}
    for entry in entries:
        if entry.filename in members:
            raise FileFormatError(f"{shown}: {entry.filename!r} occurs twice")
        members[entry.filename] = _member(shown, file, size, entry)
    return members


def _member(shown: str, file: BinaryIO, size: int, entry: zipfile.ZipInfo) -> Member:
    what = f"{shown}: {entry.filename!r}"
    if entry.flag_bits & ENCRYPTED:
        raise FileFormatError(f"{what} is encrypted")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileFormatError(f"{what} is compressed by method {entry.compress_type}")
    begin = _begin(what, file, entry.header_offset, size)
    deflated = entry.compress_type == zipfile.ZIP_DEFLATED
    most = entry.compress_size * (MOST_EXPANSION if deflated else 1)
    if begin + entry.compress_size > size or entry.file_size > most:
        raise FileFormatError(
            f"{what} claims {entry.file_size} bytes in {entry.compress_size} at {begin}; the file "
            f"has {size}"
        )
    return Member(
        shown, entry.filename, begin, entry.compress_size, entry.file_size, entry.CRC, deflated
    )


def _begin(what: str, file: BinaryIO, place: int, size: int) -> int:
    """Return where the bytes of a member begin, behind the header that stands before them."""
    if not 0 <= place <= size - LOCAL_HEADER.size:
        raise FileFormatError(f"{what} begins at {place}; the file has {size} bytes")
    file.seek(place)
    signature, _, name, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
    if signature != MAGIC:
        raise FileFormatError(f"{what} is damaged: no header at {place}")
    return place + LOCAL_HEADER.size + int(name) + int(extra)
