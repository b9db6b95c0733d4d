"""Columns of categories as numbers: each distinct value once, and which of them stands where.

By what the column's library does fastest; as in `tables`, none of them is imported.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

# What a missing value has in the place of a number.
MISSING = -1


class Factors(NamedTuple):
    """A column as distinct values and, for each row, the place of its own; `MISSING` for none."""

    codes: Array
    values: list[Any]


def factorize(column: Any, where: str) -> Factors:
    """Return a column of any library by its distinct values: strings, booleans or numbers.

    NaN, None and what the libraries have for them are missing. Intervals, as of `pandas.cut`, stand
    as their texts. `where` begins the errors about other values.
    """
    if hasattr(column, "factorize"):
        codes, found = in_pandas(column, where)
    elif hasattr(column, "to_frame"):
        codes, found = in_polars(column)
    elif hasattr(column, "dictionary_encode"):
        codes, found = in_arrow(column)
    else:
        codes, found = in_numpy(column, where)
    values = [plain(value, where) for value in found]
    return without_missing(np.asarray(codes), values)


def in_pandas(column: Any, where: str) -> tuple[Any, list[Any]]:
    """Return codes and values of a series of pandas."""
    try:
        codes, values = column.factorize()
    except TypeError as error:
        raise no_category(str(error), where) from error
    return codes, values.tolist()


def in_polars(column: Any) -> tuple[Any, list[Any]]:
    """Return codes and values of a series of polars."""
    values = column.unique().drop_nulls()
    table = values.to_frame("value").with_row_index("code")
    joined = column.to_frame("value").join(table, on="value", how="left", maintain_order="left")
    return joined["code"].cast(int).fill_null(MISSING).to_numpy(), values.to_list()


def in_arrow(column: Any) -> tuple[Any, list[Any]]:
    """Return codes and values of an array of Arrow's, in one piece or several."""
    encoded = column.dictionary_encode()
    if hasattr(encoded, "unify_dictionaries"):
        encoded = encoded.unify_dictionaries().combine_chunks()
    codes = encoded.indices.cast("int64").fill_null(MISSING)
    return codes.to_numpy(zero_copy_only=False), encoded.dictionary.to_pylist()


def in_numpy(column: Array, where: str) -> tuple[Any, list[Any]]:
    """Return codes and values of an array of one dimension."""
    if column.dtype.kind != "O":
        values, codes = np.unique(column, return_inverse=True)
        return codes, values.tolist()
    seen: dict[Any, int] = {}
    try:
        return [seen.setdefault(value, len(seen)) for value in column.tolist()], list(seen)
    except TypeError as error:
        raise no_category(str(error), where) from error


def plain(value: Any, where: str) -> Any:
    """Return a value as Python's own: text, a boolean, a number, or None where it is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if hasattr(value, "closed_left"):
        return str(value)
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise no_category(f"got {value!r} ({type(value).__name__})", where)


def no_category(got: str, where: str) -> TypeError:
    """Return an error about a value that is no category."""
    # In words that scikit-learn's check of estimators asks for.
    return TypeError(
        f"{where}: an argument must be a string or a number in each row, {got}; make it text with "
        ".astype(str), or leave the column out"
    )


def without_missing(codes: Array, values: list[Any]) -> Factors:
    """Return factors whose missing values have no place among the values."""
    if None not in values:
        return Factors(codes, values)
    kept = [value for value in values if value is not None]
    places = iter(range(len(kept)))
    table = [MISSING if value is None else next(places) for value in values]
    # The last one is found by the code of what was missing before.
    return Factors(np.array([*table, MISSING])[codes], kept)


def kind_of(values: list[Any], where: str) -> str:
    """Return what the values of a column are, ``"text"`` or ``"number"``; refuse a mixture."""
    texts = [isinstance(value, str) for value in values]
    if any(texts) and not all(texts):
        text, number = (values[texts.index(one)] for one in (True, False))
        raise TypeError(
            f"{where}: expected either text or numbers, got {text!r} and {number!r}; make all of "
            "it text with .astype(str)"
        )
    return "text" if any(texts) else "number"
