"""Users' data as NumPy arrays: data frames, tensors and lists converted, with clear errors."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from evengrad import _core
from evengrad._common.tables import NUMBER_CLASSES, column_array, is_series, is_table, table_array

Array: TypeAlias = np.ndarray[Any, Any]
# A shape with None for the number of rows, and for sizes that are left open.
Shape: TypeAlias = tuple[int | None, ...]
# What NumPy reads whole, or to an end.
READABLE = ("__iter__", "__array__", "__array_interface__", "__array_struct__", "__buffer__")
# How much a batch has: inputs and targets, and it may have weights.
PAIR_OR_TRIPLE = (2, 3)
# What to do about arrays that hold no numbers, by the kind of their dtype.
HINTS = {
    **dict.fromkeys("UST", NUMBER_CLASSES),
    **dict.fromkeys("mM", "subtract a start and divide by a unit, such as a day"),
    "c": "pass real and imaginary parts as features",
    "V": "make its fields columns with numpy.lib.recfunctions.structured_to_unstructured",
}


def as_array(value: Any, what: str) -> Array:
    """Return data as a NumPy array of numbers; nothing is copied that need not be."""
    array = convert(value, what)
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ValueError(f"{what}: expected no masked values; fill them with .filled(value)")
    # A matrix would stay one row by row; a memory map is one by its base.
    array = np.asarray(array)
    kind = array.dtype.kind
    if kind not in "fiub":
        if kind == "O" and array.size and isinstance(array.flat[0], str):
            kind = "U"
        hint = HINTS.get(kind, "convert it with .astype(float)")
        raise TypeError(f"{what}: expected numbers, got dtype {array.dtype}; {hint}")
    if array.ndim == 0:
        raise ValueError(f"{what}: expected an array with rows, got a single number")
    return array


def convert(value: Any, what: str) -> Array:
    """Return data as a NumPy array, by the way that its library offers."""
    if is_table(value):
        return table_array(value, what)
    if is_series(value):
        return column_array(value, what)
    if is_sparse(value):
        value = value.toarray()
    elif hasattr(value, "detach") and hasattr(value, "numpy"):
        value = value.detach().numpy()
    elif hasattr(value, "__getitem__") and not any(hasattr(value, name) for name in READABLE):
        # NumPy would ask for one item after the other until it gets an IndexError, if ever.
        kind = type(value).__name__
        raise TypeError(
            f"{what}: expected an array or an iterable of batches, got {kind}, which has items but "
            "no __iter__; give it one, such as: return (self[i] for i in range(len(self)))"
        )
    try:
        array: Array = np.asanyarray(value)
    except ValueError as error:
        raise ValueError(f"{what}: rows of different lengths; {error}") from error
    return array


def as_numbers(value: Any, what: str, dtype: str) -> Array:
    """Return values as a new array of a dtype, of any shape; only what is numbers converts."""
    try:
        with np.errstate(over="ignore"):
            array: Array = _core.tensor(value, dtype=dtype).numpy()
    except (TypeError, ValueError) as error:
        message = str(error).removeprefix("tensor: ")
        raise type(error)(f"{what}: {message}") from error
    infinite = np.isinf(array)
    if infinite.any() and not np.isinf(np.asarray(value)[infinite]).all():
        raise ValueError(
            f"{what}: expected numbers of at most {np.finfo(dtype).max:.4g} in size, as {dtype} "
            'holds them; scale them, or make the model with dtype="float64"'
        )
    return array


def is_sparse(value: Any) -> bool:
    """Tell whether data is a sparse matrix of SciPy's, in any of its formats."""
    return hasattr(value, "tocsr") and hasattr(value, "toarray")


def is_list_of_batches(value: Any) -> bool:
    """Tell whether a list is one of batches, ``(x, y)`` or ``(x, y, sample_weight)``.

    The inputs of a model may look alike, but come with targets. A batch of None among them is for
    whoever goes through them to refuse.
    """
    found = [one for one in value if one is not None] if isinstance(value, list) else []
    return (
        len(found) > 0
        and all(type(item) is tuple and len(item) in PAIR_OR_TRIPLE for item in found)
        and all(len(getattr(item[0], "shape", ())) > 0 for item in found)
    )


def is_batches(value: Any) -> bool:
    """Tell whether data comes as an iterable of batches."""
    if isinstance(value, (list, tuple, dict, str, bytes)) or hasattr(value, "__array__"):
        return False
    if is_sparse(value):
        return False
    return hasattr(value, "__iter__") or hasattr(value, "__next__")
