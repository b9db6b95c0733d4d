"""Training data in memory that captured steps read: resident as a whole, or a sliding window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.training._data import Array

# Data up to this size is converted once and kept; larger data is read piece by piece, because a
# copy of it may not fit.
RESIDENT_BYTES = 256 * 2**20
# A piece: large enough that Python's part is small beside the steps over it.
PIECE_BYTES = 16 * 2**20


class ResidentData:
    """Inputs, targets and weights as tensors: all rows, or a window that is filled piece by piece.

    Parameters
    ----------
    arrays
        The data, of one number of rows.
    dtypes
        What each is converted to.
    batch_size
        A window holds at least one batch.
    """

    def __init__(self, arrays: list[Array], dtypes: list[str], batch_size: int) -> None:
        self.arrays = arrays
        self.rows = int(arrays[0].shape[0])
        # Empty where all rows are resident.
        self.buffers: list[Array] = []
        self.tensors: list[Tensor]
        row_bytes, mapped = 0, False
        for array, dtype in zip(arrays, dtypes, strict=True):
            row_bytes += math.prod(array.shape[1:]) * np.dtype(dtype).itemsize
            # Memory that an array owns is no file's.
            mapped = mapped or (array.base is not None and is_mapped(array))
        batches = max(1, PIECE_BYTES // max(1, row_bytes * batch_size))
        resident = self.rows * row_bytes <= RESIDENT_BYTES and not mapped
        self.window = self.rows if resident else min(self.rows, batches * batch_size)
        if self.window == self.rows:
            # Copies in the memory of tensors, whatever becomes of the arrays.
            contiguous = map(np.ascontiguousarray, arrays, dtypes)
            self.tensors = list(map(_core.tensor, contiguous))
            return
        shapes = [(self.window, *array.shape[1:]) for array in arrays]
        self.buffers = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        self.tensors = [
            _core.zeros(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)
        ]

    def load(self, rows: np.ndarray[Any, Any]) -> None:
        """Bring rows, at most `window` of them, into the tensors, from their beginning on."""
        for array, buffer, tensor in zip(self.arrays, self.buffers, self.tensors, strict=True):
            buffer[: len(rows)] = array[rows]
            tensor.copy_(buffer)


def is_mapped(array: Any) -> bool:
    """Tell whether an array's memory is a file's."""
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False
