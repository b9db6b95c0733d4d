"""Which classes the metrics of classes count, and how their scores are joined: scikit-learn's."""

import itertools

import numpy as np
import pytest
from scipy import special
from sklearn import metrics as sk

import evengrad as eg
from evengrad import metrics

AVERAGED = [metrics.AUC, metrics.Precision, metrics.Recall, metrics.F1Score]
DECIDING = {
    metrics.Precision: sk.precision_score,
    metrics.Recall: sk.recall_score,
    metrics.F1Score: sk.f1_score,
}
LIMIT = {
    metrics.Precision: "thresholds",
    metrics.Recall: "thresholds",
    metrics.F1Score: "threshold",
}


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def over_batches(metric, y, p, w=None):
    for part in np.split(np.arange(len(y)), [1, 40, 41, 170]):
        metric.update_state(y[part], p[part], None if w is None else w[part])
    return metric.result()


def check(make, y, p, w, wanted):
    """Compare whole and by batches, for class numbers and one-hot rows."""
    for target in (y, y[:, None], np.eye(p.shape[1])[y]) if y.ndim == 1 else (y,):
        for got in (make()(target, p, w), over_batches(make(), target, p, w)):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-15)


# ---- two outputs: the score of class 1, as of one output


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_two_outputs_have_the_score_of_class_1(rng, weighted, ties):
    y = (rng.uniform(size=300) < 0.1).astype(int)
    p = special.expit(rng.normal(2.0 * y - 1.5))
    if ties:
        # Of rows at exactly ½ the first class counts, and no yes is said.
        p = np.round(p * 4) / 4
        assert (p == 0.5).any()
    w = rng.uniform(size=300) if weighted else None
    two = np.column_stack([1 - p, p])
    auc = sk.roc_auc_score(y, p, sample_weight=w)
    check(metrics.AUC, y, two, w, auc)
    check(lambda: metrics.AUC(class_id=1), y, two, w, auc)
    for kind, score in DECIDING.items():
        check(kind, y, two, w, score(y, p > 0.5, sample_weight=w))
        check(lambda k=kind: k(class_id=0), y, two, w, score(1 - y, p <= 0.5, sample_weight=w))
        said = score(y, p > 0.3, sample_weight=w)
        check(lambda k=kind: k(**{LIMIT[k]: 0.3}), y, two, w, said)
    both = sk.f1_score(y, p > 0.5, average=None, sample_weight=w)
    check(lambda: metrics.F1Score(average=None), y, two, w, both)


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize(
    ("end", "loss", "hot"),
    [
        (None, "sparse_categorical_crossentropy", False),
        ("softmax", "sparse_categorical_crossentropy", False),
        ("softmax", "categorical_crossentropy", True),
        (None, "categorical_crossentropy", True),
        ("softmax", "mse", True),
        ("sigmoid", "binary_crossentropy", True),
    ],
)
def test_noise_with_few_positives_is_no_better_than_chance(rng, end, loss, hot, eagerly):
    x = rng.normal(size=(600, 5))
    y = (rng.uniform(size=600) < 0.03).astype(int)
    model = eg.Sequential([eg.layers.Dense(2, end)], dtype="float64", seed=5)
    which = ["auc", "precision", "recall", "f1_score"]
    model.compile(eg.optimizers.SGD(0.0), loss, which, run_eagerly=eagerly)
    target = np.eye(2)[y] if hot else y
    history = model.fit(x, target, batch_size=100, verbose=0, validation_data=(x, target)).history
    output = model.predict(x)
    shares = special.softmax(output, axis=1) if end is None else output
    said = output.argmax(axis=1)
    wanted = [sk.roc_auc_score(y, shares[:, 1]), *(one(y, said) for one in DECIDING.values())]
    assert abs(wanted[0] - 0.5) < 0.15
    for name, value in zip(which, wanted, strict=True):
        assert history[name] == history[f"val_{name}"] == [pytest.approx(value, rel=1e-9)]


# ---- more outputs


AVERAGES = ["macro", "micro", "weighted", None]


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_several_classes(rng, average, weighted, ties):
    y, p = rng.integers(0, 4, 300), rng.dirichlet(np.ones(4), 300)
    p[np.arange(300), y] += 0.3
    p /= p.sum(axis=1, keepdims=True)
    if ties:
        p = np.round(p * 8) / 8
    w = rng.uniform(size=300) if weighted else None
    said, hot = p.argmax(axis=1), np.eye(4)[y]
    for kind, score in DECIDING.items():
        wanted = score(y, said, average=average, sample_weight=w, zero_division=0)
        check(lambda k=kind: k(average=average), y, p, w, wanted)
    areas = sk.roc_auc_score(hot, p, average=average, sample_weight=w)
    check(lambda: metrics.AUC(average=average), y, p, w, areas)


@pytest.mark.parametrize("average", AVERAGES)
def test_labels_that_do_not_exclude_each_other(rng, average):
    y = rng.integers(0, 2, (300, 3))
    p = np.clip(rng.normal(0.3 + 0.4 * y, 0.3), 0, 1)
    w = rng.uniform(size=300)
    # A label that nobody has, and that nobody names, scores 0 in scikit-learn's mean, too.
    y[:, 2], p[:, 2] = 0, p[:, 2] / 4
    for kind, score in DECIDING.items():
        said = score(y, p > 0.4, average=average, sample_weight=w, zero_division=0)
        check(lambda k=kind: k(average=average, **{LIMIT[k]: 0.4}), y, p, w, said)
    if average is not None:
        areas = sk.roc_auc_score(y[:, :2], p[:, :2], average=average, sample_weight=w)
        both = metrics.AUC(average=average)(y[:, :2], p[:, :2], w)
        assert both == pytest.approx(areas, rel=1e-12)


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_that_are_absent(rng, average, weighted):
    """Of five outputs, class 3 is neither there nor said, class 4 is said and not there."""
    y, p = rng.integers(0, 3, 300), rng.dirichlet(np.ones(5), 300)
    p[:, 3] = 0.0
    w = rng.uniform(size=300) if weighted else None
    said = p.argmax(axis=1)
    assert set(said) == {0, 1, 2, 4}
    for kind, score in DECIDING.items():
        wanted = score(y, said, average=average, sample_weight=w, zero_division=0)
        check(lambda k=kind: k(average=average), y, p, w, wanted)
        each = score(y, said, average=None, labels=range(5), sample_weight=w, zero_division=0)
        check(lambda k=kind: k(average=None), y, p, w, each)
    # Areas of absent classes are none: means are over the others.
    hot = np.eye(5)[y]
    if average == "micro":
        wanted = sk.roc_auc_score(
            hot.ravel(), p.ravel(), sample_weight=None if w is None else np.repeat(w, 5)
        )
    else:
        wanted = sk.roc_auc_score(hot[:, :3], p[:, :3], average=average, sample_weight=w)
    check(lambda: metrics.AUC(average=average), y, p, w, wanted)
    assert metrics.AUC(average=None)(y, p, w)[3:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("class_id", [0, 2])
def test_one_class_of_several(rng, class_id):
    y, p = rng.integers(0, 3, 300), rng.dirichlet(np.ones(3), 300)
    w = rng.uniform(size=300)
    said = p.argmax(axis=1)
    for kind, score in DECIDING.items():
        wanted = score(y, said, labels=[class_id], average=None, sample_weight=w)[0]
        check(lambda k=kind: k(class_id=class_id), y, p, w, wanted)
    area = sk.roc_auc_score(y == class_id, p[:, class_id], sample_weight=w)
    check(lambda: metrics.AUC(class_id=class_id), y, p, w, area)


def test_several_thresholds_of_several_classes(rng):
    y, p = rng.integers(0, 3, 300), rng.dirichlet(np.ones(3), 300)
    hot, limits = np.eye(3)[y], [0.2, 0.5, 0.8]
    for kind, average in itertools.product((metrics.Precision, metrics.Recall), AVERAGES):
        score = DECIDING[kind]
        wanted = [score(hot, p > t, average=average, zero_division=0) for t in limits]
        check(lambda k=kind, a=average: k(limits, average=a), y, p, None, wanted)


def test_one_output_is_one_label(rng):
    y, p = rng.integers(0, 2, 100), rng.uniform(size=100)
    for kind in AVERAGED:
        plain = kind()(y, p)
        for average in ("macro", "micro", "weighted"):
            assert kind(average=average)(y, p[:, None]) == plain
        np.testing.assert_array_equal(kind(average=None)(y, p[:, None]), [plain])


@pytest.mark.parametrize("kind", AVERAGED)
def test_more_classes_need_a_word_about_them(rng, kind):
    x, y = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    model = eg.Sequential([eg.layers.Dense(3, "softmax")], seed=1)
    message = r'got 3.*average="macro", "micro", "weighted" or None.*class_id=0 to 2'
    for metric in (kind(), eg._common.names.snake_case(kind.__name__)):
        model.compile("sgd", "sparse_categorical_crossentropy", [metric])
        for run in (model.fit, model.evaluate, model.train_on_batch):
            with pytest.raises(ValueError, match=message):
                run(x, y)
    assert model.optimizer.iterations == 0
    with pytest.raises(ValueError, match=message):
        kind()(y, np.full((30, 3), 1 / 3))
    with pytest.raises(ValueError, match="class_id: expected a class below 3"):
        kind(class_id=3)(y, np.full((30, 3), 1 / 3))
    with pytest.raises(ValueError, match="average: unknown 'mean'"):
        kind(average="mean")
    with pytest.raises(ValueError, match="average, class_id: expected one of the two"):
        kind(average="macro", class_id=1)


@pytest.mark.parametrize("rows", [[1, 1], [0, 0]])
def test_rows_of_several_labels_are_not_taken_for_classes(rng, rows, advice):
    x, y = rng.normal(size=(8, 4)), np.eye(2)[rng.integers(0, 2, 8)]
    y[5] = rows
    model = eg.Sequential([eg.layers.Dense(2, "sigmoid")], seed=1)
    made = [
        metrics.AUC(),
        metrics.Precision(),
        metrics.Recall(0.5),
        metrics.F1Score(),
        metrics.F1Score("macro"),
        metrics.F1Score(class_id=0),
        metrics.ConfusionMatrix(),
    ]
    for metric in made:
        model.compile("sgd", "binary_crossentropy", [metric])
        with pytest.raises(ValueError, match=r"y: expected rows that name one class, got .* row 5"):
            model.fit(x, y, verbose=0)
        with pytest.raises(ValueError, match="row 5"):
            metric(y, np.full((8, 2), 0.5))
        # Not so in a row that does not count.
        metric(y, np.full((8, 2), 0.5), np.arange(8) != 5)
    assert model.optimizer.iterations == 0
    fitting = [
        metrics.AUC(average="macro"),
        metrics.Precision(0.5, average="macro"),
        metrics.Recall(0.5, class_id=0),
        metrics.F1Score("weighted", threshold=0.5),
    ]
    with advice.heard():
        model.compile("sgd", "binary_crossentropy", fitting)
        model.fit(x, y, verbose=0)
    assert not advice.records


# ---- the largest of a row


def test_one_dimensional_predictions_are_one_row():
    """Keras' documented values: the first of those that tie are the largest."""
    y, p = [0, 0, 1, 1], [1.0, 1.0, 1.0, 1.0]
    assert metrics.Precision(top_k=2)(y, p) == 0.0
    assert metrics.Precision(top_k=4)(y, p) == 0.5
    assert metrics.Recall(top_k=3)(y, p) == 0.5
    y, p, w = [1, 0, 1, 0, 1], [0.9, 0.8, 0.3, 0.1, 0.7], [1.0, 2.0, 3.0, 4.0, 5.0]
    assert metrics.Precision(top_k=3)(y, p) == pytest.approx(2 / 3)
    assert metrics.Recall(top_k=3)(y, p, w) == pytest.approx(6 / 9)
    # Rows of other lengths follow.
    metric = metrics.Precision(top_k=2)
    metric(y, p)
    assert metric([1, 1], [0.1, 0.2]) == pytest.approx(3 / 4)
    assert metrics.Precision(0.75, top_k=3)(y, p) == 0.5


@pytest.mark.parametrize("kind", [metrics.Precision, metrics.Recall])
def test_the_largest_of_one_output_is_an_error(rng, kind):
    model = eg.Sequential([eg.layers.Dense(1, "sigmoid")], seed=1)
    model.compile("sgd", "binary_crossentropy", [kind(top_k=1)])
    with pytest.raises(ValueError, match="top_k: expected rows of several predictions"):
        model.fit(rng.normal(size=(8, 2)), np.ones(8), verbose=0)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("kind", [metrics.Precision, metrics.Recall])
@pytest.mark.parametrize("average", AVERAGES)
def test_the_largest_with_ties(rng, kind, average):
    y = rng.integers(0, 2, (60, 50))
    p = np.round(rng.uniform(size=(60, 50)) * 5) / 5
    for k in (1, 7, 50):
        among = np.zeros_like(p)
        np.put_along_axis(among, np.argsort(-p, axis=1, kind="stable")[:, :k], 1, axis=1)
        wanted = DECIDING[kind](y, among, average=average, zero_division=0)
        np.testing.assert_allclose(kind(top_k=k, average=average)(y, p), wanted, rtol=1e-12)


def test_a_threshold_that_changes_holds_from_then_on(rng):
    x, y = rng.normal(size=(90, 4)), rng.integers(0, 2, 90)
    model = eg.Sequential([eg.layers.Dense(1, "sigmoid")], dtype="float64", seed=1)
    precision, f1, area = metrics.Precision(0.5), metrics.F1Score(threshold=0.5), metrics.AUC(5)
    model.compile(eg.optimizers.SGD(0.0), "binary_crossentropy", [precision, f1, area])
    p = model.predict(x)[:, 0]
    for limit, number in ((0.5, 5), (0.6, 9)):
        precision.thresholds = f1.threshold = limit
        area.num_thresholds = number
        found = model.evaluate(x, y, return_dict=True)
        assert found["precision"] == sk.precision_score(y, p > limit)
        assert found["f1_score"] == sk.f1_score(y, p > limit)
        assert found["auc"] == metrics.AUC(number)(y, p)
