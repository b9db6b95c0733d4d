"""Training on padded sequences: padding changes no loss, metric or variable."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers, losses, metrics

LENGTHS = np.array([3, 5, 1, 4, 2, 5, 3, 1])
CLASSES = 3


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def padded(rng, steps, dtype="float32"):
    """Return sequences of several lengths, and a class for each step."""
    x, y = np.zeros((len(LENGTHS), steps, 2), dtype), np.zeros((len(LENGTHS), steps), int)
    for row, length in enumerate(LENGTHS):
        x[row, :length] = rng.normal(size=(length, 2))
        y[row, :length] = rng.integers(0, CLASSES, length)
        # What stands behind has no part in anything.
        y[row, length:] = rng.integers(0, CLASSES, steps - length)
    return x, y


def labeller(dtype="float32", activation="softmax", **settings):
    chain = [eg.Input((None, 2)), layers.Masking(), layers.LSTM(4, return_sequences=True)]
    chain += [layers.BatchNormalization(), layers.Dense(CLASSES, activation)]
    model = eg.Sequential(chain, seed=7, dtype=dtype)
    model.compile(**{"optimizer": eg.optimizers.SGD(0.1), **settings})
    return model


def steps_that_count(y_or_prediction):
    return np.concatenate([one[:n] for one, n in zip(y_or_prediction, LENGTHS, strict=True)])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_and_metrics_are_those_of_the_steps_that_count(reduction, weighted, rng):
    x, y = padded(rng, 6, "float64")
    weights = rng.uniform(0.5, 2.0, y.shape) if weighted else None
    model = labeller(
        "float64",
        loss=losses.SparseCategoricalCrossentropy(reduction=reduction),
        metrics=[
            "accuracy",
            metrics.SparseTopKCategoricalAccuracy(2),
            losses.SparseCategoricalCrossentropy(name="again"),
        ],
        weighted_metrics=[metrics.SparseCategoricalAccuracy(name="weighted")],
    )
    figures = model.evaluate(x, y, sample_weight=weights, return_dict=True, verbose=0)
    shares, labels = steps_that_count(model.predict(x)), steps_that_count(y)
    factors = np.ones(len(labels)) if weights is None else steps_that_count(weights)
    values = -np.log(shares[np.arange(len(labels)), labels]) * factors
    if reduction == "sum":
        # Of each row the mean over its steps, as without a mask.
        expected = (values / np.repeat(LENGTHS, LENGTHS)).sum()
    else:
        # As in Keras: by the number of steps that count; or by the sum of their weights.
        expected = values.sum() / (len(labels) if "batch" in reduction else factors.sum())
    assert figures["loss"] == pytest.approx(expected, rel=1e-12)
    plain = -np.log(shares[np.arange(len(labels)), labels]).mean()
    assert figures["again"] == pytest.approx(plain, rel=1e-12)
    right = shares.argmax(1) == labels
    assert figures["accuracy"] == pytest.approx(right.mean(), rel=1e-12)
    assert figures["weighted"] == pytest.approx(np.average(right, weights=factors), rel=1e-12)
    top = np.argsort(shares, 1)[:, -2:]
    within = (top == labels[:, None]).any(1).mean()
    assert figures["sparse_top_k_categorical_accuracy"] == pytest.approx(within, rel=1e-12)


def test_other_metrics_count_no_padding(rng):
    x, y = padded(rng, 6, "float64")
    targets = np.eye(CLASSES)[y]
    every = [
        metrics.AUC(average="macro"),
        metrics.Precision(average="macro"),
        metrics.Recall(average="macro"),
        metrics.F1Score(average="macro"),
        metrics.MeanAbsoluteError(),
        metrics.R2Score(),
        metrics.ConfusionMatrix(),
        lambda y_true, y_pred: (y_true - y_pred) ** 4,
    ]
    model = labeller("float64", loss="categorical_crossentropy", metrics=every)
    short = model.evaluate(x[:, :5], targets[:, :5], return_dict=True, verbose=0)
    longer = np.concatenate([x, np.zeros((len(x), 9, 2))], 1)
    more = np.concatenate([targets, np.eye(CLASSES)[rng.integers(0, 3, (len(x), 9))]], 1)
    long = model.evaluate(longer, more, return_dict=True, verbose=0)
    assert len(short) == len(every) + 1
    for name, figure in short.items():
        np.testing.assert_allclose(long[name], figure, rtol=1e-12, err_msg=name)


def test_a_training_does_not_depend_on_padding(rng):
    x, y = padded(rng, 5, "float64")
    model = labeller("float64", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    other = labeller("float64", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    longer = np.concatenate([x, np.zeros((len(x), 4, 2))], 1)
    more = np.concatenate([y, rng.integers(0, CLASSES, (len(x), 4))], 1)
    settings = {"batch_size": 4, "epochs": 3, "verbose": 0}
    one = model.fit(x, y, **settings).history
    two = other.fit(longer, more, **settings).history
    for name, curve in one.items():
        np.testing.assert_allclose(two[name], curve, rtol=1e-10)
    for first, second in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_captured_steps_have_the_bits_of_eager_ones(dtype, rng):
    x, y = padded(rng, 6, dtype)
    found = []
    for run_eagerly in (True, False):
        model = labeller(
            dtype,
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            run_eagerly=run_eagerly,
        )
        history = model.fit(x, y, batch_size=3, epochs=3, verbose=0, validation_data=(x, y))
        found.append([*model.get_weights(), *map(np.array, history.history.values())])
    for eager, captured in zip(*found, strict=True):
        np.testing.assert_array_equal(eager, captured)


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.GRU, layers.LSTM])
def test_the_bits_do_not_depend_on_threads_or_padding(kind, rng):
    lengths = rng.integers(1, 12, 96)
    x = rng.normal(size=(96, 11, 6)).astype("float32")
    x[np.arange(11) >= lengths[:, None]] = 0.0
    y = rng.normal(size=(96, 2)).astype("float32")
    before, found = eg.get_num_threads(), []
    try:
        for threads, rows in ((1, x), (2, x), (3, x), (2, np.pad(x, ((0, 0), (0, 7), (0, 0))))):
            eg.set_num_threads(threads)
            chain = [eg.Input((None, 6)), layers.Masking(), kind(40), layers.Dense(2)]
            model = eg.Sequential(chain, seed=3)
            model.compile("adam", "mse")
            model.fit(rows, y, batch_size=32, epochs=2, verbose=0)
            found.append(model.get_weights())
    finally:
        eg.set_num_threads(before)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            # The bias' gradient is a sum over all steps, whose order padding changes.
            exact = other is not found[3]
            check = np.testing.assert_array_equal if exact else np.testing.assert_allclose
            check(one, two, **({} if exact else {"rtol": 2e-4, "atol": 1e-6}))


def test_batch_statistics_are_those_of_the_steps_that_count(rng):
    x, _ = padded(rng, 6, "float64")
    for convention in ("keras", "torch"):
        layer = layers.BatchNormalization(dtype="float64", convention=convention)
        output = layer(layers.Masking(dtype="float64")(x), training=True)
        alone = layers.BatchNormalization(dtype="float64", convention=convention)
        expected = alone(steps_that_count(x), training=True).numpy()
        np.testing.assert_allclose(
            steps_that_count(output.numpy()), expected, rtol=1e-11, atol=1e-12
        )
        for kept, other in zip(layer.get_weights(), alone.get_weights(), strict=True):
            np.testing.assert_allclose(kept, other, rtol=1e-12)
    nothing = eg.tensor(np.zeros((2, 3, 2)))
    before = layer.get_weights()
    layer(nothing, training=True, mask=np.zeros((2, 3), bool))
    for kept, other in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(kept, other)


def test_losses_and_metrics_called_by_hand(rng):
    x, y = padded(rng, 6)
    model = labeller(loss="mse", activation=None)
    targets = rng.normal(size=(*y.shape, CLASSES)).astype("float32")
    output = model(x)
    error = (steps_that_count(output.numpy()) - steps_that_count(targets)) ** 2
    for _ in range(3):
        loss = losses.MeanSquaredError()(targets, model(x)).item()
        assert loss == pytest.approx(error.mean(), rel=1e-5)
    metric = metrics.MeanSquaredError()
    assert metric(targets, output) == pytest.approx(error.mean(), rel=1e-5)
    with pytest.raises(ValueError, match="a value for each sample weight or masked step"):
        losses.get(lambda y_true, y_pred: (y_true - y_pred).mean())(targets, output)


def test_the_doctor_watches_masked_layers(rng):
    x, y = padded(rng, 6)
    doctor = eg.callbacks.GradientDoctor()
    model = labeller(loss="sparse_categorical_crossentropy")
    plain = labeller(loss="sparse_categorical_crossentropy")
    model.fit(x, y, epochs=3, verbose=0, callbacks=[doctor])
    plain.fit(x, y, epochs=3, verbose=0)
    for watched, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(watched, other)


def test_a_masked_model_comes_back_from_a_file(rng, tmp_path):
    x, y = padded(rng, 6)
    chain = [eg.Input((None,)), layers.Embedding(9, 3, mask_zero=True)]
    chain += [layers.Bidirectional(layers.GRU(4, return_sequences=True), "ave")]
    chain += [layers.GlobalMaxPooling1D(), layers.Dense(1)]
    numbers = np.where(np.abs(x[..., 0]) > 0, 1 + np.abs(x[..., 0] * 3).astype(int) % 8, 0)
    model = eg.Sequential(chain, seed=2)
    model.compile("adam", "mse")
    model.fit(numbers, y[:, :1], epochs=2, verbose=0)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(again.predict(numbers), model.predict(numbers))
    np.testing.assert_array_equal(model.clone().predict(numbers), model.predict(numbers))
    more = np.concatenate([numbers, np.zeros((len(x), 3), int)], 1)
    np.testing.assert_array_equal(again.predict(more), model.predict(numbers))
