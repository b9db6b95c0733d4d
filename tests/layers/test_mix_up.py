"""MixUp: its law, targets mixed in the losses of `fit`, metrics, captured, saved."""

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits
from scipy import stats

import evengrad as eg
from evengrad import layers
from evengrad.layers._call_context import call_context


@pytest.fixture
def rng():
    return np.random.default_rng(44)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_law_of_the_share(alpha):
    layer = layers.MixUp(alpha, dtype="float64")
    model = eg.Sequential([layer], seed=5, dtype="float64")
    rows, shares = eg.tensor([[1.0], [0.0]], dtype="float64"), []
    step = eg.compile(lambda: model(rows, training=True))
    for _ in range(2000):
        both = step().numpy()
        shares.append(float(both[0, 0]))
        assert both.sum() == pytest.approx(1, abs=1e-12)
    law = stats.beta(alpha, alpha)
    assert min(shares) >= 0.5
    found = stats.kstest(shares, lambda t: np.where(t < 0.5, 0.0, law.cdf(t) - law.cdf(1 - t)))
    # Shares that near to 1 cannot be told from it.
    assert found.pvalue > 1e-3 or (alpha < 0.5 and found.statistic < 0.03)


def test_every_distance_comes_up():
    layer = layers.MixUp(1.0, dtype="float64")
    model = eg.Sequential([layer], seed=5, dtype="float64")
    x = np.eye(5)
    found = {int(np.nonzero(model(x, training=True).numpy()[0, 1:])[0][0]) for _ in range(100)}
    assert found == {0, 1, 2, 3}
    np.testing.assert_array_equal(model(x[:1], training=True).numpy(), x[:1])


class Noted(layers.MixUp):
    """MixUp that keeps the last mixture for the test; steps run in Python for it."""

    def _tell(self, mixture):
        super()._tell(mixture)
        self._noted = [np.array(one.numpy()) for one in (mixture.partners, mixture.share)]


def first_loss(loss, x, y, sample_weight=None, **head):
    """Return the loss of one batch, the mixture, and the model."""
    mix = Noted(1.0, dtype="float64")
    model = eg.Sequential([mix, layers.Dense(**head)], seed=2, dtype="float64")
    model.build((None, x.shape[1]))
    weights = model.get_weights()
    model.compile(eg.optimizers.SGD(0.5), loss, run_eagerly=True)
    history = model.fit(
        x, y, batch_size=len(x), sample_weight=sample_weight, shuffle=False, verbose=0
    )
    steps = [before - after for before, after in zip(weights, model.get_weights(), strict=True)]
    model.set_weights(weights)
    return history.history["loss"][0], mix._noted, model, [step / 0.5 for step in steps]


@pytest.mark.parametrize("weighted", [False, True])
def test_class_numbers_are_mixed_as_one_hot_targets_would_be(rng, weighted):
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    weight = rng.uniform(0.5, 2, 20) if weighted else None
    found, (partners, share), model, gradients = first_loss(
        "sparse_categorical_crossentropy", x, y, weight, units=3, activation="softmax"
    )
    w = np.ones(20) if weight is None else weight
    one_hot = np.eye(3)[y]
    own, other = (w * share)[:, None], (w[partners] * (1 - share))[:, None]
    mixed = own * one_hot + other * one_hot[partners]
    inputs = share * x + (1 - share) * x[partners]
    p = model.predict(inputs)
    assert found == pytest.approx(-(mixed * np.log(p)).sum(1).mean(), rel=1e-9)
    delta = (p * (own + other) - mixed) / 20
    np.testing.assert_allclose(gradients[0], inputs.T @ delta, atol=1e-9)
    np.testing.assert_allclose(gradients[1], delta.sum(0), atol=1e-9)


@pytest.mark.parametrize("loss", ["mse", eg.losses.MeanSquaredError("sum")], ids=repr)
def test_squares_have_the_gradient_of_mixed_targets(rng, loss):
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 2))
    found, (partners, share), model, gradients = first_loss(loss, x, y, units=2)
    inputs = share * x + (1 - share) * x[partners]
    mixed = share * y + (1 - share) * y[partners]
    p = model.predict(inputs)
    factor = 1.0 if loss == "mse" else 20.0
    np.testing.assert_allclose(gradients[0], factor * inputs.T @ (p - mixed) / 20, atol=1e-9)
    both = share * (p - y) ** 2 + (1 - share) * (p - y[partners]) ** 2
    assert found == pytest.approx(factor * both.mean(), rel=1e-9)


def test_classes_that_do_not_count_stay_out(rng):
    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    y[:5] = -1
    loss = eg.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    found, (partners, share), model, _ = first_loss(loss, x, y, units=3)
    inputs = share * x + (1 - share) * x[partners]
    scores = model.predict(inputs)
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    each = [
        np.where(of >= 0, -logs[np.arange(20), np.maximum(of, 0)], 0.0) for of in (y, y[partners])
    ]
    expected = (share * each[0] + (1 - share) * each[1]).sum() / 15
    assert found == pytest.approx(expected, rel=1e-9)


def test_evaluation_and_inference_are_plain(rng):
    x, y = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    parts = [layers.Dense(3, "softmax")]
    model = eg.Sequential([layers.MixUp(1.0), *parts], seed=2)
    model.compile(eg.optimizers.SGD(0.0), "sparse_categorical_crossentropy", ["accuracy"])
    history = model.fit(x, y, validation_data=(x, y), verbose=0).history
    plain = eg.Sequential([layers.Dense(3, "softmax")], seed=2)
    plain.build((None, 4))
    plain.set_weights(model.get_weights())
    plain.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    expected = plain.evaluate(x, y, return_dict=True, verbose=0)
    assert history["val_loss"][0] == pytest.approx(expected["loss"])
    assert history["val_accuracy"][0] == pytest.approx(expected["accuracy"])
    assert history["loss"][0] != pytest.approx(expected["loss"])
    np.testing.assert_array_equal(model.predict(x), plain.predict(x))


def test_several_inputs_are_mixed_alike(rng):
    left, right = eg.Input((3,)), eg.Input((2,))
    mixed = layers.MixUp(1.0)([left, right])
    outputs = layers.Dense(1)(layers.Concatenate()(mixed))
    model = eg.Model([left, right], outputs, seed=1)
    model.compile("sgd", "mse")
    x = rng.normal(size=(40, 5))
    model.fit([x[:, :3], x[:, 3:]], x[:, :1], verbose=0)
    both = layers.MixUp(1.0, dtype="float64")([x, 2 * x], training=True)
    np.testing.assert_allclose(2 * both[0].numpy(), both[1].numpy(), rtol=1e-12)


def test_behind_other_layers(rng):
    hidden = layers.Dense(4, "tanh")
    model = eg.Sequential([hidden, layers.MixUp(1.0), layers.Dense(1)], seed=1)
    model.compile("adam", "mse")
    x = rng.normal(size=(40, 5))
    losses = model.fit(x, x[:, :1], epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_two_mixtures_are_refused(rng):
    model = eg.Sequential([layers.MixUp(), layers.MixUp(), layers.Dense(1)], seed=1)
    model.compile("adam", "mse")
    with pytest.raises(ValueError, match="expected one use of MixUp in a model"):
        model.fit(rng.normal(size=(40, 5)), np.zeros(40), verbose=0)
    assert call_context.mixtures is None


def test_gradients(rng):
    assert_gradients(layers.MixUp(1.0, dtype="float64"), rng.normal(size=(5, 3)), training=True)


def test_same_bits_in_every_way(rng, tmp_path):
    def model():
        return eg.Sequential([layers.MixUp(0.4), layers.Dense(3, "softmax")], seed=3)

    x, y = rng.normal(size=(70, 5)), rng.integers(0, 3, 70)
    loss = "sparse_categorical_crossentropy"
    assert_same_bits(model, x, y, tmp_path, loss=loss, threads=(1, 2, 3))


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf")])
def test_wrong_alpha(alpha):
    with pytest.raises(ValueError, match="alpha"):
        layers.MixUp(alpha)
