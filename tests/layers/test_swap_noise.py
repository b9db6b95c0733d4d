"""SwapNoise: its law, where numbers come from, gradients, captured, saved."""

import numpy as np
import pytest
from layer_checks import assert_gradients, assert_same_bits
from scipy import stats

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(55)


def swapped(x, rate):
    """Return what the layer, with a seed, makes of x in training."""
    layer = layers.SwapNoise(rate, dtype="float64")
    return eg.Sequential([layer], seed=7, dtype="float64")(x, training=True).numpy()


@pytest.mark.parametrize("rate", [0.15, 1.0])
def test_numbers_come_from_other_rows_of_the_column(rate):
    rows, columns = 60, 40
    x = np.arange(rows * columns, dtype="float64").reshape(rows, columns)
    y = swapped(x, rate)
    np.testing.assert_array_equal(y % columns, x % columns)
    distance = ((y - x) // columns % rows).astype(int)
    share = np.sqrt(rate * (1 - rate) / x.size)
    assert (distance != 0).mean() == pytest.approx(rate, abs=4 * share)
    counts = np.bincount(distance.ravel(), minlength=rows)[1:]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_law_of_a_column_stays(rng):
    x = np.stack([rng.normal(size=2000), rng.integers(0, 3, 2000)], 1)
    y = swapped(x, 0.5)
    assert set(np.unique(y[:, 1])) == {0, 1, 2}
    assert stats.ks_2samp(x[:, 0], y[:, 0]).pvalue > 0.01
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1] - 0.5) < 0.06


def test_inference_and_single_rows_stay(rng):
    x = rng.normal(size=(20, 3))
    np.testing.assert_array_equal(layers.SwapNoise(1.0, dtype="float64")(x).numpy(), x)
    np.testing.assert_array_equal(swapped(x[:1], 1.0), x[:1])
    np.testing.assert_array_equal(swapped(x, 0.0), x)


def test_gradients(rng):
    assert_gradients(layers.SwapNoise(0.5, dtype="float64"), rng.normal(size=(6, 3)), training=True)


def test_same_bits_in_every_way(rng, tmp_path):
    def model():
        return eg.Sequential([layers.SwapNoise(0.3), layers.Dense(1)], seed=3)

    x = rng.normal(size=(70, 5))
    assert_same_bits(model, x, x[:, :1], tmp_path, threads=(1, 2, 3))


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_wrong_rates(rate):
    with pytest.raises(ValueError, match="rate"):
        layers.SwapNoise(rate)
