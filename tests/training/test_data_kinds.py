"""Data as people have it: whatever holds the rows, training and predictions are those of arrays."""

import tracemalloc

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.training import _data

pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(90, 4)).astype("float32").astype(float)
X[:, 1] = X[:, 1] > 0
Y = RNG.integers(3, size=90)
NAMES = ["a", "b", "c", "d"]


def frame(dtype=None, **changed):
    pandas = pytest.importorskip("pandas")
    made = pandas.DataFrame(X, columns=NAMES).astype({"b": bool, **changed})
    return made if dtype is None else made.convert_dtypes(dtype_backend=dtype)


def table(module):
    library = pytest.importorskip(module)
    columns = {name: column.tolist() for name, column in zip(NAMES, X.T, strict=True)}
    columns["b"] = [value > 0 for value in columns["b"]]
    return library.table(columns) if module == "pyarrow" else library.DataFrame(columns)


def sparse(kind):
    return getattr(pytest.importorskip("scipy.sparse"), kind)(X)


def stored(module, folder):
    library = pytest.importorskip(module)
    if module == "zarr":
        return library.array(X, chunks=(16, 4))
    return library.File(folder / "x.h5", "w").create_dataset("x", data=X)


def mapped(folder):
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


KINDS = {
    "frame": lambda _: frame(),
    "nullable frame": lambda _: frame("numpy_nullable"),
    "frame of Arrow": lambda _: frame("pyarrow"),
    "polars": lambda _: table("polars"),
    "Arrow": lambda _: table("pyarrow"),
    "CSR": lambda _: sparse("csr_array"),
    "DOK, which is a dict": lambda _: sparse("dok_matrix"),
    "matrix of CSC": lambda _: sparse("csc_matrix"),
    "matrix": lambda _: np.asmatrix(X),
    "columns first": lambda _: np.asfortranarray(X),
    "h5py": lambda folder: stored("h5py", folder),
    "zarr": lambda folder: stored("zarr", folder),
    "mapped": mapped,
}


def classifier():
    parts = [eg.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")]
    model = eg.Sequential(parts, seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def trained(x, y=Y, **options):
    model = classifier()
    history = model.fit(x, y, batch_size=16, epochs=2, verbose=0, **options)
    figures = model.evaluate(x, y)
    return [*model.get_weights(), *history.history.values(), figures, model.predict(x)]


def assert_same(left, right):
    assert all(map(np.array_equal, left, right))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_training_is_that_on_an_array(make, in_memory, tmp_path, monkeypatch):
    expected = trained(X)
    split = trained(X, validation_split=0.3)
    if not in_memory:
        monkeypatch.setattr(_data, "RESIDENT_BYTES", 0)
        monkeypatch.setattr(_data, "PIECE_BYTES", 1024)
    x = make(tmp_path)
    assert_same(trained(x), expected)
    assert_same(trained(x, validation_split=0.3), split)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_other_ways_to_hand_in_rows(make, tmp_path):
    model, x = classifier(), make(tmp_path)
    expected = model.predict(X)
    assert_same([model.predict([x])], [expected])
    assert_same([model.predict(x, batch_size=7)], [expected])
    assert_same([model.predict_on_batch(x)], [expected])
    assert_same([model.features(x, -1)], [expected])
    assert_same([model(x).numpy(), model([x][0]).numpy()], [model(X).numpy()] * 2)
    assert_same(model.predict_mc(x, 2), model.predict_mc(X, 2))
    assert model.check_selu(x) == model.check_selu(X)
    assert model.plan(x).rows == 90
    other = classifier()
    assert model.train_on_batch(x, Y) == other.train_on_batch(X, Y)
    rates = [one.find_learning_rate(rows, Y) for one, rows in ((model, x), (other, X))]
    assert_same([rates[0].losses], [rates[1].losses])
    norms = [layers.Normalization() for _ in range(2)]
    norms[0].adapt(x)
    norms[1].adapt(X)
    assert_same(norms[0].get_weights(), norms[1].get_weights())


def test_targets_and_weights_come_as_series():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    weights = np.where(Y == 1, 2.0, 0.5)
    expected = trained(X, sample_weight=weights)
    assert_same(trained(X, pandas.array(Y, "Int64"), sample_weight=weights), expected)
    assert_same(
        trained(X, pandas.Series(Y, dtype="int64[pyarrow]"), sample_weight=pandas.Series(weights)),
        expected,
    )
    assert_same(trained(X, polars.Series(Y), sample_weight=polars.Series(weights)), expected)
    assert_same(trained(X, pandas.Series(Y, dtype="category")), trained(X))


def test_one_hot_rows_may_be_sparse():
    rows = np.eye(3)[Y]

    def weights(y):
        model = classifier()
        model.compile("adam", "categorical_crossentropy")
        model.fit(X, y, verbose=0)
        return model.get_weights()

    csr = pytest.importorskip("scipy.sparse").csr_matrix(rows)
    assert_same(weights(csr), weights(rows))


def test_models_of_several_inputs_are_called_with_frames():
    pandas = pytest.importorskip("pandas")
    inputs = [eg.Input((3,)), eg.Input((1,))]
    model = eg.Model(inputs, layers.Dense(2)(layers.Concatenate()(inputs)), seed=1)
    parts = frame()[["a", "b", "c"]], pandas.Series(X[:, 3])
    expected = model([X[:, :3], X[:, 3:]]).numpy()
    for _ in range(3):
        assert_same([model([*parts]).numpy()], [expected])


@pytest.mark.parametrize("chain", [[eg.Input((1,)), layers.Dense(2)], [layers.Dense(2)]])
def test_a_series_is_one_feature(chain):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    column = X[:, 0]
    model = eg.Sequential([*chain], seed=1)
    expected = model.predict(column[:, None])
    for given in (pandas.Series(column), polars.Series(column), pandas.array(column, "Float64")):
        model = eg.Sequential([*chain], seed=1)
        assert_same([model.predict(given)], [expected])


def test_an_array_of_one_dimension_fits_an_input_of_one_feature():
    pandas = pytest.importorskip("pandas")
    a, b = eg.Input((1,), name="a"), eg.Input((3,), name="b")
    model = eg.Model([a, b], layers.Dense(2)(layers.Concatenate()([a, b])), seed=1)
    expected = model.predict([X[:, :1], X[:, 1:]])
    for first in (X[:, 0], pandas.Series(X[:, 0]), X[:, 0].tolist()):
        assert_same([model.predict({"a": first, "b": X[:, 1:]})], [expected])
    with pytest.raises(ValueError, match=r"x\[1\]: expected shape \(rows, features\)"):
        model.predict([X[:, 0], X[:, 0]])


def test_an_input_of_single_values():
    model = eg.Sequential([eg.Input(()), layers.Embedding(3, 2)], seed=1)
    assert model.predict(Y).shape == (90, 2)


def test_gaps_are_refused_and_their_columns_named():
    gaps = frame("numpy_nullable")
    gaps.loc[[4, 7], "c"] = None
    holes = table("polars")
    holes[4, "c"] = holes[7, "c"] = None
    message = "x: expected finite numbers, got nan in row 4, column 'c'; 2 such values in all"
    for x in (gaps, holes):
        with pytest.raises(ValueError, match=message):
            classifier().fit(x, Y, verbose=0)
    outputs = classifier().predict(gaps, check_finite=False)
    assert np.flatnonzero(np.isnan(outputs).any(axis=1)).tolist() == [4, 7]


@pytest.mark.parametrize("kind", ["csr_array", "coo_matrix"])
def test_sparse_numbers_that_are_not_finite(kind):
    rows = X.copy()
    rows[7, 2], rows[11, 3] = np.inf, np.nan
    x = getattr(pytest.importorskip("scipy.sparse"), kind)(rows)
    with pytest.raises(ValueError, match=r"got inf in row 7, column 2; 2 such .* rows 7, 11 and"):
        classifier().fit(x, Y, verbose=0)
    many = getattr(pytest.importorskip("scipy.sparse"), kind)(np.full((3000, 4), np.nan))
    with pytest.raises(ValueError, match="in row 0, column 0; 12000 such values in all"):
        classifier().predict(many)
    assert np.isnan(classifier().predict(x, check_finite=False)[11]).all()


@pytest.mark.parametrize("module", ["h5py", "zarr"])
def test_stored_rows_are_looked_at_before_their_steps(module, tmp_path, monkeypatch):
    monkeypatch.setattr(_data, "RESIDENT_BYTES", 0)
    x = stored(module, tmp_path)
    x[77, 2] = np.nan
    model = classifier()
    before = model.get_weights()
    with pytest.raises(ValueError, match="got nan in row 77, column 2;"):
        model.fit(x, Y, verbose=0)
    assert_same(model.get_weights(), before)
    with pytest.raises(ValueError, match="got nan in row 77, column 2;"):
        model.predict(x)
    assert np.isnan(model.predict(x, check_finite=False)[77]).all()


def test_sparse_matrices_that_hold_no_rows_of_numbers():
    sparse = pytest.importorskip("scipy.sparse")
    for x, error, message in (
        (sparse.csr_array(X.astype(complex)), TypeError, "x: expected numbers, got .*complex"),
        (sparse.coo_array(X[0]), ValueError, r"x: expected shape \(rows, features\)"),
        (sparse.csr_array(X)[:0], ValueError, "x: expected at least one row"),
    ):
        with pytest.raises(error, match=message):
            classifier().predict(x)


def test_a_sparse_matrix_is_made_dense_some_rows_at_a_time(monkeypatch):
    matrices = pytest.importorskip("scipy.sparse")
    monkeypatch.setattr(_data, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(_data, "PIECE_BYTES", 2**20)
    x = matrices.random(20_000, 400, 0.01, "csr", np.float32, 1)
    model = eg.Sequential([layers.Dense(1)], seed=1)
    model.compile("sgd", "mse")
    model.fit(x[:64], np.zeros(64), verbose=0)
    tracemalloc.start()
    try:
        model.fit(x, np.zeros(20_000), verbose=0)
        model.predict(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < x.shape[0] * x.shape[1] * 4 / 3
