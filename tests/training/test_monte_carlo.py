"""`predict_mc`: against passes made one by one, laws, and that nothing else changes."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import evengrad as eg
from evengrad import layers
from evengrad.layers._module import module_tree
from evengrad.training._monte_carlo import APART


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def build(*parts, **settings):
    return eg.Sequential([eg.Input((5,)), *parts], **{"seed": 3, **settings})


NOISES = [
    lambda: layers.Dropout(0.3),
    lambda: layers.AlphaDropout(0.3),
    lambda: layers.GaussianDropout(0.3),
    lambda: layers.GaussianNoise(0.3),
]


def one_by_one(model, x, samples):
    """Make the passes in Python with the draws that `predict_mc` takes."""
    streams = [stream for _, stream in module_tree(model).generators]
    for stream in streams:
        stream.draws = APART
    passes = np.stack([model(x, training=True).detach().numpy() for _ in range(samples)])
    for stream in streams:
        stream.draws = 0
    passes = passes.astype("float64")
    return passes.mean(0), passes.std(0)


@pytest.mark.parametrize("make", NOISES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("samples", [1, 2, 25])
def test_as_passes_one_by_one(rng, make, dtype, samples):
    parts = [layers.Dense(8, "tanh"), make(), layers.Dense(8, "relu"), make(), layers.Dense(3)]
    model = build(*parts, dtype=dtype)
    x = rng.normal(size=(20, 5))
    expected = one_by_one(model, x, samples)
    found = model.predict_mc(x, samples)
    close = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12}
    for left, right in zip(found, expected, strict=True):
        assert left.dtype == dtype
        assert left.shape == (20, 3)
        np.testing.assert_allclose(left, right, **close)
    assert (found[1] > 0).any() == (samples > 1)


def test_law_of_noise():
    model = eg.Sequential([layers.GaussianNoise(0.5)], seed=1, dtype="float64")
    x = np.arange(2000.0).reshape(-1, 2)
    mean, std = model.predict_mc(x, samples=400)
    # Five deviations of a mean of 400, and of its deviation.
    np.testing.assert_allclose(mean, x, rtol=0, atol=5 * 0.5 / 20)
    np.testing.assert_allclose(std, 0.5, rtol=5 / np.sqrt(800))
    assert std.mean() == pytest.approx(0.5, rel=0.01)


def test_small_deviation_far_from_zero():
    model = eg.Sequential([layers.GaussianNoise(1e-6)], seed=1, dtype="float64")
    _, std = model.predict_mc(np.full((500, 1), 1e6), samples=50)
    assert std.mean() == pytest.approx(1e-6, rel=0.03)


def test_batch_norm_is_off(rng):
    x = rng.normal(size=(64, 5))
    model = build(layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.0))
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((64, 4)), epochs=3, verbose=0)
    before = model.get_weights()
    mean, std = model.predict_mc(x * 9, samples=20)
    np.testing.assert_array_equal(mean, model.predict(x * 9))
    assert (std == 0).all()
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_goes_on_as_if_nothing_had_been_asked(rng):
    x, y = rng.normal(size=(50, 5)), rng.normal(size=(50, 2))
    weights = []
    for asked in (False, True):
        model = build(layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(2))
        model.compile("adam", "mse")
        model.fit(x, y, epochs=2, verbose=0)
        predicted = model.predict(x)
        if asked:
            model.predict_mc(x, 7)
            np.testing.assert_array_equal(model.predict(x), predicted)
        model.fit(x, y, epochs=2, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_calls_draw_anew_and_follow_from_the_seed(rng):
    x = rng.normal(size=(30, 5))

    def asked(threads):
        before = eg.get_num_threads()
        eg.set_num_threads(threads)
        try:
            model = build(layers.Dropout(0.5), layers.Dense(2))
            return [model.predict_mc(x, 10, batch_size=8)[0] for _ in range(3)]
        finally:
            eg.set_num_threads(before)

    first, second, third = asked(1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(second, third)
    for threads in (1, 2, 3):
        np.testing.assert_array_equal(asked(threads), [first, second, third])


def test_blocks_of_rows_draw_apart():
    model = eg.Sequential([layers.GaussianNoise(1.0)], seed=1)
    mean, std = model.predict_mc(np.zeros((50, 3)), samples=30, batch_size=20)
    assert mean.shape == std.shape == (50, 3)
    assert len(np.unique(mean)) == 150
    assert std.mean() == pytest.approx(1, rel=0.1)


def test_inside_other_models(rng):
    """Also where the model inside has been asked so often that it answers from a capture."""
    inner = eg.Sequential([layers.Dropout(0.5), layers.Dense(4)], name="inner")
    x = rng.normal(size=(10, 5))
    outer = build(inner, layers.Dense(2))
    with eg.no_grad():
        for _ in range(4):
            inner(x.astype("float32"))
    for _ in range(3):
        assert (outer.predict_mc(x, 20)[1] > 0).all()
        assert outer.predict(x).shape == (10, 2)


class Own(eg.Model):
    """A model that passes its own argument on, and one layer that reads values."""

    def __init__(self, reads, **settings):
        super().__init__(**settings)
        self.drop = layers.Dropout(0.5)
        self.last = layers.Dense(1)
        self.reads = reads

    def call(self, x, training):
        y = self.drop(x, training=training)
        if self.reads and float(y.numpy().sum()) == 12345.0:
            y = y * 2.0
        return self.last(y)


def test_subclass_and_layers_that_read_values(rng):
    x = rng.normal(size=(10, 5))
    (mean, std), (other, spread) = (
        Own(reads, seed=5).predict_mc(x, 400) for reads in (False, True)
    )
    # What the failed capture drew is gone: the same law, other draws.
    assert (np.abs(mean - other) < 5 * std * np.sqrt(2 / 400)).all()
    np.testing.assert_allclose(std, spread, rtol=0.25)


def test_several_inputs_and_outputs(rng):
    a, b = eg.Input((3,)), eg.Input((2,))
    joined = layers.Dropout(0.4)(layers.Concatenate()([a, b]))
    model = eg.Model([a, b], [layers.Dense(1)(joined), layers.Dense(4)(joined)], seed=2)
    means, deviations = model.predict_mc([rng.normal(size=(6, 3)), rng.normal(size=(6, 2))], 10)
    assert [m.shape for m in means] == [d.shape for d in deviations] == [(6, 1), (6, 4)]


def test_own_noise_layer():
    class Shift(layers.Layer):
        monte_carlo = True

        def build(self, input_shape):
            del input_shape
            self.add_generator()

        def call(self, x, training):
            return x + self.generator().uniform(x.shape) if training else x

    model = eg.Sequential([Shift()], seed=1)
    mean, std = model.predict_mc(np.zeros((1000, 1)), 200)
    assert mean.mean() == pytest.approx(0.5, abs=0.01)
    assert std.mean() == pytest.approx(1 / np.sqrt(12), rel=0.02)


def test_random_slopes_are_at_their_mean(rng, advice):
    x = rng.normal(size=(10, 5))
    model = build(layers.RReLU())
    mean, std = model.predict_mc(x, 10)
    assert "no layer makes noise" in advice.text
    np.testing.assert_array_equal(mean, model.predict(x))
    assert (std == 0).all()


def test_recurrent_dropout_is_noise(rng):
    model = eg.Sequential([layers.SimpleRNN(3, dropout=0.5)], seed=1)
    assert (model.predict_mc(rng.normal(size=(4, 6, 2)), 20)[1] > 0).all()


@pytest.mark.parametrize(
    ("x", "samples", "error", "message"),
    [
        (np.ones((2, 5)), 0, ValueError, "samples: expected 1 or more, got 0"),
        (np.ones((2, 5)), 2.5, TypeError, "samples: expected an integer"),
        (np.ones((2, 4)), 2, ValueError, "expected an input of shape"),
        (iter([np.ones((2, 5))]), 2, TypeError, "x: expected arrays, got an iterable"),
    ],
)
def test_what_does_not_fit(x, samples, error, message):
    model = build(layers.Dropout(0.5))
    with pytest.raises(error, match=message):
        model.predict_mc(x, samples)
    with pytest.raises(TypeError, match=r"^Sequential\.predict_mc: .*did you mean 'samples'"):
        model.predict_mc(np.ones((2, 5)), sampels=3)


@pytest.mark.parametrize("seed", range(3))
def test_deviation_is_larger_where_the_prediction_is_wrong(seed):
    x, y = load_digits(return_X_y=True)
    hidden = [
        part
        for _ in range(2)
        for part in (layers.Dense(100, "relu", kernel_initializer="auto"), layers.Dropout(0.2))
    ]
    model = eg.Sequential([*hidden, layers.Dense(10, "softmax")], seed=seed)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(x[:900] / 16, y[:900], epochs=15, verbose=0)
    mean, std = model.predict_mc(x[900:] / 16, samples=100)
    found = mean.argmax(1)
    right = found == y[900:]
    # Dropout within the net leaves the shares what they are: they sum to one.
    np.testing.assert_allclose(mean.sum(1), 1, rtol=1e-5)
    assert abs(right.mean() - (model.predict(x[900:] / 16).argmax(1) == y[900:]).mean()) < 0.015
    doubt = std[np.arange(len(found)), found]
    assert doubt[~right].mean() > 1.5 * doubt[right].mean()
