"""AlphaDropout, GaussianDropout, GaussianNoise: laws, exact constants, masks, captured, saved."""

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits
from scipy import stats

import evengrad as eg
from evengrad import layers

LOW = -1.7580993408473768599


@pytest.fixture
def rng():
    return np.random.default_rng(22)


def drawn(layer, x, times=1):
    """Return what the layer, with a seed of its own, makes of x in training."""
    model = eg.Sequential([layer], seed=7, dtype=layer.dtype)
    return [model(x, training=True).numpy().copy() for _ in range(times)]


class TestAlphaDropout:
    # rate, a, b: to ten places, as published with the layer's definition.
    @pytest.mark.parametrize(
        ("rate", "a", "b"),
        [
            (0.1, 0.9212845161, 0.1619709701),
            (0.2, 0.8789035834, 0.3090399621),
            (0.5, 0.8864048947, 0.7791939305),
        ],
    )
    def test_affine_correction(self, rng, rate, a, b):
        x = rng.normal(size=(300, 200))
        [y] = drawn(layers.AlphaDropout(rate, dtype="float64"), x)
        dropped = np.isclose(y, a * LOW + b, rtol=0, atol=1e-9)
        assert dropped.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / 60_000))
        np.testing.assert_allclose(y[~dropped], (a * x + b)[~dropped], rtol=0, atol=1e-9)

    @pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_keeps_mean_and_variance(self, rng, rate, dtype):
        x = rng.normal(size=(1000, 1000))
        [y] = drawn(layers.AlphaDropout(rate, dtype=dtype), x)
        # Four deviations of the mean and of the variance of that many independent elements.
        y = y.astype("float64")
        assert y.mean() == pytest.approx(0, abs=4e-3)
        assert y.var() == pytest.approx(1, abs=4e-3 * np.sqrt(stats.kurtosis(y.ravel()) + 2))

    def test_through_a_deep_stack_of_selu(self, rng):
        parts = []
        for _ in range(50):
            parts.append(layers.Dense(200, "selu", kernel_initializer="lecun_normal"))
            parts.append(layers.AlphaDropout(0.1))
        model = eg.Sequential(parts, seed=3)
        y = model(rng.normal(size=(500, 200)), training=True).detach().numpy()
        assert abs(y.mean()) < 0.15
        assert 0.8 < y.std() < 1.2
        # Plain dropout adds variance in each layer, which selu passes on.
        plain = [layers.Dropout(0.1) if i % 2 else part for i, part in enumerate(parts)]
        fresh = eg.Sequential([type(part)(**part.get_config()) for part in plain], seed=3)
        other = fresh(rng.normal(size=(500, 200)), training=True).detach().numpy()
        assert abs(other.std() - 1) + abs(other.mean()) > 2 * (abs(y.std() - 1) + abs(y.mean()))

    def test_infinite_inputs_do_not_leak_through_the_mask(self):
        [y] = drawn(layers.AlphaDropout(0.5), np.full((50, 50), np.inf))
        assert not np.isnan(y).any()
        assert np.isfinite(y).any()


def test_gaussian_dropout_law():
    for rate in (0.2, 0.5, 0.9):
        [y] = drawn(layers.GaussianDropout(rate, dtype="float64"), np.full((200, 100), 3.0))
        law = stats.norm(3.0, 3.0 * np.sqrt(rate / (1 - rate)))
        assert stats.kstest(y.ravel(), law.cdf).pvalue > 1e-3


def test_gaussian_noise_law():
    [y] = drawn(layers.GaussianNoise(0.3, dtype="float64"), np.full((200, 100), 3.0))
    assert stats.kstest(y.ravel(), stats.norm(3.0, 0.3).cdf).pvalue > 1e-3


NOISES = [
    lambda: layers.Dropout(0.4),
    lambda: layers.AlphaDropout(0.4),
    lambda: layers.GaussianDropout(0.4),
    lambda: layers.GaussianNoise(0.4),
]
each_noise = pytest.mark.parametrize("make", NOISES, ids=lambda make: repr(make()))


@each_noise
def test_inference_is_the_identity(make, rng):
    x = rng.normal(size=(5, 6)).astype("float32")
    np.testing.assert_array_equal(make()(x).numpy(), x)


@pytest.mark.parametrize(
    "layer",
    [
        layers.AlphaDropout(0.0),
        layers.GaussianDropout(0.0),
        layers.GaussianNoise(0.0),
    ],
    ids=repr,
)
def test_none_is_the_identity(layer, rng):
    x = rng.normal(size=(5, 6)).astype("float32")
    np.testing.assert_array_equal(drawn(layer, x)[0], x)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout(1 - 1e-9),
        layers.AlphaDropout(1 - 1e-9),
        layers.GaussianDropout(1 - 1e-9),
        layers.GaussianNoise(1e9),
    ],
    ids=repr,
)
def test_near_one_stays_finite(layer):
    assert np.isfinite(drawn(layer, np.ones((50, 50)))[0]).all()


def test_alpha_dropout_near_one_keeps_its_moments_in_theory():
    # All dropped: a α' + b, which tends to 0 like √(1 − p).
    [y] = drawn(layers.AlphaDropout(1 - 1e-9, dtype="float64"), np.ones((50, 50)))
    expected = -np.sqrt(1e-9) * 1.7580993408473769 / np.sqrt(1 + 1.7580993408473769**2)
    np.testing.assert_allclose(y, expected, rtol=1e-6)


@each_noise
def test_draws_follow_from_the_seed_and_are_fresh(make):
    x = np.ones((20, 30))
    first, second = (drawn(make(), x, 3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


@each_noise
def test_same_bits_for_any_number_of_threads(make):
    found, before = [], eg.get_num_threads()
    for threads in (1, 2, 3, 8):
        eg.set_num_threads(threads)
        try:
            found += drawn(make(), np.ones((400, 500)))
        finally:
            eg.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@each_noise
def test_gradients(make, rng):
    settings = {**make().get_config(), "dtype": "float64"}
    assert_gradients(type(make())(**settings), rng.normal(size=(4, 5)), training=True)


@each_noise
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_however_run(make, dtype, rng, tmp_path):
    def model():
        parts = [eg.Input((5,)), layers.Dense(8, "selu"), make(), layers.Dense(2)]
        return eg.Sequential(parts, seed=6, dtype=dtype)

    x, y = rng.normal(size=(53, 5)), rng.normal(size=(53, 2))
    assert_same_bits(model, x, y, tmp_path)


@each_noise
def test_fresh_in_each_replayed_step(make):
    class Watch(layers.Layer):
        def build(self, input_shape):
            self.sums = self.add_weight("sums", (input_shape[-1],), "zeros", trainable=False)
            self.squares = self.add_weight("squares", (input_shape[-1],), "zeros", trainable=False)

        def call(self, x, training):
            if training:
                eg.accumulate(self.sums, x.mean(0))
                eg.accumulate(self.squares, x.mean(0).square())
            return x

    model = eg.Sequential([make(), Watch(), layers.Dense(1)], seed=2)
    model.compile("sgd", "mse")
    model.fit(np.ones((640, 50)), np.ones(640), verbose=0)
    sums, squares = model.layers[1].get_weights()
    # Were it one draw for all 20 steps, their means would not vary.
    spread = np.sqrt(squares / 20 - (sums / 20) ** 2)
    assert 0.03 < spread.mean() < 0.3


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [(layers.AlphaDropout, r"\[0, 1\]"), (layers.GaussianDropout, r"\[0, 1\)")],
)
@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_bad_rate(kind, bounds, rate):
    with pytest.raises(ValueError, match=f"rate: expected a number in {bounds}"):
        kind(rate)


def test_infinite_variance_is_refused():
    with pytest.raises(ValueError, match="got 1, where the noise would have infinite variance"):
        layers.GaussianDropout(1.0)


@pytest.mark.parametrize("kind", [layers.Dropout, layers.AlphaDropout])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("captured", [False, True])
def test_with_rate_one_nothing_passes(kind, dtype, captured):
    layer = kind(1.0, dtype=dtype)
    x = np.array([[1.0, -2.0, np.inf, -np.inf, np.nan, 0.0, 1e30]], dtype)

    def step(x):
        leaf = eg.tensor(np.zeros((1, 7), dtype), requires_grad=True)
        y = layer(x + leaf, training=True)
        return y, *eg.autograd.grad(y, [leaf], eg.ones((1, 7), dtype=dtype))

    y, gradient = (eg.compile(step) if captured else step)(eg.tensor(x))
    np.testing.assert_array_equal(y.detach().numpy(), np.zeros((1, 7)))
    np.testing.assert_array_equal(gradient.numpy(), np.zeros((1, 7)))
    # In inference all passes.
    np.testing.assert_array_equal(layer(x).numpy(), x)


def test_a_net_behind_full_dropout_still_learns_its_bias():
    model = eg.Sequential([eg.Input((3,)), layers.Dropout(1.0), layers.Dense(1)], seed=1)
    before = model.get_weights()
    model.compile(eg.optimizers.SGD(0.5), "mse")
    model.fit(np.ones((8, 3)), np.full(8, 2.0), verbose=0)
    kernel, bias = model.get_weights()
    np.testing.assert_array_equal(kernel, before[0])
    assert bias.tolist() == [2.0]


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_function_at_both_ends(p):
    x = eg.tensor([1.0, float("inf"), -3.0], requires_grad=True)
    y = eg.functional.dropout(x, p)
    y.backward(eg.ones((3,)))
    assert y.tolist() == [(1.0 - p) * v if p == 0.0 else 0.0 for v in x.tolist()]
    assert x.grad.tolist() == [1.0 - p] * 3
    with pytest.raises(ValueError, match=r"p: expected a number in \[0, 1\], got 1.1"):
        eg.functional.dropout(x, 1.1)


@pytest.mark.parametrize("stddev", [-0.1, float("inf"), float("nan")])
def test_bad_deviation(stddev):
    with pytest.raises(ValueError, match=r"stddev: expected a number in \[0, inf\)"):
        layers.GaussianNoise(stddev)


class TestNoiseOfColumns:
    def test_a_deviation_for_each_feature(self, rng):
        x = rng.normal(size=(3000, 3))
        [y] = drawn(layers.GaussianNoise([0.0, 1.0, 5.0], dtype="float64"), x)
        np.testing.assert_array_equal(y[:, 0], x[:, 0])
        for column, deviation in ((1, 1.0), (2, 5.0)):
            noise = (y - x)[:, column]
            assert stats.kstest(noise, stats.norm(0, deviation).cdf).pvalue > 1e-3

    @pytest.mark.parametrize("stddev", [0.3, [0.3, 0.3, 0.3]], ids=repr)
    def test_in_deviations_of_the_batch(self, rng, stddev):
        x = rng.normal(size=(3000, 3)) * [1.0, 1e-3, 100.0] + [5.0, 0.0, -7.0]
        [y] = drawn(layers.GaussianNoise(stddev, by_column=True, dtype="float64"), x)
        for noise, of in zip((y - x).T, x.T, strict=True):
            assert stats.kstest(noise, stats.norm(0, 0.3 * of.std()).cdf).pvalue > 1e-3
        [alone] = drawn(layers.GaussianNoise(stddev, by_column=True), x[:1])
        np.testing.assert_array_equal(alone, x[:1].astype("float32"))

    def test_gradients_pass_unchanged(self, rng):
        layer = layers.GaussianNoise([0.1, 0.2], by_column=True, dtype="float64")
        x = eg.tensor(rng.normal(size=(4, 2)), requires_grad=True)
        layer(x, training=True).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), np.ones((4, 2)))

    def test_same_bits_in_every_way(self, rng, tmp_path):
        def model():
            noise = layers.GaussianNoise([0.1, 0.2, 0.3], by_column=True)
            return eg.Sequential([noise, layers.Dense(1)], seed=3)

        x = rng.normal(size=(70, 3))
        assert_same_bits(model, x, x[:, :1], tmp_path)

    def test_wrong_deviations(self):
        with pytest.raises(ValueError, match="stddev"):
            layers.GaussianNoise([0.1, -0.2])
        with pytest.raises(ValueError, match="3 features, one for each stddev"):
            layers.GaussianNoise([0.1, 0.2, 0.3])(np.zeros((4, 2)))
