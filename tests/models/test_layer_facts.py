"""What is known of layers before they run: depths, heads, normalizations, ways around."""

import numpy as np
import pytest

import evengrad as eg
from evengrad.models._layer_facts import facts_of


def facts_by_path(model):
    return {facts.path: facts for _, facts in facts_of(model)}


def test_layers_of_a_chain_lie_one_deeper_each():
    layers = eg.layers
    model = eg.Sequential(
        [
            eg.Input((8,)),
            layers.Dense(16, "relu", kernel_initializer="he_normal"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(12),
            layers.Activation("tanh"),
            layers.Dense(3, "softmax"),
        ]
    )
    facts = facts_by_path(model)
    assert list(facts) == ["dense", "dense_1", "activation", "dense_2"]
    assert [one.depth for one in facts.values()] == [1, 2, 2, 3]
    first = facts["dense"]
    assert (first.initializer, first.activation) == ("HeNormal", "relu")
    assert (first.fan_in, first.units, first.normalized) == (8, 16, True)
    assert (facts["dense_1"].activation, facts["dense_1"].followed_by) == ("linear", "tanh")
    assert not facts["activation"].has_kernel
    assert [path for path, one in facts.items() if one.head] == ["dense_2"]


def test_parallel_branches_are_no_depth():
    x = eg.Input((8,))
    branches = [eg.layers.Dense(4, "relu", name=f"branch_{i}")(x) for i in range(5)]
    joined = eg.layers.Concatenate()(branches)
    model = eg.Model(x, eg.layers.Dense(2, name="end")(joined))
    depths = {path: one.depth for path, one in facts_by_path(model).items()}
    assert depths == {**{f"branch_{i}": 1 for i in range(5)}, "end": 2}


def test_blocks_have_ways_around_and_layers_inside_are_found_by_path():
    block = eg.layers.Residual([eg.layers.Dense(8, "relu"), eg.layers.Dense(8)])
    inner = eg.Sequential([eg.layers.Dense(8, "relu")], name="inner")
    model = eg.Sequential([eg.Input((8,)), block, inner, eg.layers.Dense(1)])
    facts = facts_by_path(model)
    assert [one.shortcut for one in facts.values()] == [True, True, False, False]
    for layer, one in facts_of(model):
        assert model.get_layer(one.path) is layer
    with pytest.raises(ValueError, match="no layer 'inner/other'"):
        model.get_layer("inner/other")


def test_shared_layers_are_rows_once():
    shared = eg.layers.Dense(8, "tanh")
    x = eg.Input((8,))
    model = eg.Model(x, eg.layers.Dense(1)(shared(shared(x))))
    facts = facts_by_path(model)
    assert [(one.depth, one.head) for one in facts.values()] == [(2, False), (3, True)]


def test_layers_of_a_class_of_the_users():
    class Net(eg.Model):
        def __init__(self):
            super().__init__()
            self.body = [eg.layers.Dense(4, "relu") for _ in range(3)]
            self.end = eg.layers.LSTM(2)

        def call(self, x):
            for layer in self.body:
                x = layer(x)
            return self.end(x)

    model = Net()
    model.build((None, 5, 3))
    facts = facts_by_path(model)
    assert [one.depth for one in facts.values()] == [1, 2, 3, 4]
    assert [one.recurrent for one in facts.values()] == [False, False, False, True]
    assert [one.head for one in facts.values()] == [False, False, False, True]


def test_what_regularizes_layers_is_known():
    layers, regularizers = eg.layers, eg.regularizers
    model = eg.Sequential(
        [
            eg.Input((8,)),
            layers.Dropout(0.1),
            layers.Dense(8, "relu", kernel_regularizer=regularizers.L2(0.01)),
            layers.Dropout(0.4),
            layers.Dense(8, "selu", kernel_constraint=eg.constraints.MaxNorm(2.0)),
            layers.AlphaDropout(0.3),
            layers.Dense(2),
        ]
    )
    facts = facts_by_path(model)
    assert [one.dropout for one in facts.values()] == [0.4, 0.0, 0.0]
    assert [one.penalized for one in facts.values()] == [True, False, False]
    assert [one.constrained for one in facts.values()] == [False, True, False]


def test_dropout_of_inputs_is_that_of_the_first_layer():
    model = eg.Sequential([eg.Input((8,)), eg.layers.Dropout(0.1), eg.layers.Dense(2)])
    assert facts_by_path(model)["dense"].dropout == 0.1


@pytest.mark.parametrize(
    "scaling",
    [eg.layers.Normalization, eg.layers.BatchNormalization, lambda: eg.layers.Rescaling(1 / 255)],
)
def test_layers_in_front_scale_inputs(scaling):
    dense = eg.layers.Dense
    model = eg.Sequential([eg.Input((8,)), scaling(), dense(4), dense(2)])
    assert [one.input_scaled for one in facts_by_path(model).values()] == [True, False]
    plain = eg.Sequential([eg.Input((8,)), dense(4), scaling(), dense(2)])
    assert [one.input_scaled for one in facts_by_path(plain).values()] == [False, False]


def test_a_scaling_of_variances_has_the_name_of_its_equal():
    scaling = eg.initializers.VarianceScaling
    names = {
        "LecunNormal": scaling(1.0),
        "HeUniform": scaling(2.0, "fan_in", "uniform"),
        "GlorotUniform": scaling(1.0, "fan_avg", "uniform"),
        "VarianceScaling": scaling(3.0),
        "HeNormal": eg.initializers.HeNormal(),
    }
    for name, initializer in names.items():
        dense = eg.layers.Dense(2, kernel_initializer=initializer)
        model = eg.Sequential([eg.Input((8,)), dense])
        assert facts_by_path(model)["dense"].initializer == name


class Backwards(eg.Model):
    """Uses its layers in another order than they are attributes in."""

    def __init__(self):
        super().__init__(seed=1)
        self.end = eg.layers.Dense(2, "softmax")
        self.second = eg.layers.Dense(5, "tanh")
        self.unused = eg.layers.Dense(3)
        self.first = eg.layers.Dense(4, "relu")

    def call(self, x):
        return self.end(self.second(self.first(x)))


def test_code_of_users_is_followed_as_a_pass_calls_its_layers():
    model = Backwards()
    x, y = np.zeros((8, 3), np.float32), np.zeros(8, np.int64)
    model.compile("sgd", "sparse_categorical_crossentropy")
    findings = model.diagnose(x, y, steps=2)
    facts = {one.path: one for one in findings.examination.layers}
    assert [facts[name].depth for name in ("first", "second", "end")] == [1, 2, 3]
    assert [path for path, one in facts.items() if one.head] == ["end"]


class Two(eg.Model):
    def __init__(self):
        super().__init__(seed=1)
        self.late, self.early = eg.layers.Dense(2, "softmax"), eg.layers.Dense(1)

    def call(self, x):
        return [self.early(x), self.late(x)]


def test_heads_know_their_outputs():
    x = eg.Input((8,))
    hidden = eg.layers.Dense(4, "relu")(x)
    ends = [eg.layers.Dense(1, name="one")(hidden), eg.layers.Dense(3, name="other")(hidden)]
    drawn = {one.path: one.outputs for _, one in facts_of(eg.Model(x, ends))}
    assert drawn == {"dense": (), "one": (0,), "other": (1,)}
    model = Two()
    model.compile("sgd", ["mse", "sparse_categorical_crossentropy"])
    rows = np.zeros((8, 3), np.float32)
    found = model.diagnose(rows, [np.zeros(8), np.zeros(8, np.int64)], steps=2)
    outputs = {one.path: one.outputs for one in found.examination.layers}
    assert outputs == {"early": (0,), "late": (1,)}
