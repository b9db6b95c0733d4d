"""Files of the outputs of frozen layers: written whole or not at all, mapped into memory.

The layout is that of safetensors, so that other programs read them too. The metadata tell what the
outputs were made of, and a checksum of each array.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from evengrad.saving._atomic import write_atomically
from evengrad.saving._safetensors import DTYPES, LENGTH_BYTES, NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evengrad.training._data import Array

KIND = "outputs of frozen layers"
# The first array begins at a multiple of this, as the widest vectors do.
ALIGNMENT = 64
# More than any header has.
HEADER_LIMIT = 2**20
BLANK = "0" * 8
PIECE_BYTES = 2**24


class Column(NamedTuple):
    """Shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def placed(columns: list[Column]) -> tuple[list[int], int]:
    """Return where arrays begin behind the header, without gaps, and how long they are in all."""
    starts, end = [], 0
    for column in columns:
        starts.append(end)
        end += column.nbytes
    return starts, end


def header_of(columns: list[Column], made_of: str, checksums: list[str]) -> bytes:
    """Return the header, of a length that the checksums do not change."""
    starts, _ = placed(columns)
    tensors: dict[str, Any] = {
        str(number): {
            "dtype": NAMES[np.dtype(column.dtype).name],
            "shape": list(column.shape),
            "data_offsets": [start, start + column.nbytes],
        }
        for number, (column, start) in enumerate(zip(columns, starts, strict=True))
    }
    metadata = {"kind": KIND, "made_of": made_of, "checksums": " ".join(checksums)}
    text = json.dumps({"__metadata__": metadata, **tensors}).encode()
    padding = -(LENGTH_BYTES + len(text)) % ALIGNMENT
    return struct.pack("<Q", len(text) + padding) + text + b" " * padding


def write(
    path: str, columns: list[Column], made_of: str, blocks: Iterator[tuple[int, list[Array]]]
) -> None:
    """Write arrays block by block of their rows: each with its first row, for all arrays."""
    starts, _ = placed(columns)

    def fill(file: BinaryIO) -> None:
        checksums = [0] * len(columns)
        begin = len(header_of(columns, made_of, [BLANK] * len(columns)))
        for row, arrays in blocks:
            for number, array in enumerate(arrays):
                data = np.ascontiguousarray(array)
                row_bytes = columns[number].nbytes // columns[number].shape[0]
                file.seek(begin + starts[number] + row * row_bytes)
                file.write(data.reshape(-1).view(np.uint8).data)
                checksums[number] = zlib.crc32(data.data, checksums[number])
        file.seek(0)
        file.write(header_of(columns, made_of, [f"{one:08x}" for one in checksums]))

    write_atomically(path, fill)


def read(path: str, made_of: str) -> list[Array] | None:
    """Return the arrays of a file, mapped; None where it is not there, or of something else.

    Raises
    ------
    ValueError
        The file is no such file: it is not to be written over.
    """
    if not os.path.exists(path):
        return None
    found = _header(path)
    if found is None:
        raise ValueError(
            f"cache_frozen: {path!r} is there and holds no outputs of frozen layers; pass another "
            "folder, or remove the file"
        )
    begin, described = found
    metadata = described.pop("__metadata__")
    if metadata.get("made_of") != made_of:
        return None
    try:
        return _mapped(path, begin, described, metadata["checksums"].split())
    except (KeyError, TypeError, ValueError):
        # Damaged: it is made anew.
        return None


def _header(path: str) -> tuple[int, dict[str, Any]] | None:
    """Return the header and where it ends; None where it is that of another file."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        text = file.read(length) if length <= HEADER_LIMIT else b""
    try:
        described = json.loads(text)
        known = described["__metadata__"]["kind"] == KIND
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (LENGTH_BYTES + length, described) if known else None


def _mapped(path: str, begin: int, described: dict[str, Any], checksums: list[str]) -> list[Array]:
    columns = [
        Column(tuple(described[name]["shape"]), DTYPES[described[name]["dtype"]])
        for name in map(str, range(len(described)))
    ]
    starts, end = placed(columns)
    if os.path.getsize(path) != begin + end or len(checksums) != len(columns):
        raise ValueError("the file has another length")
    arrays: list[Array] = []
    for column, start, expected in zip(columns, starts, checksums, strict=True):
        where: dict[str, Any] = {"offset": begin + start, "shape": column.shape}
        array: Array = np.memmap(path, column.dtype, "r", **where)
        if checksum_of(array) != expected:
            raise ValueError("its bytes are others than were written")
        arrays.append(array)
    return arrays


def checksum_of(array: Array) -> str:
    """Return the checksum of an array's bytes."""
    data, checksum = array.reshape(-1).view(np.uint8), 0
    for start in range(0, len(data), PIECE_BYTES):
        checksum = zlib.crc32(data[start : start + PIECE_BYTES].data, checksum)
    return f"{checksum:08x}"


def digest_of(arrays: list[Any], update: Callable[[Any], object]) -> None:
    """Have a digest take in all rows of arrays, or of readers of rows, piece by piece."""
    for array in arrays:
        update(f"{tuple(array.shape)} {array.dtype}".encode())
        row_bytes = max(1, math.prod(array.shape[1:]) * array.dtype.itemsize)
        count = max(1, PIECE_BYTES // row_bytes)
        for start in range(0, len(array), count):
            piece = np.ascontiguousarray(array[start : start + count])
            update(piece.reshape(-1).view(np.uint8).data)
