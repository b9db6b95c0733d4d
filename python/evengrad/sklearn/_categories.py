"""Categories of a column as rows of an embedding."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evengrad._common.checks import check_int
from evengrad._common.factorize import kind_of
from evengrad._common.names import did_you_mean

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.sklearn._table_columns import Source


class Column(NamedTuple):
    """What a `TableEncoder` has learned of a column.

    Attributes
    ----------
    name
        As the frame has it; the place, of an array.
    cardinality
        Rows of its embedding: one for each category, and two for unseen and for missing values.
        None of a column of numbers.
    embedding_size
        Length of its vectors; None of a column of numbers.
    categories
        The categories, in the order of their rows; None of a column of numbers.
    has_indicator
        Whether a column of zeros and ones beside it says where numbers are missing.

    Examples
    --------
    >>> from evengrad.sklearn import TableEncoder
    >>> encoder = TableEncoder().fit([["a"], ["b"], ["a"]])
    >>> encoder.columns_[0].categories, encoder.columns_[0].cardinality
    (('a', 'b'), 4)
    """

    name: Any
    cardinality: int | None = None
    embedding_size: int | None = None
    categories: tuple[Any, ...] | None = None
    has_indicator: bool = False


# Rows of an embedding before those of the categories: for values that `fit` has not seen, and for
# missing ones.
UNSEEN, MISSING = 0, 1
RESERVED = 2
# The longest vectors that the rule below gives.
LARGEST = 50


def embedding_size(categories: int) -> int:
    """Return the length of the vectors for so many categories: 1 and half as many, at most 50."""
    return min(LARGEST, 1 + categories // 2)


def check_sizes(sizes: Any, labels: list[Any]) -> None:
    """Raise an error for lengths of vectors that are none, or are of no column."""
    if isinstance(sizes, dict):
        for label, size in sizes.items():
            if label not in labels:
                hint = did_you_mean(str(label), map(str, labels))
                raise ValueError(f"embedding_size: no column {label!r}; {hint}")
            check_int(size, f"embedding_size[{label!r}]", at_least=1)
    elif sizes is not None:
        check_int(sizes, "embedding_size", at_least=1)


def frequent(source: Source, fewest: int) -> list[Any]:
    """Return the categories of a column that occur so often, sorted."""
    codes, values = source.factors
    if not values:
        return []
    kind_of(values, source.where)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    # A library may list categories that no row has.
    return sorted(
        value for value, count in zip(values, counts.tolist(), strict=True) if count >= fewest
    )


def rows_of(source: Source, categories: list[Any]) -> Array:
    """Return for each value of a column the number of its row in the embedding."""
    values = source.factors.values
    if categories and values:
        # Those of `fit` are all of one kind.
        expected = kind_of(categories[:1], source.where)
        if source.kind != expected:
            raise TypeError(
                f"{source.where}: expected categories as in fit, {expected} such as "
                f"{categories[0]!r}, got {source.kind} such as {values[0]!r}; convert the column "
                "with .astype"
            )
    rows = [_row_of(value, categories) for value in values]
    return np.array([*rows, MISSING], "int32")[source.factors.codes]


def _row_of(value: Any, categories: list[Any]) -> int:
    """Return the row of a category by halves: a row at a time is asked for more often than all."""
    place = bisect.bisect_left(categories, value)
    is_known = place < len(categories) and categories[place] == value
    return place + RESERVED if is_known else UNSEEN
