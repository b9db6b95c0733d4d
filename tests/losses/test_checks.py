"""What losses refuse when they are called, what empty batches cost, and smoothed labels."""

import numpy as np
import pytest
from scipy import special
from scipy.spatial.distance import cosine

import evengrad as eg
from evengrad import losses, metrics


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.mark.parametrize("label", [5, 2, -1])
@pytest.mark.parametrize("from_logits", [None, False, True])
def test_a_label_out_of_range_is_an_error(label, from_logits):
    loss = losses.SparseCategoricalCrossentropy(from_logits)
    with pytest.raises(ValueError, match=rf"y_true: .*\[0, 2\).*got {label} in row 1"):
        loss([0, label], [[0.5, 0.5], [0.5, 0.5]])


@pytest.mark.parametrize("from_logits", [None, True])
def test_a_label_in_a_masked_row_may_be_anything(from_logits):
    loss, p = losses.SparseCategoricalCrossentropy(from_logits), np.array([[0.9, 0.1], [0.3, 0.7]])
    expected = loss([0, 0], p, [1.0, 0.0]).item()
    assert loss([0, -1], p, [1.0, 0.0]).item() == expected
    assert eg.compile(loss)(np.array([0, -1]), p, np.array([1.0, 0.0])).item() == expected


@pytest.mark.parametrize("from_logits", [None, True])
def test_labels_are_whole(from_logits):
    loss = losses.SparseCategoricalCrossentropy(from_logits)
    with pytest.raises(ValueError, match=r"whole class numbers, got 0\.5 in row 0"):
        loss([0.5], [[0.5, 0.5]])
    with pytest.raises(ValueError, match="finite"):
        loss([np.nan], [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("loss", "y", "p", "message"),
    [
        (losses.BinaryCrossentropy(from_logits=True), 2.0, 0.5, r"y_true: .*in \[0, 1\], got"),
        (losses.BinaryCrossentropy(), -0.1, 0.5, r"y_true: .*in \[0, 1\]"),
        (losses.BinaryCrossentropy(), 1.0, 1.5, "probabilities, got .*from_logits=True"),
        (losses.CategoricalCrossentropy(), 1.5, 0.5, r"y_true: .*in \[0, 1\]"),
        (losses.CategoricalCrossentropy(), 1.0, -0.5, "probabilities, got .*from_logits=True"),
        (losses.KLDivergence(), -1.0, 0.5, r"y_true: .*in \[0, 1\]"),
        (losses.KLDivergence(), 1.0, -3.0, "probabilities, got .*CategoricalCrossentropy"),
        (losses.Poisson(), -1.0, 0.5, "y_true: expected counts of 0 or more"),
        (losses.Poisson(), 1.0, -0.5, "predictions of 0 or more.*softplus"),
        (losses.Hinge(), 2.0, 0.5, "y_true: .*−1 or 1, or all 0 or 1"),
        (losses.SquaredHinge(), 0.3, 0.5, "y_true: .*−1 or 1, or all 0 or 1"),
        (losses.CategoricalHinge(), 0.5, 0.5, "y_true: expected one-hot rows"),
        (losses.MeanSquaredError(), np.nan, 0.5, "y_true: expected finite numbers"),
        (losses.Huber(), np.inf, 0.5, "y_true: expected finite numbers"),
        (losses.Quantile(0.2), np.nan, 0.5, "y_true: expected finite numbers"),
        (losses.Dice(), 2.0, 0.5, r"y_true: .*in \[0, 1\]"),
        (losses.Tversky(), 1.0, -0.5, "probabilities, got .*sigmoid"),
    ],
)
def test_a_direct_call_refuses_what_fit_refuses(loss, y, p, message):
    targets, predictions = np.array([[1.0], [y]]), np.array([[0.5], [p]])
    with pytest.raises(ValueError, match=message) as caught:
        loss(targets, predictions)
    assert "in row 1" in str(caught.value)
    # The same in a masked row harms nobody.
    assert np.isfinite(loss(targets, predictions, [1.0, 0.0]).item())


def test_rounded_sums_of_probabilities_are_no_error():
    p = np.array([[1.0 + 1e-7]])
    assert losses.BinaryCrossentropy()([[1.0]], p).item() == pytest.approx(0.0, abs=1e-6)


def test_a_diverged_prediction_shows_in_the_loss():
    for name in ("BinaryCrossentropy", "MeanSquaredError", "Hinge"):
        assert np.isnan(getattr(losses, name)()([[1.0]], [[np.nan]]).item())


def test_a_captured_step_calls_losses_without_looking_at_values(rng):
    p, y = rng.uniform(size=(6, 3)), rng.integers(0, 2, (6, 3)) * 1.0
    loss = losses.BinaryCrossentropy()
    compiled = eg.compile(loss)
    for _ in range(3):
        assert compiled(y, p).item() == loss(y, p).item()


@pytest.mark.parametrize("kind", [losses.Hinge, losses.SquaredHinge])
@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 3], [0.3, 1, 0, 1], [-1, 0, 1, 1], [-1, 0, -1, 0], [-2, 1, 1, 1]]
)
def test_hinges_take_two_classes_alone(kind, labels):
    model = eg.Sequential([eg.layers.Dense(1)], seed=1)
    model.compile("sgd", kind())
    with pytest.raises(ValueError, match="y: expected targets that are all −1 or 1"):
        model.fit(np.ones((4, 2)), np.array(labels), verbose=0)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("kind", [losses.Hinge, losses.SquaredHinge])
def test_hinges_train_alike_on_both_ways_to_number_two_classes(kind, rng):
    x, y = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    found = []
    for labels in (y, 2 * y - 1, np.ones(40), -np.ones(40)):
        model = eg.Sequential([eg.layers.Dense(1)], seed=1)
        model.compile("sgd", kind())
        found.append(model.fit(x, labels, verbose=0).history["loss"])
    assert found[0] == found[1]


# ---- batches without rows


# Beside the sparse ones, those that take class numbers.
LABELLED = ("CategoricalGeneralizedCrossEntropy", "Circle")


def batch(name):
    """Return targets and predictions without rows."""
    if name == "GaussianNegativeLogLikelihood":
        return np.zeros((0, 2)), (0, 4)
    labels = name.startswith("Sparse") or name in LABELLED
    return np.zeros(0, np.int64) if labels else np.zeros((0, 3)), (0, 3)


NAMES = sorted(
    name
    for name, thing in vars(losses).items()
    if isinstance(thing, type) and issubclass(thing, losses.Loss)
    # Other names of a class are left out.
    if thing is not losses.Loss and thing.__name__ == name
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("reduction", ["mean", "sum_over_batch_size", "sum"])
def test_no_rows_cost_nothing_and_pull_at_nothing(name, reduction):
    y, shape = batch(name)
    loss = getattr(losses, name)(reduction=reduction)
    w = eg.tensor(np.ones((2, shape[1])), requires_grad=True)
    for weights in (None, np.zeros(0)):
        w.zero_grad()
        value = loss(y, eg.tensor(np.zeros((0, 2))) @ w, weights)
        assert value.item() == 0.0
        value.backward()
        np.testing.assert_array_equal(w.grad.numpy(), np.zeros((2, shape[1])))
    if hasattr(loss, "from_logits_loss"):
        value = loss.from_logits_loss(eg.tensor(y), eg.tensor(np.zeros(shape)), None)
        assert value.item() == 0.0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_masked_values_are_no_numbers(place):
    for kind in (losses.MeanSquaredError, metrics.MeanSquaredError, losses.BinaryCrossentropy):
        given = [np.ones(2), np.ones(2), np.ones(2)]
        given[place] = np.ma.masked_array([1.0, 2.0], mask=[False, True])
        with pytest.raises(TypeError, match="a masked array would lose its mask"):
            kind()(*given)


@pytest.mark.parametrize("dtype", [bool, "u1", "i4", "i8"])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize(
    "kind",
    [
        losses.CategoricalCrossentropy,
        losses.BinaryCrossentropy,
        losses.CategoricalFocalCrossentropy,
        losses.BinaryFocalCrossentropy,
    ],
)
def test_whole_targets_count_as_real_ones(kind, from_logits, dtype):
    rows = np.array([[1, 0, 0], [0, 0, 1]])
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.2, 0.6]])
    loss = kind(from_logits=from_logits)
    for weight in (None, [1.0, 2.0]):
        assert loss(rows.astype(dtype), p, weight).item() == loss(rows * 1.0, p, weight).item()


# ---- probabilities that are no shares, smoothed labels, other axes


def test_rows_are_divided_by_their_sums():
    # By hand: 2 of 4 is a half.
    y, p = [[1.0, 0.0]], [[2.0, 2.0]]
    for loss, target in (
        (losses.CategoricalCrossentropy(), y),
        (losses.SparseCategoricalCrossentropy(), [0]),
    ):
        assert loss(target, p).item() == pytest.approx(0.6931471805599453, rel=1e-6)
    focal = losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0)
    assert focal(y, p).item() == pytest.approx(0.6931471805599453 / 4, rel=1e-6)
    # Nothing to divide: the floor under the probabilities.
    zeros = losses.CategoricalCrossentropy()(y, np.zeros((1, 2)))
    assert zeros.item() == pytest.approx(np.log(1e7))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_smoothed_labels(rng, smoothing):
    logits, labels = rng.normal(size=(50, 7)) * 2, rng.integers(0, 7, 50)
    spread = np.full((50, 7), smoothing / 7)
    spread[np.arange(50), labels] += 1 - smoothing
    expected = -(spread * special.log_softmax(logits, axis=1)).sum(axis=1)
    for given, from_logits, rtol in (
        (logits, True, 1e-12),
        (special.softmax(logits, axis=1), False, 1e-6),
    ):
        loss = losses.SparseCategoricalCrossentropy(from_logits, None, None, None, smoothing)
        np.testing.assert_allclose(loss(labels, given).numpy(), expected, rtol=rtol)
    model = eg.Sequential([eg.layers.Dense(7, "softmax")], dtype="float64", seed=1)
    loss = losses.SparseCategoricalCrossentropy(label_smoothing=smoothing)
    model.compile(eg.optimizers.SGD(0.0), loss)
    x = rng.normal(size=(50, 4))
    entropy = -(spread * np.log(model.predict(x))).sum(axis=1).mean()
    assert model.evaluate(x, labels) == pytest.approx(entropy, rel=1e-9)
    with pytest.raises(ValueError, match="label_smoothing"):
        losses.SparseCategoricalCrossentropy(label_smoothing=1.5)


def test_cosine_along_another_axis(rng):
    y, p = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 2))
    expected = [np.mean([cosine(y[i, :, j], p[i, :, j]) - 1 for j in range(2)]) for i in range(3)]
    for axis in (1, -2):
        got = losses.CosineSimilarity(reduction="none", axis=axis)(y, p).numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    for axis in (0, 3, -3):
        with pytest.raises(ValueError, match="axis: expected a dimension"):
            losses.CosineSimilarity(axis=axis)(y, p)
