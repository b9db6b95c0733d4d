"""Rows in fixed memory, for captured steps to take their batches from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad._training._arrays import Array

# Data up to this size is converted once and kept; larger data is read piece by piece, because a
# copy of it may not fit.
RESIDENT_BYTES = 256 * 2**20
# A piece: large enough that Python's part is small beside the steps over it.
PIECE_BYTES = 16 * 2**20


class Source:
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
        self.buffers: list[Array] = []
        self.tensors: list[Tensor]
        sizes = [np.dtype(dtype).itemsize for dtype in dtypes]
        row_bytes = sum(
            int(np.prod(array.shape[1:], dtype=np.int64)) * size
            for array, size in zip(arrays, sizes, strict=True)
        )
        mapped = any(is_mapped(array) for array in arrays)
        if self.rows * row_bytes <= RESIDENT_BYTES and not mapped:
            self.window = self.rows
            self.tensors = [
                _core.tensor(np.ascontiguousarray(array, dtype=dtype))
                for array, dtype in zip(arrays, dtypes, strict=True)
            ]
            return
        batches = max(1, PIECE_BYTES // max(1, row_bytes * batch_size))
        self.window = min(self.rows, batches * batch_size)
        shapes = [(self.window, *array.shape[1:]) for array in arrays]
        self.buffers = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
        self.tensors = [
            _core.zeros(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)
        ]

    def load(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Bring rows into the tensors and return where they are; at most `window` of them."""
        if not self.buffers:
            return rows
        for array, buffer, tensor in zip(self.arrays, self.buffers, self.tensors, strict=True):
            buffer[: len(rows)] = array[rows]
            tensor.copy_(buffer)
        return np.arange(len(rows), dtype=np.int64)


def is_mapped(array: Any) -> bool:
    """Tell whether an array's memory is a file's."""
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False
