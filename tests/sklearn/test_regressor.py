"""Predictions of numbers, their deviation and their losses."""

import numpy as np
import pytest
from sklearn.linear_model import PoissonRegressor, Ridge

from evengrad.sklearn import DenseRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(80, 3))
Y = X @ [1.0, -2.0, 0.5]
SMALL = {"hidden_layer_sizes": (6,), "max_iter": 60, "random_state": 0, "learning_rate_init": 0.02}


def test_targets_keep_their_shape():
    for y in (Y, Y[:, None], np.stack([Y, -Y], axis=1)):
        net = DenseRegressor(**SMALL)
        if y.shape == (80, 1):
            with pytest.warns(match="A column-vector y was passed"):
                net.fit(X, y)
        else:
            net.fit(X, y)
        assert net.predict(X).shape == (y.shape if y.shape == (80, 2) else (80,))
        assert net.n_outputs_ == (2 if y.shape == (80, 2) else 1)
        assert net.score(X, y) > 0.9


def test_a_linear_net_comes_to_ridge_regression():
    # Kernels of norm c² = |w| each: the penalty of two layers on w = w₁ · w₂ is 2 · |w| at least,
    # so that only without penalty a net without activations is the linear model.
    known = {"activation": "identity", "solver": "lbfgs", "alpha": 0.0, "tol": 1e-8}
    net = DenseRegressor(hidden_layer_sizes=(3,), random_state=0, max_iter=500, **known)
    expected = Ridge(alpha=1e-9).fit(X, Y + 1.0).predict(X)
    np.testing.assert_allclose(net.fit(X, Y + 1.0).predict(X), expected, atol=1e-4)


def test_weighted_counts_come_to_the_weighted_poisson_model():
    counts, weights = RANDOM.poisson(np.exp(0.5 * X[:, 0])), RANDOM.integers(0, 3, 80)
    known = {"activation": "identity", "solver": "lbfgs", "alpha": 0.0, "tol": 1e-8}
    net = DenseRegressor("poisson", (2,), random_state=0, max_iter=500, **known)
    net.fit(X, counts, sample_weight=weights)
    model = PoissonRegressor(alpha=0.0, tol=1e-9).fit(X, counts, sample_weight=weights)
    np.testing.assert_allclose(net.predict(X), model.predict(X), rtol=1e-3)
    assert net.out_activation_ == "exp"
    with pytest.raises(ValueError, match="expected counts of 0 or more"):
        DenseRegressor("poisson").fit(X, -counts - 1.0)


def test_deviations_come_from_passes_with_dropout_on():
    net = DenseRegressor(dropout=0.3, **SMALL).fit(X, Y)
    mean, deviation = net.predict(X, return_std=True)
    assert mean.shape == deviation.shape == (80,)
    assert (deviation > 0).all()
    # 100 passes: the mean is as near as their deviation allows.
    assert (np.abs(mean - net.predict(X)) < deviation).mean() > 0.9
    pair = DenseRegressor(dropout=0.3, **SMALL).fit(X, np.stack([Y, Y], axis=1))
    assert pair.predict(X, return_std=True)[1].shape == (80, 2)
    mean, deviation = DenseRegressor(**SMALL).fit(X, Y).predict(X, return_std=True)
    np.testing.assert_allclose(deviation, 0.0, atol=1e-12)


def test_as_many_targets_as_before_are_asked_for():
    net = DenseRegressor(warm_start=True, **SMALL).fit(X, Y)
    for method in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match="y: expected 1 targets as before, got 2"):
            method(X, np.stack([Y, Y], axis=1))


def test_the_error_beside_the_loss_may_decide_and_is_to_fall():
    pair = np.stack([Y, -Y], axis=1)
    name = "val_mean_squared_error"
    net = DenseRegressor(monitor=name, early_stopping=True, **SMALL).fit(X, pair)
    assert net.best_loss_ is None
    assert net._progress.best == min(net.history_.history[name])
    # It falls for longer than the patience of ten epochs.
    assert net.n_iter_ > 20
