"""Activations as layers: against closed forms, their gradients, at the edges, captured, saved."""

import numpy as np
import pytest
from activation_statements import ACTIVATIONS
from layer_checks import assert_gradients, assert_same_bits

import evengrad as eg
from evengrad import layers

inf = float("inf")


@pytest.fixture
def rng():
    return np.random.default_rng(21)


# The names that the vocabulary promises, with a point and the value there to 17 digits.
NAMES = {
    **{name: row.by_default for name, row in ACTIVATIONS.items() if row.by_default is not None},
    "swish": ACTIVATIONS["silu"].by_default,
    "hard_swish": ACTIVATIONS["hard_silu"].by_default,
    "linear": (-1.5, -1.5),
    "softmax": (1.0, 1.0),
    "log_softmax": (1.0, 0.0),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_activation_is_a_function_and_a_string(name):
    point, value = NAMES[name]
    x = eg.tensor([[point]], dtype="float64")
    assert eg.activations.get(name) is getattr(eg.activations, name)
    assert getattr(eg.activations, name)(x).item() == pytest.approx(value, rel=1e-14)
    dense = layers.Dense(1, name, kernel_initializer="ones", dtype="float64")
    assert dense(x).item() == pytest.approx(value, rel=1e-14)
    assert layers.Activation(name, dtype="float64")(x).item() == pytest.approx(value, rel=1e-14)


def test_no_activation_is_left_out_above():
    assert set(NAMES) == set(eg.activations.__all__) - {"Suggestion", "get", "suggest"}


POINTS = [-inf, -8.0, -1.0, 0.0, 0.5, 1.0, 2.0, 6.0, 9.0, inf]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.ReLU, [0, 0, 0, 0, 0.5, 1, 2, 6, 9, inf]),
        (lambda **k: layers.ReLU(6.0, **k), [0, 0, 0, 0, 0.5, 1, 2, 6, 6, 6]),
        (lambda **k: layers.ReLU(0.0, **k), [0] * 10),
        (
            lambda **k: layers.ReLU(negative_slope=0.5, **k),
            [-inf, -4, -0.5, 0, 0.5, 1, 2, 6, 9, inf],
        ),
        (lambda **k: layers.ReLU(threshold=1.0, **k), [0, 0, 0, 0, 0, 1, 2, 6, 9, inf]),
        (
            lambda **k: layers.ReLU(2.0, 0.5, 1.0, **k),
            [-inf, -4.5, -1, -0.5, -0.25, 1, 2, 2, 2, 2],
        ),
        (
            lambda **k: layers.LeakyReLU(0.25, **k),
            [-inf, -2, -0.25, 0, 0.5, 1, 2, 6, 9, inf],
        ),
        # A slope above one: the maximum of x and slope · x would be another function.
        (lambda **k: layers.LeakyReLU(2.0, **k), [-inf, -16, -2, 0, 0.5, 1, 2, 6, 9, inf]),
        (lambda **k: layers.ELU(0.0, **k), [0, 0, 0, 0, 0.5, 1, 2, 6, 9, inf]),
        (
            lambda **k: layers.RReLU(0.25, 0.75, **k),
            [-inf, -4, -0.5, 0, 0.5, 1, 2, 6, 9, inf],
        ),
        (
            lambda **k: layers.PReLU(eg.initializers.Constant(0.25), **k),
            [-inf, -2, -0.25, 0, 0.5, 1, 2, 6, 9, inf],
        ),
    ],
)
def test_values(layer, expected, dtype):
    made = layer(dtype=dtype)
    y = made(np.array([POINTS]))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.detach().numpy()[0], np.array(expected, dtype))
    assert np.isnan(made(np.full((1, 10), np.nan)).detach().numpy()).all()
    assert made(np.zeros((0, 10))).shape == (0, 10)


def test_elu():
    y = layers.ELU(1.5, dtype="float64")([[-1.0, -1e-8, -1e3, 2.0]]).numpy()[0]
    np.testing.assert_allclose(y, [-0.94818083824283652, -1.4999999925e-8, -1.5, 2], rtol=1e-15)


def test_softmax(rng):
    x = rng.normal(size=(3, 4, 5))
    for axis in (1, 2, -1, -2):
        shares = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
        y = layers.Softmax(axis, dtype="float64")(x).numpy()
        np.testing.assert_allclose(y, shares, rtol=1e-14)
        np.testing.assert_array_equal(eg.activations.softmax(x, axis).numpy(), y)
        logarithms = eg.activations.log_softmax(x, axis=axis).numpy()
        np.testing.assert_allclose(logarithms, np.log(shares), rtol=1e-12)
    with pytest.raises(ValueError, match="axis: expected any dimension but 0"):
        layers.Softmax(0)
    with pytest.raises(ValueError, match="with a dimension 2 beside the rows"):
        layers.Softmax(2)(np.ones((2, 3)))


@pytest.mark.parametrize("dimensions", [(), (4,)])
@pytest.mark.parametrize(
    "layer",
    [
        layers.ReLU(0.9, 0.3, 0.1, dtype="float64"),
        layers.LeakyReLU(0.3, dtype="float64"),
        layers.ELU(0.7, dtype="float64"),
        layers.Softmax(dtype="float64"),
        layers.RReLU(dtype="float64"),
        layers.PReLU("he_normal", "l2", dtype="float64"),
        layers.Maxout(3, 4, bias_initializer="he_normal", dtype="float64"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("training", [False, True])
def test_gradients(rng, layer, dimensions, training):
    layer = type(layer)(**layer.get_config())
    assert_gradients(layer, rng.normal(size=(3, *dimensions, 5)), training=training)


@pytest.mark.parametrize(
    ("layer", "slope"),
    [
        (layers.ReLU(), 0.0),
        (layers.LeakyReLU(0.25), 0.25),
        (layers.ReLU(negative_slope=0.25), 0.25),
        (layers.ELU(1.5), 1.5),
        (layers.PReLU(eg.initializers.Constant(0.25)), 0.25),
        (layers.RReLU(0.25, 0.25), 0.25),
    ],
    ids=repr,
)
@pytest.mark.parametrize("training", [False, True])
def test_derivative_at_zero(layer, slope, training):
    x = eg.zeros((1, 1), requires_grad=True)
    layer(x, training=training).sum().backward()
    assert x.grad.item() == slope


class TestPReLU:
    def test_slopes_per_feature_and_shared(self, rng):
        x = rng.normal(size=(2, 3, 4))
        for shared, shape in [(None, (3, 4)), (1, (1, 4)), ([2], (3, 1)), ((1, 2), (1, 1))]:
            layer = layers.PReLU("random_uniform", shared_axes=shared, dtype="float64")
            y = layer(x).detach().numpy()
            [alpha] = layer.get_weights()
            assert alpha.shape == shape
            np.testing.assert_allclose(y, np.where(x > 0, x, alpha * x), rtol=1e-14)

    def test_gradient_of_the_slope(self):
        # Σ of the gradient times x, over the rows where x < 0.
        layer = layers.PReLU(dtype="float64")
        y = layer([[-2.0, 3.0], [-5.0, 0.0], [7.0, inf]])
        weights = eg.tensor([[10.0, 1], [1, 1], [1, 1]], dtype="float64")
        [gradient] = eg.autograd.grad(y, [layer.alpha], weights)
        np.testing.assert_array_equal(gradient.numpy(), [-25.0, 0.0])

    def test_penalty_and_constraint(self):
        layer = layers.PReLU("ones", eg.regularizers.L1(0.5), "non_neg")
        layer(np.ones((1, 4)))
        assert [loss.item() for loss in layer.losses] == [2.0]
        eg.optimizers.SGD(10.0).minimize(layer.losses[0], layer.trainable_weights)
        assert (layer.get_weights()[0] == 0).all()

    def test_what_does_not_fit(self):
        with pytest.raises(ValueError, match="shared_axes: expected 1 or more, got 0"):
            layers.PReLU(shared_axes=[0])
        with pytest.raises(ValueError, match="with a dimension 2 beside the rows"):
            layers.PReLU(shared_axes=[1, 2])(np.ones((2, 3)))
        layer = layers.PReLU()
        layer(np.ones((2, 3)))
        with pytest.raises(ValueError, match=r"an input of shape \(None, 3\), got .*\(None, 4\)"):
            layer(np.ones((2, 4)))


class TestRReLU:
    def test_mean_slope_in_inference(self):
        layer = layers.RReLU(dtype="float64")
        assert layer([[-1.0]]).item() == pytest.approx(-11 / 48, rel=1e-15)

    def test_law_of_the_slopes(self):
        from scipy import stats

        y = layers.RReLU(0.1, 0.5, dtype="float64")(-np.ones((200, 100)), training=True).numpy()
        assert stats.kstest(-y.ravel(), stats.uniform(0.1, 0.4).cdf).pvalue > 1e-3

    def test_draws_anew_in_each_step(self):
        layer = layers.RReLU()

        @eg.compile
        def step(x):
            return layer(x, training=True)

        x = -np.ones((8, 8), np.float32)
        drawn = [step(x).numpy() for _ in range(3)]
        assert not np.array_equal(drawn[1], drawn[0])
        assert not np.array_equal(drawn[1], drawn[2])

    def test_bad_bounds(self):
        with pytest.raises(ValueError, match=r"upper: expected a number in \[0.5, inf\)"):
            layers.RReLU(0.5, 0.25)


class TestMaxout:
    def test_values(self, rng):
        x = rng.normal(size=(6, 5))
        layer = layers.Maxout(3, 4, bias_initializer="he_normal", dtype="float64")
        y = layer(x).detach().numpy()
        kernel, bias = layer.get_weights()
        sums = [[x @ kernel[:, 3 * k + u] + bias[3 * k + u] for k in range(4)] for u in range(3)]
        np.testing.assert_allclose(y, np.max(sums, axis=1).T, rtol=1e-12)
        assert layer.multiply_adds((None, 5)) == 60

    def test_one_piece_is_linear(self, rng):
        x = rng.normal(size=(6, 5))
        layer = layers.Maxout(3, 1, use_bias=False, dtype="float64")
        np.testing.assert_allclose(layer(x).detach().numpy(), x @ layer.get_weights()[0])

    def test_equal_pieces_share_the_gradient(self):
        layer = layers.Maxout(1, 2, False, "ones")
        y = layer([[3.0]])
        [gradient] = eg.autograd.grad(y, [layer.kernel])
        assert gradient.tolist() == [[1.5, 1.5]]

    def test_three_equal_pieces_share_it_equally(self):
        layer = layers.Maxout(2, 4, dtype="float64")
        layer.build((None, 1))
        # Of the first unit three pieces are the largest, of the second two.
        layer.set_weights([np.array([[3.0, 1.0, 3.0, 2.0, 3.0, 2.0, 0.0, 0.0]]), np.zeros(8)])
        y = layer([[6.0]])
        assert y.tolist() == [[18.0, 12.0]]
        [gradient] = eg.autograd.grad(y.sum(), [layer.bias])
        third = 1 / 3
        expected = [third, 0.0, third, 0.5, third, 0.5, 0.0, 0.0]
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-15)

    def test_no_rows_and_more_dimensions(self, rng):
        layer = layers.Maxout(3, 4, dtype="float64")
        x = rng.normal(size=(2, 5, 6))
        flat = layer(x.reshape(10, 6)).detach().numpy()
        np.testing.assert_array_equal(layer(x).detach().numpy(), flat.reshape(2, 5, 3))
        assert layer(np.zeros((0, 6))).shape == (0, 3)

    def test_what_does_not_fit(self):
        layer = layers.Maxout(2)
        layer(np.ones((2, 3)))
        with pytest.raises(ValueError, match=r"maxout: expected an input of shape \(rows, 3\)"):
            layer(np.ones((2, 4)))
        with pytest.raises(ValueError, match="pieces: expected 1 or more, got 0"):
            layers.Maxout(2, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.ReLU(1.5, 0.1, 0.25),
        lambda: layers.LeakyReLU(0.3),
        lambda: layers.PReLU("random_uniform", "l2"),
        layers.RReLU,
        lambda: layers.ELU(0.5),
        lambda: layers.Maxout(7, 3),
        layers.Softmax,
        # As an activation within another layer.
        lambda: layers.Dense(7, layers.PReLU("random_uniform"), kernel_initializer="he_normal"),
        lambda: layers.Dense(7, layers.RReLU(), norm=layers.BatchNormalization()),
    ],
    ids=lambda make: repr(make()),
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_however_run(rng, make, dtype, tmp_path):
    def model():
        parts = [eg.Input((5,)), layers.Dense(8), make(), layers.Dense(2)]
        return eg.Sequential(parts, seed=6, dtype=dtype)

    x, y = rng.normal(size=(53, 5)), rng.normal(size=(53, 2))
    assert_same_bits(model, x, y, tmp_path)


def huge_leak(z):
    """An activation as users write one."""
    return eg.maximum(0.2 * z, z)


def test_own_function(rng, tmp_path):
    layer = layers.Dense(4, huge_leak, kernel_initializer="auto", dtype="float64")
    assert_gradients(layer, rng.normal(size=(3, 5)))

    def model(activation):
        parts = [eg.Input((5,)), layers.Dense(8, activation), layers.Dense(2)]
        return eg.Sequential(parts, seed=6, dtype="float64")

    x, y = rng.normal(size=(53, 5)), rng.normal(size=(53, 2))
    trained = []
    for activation in (huge_leak, layers.LeakyReLU(0.2)):
        for run_eagerly in (True, False):
            net = model(activation)
            net.compile("adam", "mse", run_eagerly=run_eagerly)
            net.fit(x, y, epochs=3, verbose=0)
            trained.append(net.get_weights())
    for other in trained[1:]:
        for a, b in zip(trained[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
    net = model(huge_leak)
    net.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net", custom_objects={"huge_leak": huge_leak})
    np.testing.assert_array_equal(again.predict(x), net.predict(x))


def test_a_layer_as_activation_is_frozen_with_its_layer():
    layer = layers.Dense(3, layers.PReLU(), trainable=False)
    layer(np.ones((1, 2)))
    assert layer.trainable_weights == []
    layer.trainable = True
    assert len(layer.trainable_weights) == 3


@pytest.mark.parametrize("end", [layers.Softmax, lambda: layers.Activation("softmax")])
def test_a_cross_entropy_takes_the_scores_before_a_softmax_layer(end):
    def eye(shape, dtype):
        return np.eye(*shape, dtype=dtype)

    dense = layers.Dense(3, kernel_initializer=eye)
    model = eg.Sequential([eg.Input((3,)), dense, end()])
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    # Through the shares this loss would be infinite.
    loss, accuracy = model.evaluate(np.array([[1000.0, 0.0, -1000.0]]), [2])
    assert (loss, accuracy) == (2000.0, 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.ReLU(-1.0), "max_value: expected a number in"),
        (lambda: layers.ReLU(negative_slope=-1.0), "negative_slope"),
        (lambda: layers.ReLU(threshold=-1.0), "threshold"),
        (lambda: layers.LeakyReLU(float("nan")), "negative_slope"),
        (lambda: layers.ELU(-1.0), "alpha"),
        (lambda: layers.PReLU("zeroes"), "alpha_initializer: .*'zeros'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
