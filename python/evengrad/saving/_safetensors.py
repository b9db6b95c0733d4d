"""The safetensors format: a length, a JSON header, the tensors' bytes.

Eight bytes, little endian: the length of the header. The header: for each tensor its dtype, shape
and place in what follows, and ``__metadata__``, strings by name. Then the data, without gaps.
See https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.saving._atomic import write_atomically
from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evengrad._common.arrays import Array


# What other readers of the format accept at most.
HEADER_LIMIT = 100_000_000
# Data begins at a multiple of this, so that tensors can be used where they lie.
ALIGNMENT = 8
LENGTH_BYTES = 8

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


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]
) -> None:
    """Write tensors and metadata to a file, whole or not at all."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    place = 0
    # Wide types first, so that each tensor is aligned to its elements.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in order:
        array = tensors[name]
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > HEADER_LIMIT:
        raise ValueError(
            f"{os.fspath(path)}: a header of {len(text)} bytes is larger than readers accept, "
            f"{HEADER_LIMIT}; keep less text and fewer numbers outside of arrays"
        )

    def pieces() -> Iterator[bytes | memoryview]:
        yield struct.pack("<Q", len(text))
        yield text
        for name in order:
            array = np.ascontiguousarray(tensors[name])
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            yield little.reshape(-1).view(np.uint8).data

    write_atomically(path, pieces())


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the metadata of a file.

    Everything it declares is compared with its size before any of it is allocated.
    """
    shown = os.fspath(path)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(LENGTH_BYTES)
        if len(start) < LENGTH_BYTES:
            raise FileFormatError(f"{shown}: {size} bytes are too few for a safetensors file")
        (length,) = struct.unpack("<Q", start)
        if length > min(HEADER_LIMIT, size - LENGTH_BYTES):
            raise FileFormatError(
                f"{shown}: no safetensors file, or cut off: its header claims {length} bytes, the "
                f"file has {size}"
            )
        header = _parse(shown, file.read(length))
        metadata = _metadata(shown, header)
        data_bytes = size - LENGTH_BYTES - length
        entries = [_entry(shown, name, item) for name, item in header.items()]
        entries.sort(key=lambda entry: entry[3])
        place = 0
        for name, _, _, begin, end in entries:
            if begin != place:
                raise FileFormatError(f"{shown}: tensor {name!r} overlaps another or leaves a gap")
            place = end
        if place != data_bytes:
            raise FileFormatError(
                f"{shown}: damaged or cut off: the tensors take {place} bytes, the file has "
                f"{data_bytes} for them"
            )
        tensors = {}
        for name, dtype, shape, begin, end in entries:
            data = file.read(end - begin)
            if len(data) != end - begin:
                raise FileFormatError(f"{shown}: cut off while it was read")
            values = np.frombuffer(data, dtype).reshape(shape)
            tensors[name] = values.astype(values.dtype.newbyteorder("="), copy=False)
    return tensors, metadata


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


def _entry(
    shown: str, name: str, item: Any
) -> tuple[str, np.dtype[Any], tuple[int, ...], int, int]:
    """Return name, dtype, shape and place of a tensor, or raise an error."""

    def sizes(key: str) -> list[int]:
        values = item.get(key)
        whole = isinstance(values, list) and all(
            type(value) is int and 0 <= value < 2**63 for value in values
        )
        if not whole:
            raise FileFormatError(f"{shown}: tensor {name!r}: {key} is damaged")
        found: list[int] = values
        return found

    if not isinstance(item, dict) or item.get("dtype") not in DTYPES:
        found = item.get("dtype") if isinstance(item, dict) else item
        raise FileFormatError(f"{shown}: tensor {name!r}: unknown dtype {found!r}")
    dtype = np.dtype(DTYPES[item["dtype"]])
    shape, offsets = sizes("shape"), sizes("data_offsets")
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise FileFormatError(
            f"{shown}: tensor {name!r}: its shape {shape} and its place {offsets} do not fit"
        )
    return name, dtype, tuple(shape), offsets[0], offsets[1]
