"""Builders of networks: widths of funnels, and the chapter's default combinations."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import evengrad as eg
from evengrad import layers, models
from evengrad.optimizers.schedules import OneCycle, OneCycleMomentum

RNG = np.random.default_rng(3)
BLOBS = 3.0 * RNG.normal(size=(3, 6))
LABELS = RNG.integers(0, 3, size=240)
ROWS = 5.0 + BLOBS[LABELS] + RNG.normal(size=(240, 6))


def dense_of(model):
    return [layer for layer in model.layers if isinstance(layer, layers.Dense)]


def kinds_of(model):
    return [type(layer).__name__ for layer in model.layers]


# ---- funnels


def test_the_widths_of_the_specification():
    assert models.funnel_widths(64, 10, 3) == [40, 25, 16]


@given(st.integers(1, 40), st.integers(0, 5000), st.integers(1, 12))
def test_geometric_widths_are_the_nearest_whole_numbers(n_out, more, hidden):
    n_in, parts = n_out + more, hidden + 1
    widths = models.funnel_widths(n_in, n_out, hidden)
    assert len(widths) == hidden
    for k, width in enumerate(widths, start=1):
        # The width to the power L + 1 is a whole number: no rounding here.
        exact, half = n_in ** (parts - k) * n_out**k, Fraction(1, 2)
        slack = Fraction(1, 10**9)
        assert (width - half - slack) ** parts <= exact <= (width + half + slack) ** parts
    assert widths == sorted(widths, reverse=True)


@given(st.integers(1, 40), st.integers(0, 5000), st.integers(1, 12))
def test_linear_widths_are_the_nearest_whole_numbers(n_out, more, hidden):
    n_in = n_out + more
    for k, width in enumerate(models.funnel_widths(n_in, n_out, hidden, "linear"), start=1):
        exact = n_in - Fraction(more * k, hidden + 1)
        assert abs(width - exact) <= Fraction(1, 2) + Fraction(1, 10**9)


def test_as_many_outputs_as_inputs():
    assert models.funnel_widths(7, 7, 2) == models.funnel_widths(7, 7, 2, "linear") == [7, 7]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, 4, 1), ValueError, "n_out: expected at most n_in = 3"),
        ((3, 2, 0), ValueError, "hidden: expected 1 or more, got 0"),
        ((0, 2, 1), ValueError, "n_in: expected 1 or more, got 0"),
        ((3.0, 2, 1), TypeError, "n_in: expected an integer"),
        ((3, 2, [4]), TypeError, "hidden: expected an integer"),
        ((3, 2, 1, "geometrical"), ValueError, "did you mean 'geometric'"),
    ],
)
def test_what_is_no_funnel(arguments, error, message):
    for build in (models.funnel_widths, lambda *a: models.funnel(*a[:3], shape=(*a, "linear")[3])):
        with pytest.raises(error, match=message):
            build(*arguments)


def test_a_funnel_is_a_chain_with_paired_first_values():
    model = models.funnel(64, 10, 3, activation="selu", dtype="float64", seed=1, name="narrow")
    assert [layer.units for layer in model.layers] == [40, 25, 16, 10]
    names = [type(layer.kernel_initializer).__name__ for layer in model.layers]
    assert names == ["LecunNormal"] * 3 + ["GlorotUniform"]
    assert model.predict(np.zeros((2, 64))).shape == (2, 10)
    assert (model.name, model.dtype, model.seed) == ("narrow", "float64", 1)
    with pytest.raises(RuntimeError, match="compile"):
        model.fit(np.zeros((2, 64)), np.zeros(2))


def test_each_hidden_layer_has_an_activation_of_its_own():
    model = models.funnel(9, 2, 3, activation=layers.PReLU())
    found = [layer.activation for layer in model.layers[:-1]]
    assert len({id(one) for one in found}) == 3
    assert all(isinstance(one, layers.PReLU) for one in found)


def test_scopes_reach_the_hidden_layers_of_a_funnel():
    norm = layers.BatchNormalization()
    with eg.default_arguments(layers.Dense, norm=norm, kernel_regularizer="l2"):
        model = models.funnel(9, 2, 2)
    assert [layer.norm is not None for layer in model.layers] == [True, True, False]
    assert all(layer.kernel_regularizer is not None for layer in model.layers)


# ---- the default combination


@pytest.mark.parametrize(("edition", "depth", "normal"), [(2, 4, 0), (2, 5, 5), (1, 2, 2)])
def test_normalization_by_edition_and_depth(edition, depth, normal):
    model = models.guideline("default", 6, 3, [8] * depth, edition=edition)
    hidden = dense_of(model)[:-1]
    norms = [layer.norm for layer in hidden]
    assert sum(isinstance(norm, layers.BatchNormalization) for norm in norms) == normal
    assert all(layer.use_bias is (layer.norm is None) for layer in hidden)
    assert {type(layer.kernel_initializer).__name__ for layer in hidden} == {"HeNormal"}
    assert {layer.activation for layer in hidden} == {eg.elu}


def test_normalization_on_demand():
    for wanted, depth in [(True, 1), (False, 6)]:
        model = models.guideline("default", 6, 3, [8] * depth, batch_norm=wanted)
        assert all((layer.norm is not None) is wanted for layer in dense_of(model)[:-1])
        assert dense_of(model)[-1].norm is None


def test_scopes_reach_what_the_guideline_leaves_open():
    with (
        eg.default_arguments(layers.BatchNormalization, momentum=0.9),
        eg.default_arguments(eg.optimizers.SGD, clipnorm=1.0),
        eg.default_arguments(layers.Dense, activation="tanh", kernel_constraint="non_neg"),
    ):
        model = models.guideline("default", 6, 3, [8], batch_norm=True)
    assert (model.layers[0].norm.momentum, model.optimizer.clipnorm) == (0.9, 1.0)
    assert model.layers[0].activation is eg.elu
    assert model.layers[0].kernel_constraint is not None


def test_the_first_edition():
    model = models.guideline("default", 6, 3, [8, 8], edition=1)
    assert kinds_of(model) == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert model.layers[1].rate == 0.5
    assert repr(model.optimizer) == repr(eg.optimizers.Adam(0.001))
    without = models.guideline("default", 6, 3, [8], edition=1, dropout=0, optimizer="nesterov")
    assert kinds_of(without) == ["Dense", "Dense"]
    assert without.optimizer.nesterov


def test_the_second_edition():
    model = models.guideline("default", 6, 3, [8, 8], l2=0.01)
    assert kinds_of(model) == ["Dense"] * 3
    penalties = [layer.kernel_regularizer for layer in model.layers]
    assert [repr(one) for one in penalties[:2]] == [repr(eg.regularizers.L2(0.01))] * 2
    assert penalties[2] is None
    expected = eg.optimizers.SGD(0.01, momentum=0.9)
    assert repr(model.optimizer) == repr(expected)


def test_the_network_that_normalizes_itself():
    rows = np.random.default_rng(0).normal(size=(4000, 20))
    model = models.guideline("self_normalizing", 20, 3, [40] * 6, seed=0, dropout=0.05)
    assert model.check_selu((rows - rows.mean(0)) / rows.std(0)) == []
    assert kinds_of(model) == ["Dense", "AlphaDropout"] * 6 + ["Dense"]
    # Signals keep mean and variance to the last hidden layer, noise included.
    x = eg.tensor(rows.astype("float32"))
    for layer in model.layers[:-1]:
        x = layer(x, training=True)
    assert abs(x.numpy().mean()) < 0.2
    assert 0.6 < x.numpy().std() < 1.4


def test_inputs_are_standardized_on_demand():
    model = models.guideline("self_normalizing", 6, 3, 2, standardize=ROWS, dtype="float64")
    assert kinds_of(model)[0] == "Normalization"
    seen = model.layers[0](ROWS).numpy()
    np.testing.assert_allclose(seen.mean(0), 0.0, atol=1e-12)
    np.testing.assert_allclose(seen.std(0), 1.0, rtol=1e-12)
    assert model.check_selu(ROWS) == []


@pytest.mark.parametrize(
    ("name", "kind", "rate"),
    [
        ("momentum", "SGD", 0.01),
        ("nesterov", "SGD", 0.01),
        ("rmsprop", "RMSprop", 0.001),
        ("adam", "Adam", 0.001),
        ("nadam", "Nadam", 0.001),
    ],
)
def test_optimizers(name, kind, rate):
    model = models.guideline("default", 6, 3, [8], optimizer=name)
    assert (type(model.optimizer).__name__, model.optimizer.learning_rate) == (kind, rate)
    if kind == "SGD":
        assert (model.optimizer.momentum, model.optimizer.nesterov) == (0.9, name == "nesterov")
    cycling = models.guideline("default", 6, 3, [8], optimizer=name, total_steps=100)
    cycle = cycling.optimizer.learning_rate
    assert isinstance(cycle, OneCycle)
    assert (cycle.max_learning_rate, cycle.total_steps) == (pytest.approx(5 * rate), 100)
    if kind == "SGD":
        assert isinstance(cycling.optimizer.momentum, OneCycleMomentum)
    own = models.guideline("default", 6, 3, [8], optimizer=name, learning_rate=0.5, total_steps=100)
    assert own.optimizer.learning_rate.max_learning_rate == 0.5


@pytest.mark.parametrize(
    ("n_out", "task", "activation"),
    [
        (3, "classification", "softmax"),
        (1, "classification", "sigmoid"),
        (2, "regression", "linear"),
    ],
)
@pytest.mark.parametrize("kind", ["default", "self_normalizing"])
def test_each_task_is_learned(kind, n_out, task, activation, tmp_path):
    targets = BLOBS[LABELS][:, :2] / BLOBS.std()
    y = {"softmax": LABELS, "sigmoid": LABELS == 0, "linear": targets}[activation]
    epochs, batch = 15, 16
    model = models.guideline(
        kind,
        6,
        n_out,
        [20, 20],
        task=task,
        standardize=ROWS,
        total_steps=epochs * len(ROWS) // batch,
        seed=2,
    )
    head = dense_of(model)[-1]
    assert head.activation is eg.activations.get(activation)
    assert type(head.kernel_initializer).__name__ == "GlorotUniform"
    y = np.asarray(y, np.float32 if activation != "softmax" else np.int64)
    y = y[:, None] if activation == "sigmoid" else y
    history = model.fit(ROWS, y, batch_size=batch, epochs=epochs, verbose=0).history
    if task == "classification":
        assert history["accuracy"][-1] > 0.95
    else:
        assert history["loss"][-1] < 0.1 * np.var(y)
    # The cycle has come to its end.
    assert model.optimizer.iterations == epochs * len(ROWS) // batch
    model.save(tmp_path / "net")
    again = eg.load_model(tmp_path / "net")
    np.testing.assert_array_equal(again.predict(ROWS), model.predict(ROWS))
    assert again.evaluate(ROWS, y) == model.evaluate(ROWS, y)


def test_losses_are_those_of_the_tasks():
    rng = np.random.default_rng(5)
    for task, n_out, y in [
        ("classification", 3, rng.integers(0, 3, 40)),
        ("classification", 1, rng.integers(0, 2, (40, 1))),
        ("regression", 2, rng.normal(size=(40, 2))),
    ]:
        model = models.guideline("default", 6, n_out, [5], task=task, dtype="float64", seed=1)
        p = model.predict(ROWS[:40])
        if task == "regression":
            expected = ((p - y) ** 2).mean()
        elif n_out == 1:
            expected = -np.log(np.where(y == 1, p, 1 - p)).mean()
        else:
            expected = -np.log(p[np.arange(40), y]).mean()
        found = model.evaluate(ROWS[:40], y)
        np.testing.assert_allclose(np.ravel(found)[0], expected, rtol=1e-9)


def test_a_number_of_hidden_layers_makes_a_funnel():
    model = models.guideline("default", 64, 10, 3)
    assert [layer.units for layer in dense_of(model)] == [40, 25, 16, 10]


def test_the_same_seed_gives_the_same_network():
    one, two = (models.guideline("default", 6, 3, [8, 8], seed=4) for _ in range(2))
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "message"),
    [
        ("defaults", {}, ValueError, "kind: unknown 'defaults'; did you mean 'default'"),
        ("default", {"edition": 4}, ValueError, "edition: expected 1 or 2, got 4"),
        ("default", {"edition": True}, ValueError, "edition: expected 1 or 2, got True"),
        ("default", {"task": "regress"}, ValueError, "task: unknown"),
        ("default", {"optimizer": "adagrad"}, ValueError, "optimizer: unknown 'adagrad'"),
        ("default", {"hidden": [8, 0]}, ValueError, "hidden: expected 1 or more, got 0"),
        ("default", {"n_out": 7, "hidden": 2}, ValueError, "choose the widths"),
        ("default", {"edition": 1, "total_steps": 9}, ValueError, "total_steps: expected None"),
        ("default", {"total_steps": 2}, ValueError, "total_steps: expected 3 or more"),
        ("default", {"learning_rate": -1}, ValueError, "learning_rate: expected a number"),
        ("default", {"dropout": 1.5}, ValueError, "rate"),
        ("default", {"l2": -1.0}, ValueError, "l2"),
        ("self_normalizing", {"edition": 1}, ValueError, "edition: expected 2"),
        ("self_normalizing", {"batch_norm": True}, ValueError, "normalizes itself"),
        ("self_normalizing", {"l2": 0.1}, ValueError, "alpha dropout"),
    ],
)
def test_what_is_refused(kind, arguments, error, message):
    given_arguments = {"n_in": 6, "n_out": 3, "hidden": [8], **arguments}
    with pytest.raises(error, match=message):
        models.guideline(kind, **given_arguments)


@pytest.mark.parametrize(
    ("function", "wrong", "meant"),
    [
        (models.guideline, "dropuot", "dropout"),
        (models.funnel, "shpe", "shape"),
        (models.funnel_widths, "hiden", "hidden"),
    ],
)
def test_a_misspelt_argument_is_answered_with_the_right_one(function, wrong, meant):
    message = rf"{function.__name__}: unknown argument '{wrong}'; did you mean '{meant}'"
    with pytest.raises(TypeError, match=message):
        function(**{wrong: 1})
    # The first argument may be given by name too.
    assert models.funnel_widths(n_in=64, n_out=10, hidden=3) == [40, 25, 16]
