"""The same as scikit-learn's perceptrons: first weights, losses, gradients, penalties, stopping."""

import inspect
import itertools
import re

import numpy as np
import pytest
from api_documentation import sections
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor

from evengrad.sklearn import DenseClassifier, DenseRegressor
from evengrad.sklearn._data import Rows
from evengrad.sklearn._lbfgs import FlatLoss

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(90, 5))
WEIGHTS = RANDOM.integers(0, 4, 90).astype(float)
TWO = (X[:, 0] * X[:, 1] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
LABELS = (X[:, :3] > 0).astype(int)
NUMBER = X[:, 0] * X[:, 1]
COUNTS = RANDOM.poisson(np.exp(X[:, 0]))
PAIR = np.stack([NUMBER, X[:, 2]], axis=1)

CLASSIFIERS = DenseClassifier, MLPClassifier
REGRESSORS = DenseRegressor, MLPRegressor
TASKS = {
    "two classes": (CLASSIFIERS, TWO, {}),
    "three classes": (CLASSIFIERS, THREE, {}),
    "labels": (CLASSIFIERS, LABELS, {}),
    "a number": (REGRESSORS, NUMBER, {}),
    "two numbers": (REGRESSORS, PAIR, {}),
    "counts": (REGRESSORS, COUNTS, {"loss": "poisson"}),
}
ARGUMENTS = {
    "adam": {},
    "adam, others": {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "alpha": 0.5},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.02},
    "sgd without momentum": {"solver": "sgd", "momentum": 0.0, "activation": "tanh"},
    "sgd, classical": {"solver": "sgd", "nesterovs_momentum": False, "activation": "identity"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    "logistic": {"activation": "logistic", "alpha": 0.1, "batch_size": 40},
}


@pytest.fixture(params=TASKS.values(), ids=TASKS)
def task(request):
    return request.param


def test_arguments_of_scikit_learn_come_first_with_their_defaults():
    for ours, theirs in (CLASSIFIERS, REGRESSORS):
        expected = inspect.signature(theirs).parameters
        found = inspect.signature(ours).parameters
        assert list(found)[: len(expected)] == list(expected)
        for name, parameter in expected.items():
            assert found[name].default == parameter.default
            assert found[name].kind == parameter.kind


def test_arguments_of_both_estimators_are_the_same_and_described_alike():
    ours = CLASSIFIERS[0], REGRESSORS[0]
    alone = [{"class_weight", "label_smoothing"}, {"loss"}]
    parameters = [
        [one for name, one in inspect.signature(kind).parameters.items() if name not in own]
        for kind, own in zip(ours, alone, strict=True)
    ]
    assert parameters[0] == parameters[1]
    texts = [
        {name: text for name, text in described(kind) if name not in own}
        for kind, own in zip(ours, alone, strict=True)
    ]
    assert texts[0] == texts[1]
    assert "hidden_layer_sizes" in texts[0]


def described(kind):
    """Return the names and the texts of a class's arguments in its docstring."""
    [lines] = sections(inspect.getdoc(kind), "Parameters")
    return re.findall(r"^(\w.*)\n((?: .*\n?)+)", "\n".join(lines), re.MULTILINE)


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_without_shuffling_the_training_is_the_same(task, arguments, weights):
    (ours, theirs), y, given = task
    shared = {"hidden_layer_sizes": (7, 4), "random_state": 3, "max_iter": 6, "shuffle": False}
    known = {"batch_size": 50, **shared, **given, **arguments}
    found = ours(**known).fit(X, y, sample_weight=weights)
    expected = theirs(**known).fit(X, y, sample_weight=weights)
    for name in ("coefs_", "intercepts_"):
        for one, other in zip(getattr(found, name), getattr(expected, name), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-9)
    assert found.loss_ == pytest.approx(expected.loss_, rel=1e-9)
    assert found.best_loss_ == pytest.approx(expected.best_loss_, rel=1e-9)
    assert found.out_activation_ == expected.out_activation_
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_"):
        assert getattr(found, name) == getattr(expected, name)
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-7, atol=1e-10)


def test_the_validation_loss_of_several_numbers_is_told_as_the_loss_is():
    found = DenseRegressor(
        "squared_error", (4,), early_stopping=True, max_iter=3, random_state=0, alpha=0.0
    )
    found.set_params(restore_best_weights=False, validation_fraction=0.3).fit(X, PAIR)
    random = np.random.RandomState(0)
    for columns in ((5, 4), 4, (4, 2), 2):
        random.uniform(size=columns)
    held = train_test_split(np.arange(90), random_state=random, test_size=0.3)[1]
    expected = 0.5 * np.mean((found.predict(X[held]) - PAIR[held]) ** 2)
    assert found.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-6)


EDGES = {
    "alpha": [0, 0.0, 1e-300, 10],
    "batch_size": [1, 90, np.int64(7)],
    "learning_rate_init": [1e-12, 1],
    "power_t": [0, 1e-12, 3],
    "max_iter": [1, np.int32(2)],
    "tol": [0, 1e-300, 1e6],
    "momentum": [0, 1e-300, 0.5, 1, 1.0, np.float32(1)],
    "beta_1": [0, 0.0, 1e-12, 0.999999],
    "beta_2": [0, 1e-12, 0.999999],
    "epsilon": [1e-300, 1, 1e6],
    "n_iter_no_change": [1, np.inf],
    "max_fun": [1, 10**9],
    "validation_fraction": [1e-300, 0.5, 0.99],
    "verbose": [0, np.bool_(False)],
    "shuffle": [np.bool_(False)],
}
WRONG = {
    "alpha": [-1e-12, "a", None],
    "batch_size": [0, 1.5, "all"],
    "learning_rate": ["fast", 0.1],
    "learning_rate_init": [0, -1],
    "power_t": [-1],
    "max_iter": [0, 1.5],
    "shuffle": ["yes", 2],
    "random_state": ["seed"],
    "tol": [-1],
    "momentum": [-1e-12, 1.000001, "a"],
    "beta_1": [1, -0.1],
    "beta_2": [1.0, -0.1],
    "epsilon": [0, -1],
    "n_iter_no_change": [0, 1.5, -np.inf],
    "max_fun": [0, 2.5],
    "validation_fraction": [1, -0.1],
    "early_stopping": ["no"],
    "hidden_layer_sizes": [0, -1, (3, 0), 2.5],
}


def outcome(kind, name, value):
    """Return the words of an error, or how many epochs a training had."""
    known = {"hidden_layer_sizes": (4,), "random_state": 0, "max_iter": 2, "shuffle": False}
    early = name == "validation_fraction"
    solver = "adam" if name in {"beta_1", "beta_2", "epsilon"} else "sgd"
    known.update(solver="lbfgs" if name == "max_fun" else solver, early_stopping=early)
    if name == "power_t":
        known["learning_rate"] = "invscaling"
    try:
        found = kind(**{**known, name: value}).fit(X, TWO)
    except (ValueError, TypeError) as error:
        return type(error), str(error).replace("DenseClassifier", "MLPClassifier")
    return found.n_iter_, found.coefs_


@pytest.mark.parametrize("name", EDGES)
def test_edges_of_arguments_train_the_same(name):
    for value in EDGES[name]:
        (found, ours), (expected, theirs) = (outcome(kind, name, value) for kind in CLASSIFIERS)
        assert found == expected, value
        if isinstance(ours, str):
            assert ours == theirs
            continue
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused_in_the_same_words(name):
    for value in WRONG[name]:
        found, expected = (outcome(kind, name, value) for kind in CLASSIFIERS)
        assert isinstance(found[1], str)
        assert found == expected


def test_arguments_are_constrained_as_there():
    # A solver and an activation may also be ours.
    for ours, theirs in (CLASSIFIERS, REGRESSORS):
        for name, expected in theirs._parameter_constraints.items():
            if name not in {"solver", "activation"}:
                found = ours._parameter_constraints[name]
                assert list(map(str, found)) == list(map(str, expected))


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_loss_and_gradient_of_all_rows_are_the_same_at_the_same_weights(task, weights):
    (ours, theirs), y, given = task
    known = {"hidden_layer_sizes": (6,), "random_state": 0, "max_iter": 1, "alpha": 0.7, **given}
    found = ours(solver="lbfgs", activation="tanh", **known).fit(X, y)
    expected = theirs(solver="lbfgs", activation="tanh", **known).fit(X, y)
    found.coefs_, found.intercepts_ = expected.coefs_, expected.intercepts_
    rows = Rows(X, found._task.encode(y), weights)
    flat = FlatLoss(found.model_, rows.x, rows.y, rows.weights)
    _, gradient = flat(flat.vector())
    loss = found._task.reported(flat.figures)

    targets = y.reshape(len(X), -1)
    if hasattr(expected, "_label_binarizer"):
        targets = expected._label_binarizer.transform(y)
    sizes = [X.shape[1], 6, expected.n_outputs_]
    kernels = [np.empty(shape) for shape in itertools.pairwise(sizes)]
    biases = [np.empty(size) for size in sizes[1:]]
    passed = [X, None, None]
    their_loss, *theirs_of = expected._backprop(
        X, targets, weights, passed, [None, None], kernels, biases
    )
    assert loss == pytest.approx(their_loss, rel=1e-6)
    kernels, biases = theirs_of
    packed = np.concatenate(
        [part.ravel() for pair in zip(kernels, biases, strict=True) for part in pair]
    )
    np.testing.assert_allclose(gradient, packed, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["two classes", "three classes", "a number", "counts"])
def test_lbfgs_comes_to_the_same_loss(name):
    (ours, theirs), y, given = TASKS[name]
    known = {"hidden_layer_sizes": (4,), "activation": "tanh", "solver": "lbfgs", **given}
    known.update(random_state=1, max_iter=400, alpha=5.0)
    found, expected = ours(**known).fit(X, y), theirs(**known).fit(X, y)
    assert found.loss_ == pytest.approx(expected.loss_, rel=1e-4)
    assert not hasattr(found, "loss_curve_")


def test_lbfgs_of_several_numbers_comes_to_a_minimum_where_theirs_gives_up():
    # Their loss is the mean over targets, their gradient that of the sum.
    targets = X @ np.random.default_rng(0).normal(size=(5, 5))
    known = {"hidden_layer_sizes": (4,), "activation": "tanh", "solver": "lbfgs", "alpha": 10.0}
    known.update(random_state=0, max_iter=2000)
    expected = MLPRegressor(**known).fit(X, targets)
    found = DenseRegressor(**known).fit(X, targets)
    flat = FlatLoss(found.model_, X, targets, None)
    least, slopes = flat(flat.vector())
    assert np.abs(slopes).max() < 1e-2
    found.coefs_, found.intercepts_ = expected.coefs_, expected.intercepts_
    loss, slopes = flat(flat.vector())
    assert loss > 1.01 * least
    assert np.abs(slopes).max() > 0.05


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("arguments", [{}, {"solver": "sgd", "learning_rate": "adaptive"}])
def test_training_stops_at_the_same_epoch(early, arguments):
    known = {"hidden_layer_sizes": (5,), "random_state": 2, "max_iter": 400, "shuffle": False}
    known.update(tol=0.02, n_iter_no_change=3, early_stopping=early, **arguments)
    found, expected = DenseClassifier(**known).fit(X, TWO), MLPClassifier(**known).fit(X, TWO)
    assert found.n_iter_ == expected.n_iter_ < 400
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-6)
    assert found.validation_scores_ == expected.validation_scores_
    assert found.best_validation_score_ == expected.best_validation_score_
    for one, other in zip(found.coefs_, expected.coefs_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_warm_starts_and_partial_fits_go_on_as_there():
    known = {"hidden_layer_sizes": (5,), "random_state": 2, "shuffle": False, "max_iter": 4}
    found, expected = (one(warm_start=True, **known) for one in CLASSIFIERS)
    for _ in range(2):
        found.fit(X, THREE)
        expected.fit(X, THREE)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-6)
    assert (found.n_iter_, found.t_) == (expected.n_iter_, expected.t_)
    found, expected = (one(**known) for one in CLASSIFIERS)
    for _ in range(3):
        found.partial_fit(X, THREE, classes=[0, 1, 2])
        expected.partial_fit(X, THREE, classes=[0, 1, 2])
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-6)
    assert (found.n_iter_, found.t_) == (expected.n_iter_, expected.t_)


@pytest.mark.parametrize(("data", "name"), [(TWO, "logistic"), (THREE, "relu"), (LABELS, "tanh")])
def test_the_same_weights_give_the_same_probabilities(data, name):
    known = {"hidden_layer_sizes": (6, 3), "activation": name, "max_iter": 1}
    found = DenseClassifier(random_state=1, **known).fit(X, data)
    expected = MLPClassifier(random_state=2, **known).fit(X, data)
    found.coefs_, found.intercepts_ = expected.coefs_, expected.intercepts_
    for method in ("predict_proba", "predict_log_proba", "predict"):
        np.testing.assert_allclose(
            getattr(found, method)(X), getattr(expected, method)(X), rtol=1e-10
        )


def test_float32_gives_first_weights_and_losses_of_float32():
    x = X.astype(np.float32)
    known = {"hidden_layer_sizes": (5,), "random_state": 2, "shuffle": False, "max_iter": 4}
    found, expected = DenseClassifier(**known).fit(x, TWO), MLPClassifier(**known).fit(x, TWO)
    assert {coef.dtype for coef in found.coefs_} == {np.dtype("float32")}
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-5)
