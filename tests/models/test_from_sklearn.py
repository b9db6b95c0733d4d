"""Models of scikit-learn's perceptrons: the same outputs, whatever the activation and the head."""

import copy

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor

import evengrad as eg
from evengrad import layers

pytestmark = pytest.mark.filterwarnings(
    f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}"
)

ACTIVATIONS = ["identity", "logistic", "tanh", "relu"]
LABELS = {
    "two": lambda codes: np.array(["no", "yes"])[codes % 2],
    "three": lambda codes: codes % 3 * 10,
    "several": lambda codes: np.stack([codes % 2, codes % 3 > 0], axis=1).astype(int),
}
TOLERANCE = {"float32": 3e-6, "float64": 1e-12}


def rows(dtype="float64"):
    return np.random.default_rng(0).normal(size=(60, 5)).astype(dtype)


def codes():
    return np.random.default_rng(1).integers(0, 6, 60)


def perceptron(kind, x, y, activation="relu", **arguments):
    made = kind(
        hidden_layer_sizes=(7, 4),
        activation=activation,
        max_iter=3,
        random_state=0,
        **arguments,
    )
    return made.fit(x, y)


def assert_close(found, wanted, dtype):
    assert np.abs(found - wanted).max() <= TOLERANCE[dtype] * np.abs(wanted).max()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_classifiers(activation, labels, dtype):
    x = rows(dtype)
    mlp = perceptron(MLPClassifier, x, LABELS[labels](codes()), activation)
    model = eg.Model.from_sklearn(mlp)
    found = model.predict(x, verbose=0)
    wanted = mlp.predict_proba(x)
    assert model.dtype == dtype
    assert_close(found, wanted[:, 1:] if labels == "two" else wanted, dtype)
    if labels == "two":
        chosen = model.classes_[(found[:, 0] > 0.5).astype(int)]
    elif labels == "three":
        chosen = model.classes_[found.argmax(1)]
    else:
        chosen = (found > 0.5).astype(int)
    np.testing.assert_array_equal(chosen, mlp.predict(x))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_regressors(activation, targets, dtype):
    x = rows(dtype)
    y = np.random.default_rng(2).normal(size=(60, targets)).astype(dtype)
    mlp = perceptron(MLPRegressor, x, y if targets > 1 else y[:, 0], activation)
    model = eg.Model.from_sklearn(mlp)
    assert_close(model.predict(x, verbose=0), mlp.predict(x).reshape(60, -1), dtype)
    assert model.classes_ is None


def test_counts_have_the_exponential_at_the_end():
    if "loss" not in MLPRegressor().get_params():
        pytest.skip("scikit-learn before 1.7 has no such loss")
    x, y = rows(), codes().astype(float)
    mlp = perceptron(MLPRegressor, x, y, loss="poisson")
    found = eg.Model.from_sklearn(mlp).predict(x, verbose=0)[:, 0]
    assert_close(found, mlp.predict(x), "float64")


def test_another_dtype():
    x = rows()
    mlp = perceptron(MLPRegressor, x, x[:, 0])
    model = eg.Model.from_sklearn(mlp, dtype="float32")
    assert model.dtype == "float32"
    assert_close(model.predict(x.astype("float32"), verbose=0)[:, 0], mlp.predict(x), "float32")


@pytest.mark.parametrize("labels", LABELS)
def test_classes_go_with_the_model(tmp_path, labels):
    model = eg.Model.from_sklearn(perceptron(MLPClassifier, rows(), LABELS[labels](codes())))
    model.save(tmp_path / "net.safetensors")
    copies = [eg.load_model(tmp_path / "net.safetensors"), model.clone(), copy.deepcopy(model)]
    for one in [*copies, model.fold_batch_norm()]:
        np.testing.assert_array_equal(one.classes_, model.classes_)
        assert one.classes_.dtype.kind == model.classes_.dtype.kind


def test_names_of_columns_go_with_the_model():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows(), columns=list("abcde"))
    model = eg.Model.from_sklearn(perceptron(MLPRegressor, frame, frame["a"]))
    assert model.feature_names_in_ == list("abcde")
    with pytest.raises(ValueError, match="feature_names_in_"):
        model.predict(frame[list("bacde")], verbose=0)


def test_the_model_trains_on():
    x, y = rows(), codes() % 3
    model = eg.Model.from_sklearn(perceptron(MLPClassifier, x, y))
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(x, y, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_weights_go_into_a_model_that_is_there():
    x = rows()
    mlp = perceptron(MLPRegressor, x, x[:, 0], "tanh")
    model = eg.Sequential(
        [
            eg.Input((5,)),
            layers.Dense(7, "tanh"),
            layers.Dropout(0.5),
            layers.Dense(4, "tanh"),
            layers.Dense(1),
        ]
    )
    report = model.load_weights(mlp)
    assert report.matched["coefs_[1]"] == "dense_1/kernel"
    assert_close(model.predict(x.astype("float32"), verbose=0)[:, 0], mlp.predict(x), "float32")
    narrow = eg.Sequential([eg.Input((5,)), layers.Dense(7), layers.Dense(3)])
    before = narrow.get_weights()
    with pytest.raises(eg.FileFormatError, match="MLPRegressor: 'coefs_"):
        narrow.load_weights(mlp)
    for old, new in zip(before, narrow.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_is_no_fitted_perceptron_is_refused():
    with pytest.raises(ValueError, match="MLPRegressor is not fitted"):
        eg.Model.from_sklearn(MLPRegressor())
    with pytest.raises(TypeError, match="MLPClassifier or MLPRegressor, got LogisticRegression"):
        eg.Model.from_sklearn(LogisticRegression())
    with pytest.raises(TypeError, match="got str"):
        eg.Model.from_sklearn("net.pkl")
    odd = perceptron(MLPRegressor, rows(), codes())
    odd.out_activation_ = "step"
    with pytest.raises(ValueError, match="unknown activation 'step'"):
        eg.Model.from_sklearn(odd)
