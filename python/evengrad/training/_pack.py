"""State as JSON and arrays, for files without code in them: nested dicts, and random streams."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._core import Generator
from evengrad.saving._safetensors import NAMES

if TYPE_CHECKING:
    from evengrad.layers._module import ModuleTree

Array = np.ndarray[Any, Any]
ARRAY, TUPLE, FLOAT = "$array", "$tuple", "$float"


def pack(value: Any, name: str, arrays: dict[str, Array]) -> Any:
    """Return a value as JSON; arrays in it are put into `arrays`, under names below `name`.

    Values are dicts with string keys, lists, tuples, arrays, numbers, text, bool and None.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else {FLOAT: repr(number)}
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return pack(value.item(), name, arrays)
    if isinstance(value, np.ndarray):
        if value.dtype.name not in NAMES:
            raise TypeError(f"{name}: expected an array of numbers, got dtype {value.dtype}")
        # Keys of dicts may have any text in them: a number tells two arrays apart.
        key = f"{name}#{len(arrays)}"
        arrays[key] = np.array(value, dtype=value.dtype.newbyteorder("="))
        return {ARRAY: key}
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
        # One that may be written to.
        return np.array(arrays[value[ARRAY]])
    if TUPLE in value:
        return tuple(unpack(item, arrays) for item in value[TUPLE])
    if FLOAT in value:
        return float(value[FLOAT])
    return {key: unpack(item, arrays) for key, item in value.items()}


def pack_streams(tree: ModuleTree) -> dict[str, list[int]]:
    """Return where the random streams of layers are, by their paths."""
    return {path: [stream.seed, stream.stream, stream.draws] for path, stream in tree.generators}


def unpack_streams(tree: ModuleTree, described: dict[str, Any]) -> None:
    """Give layers the random streams that `pack_streams` has described."""
    for (prefix, _), state in zip(tree.layers, tree.states, strict=True):
        for name in state.generators:
            seed, number, draws = described[prefix + name]
            state.generators[name] = Generator(seed, number)
            state.generators[name].draws = draws
        state.changed()
