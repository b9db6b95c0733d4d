"""Every metric that a model takes, found by looking: how it is made, and what it is given."""

import numpy as np

import evengrad as eg
from evengrad import metrics

# Bases, and what takes values in place of targets and predictions.
OTHERS = (metrics.Metric, metrics.MeanMetric, metrics.Mean, metrics.Sum)
# Other names of a class are left out.
NAMES = sorted(
    name
    for name, thing in vars(metrics).items()
    if isinstance(thing, type) and issubclass(thing, metrics.Metric) and thing.__name__ == name
    if thing not in OTHERS
)
POINTS = {
    "PrecisionAtRecall": "recall",
    "RecallAtPrecision": "precision",
    "SensitivityAtSpecificity": "specificity",
    "SpecificityAtSensitivity": "sensitivity",
}
# Their results for more than two classes are joined.
AVERAGED = ("AUC", "F1Score", "FBetaScore", "Precision", "Recall", *POINTS)
COUNTS = ("FalseNegatives", "FalsePositives", "TrueNegatives", "TruePositives")
BINARY = ("BinaryAccuracy", "BinaryCrossentropy", *AVERAGED, *COUNTS)


def squares(y_true, y_pred, sample_weight=None):
    """Return the mean of squares, weighted as NumPy does."""
    return np.average(((y_true - y_pred) ** 2).mean(axis=-1), weights=sample_weight)


# Made of a function.
OF_FUNCTIONS = {
    "EpochMetric": lambda: {"function": squares, "max_rows": 300},
    "MeanMetricWrapper": lambda: {"fn": eg.losses.huber},
}


def made(name, **given):
    """Return a metric with its defaults, but for what is given."""
    needed = OF_FUNCTIONS[name]() if name in OF_FUNCTIONS else {}
    if name in POINTS:
        needed = {POINTS[name]: 0.6}
    return getattr(metrics, name)(**needed, **given)


def data_for(name, rng, rows=96):
    """Return targets and the end of a model for a metric: its activation, units and loss."""
    labels = rng.integers(0, 3, rows)
    numbers = rng.normal(size=(rows, 3)) + 5
    by_kind = {
        "binary": (labels % 2, "sigmoid", 1, "binary_crossentropy"),
        "labels": (labels, "softmax", 3, "sparse_categorical_crossentropy"),
        "rows": (np.eye(3)[labels], "softmax", 3, "categorical_crossentropy"),
        "signs": (2.0 * (labels % 2) - 1.0, None, 1, "hinge"),
        "shares": (rng.dirichlet(np.ones(3), rows), "softmax", 3, "kl_divergence"),
        "counts": (np.round(numbers.clip(0)), "softplus", 3, "poisson"),
        "numbers": (numbers, None, 3, "mse"),
    }
    kinds = {"ConfusionMatrix": "labels", "KLDivergence": "shares", "Poisson": "counts"}
    kind = "binary" if name in BINARY else kinds.get(name, "numbers")
    for word, other in (("Hinge", "signs"), ("Categorical", "rows"), ("Sparse", "labels")):
        if word in name:
            kind = other
    return by_kind[kind]
