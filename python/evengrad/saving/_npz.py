"""NumPy's archives of arrays, ``.npz``, without anything that runs code."""

from __future__ import annotations

import dataclasses
import functools
import io
import math
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from evengrad.saving import _zip
from evengrad.saving._atomic import write_atomically
from evengrad.saving._bfloat16 import widened
from evengrad.saving._errors import FileFormatError
from evengrad.saving._weight_file import FileArray, WeightFile, grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad._common.arrays import Array

SUFFIX = ".npy"
# Bytes of a member's beginning in which the header is looked for.
BEGINNING = 2**16
# A header of an array is text that NumPy parses.
MOST_HEADER = 10_000
# What NumPy writes for numbers of bfloat16 in the arrays of others: two bytes that say nothing.
BFLOAT16 = np.dtype("V2")
READS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def is_npz(first: bytes, suffix: str, file: BinaryIO) -> bool:
    """Tell whether a file is an archive of arrays alone, or should be."""
    if not first.startswith(_zip.MAGIC):
        return suffix == ".npz"
    if suffix == ".npz":
        return True
    names = _zip.names_in(file)
    return bool(names) and all(name.endswith(SUFFIX) for name in names)


def open_weights(shown: str, file: BinaryIO) -> WeightFile:
    """Return the arrays of an archive."""
    archive, found = _zip.Archive(shown, file), []
    for name, member in archive.members.items():
        if not name.endswith(SUFFIX):
            raise FileFormatError(f"{shown}: {name!r} is no array of NumPy's")
        found.append(_array(archive, member))
    return dataclasses.replace(
        grouped(shown, found, ordered=True), confirm=archive.confirm, close=archive.close
    )


def write(path: str, arrays: Mapping[str, Array]) -> None:
    """Write arrays to an archive that `numpy.load` reads, whole or not at all."""
    for name in arrays:
        if name.endswith(SUFFIX):
            raise ValueError(
                f"{name!r}: NumPy takes the end {SUFFIX!r} off names; rename the layer or variable"
            )

    def fill(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                # With the same date each time: equal models give equal bytes.
                entry = zipfile.ZipInfo(name + SUFFIX)
                with archive.open(entry, "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array, order="C"), version=(1, 0))

    write_atomically(path, fill)


def _array(archive: _zip.Archive, member: _zip.Member) -> FileArray:
    start = io.BytesIO(archive.beginning(member, BEGINNING))
    try:
        version = np.lib.format.read_magic(start)
        reads = READS[version]
        shape, fortran, dtype = reads(start, max_header_size=MOST_HEADER)
    except KeyError as error:
        raise member.damaged(f"version {error} of the format is unknown") from error
    except Exception as error:
        # NumPy's parser takes text apart, and raises whatever comes up.
        raise member.damaged(str(error)) from error
    name = member.name.removesuffix(SUFFIX)
    if dtype.hasobject:
        raise FileFormatError(
            f"{member.shown}: {name!r} holds Python objects, which are not read; save numbers"
        )
    if any(size < 0 for size in shape):
        raise member.damaged(f"its shape is {shape}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != member.size - start.tell():
        raise member.damaged(
            f"its shape {shape} of {dtype} takes {claimed} bytes, there are "
            f"{member.size - start.tell()}"
        )
    narrow = dtype == BFLOAT16
    kept = np.dtype("<u2") if narrow else dtype
    read = functools.partial(_read, archive, member, start.tell(), kept, shape, fortran)
    if narrow:
        return FileArray(name, shape, np.dtype(np.float32), read, widened)
    return FileArray(name, shape, dtype, read)


def _read(
    archive: _zip.Archive,
    member: _zip.Member,
    skip: int,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    fortran: bool,
) -> Array:
    values: Array = archive.content(member, skip).view(dtype)
    return values.reshape(shape, order="F" if fortran else "C")
