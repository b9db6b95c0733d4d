"""`check_selu`: one failing model for each condition, and the model that meets all."""

import re

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

X = np.random.default_rng(33).normal(size=(500, 4))


def hidden(**settings):
    return layers.Dense(20, **{"activation": "selu", "kernel_initializer": "auto", **settings})


def model(*extra, front=(), last=None):
    parts = [*front, hidden(), *extra, hidden(), last or layers.Dense(3, "softmax")]
    return eg.Sequential(parts, seed=1)


@pytest.mark.parametrize(
    "good",
    [
        model(),
        model(layers.AlphaDropout(0.1)),
        model(hidden(kernel_initializer=eg.initializers.VarianceScaling())),
        model(eg.Sequential([hidden(), hidden()])),
        model(front=[layers.Rescaling(1.0), layers.Flatten()]),
        # The activation as a layer of its own, noise and chains in between.
        model(layers.Dense(20, kernel_initializer="lecun_normal"), layers.Activation("selu")),
        model(
            eg.Sequential([layers.Dense(20, kernel_initializer="lecun_normal")]),
            layers.AlphaDropout(0.1),
            layers.Activation("selu"),
        ),
        model(layers.Dense(20, layers.Activation("selu"), kernel_initializer="lecun_normal")),
        eg.Sequential([hidden(), layers.Dense(3), layers.Softmax()]),
        eg.Sequential([hidden(), layers.Dense(1, "exponential")]),
        # It ends in features.
        eg.Sequential([hidden(), hidden()]),
    ],
    ids=repr,
)
def test_no_message_where_all_holds(good):
    assert good.check_selu(X) == []
    assert good.check_selu(X[:60]) == []


def test_a_plain_graph_is_a_chain():
    x = eg.Input((4,))
    assert eg.Model(x, layers.Dense(1)(hidden()(hidden()(x)))).check_selu(X) == []


def skipped():
    x = eg.Input((4,))
    y = hidden()(x)
    return eg.Model(x, layers.Dense(1)(layers.Dense(20)(y) + y))


def test_heads_of_a_graph_are_no_hidden_layers():
    x = eg.Input((4,))
    y = hidden()(x)
    heads = [layers.Dense(1, name="a")(y), layers.Activation("sigmoid")(layers.Dense(1)(y))]
    [message] = eg.Model(x, heads).check_selu(X)
    assert message.startswith("stack: the graph branches")


def test_a_layer_that_is_used_twice_is_named_once():
    x = eg.Input((4,))
    twice = layers.Dense(4, "relu", kernel_initializer="lecun_normal", name="twice")
    [message] = eg.Model(x, layers.Dense(1)(twice(twice(x)))).check_selu(X)
    assert message.startswith("activation: twice is without SELU")


def two_headed():
    x = eg.Input((4,))
    y = hidden()(x)
    return eg.Model(x, [layers.Dense(1)(y), layers.Dense(1)(y)])


class Own(eg.Model):
    def __init__(self):
        super().__init__()
        self.one, self.two = hidden(), layers.Dense(1)

    def call(self, x):
        return self.two(self.one(x))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            model(hidden(activation="relu", kernel_initializer="lecun_normal")),
            "activation: dense_1 is without SELU",
        ),
        (
            model(hidden(kernel_initializer="glorot_uniform")),
            "initializer: dense_1 is not begun with LeCun's normal values",
        ),
        (
            model(hidden(kernel_initializer="lecun_uniform"), hidden(kernel_initializer="ones")),
            "initializer: dense_1, dense_2 are not begun",
        ),
        (model(layers.Activation("relu")), "activation: activation is without SELU"),
        (model(layers.ReLU()), "activation: re_lu is without SELU"),
        (model(layers.PReLU()), "activation: p_re_lu is without SELU"),
        (
            model(layers.Dense(20, layers.ReLU(), kernel_initializer="lecun_normal")),
            "activation: dense_1/activation is without SELU",
        ),
        (model(hidden(activity_regularizer="l1")), "regularizers: dense_1 is penalized"),
        (model(layers.Maxout(20)), "activation: maxout is without SELU"),
        (
            model(layers.Dense(20, kernel_initializer="lecun_normal")),
            "activation: dense_1 is without SELU",
        ),
        (
            model(layers.Dense(20, kernel_initializer="lecun_normal"), layers.Activation("elu")),
            "activation: activation is without SELU",
        ),
        (model(front=[layers.Activation("tanh")]), "activation: activation is without SELU"),
        # It ends in features, which a rectifier makes.
        (
            eg.Sequential([hidden(), hidden(activation="relu", kernel_initializer="lecun_normal")]),
            "activation: dense_1 is without SELU",
        ),
        (
            eg.Sequential([hidden(), hidden(kernel_initializer="he_normal")]),
            "initializer: dense_1 is not begun",
        ),
        (model(layers.Residual(hidden())), "stack: residual is no part of a plain chain"),
        (two_headed(), "stack: the graph branches"),
        (Own(), "stack: the model's own call hides its structure"),
        (model(hidden(kernel_regularizer="l2")), "regularizers: dense_1 is penalized"),
        (model(hidden(bias_regularizer="l1")), "regularizers: dense_1 is penalized"),
        (model(last=layers.Dense(2, activity_regularizer="l1")), "regularizers: dense_2 is"),
        (model(hidden(kernel_constraint="max_norm")), "constraints: dense_1 is held by max-norm"),
        (model(layers.Dropout(0.1)), "dropout: dropout is no AlphaDropout"),
        (model(layers.GaussianNoise(0.1)), "dropout: gaussian_noise is no AlphaDropout"),
        (model(layers.BatchNormalization()), "normalization: batch_normalization is superfluous"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_condition_by_its_name(bad, message):
    found = bad.check_selu(X)
    assert len(found) == 1, found
    assert found[0].startswith(message)


def test_a_sum_in_a_graph_is_a_skip():
    found = skipped().check_selu(X)
    assert [message.split(":")[0] for message in found] == ["activation", "initializer", "stack"]


class TestInputs:
    @pytest.mark.parametrize(
        ("data", "feature"),
        [
            (X + np.array([0, 0.5, 0, 0]), "feature 1 has mean 0.4"),
            (X * [1, 1, 3, 1], "feature 2 has mean .* and deviation 2.9"),
            (X * [1, 1, 1, 0], "feature 3 has mean 0 and deviation 0"),
        ],
    )
    def test_features_that_are_not_standardized(self, data, feature):
        [message] = model().check_selu(data)
        assert message.startswith("inputs: 1 of 4 features are not standardized")
        assert re.search(feature, message)

    def test_normalization_in_front(self):
        norm = layers.Normalization()
        norm.adapt(X * 3 + 5)
        assert model(front=[norm]).check_selu(X * 3 + 5) == []
        assert len(model(front=[norm]).check_selu(X)) == 1

    @pytest.mark.parametrize("nested", [False, True])
    def test_normalization_in_front_of_a_graph(self, nested):
        norm = layers.Normalization()
        norm.adapt(X * 3 + 5)
        x = eg.Input((4,))
        first = eg.Sequential([norm, layers.Flatten()])(x) if nested else layers.Flatten()(norm(x))
        graph = eg.Model(x, layers.Dense(1)(hidden()(first)))
        assert graph.check_selu(X * 3 + 5) == []
        assert len(graph.check_selu(X)) == 1

    def test_a_normalization_that_another_path_goes_around(self):
        norm = layers.Normalization()
        norm.adapt(X * 3 + 5)
        x = eg.Input((4,))
        joined = layers.Concatenate()([norm(x), x])
        [message, *_] = eg.Model(x, layers.Dense(1)(joined)).check_selu(X * 3 + 5)
        assert message.startswith("inputs: 4 of 4 features")

    def test_several_inputs(self):
        a, b = eg.Input((4,)), eg.Input((4,))
        joined = layers.Concatenate()([a, b])
        messages = eg.Model([a, b], layers.Dense(1)(joined)).check_selu([X, X + 9])
        assert messages[0].startswith("inputs[1]: 4 of 4 features")


def test_all_at_once():
    parts = [
        layers.Dense(5, "relu", kernel_regularizer="l2", kernel_constraint="max_norm"),
        layers.Dropout(0.5),
        layers.BatchNormalization(),
        layers.Residual(layers.Dense(5)),
        layers.Dense(1),
    ]
    messages = eg.Sequential(parts).check_selu(X * 5)
    assert [message.split(":")[0] for message in messages] == [
        "inputs",
        "activation",
        "initializer",
        "stack",
        "regularizers",
        "constraints",
        "dropout",
        "normalization",
    ]
