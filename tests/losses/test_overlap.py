"""Losses of the overlap of sets."""

import numpy as np
import pytest
from sklearn import metrics as oracles

import evengrad as eg
from evengrad import losses


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def test_of_certain_predictions_dice_is_one_minus_f1(rng):
    y, p = rng.integers(0, 2, (2, 50, 3)) * 1.0
    got = losses.Dice()(y, p).item()
    assert got == pytest.approx(1.0 - oracles.f1_score(y.ravel(), p.ravel()), abs=1e-8)
    rows = losses.Dice(axis=1, reduction=None)(y, p).numpy()
    expected = 1.0 - oracles.f1_score(y, p, average=None, zero_division=0.0).mean()
    columns = losses.Dice(axis=0)(y, p).item()
    assert columns == pytest.approx(expected, abs=1e-6)
    assert rows.shape == (50,)
    samples = 1.0 - oracles.f1_score(y, p, average="samples", zero_division=0.0)
    assert rows.mean() == pytest.approx(samples, abs=1e-6)
    assert losses.Dice(axis=-1)(y, p).item() == losses.Dice(axis=1)(y, p).item()


def test_tversky_weighs_false_positives_by_alpha(rng):
    y, p = rng.integers(0, 2, (2, 400)) * 1.0
    true, _, _, _ = found = [
        ((y == a) & (p == b)).sum() for a, b in ((1, 1), (0, 1), (1, 0), (0, 0))
    ]
    for alpha, beta in ((0.5, 0.5), (0.2, 0.8), (1.0, 0.0)):
        expected = 1.0 - true / (true + alpha * found[1] + beta * found[2])
        got = losses.Tversky(alpha, beta)(y[:, None], p[:, None]).item()
        assert got == pytest.approx(expected, abs=1e-8)
    # With α = 1, β = 0 it is 1 − precision, with both 1 that of the Jaccard index.
    precision = 1.0 - losses.Tversky(1.0, 0.0)(y[:, None], p[:, None]).item()
    assert precision == pytest.approx(oracles.precision_score(y, p), abs=1e-8)
    jaccard = 1.0 - losses.Tversky(1.0, 1.0)(y[:, None], p[:, None]).item()
    assert jaccard == pytest.approx(oracles.jaccard_score(y, p), abs=1e-8)


@pytest.mark.parametrize("make", [losses.Dice, losses.Tversky])
def test_weights_count_rows_as_often(make, rng):
    y, p = rng.integers(0, 2, (20, 3)) * 1.0, rng.uniform(size=(20, 3))
    weights = rng.integers(0, 4, 20)
    repeated = make()(np.repeat(y, weights, 0), np.repeat(p, weights, 0)).item()
    assert make()(y, p, weights).item() == pytest.approx(repeated, rel=1e-12)
    by_rows = make(axis=1, reduction=None)
    np.testing.assert_allclose(by_rows(y, p, weights).numpy(), by_rows(y, p).numpy() * weights)


@pytest.mark.parametrize("make", [losses.Dice, losses.Tversky])
def test_gradients(make, rng):
    y, p = rng.integers(0, 2, (5, 3)) * 1.0, rng.uniform(0.1, 0.9, (5, 3))
    for axis in (None, 1, [0, 1]):
        points = eg.tensor(p, requires_grad=True)
        assert eg.autograd.gradcheck(lambda p, axis=axis: make(axis=axis)(y, p), points)


def test_axes_are_those_of_predictions():
    with pytest.raises(ValueError, match=r"axis: expected axes of predictions .*\(2, 1\), got 2"):
        losses.Dice(axis=2)([[1.0], [0.0]], [[0.5], [0.5]])
    with pytest.raises(TypeError, match="axis: expected an integer"):
        losses.Dice(axis="rows")
    with pytest.raises(ValueError, match="alpha: expected"):
        losses.Tversky(alpha=-1.0)
