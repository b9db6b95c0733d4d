"""Parameter groups: other learning rates and decays for some of the parameters."""

import copy

import numpy as np
import pytest

import evengrad as eg
from evengrad import optimizers
from evengrad._common.paths import path_of
from evengrad.optimizers import ParameterGroup

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(60, 5)), RNG.normal(size=(60, 2))


def network(optimizer, eager=False):
    model = eg.Sequential(
        [
            eg.Input((5,)),
            eg.layers.Dense(6, "tanh", name="body"),
            eg.layers.Dense(2, name="head"),
        ],
        dtype="float64",
        seed=4,
    )
    model.compile(optimizer, "mse", run_eagerly=eager)
    return model


def every_rule():
    for name in ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Nadam", "Adamax"):
        for convention in ("keras", "torch", "tf1"):
            settings = {"convention": convention}
            if convention != "tf1" or name == "AdamW":
                settings["weight_decay"] = 0.125
            yield name, settings
    yield "Lion", {"weight_decay": 0.125}
    yield "SGD", {"momentum": 0.9, "nesterov": True}
    yield "Adam", {"amsgrad": True}


@pytest.mark.parametrize(("name", "settings"), list(every_rule()))
def test_a_group_is_what_an_optimizer_of_its_own_would_do(name, settings):
    """Both parameters take the path that each would take alone, with the multiplied settings."""
    make = getattr(optimizers, name)
    gradients = RNG.normal(size=(20, 2, 7)) * 10.0 ** RNG.uniform(-6, 1, size=(20, 2, 7))
    a, b, alone = (eg.tensor(np.ones(7), requires_grad=True) for _ in range(3))
    plain = eg.tensor(np.ones(7), requires_grad=True)
    group = ParameterGroup(b, learning_rate_multiplier=0.25, weight_decay_multiplier=2.0)
    both = make(0.5, groups=[group], **settings)
    decay = {"weight_decay": 0.25} if "weight_decay" in settings else {}
    other = make(0.125, **{**settings, **decay})
    usual = make(0.5, **settings)
    for of_a, of_b in gradients:
        both.apply_gradients([(eg.tensor(of_a), a), (eg.tensor(of_b), b)])
        usual.apply_gradients([(eg.tensor(of_a), plain)])
        other.apply_gradients([(eg.tensor(of_b), alone)])
    assert both.iterations == 20
    assert both._core.memory == usual._core.memory
    np.testing.assert_array_equal(a.numpy(), plain.numpy())
    np.testing.assert_array_equal(b.numpy(), alone.numpy())
    assert not np.array_equal(a.numpy(), b.numpy())


def test_multipliers_by_hand():
    a, b, c = (eg.tensor(np.array([8.0]), requires_grad=True) for _ in range(3))
    optimizer = optimizers.SGD(
        1.0,
        weight_decay=0.5,
        groups=[
            {"names": [b, c], "learning_rate_multiplier": 0.5},
            {"names": c, "learning_rate_multiplier": 0.5, "weight_decay_multiplier": 0.0},
        ],
    )
    optimizer.apply_gradients([(eg.tensor(np.array([1.0])), w) for w in (a, b, c)])
    # θ ← θ − ηλθ − ηg
    assert [w.item() for w in (a, b, c)] == [8 - 4 - 1, 8 - 2 - 0.5, 8 - 0.25]


def test_a_schedule_is_multiplied_too():
    a, b = (eg.tensor(np.array([0.0]), requires_grad=True) for _ in range(2))
    optimizer = optimizers.SGD(lambda step: 2.0**-step, groups=[ParameterGroup(b, 0.5)])
    path = []
    for _ in range(3):
        optimizer.apply_gradients([(eg.tensor(np.array([1.0])), w) for w in (a, b)])
        path.append((a.item(), b.item()))
    assert path == [(-1.0, -0.5), (-1.5, -0.75), (-1.75, -0.875)]


def groups():
    return [
        ParameterGroup("^body/", learning_rate_multiplier=0.0),
        ParameterGroup(["bias$", "gamma"], weight_decay_multiplier=0.0),
    ]


def test_variables_are_found_by_their_paths():
    model = network(optimizers.AdamW(0.01, 0.5, groups=groups()))
    before = dict(
        zip((path for path, _ in model.named_weights()), model.get_weights(), strict=True)
    )
    decayed = network(optimizers.AdamW(0.01, 0.5))
    model.fit(X, Y, epochs=1, batch_size=60, verbose=0)
    decayed.fit(X, Y, epochs=1, batch_size=60, verbose=0)
    after = dict(model.named_weights())
    usual = dict(decayed.named_weights())
    for name in ("body/kernel", "body/bias"):
        np.testing.assert_array_equal(after[name].numpy(), before[name])
    np.testing.assert_array_equal(after["head/kernel"].numpy(), usual["head/kernel"].numpy())
    # From 0 a first step is the same with and without decay; a second is not.
    np.testing.assert_array_equal(after["head/bias"].numpy(), usual["head/bias"].numpy())
    decayed.fit(X, Y, epochs=1, batch_size=60, verbose=0)
    model.fit(X, Y, epochs=1, batch_size=60, verbose=0)
    assert not np.array_equal(after["head/bias"].numpy(), usual["head/bias"].numpy())


def test_captured_eager_and_by_hand_are_the_same_bits():
    make = lambda: optimizers.Nadam(0.01, weight_decay=0.1, groups=groups())  # noqa: E731 - one line
    captured, eager, manual = network(make()), network(make(), True), network(make())
    for model in (captured, eager):
        model.fit(X, Y, epochs=6, batch_size=60, shuffle=False, verbose=0)
    x, y = eg.tensor(X), eg.tensor(Y)
    for _ in range(6):
        loss = (manual(x, training=True) - y).square().mean()
        manual.optimizer.minimize(loss, manual.trainable_weights)
    for one, two, three in zip(
        captured.get_weights(), eager.get_weights(), manual.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_allclose(one, three, rtol=1e-12, atol=1e-14)


def test_groups_are_part_of_the_saved_model(tmp_path):
    model = network(optimizers.AdamW(0.01, groups=groups()))
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert repr(again.optimizer) == repr(model.optimizer)
    for one in (model, again):
        one.fit(X, Y, epochs=2, verbose=0)
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_groups_of_variables_are_saved_by_path(tmp_path):
    model = network("sgd")
    head = model.get_layer("head")
    model.compile(optimizers.SGD(0.1, groups=[ParameterGroup(head.weights, 0.5)]), "mse")
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors")
    assert again.optimizer.groups[0].names == ["^head/kernel$", "^head/bias$"]
    for one in (model, again):
        one.fit(X, Y, epochs=1, verbose=0)
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_exclusion_from_decay_as_in_keras():
    model = network(optimizers.SGD(1e-9, weight_decay=1e8))
    model.optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.optimizer.exclude_from_weight_decay(var_list=[model.get_layer("head").weights[0]])
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    model.fit(X, Y, epochs=1, batch_size=60, verbose=0)
    means = [w.mean() for w in model.get_weights()]
    np.testing.assert_allclose(means, [0.9, 1.0, 1.0, 1.0], atol=1e-6)
    with pytest.raises(ValueError, match="before the first step"):
        model.optimizer.exclude_from_weight_decay(var_names=["kernel"])
    with pytest.raises(ValueError, match="names"):
        optimizers.SGD().exclude_from_weight_decay()


def test_a_group_that_holds_nothing_is_said_once(advice):
    model = network(optimizers.SGD(0.1, groups=[ParameterGroup("hed")]))
    with advice.heard():
        model.fit(X, Y, epochs=2, verbose=0)
    assert len(advice.records) == 1
    assert "ParameterGroup('hed') holds none" in advice.text
    assert "head/kernel" in advice.text


def test_layers_inside_layers_and_models_in_models():
    inner = eg.Sequential([eg.Input((5,)), eg.layers.Dense(3, name="deep")], name="inner")
    outer = eg.Sequential([eg.Input((5,)), inner, eg.layers.Dense(1)])
    paths = dict(outer.named_weights())
    group = ParameterGroup("^inner/deep/kernel$")
    assert [path for path, weight in paths.items() if group.holds(weight)] == ["inner/deep/kernel"]
    assert not group.holds(eg.tensor([1.0]))
    for path, weight in paths.items():
        assert path_of(weight) == path


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ParameterGroup([]), ValueError, "at least one"),
        (lambda: ParameterGroup("("), ValueError, "no regular expression"),
        (lambda: ParameterGroup([1]), TypeError, "patterns or tensors"),
        (lambda: ParameterGroup("a", -1.0), ValueError, "learning_rate_multiplier"),
        (lambda: ParameterGroup("a", 1.0, float("nan")), ValueError, "weight_decay_multiplier"),
        (lambda: optimizers.Adam(groups=["bias"]), TypeError, "ParameterGroup"),
        (lambda: optimizers.Adam(groups=[{"name": "a"}]), TypeError, "did you mean 'names'"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_groups_in_a_compiled_function():
    def training(compiled):
        a, b = (eg.tensor(np.ones(2), requires_grad=True) for _ in range(2))
        optimizer = optimizers.Adam(0.1, groups=[ParameterGroup(b, 0.5)])

        def step(x):
            loss = ((a + b) * x).square().sum()
            optimizer.minimize(loss, [a, b])
            return loss

        run = eg.compile(step) if compiled else step
        for _ in range(5):
            run(eg.tensor(np.array([1.0, 2.0])))
        return np.concatenate([a.numpy(), b.numpy()])

    np.testing.assert_array_equal(training(True), training(False))
    assert (training(True) < 0.9).all()


def test_short_forms():
    one = optimizers.Adam(groups=ParameterGroup("a"))
    other = optimizers.Adam(groups={"names": "a"})
    assert repr(one) == repr(other)
    assert "groups=[ParameterGroup('a')]" in repr(one)
    assert optimizers.Adam(groups=[]).groups is None


def test_a_group_stays_as_it_was_made():
    group = ParameterGroup("bias", learning_rate_multiplier=0.5)
    for name, value in (("learning_rate_multiplier", 0.1), ("names", "kernel")):
        with pytest.raises(AttributeError, match=rf"{name}: a ParameterGroup stays as it was made"):
            setattr(group, name, value)
    assert group.learning_rate_multiplier == 0.5
    assert copy.deepcopy(group).get_config() == group.get_config()
