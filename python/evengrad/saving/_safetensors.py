"""The safetensors format: a length, a JSON header, the tensors' bytes; with checksums of ours.

Eight bytes, little endian: the length of the header. The header: for each tensor its dtype, shape
and place in what follows, and ``__metadata__``, strings by name. Then the data, without gaps.
See https://github.com/huggingface/safetensors.

The metadata of files that are written here begin with checksums, CRC-32 in eight hexadecimal
digits, which other readers pass over: ``evengrad_checksum`` of the header, with zeros for its own
digits, and ``evengrad_checksum:NAME`` of each 4 MiB of the data of each tensor. So no bit of a file
can change unnoticed. ``evengrad_format`` says that they must be there; files of earlier versions
and of other programs have none of the three.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from evengrad._common.names import printable
from evengrad.saving._atomic import write_atomically
from evengrad.saving._checksum import PIECE_BYTES, Checksum, ChecksumWorkers, digits_of
from evengrad.saving._errors import FileFormatError
from evengrad.saving._paths import check_ordinary, errors_name, file_path, reader_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad._common.arrays import Array


# What other readers of the format accept at most.
HEADER_LIMIT = 100_000_000
# Data begins at a multiple of this, so that tensors can be used where they lie.
ALIGNMENT = 8
LENGTH_BYTES = 8
# What NumPy 2 takes.
DIMENSION_LIMIT = 64

# What files of other formats begin with.
OTHERS = {
    b"\x89HDF": "an HDF5 file, as of Keras; make the model and use load_weights",
    b"PK\x03\x04": "a zip archive; Model.from_keras reads .keras, load_weights those of others",
}

FORMAT, CHECKSUM = "evengrad_format", "evengrad_checksum"
VERSION = "2"
# Before the header's own digits. Inside of strings the quotes have backslashes.
FIELD = f'"{CHECKSUM}":"'.encode()
# In the place of digits that are not known yet.
BLANK = "0" * 8

# The format's names of dtypes, with NumPy's.
DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
NAMES = {np.dtype(dtype).name: name for name, dtype in DTYPES.items()}


def key_of(name: str) -> str:
    """Return the name under which the metadata have the checksum of a tensor."""
    return f"{CHECKSUM}:{name}"


def pieces_of(data: memoryview) -> int:
    """Return the number of checksums that the data of a tensor has."""
    return -(-len(data) // PIECE_BYTES)


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata to a file, whole or not at all."""
    shown = file_path(path)
    # Wide types first, so that each tensor is aligned to its elements.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    data = {name: _bytes_of(tensors[name]) for name in order}
    sums = {CHECKSUM: BLANK, **{key_of(name): BLANK * pieces_of(data[name]) for name in order}}
    entries: dict[str, Any] = {}
    place = 0
    for name in order:
        end = place + len(data[name])
        dtype, shape = NAMES[tensors[name].dtype.name], list(tensors[name].shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, end]}
        place = end

    def header() -> bytes:
        table = {"__metadata__": {**sums, FORMAT: VERSION, **metadata}, **entries}
        text = json.dumps(table, separators=(",", ":"), allow_nan=False).encode()
        return text + b" " * (-len(text) % ALIGNMENT)

    length = len(header())
    if length > HEADER_LIMIT:
        raise ValueError(
            f"{printable(shown)}: a header of {length} bytes is larger than readers accept, "
            f"{HEADER_LIMIT}; keep less text and fewer numbers outside of arrays"
        )

    def fill(file: BinaryIO) -> None:
        # The header stands first, and has the checksums of what comes after it.
        file.seek(LENGTH_BYTES + length)
        with ChecksumWorkers(place) as workers:
            running = {name: Checksum(workers) for name in order}
            for name in order:
                running[name].update(data[name])
                file.write(data[name])
            sums.update({key_of(name): running[name].digits() for name in order})
        file.seek(0)
        file.write(struct.pack("<Q", length) + _sealed(header()))

    write_atomically(shown, fill)


def _bytes_of(array: Array) -> memoryview:
    """Return the elements, little endian; a view where they lie so."""
    whole = np.ascontiguousarray(array)
    little = whole.astype(whole.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def _sealed(header: bytes) -> bytes:
    """Return a header with its own checksum in it, of the header with zeros there."""
    before, field, after = header.partition(FIELD)
    rest = after[len(BLANK) :]
    return before + field + digits_of(before + field + BLANK.encode() + rest).encode() + rest


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the metadata of a file, without checksums, which are compared.

    Everything it declares is compared with its size before any of it is allocated.
    """
    shown = file_path(path)
    with errors_name(shown):
        check_ordinary(shown)
        with open(shown, "rb") as file:
            return _read(shown, file)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata of a file, of which the head alone is read and compared."""
    shown = file_path(path)
    with errors_name(shown):
        check_ordinary(shown)
        with open(shown, "rb") as file:
            return head_of(shown, file, DTYPES).metadata


class Head(NamedTuple):
    """What a file says of itself before its data."""

    # Without checksums.
    metadata: dict[str, str]
    # By `key_of` of the tensors' names; None in files of earlier versions and of other programs.
    checksums: dict[str, str] | None
    # In the order of their places, which are counted from where the data begins.
    entries: list[Entry]
    begin: int
    data_bytes: int


def head_of(shown: str, file: BinaryIO, dtypes: Mapping[str, str]) -> Head:
    """Return the head of a file, whose tensors may have these dtypes, compared with its size."""
    size = os.fstat(file.fileno()).st_size
    length = _header_length(shown, file.read(LENGTH_BYTES), size)
    text = file.read(length)
    header = _parse(shown, text)
    metadata = _metadata(shown, header)
    checksums = _checksums(shown, text, metadata)
    begin = LENGTH_BYTES + length
    entries = _entries(shown, header, size - begin, dtypes)
    return Head(metadata, checksums, entries, begin, size - begin)


def _read(shown: str, file: BinaryIO) -> tuple[dict[str, Array], dict[str, str]]:
    head = head_of(shown, file, DTYPES)
    if head.checksums is None:
        return {entry.name: entry.read(file) for entry in head.entries}, head.metadata
    with ChecksumWorkers(head.data_bytes) as workers:
        running = [Checksum(workers) for _ in head.entries]
        pairs = list(zip(head.entries, running, strict=True))
        tensors = {entry.name: entry.read(file, checksum) for entry, checksum in pairs}
        for entry, checksum in pairs:
            entry.compare(checksum.digits(), head.checksums)
    return tensors, head.metadata


def _header_length(shown: str, start: bytes, size: int) -> int:
    """Return the length that a file begins with, or raise an error for one that cannot be."""
    if len(start) < LENGTH_BYTES:
        raise FileFormatError(
            f"{shown}: {size} bytes are too few for a safetensors file{reader_of(shown)}"
        )
    for begin, kind in OTHERS.items():
        if start.startswith(begin):
            raise FileFormatError(f"{shown}: no safetensors file but {kind}")
    length = int.from_bytes(start, "little")
    if length > min(HEADER_LIMIT, size - LENGTH_BYTES):
        raise FileFormatError(
            f"{shown}: no safetensors file, or cut off: its header claims {length} bytes, the "
            f"file has {size}{reader_of(shown)}"
        )
    return length


def _parse(shown: str, text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{shown}: the header is damaged: {error}") from error
    if not isinstance(header, dict):
        raise FileFormatError(f"{shown}: the header is damaged: no table of tensors")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _metadata(shown: str, header: dict[str, Any]) -> dict[str, str]:
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FileFormatError(f"{shown}: the header is damaged: metadata are not strings")
    return metadata


def _checksums(shown: str, text: bytes, metadata: dict[str, str]) -> dict[str, str] | None:
    """Take the checksums out of the metadata, and compare the header's; None where it has none."""
    found = {key: metadata.pop(key) for key in [*metadata] if key.startswith(CHECKSUM)}
    version = metadata.pop(FORMAT, None)
    if version is None and not found:
        return None
    if version is not None and version != VERSION and version.isdecimal():
        raise FileFormatError(
            f"{shown}: version {version} of the format is newer than {VERSION}, which this release "
            "of evengrad reads, or the header is damaged; update evengrad"
        )
    if version is None or CHECKSUM not in found or _sealed(text) != text:
        raise FileFormatError(
            f"{shown}: the header is damaged: its checksum differs; another program that writes "
            f"the file anew must leave {CHECKSUM} and {FORMAT} out of the metadata"
        )
    return found


class Entry(NamedTuple):
    """What the header says of a tensor."""

    shown: str
    name: str
    # The format's name of the dtype.
    named: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int

    def compare(self, digits: str, checksums: Mapping[str, str]) -> None:
        """Raise an error where what was read has another checksum than the file says."""
        if digits != checksums.get(key_of(self.name)):
            raise FileFormatError(f"{self.shown} is damaged: its checksum differs")

    def read(self, file: BinaryIO, checksum: Checksum | None = None) -> Array:
        """Return the tensor, from where the file stands; the checksum takes its bytes."""
        data = np.empty(self.end - self.begin, np.uint8)
        for begin in range(0, len(data), PIECE_BYTES):
            piece = data[begin : begin + PIECE_BYTES].data
            if file.readinto(piece) != len(piece):  # type: ignore[attr-defined]  # of every file
                raise FileFormatError(f"{self.shown} was cut off while the file was read")
            if checksum is not None:
                checksum.update(piece)
        values = self.shaped(data)
        return values.astype(values.dtype.newbyteorder("="), copy=False)

    def shaped(self, data: Array) -> Array:
        """Return the tensor of these bytes, where they lie."""
        try:
            values: Array = data.view(self.dtype).reshape(self.shape)
        except ValueError as error:
            raise FileFormatError(f"{self.shown}: {error}") from error
        return values


def _entries(
    shown: str, header: dict[str, Any], data_bytes: int, dtypes: Mapping[str, str]
) -> list[Entry]:
    """Return the tensors in the order of their places, which must fill the file."""
    entries = [_entry(shown, name, item, dtypes) for name, item in header.items()]
    entries.sort(key=lambda entry: entry.begin)
    place = 0
    for entry in entries:
        if entry.begin != place:
            raise FileFormatError(f"{entry.shown} overlaps another or leaves a gap")
        place = entry.end
    if place != data_bytes:
        raise FileFormatError(
            f"{shown}: damaged or cut off: the tensors take {place} bytes, the file has "
            f"{data_bytes} for them"
        )
    return entries


def _entry(file: str, name: str, item: Any, dtypes: Mapping[str, str]) -> Entry:
    """Return what the header says of a tensor, or raise an error."""
    shown = f"{file}: tensor {name!r}"

    def sizes(key: str) -> list[int]:
        values = item.get(key)
        whole = isinstance(values, list) and all(
            type(value) is int and 0 <= value < 2**63 for value in values
        )
        if not whole:
            raise FileFormatError(f"{shown}: {key} is damaged")
        found: list[int] = values
        return found

    named = item.get("dtype") if isinstance(item, dict) else item
    if not isinstance(named, str) or named not in dtypes:
        raise FileFormatError(f"{shown}: unknown dtype {reprlib.repr(named)}")
    dtype = np.dtype(dtypes[named])
    shape, offsets = sizes("shape"), sizes("data_offsets")
    if len(shape) > DIMENSION_LIMIT:
        raise FileFormatError(f"{shown}: {len(shape)} dimensions, at most {DIMENSION_LIMIT}")
    if len(offsets) != 2:
        raise FileFormatError(f"{shown}: data_offsets is damaged")
    if offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise FileFormatError(f"{shown}: its shape {shape} and its place {offsets} do not fit")
    return Entry(shown, name, named, dtype, tuple(shape), offsets[0], offsets[1])
