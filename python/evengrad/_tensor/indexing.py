"""Elements by masks and by several lists of places, and assignment to elements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import FLOATS
from evengrad._core import Tensor
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.scans import check_places, positions

if TYPE_CHECKING:
    from evengrad._tensor.conversion import TensorLike

# What indexes without lists, and by the numbers of rows.
_basic = Tensor.__getitem__


def getitem(x: Tensor, key: Any) -> Tensor:
    """Return elements by any index of NumPy's."""
    try:
        return _basic(x, key)
    except IndexError:
        if not _is_advanced(key):
            raise
    if _core.is_capturing():
        return _by_captured_places(x, key)
    places = np.arange(x.size).reshape(x.shape)[_on_host(key)]
    return _core.take(x.reshape(-1), _core.tensor(places))


def _is_advanced(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, (Tensor, np.ndarray, list, bool, np.bool_)) for part in parts)


def _on_host(key: Any) -> Any:
    """Return an index with arrays in the place of tensors."""
    if isinstance(key, tuple):
        return tuple(map(_on_host, key))
    return key.numpy() if isinstance(key, Tensor) else key


def _by_captured_places(x: Tensor, key: Any) -> Tensor:
    """Return the elements at places that are computed within a captured step."""
    parts = [
        as_tensor(part) if isinstance(part, (Tensor, np.ndarray, list, int)) else None
        for part in (key if isinstance(key, tuple) else (key,))
    ]
    tensors = [part for part in parts if part is not None and part.dtype == "int64"]
    if len(tensors) < len(parts):
        raise _core.CaptureError(
            "index: within a captured step expected slices, or integers for each of the first "
            "dimensions: how many elements a mask takes depends on values; take "
            "evengrad.where(mask, x, 0.0)"
        )
    kept = x.shape[len(tensors) :]
    rows = x.reshape((math.prod(x.shape[: len(tensors)]), *kept))
    place: Tensor | float = 0.0
    for dim, one in enumerate(tensors):
        check_places("index", one, x.shape[dim])
        step = math.prod(x.shape[dim + 1 : len(tensors)])
        place = positions(one, x.shape[dim], float(step), rows.shape[0]) + place
    return _core.take(rows, as_tensor(place).astype("int64"))


def setitem(x: Tensor, key: Any, value: TensorLike) -> None:
    """Assign to elements, in place and off the tape."""
    given = as_tensor(value)
    if _core.is_recording() and (x.requires_grad or given.requires_grad):
        raise RuntimeError(
            "item assignment: what requires a gradient is not changed in place where operations "
            "are recorded; take x = evengrad.where(mask, value, x), or assign within "
            "evengrad.no_grad()"
        )
    if _is_mask(x, key) and x.dtype in FLOATS and not given.ndim:
        x.copy_(_core.where(key, given.astype(x.dtype), x))
    elif _is_advanced(key):
        _assign_on_host(x, key, given)
    else:
        place = _basic(x, key)
        values = given.expand(place.shape)
        try:
            place.copy_(values)
        except ValueError:
            # A view with gaps.
            _assign_on_host(x, key, given)


def _is_mask(x: Tensor, key: Any) -> bool:
    known = isinstance(key, (Tensor, np.ndarray)) and tuple(key.shape) == x.shape
    return known and str(key.dtype) == "bool"


def _assign_on_host(x: Tensor, key: Any, value: Tensor) -> None:
    if _core.is_capturing():
        raise _core.CaptureError(
            "item assignment: within a captured step expected rows, or a number where a mask of "
            "x's shape is true; take x.copy_(evengrad.where(mask, value, x))"
        )
    values = np.array(x.detach().numpy())
    values[_on_host(key)] = value.detach().numpy()
    x.copy_(values)
