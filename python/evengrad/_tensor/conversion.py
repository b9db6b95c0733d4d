"""What functions of tensors take: a tensor, or what converts to one."""

from __future__ import annotations

from typing import Any

from evengrad import _core
from evengrad._core import Tensor


def as_tensor(x: Any) -> Tensor:
    """Return a tensor as it is, and anything else converted to one."""
    return x if isinstance(x, Tensor) else _core.tensor(x)
