"""Small arrays within descriptions: dtype, shape, and the bytes as text."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.paths import path_of
from evengrad._core import Tensor
from evengrad.saving._safetensors import DTYPES, NAMES

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

# Larger ones are data, which descriptions are read without.
MOST_BYTES = 2**16
# NumPy's.
MOST_DIMENSIONS = 64
KINDS = {"array", "tensor"}


def is_constant(value: Any) -> bool:
    """Tell whether a value is an array, or a tensor that is neither variable nor result."""
    if isinstance(value, Tensor):
        return value.is_leaf and not value.requires_grad and path_of(value) is None
    return isinstance(value, np.ndarray)


def described(value: Array | Tensor, what: str) -> dict[str, Any]:
    """Return a small array or tensor as JSON, or raise a ValueError that says what may be."""
    array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
    if array.dtype.name not in NAMES:
        raise ValueError(f"{what}: cannot describe an array of dtype {array.dtype} in a file")
    if array.nbytes > MOST_BYTES:
        raise ValueError(
            f"{what}: cannot describe an array of {array.nbytes} bytes in a file, where "
            f"{MOST_BYTES} is the most; keep it as a variable, made in a layer's build with "
            "self.add_weight(name, shape, initializer, trainable=False)"
        )
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    parts = {
        "dtype": NAMES[array.dtype.name],
        "shape": list(array.shape),
        "bytes": base64.b64encode(little.tobytes()).decode("ascii"),
    }
    return {"tensor" if isinstance(value, Tensor) else "array": parts}


def read(kind: str, parts: Any) -> Array | Tensor:
    """Return what was described, or raise a ValueError for what cannot have been."""
    dtype = np.dtype(DTYPES[parts["dtype"]])
    shape, data = parts["shape"], base64.b64decode(parts["bytes"], validate=True)
    whole = all(type(size) is int and 0 <= size <= MOST_BYTES for size in shape)
    if not whole or len(shape) > MOST_DIMENSIONS or len(data) > MOST_BYTES:
        raise ValueError(f"an array of shape {shape}")
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for shape {shape} of {dtype}")
    array = np.frombuffer(data, dtype).astype(dtype.newbyteorder("=")).reshape(shape)
    return _core.tensor(array) if kind == "tensor" else array
