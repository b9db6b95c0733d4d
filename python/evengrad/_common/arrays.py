"""Users' data as NumPy arrays: data frames, tensors and lists converted, with clear errors."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from evengrad import _core

Array: TypeAlias = np.ndarray[Any, Any]
# A shape with None for the number of rows, and for sizes that are left open.
Shape: TypeAlias = tuple[int | None, ...]


def as_array(value: Any, what: str) -> Array:
    """Return data as a NumPy array of numbers; nothing is copied that need not be."""
    if hasattr(value, "columns") and hasattr(value, "dtypes"):
        check_columns(value, what)
    if hasattr(value, "toarray") and not hasattr(value, "__array__"):
        raise TypeError(
            f"{what}: expected a dense array, got {type(value).__name__}; convert it with "
            ".toarray()"
        )
    if hasattr(value, "detach") and hasattr(value, "numpy"):
        value = value.detach().numpy()
    array: Array
    try:
        array = np.asanyarray(value)
    except ValueError as error:
        raise ValueError(f"{what}: rows of different lengths; {error}") from error
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            raise ValueError(f"{what}: expected no masked values; fill them with .filled(value)")
        array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        hint = {
            "O": "convert it with .astype(float)",
            "U": "number the classes with np.unique(values, return_inverse=True)[1]",
            "S": "number the classes with np.unique(values, return_inverse=True)[1]",
            "c": "pass real and imaginary parts as features",
            "M": "convert dates to numbers",
        }.get(array.dtype.kind, "convert it with .astype(float)")
        raise TypeError(f"{what}: expected numbers, got dtype {array.dtype}; {hint}")
    if array.ndim == 0:
        raise ValueError(f"{what}: expected an array with rows, got a single number")
    return array


def as_numbers(value: Any, what: str, dtype: str) -> Array:
    """Return values as a new array of a dtype, of any shape; only what is numbers converts."""
    try:
        return _core.tensor(value, dtype=dtype).numpy()
    except (TypeError, ValueError) as error:
        message = str(error).removeprefix("tensor: ")
        raise type(error)(f"{what}: {message}") from error


def check_columns(frame: Any, what: str) -> None:
    """Raise a TypeError that names the first column of a data frame that holds no numbers."""
    for column, dtype in zip(frame.columns, frame.dtypes, strict=True):
        kind = getattr(dtype, "kind", "O")
        if kind not in "fiub":
            raise TypeError(
                f"{what}: expected numbers, got dtype {dtype} in column {column!r}; convert the "
                "column, or number its categories with pandas.factorize"
            )


def is_batches(value: Any) -> bool:
    """Tell whether data comes as an iterable of batches."""
    if isinstance(value, (list, tuple, dict, str, bytes)) or hasattr(value, "__array__"):
        return False
    return hasattr(value, "__iter__") or hasattr(value, "__next__")
