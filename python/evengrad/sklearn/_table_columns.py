"""The columns of what a user passes: of frames and tables by name, of arrays by place."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from evengrad._common.factorize import Factors, factorize, kind_of
from evengrad._common.names import did_you_mean
from evengrad._common.tables import check_computed, column_array, columns_of, dtype_of, is_table

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

# What the dtypes of text and of categories are called, in any of the libraries; those of lists and
# structures go on otherwise.
CATEGORICAL = ("string", "str", "utf8", "categor", "enum", "dictionary", "<u")
STRUCTURE = "struct"


@dataclass(frozen=True)
class Source:
    """A column as its library has it, and what messages call it."""

    label: Any
    values: Any
    # What errors about it begin with.
    where: str

    @functools.cached_property
    def factors(self) -> Factors:
        """The column by its distinct values."""
        return factorize(self.values, self.where)

    @functools.cached_property
    def kind(self) -> str | None:
        """Whether the values are ``"text"`` or ``"number"``; None where all are missing."""
        values = self.factors.values
        return kind_of(values, self.where) if values else None

    @functools.cached_property
    def dtype_name(self) -> str:
        """What the column's library calls its dtype."""
        return str(dtype_of(self.values)).lower().removeprefix("large_")

    def is_categorical(self) -> bool:
        """Tell whether the values are text or categories; those of objects are looked at."""
        if self.dtype_name == "object":
            return self.kind == "text"
        return self.dtype_name.startswith(CATEGORICAL) and not self.dtype_name.startswith(STRUCTURE)

    def numbers(self) -> Array:
        """Return the values as float64, missing ones as NaN."""
        if self.dtype_name == "object" and self.kind != "text":
            table = np.array([*self.factors.values, np.nan], "float64")
            return table[self.factors.codes]
        if self.is_categorical() and self.kind == "text":
            raise TypeError(
                f"{self.where}: expected numbers, got text; name the column in categorical, make "
                "numbers of it, or leave it out"
            )
        return np.asarray(column_array(self.values, "X", self.label), "float64")


def sources_of(X: Any, estimator: Any) -> list[Source]:
    """Return the columns of data with two dimensions, or raise scikit-learn's error."""
    if not is_table(X):
        array = checked_array(X, estimator)
        return [Source(at, array[:, at], f"X: column {at}") for at in range(array.shape[1])]
    check_computed(X, "X")
    columns = columns_of(X)
    rows = len(columns[0][1]) if columns else 0
    for count, what in ((len(columns), "feature"), (rows, "sample")):
        if count == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={(rows, len(columns))}) while a minimum of 1 "
                f"is required by {type(estimator).__name__}."
            )
    return [Source(label, column, f"X: column {label!r}") for label, column in columns]


def has_categorical_columns(X: Any, estimator: Any) -> bool:
    """Tell whether a table has columns of text or categories."""
    return any(source.is_categorical() for source in sources_of(X, estimator))


def checked_array(X: Any, estimator: Any) -> Array:
    """Return an array of two dimensions; of objects, for lists with text among numbers."""
    settings = {"ensure_all_finite": False, "estimator": estimator, "input_name": "X"}
    array: Array = check_array(X, dtype=None, **settings)
    if not hasattr(X, "dtype") and array.dtype.kind == "U":
        array = check_array(X, dtype=object, **settings)
    return array


def check_columns(estimator: Any, X: Any, *, reset: bool) -> None:
    """Keep the number and the names of the columns, or compare them with those that are kept."""
    # scikit-learn knows tables of Arrow, but no record batches.
    named = X.schema.empty_table() if hasattr(type(X), "to_struct_array") else X
    validate_data(estimator, named, reset=reset, skip_check_array=True)


def chosen_places(categorical: Any, sources: list[Source]) -> list[int]:
    """Return the places of the columns that are categorical, by the argument of that name."""
    if categorical is None:
        return []
    if isinstance(categorical, str):
        if categorical != "auto":
            raise ValueError(
                f"categorical: expected 'auto', None or a list of columns, got {categorical!r}"
            )
        return [at for at, source in enumerate(sources) if source.is_categorical()]
    if not hasattr(categorical, "__iter__"):
        raise TypeError(
            f"categorical: expected 'auto', None or a list of columns, got {categorical!r}"
        )
    return sorted({at for one in categorical for at in _places(one, sources)})


def others(places: list[int], count: int) -> list[int]:
    """Return the places below a number that are not among those given."""
    given = set(places)
    return [at for at in range(count) if at not in given]


def _places(wanted: Any, sources: list[Source]) -> list[int]:
    labels = [source.label for source in sources]
    if isinstance(wanted, np.generic):
        wanted = wanted.item()
    found = [
        at for at, label in enumerate(labels) if type(label) is type(wanted) and label == wanted
    ]
    if found:
        return found
    if type(wanted) is int and 0 <= wanted < len(labels):
        return [wanted]
    hint = did_you_mean(str(wanted), map(str, labels)) if isinstance(wanted, str) else ""
    raise ValueError(
        f"categorical: expected names of columns or places below {len(labels)}, got {wanted!r}; "
        f"{hint or 'number the columns from 0'}"
    )
