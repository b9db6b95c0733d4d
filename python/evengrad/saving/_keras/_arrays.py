"""The numbers in Keras' files: bfloat16 made wider, quantised ones refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.saving._bfloat16 import widened
from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.saving._hdf5._reading import ArrayInFile

# Two bytes that nobody explains are of this type; newer files say so in an attribute.
BFLOAT16 = "bfloat16"


def dtype_of(shown: str, array: ArrayInFile) -> np.dtype[Any]:
    """Return the dtype of what `values_of` returns; an error for quantised weights."""
    kind = array.dataset.dtype
    if kind.kind == "V" or kind.itemsize == 1:
        said = array.attributes.get("dtype", BFLOAT16 if kind.itemsize == 2 else str(kind))
        if kind.kind == "V" and kind.itemsize == 2 and said == BFLOAT16:
            return np.dtype(np.float32)
        raise FileFormatError(
            f"{shown}: {array.dataset.place}: it holds {said if kind.kind == 'V' else kind}, "
            "expected floating-point numbers; quantised weights are not read: save the model in "
            "Keras before it is quantised"
        )
    native: np.dtype[Any] = kind.newbyteorder("=")
    return native


def values_of(shown: str, array: ArrayInFile) -> Array:
    """Return the numbers of an array; a view of the file where it may be one."""
    dtype_of(shown, array)
    values = array.dataset.read()
    if values.dtype.kind == "V":
        return widened(values.view("<u2"))
    return values
