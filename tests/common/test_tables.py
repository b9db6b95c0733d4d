"""Frames, tables and series of pandas, polars and Arrow as arrays, by their columns' dtypes."""

import numpy as np
import pytest

from evengrad._common.arrays import as_array
from evengrad._common.tables import column_names

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")

NAN = np.nan
VECTORS = [[1.0, 2.0], [3.0, 4.0]]


def series(values, dtype):
    return pandas.Series(values, dtype=dtype)


# What a table is made of, and what the array holds.
TABLES = {
    "bool beside float": (
        lambda: pandas.get_dummies(pandas.DataFrame({"a": [1.5, 2.5], "b": ["u", "v"]})),
        [[1.5, 1, 0], [2.5, 0, 1]],
    ),
    "one nullable column": (
        lambda: pandas.DataFrame({"a": series([1, None], "Int64")}),
        [[1], [NAN]],
    ),
    "nullable columns of several kinds": (
        lambda: pandas.DataFrame(
            {
                "a": series([1, None], "Int64"),
                "b": series([True, None], "boolean"),
                "c": series([0.5, None], "Float32"),
            }
        ),
        [[1, 1, 0.5], [NAN, NAN, NAN]],
    ),
    "columns of Arrow": (
        lambda: pandas.DataFrame(
            {
                "a": series([1, None], "int64[pyarrow]"),
                "b": series([True, False], "bool[pyarrow]"),
                "c": series([0.5, None], "float[pyarrow]"),
                "d": series([0.25, None], pandas.ArrowDtype(arrow.decimal128(5, 2))),
            }
        ),
        [[1, 1, 0.5, 0.25], [NAN, 0, NAN, NAN]],
    ),
    "categories that are numbers": (
        lambda: pandas.DataFrame({"a": series([3, 1], "category"), "b": [0.5, 1]}),
        [[3, 0.5], [1, 1]],
    ),
    "sparse columns": (
        lambda: pandas.DataFrame({"a": pandas.arrays.SparseArray([0, 2]), "b": [0.5, 1]}),
        [[0, 0.5], [2, 1]],
    ),
    "columns of one name": (
        lambda: pandas.DataFrame([[1, 0.5], [2, 1.5]], columns=["a", "a"]),
        [[1, 0.5], [2, 1.5]],
    ),
    "polars": (
        lambda: polars.DataFrame({"a": [1, None], "b": [True, None], "c": [0.5, 1.5]}),
        [[1, 1, 0.5], [NAN, NAN, 1.5]],
    ),
    "decimals of polars": (
        lambda: polars.DataFrame({"a": ["0.25", None], "b": [True, False]}).with_columns(
            polars.col("a").cast(polars.Decimal(5, 2))
        ),
        [[0.25, 1], [NAN, 0]],
    ),
    "Arrow": (
        lambda: arrow.table({"a": [1, None], "b": [True, None], "c": [0.5, 1.5]}),
        [[1, 1, 0.5], [NAN, NAN, 1.5]],
    ),
    "a record batch": (
        lambda: arrow.record_batch({"a": [1, 2], "b": [True, False]}),
        [[1, 1], [2, 0]],
    ),
}

SERIES = {
    "nullable": (lambda: series([True, None], "boolean"), [1, NAN]),
    "an array of pandas": (lambda: pandas.array([1, None], dtype="Int64"), [1, NAN]),
    "an index": (lambda: pandas.Index([3, 4]), [3, 4]),
    "a series of polars": (lambda: polars.Series([True, None]), [1, NAN]),
    "vectors of polars": (
        lambda: polars.Series(VECTORS, dtype=polars.Array(polars.Float32, 2)),
        VECTORS,
    ),
    "an array of Arrow": (lambda: arrow.array([True, None]), [1, NAN]),
    "a column of Arrow": (lambda: arrow.table({"a": [1, None]})["a"], [1, NAN]),
}


@pytest.mark.parametrize(
    ("make", "expected"), [*TABLES.values(), *SERIES.values()], ids=[*TABLES, *SERIES]
)
def test_values_are_those_of_the_columns(make, expected):
    array = as_array(make(), "x")
    assert type(array) is np.ndarray
    assert array.dtype.kind in "fiub"
    np.testing.assert_array_equal(array, expected)


def test_whole_numbers_without_gaps_stay_whole():
    for column in (
        series([1, 2], "Int64"),
        series([1, 2], "int32[pyarrow]"),
        polars.Series([1, 2]),
        arrow.array([1, 2]),
        series([2**62 + 1, 2], "Int64"),
    ):
        assert as_array(column, "y").dtype.kind == "i"
    assert as_array(series([2**62 + 1, 2], "Int64"), "y")[0] == 2**62 + 1


def test_columns_that_lie_together_are_not_copied():
    values = np.random.default_rng(0).normal(size=(6, 3))
    frame = pandas.DataFrame(values)
    assert np.shares_memory(as_array(frame, "x"), frame.to_numpy())
    table = polars.DataFrame(np.asfortranarray(values))
    assert np.shares_memory(as_array(table, "x"), table.to_numpy())


def dates():
    return pandas.date_range("2020-01-01", periods=2, tz="UTC")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pandas.DataFrame({"a": [1, 2], "b": ["u", "v"]}), "dtype .* in column 'b'.*dumm"),
        (lambda: pandas.DataFrame({"b": series(["u", "v"], object)}), "object in column 'b'.*dumm"),
        (lambda: pandas.DataFrame({"b": series(["u", "v"], "category")}), "category in column 'b'"),
        (lambda: pandas.DataFrame({"b": series(["u"], "string[pyarrow]")}), "in column 'b'.*dumm"),
        (lambda: pandas.DataFrame({"b": [1, None]}, dtype=object), "column 'b'.*pandas.to_numeric"),
        (lambda: pandas.DataFrame({"when": dates()}), "column 'when'; subtract a start"),
        (lambda: polars.DataFrame({"a": [1], "b": ["u"]}), "String in column 'b'.*to_dummies"),
        (
            lambda: polars.DataFrame({"b": polars.Series(["u"], dtype=polars.Categorical)}),
            "Categorical in column 'b'.*to_dummies",
        ),
        (
            lambda: polars.DataFrame(
                {"b": polars.Series(VECTORS, dtype=polars.Array(polars.Float32, 2)), "a": [1, 2]}
            ),
            "in column 'b'; .*np.stack",
        ),
        (lambda: polars.DataFrame({"a": [1]}).lazy(), r"LazyFrame.*\.collect\(\)"),
        (lambda: arrow.table({"a": [1], "b": ["u"]}), "string in column 'b'"),
        (lambda: series(["u", "v"], None), "np.unique"),
        (lambda: series(["u", "v"], object), "np.unique"),
        (lambda: series(["u", "v"], "category"), "np.unique"),
        (lambda: polars.Series(["u"]), "np.unique"),
        (lambda: arrow.array(["u"]), "np.unique"),
        (lambda: arrow.array(["u"]).dictionary_encode(), "np.unique"),
        (lambda: np.array(["u"], object), "np.unique"),
    ],
)
def test_what_is_no_number_is_named_with_its_cure(make, message):
    with pytest.raises(TypeError, match=f"^x: expected .*{message}"):
        as_array(make(), "x")


def test_a_frame_without_columns():
    with pytest.raises(ValueError, match="x: expected at least one column, got none"):
        as_array(pandas.DataFrame(index=[0, 1]), "x")


def test_names_are_known_where_all_are_text():
    assert column_names(pandas.DataFrame({"a": [1], "b": [2]})) == ["a", "b"]
    assert column_names(polars.DataFrame({"a": [1]})) == ["a"]
    assert column_names(arrow.table({"a": [1]})) == ["a"]
    assert column_names(pandas.DataFrame([[1, 2]])) is None
    assert column_names(pandas.DataFrame([[1]], columns=[("a", "b")])) is None
    assert column_names(np.ones((2, 2))) is None
