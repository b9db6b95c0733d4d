"""Metrics against NumPy, alone and inside training."""

# ruff: noqa: ARG001, ARG002 - functions have the signatures that they are called with

import copy

import numpy as np
import pytest
from scipy import special

import evengrad as eg


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def over_batches(metric, y, p, weights=None):
    for part in np.array_split(np.arange(len(y)), 4):
        metric.update_state(y[part], p[part], None if weights is None else weights[part])
    return metric.result()


def test_accuracies(rng):
    scores, labels = rng.normal(size=(101, 6)), rng.integers(0, 6, 101)
    right = (scores.argmax(axis=1) == labels).mean()
    assert over_batches(eg.metrics.SparseCategoricalAccuracy(), labels, scores) == right
    assert over_batches(eg.metrics.CategoricalAccuracy(), np.eye(6)[labels], scores) == right
    probabilities, truth = rng.uniform(size=(101, 2)), rng.integers(0, 2, (101, 2))
    for threshold in (0.5, 0.8):
        got = over_batches(eg.metrics.BinaryAccuracy(threshold=threshold), truth, probabilities)
        assert got == pytest.approx(((probabilities > threshold) == truth).mean())


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_top_k(rng, k):
    scores, labels = rng.normal(size=(101, 6)), rng.integers(0, 6, 101)
    largest = np.argsort(-scores, axis=1)[:, :k]
    expected = (largest == labels[:, None]).any(axis=1).mean()
    sparse = eg.metrics.SparseTopKCategoricalAccuracy(k=k)
    assert over_batches(sparse, labels, scores) == pytest.approx(expected)
    dense = eg.metrics.TopKCategoricalAccuracy(k=k)
    assert over_batches(dense, np.eye(6)[labels], scores) == pytest.approx(expected)


def test_regression(rng):
    y, p, w = rng.normal(size=(101, 2)), rng.normal(size=(101, 2)), rng.uniform(size=101)
    each = ((y - p) ** 2).mean(axis=1)
    assert over_batches(eg.metrics.MeanSquaredError(), y, p) == pytest.approx(each.mean())
    weighted = over_batches(eg.metrics.MeanSquaredError(), y, p, w)
    assert weighted == pytest.approx((each * w).sum() / w.sum())
    root = over_batches(eg.metrics.RootMeanSquaredError(), y, p)
    assert root == pytest.approx(np.sqrt(each.mean()))
    absolute = over_batches(eg.metrics.MeanAbsoluteError(), y, p)
    assert absolute == pytest.approx(np.abs(y - p).mean())


def test_reset(rng):
    metric = eg.metrics.MeanSquaredError()
    assert metric.result() == 0.0
    metric(rng.normal(size=(3, 1)), rng.normal(size=(3, 1)))
    metric.reset_state()
    assert metric.result() == 0.0
    assert metric(np.ones((3, 1)), np.zeros((3, 1))) == 1.0


@pytest.mark.parametrize(
    ("end", "loss", "target"),
    [
        (eg.layers.Dense(3, "softmax"), "sparse_categorical_crossentropy", "labels"),
        (eg.layers.Dense(3), "sparse_categorical_crossentropy", "labels"),
        (eg.layers.Dense(3, "softmax"), "categorical_crossentropy", "rows"),
        (eg.layers.Dense(3, "sigmoid"), "binary_crossentropy", "rows"),
        (eg.layers.Dense(1, "sigmoid"), "binary_crossentropy", "flags"),
        (eg.layers.Dense(1), "binary_crossentropy", "flags"),
        (eg.layers.Dense(3, "softmax"), "mse", "rows"),
    ],
)
def test_accuracy_fits_the_loss(rng, end, loss, target):
    x, labels = rng.normal(size=(64, 4)).astype("float32"), rng.integers(0, 3, 64)
    y = {"labels": labels, "rows": np.eye(3)[labels], "flags": labels > 0}[target]
    model = eg.Sequential([end], seed=1)
    model.compile("sgd", loss, ["accuracy"])
    got = model.evaluate(x, y, return_dict=True)["accuracy"]
    output = model.predict(x)
    if target == "flags":
        chance = output if end.final_activation == "sigmoid" else special.expit(output)
        expected = ((chance[:, 0] > 0.5) == y).mean()
    elif loss == "binary_crossentropy":
        expected = ((output > 0.5) == y).mean()
    else:
        expected = (output.argmax(axis=1) == labels).mean()
    assert got == pytest.approx(expected)


def test_probabilities_are_made_for_metrics_that_need_them(rng):
    x, labels = rng.normal(size=(64, 4)).astype("float32"), rng.integers(0, 3, 64)

    def confidence(y_true, y_pred):
        return y_pred.amax(dim=-1)

    model = eg.Sequential([eg.layers.Dense(3, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy", [confidence])
    got = model.evaluate(x, labels, return_dict=True)["confidence"]
    assert got == pytest.approx(model.predict(x).max(axis=1).mean(), rel=1e-6)


def test_weighted_metrics(rng):
    x, y, w = rng.normal(size=(64, 4)), rng.normal(size=64), rng.uniform(size=64)
    model = eg.Sequential([eg.layers.Dense(1)], dtype="float64", seed=1)
    model.compile("sgd", "mse", ["mae"], weighted_metrics=["mae"])
    got = model.evaluate(x, y, sample_weight=w, return_dict=True)
    error = np.abs(model.predict(x)[:, 0] - y)
    assert got["mae"] == pytest.approx(error.mean())
    assert got["weighted_mae"] == pytest.approx((error * w).sum() / w.sum())
    assert got["loss"] == pytest.approx((error**2 * w).mean())


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean_with_sample_weight"])
def test_a_loss_as_a_metric_is_reduced_as_in_training(rng, reduction):
    x, y, w = rng.normal(size=(40, 4)), rng.normal(size=40), rng.uniform(size=40)
    loss = eg.losses.MeanSquaredError(reduction, name="squares")
    penalized = eg.layers.Dense(1, kernel_regularizer="l2")
    model = eg.Sequential([penalized], dtype="float64", seed=1)
    model.compile("sgd", loss, weighted_metrics=[loss])
    got = model.evaluate(x, y, sample_weight=w, batch_size=16, return_dict=True)
    off = (model.predict(x)[:, 0] - y) ** 2
    # Means of batches, by their rows.
    expected = sum(
        len(off[at : at + 16])
        * (
            np.mean(off[at : at + 16] * w[at : at + 16])
            if reduction == "sum_over_batch_size"
            else np.average(off[at : at + 16], weights=w[at : at + 16])
        )
        for at in range(0, 40, 16)
    )
    assert got["squares"] == pytest.approx(expected / 40, rel=1e-12)
    penalty = 0.01 * np.sum(penalized.kernel.numpy() ** 2)
    assert got["loss"] == pytest.approx(got["squares"] + penalty, rel=1e-12)
    assert model.metric_directions()["squares"] == "min"


def test_names():
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        eg.metrics.get("acuracy")
    with pytest.raises(ValueError, match="chosen by the loss"):
        eg.metrics.get("accuracy")
    with pytest.raises(ValueError, match="k: expected 1 or more"):
        eg.metrics.TopKCategoricalAccuracy(k=0)


# ---- one metric in several places


def two_headed():
    inputs = eg.Input((4,))
    shared = eg.layers.Dense(8, "relu")(inputs)
    ends = [eg.layers.Dense(1, name="a")(shared), eg.layers.Dense(1, name="b")(shared)]
    return eg.Model(inputs, ends, dtype="float64", seed=1)


def test_one_metric_counts_each_output_by_itself(rng):
    x, ys = rng.normal(size=(40, 4)), [rng.normal(size=40), 5 + rng.normal(size=40)]
    error = eg.metrics.MAE(name="mae")
    for given in ([error], [[error], [error]], {"a": error, "b": [error]}):
        model = two_headed()
        model.compile(eg.optimizers.SGD(0.0), "mse", given)
        got = model.fit(x, ys, batch_size=16, verbose=0, validation_data=(x, ys)).history
        for name, y, output in zip("ab", ys, model.predict(x), strict=True):
            wanted = np.abs(output[:, 0] - y).mean()
            for key in (f"{name}_mae", f"val_{name}_mae"):
                assert got[key] == pytest.approx([wanted], rel=1e-6)


def test_one_metric_counts_with_and_without_weights_by_itself(rng):
    x, y, w = rng.normal(size=(40, 4)), rng.normal(size=40), rng.uniform(size=40)
    error = eg.metrics.MAE(name="error")
    model = eg.Sequential([eg.layers.Dense(1)], dtype="float64", seed=1)
    model.compile("sgd", "mse", [error, error], weighted_metrics=[error])
    got = model.evaluate(x, y, sample_weight=w, return_dict=True)
    off = np.abs(model.predict(x)[:, 0] - y)
    assert got["error"] == got["error_1"] == pytest.approx(off.mean())
    assert got["weighted_error"] == pytest.approx((off * w).sum() / w.sum())
    # The first place is that of the object itself.
    assert error.name == "error"


def test_one_metric_in_two_models_counts_each_by_itself(rng):
    x, y = rng.normal(size=(40, 4)), rng.normal(size=40)
    error = eg.metrics.MAE(name="mae")
    models = [eg.Sequential([eg.layers.Dense(1)], dtype="float64", seed=s) for s in (1, 2)]
    for model in models:
        model.compile(eg.optimizers.SGD(0.0), "mse", [error])
    alone = [model.evaluate(x, y)[1] for model in models]

    class Look(eg.callbacks.Callback):
        def on_train_batch_end(self, batch, logs):
            models[1].train_on_batch(x, y)

    history = models[0].fit(x, y, batch_size=10, verbose=0, callbacks=[Look()]).history
    assert history["mae"] == [pytest.approx(alone[0])]
    # The first one's object still tells its figure, and a copy of the model has one of its own.
    assert error.result() == pytest.approx(alone[0])
    twin = copy.deepcopy(models[0])
    assert twin.evaluate(x, y)[1] == pytest.approx(alone[0])
