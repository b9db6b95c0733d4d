"""Inputs with sizes that are left open: sequences of any length."""

import copy

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

RNG = np.random.default_rng(12)


def sequences(rows, steps, features=3):
    return RNG.normal(size=(rows, steps, features)).astype("float32")


def chain(steps=None):
    return eg.Sequential([eg.Input((steps, 3)), layers.LSTM(5), layers.Dense(2)], seed=1)


def graph(steps=None):
    a = eg.Input((steps, 3))
    h = layers.Dense(4, "tanh")(a)
    h = layers.Concatenate()([layers.GRU(4, return_sequences=True)(h), h])
    h = layers.Residual(layers.Dense(8))(layers.LayerNormalization()(h))
    return eg.Model(a, layers.Dense(2)(layers.SimpleRNN(6)(layers.Dropout(0.1)(h))), seed=2)


class Batches:
    """Batches of several lengths, for several epochs."""

    def __init__(self, *lengths):
        self.items = [(sequences(8, steps), RNG.normal(size=(8, 2))) for steps in lengths]

    def __iter__(self):
        return iter(self.items)


class Net(eg.Model):
    def __init__(self):
        super().__init__(seed=3)
        self.inner = layers.Dense(4, "tanh")
        self.head = layers.Dense(2)

    def call(self, x):
        return self.head(self.inner(x).mean(dim=1))


class Doubled(layers.Layer):
    """A layer that tells no shape: it is found by running it."""

    def call(self, x):
        return eg.cat([x, x], dim=1)


def subclass(steps=None):
    model = Net()
    model.build((None, steps, 3))
    return model


KINDS = [chain, graph, subclass]


@pytest.mark.parametrize("make", KINDS)
def test_any_length_gives_what_a_model_of_that_length_gives(make):
    model = make()
    assert model.output_shape == (None, 2)
    for steps in (5, 7, 5, 1):
        x = sequences(9, steps)
        same = make(steps)
        for a, b in zip(same.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(model.predict(x), same.predict(x))
        np.testing.assert_array_equal(model(x).detach().numpy(), same.predict(x))


@pytest.mark.parametrize("make", KINDS)
def test_training_takes_each_batch_at_its_own_length(make):
    """The same steps as one by one; each length has a capture of its own."""
    batches = Batches(4, 6, 4, 9, 6)
    captured, single, eager = make(), make(), make()
    for model in (captured, single, eager):
        model.compile(eg.optimizers.Adam(0.01), "mse", run_eagerly=model is eager)
    captured.fit(batches, epochs=2, verbose=0)
    eager.fit(batches, epochs=2, verbose=0)
    for x, y in batches.items * 2:
        single.train_on_batch(x, y)
    for other in (single, eager):
        for a, b in zip(captured.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    assert np.isfinite(captured.evaluate(batches))
    captured.fit(*batches.items[0], validation_data=batches.items[1], verbose=0)


def test_targets_and_weights_for_each_step():
    a = eg.Input((None, 3))
    model = eg.Model(a, layers.Dense(2)(layers.LSTM(4, return_sequences=True)(a)), seed=1)
    assert model.output_shape == (None, None, 2)
    assert model.compute_output_shape((None, 7, 3)) == (None, 7, 2)
    for steps in (4, 6):
        x, y = sequences(8, steps), sequences(8, steps, 2)
        model.compile("sgd", "mse", weighted_metrics=["mae"])
        weight = RNG.uniform(size=(8, steps))
        found = model.evaluate(x, y, sample_weight=weight)
        errors = np.abs(y - model.predict(x)).mean(axis=2)
        np.testing.assert_allclose(found[1], (errors * weight).sum() / weight.sum(), rtol=1e-5)
        model.fit(x, y, sample_weight=weight, verbose=0)
        before = model.get_weights()
        with pytest.raises(ValueError, match=rf"y: expected shape \(8, {steps}, 2\)"):
            model.fit(x, sequences(8, steps + 1, 2), verbose=0)
        with pytest.raises(ValueError, match=rf"or per step, shape \(8, {steps}\)"):
            model.fit(x, y, sample_weight=np.ones((8, steps + 1)), verbose=0)
        for now, then in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x, RNG.integers(0, 2, (8, 6)), verbose=0)
    assert model.plan(x).rows == 8


def test_summary_shows_what_is_open():
    summary = graph().summary()
    shapes = [row.output_shape for row in summary.rows]
    assert shapes[:3] == [(None, None, 4), (None, None, 4), (None, None, 8)]
    # Of one step: inputs times units, and of the recurrent layers as many for each gate.
    assert [row.multiply_adds for row in summary.rows[:2]] == [3 * 4, (4 + 4) * 3 * 4]
    assert "(None, None, 8)" in str(summary)


def test_shapes_of_layers_that_tell_none():
    a = eg.Input((None, 3))
    assert Doubled()(a).shape == (None, None, 3)
    assert Doubled()(eg.Input((4, 3))).shape == (None, 8, 3)
    assert layers.Activation(lambda x: x * 2.0)(a).shape == (None, None, 3)
    assert layers.Embedding(9, 4)(eg.Input((None,))).shape == (None, None, 4)
    joined = layers.Concatenate(axis=1)([a, eg.Input((2, 3))])
    assert joined.shape == (None, None, 3)
    inner = eg.Sequential([eg.Input((None, 3)), layers.LSTM(2, return_sequences=True)])
    assert inner(eg.Input((6, 3))).shape == (None, 6, 2)
    model = eg.Model(a, layers.Rescaling(2.0)(inner(a)))
    assert model(np.ones((2, 5, 3))).shape == (2, 5, 2)


@pytest.mark.parametrize("make", [chain, graph])
def test_files_and_copies(make, tmp_path):
    model = make()
    model.save(tmp_path / "net")
    for again in (eg.load_model(tmp_path / "net"), copy.deepcopy(model), model.clone()):
        assert repr(again) == repr(model)
        for steps in (3, 8):
            x = sequences(4, steps)
            np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_what_needs_a_size_says_so():
    a = eg.Input((None, 3))
    for layer in (layers.Flatten(), layers.Reshape((3, 2))):
        with pytest.raises(ValueError, match=r"expected rows of a known size, got .*None, 3"):
            layer(a)
    for layer in (layers.Dense(2), layers.BatchNormalization(), layers.LSTM(2)):
        with pytest.raises(ValueError, match=r"expected a known number of features.*Input"):
            layer(eg.Input((4, None)))
    with pytest.raises(ValueError, match="shared_axes"):
        layers.PReLU()(a)
    assert layers.PReLU(shared_axes=[1])(a).shape == (None, None, 3)
    with pytest.raises(TypeError, match="shape: expected an integer, got 'x'"):
        eg.Input((None, "x"))


def test_a_model_of_one_length_says_how_to_leave_it_open():
    model = eg.Sequential([layers.LSTM(2)])
    model.predict(sequences(2, 5))
    with pytest.raises(ValueError, match=r"got .*7, 3\); .* begin it with Input\(\(None, 3\)\)"):
        model.predict(sequences(2, 7))
    with pytest.raises(ValueError, match=r"of shape \(None, None, 3\), got .* \(None, 5, 2\)"):
        chain().predict(sequences(2, 5, 2))
