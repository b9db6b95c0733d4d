"""Estimators in scikit-learn's searches and ensembles, whose workers are joblib's.

Results with two workers are those with one, to the bit; workers say themselves how many threads
they use.
"""

import os
import pickle

import in_workers
import joblib
import numpy as np
import optuna
import pytest
from joblib import parallel_config
from sklearn import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next line work
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)

import evengrad as eg
from evengrad.sklearn import DenseClassifier

X, Y = make_classification(90, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
X = X.astype("float32")
GRID = {"alpha": [1e-4, 0.1], "learning_rate_init": [0.003, 0.03]}


@pytest.fixture(autouse=True)
def no_word_from_the_user(monkeypatch):
    for name in ("EVENGRAD_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def net(**changes):
    """Return a classifier that thinks it has converged after few epochs, and warns of nothing."""
    settings = {"tol": 1e9, "n_iter_no_change": 2, "random_state": 0, **changes}
    return DenseClassifier((8,), **settings)


def searched(workers):
    """Search a grid; return what each candidate said in each fold, by name."""
    search = GridSearchCV(
        net(), GRID, cv=3, n_jobs=workers, scoring=in_workers.SCORES, refit="accuracy"
    ).fit(X, Y)
    return {
        name: np.array([search.cv_results_[f"split{fold}_test_{name}"] for fold in range(3)])
        for name in in_workers.SCORES
    }


# ---- threads


def test_workers_of_loky_use_their_share():
    """Whatever the parent uses, and as soon as they begin."""
    with parallel_config("loky"):
        found = searched(2)
    share = max(1, joblib.cpu_count() // 2)
    assert os.getpid() not in found["process"]
    assert set(found["threads"].flat) == {share}
    assert found.get("helpers", np.zeros(1)).max() < share
    np.testing.assert_array_equal(found["accuracy"], searched(1)["accuracy"])


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_workers_of_other_backends_find_the_same(backend):
    """Threads take turns; forked processes, of which joblib tells nothing, have what there is."""
    expected = searched(1)
    with parallel_config(backend):
        found = searched(2)
    assert (os.getpid() in found["process"]) == (backend == "threading")
    assert set(found["threads"].flat) == {eg.get_num_threads()}
    np.testing.assert_array_equal(found["accuracy"], expected["accuracy"])


def test_workers_within_workers_use_the_share_too():
    inner = GridSearchCV(net(), GRID, cv=3, n_jobs=2)
    found = cross_validate(inner, X, Y, cv=2, n_jobs=2, scoring=in_workers.SCORES)
    assert set(found["test_threads"]) == {max(1, joblib.cpu_count() // 2)}
    alone = cross_validate(inner.set_params(n_jobs=1), X, Y, cv=2, scoring=in_workers.SCORES)
    np.testing.assert_array_equal(found["test_accuracy"], alone["test_accuracy"])


# ---- whatever trains copies


def halving(workers):
    search = HalvingGridSearchCV(net(), GRID, cv=3, n_jobs=workers, random_state=0, factor=2)
    return search.fit(X, Y).predict_proba(X)


def randomized(workers):
    search = RandomizedSearchCV(net(), GRID, n_iter=3, cv=3, n_jobs=workers, random_state=0)
    return search.fit(X, Y).predict_proba(X)


def across_folds(workers):
    return cross_val_predict(net(), X, Y, cv=3, n_jobs=workers, method="predict_proba")


def bagging(workers):
    return BaggingClassifier(net(), 4, n_jobs=workers, random_state=0).fit(X, Y).predict_proba(X)


def stacking(workers):
    parts = [("net", net()), ("logits", net(alpha=0.1))]
    stack = StackingClassifier(parts, LogisticRegression(), cv=3, n_jobs=workers)
    return stack.fit(X, Y).predict_proba(X)


def voting(workers):
    parts = [("first", net()), ("second", net(alpha=0.1))]
    return VotingClassifier(parts, voting="soft", n_jobs=workers).fit(X, Y).predict_proba(X)


def calibrated(workers):
    return CalibratedClassifierCV(net(), cv=3, n_jobs=workers).fit(X, Y).predict_proba(X)


def permuted(workers):
    fitted = net().fit(X, Y)
    found = permutation_importance(fitted, X, Y, n_repeats=3, n_jobs=workers, random_state=0)
    return found.importances


@pytest.mark.parametrize(
    "train", [halving, randomized, across_folds, bagging, stacking, voting, calibrated, permuted]
)
def test_two_workers_find_what_one_does(train):
    np.testing.assert_array_equal(train(2), train(1))


def test_what_goes_between_processes_is_the_net_and_not_its_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 50)).astype("float32")
    fitted = net().fit(x, rng.integers(3, size=4000))
    weights = sum(one.nbytes for one in [*fitted.coefs_, *fitted.intercepts_])
    # Beside the weights: the optimizer's two averages of each, and descriptions.
    assert len(pickle.dumps(fitted)) < 3 * weights + 30_000 < x.nbytes / 10
    assert len(pickle.dumps(net())) < 3000


# ---- Optuna


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_with_pruning(workers):
    """Threads of one process: Optuna's workers."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    alphas = [0.001, 0.01, 0.1]

    def objective(trial):
        alpha = trial.suggest_categorical("alpha", alphas)
        pruning = eg.callbacks.OptunaPruning(trial, "loss")
        return net(alpha=alpha, callbacks=[pruning]).fit(X, Y).score(X, Y)

    sampler = optuna.samplers.GridSampler({"alpha": alphas}, seed=0)
    study = optuna.create_study(sampler=sampler, pruner=optuna.pruners.NopPruner())
    study.optimize(objective, n_jobs=workers)
    found = {trial.params["alpha"]: trial for trial in study.trials}
    for alpha in alphas:
        fitted = net(alpha=alpha).fit(X, Y)
        assert found[alpha].value == fitted.score(X, Y)
        assert len(found[alpha].intermediate_values) == fitted.n_iter_


def test_clones_report_to_the_trial_of_the_original():
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        pruning = eg.callbacks.OptunaPruning(trial, "loss")
        estimator = net(callbacks=[pruning])
        assert clone(estimator).callbacks[0].trial is trial
        return cross_val_score(estimator, X, Y, cv=3, error_score="raise").mean()

    pruner = optuna.pruners.ThresholdPruner(upper=0.0)
    study = optuna.create_study(pruner=pruner, direction="minimize")
    study.optimize(objective, n_trials=1)
    assert study.trials[0].state.name == "PRUNED"
    assert list(study.trials[0].intermediate_values) == [0]
