"""Searches in one process: the results of scikit-learn's searches without it, to the bit."""

import threading

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_validate

from evengrad import callbacks
from evengrad.sklearn import DenseClassifier, DenseRegressor, side_by_side
from evengrad.training import _fit_queue

X, Y = make_classification(90, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
X = X.astype("float32")
GRID = {"alpha": [1e-4, 0.1], "learning_rate_init": [0.003, 0.03]}


def net(**changes):
    """Return a classifier that thinks it has converged after few epochs, and warns of nothing."""
    settings = {"tol": 1e9, "n_iter_no_change": 4, "random_state": 0, **changes}
    return DenseClassifier((8,), **settings)


def results(search):
    """Return what a search has found, without times."""
    return {
        name: np.asarray(value).tolist()
        for name, value in search.cv_results_.items()
        if "time" not in name
    }


@pytest.mark.parametrize("settings", [{}, {"n_fits": 3, "n_threads": 2}, {"n_fits": 1}])
def test_a_grid_search_finds_what_it_finds_without(settings):
    scoring = ["accuracy", "neg_log_loss"]
    made = {"cv": 3, "scoring": scoring, "refit": "neg_log_loss", "return_train_score": True}
    expected = GridSearchCV(net(early_stopping=True), GRID, **made).fit(X, Y)
    with side_by_side(**settings):
        found = GridSearchCV(net(early_stopping=True), GRID, **made).fit(X, Y)
    assert results(found) == results(expected)
    assert found.best_params_ == expected.best_params_
    assert np.array_equal(found.predict_proba(X), expected.predict_proba(X))


def test_a_random_search_and_cross_validation():
    y = X @ np.arange(5.0)
    regressor = DenseRegressor(hidden_layer_sizes=(8,), tol=1e9, n_iter_no_change=3, random_state=0)
    made = {"n_iter": 3, "cv": 3, "random_state": 0}
    expected = RandomizedSearchCV(regressor, GRID, **made).fit(X, y)
    plain = cross_validate(regressor, X, y, cv=4)["test_score"]
    with side_by_side(5):
        assert results(RandomizedSearchCV(regressor, GRID, **made).fit(X, y)) == results(expected)
        assert cross_validate(regressor, X, y, cv=4)["test_score"].tolist() == plain.tolist()


class Fails(callbacks.Callback):
    """Raises an error after an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        del epoch, logs
        raise OSError("disk full")


def test_a_fit_that_fails_leaves_the_others_alone():
    grid = {"callbacks": [None, Fails()]}
    with side_by_side(4), pytest.warns(FitFailedWarning, match="2 fits failed"):
        search = GridSearchCV(net(), grid, cv=2, error_score=-1.0, refit=False).fit(X, Y)
    expected = GridSearchCV(net(), {"callbacks": [None]}, cv=2).fit(X, Y)
    assert search.cv_results_["mean_test_score"].tolist() == [
        expected.cv_results_["mean_test_score"][0],
        -1.0,
    ]


def test_the_steps_of_several_fits_are_made_by_one_call(monkeypatch):
    seen = []
    original = _fit_queue.FitQueue._run

    def run(self, going):
        seen.append((len(going), threading.get_ident()))
        original(self, going)

    monkeypatch.setattr(_fit_queue.FitQueue, "_run", run)
    with side_by_side(4):
        GridSearchCV(net(max_iter=60, n_iter_no_change=50), GRID, cv=3, refit=False).fit(X, Y)
    assert max(count for count, _ in seen) > 1
    assert _fit_queue.queues == []


def test_what_is_refused():
    for settings in ({"n_fits": 0}, {"n_threads": 0}):
        with pytest.raises(ValueError, match=next(iter(settings))), side_by_side(**settings):
            pass
