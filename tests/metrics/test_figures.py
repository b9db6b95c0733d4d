"""Metrics against scikit-learn: whole and batch by batch, weighted, in training."""

import itertools
import warnings

import numpy as np
import pytest
from metric_cases import NAMES, OF_FUNCTIONS, POINTS, data_for, made
from sklearn import metrics as sk

import evengrad as eg
from evengrad import metrics
from evengrad._common.names import snake_case

# No name alone stands for them.
NEEDY = ("Accuracy", *OF_FUNCTIONS, *POINTS)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


@pytest.fixture
def binary(rng):
    """Return labels, scores that follow them, and weights."""
    y = rng.integers(0, 2, 300)
    p = np.clip(rng.normal(0.3 + 0.4 * y, 0.25), 0, 1)
    return y, p, rng.uniform(size=300)


@pytest.fixture
def classes(rng):
    """Return labels of four classes, scores, weights; one class is never right."""
    y = rng.integers(0, 4, 300)
    p = rng.dirichlet(np.ones(4), 300)
    p[np.arange(300), y] += 0.4 * (y != 3)
    return y, p, rng.uniform(size=300)


def over_batches(metric, y, p, weights=None):
    """Gather batches of different sizes, one of them of one row."""
    for part in np.split(np.arange(len(y)), [1, 40, 41, 170]):
        metric.update_state(y[part], p[part], None if weights is None else weights[part])
    return metric.result()


def check(make, y, p, weights, expected):
    """Compare with scikit-learn, plain and weighted; whole and by batches."""
    for w in (None, weights):
        wanted = expected(w)
        np.testing.assert_allclose(make()(y, p, w), wanted, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(over_batches(make(), y, p, w), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_precision_and_recall(binary, threshold):
    y, p, w = binary
    said = p > threshold
    check(
        lambda: metrics.Precision(threshold),
        y,
        p,
        w,
        lambda w: sk.precision_score(y, said, sample_weight=w),
    )
    check(
        lambda: metrics.Recall(threshold),
        y,
        p,
        w,
        lambda w: sk.recall_score(y, said, sample_weight=w),
    )


def test_precision_and_recall_at_several_thresholds(binary):
    y, p, _ = binary
    limits = [0.1, 0.5, 0.95, 2.0]
    precision, recall = metrics.Precision(limits)(y, p), metrics.Recall(limits)(y, p)
    for i, limit in enumerate(limits):
        assert precision[i] == pytest.approx(sk.precision_score(y, p > limit, zero_division=0))
        assert recall[i] == pytest.approx(sk.recall_score(y, p > limit))


def test_precision_and_recall_of_one_class_and_of_the_largest(classes):
    y, p, w = classes
    hot = np.eye(4)[y]
    for k in (1, 2, 3):
        among = np.zeros_like(p)
        np.put_along_axis(among, np.argsort(-p, axis=1)[:, :k], 1, axis=1)
        for kind, score in (
            (metrics.Precision, sk.precision_score),
            (metrics.Recall, sk.recall_score),
        ):
            for target in (y, y[:, None], hot):
                check(
                    lambda kind=kind, k=k: kind(top_k=k),
                    target,
                    p,
                    w,
                    lambda w, s=score, a=among: s(hot, a, average="micro", sample_weight=w),
                )
            check(
                lambda kind=kind, k=k: kind(top_k=k, class_id=2),
                y,
                p,
                w,
                lambda w, s=score, a=among: s(hot[:, 2], a[:, 2], sample_weight=w),
            )
            check(
                lambda kind=kind: kind(0.3, class_id=1),
                y,
                p,
                w,
                lambda w, s=score: s(hot[:, 1], p[:, 1] > 0.3, sample_weight=w),
            )


@pytest.mark.parametrize("average", [None, "macro", "micro", "weighted"])
def test_f1(classes, binary, average):
    y, p, w = classes
    said = p.argmax(axis=1)
    for target in (y, np.eye(4)[y]):
        check(
            lambda: metrics.F1Score(average),
            target,
            p,
            w,
            lambda w: sk.f1_score(y, said, average=average, sample_weight=w),
        )
    several = (p > 0.3).astype(int)
    truth = (p[::-1] > 0.4).astype(int)
    check(
        lambda: metrics.F1Score(average, threshold=0.3),
        truth,
        p,
        w,
        lambda w: sk.f1_score(truth, several, average=average, sample_weight=w),
    )
    y, p, w = binary
    if average == "micro":
        got = metrics.F1Score("micro")(y, p, w)
        assert got == pytest.approx(sk.f1_score(y, p > 0.5, sample_weight=w))


@pytest.mark.parametrize("normalize", [None, "true", "pred", "all"])
def test_confusion_matrix(classes, binary, normalize):
    y, p, w = classes
    for target in (y, np.eye(4)[y]):
        check(
            lambda: metrics.ConfusionMatrix(normalize),
            target,
            p,
            w,
            lambda w: sk.confusion_matrix(
                y, p.argmax(axis=1), normalize=normalize, sample_weight=w
            ),
        )
    y, p, w = binary
    check(
        lambda: metrics.ConfusionMatrix(normalize),
        y,
        p,
        w,
        lambda w: sk.confusion_matrix(y, p > 0.5, normalize=normalize, sample_weight=w),
    )


def test_roc_area(binary, rng):
    y, p, w = binary
    # Scores in the middle of the intervals are told apart: there the area is exact.
    coarse = (np.floor(p * 198) + 0.5) / 199
    for make in (metrics.AUC, lambda: metrics.AUC(200)):
        check(make, y, coarse, w, lambda w: sk.roc_auc_score(y, coarse, sample_weight=w))
    check(metrics.AUC, y, p, w, lambda w: sk.roc_auc_score(y, p, sample_weight=w))
    assert metrics.AUC(200)(y, p) == pytest.approx(sk.roc_auc_score(y, p), abs=2e-4)
    assert metrics.AUC(20_000)(y, p) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-6)
    logits = rng.normal(y * 1.0)
    got = metrics.AUC(20_000, from_logits=True)(y, logits)
    assert got == pytest.approx(sk.roc_auc_score(y, logits), abs=5e-5)
    got = metrics.AUC(from_logits=True)(y, logits)
    assert got == pytest.approx(sk.roc_auc_score(y, logits), rel=1e-12)


def test_roc_area_by_its_meaning(binary):
    y, p, _ = binary
    coarse = np.round(p * 9) / 10 + 0.05
    positive, negative = coarse[y == 1][:, None], coarse[y == 0]
    chance = ((positive > negative) + 0.5 * (positive == negative)).mean()
    got = metrics.AUC(thresholds=np.arange(1, 11) / 10)(y, coarse)
    assert got == pytest.approx(chance, rel=1e-12)


def test_area_at_the_ends():
    perfect = np.array([0.0, 0.0, 1.0, 1.0])
    for curve in ("ROC", "PR"):
        assert metrics.AUC(curve=curve)([0, 0, 1, 1], perfect) == pytest.approx(1.0)
    assert metrics.AUC()([1, 1, 0, 0], perfect) == pytest.approx(0.0)
    assert metrics.AUC()([0, 1, 0, 1], np.full(4, 0.3)) == pytest.approx(0.5)
    # Scores without information: precision is the share of positives everywhere.
    assert metrics.AUC(curve="PR")([0, 1, 0, 0], np.full(4, 0.3)) == pytest.approx(0.25)
    assert metrics.AUC()([1, 1], [0.5, 0.7]) == 0.0
    assert metrics.AUC(curve="PR")([0, 0], [0.5, 0.7]) == 0.0


def test_precision_recall_area_is_the_integral(binary):
    """Against the curve drawn point by point: one predicted output more at a time."""
    y, p, _ = binary
    levels = np.arange(1, 10) / 10
    got = metrics.AUC(curve="PR", thresholds=levels)(y, p)
    limits = [1.1, *levels[::-1], -0.1]
    area, positives = 0.0, y.sum()
    for upper, lower in itertools.pairwise(limits):
        t0, t1 = (y * (p > upper)).sum(), (y * (p > lower)).sum()
        n0, n1 = (p > upper).sum(), (p > lower).sum()
        share = np.linspace(0, 1, 200_001)
        # Nothing predicted yet: precision is that of the first step.
        t, n = t0 + share * (t1 - t0), n0 + share * (n1 - n0)
        precision = np.divide(t, n, out=np.full_like(t, (t1 - t0) / max(1, n1 - n0)), where=n > 0)
        area += np.trapezoid(precision, t) / positives
    assert got == pytest.approx(area, rel=1e-6)


@pytest.mark.parametrize("aggregation", ["uniform_average", "variance_weighted_average", None])
def test_r2(rng, aggregation):
    y = rng.normal(size=(300, 3)) * [1, 5, 0.1] + [0, 100, -3]
    p, w = y + rng.normal(size=y.shape) * 0.3, rng.uniform(size=300)
    names = {"variance_weighted_average": "variance_weighted", None: "raw_values"}
    multi = names.get(aggregation, aggregation)
    check(
        lambda: metrics.R2Score(aggregation),
        y,
        p,
        w,
        lambda w: sk.r2_score(y, p, multioutput=multi, sample_weight=w),
    )
    flat = metrics.R2Score()(y[:, 0], p[:, 0])
    assert flat == pytest.approx(sk.r2_score(y[:, 0], p[:, 0]), rel=1e-12)


def test_r2_keeps_its_digits_far_from_0(rng):
    y = 1e8 + rng.normal(size=(300, 1))
    p = y + rng.normal(size=y.shape) * 0.5
    got = over_batches(metrics.R2Score(), y, p)
    assert got == pytest.approx(sk.r2_score(y, p), rel=1e-9)


def test_r2_without_variance_and_adjusted(rng):
    for p in ([2.0, 2.0], [2.0, 3.0]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert metrics.R2Score()([2.0, 2.0], p) == sk.r2_score([2.0, 2.0], p)
    y = rng.normal(size=(50, 1))
    p = y + rng.normal(size=y.shape)
    plain = sk.r2_score(y, p)
    assert metrics.R2Score(num_regressors=4)(y, p) == pytest.approx(1 - (1 - plain) * 49 / 45)
    # Rows are counted, whatever their weights add up to; those of weight 0 are not there.
    for scale in (1.0, 1e-3, 7.0):
        w = scale * rng.uniform(0.5, 1.0, size=50)
        w[:8] = 0.0
        plain = sk.r2_score(y, p, sample_weight=w)
        wanted = pytest.approx(1 - (1 - plain) * 41 / 37)
        assert metrics.R2Score(num_regressors=4)(y, p, w) == wanted
        assert over_batches(metrics.R2Score(num_regressors=4), y, p, w) == wanted


def test_regression_figures(rng):
    y, p, w = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)), rng.uniform(size=300)
    for name, score in (
        ("MeanSquaredError", sk.mean_squared_error),
        ("MeanAbsoluteError", sk.mean_absolute_error),
    ):
        check(getattr(metrics, name), y, p, w, lambda w, s=score: s(y, p, sample_weight=w))
    check(
        metrics.RootMeanSquaredError,
        y,
        p,
        w,
        lambda w: np.sqrt(sk.mean_squared_error(y, p, sample_weight=w)),
    )
    y = y + np.sign(y)
    check(
        metrics.MeanAbsolutePercentageError,
        y,
        p,
        w,
        lambda w: 100 * sk.mean_absolute_percentage_error(y, p, sample_weight=w),
    )
    assert metrics.MeanAbsolutePercentageError()([[0.0]], np.array([[1e-7]])) == pytest.approx(100)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_agrees_with_scikit_learn(classes, k):
    y, p, w = classes
    check(
        lambda: metrics.SparseTopKCategoricalAccuracy(k),
        y,
        p,
        w,
        lambda w: sk.top_k_accuracy_score(y, p, k=k, sample_weight=w),
    )


def test_top_k_with_scores_that_are_not_finite():
    inf, nan = float("inf"), float("nan")
    top = metrics.SparseTopKCategoricalAccuracy(2)
    scores = np.array([[1.0, 2.0, -inf], [inf, 2.0, 0.0], [1.0, nan, nan]])
    assert top(np.array([0, 0]), scores[:2]) == 1.0
    assert metrics.SparseTopKCategoricalAccuracy(2)(np.array([2]), scores[:1]) == 0.0
    assert metrics.SparseTopKCategoricalAccuracy(2)(np.array([1]), scores[2:]) == 0.0


@pytest.mark.parametrize("name", ["SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy"])
def test_labels_are_not_broadcast(name, classes):
    y, p, _ = classes
    make = getattr(metrics, name)
    options = {"k": 1} if "TopK" in name else {}
    assert make(**options)(y[:, None], p) == make(**options)(y, p) == np.mean(p.argmax(1) == y)
    with pytest.raises(ValueError, match="expected class numbers of shape"):
        make()(np.eye(4)[y], p)


# ---- what holds for every one


@pytest.mark.parametrize("name", NAMES)
def test_in_training_captured_and_in_python(name, rng):
    y, end, units, loss = data_for(name, rng)
    x, w = rng.normal(size=(96, 4)), rng.uniform(size=96)
    found = []
    for eagerly in (False, True):
        model = eg.Sequential([eg.layers.Dense(units, end)], dtype="float64", seed=3)
        options = {
            "metrics": [snake_case(name) if name not in NEEDY else made(name)],
            "weighted_metrics": [made(name)],
        }
        model.compile(eg.optimizers.SGD(0.0), loss, run_eagerly=eagerly, **options)
        # With a rate of 0 the model stays, so that each epoch has the figure of all its batches.
        history = model.fit(
            x, y, batch_size=20, epochs=2, sample_weight=w, verbose=0, validation_data=(x, y, w)
        )
        plain, weighted = list(history.history)[1:3]
        output = model.predict(x)
        for key, weights in ((plain, None), (weighted, w)):
            wanted = made(name)(y, output, weights)
            for column in (key, f"val_{key}"):
                for value in history.history[column]:
                    np.testing.assert_allclose(value, wanted, rtol=1e-9, atol=1e-12)
        figures = model.evaluate(x, y, sample_weight=w, return_dict=True)
        np.testing.assert_allclose(figures[weighted], wanted, rtol=1e-9, atol=1e-12)
        found.append(history.history)
    for key in found[0]:
        np.testing.assert_array_equal(np.array(found[0][key]), np.array(found[1][key]))


@pytest.mark.parametrize("name", NAMES)
def test_reset_and_masks(name, rng):
    y, _, units, _ = data_for(name, rng)
    p = rng.uniform(0.05, 0.95, (96, units))
    metric = made(name)
    first = metric(y, p)
    metric.reset_state()
    np.testing.assert_array_equal(metric(y, p), first)
    weights = (np.arange(96) % 3 > 0).astype(float)
    dirty = np.where(weights[:, None] > 0, p, np.nan)
    keep = weights > 0
    got = made(name)(y, dirty, weights)
    wanted = made(name)(y[keep], p[keep])
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_float32(name, rng):
    y, _, units, _ = data_for(name, rng)
    p = rng.uniform(0.05, 0.95, (96, units)).astype("float32")
    single = made(name)(y, eg.tensor(p))
    double = made(name)(y, p.astype("float64"))
    np.testing.assert_allclose(single, double, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_FUNCTIONS])
def test_pasted_from_repr(name):
    metric = made(name)
    assert repr(eval(repr(metric), vars(metrics))) == repr(metric)  # noqa: S307 - our own words


def test_arrays_in_logs(rng, tmp_path, capsys):
    x, y = rng.normal(size=(60, 4)).astype("float32"), rng.integers(0, 3, 60)
    model = eg.Sequential([eg.layers.Dense(3, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy", ["confusion_matrix", "accuracy"])
    log = eg.callbacks.CSVLogger(tmp_path / "log.csv")
    history = model.fit(x, y, epochs=2, verbose=2, callbacks=[log], validation_data=(x, y))
    assert "accuracy" in capsys.readouterr().out
    matrices = history.history["val_confusion_matrix"]
    assert [matrix.sum() for matrix in matrices] == [60, 60]
    _, matrix, accuracy = model.evaluate(x, y)
    expected = sk.confusion_matrix(y, model.predict(x).argmax(axis=1))
    np.testing.assert_array_equal(matrix, expected)
    assert accuracy == pytest.approx(np.trace(expected) / 60)
    assert "confusion" not in repr(history)
    history.to_csv(tmp_path / "history.csv")
    for file in ("log.csv", "history.csv"):
        lines = (tmp_path / file).read_text().strip().splitlines()
        assert len(lines) == 3, lines
    with pytest.raises(ValueError, match="no 'confusion_matrix' in the history"):
        history.plot(["confusion_matrix"])
    stop = eg.callbacks.EarlyStopping("confusion_matrix", mode="max")
    with pytest.raises(TypeError, match="expected a number to watch"):
        model.fit(x, y, verbose=0, callbacks=[stop])


def test_early_stopping_watches_the_new_figures(rng):
    x, y = rng.normal(size=(60, 4)).astype("float32"), rng.integers(0, 2, 60)
    model = eg.Sequential([eg.layers.Dense(1, "sigmoid")], seed=1)
    model.compile("sgd", "binary_crossentropy", ["auc", eg.metrics.F1Score("macro")])
    stop = eg.callbacks.EarlyStopping("f1_score", patience=2)
    history = model.fit(x, y, epochs=3, verbose=0, callbacks=[stop])
    assert set(history.history) == {"loss", "auc", "f1_score"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.AUC(1), "num_thresholds: expected 2 or more"),
        (lambda: metrics.AUC(curve="roc"), "curve"),
        (lambda: metrics.AUC(thresholds=[1.5]), r"thresholds: expected a number in \[0, 1\]"),
        (lambda: metrics.Precision(top_k=0), "top_k: expected 1 or more"),
        (lambda: metrics.Precision([]), "thresholds"),
        (lambda: metrics.F1Score("mean"), "average"),
        (lambda: metrics.ConfusionMatrix("rows"), "normalize"),
        (lambda: metrics.R2Score("mean"), "class_aggregation"),
        (lambda: metrics.Recall(class_id=3)([0, 1], [[0.1, 0.9]] * 2), "class_id"),
        (lambda: metrics.AUC()([[0, 1]], [0.5, 0.5]), "shape of the predictions"),
        (lambda: metrics.R2Score()(np.zeros(3), np.zeros((3, 2))), "shape of the predictions"),
        (lambda: metrics.MeanSquaredError()(np.zeros(3), np.zeros((3, 3))), "shape of the pred"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["BinaryAccuracy", "MeanAbsoluteError", "R2Score"])
def test_a_single_column_may_be_left_out_of_the_targets(name, binary):
    y, p, w = binary
    make = getattr(metrics, name)
    assert make()(y, p[:, None], w) == pytest.approx(make()(y, p, w), rel=1e-12)


def test_another_number_of_outputs_needs_another_metric(classes):
    y, p, _ = classes
    metric = metrics.ConfusionMatrix()
    metric(y, p)
    with pytest.raises(ValueError, match="with 4 outputs, as before, got 5"):
        metric(y, np.zeros((300, 5)))
