"""Numbers of bfloat16, which NumPy does not know: the upper halves of float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from evengrad._common.arrays import Array


def widened(bits: Array) -> Array:
    """Return float32 numbers of whose bits the upper halves are given; they are exact."""
    numbers: Array = (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers
