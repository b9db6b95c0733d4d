"""Merging, residual blocks, reshaping, embeddings: against NumPy, gradients, captured, saved."""

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(23)


class TestMerging:
    @pytest.mark.parametrize("shape", [(2, 3), (1, 4, 2)])
    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_values_and_gradients(self, rng, shape, count):
        inputs = [rng.normal(size=shape) for _ in range(count)]
        for kind, expected in [
            (layers.Add, np.sum(inputs, axis=0)),
            (layers.Multiply, np.prod(inputs, axis=0)),
            (layers.Average, np.mean(inputs, axis=0)),
            (layers.Maximum, np.max(inputs, axis=0)),
            (layers.Minimum, np.min(inputs, axis=0)),
        ]:
            layer = kind(dtype="float64")
            np.testing.assert_allclose(layer(inputs).numpy(), expected, rtol=1e-14)
            if count > 1:
                assert_gradients(layer, *inputs)

    def test_subtract(self, rng):
        a, b = rng.normal(size=(2, 3, 4))
        layer = layers.Subtract(dtype="float64")
        np.testing.assert_array_equal(layer([a, b]).numpy(), a - b)
        assert_gradients(layer, a, b)
        for wrong in ([a], [a, b, a]):
            with pytest.raises(ValueError, match="subtract: expected 2 inputs, got"):
                layer(wrong)

    @pytest.mark.parametrize("kind", [layers.Maximum, layers.Minimum])
    def test_two_equal_inputs_share_the_gradient(self, kind):
        leaves = [eg.ones((1, 1), requires_grad=True) for _ in "ab"]
        kind()(leaves).sum().backward()
        assert [leaf.grad.item() for leaf in leaves] == [0.5, 0.5]

    @pytest.mark.parametrize("kind", [layers.Multiply, layers.Average, layers.Minimum])
    def test_what_does_not_fit(self, kind):
        with pytest.raises(ValueError, match="expected inputs of one shape, got shapes"):
            kind()([np.ones((2, 3)), np.ones((2, 4))])
        with pytest.raises(ValueError, match="expected a list of inputs"):
            kind()(np.ones((2, 3)))

    def test_in_a_graph(self, rng, tmp_path):
        def model():
            x = eg.Input((5,))
            a, b = layers.Dense(4, "tanh")(x), layers.Dense(4, "sigmoid")(x)
            gated = layers.Multiply()([a, b])
            parts = [layers.Average()([gated, a]), layers.Maximum()([a, b])]
            joined = layers.Subtract()([*parts])
            joined = layers.Minimum()([joined, a])
            return eg.Model(x, layers.Dense(2)(joined), seed=4)

        assert_same_bits(model, rng.normal(size=(53, 5)), rng.normal(size=(53, 2)), tmp_path)


class TestArithmeticOfGraphs:
    @pytest.mark.parametrize(
        "function",
        [
            lambda a, b: a + b,
            lambda a, b: a - b,
            lambda a, b: a * b,
            lambda a, b: a * np.int64(3) + b * 0.5,
            lambda a, b: 2 - a + b,
            lambda a, b: -(1.5 + a) * b - 4,
            lambda a, b: 3 * a - 2 * b,
        ],
    )
    def test_values(self, rng, function):
        inputs = eg.Input((3,), "float64"), eg.Input((3,), "float64")
        model = eg.Model(list(inputs), function(*inputs))
        arrays = [rng.normal(size=(5, 3)) for _ in range(2)]
        np.testing.assert_allclose(model.predict(arrays), function(*arrays), rtol=1e-14)

    def test_saved(self, rng, tmp_path):
        def model():
            x = eg.Input((5,))
            gate = layers.Dense(4, "sigmoid")(x)
            return eg.Model(x, layers.Dense(2)(layers.Dense(4)(x) * gate - 1.0), seed=4)

        assert_same_bits(model, rng.normal(size=(53, 5)), rng.normal(size=(53, 2)), tmp_path)

    @pytest.mark.parametrize(
        "function",
        [
            lambda x: x * True,
            lambda x: "a" - x,
            lambda x: x + None,
            np.asarray,
            eg.exp,
            bool,
            float,
            len,
        ],
    )
    def test_what_symbolic_tensors_do_not_do(self, function):
        with pytest.raises(TypeError, match=r"has no values; it takes part in operators"):
            function(eg.Input((3,)))


class TestResidual:
    def test_identity(self, rng):
        x = rng.normal(size=(6, 4))
        body = [layers.Dense(8, "relu", bias_initializer="he_normal"), layers.Dense(4)]
        layer = layers.Residual(body, dtype="float64")
        y = layer(x).detach().numpy()
        w1, b1, w2, b2 = layer.get_weights()
        np.testing.assert_allclose(y, x + np.maximum(x @ w1 + b1, 0) @ w2 + b2, rtol=1e-12)
        assert_gradients(layer, x)

    def test_projection_where_widths_differ(self, rng):
        x = rng.normal(size=(6, 4))
        layer = layers.Residual(layers.Dense(3, use_bias=False), activation="relu", dtype="float64")
        y = layer(x).detach().numpy()
        assert [path for path, _ in layer.named_weights()] == ["body/kernel", "projection/kernel"]
        kernel, projection = layer.get_weights()
        np.testing.assert_allclose(y, np.maximum(x @ projection + x @ kernel, 0), rtol=1e-12)
        assert layer.compute_output_shape((None, 4)) == (None, 3)
        assert layer.multiply_adds((None, 4)) == 24
        assert_gradients(layer, x)

    def test_given_projection(self, rng):
        x = rng.normal(size=(6, 4))
        layer = layers.Residual(layers.Dense(4), layers.Rescaling(2.0), dtype="float64")
        y = layer(x).detach().numpy()
        kernel, bias = layer.get_weights()
        np.testing.assert_allclose(y, 2 * x + x @ kernel + bias, rtol=1e-12)

    def test_jacobian_is_the_identity_plus_that_of_the_body(self, rng):
        layer = layers.Residual(layers.Dense(3, use_bias=False), dtype="float64")
        x = eg.tensor(rng.normal(size=(1, 3)), requires_grad=True)
        y = layer(x)
        kernel = layer.get_weights()[0]
        for unit in range(3):
            row = np.eye(3)[[unit]]
            [gradient] = eg.autograd.grad(y, [x], eg.tensor(row), retain_graph=True)
            np.testing.assert_allclose(gradient.numpy(), row @ (np.eye(3) + kernel.T), rtol=1e-14)

    def test_gradients_reach_the_bottom_of_a_deep_stack(self, rng):
        def size_at_the_bottom(wrap):
            parts = [layers.Dense(32), *[wrap(layers.Dense(32, "sigmoid")) for _ in range(50)]]
            model = eg.Sequential(parts, seed=3, dtype="float64")
            y = model(rng.normal(size=(16, 32)))
            [gradient] = eg.autograd.grad(y.sum(), [model.layers[0].kernel])
            return np.abs(gradient.numpy()).mean()

        assert size_at_the_bottom(lambda layer: layer) < 1e-12
        assert size_at_the_bottom(layers.Residual) > 1e-1

    def test_freezing(self):
        for layer in (
            layers.Residual([layers.Dense(3)], trainable=False),
            layers.Residual(layers.Dense(3)),
        ):
            layer(np.ones((1, 2)))
            layer.trainable = False
            assert layer.trainable_weights == []
            layer.trainable = True
            assert len(layer.trainable_weights) == 3

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: layers.Residual([]), ValueError, "body: expected at least one layer"),
            (lambda: layers.Residual(layers.Dense), TypeError, "did you forget its parentheses"),
            (lambda: layers.Residual(layers.Dense(2), 3), TypeError, "expected layers, got 3"),
            (lambda: layers.Residual(layers.Dense(2), activation="rely"), ValueError, "'relu'"),
        ],
    )
    def test_bad_arguments(self, make, error, message):
        with pytest.raises(error, match=message):
            make()

    def test_what_does_not_fit(self):
        wrong = layers.Residual(layers.Dense(3), layers.Dense(4))
        with pytest.raises(ValueError, match=r"a shortcut to the body's shape \(None, 3\), got"):
            wrong(np.ones((2, 5)))
        with pytest.raises(ValueError, match="a shortcut to the body's shape"):
            layers.Residual(layers.Flatten())(np.ones((2, 3, 4)))
        # Nothing is left of the attempt.
        assert wrong.weights == []

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_same_bits_however_run(self, rng, dtype, tmp_path):
        def model():
            block = [layers.Dense(8, "relu", norm=layers.BatchNormalization()), layers.Dropout(0.1)]
            parts = [
                layers.Residual([*block, layers.Dense(6)], activation="relu"),
                layers.Residual(layers.Residual(layers.Dense(6, layers.PReLU()))),
                layers.Dense(2),
            ]
            return eg.Sequential(parts, seed=6, dtype=dtype)

        assert_same_bits(model, rng.normal(size=(53, 5)), rng.normal(size=(53, 2)), tmp_path)


class TestReshape:
    def test_values(self, rng):
        x = rng.normal(size=(5, 12)).astype("float32")
        for target, shape in [((3, 4), (5, 3, 4)), ((-1, 6), (5, 2, 6)), (12, (5, 12))]:
            layer = layers.Reshape(target)
            np.testing.assert_array_equal(layer(x).numpy(), x.reshape(shape))
            assert layer.compute_output_shape((None, 12)) == (None, *shape[1:])
        assert layers.Reshape((2, -1))(np.zeros((0, 6))).shape == (0, 2, 3)
        assert_gradients(layers.Reshape((4, -1), dtype="float64"), rng.normal(size=(2, 8)))

    def test_what_does_not_fit(self):
        with pytest.raises(ValueError, match=r"rows that fill \(5, -1\).* a row has 12 elements"):
            layers.Reshape((5, -1))(np.ones((2, 12)))
        for wrong in [(0, 2), (-1, -1), (-2,)]:
            with pytest.raises(ValueError, match="target_shape: expected"):
                layers.Reshape(wrong)

    def test_same_bits_however_run(self, rng, tmp_path):
        def model():
            parts = [layers.Reshape((2, -1)), layers.Dense(4, "relu"), layers.Flatten()]
            return eg.Sequential([*parts, layers.Dense(2)], seed=6)

        assert_same_bits(model, rng.normal(size=(53, 6)), rng.normal(size=(53, 2)), tmp_path)


class TestEmbedding:
    @pytest.mark.parametrize("kind", ["int64", "int32", "uint8", "float32", "float64"])
    def test_values(self, rng, kind):
        x = rng.integers(0, 7, size=(5, 3)).astype(kind)
        layer = layers.Embedding(7, 4)
        y = layer(x)
        assert y.dtype == "float32"
        np.testing.assert_array_equal(y.detach().numpy(), layer.get_weights()[0][x.astype(int)])
        assert layer.compute_output_shape((None, 3)) == (None, 3, 4)
        assert layer(np.zeros((0, 3), kind)).shape == (0, 3, 4)

    def test_first_values(self):
        layer = layers.Embedding(1000, 20)
        layer(np.zeros((1, 1)))
        values = layer.get_weights()[0]
        assert np.abs(values).max() <= 0.05
        assert values.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.02)

    def test_gradient_adds_up_over_places(self, rng):
        x = np.array([[0, 3], [3, 3], [1, 0]])
        layer = layers.Embedding(5, 2, dtype="float64")
        weights = rng.normal(size=(3, 2, 2))
        [gradient] = eg.autograd.grad((layer(x) * weights).sum(), [layer.embeddings])
        expected = np.zeros((5, 2))
        np.add.at(expected, x, weights)
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-14)

    def test_is_dense_on_one_hot_rows(self, rng):
        """The same training, step by step, as a Dense layer on one-hot rows."""
        x, y = rng.integers(0, 9, size=(64, 1)), rng.normal(size=(64, 2))
        looked_up = eg.Sequential(
            [eg.Input((1,)), layers.Embedding(9, 4), layers.Flatten(), layers.Dense(2)],
            seed=1,
            dtype="float64",
        )
        one_hot = eg.Sequential(
            [eg.Input((9,)), layers.Dense(4, use_bias=False), layers.Dense(2)], dtype="float64"
        )
        one_hot.set_weights(looked_up.get_weights())
        for model, data in [(looked_up, x), (one_hot, np.eye(9)[x[:, 0]])]:
            model.compile(eg.optimizers.Adam(0.05), "mse")
            model.fit(data, y, epochs=5, batch_size=16, shuffle=False, verbose=0)
        for a, b in zip(looked_up.get_weights(), one_hot.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_same_bits_however_run(self, rng, dtype, tmp_path):
        def model():
            parts = [layers.Embedding(9, 4, "glorot_uniform", "l2"), layers.Flatten()]
            return eg.Sequential([*parts, layers.Dense(2)], seed=6, dtype=dtype)

        assert_same_bits(model, rng.integers(0, 9, (53, 3)), rng.normal(size=(53, 2)), tmp_path)

    def test_beside_numbers_in_a_graph(self, rng):
        city, numbers = eg.Input((1,)), eg.Input((3,))
        vector = layers.Flatten()(layers.Embedding(9, 2)(city))
        joined = layers.Concatenate()([vector, numbers])
        model = eg.Model([city, numbers], layers.Dense(1)(joined), seed=1)
        model.compile("sgd", "mse")
        data = [rng.integers(0, 9, (40, 1)), rng.normal(size=(40, 3))]
        before = model.get_weights()
        bad = [np.full((40, 1), 9), data[1]]
        with pytest.raises(IndexError, match="embedding: expected numbers from 0 to 8, got 9"):
            model.fit(bad, np.ones(40), verbose=0)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        losses = model.fit(data, np.ones(40), epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]

    @pytest.mark.parametrize("run", ["predict", "fit", "evaluate"])
    def test_wrong_numbers_are_found_before_anything_runs(self, run):
        model = eg.Sequential([layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)])
        model.compile("sgd", "mse")
        # The wrong one is in no first batch.
        x = np.zeros((2000, 2))
        rest = () if run == "predict" else (np.zeros(2000),)
        for wrong, error in [(5, IndexError), (-1, IndexError), (0.5, ValueError)]:
            x[1500, 1] = wrong
            with pytest.raises(error, match=f"embedding: expected .*, got {wrong:g} among them"):
                getattr(model, run)(x, *rest)

    def test_wrong_numbers_are_found_however_often_a_model_was_called(self):
        model = eg.Sequential([layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1)])
        x = np.array([[4.0, 0.0]], "float32")
        with eg.no_grad():
            answers = [model(x).tolist() for _ in range(5)]
            assert answers == answers[:1] * 5
            for wrong in (5, -1):
                with pytest.raises(IndexError, match="embedding: expected numbers from 0 to 4"):
                    model(np.array([[wrong, 0]], "float32"))

    def test_wrong_numbers_in_a_replay_give_nan(self):
        layer = layers.Embedding(5, 2)
        layer(np.zeros((1, 1)))
        look_up = eg.compile(lambda x: layer(x) * 1.0)
        for kind in ("int64", "float32"):
            assert np.isfinite(look_up(np.array([[4, 0]], kind)).numpy()).all()
            found = look_up(np.array([[5, -1]], kind)).numpy()
            assert np.isnan(found).all()

    def test_more_numbers_than_float32_holds(self):
        with pytest.raises(ValueError, match=r"input_dim: expected 2\*\*24 or less in float32"):
            layers.Embedding(2**24 + 1, 1)(np.zeros((1, 1)))
        for size in [(0, 1), (1, 0)]:
            with pytest.raises(ValueError, match="_dim: expected 1 or more, got 0"):
                layers.Embedding(*size)
