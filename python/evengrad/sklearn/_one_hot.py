"""Tables as one array from which they can be had again: each category as zeros and a one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.sklearn._categories import MISSING, RESERVED, UNSEEN
from evengrad.sklearn._encoding import TableEncoder, statistics_of
from evengrad.sklearn._numbers import unscale
from evengrad.sklearn._table_columns import others

if TYPE_CHECKING:
    from evengrad._common.arrays import Array


def split(encoder: TableEncoder, parts: Any) -> tuple[Array | None, list[Array]]:
    """Return the numbers, if there are some, and the rows of embeddings of each category."""
    if isinstance(parts, list):
        return (parts[0], parts[1:]) if encoder.n_numbers_ else (None, parts)
    return parts, []


def levels_of(encoder: TableEncoder, parts: Any) -> list[Array]:
    """Return for each categorical column which values of it a table has, as an encoder numbers."""
    return [np.unique(codes) for codes in split(encoder, parts)[1]]


def joined(encoder: TableEncoder, levels: list[Array], parts: Any) -> Array:
    """Return numbers, and a column for each value that a category may have, side by side.

    A value that is not among them is zeros alone.
    """
    numbers, codes = split(encoder, parts)
    kept = [] if numbers is None else [numbers]
    pairs = zip(codes, levels, strict=True)
    kept += [(one[:, None] == known).astype(encoder.dtype) for one, known in pairs]
    return np.concatenate(kept, axis=1)


def table_of(encoder: TableEncoder, levels: list[Array], array: Array) -> Array:
    """Return the columns that an encoder was fitted to, as objects, from what `joined` makes.

    Of the columns of a category the largest counts. A category that was not there in `fit`, or that
    is missing, is None; a number whose indicator is above ½ is NaN.
    """
    width, statistics = encoder.n_features_in_, statistics_of(encoder)
    found = np.empty((len(array), width), object)
    numbers = others(encoder.categorical_, width)
    flag = len(numbers)
    for place, at in enumerate(numbers):
        known = statistics[place]
        values = unscale(array[:, place].astype("float64"), known, encoder.numeric)
        if known.has_missing:
            values[array[:, flag] > 0.5] = np.nan
            flag += 1
        found[:, at] = values
    columns = zip(encoder.categorical_, levels, encoder.categories_, strict=True)
    for at, codes, categories in columns:
        values = np.array([_category(code, categories) for code in codes], object)
        found[:, at] = values[array[:, flag : flag + len(codes)].argmax(axis=1)]
        flag += len(codes)
    return found


def _category(code: int, categories: list[Any]) -> Any:
    return None if code in (UNSEEN, MISSING) else categories[code - RESERVED]
