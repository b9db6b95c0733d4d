"""Values of a file into variables, a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.models._weights._forms import same
from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evengrad._common.arrays import Array
    from evengrad._core import Tensor
    from evengrad.models._weights._pairing import Made

# What is converted at once: a large variable takes no memory beside its own and the file's.
PIECE_BYTES = 4 * 2**20


def check_range(shown: str, path: str, tensor: Tensor, arrays: Sequence[Array]) -> None:
    """Raise an error for finite numbers that the variable's dtype does not hold."""
    dtype = np.dtype(tensor.dtype)
    most = np.finfo(dtype).max
    for array in arrays:
        if array.dtype.itemsize <= dtype.itemsize:
            continue
        for piece in _pieces(array):
            sizes = np.abs(piece)
            if bool(((sizes > most) & np.isfinite(sizes)).any()):
                raise FileFormatError(
                    f"{shown}: {path}: expected numbers of at most {most:.4g} in size, as {dtype} "
                    'holds them; make the model with dtype="float64"'
                )


def fill(tensor: Tensor, made: Made, arrays: list[Array]) -> None:
    """Put what was read for a variable into it."""
    decode: Callable[[Array], Array] = same
    decoders = [one.decode or same for one in made.arrays]
    if len(arrays) == 1:
        # What makes a variable of one array moves elements alone.
        decode = decoders[0]
    else:
        arrays = [one(array) for one, array in zip(decoders, arrays, strict=True)]
    values = made.part.read(*arrays)
    if values.nbytes <= PIECE_BYTES or values.ndim == 0:
        tensor.copy_(_plain(decode(values), tensor.dtype))
        return
    rows = rows_at_once(values)
    into = tensor.detach()
    for begin in range(0, len(values), rows):
        into[begin : begin + rows].copy_(_plain(decode(values[begin : begin + rows]), tensor.dtype))


def rows_at_once(values: Array) -> int:
    """Return how many rows make a piece."""
    return max(1, PIECE_BYTES * len(values) // max(1, values.nbytes))


def _plain(values: Array, dtype: str) -> Any:
    return np.asarray(values, dtype=dtype, order="C")


def _pieces(array: Array) -> list[Array]:
    if array.ndim == 0 or array.nbytes <= PIECE_BYTES:
        return [array]
    rows = rows_at_once(array)
    return [array[begin : begin + rows] for begin in range(0, len(array), rows)]
