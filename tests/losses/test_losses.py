"""Losses against closed forms and SciPy; fusion with the model's end."""

import numpy as np
import pytest
from scipy import special

import evengrad as eg

CLOSE = {"rtol": 1e-12, "atol": 1e-14}


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def softmax_entropy(logits, targets):
    return -(targets * special.log_softmax(logits, axis=-1)).sum(axis=-1)


def test_sparse(rng):
    logits = rng.normal(size=(50, 7)) * 3
    labels = rng.integers(0, 7, 50)
    expected = softmax_entropy(logits, np.eye(7)[labels])
    raw = eg.losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(raw(labels, logits).item(), expected.mean(), **CLOSE)
    probabilities = special.softmax(logits, axis=-1)
    plain = eg.losses.SparseCategoricalCrossentropy(reduction="none")
    np.testing.assert_allclose(plain(labels, probabilities).numpy(), expected, rtol=1e-5)


def test_categorical_with_smoothing(rng):
    logits = rng.normal(size=(50, 7))
    targets = rng.dirichlet(np.ones(7), 50)
    smooth = targets * 0.9 + 0.1 / 7
    loss = eg.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    expected = softmax_entropy(logits, smooth).mean()
    np.testing.assert_allclose(loss(targets, logits).item(), expected, **CLOSE)
    plain = eg.losses.CategoricalCrossentropy(label_smoothing=0.1)
    got = plain(targets, special.softmax(logits, axis=-1)).item()
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary(rng, smoothing):
    logits = rng.normal(size=(50, 3)) * 4
    targets = rng.integers(0, 2, (50, 3)).astype(float)
    smooth = targets * (1 - smoothing) + smoothing / 2
    expected = -(smooth * special.log_expit(logits) + (1 - smooth) * special.log_expit(-logits))
    for reduction, value in (
        ("sum_over_batch_size", expected.mean()),
        ("sum", expected.mean(axis=1).sum()),
        ("none", expected.mean(axis=1)),
    ):
        loss = eg.losses.BinaryCrossentropy(True, smoothing, reduction)
        np.testing.assert_allclose(loss(targets, logits).numpy(), value, **CLOSE)


@pytest.mark.parametrize(
    ("logit", "target", "expected"),
    [(100.0, 0.0, 100.0), (-100.0, 0.0, 3.720075976020836e-44), (1e9, 0.0, 1e9)],
)
def test_binary_at_extremes(logit, target, expected):
    loss = eg.losses.BinaryCrossentropy(from_logits=True)
    got = loss(np.array([[target]]), np.array([[logit]])).item()
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(("label", "expected"), [(0, 0.0), (1, 1000.0), (2, 2000.0)])
def test_sparse_at_extremes(label, expected):
    loss = eg.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert loss([label], np.array([[1000.0, 0.0, -1000.0]])).item() == expected


def test_regression(rng):
    y, p = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    got = eg.losses.MeanSquaredError()(y, p).item()
    np.testing.assert_allclose(got, ((y - p) ** 2).mean(), **CLOSE)
    got = eg.losses.MeanAbsoluteError()(y, p).item()
    np.testing.assert_allclose(got, np.abs(y - p).mean(), **CLOSE)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_sample_weights_multiply_and_do_not_change_the_divisor(rng, reduction):
    y, p, w = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), rng.uniform(size=20)
    each = ((y - p) ** 2).mean(axis=1) * w
    expected = {"sum_over_batch_size": each.mean(), "sum": each.sum(), "none": each}[reduction]
    got = eg.losses.MeanSquaredError(reduction)(y, p, w).numpy()
    np.testing.assert_allclose(got, expected, **CLOSE)


@pytest.mark.parametrize("weights", [[1.0, 0.0, 2.5, 4.0], [0.0, 0.0, 0.0, 0.0]])
def test_the_mean_by_sample_weight_is_that_of_numpy(rng, weights):
    weights = np.array(weights)
    reduction = {"reduction": "mean_with_sample_weight"}
    p, y = rng.uniform(0.1, 0.9, (4, 3)), rng.uniform(size=(4, 3))
    labels = np.array([0, 2, 1, 1])
    shares = p / p.sum(axis=1, keepdims=True)
    cases = [
        (eg.losses.MeanSquaredError(**reduction), y, p, ((y - p) ** 2).mean(axis=1)),
        (
            eg.losses.BinaryCrossentropy(**reduction),
            y,
            p,
            -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1),
        ),
        (
            eg.losses.SparseCategoricalCrossentropy(**reduction),
            labels,
            shares,
            -np.log(shares[np.arange(4), labels]),
        ),
        (
            eg.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1, **reduction),
            np.array([0, -1, 1, 1]),
            np.log(shares),
            -np.log(shares[np.arange(4), labels]) * [1, 0, 1, 1],
        ),
    ]
    for loss, targets, predictions, rows in cases:
        counted = weights * [1, 0, 1, 1] if targets.min() < 0 else weights
        expected = np.average(rows, weights=counted) if counted.any() else 0.0
        assert loss(targets, predictions, weights).item() == pytest.approx(expected)
        plain = rows.sum() / (3 if targets.min() < 0 else 4)
        assert loss(targets, predictions).item() == pytest.approx(plain)


def test_nothing_is_broadcast():
    with pytest.raises(ValueError, match=r"shape of the predictions, \(4, 1\), got \(4,\)"):
        eg.losses.MeanSquaredError()(np.zeros(4), np.zeros((4, 1)))
    with pytest.raises(ValueError, match="one weight per row"):
        eg.losses.MeanSquaredError()(np.zeros((4, 1)), np.zeros((4, 1)), np.ones((1, 4)))


def model_with(*end):
    model = eg.Sequential([eg.layers.Dense(5, "tanh"), *end], dtype="float64", seed=2)
    model.compile(eg.optimizers.SGD(0.1), "sparse_categorical_crossentropy", ["accuracy"])
    return model


@pytest.fixture
def data(rng):
    return rng.normal(size=(40, 4)), rng.integers(0, 3, 40)


def test_softmax_at_the_end_is_fused(data):
    x, y = data
    ends = [
        (eg.layers.Dense(3, name="out"),),
        (eg.layers.Dense(3, "softmax", name="out"),),
        (eg.layers.Dense(3, name="out"), eg.layers.Activation("softmax")),
    ]
    runs = [model_with(*end).fit(x, y, epochs=3, verbose=0).history for end in ends]
    assert runs[0] == runs[1] == runs[2]


def test_fused_loss_is_exact_where_probabilities_round(data):
    x, y = data
    model = eg.Sequential([eg.layers.Dense(3, "softmax")], dtype="float64", seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.build((None, 4))
    model.set_weights([np.zeros((4, 3)), np.array([2000.0, 0.0, 0.0])])
    expected = 2000.0 * np.mean(y != 0)
    assert model.evaluate(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("activation", "loss", "message"),
    [
        ("softmax", eg.losses.SparseCategoricalCrossentropy(from_logits=True), "ends in softmax"),
        ("sigmoid", eg.losses.BinaryCrossentropy(from_logits=True), "ends in sigmoid"),
        (None, eg.losses.SparseCategoricalCrossentropy(from_logits=False), "has no activation"),
        ("sigmoid", "sparse_categorical_crossentropy", "no shares of one"),
    ],
)
def test_a_contradiction_is_an_error(data, activation, loss, message):
    x, y = data
    target = y if isinstance(loss, str) or "Sparse" in repr(loss) else np.eye(3)[y]
    model = eg.Sequential([eg.layers.Dense(3, activation)])
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=message):
        model.fit(x, target, verbose=0)


def test_an_odd_end_is_told_in_the_log(data, advice):
    x, y = data
    model = eg.Sequential([eg.layers.Dense(3, "relu")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with advice.heard():
        model.fit(x, y, verbose=0)
    assert "ends in relu" in advice.text


class Custom(eg.Model):
    def __init__(self, activation, units):
        super().__init__(dtype="float64", seed=2)
        self.out = eg.layers.Dense(units, activation)

    def call(self, x):
        return self.out(x)


@pytest.mark.parametrize(
    ("activation", "units", "loss"),
    [
        ("softmax", 3, "sparse_categorical_crossentropy"),
        (None, 3, "sparse_categorical_crossentropy"),
        ("sigmoid", 1, "binary_crossentropy"),
        (None, 1, "binary_crossentropy"),
    ],
)
def test_a_subclass_shows_what_made_its_output(data, activation, units, loss):
    x, y = data
    target = y if units == 3 else (y > 0).astype(float)
    model = Custom(activation, units)
    model.compile("sgd", loss, ["accuracy"])
    loss_value, accuracy = model.evaluate(x, target)
    output = model.predict(x)
    if units == 3:
        probable = output if activation else special.softmax(output, axis=1)
        expected = -np.log(probable[np.arange(40), y]).mean()
        right = (output.argmax(axis=1) == y).mean()
    else:
        probable = (output if activation else special.expit(output))[:, 0]
        expected = -np.log(np.where(target, probable, 1 - probable)).mean()
        right = ((probable > 0.5) == target).mean()
    assert loss_value == pytest.approx(expected, rel=1e-6)
    assert accuracy == pytest.approx(right)


@pytest.mark.parametrize(
    "end",
    [eg.layers.Flatten, lambda: eg.layers.Reshape((3,)), lambda: eg.layers.Dropout(0.5)],
)
@pytest.mark.parametrize("drawn", [False, True])
def test_what_is_passed_on_is_still_made_of_probabilities(data, end, drawn):
    x, y = data
    parts = [eg.layers.Dense(3, "softmax"), end()]
    model = eg.Sequential([eg.Input((4,)), *parts], seed=2)
    if drawn:
        a = eg.Input((4,))
        model = eg.Model(a, parts[1](parts[0](a)), seed=2)
    model.compile("sgd", "sparse_categorical_crossentropy")
    expected = -np.log(model.predict(x)[np.arange(40), y]).mean()
    assert model.evaluate(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "mse", "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("activation", ["softmax", "log_softmax"])
def test_shares_of_one_unit_are_refused(data, loss, activation):
    x, y = data
    models = [eg.Sequential([eg.layers.Dense(1, activation)])]
    if loss == "binary_crossentropy" and activation == "softmax":
        models += [Custom(activation, 1), eg.Sequential([*models[0].layers, eg.layers.Flatten()])]
    for model in models:
        model.compile("sgd", loss)
        message = (
            f'ends in {activation} over one unit.*activation="sigmoid" .* a unit for each class'
        )
        with pytest.raises(ValueError, match=message):
            model.fit(x, y > 0, verbose=0)


def test_one_output_for_class_numbers_is_refused(data):
    model = eg.Sequential([eg.layers.Dense(1)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r'two or more, got a single one.*"binary_crossentropy"'):
        model.fit(data[0], np.zeros(40, int), verbose=0)


SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("units", "loss", "targets", "message"),
    [
        (3, SPARSE, lambda y: y - 1, r"ignore_class=-1\) or a sample_weight of 0; else number"),
        (2, SPARSE, lambda y: 2 * (y > 0) - 1, r"\(y \+ 1\) // 2.*hinge"),
        (3, SPARSE, lambda y: y + 1, "give the last layer 4 units or"),
        (1, "binary_crossentropy", lambda y: 2 * (y > 0) - 1, r"\(y \+ 1\) / 2.*hinge"),
        (1, "binary_crossentropy", lambda y: y, "more classes than two .*a unit for each"),
        (1, "binary_crossentropy", lambda y: y * 1.5, "a loss of regressions"),
    ],
)
def test_labels_out_of_range_get_their_own_cure(data, units, loss, targets, message):
    model = eg.Sequential([eg.layers.Dense(units)])
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=f"y: expected .*{message}"):
        model.fit(data[0], targets(data[1]), verbose=0)


@pytest.mark.parametrize(
    ("units", "loss"),
    [(1, "mse"), (1, "mae"), (1, "huber"), (1, "log_cosh"), (3, "mse"), (3, "cosine_similarity")],
)
@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_accuracy_of_amounts_is_refused(data, units, loss, scale):
    x, y = data
    targets = np.abs(x[:, :units]) * scale
    model = eg.Sequential([eg.layers.Dense(units)])
    for metrics in ({"metrics": ["accuracy"]}, {"weighted_metrics": ["acc"]}):
        model.compile("sgd", loss, **metrics)
        with pytest.raises(ValueError, match=r"'acc.*expects classes, got .*mean_absolute_error"):
            model.fit(x, targets, verbose=0)
    # Zeros and ones are classes, whatever the loss.
    hot = np.eye(3)[y] if units == 3 else y > 0
    assert 0.0 <= model.evaluate(x, hot)[1] <= 1.0


def test_function_as_loss(data):
    x, _ = data

    def quartic(y_true, y_pred):
        return ((y_true - y_pred) ** 4).mean(dim=-1)

    model = eg.Sequential([eg.layers.Dense(2)], dtype="float64")
    model.compile(eg.optimizers.SGD(0.01), quartic)
    target = np.ones((40, 2))
    model.fit(x, target, verbose=0)
    expected = ((model.predict(x) - target) ** 4).mean()
    assert model.evaluate(x, target) == pytest.approx(expected, rel=1e-12)


def test_names():
    assert isinstance(eg.losses.get("mse"), eg.losses.MeanSquaredError)
    with pytest.raises(ValueError, match="did you mean 'mean_squared_error'"):
        eg.losses.get("mean_square_error")
    with pytest.raises(ValueError, match="reduction"):
        eg.losses.MeanSquaredError("avg")
    with pytest.raises(TypeError, match="did you mean 'from_logits'"):
        eg.losses.BinaryCrossentropy(from_logit=True)


# ---- functions of the user's, whose targets have the shape of the predictions


def own_square(y_true, y_pred):
    return (y_true - y_pred).square().mean(dim=-1)


def own_mean(y_true, y_pred):
    return (y_true - y_pred).square().mean()


class OwnMetric(eg.metrics.Metric):
    """Counts by itself, without the helpers of a mean."""

    def __init__(self, name=None):
        super().__init__(name)
        self.total, self.rows = self.add_state(), self.add_state()

    def update_state(self, y_true, y_pred, sample_weight=None):
        del sample_weight
        errors = (y_true - y_pred).square().reshape(-1)
        eg._core.accumulate(self.total, errors.sum())
        eg._core.accumulate(self.rows, eg.tensor(float(errors.size), dtype="float64"))

    def result(self):
        return self.total.item() / self.rows.item()


class OwnMean(eg.metrics.MeanMetric):
    def values(self, y_true, y_pred):
        return (y_true - y_pred).square()


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("loss", [own_square, own_mean])
def test_a_function_compares_rows_not_pairs(loss, column, eagerly):
    rng = np.random.default_rng(5)
    x, w = rng.normal(size=(60, 3)), rng.uniform(size=60)
    flat = x @ [1.0, -2.0, 0.5] + rng.normal(size=60)
    y = flat[:, None] if column else flat
    model = eg.Sequential([eg.layers.Dense(1)], dtype="float64", seed=1)
    figures = [own_square, OwnMean(), OwnMetric(), "mse"]
    model.compile(eg.optimizers.SGD(0.0), loss, figures, run_eagerly=eagerly)
    found = model.fit(x, y, batch_size=20, verbose=0, validation_data=(x, y)).history
    wanted = np.mean((model.predict(x)[:, 0] - flat) ** 2)
    assert len(found) == 10
    for name, values in found.items():
        assert values == [pytest.approx(wanted, rel=1e-9)], name
    # Trained by it, a linear model ends in the least squares.
    model.compile(eg.optimizers.SGD(0.1), loss, run_eagerly=eagerly)
    model.fit(x, y, batch_size=60, epochs=300, verbose=0)
    design = np.column_stack([x, np.ones(60)])
    kernel, bias = model.get_weights()
    solution = np.linalg.lstsq(design, flat)[0]
    np.testing.assert_allclose([*kernel[:, 0], *bias], solution, rtol=1e-6)
    if loss is own_square:
        weighted = np.mean(w * (model.predict(x)[:, 0] - flat) ** 2)
        assert model.evaluate(x, y, sample_weight=w) == pytest.approx(weighted, rel=1e-9)


@pytest.mark.parametrize("shapes", [((5,), (5, 1)), ((5, 1), (5,)), ((5, 2), (5, 2, 1))])
def test_a_function_called_directly_compares_rows_not_pairs(shapes):
    rng = np.random.default_rng(6)
    y, p = (rng.normal(size=shape) for shape in shapes)
    wanted = np.mean((y.ravel() - p.ravel()) ** 2)
    assert eg.losses.get(own_mean)(y, p).item() == pytest.approx(wanted, rel=1e-12)
    for metric in (eg.metrics.get(own_mean), OwnMean(), OwnMetric()):
        assert metric(y, p) == pytest.approx(wanted, rel=1e-12)


def test_an_output_without_a_loss_has_targets_in_its_shape():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(30, 3)).astype("float32"), rng.normal(size=30)
    inputs = eg.Input((3,))
    ends = [eg.layers.Dense(1, name="a")(inputs), eg.layers.Dense(1, name="b")(inputs)]
    model = eg.Model(inputs, ends, seed=1)
    model.compile("sgd", {"a": "mse"}, {"b": [own_square, OwnMetric()]})
    found = model.evaluate(x, [y, y], return_dict=True)
    wanted = np.mean((model.predict(x)[1][:, 0] - y) ** 2)
    assert found["b_own_square"] == pytest.approx(wanted, rel=1e-5)
    assert found["b_own_metric"] == pytest.approx(wanted, rel=1e-5)


def test_labels_of_classes_reach_a_function_as_they_are():
    def own_labels(y_true, y_pred):
        assert tuple(y_true.shape) == (4,)
        assert y_true.dtype == "int64"
        return eg.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")(
            y_true, y_pred
        )

    model = eg.Sequential([eg.layers.Dense(3)], seed=1)
    model.compile("sgd", own_labels)
    model.fit(np.ones((4, 2)), np.array([0, 1, 2, 0]), verbose=0)
