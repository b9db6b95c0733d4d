"""Nested state dictionaries as JSON and arrays, for files without code in them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ARRAY, TUPLE, FLOAT = "$array", "$tuple", "$float"


def pack(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """Return a value as JSON; arrays in it are put into `arrays`, under names below `name`.

    Raises
    ------
    TypeError
        Something else than dicts with string keys, lists, tuples, arrays, numbers, text, bool and
        None.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {FLOAT: repr(value)}
    if isinstance(value, np.generic):
        return pack(value.item(), name, arrays)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiub":
            raise TypeError(f"{name}: expected an array of numbers, got dtype {value.dtype}")
        arrays[name] = np.array(value)
        return {ARRAY: name}
    if isinstance(value, (list, tuple)):
        items = [pack(item, f"{name}/{i}", arrays) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {TUPLE: items}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key.startswith("$"):
                raise TypeError(f"{name}: expected text without a leading $ for keys, got {key!r}")
        return {key: pack(item, f"{name}/{key}", arrays) for key, item in value.items()}
    raise TypeError(
        f"{name}: a state of type {type(value).__name__} cannot be kept in a file; use numbers, "
        "text, lists, dicts and NumPy arrays"
    )


def unpack(value: Any, arrays: dict[str, Array]) -> Any:
    """Return what `pack` was given."""
    if isinstance(value, list):
        return [unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if ARRAY in value:
        return arrays[value[ARRAY]]
    if TUPLE in value:
        return tuple(unpack(item, arrays) for item in value[TUPLE])
    if FLOAT in value:
        return float(value[FLOAT])
    return {key: unpack(item, arrays) for key, item in value.items()}
