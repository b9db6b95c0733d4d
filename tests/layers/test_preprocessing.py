"""Normalization and Rescaling, and `functional.layer_norm`: against NumPy and scikit-learn."""

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits
from sklearn.preprocessing import StandardScaler

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(24)


class TestNormalization:
    def test_as_scikit_learn(self, rng):
        x = rng.normal([3.0, -2.0, 100.0], [0.1, 5.0, 2.0], size=(500, 3))
        layer = layers.Normalization(dtype="float64")
        np.testing.assert_array_equal(layer(x).numpy(), x)
        layer.adapt(x)
        np.testing.assert_allclose(layer(x).numpy(), StandardScaler().fit_transform(x), rtol=1e-9)
        back = layers.Normalization(
            mean=layer.get_weights()[0], variance=layer.get_weights()[1], invert=True
        )
        np.testing.assert_allclose(back(layer(x)).numpy(), x, rtol=1e-5, atol=1e-5)

    def test_far_from_zero(self):
        # The plain mean of squares would lose all of the variance.
        x = np.array([[1e9 + 1], [1e9 + 2], [1e9 + 3]])
        layer = layers.Normalization(dtype="float64")
        layer.adapt(np.repeat(x, 30_000, axis=0))
        np.testing.assert_allclose(layer.get_weights(), [[1e9 + 2], [2 / 3]], rtol=1e-12)

    @pytest.mark.parametrize(
        ("axis", "over"), [(-1, (0, 1)), (2, (0, 1)), (1, (0, 2)), ((1, 2), (0,)), (None, None)]
    )
    def test_axes(self, rng, axis, over):
        x = rng.normal(5.0, 3.0, size=(50, 4, 3))
        layer = layers.Normalization(axis, dtype="float64")
        layer.adapt(x)
        expected = (x - x.mean(over, keepdims=True)) / x.std(over, keepdims=True)
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-10)

    def test_batches_count_by_their_rows(self, rng):
        x = rng.normal(size=(1000, 2)).cumsum(0)
        whole, parts = (layers.Normalization(dtype="float64") for _ in "ab")
        whole.adapt(x)
        parts.adapt(x[start : start + 300] for start in range(0, 1000, 300))
        np.testing.assert_allclose(parts.get_weights(), whole.get_weights(), rtol=1e-12)
        # Statistics are replaced, not joined.
        parts.adapt(x)
        np.testing.assert_allclose(parts.get_weights(), whole.get_weights(), rtol=1e-12)

    def test_constant_feature(self):
        layer = layers.Normalization()
        layer.adapt(np.full((10, 2), 0.1))
        assert layer(np.full((1, 2), 0.1)).tolist() == [[0.0, 0.0]]

    def test_is_not_trained_and_is_saved(self, rng, tmp_path):
        x, y = rng.normal(50.0, 9.0, size=(53, 5)), rng.normal(size=(53, 2))

        def model():
            layer = layers.Normalization()
            layer.adapt(x)
            return eg.Sequential([layer, layers.Dense(8, "tanh"), layers.Dense(2)], seed=2)

        fitted = assert_same_bits(model, x, y, tmp_path)
        np.testing.assert_allclose(fitted.get_weights()[0], x.mean(0), rtol=1e-6)
        assert len(fitted.trainable_weights) == 4

    def test_adapt_reaches_a_model_that_has_trained(self, rng):
        x = rng.normal(size=(40, 3))
        model = eg.Sequential([eg.Input((3,)), layers.Normalization(), layers.Dense(1)], seed=1)
        model.compile(eg.optimizers.SGD(0.0), "mse")
        before = model.train_on_batch(x, np.ones(40))
        model.layers[0].adapt(x * 10)
        after = model.train_on_batch(x * 10, np.ones(40))
        model.layers[0].adapt(x)
        assert model.train_on_batch(x, np.ones(40)) == pytest.approx(after, rel=1e-4)
        assert after != pytest.approx(before, rel=1e-4)

    def test_gradients(self, rng):
        layer = layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0], dtype="float64")
        assert_gradients(layer, rng.normal(size=(3, 2)))

    def test_what_does_not_fit(self):
        layer = layers.Normalization()
        layer.adapt(np.arange(6.0).reshape(3, 2))
        kept = layer.get_weights()
        for bad, error, message in [
            (np.zeros((0, 2)), ValueError, "adapt: expected at least one row"),
            ([[1.0, np.nan]], ValueError, "adapt: expected finite numbers"),
            ([["a", "b"]], TypeError, "data: expected numbers"),
            (np.ones((3, 4)), ValueError, r"an input with \(2,\) features"),
            (np.ones(3), ValueError, r"an input of shape \(rows, features\), got .* x\[None, :\]"),
        ]:
            with pytest.raises(error, match=message):
                layer.adapt(bad)
        np.testing.assert_array_equal(layer.get_weights(), kept)
        with pytest.raises(ValueError, match=r"an input with \(2,\) features"):
            layer(np.ones((3, 4)))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"axis": 0}, "axis: expected any dimension but 0"),
            ({"mean": 1.0}, "mean, variance: expected both or neither"),
            ({"mean": 1.0, "variance": -1.0}, "variance: expected values of 0 or more"),
        ],
    )
    def test_bad_arguments(self, settings, message):
        with pytest.raises(ValueError, match=message):
            layers.Normalization(**settings)


def test_rescaling(rng, tmp_path):
    x = rng.integers(0, 256, size=(53, 5))
    y = layers.Rescaling(1 / 255, 0.5, dtype="float64")(x).numpy()
    np.testing.assert_allclose(y, x / 255 + 0.5, rtol=1e-15)

    def model():
        return eg.Sequential([layers.Rescaling(1 / 255), layers.Dense(2)], seed=2)

    assert_same_bits(model, x, rng.normal(size=(53, 2)), tmp_path)
    assert_gradients(layers.Rescaling(3.0, 1.0, dtype="float64"), rng.normal(size=(3, 2)))


class TestLayerNorm:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize(("shape", "over"), [((4, 7), 1), ((4, 3, 5), 1), ((4, 3, 5), 2)])
    def test_values(self, rng, shape, over, dtype):
        x = rng.normal(2.0, 3.0, size=shape).astype(dtype)
        sizes = shape[-over:]
        weight, bias = (eg.tensor(rng.normal(size=sizes).astype(dtype)) for _ in "ab")
        dims = tuple(range(-over, 0))
        mean, variance = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
        expected = (x - mean) / np.sqrt(variance + 0.25) * weight.numpy() + bias.numpy()
        y = eg.functional.layer_norm(x, sizes, weight, bias, 0.25)
        close = 1e-5 if dtype == "float32" else 1e-13
        np.testing.assert_allclose(y.numpy(), expected, rtol=close, atol=close)

    def test_default_epsilon(self):
        # x̂ of ±1 with variance 1: 1 / √1.00001.
        y = eg.functional.layer_norm(np.array([[-1.0, 1.0]]), 2)
        np.testing.assert_allclose(y.numpy(), [[-0.9999950000374997, 0.9999950000374997]], 1e-15)

    def test_gradients(self, rng):
        def function(x, weight, bias):
            return eg.functional.layer_norm(x, (3, 5), weight, bias)

        arrays = [rng.normal(size=shape) for shape in [(2, 3, 5), (3, 5), (3, 5)]]
        assert eg.autograd.gradcheck(function, arrays, atol=1e-8, rtol=1e-6)

    def test_captured(self, rng):
        x = rng.normal(size=(6, 4))
        step = eg.compile(lambda x: eg.functional.layer_norm(x, 4))
        step(x * 2)
        np.testing.assert_array_equal(step(x).numpy(), eg.functional.layer_norm(x, 4).numpy())

    def test_what_does_not_fit(self):
        x = np.ones((2, 3))
        with pytest.raises(ValueError, match=r"input: expected shape \(..., 4\)"):
            eg.functional.layer_norm(x, 4)
        with pytest.raises(ValueError, match=r"weight: expected shape \(3,\), got \(2,\)"):
            eg.functional.layer_norm(x, 3, eg.ones((2,)))
        with pytest.raises(ValueError, match="eps"):
            eg.functional.layer_norm(x, 3, eps=-1.0)
