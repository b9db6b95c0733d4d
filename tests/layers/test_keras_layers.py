"""Layers and arguments of Keras': its values (3.15 on TensorFlow), and NumPy in float64."""

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits
from scipy import special

import evengrad as eg
from evengrad import layers

X = np.arange(12.0).reshape(2, 2, 3) / 4 - 1
Y = np.arange(16.0).reshape(2, 2, 4) / 8
NUMBERS = np.array([[-0.1, 0.0, 0.4, 0.5], [1.0, 2.0, 0.9, 0.99]])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def values(layer, *inputs, training=False):
    given = [np.asarray(x) for x in inputs]
    return layer(given if len(given) > 1 else given[0], training=training).detach().numpy()


def near(found, expected):
    np.testing.assert_allclose(found, expected, atol=2e-6)


class TestBatchNormalization:
    def test_over_another_dimension(self):
        layer = layers.BatchNormalization(axis=1, dtype="float64")
        row = [-1.285472, -0.964104, -0.642736]
        other = [0.642736, 0.964104, 1.285472]
        near(values(layer, X, training=True), [[row, row], [other, other]])
        near(layer.moving_mean.numpy(), [0.0, 0.0075])
        near(layer.moving_variance.numpy(), [0.996042, 0.996042])

    @pytest.mark.parametrize("training", [False, True])
    def test_gradients(self, training):
        layer = layers.BatchNormalization(axis=1, dtype="float64")
        layer(X)
        assert_gradients(layer, X, training=training)

    def test_penalties_and_constraints(self):
        layer = layers.BatchNormalization(
            gamma_regularizer=eg.regularizers.L2(0.5),
            beta_regularizer="l1",
            beta_initializer=eg.initializers.Constant(-2.0),
            beta_constraint="non_neg",
            gamma_constraint=eg.constraints.MaxNorm(1.0, axis=0),
        )
        model = eg.Sequential([eg.Input((3,)), layer], seed=1)
        assert sum(model.losses).item() == pytest.approx(0.5 * 3 + 0.01 * 6)
        model.compile(eg.optimizers.SGD(0.1), "mse")
        model.fit(X[0], np.zeros((2, 3)), verbose=0)
        gamma, beta = layer.gamma.numpy(), layer.beta.numpy()
        assert np.linalg.norm(gamma) <= 1.0 + 1e-6
        assert (beta == 0).all()

    def test_a_missing_dimension_is_named(self):
        with pytest.raises(ValueError, match=r"expected an input with a dimension 2 of known size"):
            layers.BatchNormalization(axis=2)(np.zeros((4, 3)))
        layer = layers.BatchNormalization(axis=1)
        layer(np.zeros((4, 3, 2)))
        with pytest.raises(ValueError, match="with 3 features in dimension 1"):
            layer(np.zeros((4, 5, 2)))
        with pytest.raises(ValueError, match="any dimension but 0, the rows"):
            layers.BatchNormalization(axis=0)

    def test_files_folding_and_threads(self, rng, tmp_path):
        def model():
            chain = [layers.Dense(4), layers.BatchNormalization(axis=1), layers.Flatten()]
            return eg.Sequential([eg.Input((3, 5)), *chain, layers.Dense(2)], seed=2)

        x, y = rng.normal(size=(53, 3, 5)), rng.normal(size=(53, 2))
        trained = assert_same_bits(model, x, y, tmp_path)
        folded = trained.fold_batch_norm()
        np.testing.assert_allclose(folded.predict(x), trained.predict(x), rtol=1e-5, atol=1e-6)


class TestLayerNormalization:
    @pytest.mark.parametrize("axis", [1, -1, (1, 2), [2, 1], [1, 3], (1, 2, 3)])
    def test_values_and_gradients(self, axis, rng):
        x = rng.normal(size=(3, 2, 3, 2))
        layer = layers.LayerNormalization(
            0.125, axis=axis, gamma_initializer="normal", beta_initializer="normal", dtype="float64"
        )
        axes = tuple(sorted(a % 4 for a in ([axis] if isinstance(axis, int) else axis)))
        found = values(layer, x)
        centred = x - x.mean(axes, keepdims=True)
        scaled = centred / np.sqrt(x.var(axes, keepdims=True) + 0.125)
        shape = [x.shape[a] if a in axes else 1 for a in range(4)]
        gamma, beta = (w.reshape(shape) for w in layer.get_weights())
        np.testing.assert_allclose(found, scaled * gamma + beta, rtol=1e-12, atol=1e-14)
        assert_gradients(layer, x)

    def test_as_keras(self):
        near(
            values(layers.LayerNormalization(axis=[1, 2], dtype="float64"), X)[0],
            [[-1.459851, -0.875911, -0.29197], [0.29197, 0.875911, 1.459851]],
        )
        near(
            values(layers.LayerNormalization(axis=1, dtype="float64"), X)[1],
            [[-0.996463] * 3, [0.996463] * 3],
        )

    def test_penalties(self):
        layer = layers.LayerNormalization(gamma_regularizer="l2", beta_constraint="non_neg")
        layer(X)
        assert [round(one.item(), 6) for one in layer.losses] == [0.03]

    def test_other_sizes_are_refused(self):
        layer = layers.LayerNormalization(axis=[1, 2])
        layer(np.zeros((2, 3, 4)))
        with pytest.raises(ValueError, match=r"an input of \(3, 4\) in dimensions \[1, 2\]"):
            layer(np.zeros((2, 3, 5)))


class TestDropout:
    def test_places_that_are_zeroed_together(self):
        layer = layers.Dropout(0.5, noise_shape=(None, 1, 6), seed=3)
        found = values(layer, np.ones((40, 5, 6)), training=True)
        assert set(np.unique(found)) == {0.0, 2.0}
        assert (found == found[:, :1]).all()
        share = (found[:, 0] == 0).mean()
        assert 0.35 < share < 0.65
        assert (values(layer, np.ones((2, 5, 6))) == 1).all()

    def test_one_mask_for_all_rows(self):
        layer = layers.Dropout(0.5, noise_shape=(1, 64), seed=3)
        found = values(layer, np.ones((9, 64)), training=True)
        assert (found == found[:1]).all()

    def test_a_seed_of_its_own(self):
        def masks(seed, model_seed):
            layer = layers.Dropout(0.5, seed=seed)
            eg.Sequential([eg.Input((50,)), layer], seed=model_seed)
            return values(layer, np.ones((4, 50)), training=True)

        np.testing.assert_array_equal(masks(7, 1), masks(7, 2))
        assert (masks(7, 1) != masks(8, 1)).any()
        assert (masks(None, 1) != masks(None, 2)).any()

    def test_captured_and_files(self, rng, tmp_path):
        def model():
            dropout = layers.Dropout(0.25, noise_shape=(None, 1, 4), seed=5)
            return eg.Sequential(
                [eg.Input((3, 4)), dropout, layers.Flatten(), layers.Dense(2)], seed=1
            )

        assert_same_bits(model, rng.normal(size=(53, 3, 4)), rng.normal(size=(53, 2)), tmp_path)

    def test_a_mask_that_does_not_fit(self):
        with pytest.raises(ValueError, match=r"that noise_shape=\(None, 2\) fits"):
            layers.Dropout(0.5, noise_shape=(None, 2))(np.ones((4, 3)), training=True)


class TestSoftmax:
    @pytest.mark.parametrize("axis", [(1, 2), [2, 1], [0, 2], (0, 1, 2)])
    def test_over_several_dimensions(self, axis):
        expected = special.softmax(X, axis=tuple(axis))
        found = eg.activations.softmax(eg.tensor(X), axis)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13)
        found = eg.activations.log_softmax(eg.tensor(X), axis)
        np.testing.assert_allclose(found.numpy(), np.log(expected), rtol=1e-12)
        eg.autograd.gradcheck(lambda x: eg.activations.softmax(x, axis), [X])

    def test_as_a_layer(self):
        layer = layers.Softmax([1, 2], dtype="float64")
        near(
            values(layer, X)[1],
            [[0.081577, 0.104747, 0.134498], [0.172698, 0.221749, 0.284731]],
        )
        assert layer.final_activation is None
        assert_gradients(layer, X)
        with pytest.raises(ValueError, match="any dimension but 0, the rows"):
            layers.Softmax([0, 1])


class TestRelu:
    # Keras has 0 at the threshold itself, where its documentation says x, as here.
    POINTS = np.array([-2.0, -0.5, 0.5, 3.0, 9.0])

    def test_function_and_layer(self):
        expected = [-1.5, -0.75, -0.25, 3.0, 6.0]
        near(eg.activations.relu(self.POINTS, 0.5, 6.0, 1.0).numpy(), expected)
        near(values(layers.ReLU(6.0, 0.5, 1.0, dtype="float64"), self.POINTS[None])[0], expected)
        near(eg.relu(self.POINTS, max_value=1.0).numpy(), [0, 0, 0.5, 1, 1])
        near(eg.relu(self.POINTS, negative_slope=0.1).numpy(), [-0.2, -0.05, 0.5, 3, 9])
        eg.autograd.gradcheck(lambda x: eg.relu(x, 0.5, 6.0, 1.0), [self.POINTS])

    def test_it_stays_the_activation_of_that_name(self):
        layer = layers.Dense(2, eg.relu)
        assert layer.activation is eg.activations.relu is eg.functional.relu is eg.relu
        assert layer.final_activation == "relu"

    @pytest.mark.parametrize("name", ["negative_slope", "max_value", "threshold"])
    def test_negative_arguments(self, name):
        with pytest.raises(ValueError, match=name):
            eg.relu(self.POINTS, **{name: -1.0})


class TestDot:
    def test_as_keras(self):
        def dot(axes, *inputs, **settings):
            return values(layers.Dot(axes, dtype="float64", **settings), *inputs)

        near(dot(1, X[:, 0], X[:, 1]), [[0.125], [3.5]])
        near(dot(-1, X[:, 0], X[:, 1], normalize=True), [[0.262613], [0.9915]])
        near(dot((1, 1), X[:, :, 0], Y)[1], [2.375, 2.59375, 2.8125, 3.03125])
        near(dot((1, 1), X, Y[:, :, 0])[0], [-0.125, 0.0, 0.125])

    @pytest.mark.parametrize(
        ("axes", "shapes"),
        [
            ((1, 1), [(3, 4, 2), (3, 4, 5)]),
            ((2, 1), [(3, 4, 2), (3, 2, 5)]),
            ((-1, -1), [(3, 4, 2), (3, 5, 2)]),
            ((2, 3), [(3, 4, 2, 2), (3, 2, 3, 2)]),
            (1, [(3, 4), (3, 4)]),
        ],
    )
    @pytest.mark.parametrize("normalize", [False, True])
    def test_values_and_gradients(self, axes, shapes, normalize, rng):
        a, b = (rng.normal(size=shape) for shape in shapes)
        layer = layers.Dot(axes, normalize, dtype="float64")
        i, j = (axes, axes) if isinstance(axes, int) else axes
        expected = []
        for left, right in zip(a, b, strict=True):
            rows = [np.moveaxis(z, k - (k > 0), -1) for z, k in ((left, i), (right, j))]
            if normalize:
                rows = [z / np.linalg.norm(z, axis=-1, keepdims=True) for z in rows]
            expected.append(np.tensordot(*rows, (-1, -1)))
        found = values(layer, a, b)
        np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=1e-12)
        shapes = [(None, *shape[1:]) for shape in shapes]
        assert layer.compute_output_shape(shapes) == (None, *found.shape[1:])
        assert_gradients(layer, a, b)

    def test_errors(self):
        with pytest.raises(ValueError, match="a dimension or a pair"):
            layers.Dot((1, 2, 3))
        with pytest.raises(ValueError, match="any dimensions but 0"):
            layers.Dot(0)
        with pytest.raises(ValueError, match="equal sizes in dimensions 1 and 1"):
            layers.Dot(1)([np.zeros((2, 3)), np.zeros((2, 4))])
        with pytest.raises(ValueError, match="a list of two inputs"):
            layers.Dot(1)(np.zeros((2, 3)))


class TestUnitNormalization:
    def test_as_keras(self):
        near(values(layers.UnitNormalization(), X)[0, 1], [-0.707107, 0.0, 0.707107])
        near(
            values(layers.UnitNormalization([1, 2]), X)[1],
            [[0.169638, 0.254457, 0.339276], [0.424094, 0.508913, 0.593732]],
        )
        assert (values(layers.UnitNormalization(), np.zeros((2, 3))) == 0).all()

    def test_gradients(self, rng):
        layer = layers.UnitNormalization((1, 2), dtype="float64")
        assert_gradients(layer, rng.normal(size=(2, 3, 2)))


class TestSpectralNormalization:
    KERNEL = np.arange(12.0).reshape(3, 4) / 8 - 0.5
    U = np.array([[0.25, -0.5, 0.125, 1.0]])

    def layer(self, iterations=1):
        dense = layers.Dense(4, use_bias=False, dtype="float64")
        layer = layers.SpectralNormalization(dense, iterations, dtype="float64")
        layer.build((None, 3))
        layer.set_weights([self.U, self.KERNEL])
        return layer

    @pytest.mark.parametrize("iterations", [1, 3])
    def test_formula(self, iterations):
        layer, x = self.layer(iterations), X[0]
        u = self.U
        for _ in range(iterations):
            v = u @ self.KERNEL.T
            v /= np.linalg.norm(v)
            u = v @ self.KERNEL
            u /= np.linalg.norm(u)
        found = values(layer, x, training=True)
        sigma = (v @ self.KERNEL @ u.T).item()
        np.testing.assert_allclose(found, x @ self.KERNEL / sigma, rtol=1e-12)
        np.testing.assert_allclose(layer.vector_u.numpy(), u, rtol=1e-12)
        # In inference u stays.
        v = u @ self.KERNEL.T
        sigma = (v / np.linalg.norm(v) @ self.KERNEL @ u.T).item()
        np.testing.assert_allclose(values(layer, x), x @ self.KERNEL / sigma, rtol=1e-12)
        np.testing.assert_allclose(layer.vector_u.numpy(), u, rtol=1e-12)
        np.testing.assert_array_equal(layer.layer.kernel.numpy(), self.KERNEL)

    @pytest.mark.parametrize(
        ("iterations", "row"),
        [
            (1, [0.1658646, -0.0207331, -0.2073308, -0.3939284]),
            (3, [0.1591946, -0.0198993, -0.1989933, -0.3780872]),
        ],
    )
    def test_values_of_keras(self, iterations, row):
        near(values(self.layer(iterations), X[0], training=True)[0], row)

    def test_it_comes_to_the_largest_singular_value(self):
        layer = self.layer(60)
        largest = np.linalg.svd(self.KERNEL)[1][0]
        found = values(layer, X[0], training=True)
        np.testing.assert_allclose(found, X[0] @ self.KERNEL / largest, rtol=1e-9)

    def test_gradients(self):
        assert_gradients(self.layer(), X[0])

    def test_captured_and_files(self, rng, tmp_path):
        def model():
            layer = layers.SpectralNormalization(layers.Dense(4, "tanh"))
            return eg.Sequential([eg.Input((3,)), layer, layers.Dense(1)], seed=1)

        assert_same_bits(model, rng.normal(size=(53, 3)), rng.normal(size=(53, 1)), tmp_path)

    def test_errors(self):
        with pytest.raises(TypeError, match="layer: expected a layer"):
            layers.SpectralNormalization("dense")
        with pytest.raises(ValueError, match="expected a layer with kernel or embeddings"):
            layers.SpectralNormalization(layers.Flatten())(X)


class TestPlain:
    def test_permute(self):
        found = values(layers.Permute((2, 1)), X)
        np.testing.assert_array_equal(found, X.transpose(0, 2, 1).astype("float32"))
        with pytest.raises(ValueError, match="the numbers 1 to 2, each once"):
            layers.Permute((1, 3))
        with pytest.raises(ValueError, match="name each of its dimensions"):
            layers.Permute((2, 1))(np.zeros((3, 4)))

    def test_activity_regularization(self):
        layer = layers.ActivityRegularization(0.5, 0.25)
        layer([[1.0, -2.0], [0.0, 1.0]])
        assert [one.item() for one in layer.losses] == [1.75]
        model = eg.Sequential([eg.Input((2,)), layers.ActivityRegularization(0.5, 0.25)])
        model.compile("sgd", "mse")
        x = np.array([[1.0, -2.0], [0.0, 1.0]])
        assert model.evaluate(x, x) == pytest.approx(1.75)

    def test_identity(self):
        np.testing.assert_array_equal(values(layers.Identity(), X), X.astype("float32"))


class TestCategories:
    def test_encodings(self):
        x = [[0, 2], [1, 1]]
        assert values(layers.CategoryEncoding(4), x).tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
        assert values(layers.CategoryEncoding(4, "count"), x).tolist() == [
            [1, 0, 1, 0],
            [0, 2, 0, 0],
        ]
        one_hot = layers.CategoryEncoding(4, "one_hot")
        np.testing.assert_array_equal(values(one_hot, x), np.eye(4)[np.array(x)])
        np.testing.assert_array_equal(values(one_hot, [[0], [2]]), np.eye(4)[[0, 2]])

    def test_bins(self):
        edges = [0.0, 0.5, 1.0]
        assert values(layers.Discretization(edges), NUMBERS).tolist() == [
            [0, 1, 1, 2],
            [3, 3, 2, 2],
        ]
        counts = values(layers.Discretization(edges, output_mode="count"), NUMBERS)
        assert counts.tolist() == [[1, 2, 1, 0], [0, 0, 2, 2]]
        hot = values(layers.Discretization(edges, output_mode="multi_hot"), NUMBERS)
        assert hot.tolist() == [[1, 1, 1, 0], [0, 0, 1, 1]]
        each = values(layers.Discretization(edges, output_mode="one_hot"), NUMBERS)
        np.testing.assert_array_equal(each, np.eye(4)[[[0, 1, 1, 2], [3, 3, 2, 2]]])

    def test_adapted_bins_are_saved(self, rng, tmp_path):
        layer = layers.Discretization(num_bins=4)
        with pytest.raises(ValueError, match="not adapted yet"):
            layer(NUMBERS)
        data = rng.normal(size=(200, 1))
        layer.adapt(data)
        np.testing.assert_allclose(layer.bin_boundaries, np.quantile(data, [0.25, 0.5, 0.75]))
        found = values(layer, data)
        assert np.unique(found, return_counts=True)[1].tolist() == [50, 50, 50, 50]
        model = eg.Sequential([eg.Input((1,)), layer, layers.Dense(1)])
        model.save(tmp_path / "net.safetensors")
        again = eg.load_model(tmp_path / "net.safetensors")
        assert again.layers[0].bin_boundaries == layer.bin_boundaries
        np.testing.assert_array_equal(again.predict(data), model.predict(data))

    def test_errors(self):
        with pytest.raises(ValueError, match="expected one of the two, got neither"):
            layers.Discretization()
        with pytest.raises(ValueError, match="numbers in order"):
            layers.Discretization([1.0, 0.0])
        with pytest.raises(ValueError, match="2 boundaries make 3 bins"):
            layers.Discretization([0.0, 1.0], 2)
        with pytest.raises(ValueError, match="the boundaries were given"):
            layers.Discretization([0.0]).adapt(NUMBERS)


class Nudged(layers.Layer):
    """A layer with penalties of its own."""

    def call(self, x):
        self.add_loss(0.5 * x.square().mean())
        self.add_loss([x.sum() * 0.25])
        return x


class TestAddLoss:
    X = np.array([[1.0, 3.0]])

    def test_outside_of_training(self):
        layer = Nudged()
        for _ in range(2):
            layer(self.X)
            assert [one.item() for one in layer.losses] == [2.5 + 1.0]

    @pytest.mark.parametrize("run_eagerly", [False, True])
    def test_in_training(self, run_eagerly):
        model = eg.Sequential(
            [eg.Input((2,)), layers.Dense(2, kernel_initializer="identity"), Nudged()]
        )
        model.compile(eg.optimizers.SGD(0.1), "mse", run_eagerly=run_eagerly)
        history = model.fit(self.X, self.X, epochs=2, batch_size=1, verbose=0)
        assert history.history["loss"][0] == pytest.approx(3.5)
        # The first step leaves the loss of mse at 0: all of the gradient is that of the penalties.
        gradient = 0.5 * self.X[0] + 0.25
        step = np.outer(self.X[0], gradient) * 0.1
        kernel, bias = np.eye(2) - step, -0.1 * gradient
        output = self.X @ kernel + bias
        expected = ((output - self.X) ** 2).mean() + 0.5 * (output**2).mean() + output.sum() / 4
        assert history.history["loss"][1] == pytest.approx(expected, rel=1e-5)

    def test_errors(self):
        class Wrong(layers.Layer):
            def call(self, x):
                self.add_loss(x)
                return x

        class Number(layers.Layer):
            def call(self, x):
                self.add_loss(1.0)
                return x

        with pytest.raises(ValueError, match=r"add_loss: expected a tensor of one element"):
            Wrong()(self.X)
        with pytest.raises(TypeError, match=r"add_loss: expected a tensor, got float"):
            Number()(self.X)
