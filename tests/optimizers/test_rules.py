"""Every rule in every convention: known trajectories, and an independent statement in NumPy."""

from functools import partial

import numpy as np
import pytest
from optimizer_statements import (
    RULES,
    adadelta,
    adagrad,
    adam,
    adamax,
    amsgrad,
    lion,
    nadam,
    rmsprop,
    sgd,
    stated,
    steps,
    walk,
)

import evengrad as eg
from evengrad import optimizers

GRADIENTS = (0.5, -0.25, 1.0)
CONVENTIONS = ("keras", "torch", "tf1")


# AdaDelta begins with tiny steps: η = 100. Literals of 50-digit arithmetic.
ADADELTA = [
    ("keras", (0.858579209444721, 0.949865815501162, 0.757941262441170)),
    ("torch", (0.683778558348752, 0.892287261127886, 0.461615699908142)),
    ("tf1", (0.955278658338537, 0.984146156402022, 0.923454102243911)),
]


@pytest.mark.parametrize(("convention", "expected"), ADADELTA)
def test_known_trajectories_of_adadelta(convention, expected):
    got = walk(optimizers.Adadelta(100.0, convention=convention), steps(*GRADIENTS))[:, 0]
    np.testing.assert_allclose(got, expected, atol=1e-13, rtol=0)


# Three steps from 1 with gradients .5, −.25, 1 and η = .1: literals of the rules' own algebra.
KNOWN = [
    ("Adagrad", {}, "keras", (0.915484586601, 0.954409529091, 0.870268899687)),
    ("Adagrad", {}, "torch", (0.900000000020, 0.944721359562, 0.857434203475)),
    ("Adagrad", {}, "tf1", (0.915484574527, 0.954409521735, 0.870268889353)),
    ("RMSprop", {}, "keras", (0.683772866437, 0.831214566172, 0.549356748048)),
    ("RMSprop", {}, "torch", (0.000000200000, 0.449013374422, -0.425726216071)),
    ("RMSprop", {}, "tf1", (0.948012475512, 0.975310030032, 0.867154509557)),
    (
        "RMSprop",
        {"momentum": 0.9, "centered": True},
        "keras",
        (0.666667407405, 0.515146279932, 0.079904860837),
    ),
    (
        "RMSprop",
        {"momentum": 0.9, "centered": True},
        "torch",
        (-0.005037613239, -0.460122948565, -1.749652525352),
    ),
    (
        "RMSprop",
        {"momentum": 0.9, "centered": True},
        "tf1",
        (0.947942079373, 0.928394016762, 0.801753526363),
    ),
    ("AdamW", {}, "keras", (0.899600632452, 0.872607238955, 0.806447217728)),
    ("AdamW", {}, "torch", (0.899000002000, 0.871467298706, 0.804784672376)),
    ("AdamW", {"weight_decay": 0.01}, "tf1", (0.890000063246, 0.854466373719, 0.780110568126)),
    ("Nadam", {}, "keras", (0.893721240925, 0.932980757020, 0.838192615646)),
    ("Nadam", {}, "torch", (0.894354824277, 0.935465796161, 0.835655586074)),
    ("Nadam", {}, "tf1", (0.810000120166, 0.819321911279, 0.704319729494)),
    ("Adamax", {}, "keras", (0.900000020000, 0.878926318935, 0.835383887865)),
    ("Adamax", {}, "torch", (0.900000002000, 0.878926297137, 0.835383862148)),
    ("Adamax", {}, "tf1", (0.900000002000, 0.878926297138, 0.835383862149)),
]


@pytest.mark.parametrize(("name", "settings", "convention", "expected"), KNOWN)
def test_known_trajectories(name, settings, convention, expected):
    optimizer = getattr(optimizers, name)(0.1, convention=convention, **settings)
    got = walk(optimizer, steps(*GRADIENTS))[:, 0]
    np.testing.assert_allclose(got, expected, atol=6e-13, rtol=0)


@pytest.mark.parametrize(
    ("convention", "moved"),
    [("keras", 3.162278e-6), ("torch", 9.090909e-2), ("tf1", 1.054093e-9)],
)
def test_a_tiny_gradient_shows_epsilon(convention, moved):
    got = walk(optimizers.RMSprop(0.1, convention=convention), steps(1e-8), start=0.0)
    assert -got[0, 0] == pytest.approx(moved, rel=1e-6)


@pytest.fixture(params=["any", "tiny"])
def gradients(request):
    """150 steps of 40 parameters, sizes from 1e-12 to 10, or all of 1e-12."""
    rng = np.random.default_rng(0)
    low, high = {"any": (-12, 1), "tiny": (-12.5, -11.5)}[request.param]
    sizes = 10.0 ** rng.uniform(low, high, size=(150, 40))
    return sizes * rng.choice([-1.0, 1.0], size=sizes.shape)


def test_no_rule_is_left_out():
    # These two have tests of their own.
    named = {name for name, _, _ in RULES} | {"Lion", "AdamW"}
    assert named == {
        name
        for name, thing in vars(optimizers).items()
        if isinstance(thing, type)
        and issubclass(thing, optimizers.Optimizer)
        and thing is not optimizers.Optimizer
    }


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("name", "rule", "settings"), RULES)
def test_many_steps(gradients, convention, name, rule, settings):
    if settings.get("amsgrad"):
        if convention == "tf1":
            with pytest.raises(ValueError, match="has none"):
                optimizers.Adam(convention=convention, **settings)
            return
        rule = partial(rule, b2=settings["beta_2"])
    rate = 1.0 if name == "Adadelta" else 0.01
    optimizer = getattr(optimizers, name)(rate, convention=convention, **settings)
    got = walk(optimizer, gradients, start=0.0)
    expected = stated(rule(convention, **settings), gradients, start=0.0)
    # Relative to how far each parameter has come, so that the tiny steps count.
    scale = np.maximum.accumulate(np.abs(expected), axis=0)
    assert (np.abs(got - expected) / scale).max() < 1e-12


def test_lion_over_many_steps(gradients):
    got = walk(optimizers.Lion(0.01), gradients)
    np.testing.assert_allclose(got, stated(lion(""), gradients), rtol=0, atol=1e-12)


def test_lion_stays_where_nothing_pulls_and_shows_what_is_no_number():
    zeros = np.array([0.0, -0.0, np.nan])
    got = walk(optimizers.Lion(0.5), [zeros])
    np.testing.assert_array_equal(got[0], [1.0, 1.0, np.nan])


def test_adagrad_s_falling_rate(gradients):
    got = walk(optimizers.Adagrad(0.01, lr_decay=0.1, convention="torch"), gradients, 0.0)
    expected = stated(adagrad("torch", lr_decay=0.1), gradients, 0.0)
    scale = np.maximum.accumulate(np.abs(expected), axis=0)
    assert (np.abs(got - expected) / scale).max() < 1e-12


# What float32 rounds, in units of how far a parameter has come: 150 steps, each of a few roundings.
CLOSE_IN_FLOAT32 = 2e-5


IN_FLOAT32 = [
    (convention, *rule)
    for rule in RULES
    for convention in CONVENTIONS
    if not (convention == "tf1" and "amsgrad" in rule[2])
]


@pytest.mark.parametrize(
    ("convention", "name", "rule", "settings"), [*IN_FLOAT32, ("keras", "Lion", lion, {})]
)
def test_many_steps_in_float32(convention, name, rule, settings):
    """Gradients whose squares float32 holds, against the statement in float64 on the same."""
    if settings.get("amsgrad"):
        rule = partial(rule, b2=settings["beta_2"])
    rng = np.random.default_rng(1)
    sizes = 10.0 ** rng.uniform(-3, 1, size=(150, 40))
    gradients = (sizes * rng.choice([-1.0, 1.0], size=sizes.shape)).astype("float32")
    rate = 1.0 if name == "Adadelta" else 0.01
    word = {} if name == "Lion" else {"convention": convention}
    got = walk(getattr(optimizers, name)(rate, **word, **settings), gradients, start=0.0)
    assert got.dtype == np.float32
    expected = stated(rule(convention, rate, **settings), gradients.astype("float64"), start=0.0)
    scale = np.maximum.accumulate(np.abs(expected), axis=0)
    error = np.abs(got - expected) / scale
    # A variance that is the difference of two nearly equal numbers has fewer digits.
    assert error.max() < (50 if settings.get("centered") else 1) * CLOSE_IN_FLOAT32


# ---- decay of the weights


@pytest.mark.parametrize(
    ("name", "rule"), [("Adadelta", adadelta), ("Adamax", adamax), ("Lion", lion)]
)
@pytest.mark.parametrize("convention", ["keras", "torch"])
def test_decay_of_the_other_rules(gradients, name, rule, convention):
    word = {} if name == "Lion" else {"convention": convention}
    if name == "Lion" and convention == "torch":
        convention = "keras"
    optimizer = getattr(optimizers, name)(0.01, weight_decay=0.1, **word)

    def before(w, g):
        return (w - 0.01 * 0.1 * w, g) if convention == "keras" else (w, g + 0.1 * w)

    expected = stated(rule(convention, 0.01), gradients, before=before)
    np.testing.assert_allclose(walk(optimizer, gradients), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("convention", ["keras", "torch"])
def test_adamw_with_the_largest_square(convention):
    """θ ← θ − ηλθ, then the known step of AMSGrad: from 1 with 1, −.1, .1, β₂ .9, η .1, λ .5."""
    known = {
        "keras": (0.900000031623, 0.841961949967, 0.792150513102),
        "torch": (0.900000001000, 0.841961901791, 0.792150449994),
    }[convention]
    w, expected = 1.0, []
    for before, after in zip((1.0, *known), known, strict=False):
        w = w * 0.95 + (after - before)
        expected.append(w)
    optimizer = optimizers.AdamW(0.1, 0.5, beta_2=0.9, amsgrad=True, convention=convention)
    got = walk(optimizer, steps(1.0, -0.1, 0.1))[:, 0]
    np.testing.assert_allclose(got, expected, atol=2e-12, rtol=0)


def test_adamw_with_the_largest_square_over_many_steps(gradients):
    optimizer = optimizers.AdamW(0.01, 0.1, beta_2=0.9, amsgrad=True)
    rule = amsgrad("keras", b2=0.9)
    expected = stated(rule, gradients, before=lambda w, g: (w - 0.01 * 0.1 * w, g))
    np.testing.assert_allclose(walk(optimizer, gradients), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("SGD", sgd), ("Adam", adam), ("RMSprop", rmsprop), ("Adagrad", adagrad), ("Nadam", nadam)],
)
@pytest.mark.parametrize("convention", ["keras", "torch"])
def test_weight_decay(gradients, name, rule, convention):
    optimizer = getattr(optimizers, name)(0.01, weight_decay=0.1, convention=convention)
    assert optimizer.weight_decay == 0.1

    def before(w, g):
        return (w - 0.01 * 0.1 * w, g) if convention == "keras" else (w, g + 0.1 * w)

    expected = stated(rule(convention), gradients, before=before)
    np.testing.assert_allclose(walk(optimizer, gradients), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_adamw_over_many_steps(gradients, convention):
    def before(w, g):
        return w - (0.1 if convention == "tf1" else 0.01 * 0.1) * w, g

    optimizer = optimizers.AdamW(0.01, 0.1, convention=convention)
    expected = stated(adam(convention), gradients, before=before)
    np.testing.assert_allclose(walk(optimizer, gradients), expected, rtol=1e-12, atol=1e-13)


def test_decay_follows_the_schedule_of_the_rate():
    optimizer = optimizers.SGD(lambda step: 0.5 / (step + 1), weight_decay=0.1)
    got = walk(optimizer, steps(0.0, 0.0))
    np.testing.assert_allclose(got[:, 0], [0.95, 0.95 * 0.975], rtol=1e-15)


def test_clipping_comes_before_decay():
    optimizer = optimizers.SGD(1.0, weight_decay=0.5, clipvalue=1.0, convention="torch")
    got = walk(optimizer, steps(3.0), start=4.0)
    assert got[0, 0] == 4.0 - (1.0 + 0.5 * 4.0)


def test_decay_changes_between_steps():
    optimizer = optimizers.SGD(1.0, weight_decay=0.5)
    optimizer.weight_decay = 0.25
    assert walk(optimizer, steps(0.0))[0, 0] == 0.75
    with pytest.raises(ValueError, match="weight_decay: SGD was made without"):
        optimizers.SGD(1.0).weight_decay = 0.5


# ---- arguments


@pytest.mark.parametrize(
    ("name", "convention", "expected"),
    [
        ("Adagrad", "keras", {"learning_rate": 1e-3, "initial_accumulator_value": 0.1}),
        ("Adagrad", "torch", {"learning_rate": 1e-2, "epsilon": 1e-10, "lr_decay": 0.0}),
        ("RMSprop", "keras", {"learning_rate": 1e-3, "rho": 0.9, "epsilon": 1e-7}),
        ("RMSprop", "torch", {"learning_rate": 1e-2, "rho": 0.99, "epsilon": 1e-8}),
        ("RMSprop", "tf1", {"rho": 0.9, "epsilon": 1e-10}),
        ("AdamW", "keras", {"weight_decay": 0.004, "epsilon": 1e-7}),
        ("AdamW", "torch", {"weight_decay": 0.01, "epsilon": 1e-8}),
        ("Nadam", "keras", {"learning_rate": 1e-3, "momentum_decay": 1.0, "epsilon": 1e-7}),
        ("Nadam", "torch", {"learning_rate": 2e-3, "momentum_decay": 0.004, "epsilon": 1e-8}),
        ("Nadam", "tf1", {"momentum_decay": None, "epsilon": 1e-8}),
        ("Adadelta", "keras", {"learning_rate": 1e-3, "rho": 0.95, "epsilon": 1e-7}),
        ("Adadelta", "torch", {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6}),
        ("Adadelta", "tf1", {"learning_rate": 1e-3, "rho": 0.95, "epsilon": 1e-8}),
        ("Adamax", "keras", {"learning_rate": 1e-3, "epsilon": 1e-7}),
        ("Adamax", "torch", {"learning_rate": 2e-3, "epsilon": 1e-8}),
        ("Adamax", "tf1", {"learning_rate": 1e-3, "epsilon": 1e-8}),
    ],
)
def test_defaults_of_the_conventions(name, convention, expected):
    optimizer = getattr(optimizers, name)(convention=convention)
    assert {key: getattr(optimizer, key) for key in expected} == expected
    again = type(optimizer)(**optimizer.get_config())
    assert repr(again) == repr(optimizer)
    given = getattr(optimizers, name)(0.5, epsilon=None, convention=convention)
    assert given.learning_rate == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.Adagrad(lr_decay=0.1), "lr_decay"),
        (lambda: optimizers.Adagrad(epsilon=0.1, convention="tf1"), "has none"),
        (
            lambda: optimizers.Adagrad(initial_accumulator_value=0.0, convention="tf1"),
            "initial_accumulator_value",
        ),
        (lambda: optimizers.RMSprop(rho=1.0), "rho"),
        (lambda: optimizers.Nadam(momentum_decay=0.1, convention="tf1"), "has none"),
        (lambda: optimizers.AdamW(convention="tf1"), "no default"),
        (lambda: optimizers.AdamW(0.1, None), "weight_decay: .*None; leave it out .*use Adam"),
        (lambda: optimizers.AdamW(weight_decay=None, convention="torch"), "weight_decay: .*None"),
        (lambda: optimizers.Adam(weight_decay=0.1, convention="tf1"), "use AdamW"),
        (lambda: optimizers.SGD(0.1, weight_decay=-0.1), "weight_decay"),
        (lambda: optimizers.Adamax(beta_2=1.0), "beta_2"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- in models


def every_rule():
    for name in ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Nadam", "Adamax"):
        for convention in CONVENTIONS:
            settings = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
            settings |= {"centered": True} if name == "RMSprop" else {}
            settings |= {"weight_decay": 0.01} if convention != "tf1" or name == "AdamW" else {}
            yield getattr(optimizers, name)(0.01, convention=convention, **settings)
    yield optimizers.Lion(weight_decay=0.1)


@pytest.mark.parametrize("optimizer", list(every_rule()), ids=repr)
def test_saved_in_the_middle_it_goes_on_with_the_same_bits(optimizer, tmp_path):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 1))

    def model(optimizer, eager=False):
        made = eg.Sequential(
            [eg.Input((4,)), eg.layers.Dense(5, "tanh"), eg.layers.Dense(1)], seed=1
        )
        made.compile(optimizer, "mse", run_eagerly=eager)
        return made

    copy = type(optimizer)(**optimizer.get_config())
    whole = model(optimizer)
    before = whole.evaluate(x, y)
    whole.fit(x, y, epochs=2, batch_size=16, verbose=0)
    whole.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert repr(again.optimizer) == repr(whole.optimizer)
    for one in (whole, again):
        one.fit(x, y, epochs=2, batch_size=16, verbose=0)
    eager = model(copy, eager=True)
    eager.fit(x, y, epochs=4, batch_size=16, verbose=0)
    for left, right, third in zip(
        whole.get_weights(), again.get_weights(), eager.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(left, right)
        np.testing.assert_array_equal(left, third)
    assert whole.evaluate(x, y) < before


def test_nadam_s_product_is_exact_after_beta_has_changed(tmp_path):
    model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(1)], seed=2)
    model.compile(optimizers.Nadam(0.01, beta_1=lambda step: 0.9 if step < 3 else 0.5), "mse")
    x, y = np.ones((4, 2)), np.ones(4)
    model.fit(x, y, epochs=5, verbose=0)
    model.optimizer.beta_1 = 0.7
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert again.optimizer._core.memory == model.optimizer._core.memory
    for one in (model, again):
        one.fit(x, y, epochs=3, verbose=0)
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_nadam_s_product_follows_the_step_count():
    one, other = optimizers.Nadam(0.1), optimizers.Nadam(0.1)
    walk(one, steps(*GRADIENTS))
    other.iterations = 3
    assert other._core.memory == one._core.memory
