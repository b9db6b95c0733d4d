"""Configurations in Keras' form: of every class and object, of models, and back."""

import json

import api_arguments as arguments
import api_contract as contract
import numpy as np
import pytest
from api_examples import made

import evengrad as eg
from evengrad import constraints, initializers, layers, losses, metrics, optimizers, regularizers

CONFIGURED = ("constraints", "initializers", "layers", "losses", "metrics", "optimizers")
FAMILIES = (*CONFIGURED, "regularizers", "schedules")
ITEMS = [item for item in contract.items() if item.family in FAMILIES]


def module_of(family):
    return optimizers.schedules if family == "schedules" else getattr(eg, family)


@pytest.mark.parametrize("item", ITEMS, ids=str)
def test_each_class_with_each_argument(item):
    module = module_of(item.family)
    for thing in (made(item), *(one for _, one in arguments.variants(item))):
        assert repr(type(thing).from_config(thing.get_config())) == repr(thing)
        described = json.loads(json.dumps(module.serialize(thing)))
        assert described["class_name"] == type(thing).__name__
        assert described["module"].startswith("evengrad.")
        again = module.deserialize(described)
        assert type(again) is type(thing)
        assert repr(again) == repr(thing)
        # Keras' older form has no module.
        short = {"class_name": described["class_name"], "config": described["config"]}
        assert repr(module.deserialize(short)) == repr(thing)


@pytest.mark.parametrize(
    ("module", "thing"),
    [
        (optimizers, optimizers.SGD(optimizers.schedules.StepDecay(0.1, 3), momentum=0.9)),
        (losses, losses.Huber(0.5)),
        (metrics, metrics.AUC(curve="PR")),
        (initializers, initializers.VarianceScaling(2.0, "fan_out")),
        (regularizers, regularizers.L1L2(0.1, 0.2)),
        (constraints, constraints.MaxNorm(3.0)),
    ],
)
def test_get_takes_descriptions(module, thing):
    assert repr(module.get(module.serialize(thing))) == repr(thing)
    described = {"class_name": type(thing).__name__, "config": thing.get_config()}
    assert repr(module.get(described)) == repr(thing)


def test_arguments_of_layers_take_descriptions():
    layer = layers.Dense(
        3,
        kernel_initializer={"class_name": "HeNormal", "config": {"seed": 3}},
        kernel_regularizer={"class_name": "L2", "config": {"l2": 0.5}},
        kernel_constraint=constraints.serialize(constraints.NonNeg()),
    )
    assert repr(layer) == (
        "Dense(3, kernel_initializer=HeNormal(seed=3), kernel_regularizer=L2(l2=0.5), "
        "kernel_constraint=NonNeg())"
    )
    norm = layers.serialize(layers.Dense(2, norm=layers.BatchNormalization(epsilon=0.5)))
    assert layers.deserialize(norm).norm.epsilon == 0.5


def square(y_true, y_pred):
    return (y_true - y_pred) ** 2


class Mine(layers.Layer):
    """A layer with a configuration of its own."""

    def __init__(self, size, **shared):
        super().__init__(**shared)
        self.half = size / 2

    def get_config(self):
        return {**super().get_config(), "size": 2 * self.half}

    @classmethod
    def from_config(cls, config):
        layer = cls(**config)
        layer.came_from_config = True
        return layer

    def call(self, x):
        return x * self.half


class TestOwnThings:
    def test_classes_are_found_by_name(self, tmp_path):
        described = layers.serialize(Mine(3.0, name="mine"))
        with pytest.raises(ValueError, match="unknown class 'Mine'"):
            layers.deserialize(described)
        layer = layers.deserialize(described, {"Mine": Mine})
        assert (layer.half, layer.name, layer.came_from_config) == (1.5, "mine", True)
        model = eg.Sequential([eg.Input((2,)), layer])
        twin = eg.Sequential.from_config(model.get_config(), {"Mine": Mine})
        assert twin.layers[0].came_from_config
        model.save(tmp_path / "net.safetensors")
        again = eg.load_model(tmp_path / "net.safetensors", {"Mine": Mine})
        assert again.layers[0].came_from_config

    def test_functions(self):
        described = losses.serialize(losses.get(square))
        assert described["config"] == "square"
        with pytest.raises(ValueError, match="unknown function 'square'"):
            losses.deserialize(described)
        assert losses.deserialize(described, {"square": square}) is square


def drawn():
    a, b = eg.Input((3,), name="a"), eg.Input((4,), name="b")
    shared = layers.Dense(4, "tanh", name="shared")
    inner = eg.Sequential([eg.Input((4,)), layers.Dense(5), layers.Dropout(0.5)], name="inner")
    joined = layers.Concatenate()([shared(layers.Dense(4)(a)), shared(b), inner(b)])
    return a, b, joined


def nets():
    a, b, joined = drawn()
    p, q, both = drawn()
    return {
        "chain": eg.Sequential([eg.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)], seed=3),
        "chain without input": eg.Sequential([layers.Dense(4), layers.Dense(2)], name="open"),
        "chain of chains": eg.Sequential(
            [eg.Input((3,)), eg.Sequential([layers.Dense(3)]), layers.Residual(layers.Dense(3))]
        ),
        "graph": eg.Model([a, b], [layers.Dense(1, name="u")(joined), joined], seed=5),
        "graph of dicts": eg.Model({"p": p, "q": q}, {"y": both, "z": [p, q]}),
    }


@pytest.mark.parametrize("name", nets())
def test_models(name):
    model = nets()[name]
    config = json.loads(json.dumps(model.get_config()))
    twins = [
        type(model).from_config(config),
        eg.models.model_from_json(model.to_json()),
        layers.deserialize(layers.serialize(model)),
    ]
    for twin in twins:
        assert type(twin) is type(model)
        assert repr(twin) == repr(model)
        assert twin.name == model.name
        assert [layer.name for layer in twin.layers] == [layer.name for layer in model.layers]
        assert twin.get_config() == model.get_config()
        # First values follow from the seed and the paths, which are the same.
        for one, other in zip(twin.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_model_s_configuration_reads_as_keras_has_it():
    described = json.loads(nets()["chain"].to_json())
    assert described["class_name"] == "Sequential"
    first = described["config"]["layers"][0]
    assert (first["class_name"], first["config"]["units"]) == ("Dense", 4)
    assert first["config"]["activation"] == "relu"
    assert first["config"]["kernel_initializer"]["class_name"] == "GlorotUniform"


def test_keras_own_json():
    text = json.dumps(
        {
            "module": "keras",
            "class_name": "Sequential",
            "config": {
                "name": "net",
                "trainable": True,
                "dtype": {"class_name": "DTypePolicy", "config": {"name": "float32"}},
                "layers": [
                    {
                        "module": "keras.layers",
                        "class_name": "InputLayer",
                        "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "x"},
                    },
                    {
                        "module": "keras.layers",
                        "class_name": "Dense",
                        "config": {
                            "name": "dense",
                            "units": 3,
                            "activation": "relu",
                            "use_bias": True,
                            "kernel_initializer": {
                                "module": "keras.initializers",
                                "class_name": "HeNormal",
                                "config": {"seed": None},
                            },
                        },
                    },
                ],
            },
        }
    )
    model = eg.models.model_from_json(text)
    assert (model.name, model.output_shape) == ("net", (None, 3))
    assert isinstance(model.layers[0].kernel_initializer, initializers.HeNormal)
    described = {"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": 1}}
    assert optimizers.get(described).learning_rate == 1.0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (3, "expected a dict with class_name"),
        ({"class_name": "Dense"}, "units"),
        ({"class_name": "Denes", "config": {"units": 3}}, "did you mean 'Dense'"),
        ({"class_name": "Dense", "config": {"unit": 3}}, "unit"),
        ({"class_name": "Dense", "config": {"units": {"class_name": "L2", "config": {}}}}, "place"),
    ],
)
def test_what_describes_nothing(config, message):
    with pytest.raises((TypeError, ValueError), match=message):
        layers.deserialize(config)


@pytest.mark.parametrize("text", ["{", "3", '{"class_name": "Dense", "config": {"units": 3}}'])
def test_what_is_no_model(text):
    with pytest.raises(ValueError, match=r"json_string|the configuration"):
        eg.models.model_from_json(text)
