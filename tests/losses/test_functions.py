"""Losses as functions: they follow from the classes, and have the values that Keras prints."""

import inspect
import pickle

import numpy as np
import pytest
from loss_cases import NAMES, OF_BATCHES, batch

import evengrad as eg
from evengrad import losses
from evengrad._common.names import snake_case

# What Keras 3.15.1 computes in float32 of these.
AMOUNTS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[1.5, 2.0, 2.0], [4.0, 7.0, 5.0]])
LABELS = np.array([1, 2, 0, 1])
ROWS = np.eye(3)[LABELS]
SHARES = np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25], [0.6, 0.3, 0.1]])
UNIT = SHARES / np.linalg.norm(SHARES, axis=1, keepdims=True)
KERAS = [
    ("mean_squared_error", AMOUNTS, {}, [0.416667, 1.666667]),
    ("mean_absolute_error", AMOUNTS, {}, [0.5, 1.0]),
    ("mean_absolute_percentage_error", AMOUNTS, {}, [27.777779, 18.888889]),
    ("mean_squared_logarithmic_error", AMOUNTS, {}, [0.044185, 0.035508]),
    ("huber", AMOUNTS, {}, [0.208333, 0.666667]),
    ("log_cosh", AMOUNTS, {}, [0.184632, 0.586261]),
    ("cosine_similarity", AMOUNTS, {}, [-0.960001, -0.973013]),
    ("poisson", AMOUNTS, {}, [0.542933, -2.977119]),
    ("binary_crossentropy", (ROWS, SHARES), {}, [0.228393, 0.543214, 0.422837, 0.741875]),
    ("categorical_crossentropy", (ROWS, SHARES), {}, [0.356675, 0.916291, 0.693147, 1.203973]),
    ("kl_divergence", (ROWS, SHARES), {}, [0.356675, 0.916291, 0.693147, 1.203973]),
    ("hinge", (ROWS, SHARES), {}, [0.866667, 1.066667, 1.0, 1.133333]),
    ("squared_hinge", (ROWS, SHARES), {}, [0.913333, 1.246667, 1.125, 1.42]),
    ("categorical_hinge", (ROWS, SHARES), {}, [0.5, 0.9, 0.75, 1.3]),
    ("binary_focal_crossentropy", (ROWS, SHARES), {}, [0.014027, 0.131355, 0.069749, 0.306955]),
    (
        "categorical_focal_crossentropy",
        (ROWS, SHARES),
        {},
        [0.008025, 0.082466, 0.043322, 0.147487],
    ),
    ("dice", (ROWS, SHARES), {}, 0.525),
    ("tversky", (ROWS, SHARES), {}, 0.525),
    (
        "sparse_categorical_crossentropy",
        (LABELS[:, None], SHARES),
        {},
        [0.356675, 0.916291, 0.693147, 1.203973],
    ),
    (
        "sparse_categorical_crossentropy",
        (LABELS, SHARES),
        {"ignore_class": 2},
        [0.356675, 0.0, 0.693147, 1.203973],
    ),
    (
        "categorical_generalized_cross_entropy",
        (LABELS, SHARES),
        {"q": 0.5},
        [0.32668, 0.735089, 0.585786, 0.904555],
    ),
    ("circle", (np.array([0, 0, 1, 1]), UNIT), {}, [9.46433, 45.802685, 40.78352, 23.665012]),
]


@pytest.mark.parametrize(("name", "given", "settings", "expected"), KERAS)
def test_values_are_those_of_keras(name, given, settings, expected):
    found = getattr(losses, name)(*given, **settings).numpy()
    np.testing.assert_allclose(found, expected, rtol=3e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_loss_is_a_function_too(name):
    kind = getattr(losses, name)
    function = getattr(losses, snake_case(name))
    taken = [*inspect.signature(function).parameters]
    of_class = [*inspect.signature(kind).parameters]
    assert taken == ["y_true", "y_pred", *(x for x in of_class if x not in ("reduction", "name"))]
    assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - made here
    assert repr(losses.get(function)) == repr(kind())
    y, p = batch(name, np.random.default_rng(3))
    each = function(y, p).numpy()
    np.testing.assert_allclose(each.mean(), kind()(y, p).item(), rtol=1e-12)
    if name not in OF_BATCHES:
        assert each.shape == p.shape[:-1]


@pytest.mark.parametrize("kind", [losses.SparseCategoricalCrossentropy, losses.Circle])
def test_class_numbers_may_stand_in_a_column(kind):
    given = UNIT if kind is losses.Circle else SHARES
    weights = [1.0, 2.0, 0.0, 1.0]
    assert kind()(LABELS[:, None], given).item() == kind()(LABELS, given).item()
    column, row = (kind()(y, given, weights).item() for y in (LABELS[:, None], LABELS))
    assert column == row
    with pytest.raises(ValueError, match=r"got .*\(4, 2\)"):
        kind()(np.stack([LABELS, LABELS], 1), given)


@pytest.mark.parametrize("name", NAMES)
def test_keras_dtype_has_no_effect(name):
    kind = getattr(losses, name)
    assert repr(kind(dtype="float32")) == repr(kind())
    with pytest.raises(TypeError, match=f"{name}: unknown argument 'dtyp'"):
        kind(dtyp="float32")


@pytest.mark.parametrize("name", ["binary_crossentropy", "mean_squared_error", "huber"])
def test_steps_have_values_of_their_own(name):
    rng = np.random.default_rng(5)
    y, p = rng.integers(0, 2, (4, 5, 3)) * 1.0, rng.uniform(0.1, 0.9, (4, 5, 3))
    function = getattr(losses, name)
    each = function(y, p).numpy()
    assert each.shape == (4, 5)
    np.testing.assert_array_equal(each[2], function(y[2], p[2]).numpy())


def test_targets_may_leave_out_a_column_and_nothing_is_broadcast():
    p = np.array([[1.0], [3.0]])
    assert losses.mean_squared_error([1.0, 1.0], p).tolist() == [0.0, 4.0]
    with pytest.raises(ValueError, match=r"mean_squared_error: .* \(2, 1\), got \(2, 3\)"):
        losses.mean_squared_error(np.ones((2, 3)), p)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.huber([0.0], [1.0], dleta=2.0), TypeError, "huber: .*did you mean 'delta'"),
        (lambda: losses.huber([0.0], [1.0], delta=0.0), ValueError, "delta: expected"),
        (lambda: losses.mse([0.0], [1.0], 2.0), TypeError, "too many positional"),
        (
            lambda: losses.binary_crossentropy([[2.0]], [[0.5]]),
            ValueError,
            r"y_true: expected targets in \[0, 1\]",
        ),
        (
            lambda: losses.sparse_categorical_crossentropy([0], [[0.5, 0.5]], None, -1, 0.1),
            TypeError,
            "too many positional",
        ),
    ],
)
def test_errors_name_the_function_or_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", ["bce", "kld", "mae", "mape", "mse", "msle", "pinball"])
def test_short_names_are_names_of_functions_and_classes(name):
    kind = getattr(losses, name.upper() if name != "pinball" else "Pinball")
    assert getattr(losses, name).of_class is kind
    assert type(losses.get(name)) is kind
    assert type(losses.get(name.upper())) is kind


def test_a_function_trains_as_its_class_and_comes_back_from_a_file(tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    models = [
        eg.Sequential([eg.Input((3,)), eg.layers.Dense(2, "softmax")], seed=1) for _ in range(2)
    ]
    for model, loss in zip(
        models,
        (losses.sparse_categorical_crossentropy, "sparse_categorical_crossentropy"),
        strict=True,
    ):
        model.compile("adam", loss, metrics=[losses.sparse_categorical_crossentropy])
        model.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(*(model.get_weights()[0] for model in models))
    models[0].save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert again.evaluate(x, y) == models[0].evaluate(x, y)


def test_in_a_loss_of_ones_own_the_values_of_targets_are_not_looked_at():
    def both(y_true, y_pred):
        return losses.mse(y_true, y_pred) + 0.5 * losses.mae(y_true, y_pred)

    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    found = []
    for eagerly in (False, True):
        model = eg.Sequential([eg.layers.Dense(1)], dtype="float64", seed=1)
        model.compile("sgd", both, run_eagerly=eagerly)
        found.append(model.fit(x, y, epochs=3, verbose=0).history["loss"])
        error = model.predict(x)[:, 0] - y
        wanted = (error**2).mean() + 0.5 * np.abs(error).mean()
        assert model.evaluate(x, y) == pytest.approx(wanted)
    assert found[0] == found[1]
