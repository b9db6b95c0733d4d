"""Layers in containers of any depth belong to their layer; what cannot be found is an error."""

import copy
import functools
import weakref
from collections import OrderedDict, UserDict, UserList, deque, namedtuple
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.layers._containers import CONTAINERS, items_of
from evengrad.layers._module import ModuleTree, module_tree

rng = np.random.default_rng(5)
X = rng.normal(size=(12, 4)).astype("float32")
Y = rng.normal(size=(12, 1)).astype("float32")

Pair = namedtuple("Pair", ["first", "last"])  # noqa: PYI024 - the untyped one is met too


@dataclass
class Branch:
    first: Any
    more: Any = field(default_factory=list)


@dataclass
class Slotted:
    __slots__ = ("first", "last")
    first: Any
    last: Any


# How two layers are held, and the names that they get.
HELD = {
    "a list": (lambda a, b: [a, b], ["0", "1"]),
    "tuples in a list": (lambda a, b: [(a, "relu"), (b, None)], ["0_0", "1_0"]),
    "lists in a list": (lambda a, b: [[a], [[b]]], ["0_0", "1_0_0"]),
    "lists in a dict": (lambda a, b: {"up": [a], "down": [b]}, ["up_0", "down_0"]),
    "dicts in a dict": (lambda a, b: {"x": {"y": a}, "z": {"w": b}}, ["x_y", "z_w"]),
    "a dict in a tuple": (lambda a, b: ({"x": a}, {3: b}), ["0_x", "1_3"]),
    "an ordered dict": (lambda a, b: OrderedDict(x=a, y=(b,)), ["x", "y_0"]),
    "a named tuple": (lambda a, b: Pair(a, [b]), ["0", "1_0"]),
    "a data class": (lambda a, b: Branch(a, {"x": b}), ["first", "more_x"]),
    "a data class with slots": (lambda a, b: Slotted([a], b), ["first_0", "last"]),
    "data classes in a list": (
        lambda a, b: [Branch(a), Branch(None, [b])],
        ["0_first", "1_more_0"],
    ),
    "a namespace": (lambda a, b: SimpleNamespace(up=a, down=[b]), ["up", "down_0"]),
    "a deque": (lambda a, b: deque([a, (b,)]), ["0", "1_0"]),
    "user containers": (lambda a, b: UserDict(x=a, y=UserList([b])), ["x", "y_0"]),
    "ten levels": (
        lambda a, b: functools.reduce(lambda inner, _: [inner], range(10), (a, b)),
        ["0_" * 10 + "0", "0_" * 10 + "1"],
    ),
}


def flat(held):
    """Return the layers in a container, in their order."""
    if isinstance(held, layers.Layer):
        return [held]
    if isinstance(held, (*CONTAINERS, Branch, Slotted)):
        return [layer for item in items_of(held) for layer in flat(item)]
    return []


class Net(eg.Model):
    """Two layers in a container."""

    def __init__(self, kind):
        super().__init__(seed=1)
        self.kind = kind
        self.held = HELD[kind][0](layers.Dense(3, "tanh"), layers.Dense(1))

    def call(self, x):
        for layer in flat(self.held):
            x = layer(x)
        return x


class Chain(eg.Model):
    """Two layers in attributes: what `Net` is to come to."""

    def __init__(self):
        super().__init__(seed=1)
        self.first = layers.Dense(3, "tanh")
        self.last = layers.Dense(1)

    def call(self, x):
        return self.last(self.first(x))


def trained(model):
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=3, batch_size=5, shuffle=False, verbose=0)
    return model


@pytest.mark.parametrize("kind", HELD)
class TestAnyDepth:
    def test_they_are_counted_named_and_trained(self, kind):
        net, chain = Net(kind), Chain()
        for model in (net, chain):
            model.build((None, 4))
        assert [path for path, _ in net.named_weights()] == [
            f"held_{place}/{variable}" for place in HELD[kind][1] for variable in ("kernel", "bias")
        ]
        assert net.count_params() == 4 * 3 + 3 + 3 + 1
        net.set_weights(chain.get_weights())
        for ours, right in zip(
            trained(net).get_weights(), trained(chain).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, right)

    def test_they_are_saved_copied_and_frozen(self, kind, tmp_path):
        net = trained(Net(kind))
        net.save(tmp_path / "net.safetensors")
        again = eg.load_model(tmp_path / "net.safetensors", {"Net": Net})
        for other in (again, copy.deepcopy(net), net.clone()):
            np.testing.assert_array_equal(other.predict(X), net.predict(X))
            assert [p for p, _ in other.named_weights()] == [p for p, _ in net.named_weights()]
        net.trainable = False
        assert net.trainable_weights == []
        assert not any(layer.trainable for layer in flat(net.held))


def held_deep():
    layer = Net("a data class")
    layer.held = [
        ([layers.Dense(2)], {"x": [layers.Dense(2)]}),
        Branch(deque(), SimpleNamespace(y=None)),
    ]
    return layer


CHANGES = {
    "a list": lambda held: held[0][0].append(layers.Dense(2)),
    "a list in a dict": lambda held: held[0][1]["x"].clear(),
    "a dict": lambda held: held[0][1].update(z=layers.Dense(2)),
    "a data class": lambda held: setattr(held[1], "first", layers.Dense(2)),
    "a deque": lambda held: held[1].first.append(layers.Dense(2)),
    "a namespace": lambda held: setattr(held[1].more, "y", [layers.Dense(2)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_change_deep_inside_is_seen(change):
    layer = held_deep()
    before = module_tree(layer)
    assert module_tree(layer) is before
    change(layer.held)
    assert [prefix for prefix, _ in module_tree(layer).layers] == [
        prefix for prefix, _ in ModuleTree(layer).layers
    ]
    assert len(module_tree(layer).layers) != len(before.layers)


def test_large_containers_of_data_are_not_watched():
    layer = Net("a list")
    layer.data = [[float(i) for i in range(20_000)], {i: i for i in range(20_000)}]
    watched = [held for held, _ in module_tree(layer).containers]
    assert [held is layer.held or held is layer.data for held in watched] == [True, True]
    layer.many = [None] * 20_000 + [layers.Dense(2)]
    tree = module_tree(layer)
    assert len(tree.layers) == 4
    layer.many.append(layers.Dense(2))
    assert len(module_tree(layer).layers) == 5


def test_a_container_in_itself_ends():
    layer = Net("a list")
    layer.held.append(layer.held)
    assert len(layer.layers) == 2
    assert len(module_tree(layer).layers) == 3


def test_keys_without_text_are_counted():
    layer = Net("a list")
    layer.held = {object(): layers.Dense(2), object(): layers.Dense(2)}
    layer.build((None, 4))
    assert [one.path for one in layer.layers] == ["held_0", "held_1"]


@pytest.mark.parametrize("back", [lambda layer: layer, weakref.proxy, weakref.ref, lambda x: [x]])
def test_layers_that_refer_back(back):
    class Inner(layers.Layer):
        def __init__(self, around):
            super().__init__()
            self.around = around
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(x)

    class Outer(eg.Model):
        def __init__(self):
            super().__init__()
            self.middle = layers.Dense(2)
            self.inner = [Inner(back(self)), Inner(back(self.middle))]

        def call(self, x):
            return self.inner[0](self.middle(x)) + self.inner[1](x)

    model = trained(Outer())
    assert [path for path, _ in model.named_weights()] == [
        f"{layer}/{name}"
        for layer in ("middle", "inner_0/dense", "inner_1/dense")
        for name in ("kernel", "bias")
    ]
    model.trainable = False
    assert not model.inner[1].dense.trainable


# ---- what cannot be found


class Holds(eg.Model):
    """A model with something in an attribute."""

    def __init__(self, hold):
        super().__init__()
        self.seen = layers.Dense(2)
        self.held = hold(layers.Dense(2))

    def call(self, x):
        return self.seen(x)


class Opaque:
    def __init__(self, layer):
        self.layer = layer


class Full:
    __slots__ = ("layer",)

    def __init__(self, layer):
        self.layer = layer


HIDDEN = {
    "a set": (lambda layer: {layer}, "held holds Dense 'dense'"),
    "a set in a list": (lambda layer: [frozenset([layer])], r"held\[0\] holds"),
    "keys": (lambda layer: {layer: 1}, "held's keys holds"),
    "an object": (Opaque, r"held\.layer holds"),
    "an object with slots": (Full, r"held\.layer holds"),
    "an object in a dict": (lambda layer: {"x": Opaque([layer])}, r"held\['x'\]\.layer\[0\] holds"),
    "an array of objects": (lambda layer: np.array([layer, None]), "held holds"),
    "a function": (lambda layer: lambda x: layer(x) + 1, "held holds"),
    "a partial function": (lambda layer: functools.partial(layer, training=True), "held holds"),
    "a method": (lambda layer: layer.call, "held holds"),
}


@pytest.mark.parametrize(("hold", "place"), HIDDEN.values(), ids=list(HIDDEN))
def test_layers_out_of_sight_are_an_error_at_build(hold, place):
    model = Holds(hold)
    with pytest.raises(ValueError, match=rf"^holds: {place}.* neither trained nor saved; keep it"):
        model.build((None, 4))
    assert not model.built
    assert model.weights == []


@pytest.mark.parametrize(("hold", "place"), HIDDEN.values(), ids=list(HIDDEN))
def test_frozen_layers_out_of_sight_are_the_users_affair(hold, place):
    del place

    def frozen(layer):
        layer.trainable = False
        return hold(layer)

    assert Holds(frozen).predict(X).shape == (12, 2)


def test_layers_that_are_found_elsewhere_may_be_held_anyhow():
    def both(layer):
        return [layer, {layer}, Opaque(layer), lambda: layer, weakref.ref(layer)]

    model = Holds(both)
    model.build((None, 4))
    assert len(model.layers) == 2


def test_layers_of_a_class_are_an_error():
    class Shared(eg.Model):
        dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    with pytest.raises(ValueError, match=r"shared: Shared\.dense holds Dense 'dense'"):
        Shared().build((None, 4))


def test_layers_deep_inside_and_in_graphs_are_found():
    class Part(layers.Layer):
        def __init__(self):
            super().__init__()
            self.held = {layers.Dense(2)}

        def call(self, x):
            return x

    with pytest.raises(ValueError, match=r"^part: held holds Dense"):
        eg.Sequential([eg.Input((4,)), Part()])
    x = eg.Input((4,))
    with pytest.raises(ValueError, match="part: held holds Dense"):
        eg.Model(x, Part()(x))
    with pytest.raises(ValueError, match="part: held holds Dense"):
        Part()(X)


def test_a_layer_may_know_another_one_of_its_graph():
    class Tied(layers.Layer):
        def __init__(self, other):
            super().__init__()
            self.other = {"kernel of": Opaque(other)}

        def call(self, x):
            return x @ self.other["kernel of"].layer.kernel.T

    x = eg.Input((4,))
    first = layers.Dense(3)
    model = eg.Model(x, Tied(first)(first(x)))
    assert model.count_params() == 15
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)


@pytest.mark.parametrize(
    ("hold", "place"),
    [
        (lambda _: eg.ones((3, 1), requires_grad=True), "held"),
        (lambda _: [(eg.ones(3, requires_grad=True),)], r"held\[0\]\[0\]"),
    ],
)
def test_tensors_to_train_are_an_error_at_build(hold, place):
    with pytest.raises(ValueError, match=rf"holds: {place} is a tensor with .*add_weight"):
        Holds(hold).build((None, 4))


def test_other_tensors_are_not():
    class Fine(layers.Layer):
        def __init__(self, other):
            super().__init__()
            self.constants = [eg.ones(3), np.ones(3)]
            self.borrowed = other.kernel

        def build(self, input_shape):
            self.scales = [self.add_weight("scale", (input_shape[-1],), "ones")]

        def call(self, x):
            self.latest = x * self.scales[0]
            return self.latest

    other = layers.Dense(3)
    other.build((None, 4))
    layer = Fine(other)
    assert layer(eg.tensor(X, requires_grad=True)).shape == (12, 4)
