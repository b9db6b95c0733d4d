"""Columns of pandas, polars, Arrow and NumPy by their distinct values."""

import datetime as dt
import decimal

import numpy as np
import pytest

from evengrad._common.factorize import factorize, kind_of

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")

TEXT = ["b", None, "a", "b"]
WHOLE = [3, None, 1, 3]
YES = [True, None, False, True]


def series(values, dtype):
    return pandas.Series(values, dtype=dtype)


def dictionary(values):
    return series(values, pandas.ArrowDtype(arrow.dictionary(arrow.int32(), arrow.string())))


COLUMNS = {
    "text of pandas": (lambda: series(TEXT, "str"), TEXT),
    "objects": (lambda: series(TEXT, object), TEXT),
    "nullable text": (lambda: series(TEXT, "string[python]"), TEXT),
    "text of Arrow in pandas": (lambda: series(TEXT, "string[pyarrow]"), TEXT),
    "categories": (lambda: series(TEXT, "category"), TEXT),
    "categories in an order": (
        lambda: series(TEXT, pandas.CategoricalDtype(["b", "a", "c"], ordered=True)),
        TEXT,
    ),
    "categories that are numbers": (lambda: series(WHOLE, "category"), WHOLE),
    "a dictionary of Arrow in pandas": (lambda: dictionary(TEXT), TEXT),
    "nullable numbers": (lambda: series(WHOLE, "Int64"), WHOLE),
    "nullable booleans": (lambda: series(YES, "boolean"), YES),
    "floats": (lambda: series(WHOLE, float), WHOLE),
    "intervals": (
        lambda: pandas.cut(pandas.Series([1, np.nan, 5]), [0, 2, 6]),
        ["(0, 2]", None, "(2, 6]"],
    ),
    "all missing": (lambda: series([None, np.nan, pandas.NA, pandas.NaT], object), [None] * 4),
    "text of polars": (lambda: polars.Series(TEXT), TEXT),
    "categories of polars": (lambda: polars.Series(TEXT, dtype=polars.Categorical), TEXT),
    "an enumeration of polars": (lambda: polars.Series(TEXT, dtype=polars.Enum(["b", "a"])), TEXT),
    "numbers of polars": (
        lambda: polars.Series([3.0, float("nan"), None, 3.0]),
        [3, None, None, 3],
    ),
    "text of Arrow": (lambda: arrow.array(TEXT), TEXT),
    "pieces of Arrow": (lambda: arrow.chunked_array([TEXT[:1], TEXT[1:]]), TEXT),
    "a dictionary of Arrow": (lambda: arrow.array(TEXT).dictionary_encode(), TEXT),
    "pieces with dictionaries of their own": (
        lambda: arrow.chunked_array([arrow.array(x).dictionary_encode() for x in (["b"], ["a"])]),
        ["b", "a"],
    ),
    "numbers of Arrow": (lambda: arrow.array([3.0, float("nan"), None]), [3, None, None]),
    "text of NumPy": (lambda: np.array(["b", "a", "b"]), ["b", "a", "b"]),
    "floats of NumPy": (lambda: np.array([3.0, np.nan, 1.0]), [3, None, 1]),
    "objects of NumPy": (
        lambda: np.array(["b", None, np.str_("a"), np.nan], object),
        ["b", None, "a", None],
    ),
}


@pytest.mark.parametrize(("make", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_each_row_has_its_value(make, expected):
    codes, values = factorize(make(), "X")
    assert len(set(values)) == len(values)
    assert [None if code < 0 else values[code] for code in codes] == expected
    assert all(type(value) in (str, int, float, bool) for value in values)


@pytest.mark.parametrize(
    "make",
    [
        lambda: series([dt.date(2020, 1, 1)], object),
        lambda: series(["2020-01-01"], "datetime64[ns]"),
        lambda: polars.Series([dt.date(2020, 1, 1)]),
        lambda: arrow.array([decimal.Decimal("1.5")]),
        lambda: series([{"a": 1}], object),
        lambda: np.array([(1, 2), None], object),
        lambda: np.array([{"a": 1}], object),
    ],
)
def test_other_values_are_named(make):
    with pytest.raises(TypeError, match=r"X: column 'c': an argument must be a string or a number"):
        factorize(make(), "X: column 'c'")


def test_text_among_numbers_is_refused():
    assert kind_of(["a"], "X") == "text"
    assert kind_of([1, 2.5, True], "X") == "number"
    with pytest.raises(TypeError, match=r"X: expected either text or numbers, got 'a' and 2; make"):
        kind_of([2, "a"], "X")
