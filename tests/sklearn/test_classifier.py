"""Labels, probabilities and weights of classes."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

import evengrad as eg
from evengrad.sklearn import DenseClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4))
TWO = X[:, 0] > 0
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
LABELS = (X[:, :3] > 0).astype(int)
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 60, "random_state": 0, "learning_rate_init": 0.05}


def fitted(y, x=X, **arguments):
    return DenseClassifier(**{**SMALL, **arguments}).fit(x, y)


@pytest.mark.parametrize(
    "labels",
    [
        TWO,
        np.where(TWO, "yes", "no"),
        np.where(TWO, "yes", "no").astype(object),
        np.where(TWO, 7, -2),
        np.array(["low", "middle", "high"])[THREE],
        pd.Series(np.array(["low", "middle", "high"])[THREE], dtype="category"),
        list(map(float, THREE)),
    ],
    ids=["booleans", "text", "objects", "numbers", "three", "categories", "a list"],
)
def test_labels_are_those_of_the_data(labels):
    net = fitted(labels)
    assert net.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    predicted = net.predict(X)
    assert set(predicted.tolist()) <= set(net.classes_.tolist())
    assert net.score(X, labels) > 0.9
    probabilities = net.predict_proba(X)
    assert probabilities.shape == (60, len(net.classes_))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(net.classes_[probabilities.argmax(axis=1)], predicted)


def test_several_labels_are_told_apart_by_themselves():
    for given in (LABELS, scipy.sparse.csr_array(LABELS), LABELS.tolist()):
        net = fitted(given)
        predicted = net.predict(X)
        assert scipy.sparse.issparse(predicted) == scipy.sparse.issparse(given)
        dense = predicted.toarray() if scipy.sparse.issparse(predicted) else predicted
        assert (dense == LABELS).mean() > 0.9
        assert net.predict_proba(X).shape == net.decision_function(X).shape == (60, 3)
        assert net.out_activation_ == "logistic"


def test_one_class_alone_trains():
    net = fitted(np.full(60, "only"))
    assert set(net.predict(X)) == {"only"}
    np.testing.assert_array_equal(net.predict_proba(X), np.ones((60, 1)))
    assert net.score(X, np.full(60, "only")) == 1.0


def test_logits_and_logarithms_belong_to_the_probabilities():
    for labels in (TWO, THREE, LABELS):
        net = fitted(labels)
        probabilities, scores = net.predict_proba(X), net.decision_function(X)
        np.testing.assert_allclose(np.exp(net.predict_log_proba(X)), probabilities)
        if labels is THREE:
            shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        else:
            shares = 1.0 / (1.0 + np.exp(-scores))
        expected = probabilities[:, 1] if labels is TWO else probabilities
        np.testing.assert_allclose(shares, expected, rtol=1e-9)


def test_logits_stay_exact_where_probabilities_round():
    for labels in (TWO, THREE):
        net = fitted(labels)
        net.coefs_ = [coef * 30 for coef in net.coefs_]
        assert net.predict_proba(X).max() == 1.0
        scores = net.decision_function(X)
        assert np.isfinite(scores).all()
        assert len(np.unique(scores.reshape(60, -1)[:, 0])) == 60
        sparse = scipy.sparse.csr_array(X)
        np.testing.assert_allclose(net.decision_function(sparse), scores)


def test_the_quick_way_of_few_rows_gives_the_bits_of_the_checked_one():
    for dtype in ("float32", "float64"):
        x = X.astype(dtype)
        net = fitted(THREE, x)
        for rows in (x, x[:1], x[::2], np.asfortranarray(x)):
            np.testing.assert_array_equal(net.predict_proba(rows), net._checked_outputs(rows))
        np.testing.assert_array_equal(net.predict_proba(x[:1]), net.predict_proba(x)[:1])


def test_what_is_returned_is_the_users():
    net = fitted(THREE)
    first = net.predict_proba(X[:2])
    kept = first.copy()
    net.predict_proba(X[2:4])
    np.testing.assert_array_equal(first, kept)
    first[:] = 0.0
    np.testing.assert_array_equal(net.predict_proba(X[:2]), kept)


def test_bad_rows_are_refused_in_scikit_learns_words():
    net = fitted(THREE)
    theirs = MLPClassifier(max_iter=1).fit(X, THREE)
    for bad in (
        np.full((2, 4), np.nan),
        np.full((1, 4), np.inf),
        X[:, :3],
        X[0],
        X.astype(complex),
        X[:0],
    ):
        messages = []
        for one in (net, theirs):
            with pytest.raises(ValueError, match=r".") as caught:
                one.predict(bad)
            messages.append(str(caught.value).replace("MLP", "Dense"))
        assert messages[0] == messages[1]


def test_names_of_columns_are_watched():
    frame = pd.DataFrame(X, columns=list("abcd"))
    net = fitted(THREE, frame)
    assert net.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(net.predict(frame), fitted(THREE).predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        net.predict(frame[list("dcba")])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        net.predict(X)


def test_weights_of_classes_are_weights_of_rows():
    weights = {0: 3.0, 1: 1.0, 2: 0.5}
    by_class = fitted(THREE, class_weight=weights)
    by_row = DenseClassifier(**SMALL).fit(X, THREE, np.array([3.0, 1.0, 0.5])[THREE])
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0])
    counts = np.bincount(THREE)
    balanced = fitted(THREE, class_weight="balanced")
    by_row = DenseClassifier(**SMALL).fit(X, THREE, (60 / (3 * counts))[THREE])
    np.testing.assert_allclose(balanced.coefs_[0], by_row.coefs_[0])


def test_smoothed_labels_keep_probabilities_from_the_ends():
    sharp, smooth = fitted(THREE, max_iter=300), fitted(THREE, max_iter=300, label_smoothing=0.3)
    assert sharp.predict_proba(X).max() > 0.98
    # The best answer to a target of 0.8 and twice 0.1 is the target itself.
    assert abs(np.median(smooth.predict_proba(X).max(axis=1)) - 0.8) < 0.1
    assert smooth.loss_ > log_loss(THREE, smooth.predict_proba(X)) * 0.9


def test_partial_fit_takes_rows_as_they_come():
    net = DenseClassifier(**SMALL)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        net.partial_fit(X, THREE)
    assert not hasattr(net, "classes_")
    for _ in range(30):
        net.partial_fit(X[:30], THREE[:30], classes=[0, 1, 2, 3])
        net.partial_fit(X[30:], THREE[30:])
    assert net.score(X, THREE) > 0.9
    assert net.predict_proba(X).shape == (60, 4)
    assert net.t_ == 30 * 60
    with pytest.raises(ValueError, match="`y` has classes not in"):
        net.partial_fit(X, THREE + 5)
    with pytest.raises(ValueError, match="is not the same as on last call to partial_fit"):
        net.partial_fit(X, THREE, classes=[0, 1])
    for arguments in ({"solver": "lbfgs"}, {"early_stopping": True}):
        assert not hasattr(DenseClassifier(**arguments), "partial_fit")


def test_partial_fit_with_callbacks_and_without_is_the_same():
    heard = []
    listening = eg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: heard.append(epoch))
    known = {"shuffle": False, "batch_size": 25, **SMALL}
    first = DenseClassifier(**known)
    second = DenseClassifier(callbacks=[listening], **known)
    for _ in range(3):
        for net in (first, second):
            net.partial_fit(X, THREE, classes=[0, 1, 2])
    assert heard == [0, 0, 0]
    np.testing.assert_allclose(first.coefs_[0], second.coefs_[0], rtol=1e-12)
    np.testing.assert_allclose(first.loss_curve_, second.loss_curve_, rtol=1e-12)


def test_a_training_that_ends_too_soon_is_told():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached"):
        fitted(THREE, max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(THREE, tol=1e9, max_iter=100)


def test_epochs_are_printed_as_there(capsys):
    known = {**SMALL, "max_iter": 3, "shuffle": False, "verbose": True, "early_stopping": True}
    shown = []
    for kind in (DenseClassifier, MLPClassifier):
        kind(**known).fit(X, TWO)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert shown[0].count("Iteration") == shown[0].count("Validation score") == 3


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (X[:, 0], "Unknown label type: continuous"),
        (np.stack([THREE, THREE], axis=1), "Multioutput target data is not supported"),
        (np.full(60, np.nan), "Input y contains NaN"),
        (THREE[:50], "inconsistent numbers of samples"),
    ],
)
def test_targets_that_are_no_classes_are_refused(y, words):
    net = DenseClassifier(**SMALL)
    with pytest.raises(ValueError, match=words):
        net.fit(X, y)
    assert not vars(net).keys() - net.get_params().keys()
