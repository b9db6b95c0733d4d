"""Initializers: moments, bounds and laws against SciPy; one stream for each variable."""

import numpy as np
import pytest
from scipy import stats

import evengrad as eg
from evengrad._tensor.activations import offered

SHAPES = [(300, 100), (100, 300), (200, 200)]


def fan(mode, shape):
    return {"fan_in": shape[0], "fan_out": shape[1], "fan_avg": sum(shape) / 2}[mode]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("scale", [1.0, 2.0])
class TestVarianceScaling:
    def draw(self, scale, mode, law, shape):
        made = eg.initializers.VarianceScaling(scale, mode, law, seed=5)
        return made(shape, "float64").numpy().ravel()

    def test_uniform(self, scale, mode, shape):
        limit = np.sqrt(3 * scale / fan(mode, shape))
        values = self.draw(scale, mode, "uniform", shape)
        assert np.abs(values).max() <= limit
        assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3

    def test_untruncated_normal(self, scale, mode, shape):
        deviation = np.sqrt(scale / fan(mode, shape))
        values = self.draw(scale, mode, "untruncated_normal", shape)
        assert stats.kstest(values, stats.norm(0, deviation).cdf).pvalue > 1e-3
        assert np.abs(values).max() > 3 * deviation

    def test_truncated_normal(self, scale, mode, shape):
        target = np.sqrt(scale / fan(mode, shape))
        before = target / np.sqrt(stats.truncnorm(-2, 2).var())
        values = self.draw(scale, mode, "truncated_normal", shape)
        assert np.abs(values).max() <= 2 * before
        assert stats.kstest(values, stats.truncnorm(-2, 2, 0, before).cdf).pvalue > 1e-3
        assert values.std() == pytest.approx(target, rel=0.02)


class TestConventions:
    """Other libraries' truncated normal laws: TensorFlow 1's is wider, PyTorch's is not cut."""

    def draw(self, convention, shape=(400, 1000), **settings):
        made = eg.initializers.VarianceScaling(2.0, seed=3, convention=convention, **settings)
        return made(shape, "float64").numpy().ravel() / np.sqrt(2.0 / shape[0])

    def test_tf1(self):
        values = self.draw("tf1")
        # The cut tells the two apart: 2 · √1.3 = 2.28035 against Keras' 2 / 0.879626 = 2.27370.
        assert 2.2795 < np.abs(values).max() <= 2.0 * np.sqrt(1.3)
        assert np.abs(self.draw("keras")).max() <= 2.0 / np.sqrt(stats.truncnorm(-2, 2).var())
        assert stats.kstest(values, stats.truncnorm(-2, 2, 0, np.sqrt(1.3)).cdf).pvalue > 1e-3

    def test_torch(self):
        values = self.draw("torch")
        assert np.abs(values).max() > 4.0
        assert stats.kstest(values, stats.norm.cdf).pvalue > 1e-3

    @pytest.mark.parametrize("law", ["uniform", "untruncated_normal"])
    def test_other_laws_are_the_same(self, law):
        draws = [self.draw(name, (9, 9), distribution=law) for name in ("keras", "torch", "tf1")]
        np.testing.assert_array_equal(draws[0], draws[1])
        np.testing.assert_array_equal(draws[0], draws[2])

    def test_names(self):
        with pytest.raises(ValueError, match="convention: unknown 'tf2'; did you mean 'tf1'"):
            self.draw("tf2")
        made = eg.initializers.VarianceScaling(2.0, convention="tf1")
        assert repr(made) == "VarianceScaling(scale=2.0, convention='tf1')"


@pytest.mark.parametrize(
    ("name", "scale", "mode", "uniform"),
    [
        ("glorot_uniform", 1, "fan_avg", True),
        ("glorot_normal", 1, "fan_avg", False),
        ("he_uniform", 2, "fan_in", True),
        ("he_normal", 2, "fan_in", False),
        ("lecun_uniform", 1, "fan_in", True),
        ("lecun_normal", 1, "fan_in", False),
    ],
)
def test_named(name, scale, mode, uniform):
    made = eg.initializers.get(name)
    law = "uniform" if uniform else "truncated_normal"
    same = eg.initializers.VarianceScaling(scale, mode, law)
    shape = (70, 30)
    left, right = made(shape, seed=3).numpy(), same(shape, seed=3).numpy()
    np.testing.assert_array_equal(left, right)
    assert repr(made) == f"{type(made).__name__}()"


@pytest.mark.parametrize(
    ("made", "law"),
    [
        (eg.initializers.RandomNormal(1.0, 2.0, seed=1), stats.norm(1.0, 2.0)),
        (eg.initializers.RandomUniform(-1.0, 3.0, seed=1), stats.uniform(-1.0, 4.0)),
        (eg.initializers.TruncatedNormal(1.0, 0.5, seed=1), stats.truncnorm(-2, 2, 1.0, 0.5)),
    ],
)
def test_law(made, law):
    values = made((200, 100), "float64").numpy().ravel()
    assert stats.kstest(values, law.cdf).pvalue > 1e-3


def test_constants():
    assert (eg.initializers.Zeros()((3, 2)).numpy() == 0).all()
    assert (eg.initializers.Ones()((3, 2)).numpy() == 1).all()
    assert (eg.initializers.Constant(0.25)((3, 2)).numpy() == 0.25).all()


def test_layers_of_equal_shape_start_differently():
    shared = eg.initializers.HeNormal(seed=9)
    layers = [eg.layers.Dense(8, kernel_initializer=shared) for _ in range(2)]
    first, second = eg.Sequential([eg.Input((8,)), *layers]).layers
    assert not np.array_equal(first.kernel.detach().numpy(), second.kernel.detach().numpy())


def test_values_follow_from_seed_and_path_alone():
    def kernels(seed, extra):
        layers = [eg.layers.Dense(8, name="a"), *extra, eg.layers.Dense(8, name="b")]
        model = eg.Sequential([eg.Input((8,)), *layers], seed=seed)
        return [model.get_layer(name).get_weights()[0] for name in "ab"]

    plain = kernels(1, [])
    longer = kernels(1, [eg.layers.Dense(8), eg.layers.Dropout(0.5)])
    np.testing.assert_array_equal(plain, longer)
    assert not np.array_equal(plain, kernels(2, []))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_same_bits_for_any_number_of_threads(threads):
    made = eg.initializers.HeNormal(seed=4)
    expected = made((900, 700)).numpy().copy()
    before = eg.get_num_threads()
    eg.set_num_threads(threads)
    try:
        np.testing.assert_array_equal(made((900, 700)).numpy(), expected)
    finally:
        eg.set_num_threads(before)


def test_global_seed():
    def weights():
        eg.utils.set_random_seed(11)
        first = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3)])
        second = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3)])
        return first.get_weights()[0], second.get_weights()[0]

    np.testing.assert_array_equal(weights(), weights())
    assert not np.array_equal(*weights())


def test_function_as_initializer():
    layer = eg.layers.Dense(2, kernel_initializer=lambda shape, dtype: np.full(shape, 3.0, dtype))
    layer(np.ones((1, 4)))
    assert (layer.get_weights()[0] == 3).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: eg.initializers.VarianceScaling(0.0), "scale: expected a number in"),
        (lambda: eg.initializers.VarianceScaling(1.0, "fanin"), "did you mean 'fan_in'"),
        (lambda: eg.initializers.VarianceScaling(1.0, "fan_in", "unifrom"), "'uniform'"),
        (lambda: eg.initializers.RandomNormal(stddev=-1.0), "stddev"),
        (lambda: eg.initializers.RandomUniform(1.0, 0.0), "maxval"),
        (lambda: eg.initializers.HeNormal(seed=-1), "seed"),
        (lambda: eg.initializers.get("he_norml"), "did you mean 'he_normal'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (1, 4), (2, 3, 4)])
def test_orthogonal(shape):
    for gain in (1.0, 1.5):
        values = eg.initializers.Orthogonal(gain, seed=2)(shape, "float64").numpy()
        assert values.shape == shape
        matrix = values.reshape(-1, shape[-1])
        short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        np.testing.assert_allclose(short @ short.T, gain**2 * np.eye(len(short)), atol=1e-12)


def test_orthogonal_prefers_no_matrix():
    """Each element of a random rotation in the plane is the cosine of an even angle."""
    draw = eg.initializers.Orthogonal()
    found = np.stack([draw((2, 2), "float64", seed=i).numpy() for i in range(2000)])
    for i, j in ((0, 0), (0, 1), (1, 1)):
        law = stats.arcsine(loc=-1, scale=2)
        assert stats.kstest(found[:, i, j], law.cdf).pvalue > 1e-3
    determinants = np.linalg.det(found)
    assert 0.45 < (determinants > 0).mean() < 0.55


def test_orthogonal_needs_a_matrix():
    with pytest.raises(ValueError, match="two dimensions or more"):
        eg.initializers.Orthogonal()((5,))


@pytest.mark.parametrize("shape", [(40, 40), (100, 70), (33, 129)])
def test_orthogonal_has_the_same_bits_for_any_number_of_threads(shape):
    found, before = [], eg.get_num_threads()
    for threads in (1, 2, 3, 8):
        eg.set_num_threads(threads)
        try:
            found.append(eg.initializers.Orthogonal(seed=4)(shape, "float64").numpy())
        finally:
            eg.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    short = found[0] if shape[0] <= shape[1] else found[0].T
    np.testing.assert_allclose(short @ short.T, np.eye(len(short)), atol=1e-14)


def test_orthogonal_factor_is_that_of_lapack():
    from evengrad.initializers._orthogonal import orthonormal_rows

    matrix = np.random.default_rng(3).normal(size=(70, 90))
    factor, triangle = np.linalg.qr(matrix.T)
    expected = (factor * np.sign(np.diagonal(triangle))).T
    np.testing.assert_allclose(orthonormal_rows(matrix.copy()), expected, atol=1e-12)


def test_identity():
    for shape in [(3, 3), (2, 4), (4, 2)]:
        values = eg.initializers.Identity(1.5)(shape).numpy()
        np.testing.assert_array_equal(values, 1.5 * np.eye(*shape))
    with pytest.raises(ValueError, match=r"Identity: expected a shape of two dimensions, got \(3,"):
        eg.initializers.Identity()((3,))


PAIRS = {
    "he_normal": [
        *("relu", "leaky_relu", "prelu", "rrelu", "elu", "celu", "gelu", "mish", "softplus"),
        # The same functions under both of their names.
        *("silu", "swish", "hard_silu", "hard_swish"),
    ],
    "lecun_normal": ["selu"],
    "glorot_uniform": ["tanh", "sigmoid", "softmax", "linear", None],
}
# E[f²] of a standard normal z. The table of scales has six digits; the forms are exact.
E = np.e
MEAN_SQUARES = {
    "linear": (1.0, 1.0),
    "relu": (2.0, 0.5),
    "leaky_relu": (1.99980, (1 + 0.01**2) / 2),
    "rrelu": (1.900206, (1 + (11 / 48) ** 2) / 2),
    "elu": (1.550519, 1 + E**2 * stats.norm.cdf(-2) - 2 * np.sqrt(E) * stats.norm.cdf(-1)),
    "selu": (1.0, 1.0),
    "tanh": (2.536175, None),
    "sigmoid": (3.408560, None),
    "exponential": (0.135335, E**2),
}


class TestPairing:
    @pytest.mark.parametrize(("name", "paired"), [(n, p) for p in PAIRS for n in PAIRS[p]])
    def test_pairs(self, name, paired):
        made = eg.initializers.for_activation(name)
        assert repr(made) == repr(eg.initializers.get(paired))
        if name in ("prelu", "rrelu"):
            return
        layer = eg.layers.Dense(3, name, kernel_initializer="auto")
        assert repr(layer.kernel_initializer) == repr(made)

    def test_all_activations_have_one(self):
        for name in offered():
            made = eg.initializers.for_activation(name)
            assert isinstance(made, eg.initializers.Initializer)

    @pytest.mark.parametrize("name", MEAN_SQUARES)
    def test_variance_preserving_scale(self, name):
        made = eg.initializers.for_activation(name, variance_preserving=True)
        rounded, exact = MEAN_SQUARES[name]
        assert (made.mode, made.distribution) == ("fan_in", "truncated_normal")
        assert made.scale == pytest.approx(rounded, abs=6e-7 * max(1, 5 * (rounded == 1.99980)))
        if exact is not None:
            assert made.scale == pytest.approx(1 / exact, rel=1e-11)

    @pytest.mark.parametrize("name", ["relu", "elu", "tanh", "sigmoid", "gelu", "leaky_relu"])
    def test_signals_keep_their_mean_square(self, name):
        made = eg.initializers.for_activation(name, variance_preserving=True)
        hidden = [eg.layers.Dense(1024, name, kernel_initializer=made) for _ in range(2)]
        x = np.random.default_rng(1).normal(size=(64, 1024))
        # The first layer's sums are standard normal, too.
        first = eg.layers.Dense(1024, kernel_initializer="lecun_normal")
        parts = [first, eg.layers.Activation(name), *hidden]
        y = eg.Sequential(parts, seed=2)(x).detach().numpy()
        # What the next layer's sums would vary by.
        assert made.scale * (y**2).mean() == pytest.approx(1, abs=0.15)

    def test_layers_and_functions(self):
        of = eg.initializers.for_activation
        layers = eg.layers
        assert repr(of(layers.PReLU())) == "HeNormal()"
        assert repr(of(layers.Softmax())) == "GlorotUniform()"
        assert of(layers.LeakyReLU(0.2), variance_preserving=True).scale == pytest.approx(1 / 0.52)
        alpha = layers.PReLU(eg.initializers.Constant(0.25))
        assert of(alpha, variance_preserving=True).scale == pytest.approx(2 / 1.0625)
        assert not alpha.built
        # A function of the user's has no pair: its own scale.
        own = of(lambda z: eg.maximum(0.3 * z, z))
        assert own.scale == pytest.approx(1.83486, abs=5e-6)
        layer = layers.Dense(2, lambda z: z * 2.0, kernel_initializer="auto")
        assert layer.kernel_initializer.scale == pytest.approx(0.25)

    @pytest.mark.parametrize(
        ("name", "preserving", "message"),
        [
            ("rely", False, "did you mean 'relu'"),
            ("softmax", True, "softmax has no scale"),
            (lambda z: z * 0.0, True, "mean square is above 0 and finite"),
            (lambda z: z.sum(), True, "a function of single numbers"),
        ],
    )
    def test_what_has_none(self, name, preserving, message):
        with pytest.raises(ValueError, match=message):
            eg.initializers.for_activation(name, variance_preserving=preserving)

    def test_saved_and_repeated(self, tmp_path):
        parts = [eg.Input((4,)), eg.layers.Dense(3, "selu", kernel_initializer="auto")]
        model = eg.Sequential(parts, seed=1)
        model.save(tmp_path / "net")
        again = eg.load_model(tmp_path / "net")
        assert repr(again.layers[0]) == repr(model.layers[0])


# Means and deviations of the columns after so many layers, printed with the notes' experiment.
SELU_STACK = {
    0: (-0.0018, 0.9993),
    100: (0.0224, 0.9624),
    200: (0.0096, 0.9045),
    300: (-0.0152, 0.9237),
    400: (0.0541, 0.8916),
    500: (0.0059, 0.9286),
    600: (0.0223, 0.9166),
    700: (-0.0183, 0.9034),
    800: (0.0538, 0.8250),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_selu_through_a_thousand_layers(dtype):
    """Signals neither vanish nor explode. A rounding error grows 40- to 100-fold in 100 layers."""
    # The generator of the published figures.
    draw = np.random.RandomState(42)
    z = eg.tensor(draw.normal(size=(500, 100)).astype(dtype))
    for layer in range(1000):
        w = draw.normal(size=(100, 100), scale=np.sqrt(1 / 100)).astype(dtype)
        z = eg.selu(z @ w)
        if layer % 100:
            continue
        values = z.numpy().astype("float64")
        found = (values.mean(0).mean(), values.std(0).mean())
        assert abs(found[0]) < 0.1
        assert 0.8 < found[1] < 1.1
        exact_to = {"float64": 800, "float32": 200}[dtype]
        if layer <= exact_to:
            close = 1e-4 if dtype == "float64" and layer < 800 else 1e-3
            np.testing.assert_allclose(found, SELU_STACK[layer], atol=close)


def test_thirty_layers_of_rectifiers():
    """He's scale 2 keeps the mean square of the signals; 1/n halves it in every layer."""

    def root_mean_square(seed, initializer):
        layers = [eg.layers.Dense(256, "relu", kernel_initializer=initializer) for _ in range(30)]
        x = np.random.default_rng(seed).normal(size=(64, 256))
        y = eg.Sequential(layers, seed=seed)(x).detach().numpy().astype("float64")
        return np.sqrt((y**2).mean())

    # The mean square is 1 in the mean over seeds; single ones spread widely: 98 % of those of an
    # experiment lay between .41 and 2.53. That fewer than 46 of 50 do has a chance of 0.3 % then.
    he = np.array([root_mean_square(seed, "he_normal") for seed in range(50)])
    assert ((he > 0.41) & (he < 2.53)).sum() >= 46
    assert np.sqrt((he**2).mean()) == pytest.approx(1.0, abs=0.15)
    # The same draws, half the variance: 2^−½ a layer, to the rounding.
    for seed in range(5):
        assert root_mean_square(seed, "lecun_normal") == pytest.approx(
            2.0**-15 * he[seed], rel=1e-4
        )


NAMED = [
    ("glorot_uniform", 1.0, "avg", "uniform"),
    ("glorot_normal", 1.0, "avg", "normal"),
    ("he_uniform", 2.0, "in", "uniform"),
    ("he_normal", 2.0, "in", "normal"),
    ("lecun_uniform", 1.0, "in", "uniform"),
    ("lecun_normal", 1.0, "in", "normal"),
]
# Shape, and what a unit takes in and what an input feeds: all but the last two are a field.
FANS = [
    ((300, 200), 300, 200),
    ((3, 3, 20, 60), 180, 540),
    ((2, 5, 100, 10), 1000, 100),
    ((7, 50, 40), 350, 280),
    ((1, 5000), 1, 5000),
    ((5000, 1), 5000, 1),
    ((4000,), 4000, 4000),
]


@pytest.mark.parametrize(("name", "scale", "mode", "law"), NAMED)
@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), FANS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_laws_of_the_named_ones(name, scale, mode, law, shape, fan_in, fan_out, dtype):
    values = eg.initializers.get(name)(shape, dtype, seed=8).numpy()
    assert (values.dtype, values.shape) == (dtype, shape)
    deviation = np.sqrt(scale / (fan_in if mode == "in" else (fan_in + fan_out) / 2))
    if law == "uniform":
        limit = np.sqrt(3) * deviation
        exact = stats.uniform(-limit, 2 * limit)
    else:
        limit = 2 * deviation / stats.truncnorm(-2, 2).std()
        exact = stats.truncnorm(-2, 2, 0, limit / 2)
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    assert stats.kstest(values.ravel(), exact.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", [row[0] for row in NAMED])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (0, 3), (3, 0), (0,)])
def test_degenerate_shapes(name, shape):
    """Without inputs or outputs there is nothing to scale by: n is at least 1."""
    values = eg.initializers.get(name)(shape, seed=2).numpy()
    assert values.shape == shape
    assert (np.abs(values) <= 2 * np.sqrt(2.0) / stats.truncnorm(-2, 2).std()).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "made",
    [
        eg.initializers.RandomUniform(seed=4),
        eg.initializers.RandomNormal(seed=4),
        eg.initializers.TruncatedNormal(seed=4),
        eg.initializers.TruncatedNormal(stddev=1.0, seed=4, convention="torch"),
        eg.initializers.TruncatedNormal(stddev=9.0, seed=4, convention="torch"),
        eg.initializers.GlorotUniform(seed=4),
    ],
    ids=repr,
)
def test_each_law_has_the_same_bits_for_any_number_of_threads(made, dtype):
    found, before = [], eg.get_num_threads()
    for threads in (1, 2, 3):
        eg.set_num_threads(threads)
        try:
            found.append(made((901, 307), dtype).numpy().copy())
        finally:
            eg.set_num_threads(before)
    assert np.unique(found[0]).size > 1000
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("kink", [0.1, 1 / 3, 0.7, -1.234, np.pi / 7])
def test_scales_of_functions_with_kinks_anywhere(kink):
    """E[max(z − k, 0)²] = (1 + k²) Φ(−k) − k φ(k); of a step at k it is Φ(−k)."""

    def scale(function):
        return eg.initializers.for_activation(function, variance_preserving=True).scale

    above = stats.norm.sf(kink)
    bent = (1 + kink**2) * above - kink * stats.norm.pdf(kink)
    assert scale(lambda z: eg.maximum(z - kink, 0.0)) == pytest.approx(1 / bent, rel=1e-11)
    step = scale(lambda z: eg.where(z > kink, 1.0, z * 0.0))
    assert step == pytest.approx(1 / above, rel=1e-11)


def test_the_scale_of_a_rough_function_is_found_in_time():
    """E[sin(1000 z)²] = ½ (1 − e^−2000000): no panel resolves it at first."""
    found = eg.initializers.for_activation(lambda z: (z * 1000.0).sin(), variance_preserving=True)
    assert found.scale == pytest.approx(2.0, rel=1e-2)
