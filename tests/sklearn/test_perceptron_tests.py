"""scikit-learn's own tests of its perceptrons, of the version that is installed, run on ours."""

import types

import pytest

import evengrad.sklearn

theirs = pytest.importorskip("sklearn.neural_network.tests.test_mlp")

EXCLUDED = {
    "test_fit": "sets private state of an estimator that was never fitted",
    "test_gradient": "calls the private loss of vectors; test_equality compares gradients",
}


class ReadsAlike:
    """What the tests read of private attributes, from where we have it."""

    @property
    def _optimizer(self):
        return self.model_.optimizer

    @property
    def _no_improvement_count(self):
        return self._progress.count


class Classifier(ReadsAlike, evengrad.sklearn.DenseClassifier):
    """Ours in place of `MLPClassifier`."""


class Regressor(ReadsAlike, evengrad.sklearn.DenseRegressor):
    """Ours in place of `MLPRegressor`."""


OURS = {theirs.MLPClassifier: Classifier, theirs.MLPRegressor: Regressor}
NAMES = {kind.__name__: ours for kind, ours in OURS.items()}


def replaced(value):
    """Return a parameter of a test with our classes in place of theirs."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(replaced, value))
    return OURS.get(value, value) if isinstance(value, type) else value


def on_ours(test):
    """Return a test of theirs that finds our classes under the names of theirs."""
    names = {**vars(theirs), **NAMES}
    copy = types.FunctionType(test.__code__, names, test.__name__, test.__defaults__)
    for mark in getattr(test, "pytestmark", []):
        getattr(pytest.mark, mark.name)(*replaced(mark.args), **mark.kwargs)(copy)
    return copy


# Their suite lets warnings pass.
pytestmark = pytest.mark.filterwarnings("ignore")

for name, test in vars(theirs).copy().items():
    if name.startswith("test_") and name not in EXCLUDED:
        globals()[name] = on_ours(test)
del name, test


@pytest.fixture
def global_random_seed():
    """The seed that their suite takes where none is asked for."""
    return 42


def test_ours_stand_in_for_theirs():
    assert set(EXCLUDED) < set(vars(theirs))
    names = test_early_stopping.__globals__  # noqa: F821 - one of theirs
    assert names["MLPClassifier"] is Classifier
    [mark] = test_early_stopping.pytestmark  # noqa: F821 - one of theirs
    assert mark.args[1] == [Classifier, Regressor]
