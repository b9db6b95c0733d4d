"""Transformers that train a net: with targets, and without."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import evengrad as eg
from evengrad.sklearn import (
    AutoencoderTransformer,
    DenseClassifier,
    DenseTransformer,
    TableEncoder,
    load,
)
from evengrad.sklearn._one_hot import table_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)
SCALED = (X - X.mean(axis=0)) / X.std(axis=0)


@parametrize_with_checks(
    [
        DenseTransformer(hidden_layer_sizes=(8,), max_iter=5),
        DenseTransformer(0, task="regression", hidden_layer_sizes=(8,), max_iter=5),
        AutoencoderTransformer(hidden_layer_sizes=(8,), max_iter=5),
        AutoencoderTransformer(1, (8,), tied=True, noise=0.1, norm="layer", max_iter=5),
    ]
)
def test_conventions_of_scikit_learn(estimator, check):
    check(estimator)


# ---- with targets


def features(**more):
    return DenseTransformer(hidden_layer_sizes=(8, 4), max_iter=5, random_state=0, **more)


def test_features_are_what_the_layer_puts_out():
    net = features(activation="tanh").fit(X, Y)
    (first, second, _), (b, c, _) = net.coefs_, net.intercepts_
    hidden = np.tanh(X @ first + b)
    np.testing.assert_allclose(net.transform(X), np.tanh(hidden @ second + c), rtol=1e-10)
    np.testing.assert_allclose(net.set_params(layer=0).transform(X), hidden, rtol=1e-10)
    assert net.get_feature_names_out().tolist() == [f"dense{at}" for at in range(8)]
    # The net is the classifier's own.
    same = DenseClassifier((8, 4), "tanh", max_iter=5, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(same.coefs_[0], first)


def test_targets_say_what_is_learnt():
    assert features().fit(X, Y).out_activation_ == "softmax"
    assert features().fit(X, Y.astype(str)).out_activation_ == "softmax"
    assert features().fit(X, Y + 0.5).out_activation_ == "identity"
    assert features(task="regression").fit(X, Y).out_activation_ == "identity"
    assert features(class_weight="balanced").fit(X, Y).transform(X).shape == (150, 4)
    with pytest.raises(ValueError, match="class_weight, label_smoothing: expected None and 0"):
        features(class_weight="balanced").fit(X, Y + 0.5)


def test_features_of_a_table():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["u", "v"])[Y % 2])
    net = features().set_output(transform="pandas").fit(table, Y)
    assert net.transform(table).columns.tolist() == [f"dense_1{at}" for at in range(4)]
    named = features(layer="kind").fit(table, Y)
    assert named.get_feature_names_out().tolist() == ["kind0", "kind1"]
    assert named.transform(table).shape == (150, 2)


def test_it_goes_into_pipelines_and_searches():
    pipeline = make_pipeline(features(), LogisticRegression(max_iter=500))
    grid = {"densetransformer__layer": [0, -2], "densetransformer__activation": ["tanh", "relu"]}
    assert GridSearchCV(pipeline, grid, cv=2).fit(X, Y).score(X, Y) > 0.8
    net = features(layer=0)
    assert clone(net).get_params() == net.get_params()
    assert repr(net) == (
        "DenseTransformer(hidden_layer_sizes=(8, 4), layer=0, max_iter=5, random_state=0)"
    )
    again = pickle.loads(pickle.dumps(net.fit(X, Y)))  # noqa: S301 - made here
    np.testing.assert_array_equal(again.transform(X), net.transform(X))


class Failing(eg.callbacks.Callback):
    """Raises an error where a training begins."""

    def on_train_begin(self, *_):
        raise RuntimeError("it is trained")


def test_errors_of_features():
    with pytest.raises(TypeError, match="hidden_layers"):
        DenseTransformer(hidden_layers=(3,))
    net = features().fit(X, Y)
    before = dict(vars(net))
    net.layer = 7
    with pytest.raises(ValueError, match="layer: expected a position below 3"):
        net.fit(X, Y)
    assert vars(net) == {**before, "layer": 7}
    with pytest.raises(ValueError, match="layer: expected a position below 3"):
        # Before anything is trained.
        features(layer=7, callbacks=[Failing()]).fit(X, Y)


# ---- without targets


def coder(*given, **more):
    return AutoencoderTransformer(*given, **{"random_state": 0, "max_iter": 5, **more})


@pytest.mark.parametrize("tied", [False, True])
def test_without_hidden_layers_it_finds_the_plane_of_the_principal_components(tied):
    net = coder(2, (), alpha=0.0, tied=tied, solver="lbfgs", max_iter=300, tol=1e-9).fit(SCALED)
    least = PCA(2).fit(SCALED)
    best = ((least.inverse_transform(least.transform(SCALED)) - SCALED) ** 2).sum()
    np.testing.assert_allclose(-net.score_samples(SCALED).sum(), best, rtol=1e-3)
    given_back = net.inverse_transform(net.transform(SCALED))
    np.testing.assert_allclose(
        net.score_samples(SCALED), -((given_back - SCALED) ** 2).sum(axis=1), rtol=1e-9
    )


def test_encoder_and_decoder_are_models():
    net = coder(3, (8, 6), "tanh", output_activation="logistic").fit(SCALED)
    assert [layer.units for layer in net.encoder_.layers] == [8, 6, 3]
    assert [layer.units for layer in net.decoder_.layers] == [6, 8, 4]
    codes = net.transform(SCALED)
    np.testing.assert_array_equal(codes, net.encoder_.predict(SCALED))
    back = net.inverse_transform(codes)
    assert ((back > 0) & (back < 1)).all()
    assert net.get_feature_names_out().tolist() == [
        f"autoencodertransformer{at}" for at in range(3)
    ]
    assert len(net.loss_curve_) == net.n_iter_ == 5


def test_tied_kernels_are_transposed(tmp_path):
    net = coder(2, (5,), "tanh", tied=True).fit(SCALED)
    first, code = (layer.kernel.numpy() for layer in net.encoder_.layers)
    second, last = (layer.kernel.numpy() for layer in net.decoder_.layers)
    np.testing.assert_array_equal(second, code.T)
    np.testing.assert_array_equal(last, first.T)
    # Each part goes into a file by itself.
    net.decoder_.save(tmp_path / "decoder.safetensors")
    decoder = eg.load_model(tmp_path / "decoder.safetensors")
    codes = net.transform(SCALED)
    np.testing.assert_array_equal(decoder.predict(codes), net.inverse_transform(codes))


@pytest.mark.parametrize("noise", [2.0, eg.layers.Dropout(0.5), eg.layers.SwapNoise(0.5)])
def test_noise_spoils_the_training_alone(noise):
    net, clean = (
        coder(2, (8,), noise=one, max_iter=40, learning_rate_init=0.02).fit(SCALED)
        for one in (noise, None)
    )
    assert net.loss_ > 1.5 * clean.loss_
    np.testing.assert_array_equal(net.transform(SCALED), net.transform(SCALED))


def test_a_penalty_on_codes_makes_them_small():
    sizes = [
        np.abs(
            coder(
                2, (), activity_regularizer=penalty, max_iter=40, learning_rate_init=0.02
            ).fit_transform(SCALED)
        ).mean()
        for penalty in (None, eg.regularizers.L1(10.0))
    ]
    assert sizes[1] < sizes[0] / 2


def test_settings_of_the_training():
    norm = coder(
        2, (8,), norm="batch", early_stopping=True, validation_fraction=0.2, dtype="float32"
    )
    net = norm.fit(SCALED)
    assert len(net.validation_scores_) == net.n_iter_
    assert net.transform(SCALED).dtype == np.float32
    one = coder(1, (4,)).fit(SCALED[:, :1])
    assert one.inverse_transform(one.transform(SCALED[:, :1])).shape == (150, 1)
    again = pickle.loads(pickle.dumps(net))  # noqa: S301 - made here
    np.testing.assert_array_equal(again.transform(SCALED), net.transform(SCALED))
    skops = pytest.importorskip("skops.io")
    written = skops.dumps(net)
    again = skops.loads(written, trusted=skops.get_untrusted_types(data=written))
    np.testing.assert_array_equal(
        again.inverse_transform(X[:, :2]), net.inverse_transform(X[:, :2])
    )


# ---- tables without targets


def flowers():
    """Return a table of flowers: numbers with gaps, kinds with gaps, and a flag."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X[:, :2], columns=["long", "wide"])
    table.loc[::15, "wide"] = np.nan
    kinds = np.array(["setosa", "versicolor", "virginica"], object)[Y]
    kinds[::20] = None
    return table.assign(kind=kinds, large=X[:, 2] > 4)


def test_a_table_is_coded_and_given_back():
    table = flowers()
    net = coder(4, (32,), "tanh", solver="lbfgs", max_iter=400, alpha=0.0, tol=1e-6).fit(table)
    back = net.inverse_transform(net.transform(table))
    assert back.shape == table.shape
    assert back.dtype == object
    assert net.n_features_in_ == 4
    for column in (0, 1):
        values, known = back[:, column].astype(float), table.iloc[:, column].to_numpy()
        assert (np.isnan(values) == np.isnan(known)).mean() > 0.98
        both = ~np.isnan(values) & ~np.isnan(known)
        assert np.corrcoef(values[both], known[both])[0, 1] > 0.98
    kinds = table["kind"].to_numpy(object, na_value=None)
    assert np.mean(back[:, 2] == kinds) > 0.98
    assert ((back[:, 3].astype(float) > 0.5) == table["large"]).mean() > 0.98


@pytest.mark.parametrize("numeric", ["standard", "quantile", None])
def test_what_the_net_gets_of_a_table_is_numbers_and_a_column_for_each_value(numeric):
    table = flowers()
    net = coder(2, categorical=TableEncoder(numeric=numeric)).fit(table)
    rows = net._rows(table)
    # Three columns of numbers, an indicator, and one for missing kinds and for each known one.
    assert rows.shape == (150, 8) == (150, net.model_.output_shape[1])
    kinds = table["kind"].map({"setosa": 1, "versicolor": 2, "virginica": 3}).fillna(0).astype(int)
    np.testing.assert_array_equal(rows[:, 4:], np.eye(4)[kinds])
    np.testing.assert_array_equal(rows[:, 3], table["wide"].isna())
    back = table_of(net.table_encoder_, net.levels_, rows)
    for column, name in enumerate(table.columns):
        if name == "kind":
            kinds = table[name].to_numpy(object, na_value=None)
            assert back[:, column].tolist() == kinds.tolist()
        else:
            known = table[name].to_numpy(float)
            np.testing.assert_allclose(back[:, column].astype(float), known, rtol=1e-4, atol=1e-4)


def test_unseen_kinds_are_zeros_and_arrays_have_no_encoder():
    table = flowers()
    net = coder(2).fit(table)
    other = table.assign(kind="new")
    assert not net._rows(other)[:, 4:].any()
    assert net.transform(other).shape == (150, 2)
    with pytest.raises(ValueError, match="feature names should match"):
        net.transform(table[["kind", "wide", "long", "large"]])
    assert coder(2).fit(X).table_encoder_ is None
    with pytest.raises(ValueError, match="could not convert string to float"):
        coder(2, categorical=None).fit(table)


@pytest.mark.parametrize("tied", [False, True])
def test_one_file_has_all_of_an_autoencoder(tmp_path, tied):
    table, path = flowers(), tmp_path / "net.safetensors"
    for rows in (table, SCALED):
        net = coder(2, (8,), noise=eg.layers.Dropout(0.1), tied=tied).fit(rows)
        net.save(path)
        same = load(path)
        assert vars(same).keys() == vars(net).keys()
        assert repr(same) == repr(net)
        np.testing.assert_array_equal(same.transform(rows), net.transform(rows))
        codes = net.transform(rows)
        assert str(same.inverse_transform(codes)) == str(net.inverse_transform(codes))
        # The halves are of the model, in copies too.
        for one in (net, same, pickle.loads(pickle.dumps(net))):  # noqa: S301 - made here
            assert one.encoder_.layers[-1] is one.model_.get_layer("code")
    inside = eg.load_model(path)
    np.testing.assert_allclose(
        inside.predict(SCALED), net.inverse_transform(net.transform(SCALED)), rtol=1e-12
    )


def test_errors_of_codes():
    net = coder(2, (8,)).fit(SCALED)
    with pytest.raises(
        ValueError, match="X: expected codes of 2 columns, as transform returns them"
    ):
        net.inverse_transform(SCALED)
    before = dict(vars(net))
    with pytest.raises(ValueError, match="contains NaN"):
        net.fit(np.where(SCALED > 1, np.nan, SCALED)[:, :3])
    assert vars(net) == before
    with pytest.raises(TypeError, match=r"noise: expected a layer such as layers\.Dropout"):
        coder(noise="much").fit(SCALED)
    with pytest.raises(ValueError, match="n_components"):
        coder(0).fit(SCALED)
