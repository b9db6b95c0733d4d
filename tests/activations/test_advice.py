"""Advice on activations: the chapter's rules, and reasons that are true of the functions."""

import itertools

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.activations import suggest

SITUATIONS = ["self_normalizing", "runtime_matters", "overfitting", "large_data", "spare_compute"]
ALL = [
    dict(zip(SITUATIONS, values, strict=True))
    for values in itertools.product([False, True], repeat=len(SITUATIONS))
]


@pytest.mark.parametrize(
    ("situation", "name"),
    [
        ({}, "elu"),
        ({"runtime_matters": True}, "leaky_relu"),
        ({"overfitting": True}, "rrelu"),
        ({"large_data": True}, "prelu"),
        ({"self_normalizing": True}, "selu"),
        ({"self_normalizing": True, "runtime_matters": True}, "leaky_relu"),
        ({"self_normalizing": True, "overfitting": True}, "selu"),
        ({"overfitting": True, "large_data": True}, "rrelu"),
        ({"large_data": True, "runtime_matters": True}, "leaky_relu"),
        ({"overfitting": True, "runtime_matters": True}, "leaky_relu"),
    ],
)
def test_the_rules_of_the_chapter(situation, name):
    assert suggest(**situation).name == name


def test_the_rankings_of_the_chapter():
    first = ["elu", "leaky_relu", "relu", "tanh", "sigmoid"]
    plain = suggest()
    assert [plain.name, *(name for name, _ in plain.alternatives)] == first
    normal = suggest(self_normalizing=True)
    assert [normal.name, *(name for name, _ in normal.alternatives)] == ["selu", *first]


@pytest.mark.parametrize("situation", ALL)
def test_every_suggestion_makes_a_layer(situation):
    found = suggest(**situation)
    layer = layers.Dense(
        4, found.activation, kernel_initializer=found.kernel_initializer, dtype="float64"
    )
    assert layer.final_activation == found.name or isinstance(layer.activation, layers.Layer)
    assert np.isfinite(layer(np.ones((2, 3))).numpy()).all()
    # ``"auto"`` comes to the same.
    auto = layers.Dense(4, found.activation, kernel_initializer="auto")
    assert repr(auto.kernel_initializer) == repr(found.kernel_initializer)
    assert found.name not in [name for name, _ in found.alternatives]
    assert str(found).splitlines()[0] == found.name
    assert len(str(found).splitlines()) == 1 + len(found.reasons)


@pytest.mark.parametrize("situation", ALL)
def test_each_situation_has_a_reason_in_the_answer(situation):
    text = str(suggest(**situation))
    words = {"runtime_matters": "run time", "overfitting": "overfit", "spare_compute": "compare"}
    for flag, word in words.items():
        assert word in text or not situation[flag]


def test_suggestions_do_not_share_layers():
    found = suggest(large_data=True)
    assert found.activation is not found.activation


def test_suggest_is_no_activation():
    with pytest.raises(ValueError, match="unknown name 'suggest'"):
        eg.activations.get("suggest")


# ---- what the reasons say


def test_elu_pushes_the_mean_towards_zero_and_keeps_a_gradient():
    z = eg.tensor(np.random.default_rng(0).normal(size=10_000), requires_grad=True)
    means = {name: eg.activations.get(name)(z).numpy().mean() for name in ("elu", "relu")}
    assert 0 < means["elu"] < 0.5 * means["relu"]
    negative = eg.tensor([-3.0, -0.1], requires_grad=True)
    eg.elu(negative).sum().backward()
    assert (negative.grad.numpy() > 0).all()


def test_selu_keeps_mean_and_variance():
    x = np.random.default_rng(1).normal(size=(500, 100))
    layer_count = 30
    rng = np.random.default_rng(2)
    for _ in range(layer_count):
        x = eg.selu(eg.tensor(x @ rng.normal(size=(100, 100)) / 10)).numpy()
    assert abs(x.mean()) < 0.1
    assert 0.8 < x.std() < 1.2


def test_random_slopes_are_fixed_in_inference():
    layer = layers.RReLU(dtype="float64")
    x = -np.ones((1, 8))
    assert len(set(layer(x, training=True).numpy().ravel())) > 1
    np.testing.assert_allclose(layer(x).numpy(), -(1 / 8 + 1 / 3) / 2)
