"""Copies of models: equal and apart, or of the same architecture with new first values."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers, models
from evengrad.layers._module import module_tree

X = np.random.default_rng(6).normal(size=(40, 4)).astype("float32")
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)


def chain(seed=3):
    body = [layers.Dense(6, "relu", norm=layers.BatchNormalization()), layers.Dropout(0.3)]
    return eg.Sequential([eg.Input((4,)), *body, layers.Dense(2)], seed=seed, name="net")


def graph(seed=3):
    a = eg.Input((4,))
    shared = layers.Dense(4, layers.PReLU("random_uniform"))
    inner = eg.Sequential([eg.Input((4,)), layers.Dense(4, "tanh")], name="inner")
    return eg.Model(a, layers.Dense(2)(inner(shared(shared(a)))), seed=seed)


class Net(eg.Model):
    def __init__(self, seed=3):
        super().__init__(seed=seed)
        self.one = layers.Residual(layers.Dense(4, "elu"))
        self.drop = layers.Dropout(0.2)
        self.head = layers.Dense(2)

    def call(self, x, training):
        return self.head(self.drop(self.one(x)))


KINDS = [chain, graph, Net]


def trained(make, **settings):
    model = make(**settings)
    model.compile(eg.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, epochs=2, verbose=0)
    return model


def assert_equal(left, right):
    assert [path for path, _ in left.named_weights()] == [p for p, _ in right.named_weights()]
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", KINDS)
def test_a_clone_goes_on_as_the_model_does_and_apart_from_it(make):
    model = trained(make)
    before = model.get_weights()
    twin = model.clone()
    assert type(twin) is type(model)
    assert repr(twin) == repr(model)
    assert not {id(layer) for _, layer in module_tree(model).layers} & {
        id(layer) for _, layer in module_tree(twin).layers
    }
    twin.fit(X, Y, epochs=2, verbose=0)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    model.fit(X, Y, epochs=2, verbose=0)
    assert_equal(model, twin)


def test_the_clone_of_an_inner_model_stands_by_itself():
    whole = trained(graph)
    inner = whole.get_layer("inner")
    twin = inner.clone()
    assert [path for path, _ in twin.named_weights()] == ["dense/kernel", "dense/bias"]
    assert twin.layers[0].path == "dense"
    np.testing.assert_array_equal(twin.predict(X), inner.predict(X))
    around = eg.Sequential([eg.Input((4,)), twin, layers.Dense(2)])
    assert around.named_weights()[0][0] == "inner/dense/kernel"
    assert inner.layers[0].path == "inner/dense"


def test_an_unbuilt_clone():
    model = eg.Sequential([layers.Dense(2)], seed=1)
    twin = model.clone()
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


@pytest.mark.parametrize("make", KINDS)
def test_clone_model_begins_anew(make):
    model = trained(make, seed=None)
    before = model.get_weights()
    twin = models.clone_model(model)
    assert repr(twin) == repr(model)
    assert [path for path, _ in twin.named_weights()] == [p for p, _ in model.named_weights()]
    drawn = [
        (path, a.detach().numpy(), b)
        for (path, a), b in zip(twin.named_weights(), before, strict=True)
        if path.endswith("kernel")
    ]
    assert drawn
    for path, new, old in drawn:
        assert new.shape == old.shape
        assert not np.array_equal(new, old), path
        limit = np.sqrt(6.0 / sum(new.shape))
        assert np.abs(new).max() <= limit, path
    for path, tensor in twin.named_weights():
        if path.endswith(("bias", "moving_mean")):
            np.testing.assert_array_equal(tensor.detach().numpy(), 0.0)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
    with pytest.raises(RuntimeError, match="call compile"):
        twin.fit(X, Y, verbose=0)
    assert not hasattr(twin, "history")
    assert model.optimizer.iterations == 4


@pytest.mark.parametrize("make", [chain, Net])
def test_clone_model_with_a_seed_is_what_the_seed_makes(make):
    """Of first values, of dropout, and of the order of the rows."""
    model = trained(make, seed=3)
    for seed, twin in (
        (3, models.clone_model(model)),
        (8, models.clone_model(model, seed=8)),
        (8, models.clone_model(trained(make, seed=None), seed=8)),
    ):
        expected = make(seed=seed)
        expected.predict(X)
        assert_equal(twin, expected)
        assert twin.seed == seed
        for one in (twin, expected):
            one.compile("adam", "mse")
            one.fit(X, Y, epochs=2, verbose=0)
        assert_equal(twin, expected)


def test_clone_model_keeps_sharing_and_freezing():
    model = trained(graph)
    model.layers[-1].trainable = False
    twin = models.clone_model(model)
    assert len(module_tree(twin).layers) == len(module_tree(model).layers)
    assert [layer.trainable for layer in twin.layers] == [True, True, False]
    weights = [w.requires_grad for w in twin.weights]
    assert weights == [w.requires_grad for w in model.weights]


def test_clone_model_of_an_unbuilt_model():
    model = eg.Sequential([layers.Dense(2)])
    twin = models.clone_model(model, seed=4)
    expected = eg.Sequential([layers.Dense(2)], seed=4)
    np.testing.assert_array_equal(twin.predict(X), expected.predict(X))
    assert not model.built


def test_what_clone_model_refuses():
    with pytest.raises(TypeError, match="model: expected a model, got Dense"):
        models.clone_model(layers.Dense(2))
    with pytest.raises(ValueError, match="seed: "):
        models.clone_model(chain(), seed=-1)
    with pytest.raises(TypeError, match="unknown argument 'sed'; did you mean 'seed'"):
        models.clone_model(chain(), sed=1)
