"""`Model.features`, and the transformer that puts it into scikit-learn's pipelines."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

import evengrad as eg
from evengrad import layers
from evengrad.sklearn import FeatureExtractor


@pytest.fixture
def rng():
    return np.random.default_rng(32)


def chain(**settings):
    parts = [
        layers.Dense(8, "tanh", name="first"),
        layers.Dropout(0.5),
        layers.Dense(6, "relu", name="second"),
        layers.Dense(3, "softmax"),
    ]
    return eg.Sequential([eg.Input((5,)), *parts], **{"seed": 3, **settings})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sequential(rng, dtype):
    model = chain(dtype=dtype)
    x = rng.normal(size=(40, 5))
    w1, b1, w2, b2, *_ = model.get_weights()
    first = np.tanh(x @ w1 + b1)
    second = np.maximum(first @ w2 + b2, 0)
    for layer, expected in [
        (0, first),
        ("first", first),
        (1, first),
        (-2, second),
        ("second", second),
        (-4, first),
    ]:
        found = model.features(x, layer, batch_size=16)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.features(x), model.features(x, "second"))
    np.testing.assert_array_equal(model.features(x, -1), model.predict(x))


def test_nothing_changes(rng, tmp_path):
    x, y = rng.normal(size=(40, 5)), rng.integers(0, 3, 40)
    weights = []
    for asked in (False, True):
        eg.utils.set_random_seed(8)
        model = chain(seed=None)
        model.compile("adam", "sparse_categorical_crossentropy")
        for _ in range(2):
            if asked:
                model.features(x)
            model.fit(x, y, verbose=0)
        other = eg.Sequential([eg.Input((2,)), layers.Dense(2)])
        weights.append([*model.get_weights(), *other.get_weights()])
        assert next(path for path, _ in model.named_weights()) == "first/kernel"
        model.save(tmp_path / "net")
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_built_by_the_data(rng):
    model = eg.Sequential([layers.Dense(4), layers.Dense(2)])
    assert model.features(rng.normal(size=(3, 5))).shape == (3, 4)
    assert model.features(iter([rng.normal(size=(3, 5))])).shape == (3, 4)


def test_graph(rng):
    a, b = eg.Input((4,)), eg.Input((3,))
    shared = layers.Dense(3, "tanh", name="shared")
    left = shared(a)
    right = shared(layers.Dense(4, name="widen")(b))
    out = layers.Dense(2)(layers.Concatenate(name="join")([left, right]))
    model = eg.Model([a, b], out, seed=1)
    data = [rng.normal(size=(6, 4)), rng.normal(size=(6, 3))]
    joined = model.features(data)
    assert joined.shape == (6, 6)
    # At its last use.
    np.testing.assert_array_equal(model.features(data, "shared"), joined[:, 3:])
    np.testing.assert_allclose(model.features(data, "join"), joined)


class Own(eg.Model):
    def __init__(self):
        super().__init__(seed=4)
        self.inner = eg.Sequential([layers.Dense(4, "relu"), layers.Dense(3)])
        self.head = layers.Dense(2)
        self.unused = layers.Dense(2)

    def call(self, x):
        return self.head(self.inner(x))


def test_subclass(rng):
    model = Own()
    x = rng.normal(size=(20, 5))
    model.build((None, 5))
    # The model inside answers from a capture by now.
    with eg.no_grad():
        inner = [model.inner(x.astype("float32")).numpy() for _ in range(4)][-1]
    np.testing.assert_allclose(model.features(x, "inner", batch_size=7), inner, rtol=1e-6)
    np.testing.assert_array_equal(model.features(x, "head"), model.predict(x))
    with pytest.raises(ValueError, match="the model's call does not use 'unused'"):
        model.features(x, "unused")


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        ("secnd", ValueError, "layer: no layer 'secnd'; did you mean 'second'"),
        (4, ValueError, "layer: expected a position below 4"),
        (-5, ValueError, "layer: expected -4 or more"),
        (None, TypeError, "layer: expected an integer"),
    ],
)
def test_no_such_layer(layer, error, message):
    with pytest.raises(error, match=message):
        chain().features(np.ones((1, 5)), layer)


@pytest.fixture(scope="module")
def digits():
    """Return digits, and a model that has learned to tell the even half of them apart."""
    x, y = load_digits(return_X_y=True)
    x = x / 16
    parts = [layers.Dense(64, "relu", kernel_initializer="auto"), layers.Dense(32, "relu")]
    model = eg.Sequential([*parts, layers.Dense(10, "softmax")], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[:800], y[:800], epochs=30, verbose=0)
    return x, y, model


class TestFeatureExtractor:
    @pytest.mark.parametrize("head", [SVC(), LogisticRegression(max_iter=2000)])
    def test_in_a_pipeline(self, digits, head):
        x, y, model = digits
        pipeline = make_pipeline(FeatureExtractor(model), StandardScaler(), head)
        pipeline.fit(x[:800], y[:800])
        assert pipeline.score(x[800:], y[800:]) > 0.88
        np.testing.assert_array_equal(pipeline[0].transform(x), model.features(x))

    def test_searches_share_the_model(self, digits):
        x, y, model = digits
        pipeline = Pipeline([("features", FeatureExtractor(model)), ("head", SVC())])
        assert clone(pipeline).named_steps["features"].model is model
        search = GridSearchCV(pipeline, {"features__layer": [0, 1], "head__C": [1, 10]}, cv=2)
        search.fit(x[:300], y[:300])
        assert search.best_score_ > 0.8

    def test_in_other_processes(self, digits):
        x, y, model = digits
        pipeline = make_pipeline(FeatureExtractor(model), SVC())
        alone, apart = (cross_val_score(pipeline, x[:200], y[:200], cv=2, n_jobs=n) for n in (1, 2))
        np.testing.assert_array_equal(alone, apart)
        again = pickle.loads(pickle.dumps(FeatureExtractor(model).fit(x)))  # noqa: S301 - our own
        np.testing.assert_array_equal(again.transform(x), model.features(x))
        assert again.n_features_in_ == 64

    def test_courtesies(self, digits):
        x, _, model = digits
        extractor = FeatureExtractor(model, layer="dense")
        assert extractor.get_params()["layer"] == "dense"
        assert extractor.transform(x).shape == (1797, 64)
        frame = pd.DataFrame(x[:20], columns=[f"pixel{i}" for i in range(64)])
        assert extractor.fit(frame) is extractor
        assert extractor.n_features_in_ == 64
        assert list(extractor.feature_names_in_[:2]) == ["pixel0", "pixel1"]
        assert list(extractor.get_feature_names_out()[:2]) == ["dense0", "dense1"]
        out = extractor.set_output(transform="pandas").fit_transform(frame)
        assert list(out.columns[:2]) == ["dense0", "dense1"]
        extractor.fit(x)
        assert not hasattr(extractor, "feature_names_in_")
        assert "FeatureExtractor" in repr(extractor)

    def test_several_outputs_become_one_vector(self, rng):
        recurrent = layers.SimpleRNN(3, return_state=True)
        x = rng.normal(size=(4, 6, 2))
        symbol = eg.Input((6, 2))
        output, state = recurrent(symbol)
        model = eg.Model(symbol, layers.Dense(1)(layers.Add()([output, state])))
        assert [one.shape for one in model.features(x, "simple_rnn")] == [(4, 3), (4, 3)]
        assert FeatureExtractor(model, "simple_rnn").transform(x).shape == (4, 6)

    def test_rows_become_vectors(self, rng):
        model = eg.Sequential([layers.Reshape((2, 3)), layers.Flatten()])
        assert FeatureExtractor(model).fit_transform(rng.normal(size=(4, 6))).shape == (4, 6)

    def test_one_hot_columns_of_an_encoder_come_sparse(self, rng):
        frame = pd.DataFrame({"city": rng.choice(list("abc"), 30), "age": rng.normal(size=30)})
        encoder = make_column_transformer(
            (OneHotEncoder(), ["city"]), remainder="passthrough", sparse_threshold=1.0
        )
        rows = encoder.fit_transform(frame)
        assert issparse(rows)
        model = eg.Sequential([eg.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(2)], seed=1)
        expected = FeatureExtractor(model).fit_transform(rows.toarray())
        found = make_pipeline(encoder, FeatureExtractor(model)).fit(frame).transform(frame)
        np.testing.assert_array_equal(found, expected)

    def test_what_does_not_fit(self, digits):
        x, _, model = digits
        with pytest.raises(ValueError, match="expected an input of shape"):
            FeatureExtractor(model).fit(x[:, :5])
        with pytest.raises(ValueError, match="layer: no layer 'dens'"):
            FeatureExtractor(model, "dens").fit(x)

    @pytest.mark.parametrize("model", [3, None, layers.Dense(2)])
    def test_no_model(self, rng, model):
        x = rng.normal(size=(4, 6))
        for ask in (FeatureExtractor(model).fit, FeatureExtractor(model).transform):
            with pytest.raises(TypeError, match="model: expected a model of evengrad, got"):
                ask(x)
