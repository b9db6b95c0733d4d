"""Data frames, tables and series as arrays, column by column, by the dtypes of their columns.

Of pandas, polars and Arrow, told by what their objects offer: none of them is imported.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

NUMBERS = "fiub"
MATRIX_NDIM = 2
NUMBER_CLASSES = "number the classes with np.unique(values, return_inverse=True)[1]"
DUMMIES = (
    "number its categories with pandas.factorize, or make a column of each with "
    "pandas.get_dummies or polars' to_dummies"
)
# By what a dtype is called: what to do about a column of a table, and about one by itself.
CURES = [
    (
        "str|utf|categor|enum|dict",
        DUMMIES,
        NUMBER_CLASSES,
    ),
    ("date|time|period|duration", *["subtract a start and divide by a unit, such as a day"] * 2),
    ("list|array", *["make an array of its vectors with np.stack"] * 2),
    ("", *["convert it with .astype(float), polars' .cast(float) or pandas.to_numeric"] * 2),
]


def is_table(value: Any) -> bool:
    """Tell whether a value has columns with names: a data frame, a table, a record batch."""
    # Of the class: what is yet to be computed would have to look for them.
    kind = type(value)
    return hasattr(kind, "columns") and (hasattr(kind, "dtypes") or hasattr(kind, "schema"))


def is_series(value: Any) -> bool:
    """Tell whether a value is a column by itself: a series, or what keeps a series' values."""
    return hasattr(value, "to_numpy") and not is_table(value)


def column_names(value: Any) -> list[str] | None:
    """Return the names of a table's columns, where all are text; None of anything else."""
    if not is_table(value):
        return None
    names = list(getattr(value, "column_names", value.columns))
    return names if all(isinstance(name, str) for name in names) else None


def check_computed(table: Any, what: str) -> None:
    """Raise a TypeError for a table without rows, such as a LazyFrame of polars."""
    if hasattr(table, "collect"):
        raise TypeError(
            f"{what}: expected rows, got {type(table).__name__}, which is yet to be computed; "
            "call its .collect()"
        )


def table_array(table: Any, what: str) -> Array:
    """Return the columns of a data frame or table side by side, missing numbers as NaN.

    This is its own memory, where they lie there as one array.
    """
    check_computed(table, what)
    dtypes = table.dtypes if hasattr(table, "dtypes") else [field.type for field in table.schema]
    if len({str(dtype) for dtype in dtypes}) == 1:
        as_one: Array = np.asarray(table)
        if as_one.dtype.kind in NUMBERS and as_one.ndim == MATRIX_NDIM:
            return as_one
    arrays = [column_array(column, what, name) for name, column in columns_of(table)]
    if not arrays:
        raise ValueError(f"{what}: expected at least one column, got none")
    # Each column in one piece, as it lies in the table.
    joined: Array = np.empty((len(arrays[0]), len(arrays)), np.result_type(*arrays), order="F")
    for place, array in enumerate(arrays):
        joined[:, place] = array
    return joined


def columns_of(table: Any) -> list[tuple[Any, Any]]:
    """Return the columns of a table with their names, of which some may be alike."""
    if hasattr(table, "column_names"):
        return list(zip(table.column_names, table.columns, strict=True))
    if hasattr(table, "iloc"):
        return list(table.items())
    return [(name, table[name]) for name in table.columns]


def column_array(column: Any, what: str, name: Any = None) -> Array:
    """Return a column as an array, missing numbers as NaN; an error about one of a table names it.

    A column of vectors, all of one length, has a row for each.
    """
    array = numbers_of(column)
    if array is None or (array.ndim > 1 and name is not None):
        dtype = str(dtype_of(column))
        where, which = ("", 1) if name is None else (f" in column {name!r}", 0)
        cure = next(cures[which] for called, *cures in CURES if re.search(called, dtype.lower()))
        if dtype == "object" and any(isinstance(value, str) for value in column):
            cure = CURES[0][1 + which]
        raise TypeError(f"{what}: expected numbers, got dtype {dtype}{where}; {cure}")
    return array


def numbers_of(column: Any) -> Array | None:
    """Return a column as an array, missing numbers as NaN; None where it holds no numbers."""
    dtype = dtype_of(column)
    if isinstance(dtype, np.dtype):
        array = np.asarray(column) if dtype.kind in NUMBERS else None
    elif hasattr(dtype, "is_decimal"):
        array = numbers_in_polars(column)
    elif hasattr(column, "isna"):
        array = numbers_in_pandas(column)
    else:
        array = numbers_in_arrow(column)
    return array if array is not None and array.dtype.kind in NUMBERS else None


def numbers_in_pandas(column: Any) -> Array | None:
    """Return the numbers of a column whose dtype is one of pandas' own."""
    dtype = column.dtype
    if hasattr(dtype, "categories") or str(dtype).startswith("Sparse"):
        return np.asarray(column)
    is_decimal = str(dtype).startswith("decimal")
    if dtype.kind not in NUMBERS and not is_decimal:
        return None
    exact = np.dtype("float64") if is_decimal else np.dtype(dtype.numpy_dtype)
    if exact.kind != "f" and column.isna().any():
        exact = np.dtype("float64")
    array: Array = column.to_numpy(exact, na_value=np.nan if exact.kind == "f" else 0)
    return array


def numbers_in_polars(column: Any) -> Array:
    """Return a series of polars as an array, of objects where it holds no numbers."""
    dtype = column.dtype
    if dtype.is_decimal() or (str(dtype) == "Boolean" and column.null_count()):
        column = column.cast(float)
    array: Array = column.to_numpy()
    return array


def numbers_in_arrow(column: Any) -> Array:
    """Return an array of Arrow's as one of NumPy's, of objects where it holds no numbers."""
    name = str(column.type)
    if name.startswith("decimal") or (name == "bool" and column.null_count):
        column = column.cast("float64")
    return np.asarray(column)


def dtype_of(column: Any) -> Any:
    """Return what a column calls the type of its values."""
    return column.dtype if hasattr(column, "dtype") else column.type
