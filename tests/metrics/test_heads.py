"""Metrics beside every loss and every end of a model, against scikit-learn."""

import numpy as np
import pytest
from metric_cases import AVERAGED, NAMES, made
from scipy import special
from sklearn import metrics as sk

import evengrad as eg
from evengrad import losses, metrics


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def data(rng):
    """Return features with some information about two and about three classes, and both labels."""
    x = rng.normal(size=(90, 4))
    two = (x[:, 0] + rng.normal(size=90) * 0.5 > 0.4).astype(int)
    three = (x[:, :3] + rng.normal(size=(90, 3))).argmax(axis=1)
    return x, two, three


class Custom(eg.Model):
    """A subclass, whose end only its output shows."""

    def __init__(self, units, activation):
        super().__init__(dtype="float64", seed=2)
        self.out = eg.layers.Dense(units, activation)

    def call(self, x):
        return self.out(x)


def figures(model, loss, which, x, y, eagerly):
    """Train an epoch without moving, and return the figures of fit, evaluate and single batches."""
    model.compile(eg.optimizers.SGD(0.0), loss, which, run_eagerly=eagerly)
    history = model.fit(x, y, batch_size=40, verbose=0, validation_data=(x, y)).history
    names = list(history)[1 : 1 + len(which)]
    found = [{name: history[name][0] for name in names}]
    found.append({name: history[f"val_{name}"][0] for name in names})
    for one in (model.evaluate, model.train_on_batch, model.test_on_batch):
        values = one(x, y, return_dict=True)
        found.append({name: values[name] for name in names})
    return found


def model_of(kind, units, activation):
    if kind is Custom:
        model = Custom(units, activation)
    else:
        model = eg.Sequential([eg.layers.Dense(units, activation)], dtype="float64", seed=2)
    model.build((None, 4))
    return model


BINARY = [
    (None, "binary_crossentropy"),
    (None, losses.BinaryCrossentropy(from_logits=True)),
    (None, losses.BinaryFocalCrossentropy()),
    ("sigmoid", "binary_crossentropy"),
    ("sigmoid", losses.BinaryCrossentropy(from_logits=False)),
    ("sigmoid", "mse"),
    (None, "hinge"),
    (None, "squared_hinge"),
    ("tanh", "hinge"),
    ("sigmoid", "hinge"),
]


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("kind", [eg.Sequential, Custom])
@pytest.mark.parametrize(("activation", "loss"), BINARY)
def test_two_classes(data, kind, activation, loss, eagerly):
    x, y, _ = data
    if kind is Custom and activation == "tanh":
        pytest.skip("the same as a linear end")
    model = model_of(kind, 1, activation)
    score = model.predict(x)[:, 0]
    said = score > (0.5 if activation == "sigmoid" else 0.0)
    which = [
        "accuracy",
        metrics.AUC(),
        metrics.Precision(),
        metrics.Recall(),
        metrics.F1Score("micro"),
        metrics.ConfusionMatrix(),
        metrics.BinaryAccuracy(),
    ]
    expected = [
        sk.accuracy_score(y, said),
        sk.roc_auc_score(y, score),
        sk.precision_score(y, said),
        sk.recall_score(y, said),
        sk.f1_score(y, said),
        sk.confusion_matrix(y, said),
        sk.accuracy_score(y, said),
    ]
    for found in figures(model, loss, which, x, y, eagerly):
        for (name, value), wanted in zip(found.items(), expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-12, err_msg=name)


MANY = [
    (None, "sparse_categorical_crossentropy"),
    (None, losses.SparseCategoricalCrossentropy(from_logits=True)),
    (None, "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
    ("softmax", "categorical_crossentropy"),
    ("softmax", "mse"),
    (None, "categorical_hinge"),
]


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("kind", [eg.Sequential, Custom])
@pytest.mark.parametrize(("activation", "loss"), MANY)
def test_three_classes(data, kind, activation, loss, eagerly):
    x, _, labels = data
    hot = np.eye(3)[labels]
    y = labels if "sparse" in str(getattr(loss, "name", loss)) else hot
    model = model_of(kind, 3, activation)
    output = model.predict(x)
    shares = special.softmax(output, axis=1) if activation is None else output
    said, largest = shares > 0.5, output.argmax(axis=1)
    which = [
        "accuracy",
        metrics.AUC(average="micro"),
        metrics.AUC(average="macro"),
        metrics.Precision(0.5, average="micro"),
        metrics.Recall(0.5, average="micro"),
        metrics.Precision(average="macro"),
        metrics.Recall(average="macro"),
        metrics.F1Score("macro"),
        metrics.F1Score("micro", threshold=0.4),
        metrics.ConfusionMatrix(),
    ]
    expected = [
        sk.accuracy_score(labels, largest),
        # All outputs count together.
        sk.roc_auc_score(hot.ravel(), shares.ravel()),
        sk.roc_auc_score(labels, shares / shares.sum(axis=1, keepdims=True), multi_class="ovr"),
        sk.precision_score(hot.ravel(), said.ravel()),
        sk.recall_score(hot.ravel(), said.ravel()),
        sk.precision_score(labels, largest, average="macro"),
        sk.recall_score(labels, largest, average="macro"),
        sk.f1_score(labels, largest, average="macro"),
        sk.f1_score(hot, shares > 0.4, average="micro"),
        sk.confusion_matrix(labels, largest),
    ]
    for found in figures(model, loss, which, x, y, eagerly):
        for (name, value), wanted in zip(found.items(), expected, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-12, err_msg=name)


def test_labels_that_do_not_exclude_each_other(data, rng):
    x, _, _ = data
    y = rng.integers(0, 2, (90, 3))
    model = model_of(eg.Sequential, 3, None)
    score = model.predict(x)
    wanted = [
        sk.accuracy_score(y.ravel(), (score > 0).ravel()),
        sk.f1_score(y, score > 0, average="macro"),
    ]
    for loss in ("binary_crossentropy", "hinge"):
        which = ["accuracy", metrics.F1Score("macro", threshold=0.5)]
        for found in figures(model, loss, which, x, y, False):
            np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-12)


@pytest.mark.parametrize("signs", [False, True])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_accuracy_beside_a_hinge_is_the_side_of_the_score(data, loss, signs):
    x, two, three = data
    model = model_of(eg.Sequential, 1, None)
    score = model.predict(x)[:, 0]
    y = 2 * two - 1 if signs else two
    for found in figures(model, loss, ["accuracy"], x, y, False):
        assert found["accuracy"] == np.mean((score > 0) == two)
    # One score for each class, of which one is right: the largest.
    model = model_of(eg.Sequential, 3, None)
    hot = np.eye(3)[three]
    y = 2 * hot - 1 if signs else hot
    for found in figures(model, loss, ["accuracy"], x, y, False):
        assert found["accuracy"] == np.mean(model.predict(x).argmax(axis=1) == three)


def test_regressions_get_what_the_model_puts_out(data):
    x, y, _ = data
    for activation in (None, "sigmoid"):
        model = model_of(eg.Sequential, 1, activation)
        output = model.predict(x)[:, 0]
        which = ["mae", metrics.R2Score()]
        wanted = [sk.mean_absolute_error(y, output), sk.r2_score(y, output)]
        for found in figures(model, "binary_crossentropy", which, x, y, False):
            np.testing.assert_allclose(list(found.values()), wanted, rtol=1e-10)


@pytest.mark.parametrize("loss", ["mse", "binary_crossentropy", "hinge"])
def test_what_the_user_says_of_the_predictions_counts(data, loss):
    x, y, _ = data
    model = model_of(eg.Sequential, 1, None)
    wanted = sk.roc_auc_score(y, model.predict(x)[:, 0])
    for found in figures(model, loss, [metrics.AUC(2_000, from_logits=True)], x, y, False):
        assert found["auc"] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("kind", [eg.Sequential, Custom])
@pytest.mark.parametrize(
    ("activation", "loss", "metric", "message"),
    [
        ("sigmoid", "binary_crossentropy", metrics.AUC(from_logits=True), "makes probabilities"),
        (None, "binary_crossentropy", metrics.AUC(from_logits=False), "without a sigmoid"),
        (None, "hinge", metrics.AUC(from_logits=False), "without a sigmoid"),
        (None, "binary_crossentropy", metrics.Precision(0.0), r"threshold in \(0, 1\).*got 0\.0"),
        (None, "binary_crossentropy", metrics.BinaryAccuracy(threshold=-1.0), "threshold in"),
        (None, "hinge", metrics.F1Score("macro", threshold=2.0), "threshold in"),
    ],
)
def test_a_contradiction_is_an_error(data, kind, activation, loss, metric, message):
    x, y, _ = data
    model = model_of(kind, 1, activation)
    model.compile("sgd", loss, [metric])
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, verbose=0)
    assert model.optimizer.iterations == 0


# ---- scores, labels and shapes that a metric cannot count


@pytest.mark.parametrize("curve", ["ROC", "PR"])
def test_scores_outside_of_the_unit_are_an_error(curve):
    y, scores = [0, 0, 1, 1], [-3.0, -2.0, -0.5, 0.3]
    metric = metrics.AUC(curve=curve)
    metric([0, 1], [0.2, 0.7])
    with pytest.raises(ValueError, match=r"scores in \[0, 1\].*from_logits=True"):
        metric(y, scores)
    with pytest.raises(ValueError, match=r"scores in \[0, 1\]"):
        metric(y, [0.0, 0.0, 1.0, np.inf])
    # What was counted before still stands.
    assert metric.result() == pytest.approx(1.0)
    assert metrics.AUC(curve=curve, from_logits=True)(y, scores) == pytest.approx(1.0)


def test_scores_that_are_not_numbers_show_in_the_area():
    metric = metrics.AUC()
    assert np.isnan(metric([0, 1], [0.2, np.nan]))
    metric.reset_state()
    assert metric([0, 1], [0.2, 0.7]) == pytest.approx(1.0)


@pytest.mark.parametrize("eagerly", [False, True])
def test_scores_outside_of_the_unit_are_an_error_in_training(data, eagerly):
    x, y, _ = data
    model = model_of(eg.Sequential, 1, None)
    model.compile(eg.optimizers.SGD(0.0), "mse", ["auc"], run_eagerly=eagerly)
    for run in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=r"auc: expected scores in \[0, 1\].*from_logits"):
            run(x, y)


BY_NUMBER = [
    metrics.SparseCategoricalAccuracy,
    metrics.SparseTopKCategoricalAccuracy,
    metrics.ConfusionMatrix,
    lambda: metrics.F1Score("macro"),
    lambda: metrics.Precision(average="macro"),
    lambda: metrics.Recall(average="weighted"),
    lambda: metrics.AUC(average=None),
]


@pytest.mark.parametrize("make", BY_NUMBER)
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 5], r"y_true: .*\[0, 2\).*got 5 in row 1"),
        ([-1, 0], r"y_true: .*got -1 in row 0"),
        ([0.5, 0.0], r"y_true: .*whole class numbers, got 0\.5"),
        ([[7], [0]], r"y_true: .*got 7 in row 0"),
    ],
)
def test_labels_out_of_range_are_an_error(make, labels, message):
    metric, p = make(), np.array([[0.9, 0.1], [0.2, 0.8]])
    before = metric([0, 1], p)
    with pytest.raises(ValueError, match=message):
        metric(labels, p)
    with pytest.raises(ValueError, match=message):
        metric.update_state(eg.tensor(np.array(labels)), eg.tensor(p))
    np.testing.assert_array_equal(metric.result(), before)
    # Not so in a row that does not count.
    weights = [1.0, 0.0] if labels[0] == 0 else [0.0, 1.0]
    make()(labels, p, weights)


@pytest.mark.parametrize(
    "make",
    [
        metrics.Precision,
        metrics.Recall,
        metrics.F1Score,
        metrics.AUC,
        metrics.BinaryAccuracy,
        metrics.ConfusionMatrix,
    ],
)
@pytest.mark.parametrize("label", [2.0, -0.5, np.nan])
def test_yes_is_1_and_no_is_0(make, label):
    with pytest.raises(ValueError, match="y_true: "):
        make()([0.0, label], [0.3, 0.7])


@pytest.mark.parametrize("make", BY_NUMBER)
def test_labels_are_checked_before_a_training_whatever_the_loss(make, data):
    x, _, labels = data

    def own(y_true, y_pred):  # noqa: ARG001 - called with both
        return y_pred.square().mean(dim=-1)

    model = model_of(eg.Sequential, 3, "softmax")
    model.compile("sgd", own, [make()])
    wrong = np.where(np.arange(90) == 7, 3, labels)
    for run in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=r"y: .*\[0, 3\).*got 3 in row 7"):
            run(x, wrong)
    assert model.optimizer.iterations == 0
    model.fit(x, labels, verbose=0)


ONE_HOT = [metrics.CategoricalAccuracy, lambda: metrics.TopKCategoricalAccuracy(1)]


@pytest.mark.parametrize("make", ONE_HOT)
def test_one_hot_rows_are_not_broadcast(make):
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    for y in ([[1, 0]], np.eye(3), np.eye(2)[:1], [0, 1], [[0], [1]]):
        with pytest.raises(ValueError, match="expected targets in the shape of the predictions"):
            make()(y, p)
    # Integers and truth values are one-hot rows as well.
    for dtype in (int, bool, "float32"):
        assert make()(np.eye(2, dtype=dtype), p) == 1.0
        assert make()(np.eye(2, dtype=dtype)[::-1], p) == 0.0


@pytest.mark.parametrize(
    ("make", "y"),
    [
        (metrics.SparseCategoricalAccuracy, [0, 1, 0]),
        (lambda: metrics.SparseTopKCategoricalAccuracy(1), [0, 1, 0]),
        (metrics.CategoricalAccuracy, np.eye(2)[[0, 1, 0]]),
        (lambda: metrics.TopKCategoricalAccuracy(1), np.eye(2)[[0, 1, 0]]),
    ],
)
def test_a_row_with_nan_is_wrong(make, y):
    p = np.array([[np.nan, np.nan], [0.5, np.nan], [np.nan, 0.5]])
    assert make()(y, p) == 0.0
    # Infinite scores are scores.
    assert make()(y, np.array([[np.inf, 0], [-np.inf, np.inf], [0, -np.inf]])) == 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_that_are_right_are_found_in_one_launch(rng, dtype):
    scores = rng.integers(0, 4, (70, 3, 5)).astype(dtype)
    scores[::7, 1, 2] = np.nan
    labels = rng.integers(0, 5, (70, 3))
    right = (scores.argmax(-1) == labels) & ~np.isnan(scores).any(-1)
    assert 0 < right.sum() < right.size
    metric = metrics.SparseCategoricalAccuracy()
    for given in (labels, labels[:, :, None], labels.astype("float64")):
        targets, predictions = eg.tensor(given), eg.tensor(scores)
        with eg._core.Recording() as recording:
            found = metric.values(targets, predictions)
        np.testing.assert_array_equal(found.numpy(), right.astype(dtype), strict=True)
        assert recording.plan.describe()["launches"] == 1


def test_an_output_that_is_nan_is_wrong():
    assert metrics.BinaryAccuracy()([0.0, 1.0], [np.nan, np.nan]) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_count_nothing(name):
    metric = made(name, **({"average": "macro"} if name in AVERAGED else {}))
    sparse = name.startswith("Sparse")
    nothing = np.zeros(0, int) if sparse else np.zeros((0, 3)), np.zeros((0, 3))
    np.testing.assert_array_equal(metric(*nothing), np.zeros(np.shape(metric.result())))
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    y = np.array([0, 1]) if sparse else np.eye(3)[[0, 1]]
    first = metric(y, p)
    np.testing.assert_array_equal(metric(*nothing), first)
    metric.reset_state()
    np.testing.assert_allclose(metric(y, p), first)
