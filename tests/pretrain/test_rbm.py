"""Restricted Boltzmann machines against the equations of contrastive divergence, in NumPy."""

import copy

import numpy as np
import pytest
from scipy.special import expit
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM

import evengrad as eg
from evengrad import layers
from evengrad._tensor.random import generator
from evengrad.pretrain._divergence import ContrastiveDivergence, Machine
from evengrad.pretrain._rbm import own_output
from evengrad.pretrain._work import seed_for

ROWS, FEATURES, UNITS = 7, 5, 3
RATE, DECAY = 0.25, 0.125


@pytest.fixture
def rng():
    return np.random.default_rng(18)


@pytest.fixture
def bits(rng):
    return rng.integers(0, 2, (ROWS, FEATURES)).astype(float)


def network(units=(UNITS,), dtype="float64", **settings):
    hidden = [layers.Dense(one, "sigmoid", name=f"hidden_{i}") for i, one in enumerate(units)]
    chain = [eg.Input((FEATURES,)), *hidden, layers.Dense(2, "softmax", name="head")]
    return eg.Sequential(chain, seed=5, dtype=dtype, **settings)


class Twin:
    """The machine in NumPy, with the draws of the streams of a training."""

    def __init__(self, model, name="hidden_0", seed=None):
        dense = model.get_layer(name)
        self.w, self.c = (np.array(one) for one in dense.get_weights())
        number = seed_for(model, seed, dense.path)
        self.hidden = generator(number, "contrastive_divergence/hidden")
        self.visible = generator(number, "contrastive_divergence/visible")

    def p_h(self, v):
        return expit(v @ self.w + self.c)

    def p_v(self, h):
        return expit(h @ self.w.T + self.b)

    def draw(self, stream, means):
        return (stream.uniform(means.shape, dtype="float64").numpy() < means).astype(float)

    def learn(self, v0, visible, negative):
        m, chains = len(v0), len(visible)
        positive = self.p_h(v0)
        w = v0.T @ positive / m - visible.T @ negative / chains - DECAY * self.w
        b = v0.mean(0) - visible.mean(0)
        c = positive.mean(0) - negative.mean(0)
        self.w, self.b, self.c = (
            one + RATE * change for one, change in ((self.w, w), (self.b, b), (self.c, c))
        )


def log_odds(v):
    means = np.clip(v.mean(0), 0.01, 0.99)
    return np.log(means / (1 - means))


def trained(model, x, **settings):
    settings = {"epochs": 1, "batch_size": len(x), "learning_rate": RATE, **settings}
    return eg.pretrain.rbm(model, x, weight_decay=DECAY, verbose=0, **settings)


def compare(model, report, twin):
    kernel, bias = model.get_layer("hidden_0").get_weights()
    np.testing.assert_allclose(kernel, twin.w, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(bias, twin.c, rtol=1e-12, atol=1e-14)
    left = report.stages[0].leftovers["visible_bias"]
    np.testing.assert_allclose(left, twin.b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("reconstruction", ["sample", "mean"])
def test_one_step(bits, k, reconstruction):
    model = network()
    twin = Twin(model)
    twin.b = log_odds(bits)
    # All rows are one batch, whose order changes nothing but that of the draws.
    order = generator(seed_for(model, None, "hidden_0"), "shuffle").permutation(ROWS)
    v0 = bits[order]
    negative = twin.p_h(v0)
    for step in range(k):
        h = twin.draw(twin.hidden, negative)
        means = twin.p_v(h)
        if step == 0:
            error = ((v0 - means) ** 2).mean()
        v = means if reconstruction == "mean" else twin.draw(twin.visible, means)
        negative = twin.p_h(v)
    twin.learn(v0, v, negative)
    report = trained(model, bits, k=k, reconstruction=reconstruction)
    compare(model, report, twin)
    assert report.stages[0].losses == pytest.approx([error], rel=1e-12)


def test_persistent_chains_go_on(bits):
    model = network()
    twin = Twin(model)
    twin.b = log_odds(bits)
    shuffle = generator(seed_for(model, None, "hidden_0"), "shuffle")
    # As many chains as rows in a batch, and a last batch of fewer rows.
    chains = 4
    h = np.zeros((chains, UNITS))
    for _ in range(2):
        order = shuffle.permutation(ROWS)
        for v0 in (bits[order[:chains]], bits[order[chains:]]):
            v = twin.draw(twin.visible, twin.p_v(h))
            negative = twin.p_h(v)
            h = twin.draw(twin.hidden, negative)
            twin.learn(v0, v, negative)
    report = trained(model, bits, persistent=True, batch_size=chains, epochs=2)
    compare(model, report, twin)


def test_normal_units(rng):
    model = network()
    x = rng.normal(size=(ROWS, FEATURES))
    twin = Twin(model)
    twin.b = x.mean(0)
    v0 = x[generator(seed_for(model, None, "hidden_0"), "shuffle").permutation(ROWS)]
    h = twin.draw(twin.hidden, twin.p_h(v0))
    noise = twin.visible.normal(v0.shape, 0.0, 1.0, "float64").numpy()
    v = h @ twin.w.T + twin.b + noise
    twin.learn(v0, v, twin.p_h(v))
    compare(model, trained(model, x, visible="gaussian"), twin)


def test_momentum_is_that_of_gradient_descent(bits):
    plain, heavy, both = network(), network(), network()
    trained(plain, bits, epochs=2)
    trained(heavy, bits, epochs=2, momentum=0.5)
    optimizer = eg.optimizers.SGD(RATE, momentum=0.5)
    trained(both, bits, epochs=2, learning_rate=None, optimizer=optimizer)
    kernels = [model.get_weights()[0] for model in (plain, heavy, both)]
    assert not np.array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(kernels[1], kernels[2])
    # It is a pattern: no update has come to it.
    assert optimizer.iterations == 0


def test_a_machine_is_trained_on_what_the_one_below_puts_out(rng):
    x = rng.integers(0, 2, (60, FEATURES)).astype(np.float32)
    settings = {"epochs": 2, "verbose": 0, "batch_size": 20}
    whole = network((4, 3), dtype="float32")
    report = eg.pretrain.rbm(whole, x, **settings)
    assert [stage.name for stage in report.stages] == ["hidden_0", "hidden_1"]
    by_hand = network((4, 3), dtype="float32")
    eg.pretrain.rbm(by_hand, x, layers="hidden_0", **settings)
    codes = by_hand.features(x, "hidden_0")
    top = eg.Sequential([eg.Input((4,)), by_hand.get_layer("hidden_1")], seed=5)
    eg.pretrain.rbm(top, codes, layers="hidden_1", **settings)
    for one, other in zip(whole.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_learns_what_there_is():
    half = np.random.default_rng(0).integers(0, 2, (400, 2))
    x = np.repeat(half, 4, axis=1)
    for persistent in (False, True):
        chain = [layers.Dense(4, "sigmoid", kernel_initializer=normal(0.1)), layers.Dense(2)]
        model = eg.Sequential(chain, seed=1)
        report = eg.pretrain.rbm(
            model,
            x,
            persistent=persistent,
            epochs=40,
            batch_size=20,
            learning_rate=0.3,
            validation_split=0.25,
            verbose=0,
        )
        history = report.stages[0].history
        assert history["loss"][0] > 0.15, persistent
        assert max(history["loss"][-1], history["val_loss"][-1]) < 0.05, persistent


def normal(stddev):
    return eg.initializers.RandomNormal(stddev=stddev)


def test_digits_are_as_likely_as_to_the_machine_of_scikit_learn():
    x = load_digits().data[:600] / 16
    theirs = BernoulliRBM(40, learning_rate=RATE, batch_size=10, n_iter=8, random_state=0).fit(x)
    expected = theirs.score_samples(x).mean()
    chain = [layers.Dense(40, "sigmoid", kernel_initializer=normal(0.01)), layers.Dense(2)]
    for persistent in (False, True):
        model = eg.Sequential(chain, seed=1).clone()
        settings = {"epochs": 8, "batch_size": 10, "learning_rate": RATE, "verbose": 0}
        report = eg.pretrain.rbm(model, x, persistent=persistent, **settings)
        kernel, bias = model.layers[0].get_weights()
        theirs.components_, theirs.intercept_hidden_ = kernel.T.astype(float), bias.astype(float)
        theirs.intercept_visible_ = report.stages[0].leftovers["visible_bias"].astype(float)
        # A pseudo-likelihood, of one pixel drawn for each image: -21.9; -24.7 by biases alone.
        assert theirs.score_samples(x).mean() > expected - 1.5


def test_without_hidden_biases(bits):
    chain = [layers.Dense(UNITS, "sigmoid", use_bias=False), layers.Dense(2)]
    model = eg.Sequential(chain, seed=2, dtype="float64")
    model.build((None, FEATURES))
    (kernel,) = model.layers[0].get_weights()
    trained(model, bits)
    (after,) = model.layers[0].get_weights()
    assert not np.array_equal(kernel, after)


@pytest.mark.parametrize("persistent", [False, True])
def test_the_same_bits(rng, persistent):
    x = rng.random((200, 30)).astype(np.float32)
    before = eg.get_num_threads()
    found = []
    try:
        for threads, seed in ((1, 3), (2, 3), (2, 4)):
            eg.set_num_threads(threads)
            model = eg.Sequential([layers.Dense(40, "sigmoid"), layers.Dense(2)], seed=1)
            settings = {"epochs": 3, "batch_size": 64, "verbose": 0, "persistent": persistent}
            eg.pretrain.rbm(model, x, seed=seed, **settings)
            found.append(model.get_weights()[0])
    finally:
        eg.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_eager_steps_are_the_captured_ones(bits):
    model = network(dtype="float32")
    dense = model.get_layer("hidden_0")
    results = []
    for eagerly in (True, False):
        layer = ContrastiveDivergence(copy.deepcopy(dense), Machine(False, 2, 0, True, 0.0), 0.0)
        layer.first = np.zeros(FEATURES)
        machine = eg.Sequential([eg.Input((FEATURES,)), layer], seed=9)
        machine.compile(eg.optimizers.SGD(RATE), own_output, run_eagerly=eagerly)
        machine.fit(bits, np.zeros(ROWS), epochs=4, batch_size=3, verbose=0)
        results.append(machine.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


WRONG = {
    "activation": ([layers.Dense(3, "relu")], {}, "activation='sigmoid'.*got relu"),
    "none": ([layers.Dense(3)], {}, "activation='sigmoid'.*got none"),
    "norm": (
        [layers.Dense(3), layers.BatchNormalization(), layers.Activation("sigmoid")],
        {},
        "expected a Dense layer alone.*BatchNormalization",
    ),
    "own norm": (
        [layers.Dense(3, "sigmoid", norm=layers.LayerNormalization())],
        {},
        "expected a Dense layer alone.*LayerNormalization",
    ),
    "visible": ([layers.Dense(3, "sigmoid")], {"visible": "poisson"}, "visible: "),
    "k": ([layers.Dense(3, "sigmoid")], {"k": 0}, "k: expected 1 or more"),
    "two": (
        [layers.Dense(3, "sigmoid")],
        {"optimizer": "adam", "momentum": 0.5},
        "optimizer: expected it alone",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_machine(bits, case):
    hidden, settings, message = WRONG[case]
    model = eg.Sequential([*hidden, layers.Dense(2)], seed=1)
    model.build((None, FEATURES))
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        eg.pretrain.rbm(model, bits, verbose=0, **settings)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_data_that_are_no_chances(bits):
    model = network()
    with pytest.raises(ValueError, match=r"hidden_0: expected visible units in \[0, 1\], got 2"):
        eg.pretrain.rbm(model, bits * 2, verbose=0)
    sequences = eg.Sequential([layers.Dense(3, "sigmoid"), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ValueError, match="put a Flatten in front"):
        eg.pretrain.rbm(sequences, np.zeros((4, 2, 3)), verbose=0)


def test_an_activation_layer_behind(bits):
    model = eg.Sequential(
        [layers.Dense(3), layers.Activation("sigmoid"), layers.Dropout(0.5), layers.Dense(2)],
        seed=3,
    )
    twin = eg.Sequential([layers.Dense(3, "sigmoid"), layers.Dropout(0.5), layers.Dense(2)], seed=3)
    for one in (model, twin):
        eg.pretrain.rbm(one, bits, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], twin.get_weights()[0])
