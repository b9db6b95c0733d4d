"""Estimators straight on tables: with an encoder of their own, in searches, and in files."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_predict

import evengrad as eg
from evengrad.sklearn import DenseClassifier, DenseRegressor, DenseTransformer, TableEncoder, load

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")
arrow = pytest.importorskip("pyarrow")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def flats(rows=120, seed=0):
    """Return a table of flats, and their rents: each town has its own level."""
    rng = np.random.default_rng(seed)
    towns = rng.integers(0, 3, rows)
    size = rng.normal(80, 20, rows)
    rent = np.array([0.0, 3.0, -3.0])[towns] + size / 20
    size[::11] = np.nan
    table = pandas.DataFrame(
        {
            "town": np.array(["Ulm", "Bern", "Graz"])[towns],
            "size": size,
            "balcony": rng.random(rows) > 0.5,
        }
    )
    table.loc[::13, "town"] = None
    return table, rent


def settings(**more):
    return {
        "hidden_layer_sizes": (16,),
        "max_iter": 8,
        "learning_rate_init": 0.02,
        "batch_size": 16,
        "random_state": 0,
        **more,
    }


def same_table(kind):
    return {
        "pandas": lambda table: table,
        "polars": polars.from_pandas,
        "Arrow": arrow.Table.from_pandas,
    }[kind]


@pytest.mark.parametrize("kind", ["polars", "Arrow"])
def test_a_table_trains_and_predicts_alike_from_every_library(kind):
    table, rent = flats()
    net = DenseRegressor(**settings(max_iter=40)).fit(table, rent)
    assert net.score(table, rent) > 0.7
    assert net.model_.dtype == "float32"
    other = DenseRegressor(**settings(max_iter=40)).fit(same_table(kind)(table), rent)
    np.testing.assert_array_equal(other.predict(table), net.predict(same_table(kind)(table)))
    assert other.feature_names_in_.tolist() == list(table.columns)
    assert other.n_features_in_ == 3


def test_the_net_begins_with_what_the_encoder_says():
    table, rent = flats()
    net = DenseClassifier(**settings()).fit(table, rent > 4)
    assert [layer.name for layer in net.model_.layers][:2] == ["town", "concatenate"]
    # Size, balcony, where the size is missing, and two places of the towns' vectors.
    assert net.coefs_[0].shape == (5, 16)
    inputs = TableEncoder().fit_inputs(table)
    np.testing.assert_array_equal(net.model_.predict(inputs)[:, 0], net.predict_proba(table)[:, 1])


def test_towns_not_seen_and_missing_ones_are_predicted():
    table, rent = flats()
    net = DenseRegressor(**settings()).fit(table, rent)
    new = table[:4].assign(
        town=["Rome", None, "Ulm", "Rome"], size=[80.0, 80, 80, 80], balcony=True
    )
    found = net.predict(new)
    assert found[0] == found[3]
    assert len(set(found)) == 3


def test_which_tables_go_through_an_encoder():
    table, rent = flats()
    numbers = table[["size", "balcony"]].fillna(0)
    assert DenseRegressor(**settings()).fit(numbers, rent).encoder_ is None
    array = load_iris().data[:120]
    assert DenseRegressor(**settings()).fit(array, rent).encoder_ is None
    # Asked for, even without a categorical column.
    net = DenseRegressor(**settings(categorical=[])).fit(table[["size", "balcony"]], rent)
    assert net.encoder_.get_feature_names_out().tolist()[-1] == "missingindicator_size"
    net = DenseRegressor(**settings(categorical=[1])).fit(np.c_[array, np.arange(120) % 3], rent)
    assert net.encoder_.columns_[1].categories is not None
    net = DenseRegressor(**settings(categorical=TableEncoder(numeric="quantile", min_frequency=5)))
    assert net.fit(table, rent).encoder_.numeric == "quantile"
    assert not hasattr(net.categorical, "categories_")


def test_a_table_of_numbers_alone_trains_as_the_array_does():
    iris = load_iris(as_frame=True)
    frame, array = (
        DenseClassifier(**settings()).fit(x, iris.target) for x in (iris.data, iris.data.to_numpy())
    )
    np.testing.assert_array_equal(
        frame.predict_proba(iris.data), array.predict_proba(iris.data.to_numpy())
    )


def test_missing_numbers_without_an_encoder_are_an_error_of_scikit_learn():
    table, rent = flats()
    for data in (table[["size"]], table[["size"]].to_numpy()):
        with pytest.raises(ValueError, match="contains NaN"):
            DenseRegressor(**settings()).fit(data, rent)
    with pytest.raises(ValueError, match="could not convert string to float"):
        DenseRegressor(**settings(categorical=None)).fit(table, rent)


def test_solvers_dtypes_and_held_out_rows():
    table, rent = flats()
    for more in (
        {"solver": "lbfgs"},
        {"early_stopping": True, "dropout": 0.1, "norm": "batch"},
        {"dtype": "float64"},
    ):
        net = DenseRegressor(**settings(**more)).fit(table, rent, sample_weight=np.ones(len(rent)))
        assert np.isfinite(net.predict(table)).all()
        assert net.model_.dtype == more.get("dtype", "float32")


def test_training_goes_on_with_the_encoder_of_the_first_rows():
    table, rent = flats()
    net = DenseRegressor(**settings())
    for start in (0, 60):
        net.partial_fit(table[start : start + 60], rent[start : start + 60])
    alone = TableEncoder().fit(table[:60])
    assert net.encoder_.means_.tolist() == alone.means_.tolist()
    net = DenseRegressor(**settings(warm_start=True)).fit(table, rent)
    encoder = net.encoder_
    assert net.fit(table[:70], rent[:70]).encoder_ is encoder


def test_a_model_of_the_users_comes_behind_the_embeddings():
    table, rent = flats()
    seen = []

    def model(meta):
        seen.append(meta)
        return eg.Sequential([eg.layers.Dense(4, "tanh"), eg.layers.Dense(meta.n_outputs)])

    net = DenseRegressor(**settings(model=model)).fit(table, rent)
    assert seen[0].n_features == 5
    assert net.predict(table).shape == (120,)


def test_searches_and_cross_validation_over_tables():
    table, rent = flats(60)
    grid = {
        "categorical": ["auto", TableEncoder(embedding_size=1)],
        "hidden_layer_sizes": [(4,), (8,)],
    }
    search = GridSearchCV(DenseRegressor(**settings()), grid, cv=2).fit(table, rent)
    assert search.predict(polars.from_pandas(table)).shape == (60,)
    nested = DenseRegressor(**settings(categorical=TableEncoder()))
    search = GridSearchCV(nested, {"categorical__numeric": ["standard", "quantile"]}, cv=2)
    assert search.fit(table, rent).best_params_["categorical__numeric"] in ("standard", "quantile")
    assert cross_val_predict(DenseClassifier(**settings()), table, rent > 4, cv=2).shape == (60,)


def test_other_columns_than_those_of_fit():
    table, rent = flats()
    net = DenseRegressor(**settings()).fit(table, rent)
    with pytest.raises(ValueError, match="same order as they were in fit"):
        net.predict(table[["size", "town", "balcony"]])
    with pytest.raises(ValueError, match="now missing:\n- town"):
        net.predict(table[["size", "balcony"]])
    with pytest.raises(
        TypeError, match="'town': expected categories as in fit, text such as 'Bern'"
    ):
        net.predict(table.assign(town=1))


def test_after_an_error_the_estimator_is_what_it_was():
    table, rent = flats()
    net = DenseRegressor(**settings()).fit(table, rent)
    before = dict(vars(net))
    dates = table.assign(since=pandas.Timestamp("2020-01-01"))
    with pytest.raises(TypeError, match="in column 'since'; subtract a start"):
        net.fit(dates, rent)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        net.fit(table, rent[:-1])
    assert vars(net) == before


def test_the_doctor_names_columns():
    table, rent = flats()
    net = DenseRegressor(**settings()).fit(table, rent)
    assert "town" in str(net.diagnose(table, rent))


# ---- categories without rows to train on


def vectors(net):
    return net.model_.get_layer("town").embeddings.numpy()


def one_layer(meta):
    return eg.Sequential([eg.layers.Dense(meta.n_outputs)])


@pytest.mark.parametrize("more", [{}, {"solver": "lbfgs"}, {"model": one_layer}])
def test_rows_of_embeddings_that_were_not_trained_are_the_mean_of_those_that_were(more):
    table, rent = flats()
    table = table.dropna(subset="town").drop(columns="balcony")
    rent = rent[table.index]
    net = DenseRegressor(**settings(**more)).fit(table, rent)
    counts = table["town"].value_counts().sort_index()
    assert counts.index.tolist() == net.encoder_.categories_[0]
    expected = counts.to_numpy() @ vectors(net)[2:] / counts.sum()
    np.testing.assert_allclose(vectors(net)[:2], [expected, expected], rtol=1e-5)


def test_rows_that_were_trained_stay_and_weights_count():
    table, rent = flats()
    weights = np.arange(len(rent)) % 3.0
    net = DenseRegressor(**settings()).fit(table, rent, sample_weight=weights)
    codes = net.encoder_.inputs(table)[1]
    counts = np.bincount(codes, weights, 5)
    assert counts[1] > 0
    found = vectors(net)
    np.testing.assert_allclose(found[0], counts[1:] @ found[1:] / counts.sum(), rtol=1e-5)
    assert np.abs(found[1] - found[0]).max() > 1e-3


def test_a_category_that_comes_later_is_trained_from_there():
    table, rent = flats()
    known = table["town"].notna().to_numpy()
    net = DenseRegressor(**settings(batch_size=10)).partial_fit(table[known], rent[known])
    before = vectors(net).copy()
    np.testing.assert_array_equal(before[0], before[1])
    net.save("net.safetensors")
    for same in (net, load("net.safetensors")):
        same.partial_fit(table[~known], rent[~known])
        # Only the one of missing values has had rows; the other follows the mean of all.
        found = vectors(same)
        assert np.abs(found[1] - before[1]).max() > 1e-4
        counts = np.bincount(net.encoder_.inputs(table)[1], minlength=5)
        np.testing.assert_allclose(found[0], counts[1:] @ found[1:] / 120, rtol=1e-5)


# ---- files


def fitted(kind, **more):
    table, rent = flats()
    targets = {DenseRegressor: rent, DenseClassifier: np.where(rent > 4, "dear", "cheap")}
    y = targets.get(kind, rent)
    return kind(**settings(**more)).fit(table, y), table, y


KINDS = {
    "regressor": (DenseRegressor, {}),
    "classifier": (DenseClassifier, {"early_stopping": True, "dropout": [0.1], "norm": "batch"}),
    "optimizer": (
        DenseClassifier,
        {"solver": eg.optimizers.RMSprop(0.01), "class_weight": "balanced"},
    ),
    "quantiles": (DenseRegressor, {"categorical": TableEncoder(numeric="quantile")}),
    "L-BFGS": (DenseRegressor, {"solver": "lbfgs"}),
    "transformer": (DenseTransformer, {}),
}


@pytest.mark.parametrize(("kind", "more"), KINDS.values(), ids=KINDS)
def test_one_file_has_all_of_an_estimator(kind, more):
    net, table, _ = fitted(kind, **more)
    net.save("net.safetensors")
    same = load("net.safetensors")
    assert type(same) is kind
    assert vars(same).keys() == vars(net).keys()
    assert repr(same) == repr(net)
    outputs = "transform" if kind is DenseTransformer else "predict"
    np.testing.assert_array_equal(getattr(same, outputs)(table), getattr(net, outputs)(table))
    if kind is DenseClassifier:
        assert same.classes_.tolist() == ["cheap", "dear"]
        assert same.classes_.dtype == net.classes_.dtype
    assert same.loss_curve_ == net.loss_curve_ if hasattr(net, "loss_curve_") else True
    assert same.history_.history == net.history_.history
    assert clone(same).get_params().keys() == net.get_params().keys()
    inside = eg.load_model("net.safetensors")
    np.testing.assert_array_equal(
        inside.predict(same.encoder_.inputs(table)), net.model_.predict(net.encoder_.inputs(table))
    )


def test_training_goes_on_from_a_file():
    table, rent = flats()
    net = DenseRegressor(**settings()).partial_fit(table, rent)
    net.save("net.safetensors")
    same = load("net.safetensors")
    for one in (net, same):
        one.partial_fit(table, rent)
    np.testing.assert_array_equal(net.predict(table), same.predict(table))
    assert net.t_ == same.t_ == 240


def test_arrays_labels_and_own_functions():
    iris = load_iris()
    net = DenseClassifier(**settings(class_weight={0: 2.0, 2: 1.0}, model=three)).fit(
        iris.data, iris.target
    )
    net.save("net.safetensors")
    with pytest.raises(ValueError, match=r"custom_objects=\{'three': three\}"):
        load("net.safetensors")
    same = load("net.safetensors", custom_objects={"three": three})
    assert same.get_params() == net.get_params()
    assert same.classes_.dtype == net.classes_.dtype
    np.testing.assert_array_equal(same.predict_proba(iris.data), net.predict_proba(iris.data))


def three(meta):
    return eg.Sequential([eg.layers.Dense(meta.n_outputs, "softmax")])


class Own(DenseRegressor):
    """An estimator of a user's."""


def test_an_estimator_of_the_users():
    table, rent = flats()
    Own(**settings()).fit(table, rent).save("net.safetensors")
    with pytest.raises(ValueError, match="unknown estimator 'Own'; if it is your own"):
        load("net.safetensors")
    assert type(load("net.safetensors", custom_objects={"Own": Own})) is Own


def test_what_no_file_can_hold_is_named():
    table, rent = flats()
    net = DenseRegressor(**settings(callbacks=[eg.callbacks.EarlyStopping("loss")])).fit(
        table, rent
    )
    with pytest.raises(ValueError, match=r"^callbacks: cannot describe .* set_params\(callbacks="):
        net.save("net.safetensors")
    net.set_params(callbacks=None).save("net.safetensors")
    with pytest.raises(ValueError, match="suffix of another format"):
        net.save("net.pkl")


def test_files_that_are_damaged_or_others(tmp_path):
    net, _, _ = fitted(DenseRegressor)
    net.model_.save("model.safetensors")
    with pytest.raises(
        eg.FileFormatError, match=r"expected an estimator.* evengrad\.load_model reads"
    ):
        load("model.safetensors")
    net.save("net.safetensors")
    path = tmp_path / "net.safetensors"
    whole = path.read_bytes()
    for place in (40, len(whole) // 2, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 1
        path.write_bytes(broken)
        with pytest.raises(eg.FileFormatError, match=r"net\.safetensors"):
            load(path)


def test_pickles_and_skops():
    skops = pytest.importorskip("skops.io")
    net, table, _ = fitted(DenseClassifier)
    written = skops.dumps(net)
    copies = [
        pickle.loads(pickle.dumps(net)),  # noqa: S301 - made here
        skops.loads(written, trusted=skops.get_untrusted_types(data=written)),
    ]
    for same in copies:
        np.testing.assert_array_equal(same.predict(table), net.predict(table))
