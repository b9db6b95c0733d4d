"""What functions of tensors take: a tensor, or what converts to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import FLOATS
from evengrad._core import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    import numpy.typing as npt

    # What may stand where a tensor is meant.
    TensorLike: TypeAlias = Tensor | npt.ArrayLike | Sequence[Tensor]
    DType: TypeAlias = str | npt.DTypeLike
    # Dimensions: one, several, or all.
    Dims: TypeAlias = int | Sequence[int] | None


def as_tensor(x: Any) -> Tensor:
    """Return a tensor as it is, and anything else converted to one.

    Tensors in a list are joined along a new dimension, so that gradients reach them.
    """
    if isinstance(x, Tensor):
        return x
    if isinstance(x, (list, tuple)):
        first = next((item for item in x if isinstance(item, Tensor)), None)
        if first is not None:
            return _core.stack([as_tensor(item).astype(first.dtype) for item in x])
    return _core.tensor(x)


def as_float(x: Any) -> Tensor:
    """Return a tensor of floating-point numbers; others are taken in the default dtype."""
    found = as_tensor(x)
    return found if found.dtype in FLOATS else found.astype(_core.get_default_dtype())
