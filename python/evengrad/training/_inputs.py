"""Users' inputs as arrays or readers of rows: of tables, series, lists, dicts, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.arrays import as_array, is_sparse
from evengrad._common.checks import plural
from evengrad._common.finite import report
from evengrad._common.names import did_you_mean
from evengrad._common.row_readers import reader_for
from evengrad._common.tables import MATRIX_NDIM, column_names, is_series, is_table
from evengrad.training._feature_names import check_names

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.training._feature_names import Columns
    from evengrad.training._protocol import TrainableModel


def split_by_name(value: Any, names: list[str], what: str) -> list[Any]:
    """Return one item for each input or output, from a list, a dict by name, or a single value."""
    # One of SciPy's sparse formats is a dict, too.
    if isinstance(value, dict) and not is_sparse(value):
        unknown = [name for name in value if name not in names]
        if unknown:
            raise ValueError(f"{what}: no {unknown[0]!r}; {did_you_mean(str(unknown[0]), names)}")
        missing = [name for name in names if name not in value]
        if missing:
            raise ValueError(f"{what}: {', '.join(map(repr, missing))} missing")
        return [value[name] for name in names]
    if len(names) == 1:
        if isinstance(value, (list, tuple)) and len(value) == 1 and is_data(value[0]):
            return [value[0]]
        return [value]
    if not isinstance(value, (list, tuple)) or len(value) != len(names):
        got = f"{len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(f"{what}: expected a list of {len(names)} arrays, got {got}")
    return list(value)


def is_data(value: Any) -> bool:
    """Tell whether a value is the data of one input by itself, as no list is."""
    return hasattr(value, "__array__") or is_sparse(value)


def convert_inputs(model: TrainableModel, x: Any) -> tuple[list[Array], Columns]:
    """Return a model's inputs as arrays of as many rows, with the names of their columns."""
    x, names = model.flat_inputs(x), model.input_names
    if names is None:
        # A subclass takes what it is given: a list of arrays for several inputs.
        several = isinstance(x, (list, tuple)) and all(map(is_data, x))
        names = [f"input_{i + 1}" for i in range(len(x))] if several and len(x) > 1 else ["input"]
    items = split_by_name(x, names, "x")
    shape = model.input_shape
    shapes = shape if isinstance(shape, list) else [shape] * len(items)
    labels = [label_for(place, len(items)) for place in range(len(items))]
    arrays = [convert_input(*one) for one in zip(items, labels, shapes, strict=True)]
    rows = arrays[0].shape[0]
    if rows == 0:
        raise ValueError("x: expected at least one row, got none")
    for label, array in zip(labels, arrays, strict=True):
        if array.shape[0] != rows:
            raise ValueError(
                f"{label}: expected {plural(rows, 'row')} as in {labels[0]}, got {array.shape[0]}"
            )
    return arrays, [column_names(item) for item in items]


def without_tables(model: TrainableModel, x: Any) -> Any:
    """Return what a model is called with, tables, series and sparse matrices in it as arrays."""
    several = isinstance(x, (list, tuple))
    items = list(x) if several else [x]
    foreign = [is_table(item) or is_series(item) or is_sparse(item) for item in items]
    if not any(foreign):
        return x
    check_names(model, [column_names(item) for item in items])
    shape = model.input_shape
    for place, item in enumerate(items):
        if foreign[place]:
            expected = shape[place] if isinstance(shape, list) and several else shape
            items[place] = np.asarray(convert_input(item, label_for(place, len(items)), expected))
    return items if several else items[0]


def label_for(place: int, inputs: int) -> str:
    """Return what messages call an input."""
    return "x" if inputs == 1 else f"x[{place}]"


def convert_input(item: Any, label: str, expected: Any) -> Any:
    """Return one input as an array, or as a reader of its rows."""
    array: Any = reader_for(item) or as_array(item, label)
    width = expected[1] if isinstance(expected, tuple) and len(expected) == MATRIX_NDIM else None
    if is_series(item) and array.ndim == 1 and width not in (1, None):
        raise ValueError(
            f"{label}: expected {width} features, got a series, which is one of all rows; for one "
            "row of a frame pass frame.iloc[[i]]"
        )
    if array.ndim > 1 or (expected is not None and len(expected) == 1):
        return array
    if is_series(item) or expected == (None, 1):
        # A value for each row, of the only feature.
        return array.reshape(-1, 1)
    raise ValueError(
        f"{label}: expected shape (rows, features), got {array.shape}; for one feature pass "
        "x[:, None], for one row x[None, :]"
    )


def refuse_not_finite(
    array: Any, what: str, dtype: str, names: list[str] | None, rows: Array | None = None
) -> None:
    """Raise a ValueError that names rows and columns with numbers that are not finite.

    There may be none after all: large numbers alone make a sum of squares infinite.
    """
    message = report(array, what, dtype, names, rows)
    if message is not None:
        raise ValueError(message)
