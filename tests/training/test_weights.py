"""Weights of samples and of classes: for each output, in every form, masked rows included."""

import numpy as np
import pytest
from scipy import special
from sklearn.utils.class_weight import compute_class_weight

import evengrad as eg
from evengrad import layers, losses

ROWS = 42


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def data(rng):
    return rng.normal(size=(ROWS, 4)), rng.integers(0, 3, ROWS)


def network(units=3, loss="sparse_categorical_crossentropy", end=None, **options):
    model = eg.Sequential([eg.Input((4,)), layers.Dense(units, end)], seed=1, dtype="float64")
    model.compile(eg.optimizers.SGD(0.1), loss, **options)
    return model


def two_outputs(**options):
    a = eg.Input((4,))
    kind, size = layers.Dense(3, name="kind")(a), layers.Dense(1, name="size")(a)
    model = eg.Model(a, [kind, size], seed=1)
    losses_of = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    model.compile(eg.optimizers.SGD(0.1), losses_of, **options)
    return model


class Batches:
    """An iterable of batches that is no list."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def entropies(model, x, y):
    logits = np.asarray(model.predict(x), np.float64)
    return -np.take_along_axis(special.log_softmax(logits, axis=-1), y[..., None], -1)[..., 0]


# ---- one number, a column, one for each output


@pytest.mark.parametrize("form", [2.0, 2, np.float32(2.0), np.full((ROWS, 1), 2.0), [2.0] * ROWS])
def test_forms_of_a_weight(form, data):
    x, y = data
    model, plain = network(), network()
    history = model.fit(x, y, epochs=2, verbose=0, sample_weight=form).history
    expected = plain.fit(x, y, epochs=2, verbose=0, sample_weight=np.full(ROWS, 2.0)).history
    assert history == expected
    assert model.evaluate(x, y, sample_weight=form) == pytest.approx(
        2 * entropies(model, x, y).mean()
    )
    loss = losses.MeanSquaredError()
    got = loss(np.zeros((ROWS, 2)), np.ones((ROWS, 2)), form)
    assert got.item() == pytest.approx(2.0)
    assert eg.metrics.MeanSquaredError()(np.zeros(ROWS), np.ones(ROWS), form) == pytest.approx(1.0)


def as_list(kind, size):
    return [kind, size]


def as_tuple(kind, size):
    return (kind, size[:, None])


def as_dict(kind, size):
    return {"size": size, "kind": kind}


@pytest.mark.parametrize("form", [as_list, as_tuple, as_dict])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_weights_of_each_output(form, run_eagerly, data, rng):
    x, y = data
    size = x @ rng.normal(size=4)
    weights = rng.uniform(size=ROWS), rng.uniform(size=ROWS)
    model = two_outputs(weighted_metrics={"size": ["mae"]}, run_eagerly=run_eagerly)
    kinds, sizes = model.predict(x)
    each = -special.log_softmax(kinds.astype("f8"), axis=1)[np.arange(ROWS), y]
    error = sizes[:, 0] - size
    given = form(*weights)
    figures = model.evaluate(x, [y, size], sample_weight=given, batch_size=16, return_dict=True)
    parts = (each * weights[0]).mean(), (error**2 * weights[1]).mean()
    assert figures["kind_loss"] == pytest.approx(parts[0], rel=1e-5)
    assert figures["size_loss"] == pytest.approx(parts[1], rel=1e-5)
    assert figures["loss"] == pytest.approx(sum(parts), rel=1e-5)
    mean = (abs(error) * weights[1]).sum() / weights[1].sum()
    assert figures["size_mae"] == pytest.approx(mean, rel=1e-5)
    # The same steps, whichever way the batches come.
    arguments = {"epochs": 2, "verbose": 0}
    model.fit(x, [y, size], batch_size=16, shuffle=False, sample_weight=given, **arguments)
    other = two_outputs()
    places = [slice(start, start + 16) for start in range(0, ROWS, 16)]
    batches = [
        (x[rows], [y[rows], size[rows]], form(*(weight[rows] for weight in weights)))
        for rows in places
    ]
    other.fit(Batches(batches), **arguments)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))


def test_one_number_for_one_output_and_weights_of_rows_for_another(data, rng):
    x, y = data
    weight = rng.uniform(size=ROWS)
    given = [[np.full(ROWS, 2.0), weight], [2.0, weight[:, None]], [2.0, None], {"kind": 2.0}]
    found = [
        two_outputs().evaluate(x, [y, x[:, 0]], sample_weight=one, return_dict=True)
        for one in given
    ]
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[2]["kind_loss"] == found[0]["kind_loss"]


def test_an_output_without_weights(data, rng):
    x, y = data
    size, weight = x @ rng.normal(size=4), rng.uniform(size=ROWS)
    plain = two_outputs().evaluate(x, [y, size], return_dict=True)
    for given in ({"size": weight}, [None, weight], {"size": weight, "kind": None}):
        figures = two_outputs().evaluate(x, [y, size], sample_weight=given, return_dict=True)
        assert figures["kind_loss"] == plain["kind_loss"]
        assert figures["size_loss"] != plain["size_loss"]
    # What is given once is that of both.
    both = two_outputs().fit(x, [y, size], verbose=0, sample_weight=[weight, weight]).history
    assert two_outputs().fit(x, [y, size], verbose=0, sample_weight=weight).history == both


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kin": np.ones(ROWS)}, "no output 'kin'; did you mean 'kind'"),
        ([np.ones(ROWS), np.ones(3)], r"sample_weight\['size'\]: .*shape \(42,\), got \(3,\)"),
        ([np.ones(ROWS)] * 3, r"got \(3, 42\); for several outputs pass a list, or a dict"),
        ({"size": -np.ones(ROWS)}, r"sample_weight\['size'\]: expected finite weights of 0 or"),
        (-1.0, r"sample_weight: expected a number in \[0, inf\), got -1"),
        (np.nan, "sample_weight: expected a number"),
    ],
)
def test_mistakes_are_named(given, message, data):
    x, y = data
    with pytest.raises(ValueError, match=message):
        two_outputs().fit(x, [y, x[:, 0]], sample_weight=given, verbose=0)


# ---- rows of weight 0


@pytest.mark.parametrize(
    ("units", "loss", "bad"),
    [
        (1, "mse", np.nan),
        (1, "binary_crossentropy", np.inf),
        (1, "hinge", 7.0),
        (3, "hinge", np.nan),
        (3, "sparse_categorical_crossentropy", -1.0),
        (3, "sparse_categorical_crossentropy", np.nan),
        (3, "categorical_crossentropy", -1.0),
        (3, "categorical_hinge", np.nan),
    ],
)
def test_what_is_masked_is_not_looked_at(units, loss, bad, data):
    x, y = data
    labels = y if loss.startswith("sparse") else np.eye(3)[y]
    targets = (y > 0 if units == 1 else labels) * 1.0
    weight = np.where(np.arange(ROWS) % 5 == 1, 0.0, 1.0)
    masked = targets.copy()
    masked[weight == 0] = bad
    found = []
    for given in (targets, masked):
        model = network(units, loss, weighted_metrics=["accuracy"])
        arguments = {"verbose": 0, "validation_data": (x, given, weight), "batch_size": 8}
        history = model.fit(x, given, sample_weight=weight, epochs=2, **arguments).history
        found.append((history, model.get_weights()[0].tolist()))
    assert found[0] == found[1]
    assert np.isfinite(found[0][0]["val_loss"]).all()
    with pytest.raises(ValueError, match=r"y: .*in row 1"):
        network(units, loss).fit(x, masked, verbose=0)
    with pytest.raises(ValueError, match=r"'accuracy' counts all rows alike: .*weighted_metrics"):
        network(units, loss, metrics=["accuracy"]).fit(x, masked, sample_weight=weight, verbose=0)
    # A batch of masked rows alone changes nothing.
    before = model.get_weights()
    assert model.train_on_batch(x[:8], np.full_like(targets[:8], bad), np.zeros(8))[0] == 0.0
    assert all(map(np.array_equal, before, model.get_weights()))


# ---- weights of classes


def test_a_batch_or_a_fold_may_lack_a_class(data):
    x, y = data
    order = np.argsort(y, kind="stable")
    weights = {0: 1.0, 1: 2.0, 2: 5.0}
    batches = [(x[order[y[order] == k]], y[order[y[order] == k]]) for k in range(3)]
    model, other = network(), network()
    model.fit(iter(batches), verbose=0, class_weight=weights)
    other.fit(((x, y, np.full(len(y), weights[y[0]])) for x, y in batches), verbose=0)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))
    assert model.train_on_batch(*batches[0], class_weight={2: 9.0}) > 0.0
    model.fit(*batches[0], class_weight={1: 3.0}, verbose=0)


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@pytest.mark.parametrize(
    ("loss", "no"),
    [("hinge", -1), ("squared_hinge", 0), ("mse", 0), ("mse", -1)],
)
def test_two_classes_by_their_numbers(loss, no, dtype, data):
    x, y = data
    labels = np.where(y > 0, 1, no).astype(dtype)
    weighted = network(1, loss).fit(x, labels, class_weight={no: 3.0}, verbose=0).history
    weights = np.where(labels == no, 3.0, 1.0)
    assert weighted == network(1, loss).fit(x, labels, sample_weight=weights, verbose=0).history


def test_balanced(data):
    x, y = data
    y = np.minimum(y, np.arange(ROWS) % 3)
    weights = compute_class_weight("balanced", classes=np.unique(y), y=y)
    expected = network().fit(x, y, sample_weight=weights[y], verbose=0).history["loss"]
    got = network().fit(x, y, class_weight="balanced", verbose=0).history["loss"]
    assert got == pytest.approx(expected, rel=1e-12)
    hot = network(loss="categorical_crossentropy")
    got = hot.fit(x, np.eye(3)[y], class_weight="balanced", verbose=0).history["loss"]
    assert got == pytest.approx(expected, rel=1e-12)
    # Rows that weigh nothing are of no class.
    mask = np.arange(ROWS) < 30
    labels = np.where(mask, y, -1)
    masked = network().fit(x, labels, sample_weight=mask, class_weight="balanced", verbose=0)
    by_hand = compute_class_weight("balanced", classes=np.unique(y[mask]), y=y[mask])[y] * mask
    assert masked.history == network().fit(x, y, sample_weight=by_hand, verbose=0).history
    with pytest.raises(ValueError, match="counts the classes of all rows"):
        network().fit(Batches([(x, y)]), class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="counts the classes of all rows"):
        network().train_on_batch(x, y, class_weight="balanced")


@pytest.mark.parametrize(
    "given", [{"kind": {1: 3.0}}, [{1: 3.0}, None], {"kind": {1: 3.0}, "size": None}]
)
def test_classes_of_an_output(given, data):
    x, y = data
    targets, weights = [y, x[:, 0]], {"kind": np.where(y == 1, 3.0, 1.0)}
    history = two_outputs().fit(x, targets, class_weight=given, verbose=0).history
    assert history == two_outputs().fit(x, targets, sample_weight=weights, verbose=0).history
    both = two_outputs().fit(x, targets, class_weight=given, sample_weight=weights, verbose=0)
    squared = {"kind": weights["kind"] ** 2}
    assert both.history == two_outputs().fit(x, targets, sample_weight=squared, verbose=0).history


def test_classes_of_steps(rng):
    x, y = rng.normal(size=(12, 5, 4)), rng.integers(0, 3, (12, 5))
    weights = np.where(y == 2, 4.0, 1.0)
    found = []
    for arguments in ({"class_weight": {2: 4.0}}, {"sample_weight": weights}):
        model = eg.Sequential([layers.Dense(3)], seed=1)
        model.compile("sgd", "sparse_categorical_crossentropy")
        found.append(model.fit(x, y, verbose=0, **arguments).history)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({0: 1.0, 7: 2.0}, ValueError, "class_weight: no class 7; the classes are 0, 1, 2"),
        ({-1: 1.0}, ValueError, "no class -1"),
        ({"0": 1.0}, TypeError, r"class numbers as keys, as in the targets, got '0' \(str\)"),
        ({0.5: 1.0}, TypeError, "class numbers as keys"),
        ({1: -1.0}, ValueError, r"class_weight\[1\]: expected a number in \[0, inf\), got -1"),
        ({1: None}, TypeError, r"class_weight\[1\]: expected a number, got None"),
        ({1: "a"}, TypeError, r"class_weight\[1\]: expected a number, got 'a'"),
        ("even", TypeError, "a dict from class number to weight, or \"balanced\", got 'even'"),
        ([1.0, 2.0], TypeError, "a dict from class number"),
    ],
)
def test_class_weights_that_are_none(given, error, message, data):
    model = network()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        model.fit(*data, class_weight=given, verbose=0)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_class_weights_of_several_outputs_name_them(data):
    x, y = data
    for given, message in (
        ({0: 1.0}, "for each of the outputs kind, size, as a list or as a dict by their names"),
        ("balanced", r"class_weight\['size'\]: expected targets that are classes"),
        ({"knd": {0: 1.0}}, "no output 'knd'; did you mean 'kind'"),
    ):
        with pytest.raises(ValueError, match=message):
            two_outputs().fit(x, [y, x[:, 0]], class_weight=given, verbose=0)


def test_zero_and_one_are_not_minus_one_and_one(data):
    x, y = data
    with pytest.raises(ValueError, match="no class 0; the classes are -1, 1"):
        network(1, "hinge").fit(x, np.where(y > 0, 1, -1), class_weight={0: 2.0}, verbose=0)


@pytest.mark.parametrize("class_weight", [{0: 1.0, 1: 10.0, 2: 0.1}, "balanced"])
def test_validation_is_not_weighted_by_class(class_weight, data):
    x, y = data
    weight = np.linspace(0.5, 2.0, ROWS)
    model = network(weighted_metrics=["accuracy"])
    arguments = {"verbose": 0, "class_weight": class_weight, "shuffle": False}
    split = {"validation_split": 0.25, "validation_shuffle": False}
    cut = round(0.75 * ROWS + 0.1)
    got = model.fit(x, y, sample_weight=weight, **split, **arguments).history
    other = network(weighted_metrics=["accuracy"])
    held = x[cut:], y[cut:], weight[cut:]
    rest = {"sample_weight": weight[:cut], "validation_data": held}
    assert got == other.fit(x[:cut], y[:cut], **rest, **arguments).history
    expected = (entropies(model, x, y) * weight)[cut:].mean()
    assert got["val_loss"] == [pytest.approx(expected, rel=1e-12)]


# ---- numbers that stand for no class


@pytest.mark.parametrize("mark", [-1, 255, 1])
def test_what_is_of_no_class_does_not_count(mark, data, rng):
    x, y = data
    labels = np.where(rng.random(ROWS) < 0.3, mark, y)
    counted = labels != mark
    weight = rng.uniform(size=ROWS)
    loss = losses.SparseCategoricalCrossentropy(ignore_class=mark)
    for end in (None, "softmax"):
        model = network(loss=loss, end=end, metrics=["accuracy"], weighted_metrics=["acc"])
        probable = model.predict(x) if end else special.softmax(model.predict(x), axis=1)
        each = -np.log(np.take_along_axis(probable, y[:, None], 1)[:, 0])
        right = probable.argmax(axis=1) == y
        figures = model.evaluate(x, labels, sample_weight=weight, batch_size=ROWS, return_dict=True)
        assert figures["loss"] == pytest.approx((each * weight)[counted].sum() / counted.sum())
        assert figures["accuracy"] == pytest.approx(right[counted].mean())
        shares = weight[counted] / weight[counted].sum()
        assert figures["acc"] == pytest.approx(right[counted] @ shares)
    # Training is that on the rows that count, at their share of the rate.
    model.fit(x, labels, batch_size=ROWS, verbose=0, validation_split=0.0)
    other = network(end="softmax")
    other.fit(x[counted], labels[counted], batch_size=ROWS, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], other.get_weights()[0], rtol=1e-12)


def test_steps_of_no_class(rng):
    logits, y = rng.normal(size=(6, 5, 3)), rng.integers(0, 3, (6, 5))
    y[rng.random((6, 5)) < 0.4] = -1
    counted = y >= 0
    each = -np.take_along_axis(special.log_softmax(logits, -1), np.maximum(y, 0)[..., None], -1)
    each = each[..., 0]
    for weight in (None, rng.uniform(size=6), rng.uniform(size=(6, 5))):
        factor = 1.0 if weight is None else weight if weight.ndim == 2 else weight[:, None]
        values = np.where(counted, each * factor, 0.0)
        for reduction, expected in (
            ("mean", values.sum() / counted.sum()),
            ("sum", values.mean(axis=1).sum()),
        ):
            loss = losses.SparseCategoricalCrossentropy(True, -1, reduction)
            dirty = eg.tensor(np.where(counted[..., None], logits, np.nan), requires_grad=True)
            value = loss(y, dirty, weight)
            assert value.item() == pytest.approx(expected)
            value.backward()
            assert (dirty.grad.numpy()[~counted] == 0.0).all()
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    assert loss([-1, -1], [[0.5, 0.5], [0.1, 0.9]]).item() == 0.0
    with pytest.raises(ValueError, match="got 2 in row 1"):
        loss([0, 2], [[0.5, 0.5], [0.1, 0.9]])
    with pytest.raises(TypeError, match="ignore_class: expected an integer"):
        losses.SparseCategoricalCrossentropy(ignore_class=0.5)


def test_a_model_that_passes_classes_over_survives_a_file(data, tmp_path):
    x, y = data
    model = network(loss=losses.SparseCategoricalCrossentropy(ignore_class=-1), metrics=["acc"])
    model.fit(x, y - 1, epochs=2, verbose=0, class_weight="balanced")
    model.save(tmp_path / "m.safetensors")
    again = eg.load_model(tmp_path / "m.safetensors")
    assert again.evaluate(x, y - 1) == model.evaluate(x, y - 1)
