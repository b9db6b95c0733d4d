"""Losses of percentages, logarithms, quantiles and normal distributions."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracles

import evengrad as eg
from evengrad import losses

CLOSE = {"rtol": 1e-12, "atol": 1e-14}


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_percentages_agree_with_scikit_learn(rng):
    y, p = rng.normal(size=(30, 2)) + 3.0, rng.normal(size=(30, 2))
    expected = 100.0 * oracles.mean_absolute_percentage_error(y, p)
    np.testing.assert_allclose(losses.MeanAbsolutePercentageError()(y, p).item(), expected, **CLOSE)


def test_a_percentage_of_zero_is_one_of_a_tiny_number():
    assert losses.MAPE()([[0.0]], [[1.0]]).item() == pytest.approx(1e9)


def test_logarithms_agree_with_scikit_learn(rng):
    y, p = rng.exponential(size=(30, 2)), rng.exponential(size=(30, 2))
    expected = oracles.mean_squared_log_error(y, p)
    np.testing.assert_allclose(losses.MeanSquaredLogarithmicError()(y, p).item(), expected, **CLOSE)


def test_negative_numbers_have_no_logarithm_and_no_gradient():
    p = eg.tensor([[-0.5], [2.0]], dtype="float64", requires_grad=True)
    loss = losses.MSLE(reduction="sum")([[-3.0], [2.0]], p)
    loss.backward()
    assert loss.item() == 0.0
    np.testing.assert_array_equal(p.grad.numpy(), [[0.0], [0.0]])


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.9])
def test_quantiles_agree_with_scikit_learn(quantile, rng):
    y, p = rng.normal(size=(40, 2)), rng.normal(size=(40, 2))
    expected = oracles.mean_pinball_loss(y, p, alpha=quantile)
    np.testing.assert_allclose(losses.Quantile(quantile)(y, p).item(), expected, **CLOSE)


def test_a_quantile_each_for_outputs(rng):
    shares, y, p = [0.1, 0.5, 0.9], rng.normal(size=(40, 1)), rng.normal(size=(40, 3))
    expected = np.mean(
        [oracles.mean_pinball_loss(y[:, 0], p[:, i], alpha=q) for i, q in enumerate(shares)]
    )
    loss = losses.Quantile(shares)
    np.testing.assert_allclose(loss(y, p).item(), expected, **CLOSE)
    np.testing.assert_allclose(loss(np.repeat(y, 3, 1), p).item(), expected, **CLOSE)
    with pytest.raises(ValueError, match=r"an output for each of 3 quantiles, got .*\(40, 2\)"):
        loss(y, p[:, :2])
    assert losses.get("pinball").quantile == 0.5


def test_a_bias_alone_learns_the_quantiles(rng):
    # One variable for each output, whose best value is the quantile of the targets.
    y = rng.exponential(size=4000)
    model = eg.Sequential([eg.Input((1,)), eg.layers.Dense(3)], dtype="float64", seed=1)
    model.compile(eg.optimizers.Adam(0.02), losses.Quantile([0.1, 0.5, 0.9]))
    model.fit(np.zeros((4000, 1)), y, batch_size=200, epochs=40, verbose=0)
    found = model.predict(np.zeros((1, 1)))[0]
    np.testing.assert_allclose(found, np.quantile(y, [0.1, 0.5, 0.9]), atol=0.06)
    model.fit(np.zeros((4000, 1)), y[:, None], batch_size=200, verbose=0)
    model.compile("adam", losses.Quantile([0.1, 0.9]))
    with pytest.raises(ValueError, match="give the last layer 2 units"):
        model.fit(np.zeros((4000, 1)), y, verbose=0)


@pytest.mark.parametrize(
    ("quantile", "error", "message"),
    [
        (0.0, ValueError, "quantile: expected a number in"),
        (1.0, ValueError, "quantile: expected a number in"),
        ([0.5, 1.5], ValueError, "quantile: expected a number in"),
        ([], ValueError, "one number or more, got none"),
        ("half", TypeError, "quantile"),
    ],
)
def test_quantiles_are_shares(quantile, error, message):
    with pytest.raises(error, match=message):
        losses.Quantile(quantile)


def test_likelihoods_agree_with_scipy(rng):
    y, mean, logarithm = rng.normal(size=(3, 30, 2))
    p = np.concatenate([mean, logarithm], axis=1)
    expected = -stats.norm.logpdf(y, mean, np.exp(logarithm / 2)).mean()
    loss = losses.GaussianNegativeLogLikelihood(full=True)
    np.testing.assert_allclose(loss(y, p).item(), expected, **CLOSE)
    constant = 0.5 * np.log(2 * np.pi)
    plain = losses.GaussianNegativeLogLikelihood()(y, p).item()
    np.testing.assert_allclose(plain, expected - constant, **CLOSE)
    points = eg.tensor(p, requires_grad=True)
    assert eg.autograd.gradcheck(lambda points: loss(y, points), points)


def test_variances_stay_above_epsilon():
    p = eg.tensor([[0.0, -1000.0]], dtype="float64", requires_grad=True)
    loss = losses.GaussianNegativeLogLikelihood(epsilon=0.01)([[1.0]], p)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (np.log(0.01) + 100.0))
    np.testing.assert_allclose(p.grad.numpy(), [[-100.0, 0.0]])


def test_a_net_learns_how_sure_it_is(rng):
    x = rng.uniform(-1.0, 1.0, (4000, 1))
    y = 2.0 * x[:, 0] + np.exp(x[:, 0]) * rng.normal(size=4000)
    model = eg.Sequential([eg.Input((1,)), eg.layers.Dense(2)], dtype="float64", seed=1)
    model.compile(eg.optimizers.Adam(0.02), "gaussian_negative_log_likelihood")
    model.fit(x, y, batch_size=100, epochs=30, verbose=0)
    # ln σ² = 2x, which the last layer can say exactly.
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(kernel, [[2.0, 2.0]], atol=0.2)
    np.testing.assert_allclose(bias, [0.0, 0.0], atol=0.2)
    odd = eg.Sequential([eg.Input((1,)), eg.layers.Dense(3)])
    odd.compile("sgd", "gaussian_negative_log_likelihood")
    with pytest.raises(ValueError, match="two units for each target"):
        odd.fit(x, y, verbose=0)
