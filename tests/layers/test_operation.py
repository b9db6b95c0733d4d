"""Operators, slices and methods of symbolic tensors, and `Lambda`: the same as on arrays."""

import copy

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits

import evengrad as eg
from evengrad import layers

RNG = np.random.default_rng(3)
X = RNG.normal(size=(5, 4))
SEQUENCES = RNG.normal(size=(5, 3, 4))
WEIGHTS = np.array([1.0, -2.0, 0.5, 3.0])


def as_model(function, *arrays):
    symbols = [eg.Input(x.shape[1:], "float64") for x in arrays]
    return eg.Model(symbols, function(*symbols))


def predicted(function, *arrays):
    model = as_model(function, *arrays)
    return model.predict(list(arrays), verbose=0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / 2.0,
        lambda x: 2.0 / (x**2 + 1.0),
        lambda x: x**3,
        lambda x: 2.0**x,
        lambda x: x[:, 2:],
        lambda x: x[:, 1],
        lambda x: x[:, ::2],
        lambda x: x[..., -1:],
        lambda x: x[:, None],
        lambda x: x + WEIGHTS,
        lambda x: WEIGHTS * x - 1,
        lambda x: WEIGHTS - x,
        lambda x: x / WEIGHTS,
        lambda x: x @ np.outer(WEIGHTS, [1.0, 2.0]),
        abs,
        lambda x: (x > 0.25) * x,
        lambda x: (x <= 0.0) + (x >= 1.0) * 2,
        lambda x: x - x[:, :1],
        lambda x: x * x[:, 1:2] + x[:, 3:],
    ],
)
def test_operators(function):
    expected = np.asarray(function(X), np.float64)
    np.testing.assert_allclose(predicted(function, X), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x.sum(1), lambda x: x.sum(1)),
        (lambda x: x.mean(-1, keepdim=True), lambda x: x.mean(-1, keepdims=True)),
        (lambda x: x.amax([1, 2]), lambda x: x.max((1, 2))),
        (lambda x: x.var(2, correction=0.0), lambda x: x.var(2)),
        (lambda x: x.exp() - x.tanh(), lambda x: np.exp(x) - np.tanh(x)),
        (lambda x: x.clamp(-0.5, 0.5), lambda x: x.clip(-0.5, 0.5)),
        (lambda x: x.transpose(1, 2), lambda x: x.transpose(0, 2, 1)),
        (lambda x: x.permute(0, 2, 1), lambda x: x.transpose(0, 2, 1)),
        (lambda x: x.reshape(-1, 12), lambda x: x.reshape(-1, 12)),
        (lambda x: x.flatten(1), lambda x: x.reshape(-1, 12)),
        (lambda x: x.unsqueeze(1).squeeze(1), lambda x: x),
        (lambda x: x @ x.transpose(1, 2), lambda x: x @ x.transpose(0, 2, 1)),
        (lambda x: x.std(1, correction=0.0), lambda x: x.std(1)),
        (lambda x: x.norm(axis=2), lambda x: np.linalg.norm(x, axis=2)),
        (lambda x: x.cumsum(1), lambda x: np.cumsum(x, 1)),
        (lambda x: x.max(2) - x.min(axis=2), lambda x: x.max(2) - x.min(2)),
        (lambda x: x.flip(1).swapaxes(1, 2), lambda x: x[:, ::-1].transpose(0, 2, 1)),
        (lambda x: x.floor() + x.clip(0.0, 1.0), lambda x: np.floor(x) + x.clip(0, 1)),
        (lambda x: x.square().sum(2).sqrt(), lambda x: np.linalg.norm(x, axis=2)),
    ],
)
def test_methods(function, expected):
    np.testing.assert_allclose(
        predicted(function, SEQUENCES), expected(SEQUENCES), rtol=1e-12, atol=1e-14
    )


def test_between_tensors_of_other_shapes():
    found = predicted(lambda a, b: (a + b) / (a * b), SEQUENCES, X[:, None])
    a, b = SEQUENCES, X[:, None]
    np.testing.assert_allclose(found, (a + b) / (a * b), rtol=1e-12)


def test_open_sizes_stay_open():
    x = eg.Input((None, 4))
    assert x[:, :, 1:].shape == (None, None, 3)
    assert x.sum(2).shape == (None, None)
    assert x.mean(1).shape == (None, 4)
    assert (x[:, -1] ** 2).shape == (None, 4)


@pytest.mark.parametrize(
    "function", [lambda x: x[0], lambda x: x.sum(), lambda x: x.sum(0), lambda x: x.reshape(-1)]
)
def test_rows_stay_rows(function):
    with pytest.raises(ValueError, match="as many rows as the input"):
        function(eg.Input((4,)))


def test_unknown_names():
    x = eg.Input((4,))
    with pytest.raises(AttributeError, match="has no attribute 'squre'; did you mean 'square'"):
        _ = x.squre
    assert not hasattr(x, "backward")
    assert not hasattr(x, "copy_")
    with pytest.raises(ValueError, match="method"):
        layers.Operation("backward")
    with pytest.raises(ValueError, match="method"):
        layers.Operation("__class__")


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("sum", [1]), ("__pow__", [3]), ("__getitem__", [(slice(None), slice(1, 3))]), ("exp", [])],
)
def test_gradients(method, arguments):
    assert_gradients(layers.Operation(method, arguments, dtype="float64"), X)


def test_gradients_between_tensors():
    layer = layers.Operation("__truediv__", dtype="float64")
    assert_gradients(layer, SEQUENCES, np.abs(X[:, None]) + 1.0)


def halves(x, factor=0.5):
    return x * factor


class TestKept:
    def test_saved_and_captured(self, tmp_path):
        def model():
            x = eg.Input((4,))
            a = layers.Dense(6, "tanh")(x)
            y = a[:, 2:] / (1.0 + a[:, :4].square()) + WEIGHTS
            return eg.Model(x, layers.Dense(2)((y > 0.1) * y**2), seed=4)

        x = RNG.normal(size=(53, 4))
        assert_same_bits(model, x, RNG.normal(size=(53, 2)), tmp_path)

    def test_copies(self):
        model = as_model(lambda x: x[:, 1:] * WEIGHTS[1:] + x[..., :3], X)
        twins = [
            copy.deepcopy(model),
            eg.Model.from_config(model.get_config()),
            eg.models.model_from_json(model.to_json()),
            eg.models.clone_model(model),
        ]
        expected = model.predict(X, verbose=0)
        for twin in twins:
            np.testing.assert_array_equal(twin.predict(X, verbose=0), expected)


class TestLambda:
    def test_functions(self):
        layer = layers.Lambda(halves, arguments={"factor": 0.25}, dtype="float64")
        np.testing.assert_array_equal(layer(X).numpy(), X * 0.25)
        assert_gradients(layer, X)
        joined = layers.Lambda(lambda x: eg.cat(x, 1), dtype="float64")
        np.testing.assert_array_equal(joined([X, X]).numpy(), np.concatenate([X, X], 1))

    def test_training_is_passed_on(self):
        layer = layers.Lambda(lambda x, training: x * (2.0 if training else 3.0), dtype="float64")
        np.testing.assert_array_equal(layer(X).numpy(), X * 3)
        np.testing.assert_array_equal(layer(X, training=True).numpy(), X * 2)

    def test_a_name_is_kept(self, tmp_path):
        model = eg.Sequential([eg.Input((4,)), layers.Lambda(halves), layers.Dense(1)])
        model.save(tmp_path / "net.safetensors")
        with pytest.raises(ValueError, match="unknown function 'halves'; if it is your own"):
            eg.load_model(tmp_path / "net.safetensors")
        again = eg.load_model(tmp_path / "net.safetensors", custom_objects={"halves": halves})
        np.testing.assert_array_equal(again.predict(X), model.predict(X))

    def test_a_registered_name_is_found(self, tmp_path, monkeypatch):
        from evengrad._common import serialized

        monkeypatch.setattr(serialized, "registered", dict(serialized.registered))

        @eg.utils.register_keras_serializable("mine")
        def mine_tripled(x):
            return 3.0 * x

        try:
            model = eg.Sequential([eg.Input((4,)), layers.Lambda(mine_tripled)])
            model.save(tmp_path / "net.safetensors")
            again = eg.load_model(tmp_path / "net.safetensors")
            np.testing.assert_array_equal(again.predict(X), model.predict(X))
            with pytest.raises(ValueError, match="'mine_tripled' is registered for"):
                eg.utils.register_keras_serializable(name="mine_tripled")(halves)
        finally:
            for name in [*eg.utils._registered]:
                if "mine" in name:
                    del eg.utils._registered[name]

    def test_a_lambda_says_what_to_do(self, tmp_path):
        model = eg.Sequential([eg.Input((4,)), layers.Lambda(lambda x: x * 2.0)])
        for write in (lambda: model.save(tmp_path / "net.safetensors"), model.to_json):
            with pytest.raises(ValueError, match=r"a lambda has no name .*register_keras_serial"):
                write()
        assert not (tmp_path / "net.safetensors").exists()

    def test_what_is_no_function_of_tensors(self):
        with pytest.raises(TypeError, match="function: expected a function"):
            layers.Lambda(3)
        with pytest.raises(ValueError, match="did you mean 'relu'"):
            layers.Lambda("rellu")
        with pytest.raises(TypeError, match="expected a function that returns tensors, got float"):
            layers.Lambda(lambda x: x.sum().item())(X)
