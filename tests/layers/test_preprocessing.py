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

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("constant", [0.0, 0.1, -7.0, 1e9 / 3])
    def test_constant_features_as_scikit_learn(self, rng, dtype, constant):
        x = rng.normal(2.0, 3.0, size=(20_000, 2)).astype(dtype)
        x[:, 1] = constant
        new = x[:5] + np.array([0.0, 1.0], dtype)
        expected = StandardScaler().fit(x.astype("float64")).transform(new.astype("float64"))
        for adapted in (layers.Normalization(dtype=dtype), layers.Normalization((1,), dtype=dtype)):
            adapted.adapt(x)
            np.testing.assert_array_equal(adapted(x[:5])[:, 1].numpy(), 0.0)
            np.testing.assert_allclose(adapted(new).numpy(), expected, rtol=1e-4, atol=1e-6)
        mean, variance = adapted.get_weights()
        back = layers.Normalization(mean=mean, variance=variance, invert=True, dtype=dtype)
        np.testing.assert_allclose(back(adapted(new)).numpy(), new, rtol=1e-5)

    @pytest.mark.parametrize("deviation", [1e-9, 1e-15, 1e12])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_deviations_of_any_size(self, rng, deviation, dtype):
        x = rng.normal(0.0, deviation, size=(500, 3))
        layer = layers.Normalization(dtype=dtype)
        layer.adapt(x)
        expected = StandardScaler().fit_transform(x)
        np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-4, atol=1e-5)

    def test_deviations_far_below_the_mean(self, rng):
        x = 1.0 + rng.normal(0.0, 1e-9, size=(500, 3))
        layer = layers.Normalization(dtype="float64")
        layer.adapt(x)
        np.testing.assert_allclose(layer(x).numpy(), StandardScaler().fit_transform(x), atol=1e-6)

    @pytest.mark.parametrize("axis", [-1, 1, (1, 2), None])
    @pytest.mark.parametrize("kind", [list, tuple])
    def test_a_list_of_batches(self, rng, axis, kind):
        x = rng.normal(5.0, 3.0, size=(50, 4, 3))
        for built in (False, True):
            whole, parts, equal = (layers.Normalization(axis, dtype="float64") for _ in "abc")
            if built:
                parts.build((None, 4, 3))
                parts(x)
            whole.adapt(x)
            parts.adapt(kind([x[:20], x[20:43], x[43:]]))
            equal.adapt(kind([x[:25], x[25:]]))
            for other in (parts, equal):
                assert other._state.input_shape == (None, 4, 3)
                np.testing.assert_allclose(other.get_weights(), whole.get_weights(), rtol=1e-12)

    def test_a_list_of_rows(self, rng):
        x = rng.normal(5.0, 3.0, size=(6, 4, 3))
        vectors = [row[0] for row in x]
        flat, images = layers.Normalization(1), layers.Normalization((1, 2))
        flat.adapt(vectors)
        np.testing.assert_allclose(flat.get_weights()[0], x[:, 0].mean(0), rtol=1e-6)
        # Built for images, it knows their batches from them.
        images(x)
        images.adapt(list(x))
        np.testing.assert_allclose(images.get_weights()[0], x.mean(0), rtol=1e-6)
        nested = layers.Normalization(1)
        nested.adapt([[1.0, 2.0], [3.0, 4.0]])
        assert nested.get_weights()[0].tolist() == [2.0, 3.0]

    def test_batches_of_different_shapes_are_refused(self, rng):
        layer = layers.Normalization(dtype="float64")
        with pytest.raises(
            ValueError, match=r"batches of rows of one shape, got \(3,\) and \(1,\)"
        ):
            layer.adapt([rng.normal(size=(5, 3)), rng.normal(size=(5, 1))])
        assert not layer.built

    def test_one_that_is_not_adapted_is_said_once(self, rng, advice):
        x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))

        def net(**settings):
            layer = layers.Normalization(**settings)
            model = eg.Sequential([eg.Input((3,)), layer, layers.Dense(1)], seed=1, name="net")
            model.compile("sgd", "mse")
            return model

        model = net()
        for _ in range(2):
            model.fit(x, y, batch_size=8, verbose=0)
        assert advice.text.count("normalization has not been adapted") == 1
        assert "call adapt(data) on the layer" in advice.text
        advice.clear()
        adapted, given, loaded = net(), net(mean=0.0, variance=1.0), net()
        adapted.layers[0].adapt(x)
        loaded.set_weights(adapted.get_weights())
        for one in (adapted, given, loaded):
            one.fit(x, y, verbose=0)
        assert "adapted" not in advice.text

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
