"""The module tree: walked once, and again when the structure changes."""

import copy
import gc
import pickle
import sys
import weakref

import numpy as np
import pytest

import evengrad as eg
from evengrad.layers._module import ModuleTree, module_tree


class Block(eg.layers.Layer):
    """A layer with others as attributes, in a list and in a dict."""

    def __init__(self):
        super().__init__()
        self.first = eg.layers.Dense(2)
        self.several = [eg.layers.Dense(2), eg.layers.Dropout(0.5)]
        self.named = {"last": eg.layers.Dense(2, kernel_regularizer="l2")}

    def call(self, x):
        x = self.first(x)
        for layer in [*self.several, *self.named.values()]:
            x = layer(x)
        return x


@pytest.fixture
def block():
    layer = Block()
    layer(np.ones((1, 2)))
    return layer


def fresh(layer):
    """Return what a new walk finds."""
    return ModuleTree(layer)


def described(tree):
    return (
        [(prefix, id(layer)) for prefix, layer in tree.layers],
        [(path, id(weight)) for path, weight in tree.weights],
        list(map(id, tree.trainable)),
        list(map(id, tree.non_trainable)),
        [(path, id(stream)) for path, stream in tree.generators],
        len(tree.weight_penalties()),
    )


def test_layers_variables_and_streams_with_their_paths(block):
    tree = module_tree(block)
    assert [prefix for prefix, _ in tree.layers] == [
        "",
        "first/",
        "several_0/",
        "several_1/",
        "named_last/",
    ]
    assert [path for path, _ in tree.named_weights] == [
        f"{name}/{variable}"
        for name in ("first", "several_0", "named_last")
        for variable in ("kernel", "bias")
    ]
    assert [path for path, _ in tree.generators] == ["several_1/mask"]
    assert len(tree.trainable) == 6
    assert not tree.non_trainable
    assert len(tree.weight_penalties()) == 1


def test_asking_and_calling_walk_once(block):
    tree = module_tree(block)
    block(np.ones((3, 2)))
    block.set_weights(block.get_weights())
    assert block.count_params() == 18
    assert len(block.losses) == 1
    assert module_tree(block) is tree


CHANGES = {
    "an attribute": lambda b: setattr(b, "other", eg.layers.Dense(3)),
    "an attribute taken away": lambda b: delattr(b, "first"),
    "a list that grows": lambda b: b.several.append(eg.layers.Dense(3)),
    "a list that shrinks": lambda b: b.several.pop(),
    "an item": lambda b: b.several.__setitem__(0, eg.layers.Dense(3)),
    "the order": lambda b: b.several.reverse(),
    "a dict that grows": lambda b: b.named.update(more=eg.layers.Dense(3)),
    "a value": lambda b: b.named.update(last=eg.layers.Dense(3)),
    "a frozen layer": lambda b: setattr(b.first, "trainable", False),
    "a variable": lambda b: b.first.add_weight("more", (2,)),
    "a stream": lambda b: b.first.add_generator(),
    "a layer deep inside": lambda b: setattr(b.several[0], "norm", eg.layers.Dense(2)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_change_is_seen(block, change):
    before = module_tree(block)
    change(block)
    tree = module_tree(block)
    assert tree is not before
    assert described(tree) == described(fresh(block))
    assert module_tree(block) is tree


@pytest.mark.parametrize("filled", [[], [None, None]])
def test_containers_are_watched_before_layers_come_in(filled):
    layer = Block()
    layer.late = list(filled)
    assert len(module_tree(layer).layers) == 5
    new = eg.layers.Dense(2)
    module_tree(layer)
    if filled:
        layer.late[1] = new
    else:
        layer.late.append(new)
    assert module_tree(layer).layers[-1][1] is new


def test_other_layers_change_nothing(block):
    tree = module_tree(block)
    other = eg.layers.Dense(2)
    other(np.ones((1, 2)))
    other.trainable = False
    assert module_tree(block) is tree


def test_attributes_without_structure_change_nothing():
    model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(1)])
    tree = module_tree(model)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    model.stop_training = True
    assert module_tree(model) is tree


def test_a_chain_that_grows_and_shrinks():
    model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(3)])
    assert len(model.weights) == 2
    model.add(eg.layers.Dense(1))
    assert len(model.weights) == 4
    model.pop()
    assert len(model.weights) == 2


def test_lists_that_are_handed_out_are_the_callers(block):
    for ask in ("weights", "trainable_weights", "non_trainable_weights"):
        getattr(block, ask).clear()
    block.named_weights().clear()
    assert len(block.weights) == len(block.trainable_weights) == 6


@pytest.mark.parametrize(
    "make",
    [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))],  # noqa: S301 - our own bytes
)
def test_a_copy_has_a_tree_of_its_own(make):
    model = eg.Sequential([eg.Input((2,)), eg.layers.Dense(3), eg.layers.Dense(1)])
    ours = module_tree(model)
    other = make(model)
    theirs = module_tree(other)
    assert {id(layer) for _, layer in ours.layers}.isdisjoint(id(x) for _, x in theirs.layers)
    other.layers[0].trainable = False
    assert len(model.trainable_weights) == 4
    assert len(other.trainable_weights) == 2


def test_a_shallow_copy_finds_itself(block):
    module_tree(block)
    other = copy.copy(block)
    assert module_tree(other).layers[0][1] is other
    assert module_tree(block).layers[0][1] is block


def test_the_tree_keeps_no_layer_alive():
    layer = Block()
    layer(np.ones((1, 2)))
    module_tree(layer)
    held = weakref.ref(layer)
    gc.disable()
    try:
        del layer
        assert held() is None
    finally:
        gc.enable()


def test_names_are_numbered_in_order_around_those_that_are_taken():
    layers = [eg.layers.Dense(1, name="dense_2"), *(eg.layers.Dense(1) for _ in range(4))]
    model = eg.Sequential([eg.Input((1,)), *layers])
    names = [layer.name for layer in model.layers]
    assert names == ["dense_2", "dense", "dense_1", "dense_3", "dense_4"]


def test_building_takes_time_in_proportion():
    """The calls of functions for ten times as many layers are ten times as many."""

    def calls(layers):
        chain = [eg.Input((2,)), *(eg.layers.Dense(2) for _ in range(layers))]
        count = 0

        def profile(frame, event, arg):
            nonlocal count
            del frame, arg
            count += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            eg.Sequential(chain)
        finally:
            sys.setprofile(None)
        return count

    few, many = calls(20), calls(200)
    assert many < 11 * few
