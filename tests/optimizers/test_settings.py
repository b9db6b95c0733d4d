"""Settings of optimizers: the same bounds when made, when assigned, and in every schedule."""

# ruff: noqa: ARG005 - functions have the signatures that they are called with

import copy
import inspect

import numpy as np
import pytest

import evengrad as eg
from evengrad import _core, optimizers

NAN, INF = float("nan"), float("inf")
FACTORS = (1.0, 1.5, -0.1, NAN)
POSITIVE = (0.0, -1e-7, INF, NAN)
OUT_OF_BOUNDS = [
    *(("SGD", "learning_rate", value) for value in (-0.1, INF, NAN)),
    *(("SGD", "weight_decay", value) for value in (-0.1, INF, NAN)),
    *(("SGD", "momentum", value) for value in (2.0, *FACTORS)),
    *(("RMSprop", "momentum", value) for value in (2.0, *FACTORS)),
    *(("RMSprop", "rho", value) for value in FACTORS),
    *(("RMSprop", "epsilon", value) for value in POSITIVE),
    *(("Adadelta", "rho", value) for value in FACTORS),
    *(("Adadelta", "epsilon", value) for value in POSITIVE),
    *(("Adagrad", "epsilon", value) for value in POSITIVE),
    *(
        (name, beta, value)
        for name in ("Adam", "AdamW", "Adamax", "Nadam", "Lion")
        for beta in ("beta_1", "beta_2")
        for value in FACTORS
    ),
    *(
        (name, "epsilon", value)
        for name in ("Adam", "AdamW", "Adamax", "Nadam")
        for value in POSITIVE
    ),
]
WITHIN = {"learning_rate": 0.1, "momentum": 0.5, "rho": 0.5, "epsilon": 1e-3, "weight_decay": 0.1}


def made(name, setting, value=None):
    given = WITHIN.get(setting, 0.5) if value is None else value
    return getattr(optimizers, name)(**{setting: given})


@pytest.mark.parametrize(("name", "setting", "value"), OUT_OF_BOUNDS)
def test_one_rule_for_made_assigned_and_scheduled(name, setting, value):
    expected = rf"^{setting}: expected a number in .*, got {value:g}"
    with pytest.raises(ValueError, match=expected):
        made(name, setting, value)
    optimizer = made(name, setting)
    with pytest.raises(ValueError, match=expected):
        setattr(optimizer, setting, value)
    assert getattr(optimizer, setting) == WITHIN.get(setting, 0.5)
    # A schedule that leaves the bounds in its third step.
    inside = WITHIN.get(setting, 0.5)
    optimizer = made(name, setting, lambda step: value if step == 2 else inside)
    w = eg.tensor(np.ones(1), requires_grad=True)
    for _ in range(2):
        optimizer.apply_gradients([(eg.tensor(np.ones(1)), w)])
    before = w.item()
    with pytest.raises(ValueError, match=rf"^{setting}\(2\): expected a number in"):
        optimizer.apply_gradients([(eg.tensor(np.ones(1)), w)])
    assert (w.item(), optimizer.iterations) == (before, 2)


CLASSES = [
    thing
    for thing in vars(optimizers).values()
    if isinstance(thing, type) and issubclass(thing, optimizers.Optimizer) and "rule" in dir(thing)
]


def test_every_rule_of_the_core_has_a_class():
    assert {cls.rule for cls in CLASSES} == set(_core.optimizer_settings())


@pytest.mark.parametrize("cls", CLASSES)
def test_defaults_are_those_of_the_core(cls):
    """The signature shows what the conventions share; the documentation names the others."""
    arguments = inspect.signature(cls).parameters
    for name, (bounds, by_convention) in _core.optimizer_settings()[cls.rule].items():
        defaults = list(dict.fromkeys(by_convention.values()))
        assert arguments[name].default == (defaults[0] if len(defaults) == 1 else None)
        assert isinstance(defaults[0], bool) == (bounds is None)
        if len(defaults) > 1:
            for value in filter(None, defaults):
                assert f"{value:g}".replace("e-0", "e-") in inspect.getdoc(cls)
    for convention in ("keras", "torch", "tf1"):
        if "convention" not in arguments and convention != "keras":
            continue
        word = {"convention": convention} if "convention" in arguments else {}
        # What has no default must be given.
        given = {"learning_rate": 0.5} if convention == "tf1" else {}
        decay = {"weight_decay": 0.5} if cls is optimizers.AdamW else {}
        optimizer = cls(**given, **decay, **word)
        for name, (_, by_convention) in _core.optimizer_settings()[cls.rule].items():
            assert getattr(optimizer, name) == given.get(name, by_convention[convention])


@pytest.mark.parametrize("name", ["SGD", "RMSprop"])
class TestMomentum:
    """A buffer is there from the beginning, or never."""

    def test_without_a_buffer_none_is_set_later(self, name):
        optimizer = getattr(optimizers, name)(0.1)
        optimizer.momentum = 0.0
        for value in (0.9, lambda step: 0.9):
            with pytest.raises(ValueError, match=f"{name} was made with 0 and so without a buffer"):
                optimizer.momentum = value
        assert optimizer.momentum == 0.0

    def test_with_a_buffer_it_stays_above_0(self, name):
        optimizer = getattr(optimizers, name)(0.1, momentum=0.9)
        with pytest.raises(ValueError, match=r"momentum: expected a number in \(0, 1\), got 0"):
            optimizer.momentum = 0.0
        with pytest.raises(ValueError, match=r"momentum\(0\)"):
            optimizer.momentum = lambda step: 0.0
        assert optimizer.momentum == 0.9

    def test_a_schedule_may_come_to_0(self, name):
        optimizer = getattr(optimizers, name)(1.0, momentum=lambda step: 0.0 if step else 0.5)
        plain = getattr(optimizers, name)(1.0)
        moved = []
        for one in (optimizer, plain):
            w = eg.tensor(np.zeros(1), requires_grad=True)
            for _ in range(2):
                before = w.item()
                one.apply_gradients([(eg.tensor(np.ones(1)), w)])
            moved.append(w.item() - before)
        assert moved[0] == moved[1]

    def test_what_was_assigned_is_saved_copied_and_found_again(self, name, tmp_path):
        x, y = np.ones((8, 2)), np.ones((8, 1))
        model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(1)], seed=3)
        model.compile(getattr(optimizers, name)(0.01, momentum=0.9), "mse")
        model.fit(x, y, epochs=2, verbose=0)
        model.optimizer.momentum = 0.25
        model.save(tmp_path / "net")
        model.find_learning_rate(x, y, steps=5)
        copies = [model, eg.load_model(tmp_path / "net"), copy.deepcopy(model)]
        for one in copies:
            assert one.optimizer.momentum == 0.25
            one.fit(x, y, epochs=2, verbose=0)
        for one in copies[1:]:
            for left, right in zip(model.get_weights(), one.get_weights(), strict=True):
                np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("make", "argument", "other"),
    [
        (optimizers.Adam, "amsgrad", True),
        (lambda: optimizers.SGD(0.1, 0.9), "nesterov", True),
        (lambda: optimizers.SGD(0.1, 0.9, convention="torch"), "dampening", 0.5),
        (optimizers.RMSprop, "centered", True),
        (optimizers.Nadam, "momentum_decay", 0.5),
        (optimizers.Adagrad, "initial_accumulator_value", 0.5),
        (lambda: optimizers.Adagrad(convention="torch"), "lr_decay", 0.5),
        (optimizers.SGD, "convention", "torch"),
        (lambda: optimizers.SGD(clipnorm=1.0), "clipnorm", 2.0),
        (optimizers.SGD, "clipvalue", 2.0),
        (optimizers.SGD, "global_clipnorm", 2.0),
        (optimizers.SGD, "use_ema", True),
        (lambda: optimizers.SGD(use_ema=True), "ema_momentum", 0.5),
        (lambda: optimizers.SGD(use_ema=True), "ema_overwrite_frequency", 5),
        (optimizers.SGD, "gradient_accumulation_steps", 2),
    ],
)
def test_what_the_rule_was_chosen_by_is_not_ignored_later(make, argument, other):
    optimizer = make()
    before = getattr(optimizer, argument)
    setattr(optimizer, argument, before)
    with pytest.raises(AttributeError, match=f"{argument}: .* was made with .* make a new one"):
        setattr(optimizer, argument, other)
    assert getattr(optimizer, argument) == before


def test_epsilon_of_adagrad_under_tf1():
    optimizer = optimizers.Adagrad(convention="tf1")
    with pytest.raises(ValueError, match='epsilon: the convention "tf1" has none'):
        optimizer.epsilon = 1e-7
    with pytest.raises(ValueError, match='epsilon: the convention "tf1" has none'):
        optimizers.Adagrad(epsilon=1e-7, convention="tf1")


class TestDampening:
    def walk(self, gradients, **settings):
        w = eg.tensor(np.zeros(1), requires_grad=True)
        optimizer = optimizers.SGD(1.0, 0.9, convention="torch", **settings)
        path = []
        for g in gradients:
            optimizer.apply_gradients([(eg.tensor(np.array([g])), w)])
            path.append(-w.item())
        return path

    def test_by_hand(self):
        # Buffers 1, .9 · 1 + .75 · 2 = 2.4, .9 · 2.4 + .75 · 4 = 5.16; steps are their sums.
        np.testing.assert_allclose(
            self.walk((1.0, 2.0, 4.0), dampening=0.25), [1.0, 3.4, 8.56], rtol=1e-15
        )
        assert self.walk((1.0, 2.0)) == [1.0, 3.9]

    def test_it_goes_on_from_a_copy(self):
        w = eg.tensor(np.zeros(1), requires_grad=True)
        optimizer = optimizers.SGD(1.0, 0.9, convention="torch", dampening=0.25)
        optimizer.apply_gradients([(eg.tensor(np.ones(1)), w)])
        optimizer, w = copy.deepcopy((optimizer, w))
        optimizer.apply_gradients([(eg.tensor(np.full(1, 2.0)), w)])
        assert w.item() == pytest.approx(-3.4, rel=1e-15)
        assert "dampening=0.25" in repr(optimizer)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"momentum": 0.9}, 'dampening: for the convention "torch"'),
            ({"momentum": 0.9, "convention": "tf1"}, 'dampening: for the convention "torch"'),
            ({"convention": "torch"}, "dampening: expected a momentum above 0"),
            ({"momentum": 0.9, "nesterov": True, "convention": "torch"}, "not Nesterov's"),
        ],
    )
    def test_where_there_is_none(self, settings, message):
        with pytest.raises(ValueError, match=message):
            optimizers.SGD(0.1, dampening=0.1, **settings)
        with pytest.raises(ValueError, match=r"dampening: expected a number in \[0, 1\]"):
            optimizers.SGD(0.1, 0.9, dampening=1.5, convention="torch")


def test_a_tensor_in_place_of_a_list():
    w = eg.tensor(np.ones(2), requires_grad=True)
    for step in (optimizers.SGD(1.0).minimize, optimizers.SGD(1.0).compute_gradients):
        with pytest.raises(TypeError, match="parameters: expected a list of tensors, got one"):
            step((w**2).sum(), w)
    assert w.tolist() == [1.0, 1.0]


def test_a_pair_the_wrong_way_round():
    w, g = eg.tensor(np.ones(2), requires_grad=True), eg.tensor(np.ones(2))
    with pytest.raises(ValueError, match=r"expected \(gradient, parameter\), got a parameter"):
        optimizers.SGD(1.0).apply_gradients([(w, g)])
    assert (w.tolist(), g.tolist()) == ([1.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("way", ["clipnorm", "global_clipnorm"])
@pytest.mark.parametrize("size", [1e200, 1e-200, 4e307, 4.4e307])
def test_clipping_in_float64_beyond_its_squares(way, convention, size):
    g = np.array([3.0, 4.0]) * size
    w = eg.tensor(np.zeros(2), requires_grad=True)
    optimizer = optimizers.SGD(1.0, convention=convention, **{way: 1.0})
    optimizer.apply_gradients([(eg.tensor(g), w)])
    expected = g if size < 1.0 else np.array([0.6, 0.8])
    np.testing.assert_allclose(-w.detach().numpy(), expected, rtol=2e-15, atol=0)


def test_clipping_each_gradient_is_exact_in_every_convention():
    for convention in ("keras", "torch", "tf1"):
        w = eg.tensor(np.zeros(2), requires_grad=True)
        optimizer = optimizers.SGD(1.0, clipnorm=1.0, convention=convention)
        optimizer.apply_gradients([(eg.tensor(np.array([3.0, 4.0])), w)])
        np.testing.assert_allclose(w.detach().numpy(), [-0.6, -0.8], rtol=1e-15)


def test_captured_clipping_has_the_bits_of_eager_steps():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)) * 1e160, rng.normal(size=(20, 1)) * 1e160

    def trained(eager, way):
        model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(1)], dtype="float64", seed=1)
        model.compile(optimizers.SGD(0.1, **{way: 1.0}), "mae", run_eagerly=eager)
        model.fit(x, y, epochs=4, batch_size=5, verbose=0)
        return model.get_weights()

    for way in ("clipnorm", "global_clipnorm"):
        for left, right in zip(trained(False, way), trained(True, way), strict=True):
            assert np.isfinite(left).all()
            np.testing.assert_array_equal(left, right)
