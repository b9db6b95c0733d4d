"""Metrics against values that Keras 3.15.1 prints, and against their meaning."""

import pickle

import numpy as np
import pytest
from metric_cases import NAMES, made

import evengrad as eg
from evengrad import metrics

Y = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
P = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.01, 0.02, 0.25, 0.26, 0.26])
# Labels that do not exclude each other.
Y2 = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 0]])
P2 = np.array([[0.2, 0.4], [0.5, 0.6], [0.3, 0.8], [0.9, 0.7], [0.6, 0.1]])
OF_ROWS, OF_OUTPUTS = np.arange(1.0, 6.0), np.arange(1.0, 11.0).reshape(5, 2)


@pytest.mark.parametrize("grid", [None, 200])
@pytest.mark.parametrize(
    ("name", "bound", "expected"),
    [
        ("SensitivityAtSpecificity", 0.4, 0.6),
        ("SensitivityAtSpecificity", 0.8, 0.0),
        ("SpecificityAtSensitivity", 0.4, 0.6),
        ("SpecificityAtSensitivity", 0.8, 0.2),
        ("PrecisionAtRecall", 0.8, 0.555556),
        ("RecallAtPrecision", 0.8, 0.0),
    ],
)
def test_operating_points(name, bound, expected, grid):
    made = getattr(metrics, name)(bound, grid)
    assert made(Y, P) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize("method", ["interpolation", "minoring", "majoring"])
def test_areas_by_other_sums(curve, method):
    expected = {
        ("interpolation", "PR"): 0.432432,
        ("minoring", "PR"): 0.285714,
        ("majoring", "PR"): 0.531111,
    }
    made = metrics.AUC(200, curve, method)
    assert made(Y, P) == pytest.approx(expected.get((method, curve), 0.44), abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"multi_label": True}, 0.75),
        ({"multi_label": True, "label_weights": [0.75, 0.25], "num_labels": 2}, 0.791667),
        ({"average": "macro", "label_weights": [0.75, 0.25]}, 0.791667),
        ({"average": "micro", "label_weights": [0.75, 0.25]}, 0.79798),
        ({"average": "micro"}, 0.76),
    ],
)
def test_areas_of_several_labels(settings, expected):
    assert metrics.AUC(**settings)(Y2, P2) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "plain", "at_two", "by_row", "by_output"),
    [
        ("TruePositives", 4.0, [5.0, 4.0], 15.0, 28.0),
        ("TrueNegatives", 4.0, [2.0, 4.0], 9.0, 16.0),
        ("FalsePositives", 1.0, [3.0, 1.0], 3.0, 6.0),
        ("FalseNegatives", 1.0, [0.0, 1.0], 3.0, 5.0),
    ],
)
def test_counts(name, plain, at_two, by_row, by_output):
    make = getattr(metrics, name)
    assert make()(Y2, P2) == plain
    assert make(thresholds=[0.2, 0.5])(Y2, P2).tolist() == at_two
    assert make()(Y2, P2, OF_ROWS) == by_row
    assert make()(Y2, P2, OF_OUTPUTS) == by_output
    # Class numbers stand for one-hot rows.
    labels, shares = np.array([0, 2, 1]), np.eye(3)[[0, 2, 2]]
    assert make()(labels, shares) == make()(np.eye(3)[labels], shares)


ROWS = np.eye(3)[[1, 2, 0, 1]]
SHARES = np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4], [0.5, 0.25, 0.25], [0.6, 0.3, 0.1]])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"average": None, "beta": 2.0}, [0.833333, 0.555556, 1.0]),
        ({"average": "macro", "beta": 0.5}, 0.796296),
        ({"average": "micro", "beta": 2.0, "threshold": 0.4}, 0.526316),
    ],
)
def test_f_beta(settings, expected):
    # Of two that tie in the second row neither is the largest.
    np.testing.assert_allclose(metrics.FBetaScore(**settings)(ROWS, SHARES), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.BinaryCrossentropy(), 0.555083),
        (metrics.CategoricalCrossentropy(), 0.908459),
        (metrics.KLDivergence(), 0.908459),
        (metrics.CategoricalHinge(convention="keras"), 0.975),
        (metrics.Hinge(), 1.053333),
    ],
)
def test_weighted_means_of_losses(metric, expected):
    assert metric(ROWS, SHARES, np.arange(1.0, 5.0)) == pytest.approx(expected, rel=1e-5)


AMOUNTS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[1.5, 2.0, 2.0], [4.0, 7.0, 5.0]])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.LogCoshError(), 0.485854),
        (metrics.CosineSimilarity(), 0.96976),
        (metrics.MeanSquaredLogarithmicError(), 0.037677),
        (metrics.Poisson(), -2.097106),
        (metrics.MeanAbsolutePercentageError(), 21.111111),
        (metrics.MeanMetricWrapper(eg.losses.log_cosh), 0.485854),
        (metrics.MeanMetricWrapper(eg.losses.LogCosh()), 0.485854),
    ],
)
def test_weighted_means_of_amounts(metric, expected):
    assert metric(*AMOUNTS, [1.0, 3.0]) == pytest.approx(expected, rel=3e-5)


@pytest.mark.parametrize(
    ("name", "target", "settings", "expected"),
    [
        ("binary_accuracy", ROWS, {}, [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 0, 1]]),
        ("categorical_accuracy", ROWS, {}, [1, 1, 1, 0]),
        ("sparse_categorical_accuracy", ROWS.argmax(1), {}, [1, 1, 1, 0]),
        ("top_k_categorical_accuracy", ROWS, {"k": 2}, [1, 1, 1, 1]),
        ("sparse_top_k_categorical_accuracy", ROWS.argmax(1), {"k": 1}, [1, 1, 1, 0]),
    ],
)
def test_accuracies_are_functions_too(name, target, settings, expected):
    function = getattr(metrics, name)
    assert function(target, SHARES, **settings).tolist() == expected
    kind = type(metrics.get(function))
    assert kind(**settings)(target, SHARES) == pytest.approx(np.mean(expected))
    assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301 - made here
    with pytest.raises(ValueError, match=f"{name}: expected"):
        function(target[:2], SHARES, **settings)


def test_means_and_sums_of_values():
    values = AMOUNTS[0]
    assert metrics.Mean()(values) == 3.5
    assert metrics.Mean()(values, [1.0, 3.0]) == metrics.Mean()(values, [[1.0], [3.0]]) == 4.25
    assert metrics.Sum()(values, [1.0, 3.0]) == 51.0
    assert metrics.Mean()(values, values) == pytest.approx(4.333333)
    assert metrics.Sum()(values, 2.0) == 42.0
    mean = metrics.Mean("loss")
    for value, weight in ((1.0, 3.0), (5.0, 1.0), (np.nan, 0.0)):
        mean.update_state(value, weight)
    assert mean.result() == 2.0
    mean.reset_state()
    assert mean.result() == 0.0
    with pytest.raises(ValueError, match=r"mean: sample_weight: expected a weight for each value"):
        metrics.Mean()(values, [1.0, 2.0, 3.0])


def test_keras_dtype_has_no_effect():
    for name in [*NAMES, "Mean", "Sum"]:
        assert repr(made(name, dtype="float16")) == repr(made(name))

    class Own(metrics.MeanMetric):
        def __init__(self, name=None, dtype=None):
            super().__init__(name)
            self.dtype = dtype

    assert Own(dtype="float32").dtype == "float32"


def test_values_are_gathered_in_a_captured_step():
    mean, total = metrics.Mean(), metrics.Sum()

    @eg.compile
    def step(x):
        mean.update_state(x)
        total.update_state(x, x)
        return x.sum()

    for start in range(3):
        step(eg.tensor([1.0 + start, 3.0 + start]))
    assert mean.result() == 3.0
    assert total.result() == 10.0 + 20.0 + 34.0


def test_a_model_has_no_metric_of_values():
    model = eg.Sequential([eg.layers.Dense(1)])
    with pytest.raises(TypeError, match="mean takes values, not targets and predictions"):
        model.compile("sgd", "mse", [metrics.Mean()])
    with pytest.raises(ValueError, match="unknown name 'mean'"):
        model.compile("sgd", "mse", ["mean"])


def test_names_of_weighted_metrics_are_those_of_keras():
    x, y = np.ones((8, 2)), np.ones((8, 1))
    model = eg.Sequential([eg.layers.Dense(1)])
    asked = ["mae", "mae", metrics.MeanSquaredError()]
    model.compile("sgd", "mse", metrics=["mae", "mae"], weighted_metrics=asked)
    assert [*model.metric_directions()] == [*model.fit(x, y, verbose=0).history]
    names = ["loss", "mae", "mae_1", "weighted_mae", "weighted_mae_1", "mean_squared_error"]
    assert [*model.history.history] == names
    inputs = eg.Input((2,))
    ends = [eg.layers.Dense(1, name=name)(inputs) for name in "ab"]
    model = eg.Model(inputs, ends)
    model.compile("sgd", "mse", metrics=[["mae"]] * 2, weighted_metrics=[["mae"]] * 2)
    history = model.fit(x, [y, y], verbose=0).history
    assert sorted(history) == [
        *("a_loss", "a_mae", "a_weighted_mae", "b_loss", "b_mae", "b_weighted_mae", "loss")
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.AUC(summation_method="middle"), "summation_method: unknown 'middle'"),
        (lambda: metrics.AUC(multi_label=True, average="micro"), "multi_label: expected neither"),
        (lambda: metrics.AUC(label_weights=[1.0]), "label_weights: expected multi_label=True"),
        (lambda: metrics.AUC(multi_label=True, num_labels=3)(Y2, P2), "num_labels: expected 2"),
        (lambda: metrics.PrecisionAtRecall(1.5), r"recall: expected .*1"),
        (lambda: metrics.PrecisionAtRecall(0.5)(Y, 10 * P), r"scores in \[0, 1\].*end the model"),
        (lambda: metrics.FBetaScore(beta=0.0), "beta: expected"),
        (lambda: metrics.TruePositives(thresholds=[]), "thresholds: expected at least one"),
        (lambda: metrics.BinaryCrossentropy()([1.0], [1.5]), "probabilities, got 1.5"),
        (lambda: metrics.Poisson()([[-1.0]], [[1.5]]), "y_true: expected counts of 0 or more"),
    ],
)
def test_errors_say_what_was_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_losses_given_as_metrics_stand_for_the_metrics_of_these():
    assert type(metrics.get(eg.losses.mse)) is metrics.MeanSquaredError
    assert type(metrics.get(eg.losses.kl_divergence)) is metrics.KLDivergence
    # The metric of that name is the cosine itself, which goes up.
    wrapped = metrics.get(eg.losses.cosine_similarity)
    assert type(wrapped) is metrics.MeanMetricWrapper
    assert (wrapped.name, wrapped.direction) == ("cosine_similarity", "min")
    for name in ("bce", "kld", "mae", "mape", "mse", "msle", "rmse"):
        assert metrics.get(name).name == name


def test_the_entropy_of_a_model_that_gives_logits_is_its_loss():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    for end in (None, "softmax"):
        model = eg.Sequential([eg.layers.Dense(3, end)], dtype="float64", seed=1)
        loss = "sparse_categorical_crossentropy"
        model.compile("sgd", loss, [loss])
        value, tracked = model.evaluate(x, y)
        assert tracked == pytest.approx(value, rel=1e-9)
    told = metrics.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, [told])
    with pytest.raises(ValueError, match=r"from_logits=True, but .* makes probabilities"):
        model.evaluate(x, y)
