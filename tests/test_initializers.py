"""Initialisers: moments, bounds and laws against SciPy; one stream for each variable."""

import numpy as np
import pytest
from scipy import stats

import evengrad as eg

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
