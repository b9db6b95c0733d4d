"""Functions of all rows of an epoch as metrics: scikit-learn's, in training and by themselves."""

import numpy as np
import pytest
from sklearn import metrics as sk

import evengrad as eg
from evengrad import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(6)


FUNCTIONS = [
    (sk.balanced_accuracy_score, "labels", {}),
    (sk.matthews_corrcoef, "labels", {}),
    (sk.f1_score, "labels", {"average": "macro"}),
    (sk.log_loss, "probabilities", {}),
    (sk.roc_auc_score, "probabilities", {"multi_class": "ovr"}),
]


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize(("function", "needs", "settings"), FUNCTIONS)
@pytest.mark.parametrize("end", [None, "softmax"])
def test_classes_in_training(rng, function, needs, settings, end, eagerly):
    x, y = rng.normal(size=(90, 4)), rng.integers(0, 3, 90)
    w = rng.integers(0, 3, 90) * 0.5
    model = eg.Sequential([eg.layers.Dense(3, end)], dtype="float64", seed=3)
    made = [metrics.from_sklearn(function, n, needs=needs, **settings) for n in ("plain", "by")]
    model.compile(
        eg.optimizers.SGD(0.0),
        "sparse_categorical_crossentropy",
        made[:1],
        weighted_metrics=made[1:],
        run_eagerly=eagerly,
    )
    data = {"sample_weight": w, "validation_data": (x, y, w)}
    history = model.fit(x, y, epochs=2, batch_size=20, verbose=0, **data).history
    raw = model.predict(x)
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True) if end is None else raw
    given = shares.argmax(axis=1) if needs == "labels" else shares
    wanted = function(y, given, **settings), function(y, given, sample_weight=w, **settings)
    for key, value in zip(("plain", "by"), wanted, strict=True):
        for column in (key, f"val_{key}"):
            assert history[column] == [pytest.approx(value, rel=1e-9)] * 2


@pytest.mark.parametrize("outputs", [1, 2])
def test_yes_and_no(rng, outputs):
    y, p = rng.integers(0, 2, 60), rng.uniform(size=60)
    given = p[:, None] if outputs == 1 else np.column_stack([1 - p, p])
    auc = metrics.from_sklearn(sk.roc_auc_score, needs="probabilities")
    assert auc(y, given) == pytest.approx(sk.roc_auc_score(y, p))
    said = metrics.from_sklearn(sk.cohen_kappa_score, needs="labels")
    assert said(y, given) == pytest.approx(sk.cohen_kappa_score(y, p > 0.5))


def test_labels_that_do_not_exclude_each_other(rng):
    y, p = rng.integers(0, 2, (50, 4)), rng.uniform(size=(50, 4))
    loss = metrics.from_sklearn(sk.hamming_loss, needs="labels")
    assert (loss(y, p), loss.direction) == (sk.hamming_loss(y, p > 0.5), "min")
    ranking = metrics.from_sklearn(sk.label_ranking_average_precision_score, needs="probabilities")
    assert ranking(y, p) == pytest.approx(sk.label_ranking_average_precision_score(y, p))


@pytest.mark.parametrize("columns", [1, 3])
def test_regressions(rng, columns):
    x, y = rng.normal(size=(70, 4)), rng.normal(size=(70, columns))
    model = eg.Sequential([eg.layers.Dense(columns)], dtype="float64", seed=3)
    made = metrics.from_sklearn(sk.explained_variance_score)
    several = metrics.from_sklearn(sk.mean_absolute_error, "each", multioutput="raw_values")
    model.compile(eg.optimizers.SGD(0.0), "mse", [made, several])
    history = model.fit(x, y, batch_size=32, epochs=2, verbose=0).history
    p = model.predict(x)
    wanted = sk.explained_variance_score(y, p)
    assert history["explained_variance_score"] == [pytest.approx(wanted)] * 2
    np.testing.assert_allclose(history["each"][1], np.abs(y - p).mean(axis=0))
    assert (made.direction, several.direction) == ("max", "min")


def test_batches_of_an_iterable_and_masked_rows(rng):
    x, y = rng.normal(size=(40, 4)), rng.normal(size=40)
    model = eg.Sequential([eg.layers.Dense(1)], dtype="float64", seed=3)
    model.compile(
        eg.optimizers.SGD(0.0), "mse", weighted_metrics=[metrics.from_sklearn(sk.max_error)]
    )
    batches = [(x[i : i + 10], y[i : i + 10], (y[i : i + 10] < 1) * 1.0) for i in range(0, 40, 10)]
    found = model.fit(batches, verbose=0).history["max_error"]
    seen = y < 1
    assert found == [pytest.approx(np.abs(y - model.predict(x)[:, 0])[seen].max())]


def test_what_functions_get():
    seen = []

    def note(y_true, y_pred, **beside):
        seen.append((y_true, y_pred, beside))
        return 1.0

    metric = metrics.EpochMetric(note, extra=2)
    assert metric.result() == 0.0
    metric([[1.0], [2.0]], [[3.0], [4.0]], [1.0, 1.0])
    y, p, beside = seen.pop()
    assert (y.tolist(), p.tolist(), beside) == ([1.0, 2.0], [3.0, 4.0], {"extra": 2})
    metric([[5.0]], [[6.0]], [2.0])
    assert seen.pop()[2]["sample_weight"].tolist() == [1.0, 1.0, 2.0]
    metric.reset_state()
    assert metric.result() == 0.0
    assert seen == []
    assert np.isnan(metric([[1.0]], [[np.nan]]))
    numbers = metrics.EpochMetric(note)
    numbers(np.array([2, 0]), np.eye(3)[:2])
    y, p, _ = seen.pop()
    assert (y.tolist(), y.dtype, p.shape) == ([2, 0], np.int64, (2, 3))


def test_more_rows_than_there_is_room_for(rng):
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    model = eg.Sequential([eg.layers.Dense(1)])
    model.compile("sgd", "mse", [metrics.from_sklearn(sk.max_error, max_rows=20)])
    with pytest.raises(
        ValueError, match=r"max_error: expected at most 20 rows, got 30; pass max_r"
    ):
        model.fit(x, y, verbose=0)
    assert model.optimizer.iterations == 0
    # Of batches nobody knows how many rows they are.
    with pytest.raises(ValueError, match=r"at most 20 rows in an epoch, got 30; pass max_rows=30"):
        model.fit([(x[:15], y[:15]), (x[15:], y[15:])], verbose=0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: metrics.from_sklearn(sk.make_scorer(sk.f1_score)),
            TypeError,
            "function: expected",
        ),
        (lambda: metrics.from_sklearn("f1"), TypeError, "function: expected a function"),
        (lambda: metrics.from_sklearn(sk.f1_score, needs="scores"), ValueError, "needs: unknown"),
        (lambda: metrics.from_sklearn(sk.f1_score, direction="up"), ValueError, "direction: unk"),
        (
            lambda: metrics.from_sklearn(sk.f1_score)([0, 1], [[0.2], [0.7]]),
            ValueError,
            r'f1_score: .*needs="predictions" stands for; there is "labels" or',
        ),
        (
            lambda: metrics.from_sklearn(sk.f1_score, needs="labels")([0.5, 1.0], [0.2, 0.7]),
            ValueError,
            'expected zeros and ones.*pass needs="predictions"',
        ),
        (
            lambda: metrics.EpochMetric(lambda *_: "good")([0.5, 1.0], [0.2, 0.7]),
            TypeError,
            "expected a number or an array, got 'good'",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_file_names_the_function(rng, tmp_path):
    x, y = rng.normal(size=(30, 4)), rng.integers(0, 2, 30)
    model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(1, "sigmoid")], seed=1)
    made = metrics.from_sklearn(sk.fbeta_score, needs="labels", beta=2.0)
    model.compile("sgd", "binary_crossentropy", [made])
    found = model.evaluate(x, y)
    model.save(tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"custom_objects=.*'fbeta_score': fbeta_score"):
        eg.load_model(tmp_path / "net.safetensors")
    own = {"fbeta_score": sk.fbeta_score}
    again = eg.load_model(tmp_path / "net.safetensors", custom_objects=own)
    assert again.evaluate(x, y) == found
