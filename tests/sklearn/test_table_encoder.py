"""Tables as what a net takes: beside scikit-learn's own transformers, from every library alike."""

import json
import pickle

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, QuantileTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import evengrad as eg
from evengrad.sklearn import TableEncoder

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")

NAN = np.nan
TOWNS = ["Ulm", "Bern", None, "Ulm", "Graz", "Bern"]
AGES = [30.0, NAN, 25.0, 61.0, 30.0, NAN]
ROOMS = [1, 2, 3, 4, 5, 9]
OWNED = [True, False, True, True, False, True]
DATA = {"town": TOWNS, "age": AGES, "rooms": ROOMS, "owned": OWNED}


def frame():
    return pandas.DataFrame(DATA)


def whole(values):
    return [None if np.isnan(value) else int(value) for value in values]


TABLES = {
    "pandas": frame,
    "objects": lambda: frame().astype({"town": object, "owned": object, "rooms": object}),
    "nullable": lambda: frame().astype(
        {"town": "string", "age": "Int64", "rooms": "Float64", "owned": "boolean"}
    ),
    "Arrow in pandas": lambda: frame().astype(
        {
            "town": "string[pyarrow]",
            "age": "double[pyarrow]",
            "rooms": "int32[pyarrow]",
            "owned": "bool[pyarrow]",
        }
    ),
    "categories": lambda: frame().astype({"town": "category"}),
    "polars": lambda: polars.DataFrame({**DATA, "age": whole(AGES)}),
    "categories of polars": lambda: polars.DataFrame({**DATA, "age": whole(AGES)}).with_columns(
        polars.col("town").cast(polars.Categorical)
    ),
    "Arrow": lambda: arrow.table({**DATA, "age": whole(AGES)}),
    "a record batch": lambda: arrow.record_batch({**DATA, "age": whole(AGES)}),
}


@parametrize_with_checks(
    [TableEncoder(), TableEncoder(numeric="quantile"), TableEncoder([0], None, dtype="float64")]
)
def test_conventions_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("numeric", ["standard", "quantile", None])
def test_every_library_gives_the_same(make, numeric):
    found = TableEncoder(numeric=numeric, dtype="float64").fit(make())
    known = TableEncoder(numeric=numeric, dtype="float64").fit(frame())
    assert found.columns_ == known.columns_
    assert found.feature_names_in_.tolist() == list(DATA)
    np.testing.assert_array_equal(found.transform(make()), known.transform(frame()))
    np.testing.assert_array_equal(found.transform(frame()), known.transform(make()))


def test_numbers_are_scaled_and_imputed_as_by_scikit_learn():
    x = np.random.default_rng(0).normal(3, 20, size=(50, 4))
    x[::7, 1] = x[3, 2] = NAN
    x[:, 3] = 0.1
    ours = TableEncoder(dtype="float64").fit(x)
    theirs = make_pipeline(StandardScaler(), SimpleImputer(strategy="median", add_indicator=True))
    expected = theirs.fit_transform(x)
    np.testing.assert_allclose(ours.fit_transform(x), expected, atol=1e-12)
    names = theirs[1].get_feature_names_out()
    assert ours.get_feature_names_out().tolist() == names.tolist()
    # A column that had none has no indicator for those that are missing later.
    later = x[:2].copy()
    later[0] = NAN
    np.testing.assert_allclose(ours.transform(later), theirs.transform(later), atol=1e-12)


def test_quantiles_are_those_of_scikit_learn():
    x = np.random.default_rng(0).standard_cauchy(size=(400, 2))
    x[:, 1] = np.round(x[:, 1])
    ours = TableEncoder(numeric="quantile", dtype="float64").fit(x)
    theirs = QuantileTransformer(n_quantiles=400, output_distribution="normal").fit(x)
    later = np.random.default_rng(1).standard_cauchy(size=(50, 2)) * 3
    for rows in (x, later):
        np.testing.assert_allclose(ours.transform(rows), theirs.transform(rows), atol=1e-5)


def test_quantiles_of_small_numbers_are_those_of_large_ones():
    # scikit-learn makes them constant: findings/sklearn-quantiles-of-small-numbers.sh.
    x = np.linspace(0, 1, 101)[:, None]
    small, large = (
        TableEncoder(numeric="quantile", dtype="float64").fit_transform(x * unit)
        for unit in (2.0**-30, 1.0)
    )
    np.testing.assert_array_equal(small, large)


def test_a_constant_column_and_an_unknown_one_are_zeros():
    x = np.array([[2.0, NAN], [2.0, NAN]])
    for numeric in ("standard", "quantile"):
        found = TableEncoder(numeric=numeric).fit_transform(x)
        assert found.tolist() == [[0, 0, 1], [0, 0, 1]]


def test_categories_are_numbered_as_by_scikit_learn():
    table = frame()[["town", "rooms"]]
    ours = TableEncoder(["town", "rooms"]).fit(table)
    theirs = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-2, encoded_missing_value=-1
    ).fit(table)
    later = pandas.DataFrame({"town": ["Graz", "Rome", None, "Ulm"], "rooms": [9, 8, 1, 5]})
    for rows in (table, later):
        np.testing.assert_array_equal(ours.transform(rows), theirs.transform(rows) + 2)
    assert ours.categories_ == [["Bern", "Graz", "Ulm"], ROOMS]


def test_rare_categories_share_the_row_of_unseen_ones():
    encoder = TableEncoder(min_frequency=2).fit(frame()[["town"]])
    assert encoder.categories_ == [["Bern", "Ulm"]]
    assert encoder.transform(frame()[["town"]]).ravel().tolist() == [3, 2, 1, 3, 0, 2]


def test_what_is_known_of_columns():
    encoder = TableEncoder(embedding_size={"town": 7}).fit(frame())
    town, age, rooms, owned = encoder.columns_
    assert town == ("town", 5, 7, ("Bern", "Graz", "Ulm"), False)
    assert age == ("age", None, None, None, True)
    assert (rooms.has_indicator, owned.cardinality) == (False, None)
    assert encoder.n_numbers_ == 4
    names = ["age", "rooms", "owned", "missingindicator_age", "town"]
    assert encoder.get_feature_names_out().tolist() == names


# min(50, 1 + k // 2), by hand.
@pytest.mark.parametrize(
    ("count", "size"), [(2, 2), (3, 2), (10, 6), (97, 49), (98, 50), (500, 50)]
)
def test_embeddings_have_half_as_many_places_as_categories(count, size):
    encoder = TableEncoder([0]).fit(np.arange(count)[:, None])
    assert encoder.columns_[0].embedding_size == size
    assert encoder.columns_[0].cardinality == count + 2


def test_columns_are_chosen_by_name_or_place():
    names = [
        [column.name for column in TableEncoder(chosen).fit(frame()).columns_ if column.categories]
        for chosen in (["rooms", "town"], [2, 0], np.array([0, 2]))
    ]
    assert names == [["town", "rooms"]] * 3
    # The columns of such a frame are called by numbers.
    moved = pandas.DataFrame([[1.0, 5.0], [2.0, 6.0]], columns=[1, 0])
    assert TableEncoder([0]).fit(moved).categorical_ == [1]


def test_a_list_of_rows_and_an_array_of_objects():
    rows = [list(row) for row in zip(*DATA.values(), strict=True)]
    expected = TableEncoder().fit_transform(frame())
    for table in (rows, np.array(rows, object)):
        np.testing.assert_array_equal(TableEncoder().fit_transform(table), expected)
    text = np.array([["a", "u"], ["b", "u"]])
    assert TableEncoder().fit_transform(text).tolist() == [[2, 2], [3, 2]]


def test_it_goes_into_pipelines_searches_and_frames():
    y = [0, 1, 0, 1, 1, 0] * 4
    table = pandas.concat([frame()] * 4, ignore_index=True)
    search = GridSearchCV(
        make_pipeline(TableEncoder(), LogisticRegression()),
        {"tableencoder__numeric": ["standard", "quantile"]},
        cv=2,
    ).fit(table, y)
    assert search.predict(table).shape == (24,)
    both = make_column_transformer((TableEncoder(), ["age"]), remainder="passthrough")
    out = both.set_output(transform="pandas").fit_transform(table)
    assert out.columns[:2].tolist() == ["tableencoder__age", "tableencoder__missingindicator_age"]


def test_a_net_begins_with_inputs_and_embeddings_of_the_columns():
    encoder = TableEncoder()
    numbers, towns = parts = encoder.fit_inputs(frame())
    assert numbers.dtype == np.float32
    assert numbers.shape == (6, 4)
    assert towns.tolist() == [4, 2, 1, 4, 3, 2]
    inputs, x = encoder.input_graph()
    assert [one.name for one in inputs] == ["numbers", "town"]
    assert x.shape == (None, 4 + 2)
    model = eg.Model(inputs, eg.layers.Dense(1)(x), seed=0)
    assert model.layers[0].name == "town"
    # By hand: the row of the table beside the numbers, times the kernel.
    table, kernel, bias = model.get_weights()
    beside = np.concatenate([numbers, table[towns]], axis=1)
    np.testing.assert_allclose(model.predict(parts), beside @ kernel + bias, rtol=1e-5, atol=1e-6)
    model.compile("adam", "mse")
    model.fit(parts, ROOMS, epochs=2, verbose=0)
    model.save("net.safetensors")
    np.testing.assert_array_equal(
        eg.load_model("net.safetensors").predict(parts), model.predict(parts)
    )


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_names_that_layers_may_not_have():
    table = pandas.DataFrame(
        [list("ab") * 3], columns=["a/b", "a_b", "", "numbers", "x\n", "dense"]
    )
    encoder = TableEncoder().fit(table.assign(more=1.0))
    inputs, x = encoder.input_graph("float64")
    names = ["numbers", "a_b", "a_b_1", "column", "numbers_1", "x\\n", "dense"]
    assert [one.name for one in inputs] == names
    model = eg.Model(inputs, eg.layers.Dense(2)(x), seed=0)
    assert model.predict(encoder.inputs(table.assign(more=1.0))).dtype == np.float64


def test_a_single_input():
    rows = [["a"], ["b"]]
    encoder = TableEncoder()
    parts = encoder.fit_inputs(rows)
    assert [one.tolist() for one in parts] == [[2, 3]]
    inputs, x = encoder.input_graph()
    assert eg.Model(inputs, eg.layers.Dense(1)(x), seed=0).predict(parts).shape == (2, 1)
    assert isinstance(encoder.fit_inputs([[1.0], [2.0]]), np.ndarray)
    inputs, x = encoder.input_graph()
    assert inputs == [x]


def test_it_is_kept_by_pickles():
    encoder = TableEncoder(numeric="quantile").fit(frame())
    again = pickle.loads(pickle.dumps(encoder))  # noqa: S301 - made here
    np.testing.assert_array_equal(again.transform(frame()), encoder.transform(frame()))


def with_column(values, dtype=None):
    return pandas.DataFrame({"a": [1.0, 2.0], "b": pandas.Series(values, dtype=dtype)})


REFUSED = {
    "dates": (
        TableEncoder(),
        with_column(["2020-01-01"] * 2, "datetime64[ns]"),
        TypeError,
        r"dtype datetime64\[ns\] in column 'b'; subtract a start and divide by a unit",
    ),
    "dates of polars": (
        TableEncoder(),
        polars.DataFrame({"b": [1, 2]}).cast(polars.Date),
        TypeError,
        r"got dtype Date in column 'b'; subtract a start",
    ),
    "dates of NumPy": (
        TableEncoder(),
        np.array([["2020-01-01"]], "datetime64[D]"),
        TypeError,
        r"X: expected numbers, got dtype datetime64\[D\] in column 0; subtract a start",
    ),
    "bytes": (
        TableEncoder(),
        np.array([[b"a"]]),
        TypeError,
        r"X: expected numbers, got dtype \|S1 in column 0; convert it with",
    ),
    "lists": (
        TableEncoder(),
        polars.DataFrame({"b": [[1], [2]]}),
        TypeError,
        r"in column 'b'; make an",
    ),
    "structures": (TableEncoder(), arrow.table({"b": [{"c": 1}]}), TypeError, "in column 'b'"),
    "mixture": (
        TableEncoder(),
        with_column(["u", 2], object),
        TypeError,
        r"X: column 'b': expected either text or numbers, got 'u' and 2",
    ),
    "infinite": (
        TableEncoder(),
        with_column([1.0, -np.inf]),
        ValueError,
        r"X: column 'b': expected finite numbers, or NaN for missing ones, got -inf in row 1",
    ),
    "text as numbers": (
        TableEncoder(None),
        with_column(["u", "v"]),
        TypeError,
        r"X: column 'b': expected numbers, got text; name the column in categorical",
    ),
    "no such column": (
        TableEncoder(["bb"]),
        with_column([1, 2]),
        ValueError,
        r"categorical: expected names of columns or places below 2, got 'bb'; did you mean 'b'",
    ),
    "no such place": (TableEncoder([2]), with_column([1, 2]), ValueError, "below 2, got 2; number"),
    "no list": (
        TableEncoder(3),
        with_column([1, 2]),
        TypeError,
        "categorical: expected 'auto', None",
    ),
    "another word": (
        TableEncoder("all"),
        with_column([1, 2]),
        ValueError,
        "categorical: expected 'auto'",
    ),
    "no scaling": (
        TableEncoder(numeric="minmax"),
        with_column([1, 2]),
        ValueError,
        "numeric: expected",
    ),
    "no size": (
        TableEncoder(embedding_size=0),
        with_column([1, 2]),
        ValueError,
        "embedding_size: ",
    ),
    "a size of none": (
        TableEncoder(embedding_size={"c": 2}),
        with_column([1, 2]),
        ValueError,
        "embedding_size: no column 'c'",
    ),
    "no dtype": (TableEncoder(dtype="float16"), with_column([1, 2]), ValueError, "dtype"),
    "yet to be computed": (
        TableEncoder(),
        polars.LazyFrame({"b": [1]}),
        TypeError,
        r"call its \.collect",
    ),
    "no rows": (
        TableEncoder(),
        with_column([1, 2])[:0],
        ValueError,
        r"0 sample\(s\) \(shape=\(0, 2\)\)",
    ),
    "no columns": (TableEncoder(), with_column([1, 2])[[]], ValueError, r"0 feature\(s\)"),
}


@pytest.mark.parametrize(("encoder", "table", "kind", "story"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_named_and_nothing_is_half_fitted(encoder, table, kind, story):
    encoder = TableEncoder(**encoder.get_params())
    with pytest.raises(kind, match=story):
        encoder.fit(table)
    assert [name for name in vars(encoder) if name.endswith("_")] == []
    with pytest.raises(NotFittedError):
        encoder.transform(table)


def test_other_columns_than_those_of_fit():
    encoder = TableEncoder().fit(frame())
    with pytest.raises(ValueError, match="same order as they were in fit"):
        encoder.transform(frame()[list(DATA)[::-1]])
    with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- town"):
        encoder.inputs(polars.from_pandas(frame()).drop("town"))
    with pytest.raises(
        TypeError, match=r"'town': expected categories as in fit, text such as 'Bern', got number"
    ):
        encoder.transform(frame().assign(town=3))
    # A column with nothing in it has no kind.
    empty = frame().assign(town=pandas.Series([None] * 6, dtype=object))
    assert encoder.transform(empty)[:, -1].tolist() == [1] * 6


def test_numbers_that_the_dtype_does_not_hold():
    table = with_column([1.0, 1e200])
    assert np.abs(TableEncoder().fit_transform(table)).max() == 1
    assert TableEncoder(numeric=None, dtype="float64").fit_transform(table).max() == 1e200
    story = r"X: column 'b': expected numbers of at most 3.403e\+38 in size, as float32"
    with pytest.raises(ValueError, match=story):
        TableEncoder(numeric=None).fit(table).transform(table)


def test_values_in_a_description_are_plain():
    encoder = TableEncoder(["rooms", "town"]).fit(frame())
    assert json.loads(json.dumps(encoder.categories_)) == encoder.categories_
