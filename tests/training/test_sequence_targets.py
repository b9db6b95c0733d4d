"""A target, and a weight, for each step of a sequence."""

import numpy as np
import pytest
from scipy import special

import evengrad as eg
from evengrad import losses, metrics

ROWS, STEPS, CLASSES = 24, 5, 3


@pytest.fixture
def rng():
    return np.random.default_rng(6)


@pytest.fixture
def data(rng):
    x = rng.normal(size=(ROWS, STEPS, 4))
    return x, rng.integers(0, CLASSES, (ROWS, STEPS)), rng.integers(0, 3, (ROWS, STEPS)) * 1.0


def tagger(loss, end="softmax", units=CLASSES, **options):
    model = eg.Sequential(
        [eg.layers.GRU(6, return_sequences=True), eg.layers.Dense(units, end)],
        dtype="float64",
        seed=2,
    )
    model.compile(eg.optimizers.Adam(0.02), loss, **options)
    return model


@pytest.mark.parametrize("end", ["softmax", None])
@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_a_class_for_each_step(name, end, data):
    x, y, w = data
    targets = y if name.startswith("sparse") else np.eye(CLASSES)[y]
    model = tagger(name, end, metrics=["accuracy"], weighted_metrics=["accuracy"])
    figures = model.evaluate(x, targets, sample_weight=w, batch_size=7, return_dict=True)
    output = model.predict(x)
    if end is None:
        output = special.softmax(output, axis=-1)
    each = -np.log(np.take_along_axis(output, y[..., None], axis=-1)[..., 0])
    right = output.argmax(axis=-1) == y
    assert figures["loss"] == pytest.approx((each * w).mean(), rel=1e-9)
    assert figures["accuracy"] == pytest.approx(right.mean())
    assert figures["weighted_accuracy"] == pytest.approx((right * w).sum() / w.sum())
    history = model.fit(x, targets, epochs=5, verbose=0, sample_weight=w).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", None])
def test_reductions(reduction, rng, data):
    _, y, w = data
    logits = rng.normal(size=(ROWS, STEPS, CLASSES))
    each = -np.take_along_axis(special.log_softmax(logits, axis=-1), y[..., None], -1)[..., 0]
    hot = np.eye(CLASSES)[y]
    for weights, values in ((None, each), (w, each * w), (w[:, 0], each * w[:, :1])):
        rows = values.mean(axis=1)
        expected = {"sum": rows.sum(), None: rows}.get(reduction, rows.mean())
        for kind, targets in (
            (losses.SparseCategoricalCrossentropy, y),
            (losses.CategoricalCrossentropy, hot),
        ):
            loss = kind(from_logits=True, reduction=reduction)
            np.testing.assert_allclose(loss(targets, logits, weights).numpy(), expected)
            inside = loss.from_logits_loss(
                eg.tensor(targets),
                eg.tensor(logits),
                None if weights is None else eg.tensor(weights),
            )
            if reduction is not None:
                np.testing.assert_allclose(inside.numpy(), expected)


@pytest.mark.parametrize(
    "name", ["MeanSquaredError", "BinaryCrossentropy", "Huber", "CosineSimilarity", "Hinge"]
)
def test_masked_steps_leak_nothing(name, rng):
    y = rng.integers(0, 2, (ROWS, STEPS, 2)) * 1.0
    p = rng.uniform(0.1, 0.9, (ROWS, STEPS, 2))
    mask = rng.integers(0, 2, (ROWS, STEPS)) * 1.0
    clean, dirty = (
        eg.tensor(np.where(mask[..., None] > 0, p, bad), requires_grad=True)
        for bad in (0.5, np.nan)
    )
    found = []
    for prediction in (clean, dirty):
        loss = getattr(losses, name)(reduction="sum")(y, prediction, mask)
        loss.backward()
        found.append(loss.item())
    assert found[0] == found[1]
    np.testing.assert_array_equal(clean.grad.numpy(), dirty.grad.numpy())
    assert (dirty.grad.numpy()[mask == 0] == 0).all()


@pytest.mark.parametrize(
    "make",
    [
        metrics.ConfusionMatrix,
        lambda: metrics.F1Score(average=None),
        metrics.SparseCategoricalAccuracy,
    ],
)
def test_metrics_count_steps(make, rng, data):
    _, y, w = data
    p = rng.dirichlet(np.ones(CLASSES), (ROWS, STEPS))
    flat = make()(y.ravel(), p.reshape(-1, CLASSES), w.ravel())
    np.testing.assert_allclose(make()(y, p, w), flat, rtol=1e-12)


def test_padded_steps_do_not_matter(rng, data):
    """The same training, whatever stands behind the end of the sequences."""
    x, y, _ = data
    mask = (np.arange(STEPS) < rng.integers(1, STEPS, ROWS)[:, None]) * 1.0
    found = []
    for padding in (0.0, 1e3):
        filled = np.where(mask[..., None] > 0, x, padding)
        model = tagger("sparse_categorical_crossentropy")
        model.fit(filled, y * (mask > 0), epochs=3, verbose=0, sample_weight=mask)
        found.append(np.where(mask[..., None] > 0, model.predict(filled), 0))
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize(
    ("y", "w", "message"),
    [
        (np.zeros((ROWS, STEPS + 1)), None, r"class numbers of shape \(rows, 5\), got shape"),
        (np.zeros(ROWS), None, r"each row holds 5 vectors.*one target for each row"),
        (np.zeros((ROWS, STEPS, 3)), None, r"y.argmax\(axis=2\)"),
        (np.full((ROWS, STEPS), 3), None, r"in \[0, 3\).*got 3 in row 0"),
        (np.zeros((ROWS, STEPS)), np.ones((ROWS, 4)), r"or per step, shape \(24, 5\), got \(24, 4"),
    ],
)
def test_mistakes_are_named(y, w, message, data):
    with pytest.raises(ValueError, match=message):
        tagger("sparse_categorical_crossentropy").fit(data[0], y, sample_weight=w, verbose=0)


def test_outputs_have_no_weights_of_their_own():
    model = eg.Sequential([eg.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"one weight per row, shape \(8,\), got \(8, 3\)"):
        model.fit(np.zeros((8, 2)), np.zeros((8, 3)), sample_weight=np.ones((8, 3)), verbose=0)
