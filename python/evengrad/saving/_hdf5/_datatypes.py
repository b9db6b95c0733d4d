"""Types of elements and shapes in HDF5 files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from evengrad.saving._hdf5._source import Cursor

INTEGER, FLOAT, STRING, OPAQUE, ENUMERATION, VARIABLE = 0, 1, 3, 5, 8, 9
# Bits of exponent and mantissa, by size: what NumPy calls floats.
IEEE = {2: (5, 10), 4: (8, 23), 8: (11, 52)}
# What NumPy 2 takes.
DIMENSION_LIMIT = 64
# No machine addresses more elements than this.
ELEMENT_LIMIT = 2**62


@dataclass(frozen=True)
class Kind:
    """A type of elements.

    Attributes
    ----------
    dtype
        NumPy's, of opaque elements ``V`` and their size; None of texts of any length.
    text
        Whether the elements are texts.
    """

    dtype: np.dtype[Any] | None
    text: bool = False


def kind_of(cursor: Cursor) -> Kind:
    """Return the type that a message describes."""
    first = cursor.number(1)
    number, version = first & 15, first >> 4
    if version not in (1, 2, 3):
        cursor.damaged(f"version {version} of its type is not known")
    bits, size = cursor.number(3), cursor.number(4)
    if size == 0:
        cursor.damaged("its elements have no bytes")
    order = ">" if bits & 1 else "<"
    if number == FLOAT:
        return Kind(_float(cursor, order, bits, size))
    if number == ENUMERATION:
        # Their numbers, of the type that follows.
        return kind_of(cursor)
    if number == VARIABLE and bits & 15 == 1:
        return Kind(None, text=True)
    letters = {STRING: "S", OPAQUE: "V", INTEGER: f"{order}{'i' if bits & 8 else 'u'}"}
    if number not in letters or (number == INTEGER and size not in (1, 2, 4, 8)):
        cursor.damaged(f"elements of class {number} with {size} bytes are not read")
    return Kind(np.dtype(f"{letters[number]}{size}"), text=number == STRING)


def _float(cursor: Cursor, order: str, bits: int, size: int) -> np.dtype[Any]:
    cursor.take(5)
    exponent, _, mantissa = (cursor.number(1) for _ in range(3))
    if size not in IEEE or bits & 0x40 or (exponent, mantissa) != IEEE[size]:
        cursor.damaged(
            f"floats of {size} bytes with {exponent} bits of exponent and {mantissa} of mantissa "
            "are not read"
        )
    return np.dtype(f"{order}f{size}")


def shape_of(cursor: Cursor) -> tuple[int, ...]:
    """Return the shape that a message describes."""
    version = cursor.version(1, 2)
    dimensions, _ = cursor.number(1), cursor.number(1)
    if version == 1:
        cursor.take(5)
    elif cursor.number(1) == 2:
        cursor.damaged("it holds nothing")
    if dimensions > DIMENSION_LIMIT:
        cursor.damaged(f"{dimensions} dimensions are more than {DIMENSION_LIMIT}")
    shape = tuple(cursor.length() for _ in range(dimensions))
    if math.prod(size for size in shape if size) > ELEMENT_LIMIT:
        cursor.damaged(f"shape {shape} has more elements than memory can hold")
    return shape
