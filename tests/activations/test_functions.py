"""Activation functions: against sums with 120 digits, at the edges, at their kinks, captured."""

import decimal
from decimal import Decimal

import numpy as np
import pytest
from activation_statements import ACTIVATIONS, ONE

import evengrad as eg
from evengrad import layers
from evengrad._tensor.activations import offered

inf, nan = float("inf"), float("nan")
DTYPES = ["float32", "float64"]
each_dtype = pytest.mark.parametrize("dtype", DTYPES)

each_function = pytest.mark.parametrize("name", ACTIVATIONS)


@pytest.fixture(autouse=True)
def _many_digits():
    with decimal.localcontext() as context:
        context.prec = 120
        yield


def points(dtype):
    """Return points all over where something happens, none of them a kink."""
    grid = np.linspace(-12.0, 12.0, 121) + 0.013
    near = [sign * 10.0**e for e in range(-30, -1, 4) for sign in (1, -1)]
    return np.array([*grid, *near], dtype)


def value_and_slope(function, x):
    leaf = eg.tensor(x, requires_grad=True)
    y = function(leaf)
    y.sum().backward()
    return y.detach().numpy(), leaf.grad.numpy()


def errors(found, exact):
    return np.array([abs(Decimal(float(a)) - b) for a, b in zip(found, exact, strict=True)])


def test_no_function_is_left_out():
    rows = {name for name, row in ACTIVATIONS.items() if row.by_default is not None}
    apart = {"linear", "softmax", "log_softmax", "swish", "hard_swish"}
    assert rows == set(offered()) - apart


@each_function
@each_dtype
def test_value_and_derivative(name, dtype):
    row = ACTIVATIONS[name]
    oracle, ulps = row.oracle, row.ulps
    x = points(dtype)
    y, slope = value_and_slope(row.function, x)
    assert y.dtype == slope.dtype == dtype
    digits = Decimal(float(np.finfo(dtype).eps))
    decimals = [Decimal(float(value)) for value in x]
    exact = [oracle(value) for value in decimals]
    # Relative to the value, subnormal ones apart; where it is a difference of numbers near 1, to 1.
    least = Decimal(float(np.finfo(dtype).tiny))
    scale = [max(abs(value), least) if ulps is not None else ONE for value in exact]
    bound = [(2 if ulps is None else ulps) * digits * unit for unit in scale]
    assert (errors(y, exact) <= bound).all()
    # The derivative as a difference over 1e-40, to 80 digits.
    step = Decimal("1e-40")
    exact = [(oracle(value + step) - oracle(value - step)) / (2 * step) for value in decimals]
    bounds = [row.slope_ulps * digits * max(ONE, abs(s)) for s in exact]
    assert (errors(slope, exact) <= bounds).all()


@each_function
@each_dtype
def test_infinite_and_huge_arguments(name, dtype):
    function = ACTIVATIONS[name].function
    low, high, low_slope, high_slope = np.array(ACTIVATIONS[name].limits, dtype)
    y, slope = value_and_slope(function, np.array([-inf, inf], dtype))
    np.testing.assert_allclose(y, [low, high], rtol=2 * np.finfo(dtype).eps)
    np.testing.assert_allclose(slope, [low_slope, high_slope], rtol=0, atol=4e-7)
    huge = np.array([-1e30, -1e4, 1e4, 1e30, np.finfo(dtype).max, np.finfo(dtype).min], dtype)
    y, slope = value_and_slope(function, huge)
    sides = np.sign(huge) > 0
    assert not np.isnan(y).any()
    np.testing.assert_allclose(slope, np.where(sides, high_slope, low_slope), atol=1e-7)
    bounded = np.where(sides, np.isfinite(high), np.isfinite(low))
    np.testing.assert_allclose(y[bounded], np.where(sides, high, low)[bounded], atol=2e-4)


@each_function
@each_dtype
def test_nan_stays_visible(name, dtype):
    y, slope = value_and_slope(ACTIVATIONS[name].function, np.array([1.0, nan, -1.0], dtype))
    np.testing.assert_array_equal(np.isnan(y), [False, True, False])
    np.testing.assert_array_equal(np.isnan(slope), [False, True, False])


@each_function
@each_dtype
def test_zeros_and_nothing(name, dtype):
    function = ACTIVATIONS[name].function
    y, _ = value_and_slope(function, np.array([0.0, -0.0], dtype))
    np.testing.assert_allclose(y, float(ACTIVATIONS[name].oracle(Decimal(0))), rtol=1e-7)
    for shape in [(0,), (3, 0), (0, 4)]:
        y, slope = value_and_slope(function, np.zeros(shape, dtype))
        assert y.shape == slope.shape == shape


@pytest.mark.parametrize(
    "name", [name for name, row in ACTIVATIONS.items() if row.keeps_sign_of_zero]
)
@each_dtype
def test_the_sign_of_zero_passes(name, dtype):
    y, _ = value_and_slope(ACTIVATIONS[name].function, np.array([0.0, -0.0], dtype))
    assert np.signbit(y).tolist() == [False, True]


@pytest.mark.parametrize(
    ("function", "kink", "slope"),
    [
        *((row.function, *kink) for row in ACTIVATIONS.values() for kink in row.kinks.items()),
        (lambda x: eg.elu(x, 1.0), 0.0, 1.0),
        (lambda x: eg.celu(x, 1.5), 0.0, 1.0),
        (lambda x: eg.clamp(x, -1.0, 1.0), 1.0, 1.0),
    ],
)
@each_dtype
def test_derivative_at_a_kink(function, kink, slope, dtype):
    at = np.array([kink, -kink if kink == 0.0 else kink], dtype)
    np.testing.assert_allclose(value_and_slope(function, at)[1], slope, rtol=2e-7)


def test_relu6_is_the_layer_with_that_bound():
    x = np.array([-1.0, 0.0, 3.0, 6.0, 7.0, inf])
    layer = layers.ReLU(6.0, dtype="float64")
    for a, b in zip(value_and_slope(eg.relu6, x), value_and_slope(layer, x), strict=True):
        np.testing.assert_array_equal(a, b)


@each_function
def test_gradcheck(name):
    point = np.array([[-2.3, -0.4, 0.7], [1.9, 4.6, -5.1]])
    assert eg.autograd.gradcheck(ACTIVATIONS[name].function, point)


def test_a_slope_of_zero_meets_no_infinity():
    x = np.array([[-inf, -1.0, 2.0, inf]])
    expected = [0.0, 0.0, 2.0, inf]
    for layer in (layers.LeakyReLU(0.0), layers.PReLU(), layers.RReLU(0.0, 0.0)):
        for training in (False, True):
            assert layer(x, training=training).detach().numpy()[0].tolist() == expected
    np.testing.assert_array_equal(eg.leaky_relu(x[0], 0.0).numpy(), expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: eg.elu(x, -1.0), r"elu: alpha: expected a float32 in \[0, inf\), got -1.0"),
        (lambda x: x.elu(nan), "elu: alpha"),
        (lambda x: x.elu(inf), "elu: alpha"),
        (lambda x: eg.celu(x, 0.0), r"celu: alpha: expected a float32 in \(0, inf\), got 0.0"),
        (lambda x: x.celu(-2.0), "celu: alpha"),
        # Zero, or infinite, in the type of x.
        (lambda x: x.celu(1e-60), "celu: alpha: .*got 1e-60"),
        (lambda x: x.elu(1e60), "elu: alpha: .*got 1e60"),
        (lambda x: eg.leaky_relu(x, inf), "leaky_relu: negative_slope: .*got inf"),
        (lambda x: x.leaky_relu(nan), "leaky_relu: negative_slope"),
        (
            lambda x: eg._core.dense(x, eg.ones((1, 1)), activation="elu", alpha=-1.0),
            "elu: alpha",
        ),
        (lambda x: eg.gelu(x, "tan"), "approximate: unknown 'tan'; did you mean 'tanh'"),
    ],
)
def test_parameters_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call(eg.ones((1, 1)))


def test_wide_parameters_serve_wide_numbers():
    x = np.array([-1.0, 1.0])
    np.testing.assert_allclose(eg.elu(x, 1e60).numpy(), [-0.63212055882855768e60, 1.0])
    np.testing.assert_allclose(eg.celu(x, 1e-60).numpy(), [-1e-60, 1.0])


NAMES = list(offered())


@pytest.mark.parametrize("name", NAMES)
@each_dtype
def test_eager_and_captured_bits(name, dtype):
    """Functions, and the same inside a dense layer, which computes them in its own pass."""
    rng = np.random.default_rng(NAMES.index(name))
    x = np.concatenate([rng.normal(0, 4, (9, 7)), [[-inf, inf, nan, 0.0, -0.0, 1e30, -1e30]]])
    x = x.astype(dtype)
    layer = layers.Dense(7, name, kernel_initializer="orthogonal", dtype=dtype)
    layer(x)

    def step(x):
        leaf = eg.tensor(np.zeros(x.shape, dtype), requires_grad=True)
        results = []
        for function in (eg.activations.get(name), layer):
            y = function(x + leaf)
            weights = eg.arange(70, dtype=dtype).reshape(10, 7)
            results += [y, *eg.autograd.grad(y, [leaf], weights)]
        return results

    replayed = eg.compile(step)
    replayed(np.zeros_like(x))
    for tensor, other in zip(step(eg.tensor(x)), replayed(x), strict=True):
        eager, captured = tensor.detach().numpy(), other.numpy()
        nans = np.isnan(eager)
        np.testing.assert_array_equal(np.isnan(captured), nans)
        assert eager[~nans].tobytes() == captured[~nans].tobytes()


def test_what_strings_offer_is_public():
    assert set(offered()) == set(eg.activations.__all__) - {
        "Suggestion",
        "get",
        "suggest",
    }
    with pytest.raises(ValueError, match="unknown name 'functools'"):
        eg.activations.get("functools")


@pytest.mark.parametrize("name", NAMES)
def test_the_representation_names_the_activation(name):
    for layer in (layers.Dense(7, name), layers.Activation(name)):
        again = eval(repr(layer), vars(layers))  # noqa: S307 - the representation is under test
        assert again.activation is eg.activations.get(name)
        assert repr(again) == repr(layer)


def test_bad_activations_name_their_layer():
    with pytest.raises(TypeError, match=r"got the class PReLU; did you forget its parentheses"):
        layers.Dense(3, activation=layers.PReLU)
    x = np.ones((2, 4))
    with pytest.raises(TypeError, match=r"first: expected an activation made of .*numpy\.arctan"):
        layers.Dense(3, lambda z: 2.0 * np.arctan(z), name="first")(x)
    with pytest.raises(TypeError, match=r"act: expected an activation made of .*numpy\.arctan"):
        layers.Activation(np.arctan, name="act")(x)
    # NumPy's functions that tensors have are theirs.
    assert layers.Activation(np.tanh)(x).numpy() == pytest.approx(np.tanh(x))
    with pytest.raises(TypeError, match=r"first: .* returns a tensor, got ndarray"):
        layers.Dense(3, lambda z: z.detach().numpy(), name="first")(x)
    model = eg.Sequential(
        [eg.Input((4,)), layers.Dense(3, lambda z: z.sum(), name="first"), layers.Dense(2)]
    )
    with pytest.raises(ValueError, match=r"first: .* keeps the shape \(2, 3\), got \(\) from it"):
        model(x)
    block = layers.Residual(layers.Dense(4), activation=lambda z: z[:, :1], name="block")
    with pytest.raises(ValueError, match=r"block: .* keeps the shape \(2, 4\), got \(2, 1\)"):
        block(x)
    # A layer for whatever a function makes of its input.
    assert layers.Activation(lambda z: z.sum(1))(x).tolist() == [4.0, 4.0]
