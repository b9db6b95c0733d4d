"""Pickles and deep copies: the same bits, going on where the original stands, apart from it."""

# ruff: noqa: S301 - the pickles are made here

import copy
import pickle
import subprocess
import sys

import api_contract
import api_examples
import numpy as np
import pytest

import evengrad as eg
from evengrad import layers, optimizers
from evengrad._common.paths import path_of
from evengrad._tensor.constrained import constrained

COPIES = {
    "deepcopy": copy.deepcopy,
    **{
        f"pickle-{protocol}": lambda thing, protocol=protocol: pickle.loads(
            pickle.dumps(thing, protocol)
        )
        for protocol in (2, pickle.HIGHEST_PROTOCOL)
    },
}


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def again(request):
    return request.param


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    return rng.normal(size=(40, 6)).astype("float32"), rng.integers(0, 3, 40)


def scaled(x):
    """Serve as an activation that pickle finds by its name."""
    return eg.tanh(x) * 1.5


def late(step):
    """Serve as a schedule that pickle finds by its name."""
    return 0.02 / (1 + step)


@eg.compile
def doubled(x):
    """Serve as a compiled function that pickle finds by its name."""
    return x * 2.0


def tripled(x):
    """Serve as a function to compile under another name."""
    return x * 3.0


def chain():
    norm = layers.BatchNormalization()
    return eg.Sequential(
        [
            layers.Dense(8, "elu", norm=norm, kernel_constraint="max_norm"),
            layers.Dropout(0.3),
            layers.Dense(8, scaled, kernel_regularizer="l2", activity_regularizer="l1"),
            layers.Dense(3),
        ],
        seed=3,
    )


def graph():
    x = eg.Input((6,), name="data")
    shared = layers.Dense(6, "tanh")
    late_layer = layers.Residual(layers.Dense(6, "relu"))(shared(shared(x)))
    return eg.Model(x, layers.Dense(3)(late_layer * 0.5), seed=4, name="graph")


class Branches(eg.Model):
    """A subclass with layers in a list and plain attributes."""

    def __init__(self, width):
        super().__init__(seed=6)
        self.width = width
        self.note = {"why": ["plain attributes come along"]}
        self.branches = [layers.Dense(width, "selu"), layers.Dense(width, "relu")]
        self.head = layers.Dense(3)

    def call(self, x, training):
        if training:
            x = x * 1.0
        return self.head(self.branches[0](x) + self.branches[1](x))


def subclass():
    return Branches(7)


def assert_same(left, right):
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


def compiled(make, run_eagerly=False):
    model = make()
    model.compile(
        optimizers.Adam(optimizers.schedules.ExponentialDecay(0.01, 3, 0.5), use_ema=True),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        run_eagerly=run_eagerly,
    )
    return model


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize("make", [chain, graph, subclass])
def test_a_trained_model_goes_on(make, run_eagerly, again, data):
    model = compiled(make, run_eagerly)
    model.fit(*data, batch_size=16, epochs=2, verbose=0)
    model.predict(data[0])
    before = model.get_weights()
    twin = again(model)
    assert type(twin) is type(model)
    assert repr(twin) == repr(model)
    assert [path for path, _ in twin.named_weights()] == [path for path, _ in model.named_weights()]
    assert_same(twin.get_weights(), before)
    assert twin.optimizer is not model.optimizer
    assert twin.optimizer.iterations == model.optimizer.iterations == 6
    assert twin.history.history == model.history.history
    np.testing.assert_array_equal(twin.predict(data[0]), model.predict(data[0]))
    twin.fit(*data, batch_size=16, epochs=2, verbose=0)
    # The original has not moved; when it does, it makes the same steps, with the same noise.
    assert_same(model.get_weights(), before)
    model.fit(*data, batch_size=16, epochs=2, verbose=0)
    assert_same(twin.get_weights(), model.get_weights())
    assert twin.evaluate(*data, return_dict=True) == model.evaluate(*data, return_dict=True)


@pytest.mark.parametrize("make", [chain, subclass])
def test_a_model_that_is_not_built(make, again, data):
    model = compiled(make)
    twin = again(model)
    assert not twin.built
    for one in (model, twin):
        one.fit(*data, verbose=0)
    assert_same(twin.get_weights(), model.get_weights())


def test_settings_survive(again, data):
    model = compiled(chain)
    model.layers[2].trainable = False
    model.fit(*data, verbose=0)
    model(data[0], training=True)
    twin = again(model)
    assert not twin.layers[2].trainable
    assert len(twin.trainable_weights) == len(model.trainable_weights)
    kernel = twin.layers[0].kernel
    assert repr(constrained.of(kernel)) == "MaxNorm()"
    assert path_of(kernel) == "dense/kernel"
    assert twin.layers[2].activation is scaled
    # What the last call came to, with its graph, stays behind.
    assert [len(model.losses), len(twin.losses)] == [1, 0]


def test_what_is_shared_stays_shared(again):
    model = graph()
    pair = {"model": model, "first": model.layers[0], "weight": model.layers[0].kernel}
    twin = again(pair)
    assert twin["model"].layers[0] is twin["first"]
    assert twin["first"].kernel is twin["weight"]
    assert twin["weight"] is not pair["weight"]
    config = twin["model"]._arguments()
    assert config["inputs"].name == "data"
    assert (config["outputs"].shape, config["seed"]) == ((None, 3), 4)


def test_several_inputs_and_outputs(again, data):
    a, b = eg.Input((6,)), eg.Input((6,), "float64")
    joined = layers.Add()([a, layers.Rescaling(2.0)(b)])
    model = eg.Model([a, b], [joined, layers.Dense(2)(joined)], seed=1)
    x = [data[0], data[0]]
    assert_same(again(model).predict(x), model.predict(x))


def test_deep_models(again):
    x = symbol = eg.Input((2,))
    for _ in range(400):
        symbol = layers.Dense(2, "tanh")(symbol)
    deep = eg.Model(x, symbol, seed=1)
    assert_same(again(deep).get_weights(), deep.get_weights())


def test_layers_alone(again):
    layer = layers.LSTM(3, dropout=0.2)
    x = np.ones((2, 4, 5), "float32")
    layer(x)
    twin = again(layer)
    assert repr(twin) == repr(layer)
    assert_same(
        [layer(x, training=True).detach().numpy()], [twin(x, training=True).detach().numpy()]
    )
    fresh = again(layers.Dense(4, "relu"))
    assert not fresh.built
    assert repr(fresh) == "Dense(4, activation='relu')"


def test_a_shallow_copy_leaves_the_variables_alone():
    layer = layers.Dense(4)
    layer(np.ones((1, 2)))
    shallow = copy.copy(layer)
    assert shallow.kernel is layer.kernel
    del shallow
    assert path_of(layer.kernel) == "dense/kernel"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2)])
def test_tensors(dtype, shape, again):
    x = eg.tensor(np.arange(np.prod(shape)).astype(dtype).reshape(shape))
    twin = again(x)
    assert (twin.dtype, twin.shape, twin.requires_grad) == (dtype, shape, False)
    np.testing.assert_array_equal(twin.numpy(), x.numpy())


def test_a_leaf_keeps_its_gradient(again):
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    twin = again(x)
    assert twin.requires_grad
    assert twin.grad.tolist() == [2.0, 4.0]
    twin.copy_([5.0, 5.0])
    assert x.tolist() == [1.0, 2.0]
    # A view of a larger array takes its own elements along.
    assert again(eg.tensor(np.arange(6.0).reshape(2, 3)).T[1]).tolist() == [1.0, 4.0]


def test_a_graph_stays(again):
    x = eg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(pickle.PicklingError, match=r"made by 'exp'.*use tensor\.detach"):
        again(x.exp())
    assert again(x.exp().detach()).shape == (2,)


SETTINGS = {
    "adam": lambda: optimizers.Adam(0.1, amsgrad=True),
    "accumulating": lambda: optimizers.RMSprop(0.1, momentum=0.5, gradient_accumulation_steps=3),
    "averaging": lambda: optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_overwrite_frequency=2),
    "scheduled": lambda: optimizers.Nadam(late, weight_decay=0.01),
    "tf1": lambda: optimizers.RMSprop(0.1, convention="tf1"),
}


@pytest.mark.parametrize("make", SETTINGS.values(), ids=SETTINGS)
def test_optimizers_with_their_parameters(make, again):
    def step(optimizer, parameters):
        optimizer.minimize(sum((w * w * 3.0).sum() for w in parameters), parameters)

    optimizer = make()
    parameters = [eg.tensor([1.0, -2.0], requires_grad=True), eg.ones((2, 2), requires_grad=True)]
    for _ in range(4):
        step(optimizer, parameters)
    twin, copies = again((optimizer, parameters))
    assert repr(twin) == repr(optimizer)
    for _ in range(4):
        step(optimizer, parameters)
        step(twin, copies)
        assert_same([w.detach().numpy() for w in copies], [w.detach().numpy() for w in parameters])
    assert twin.iterations == optimizer.iterations


def test_groups_hold_for_the_copies(again):
    bias = eg.ones((2,), requires_grad=True)
    groups = [optimizers.ParameterGroup([bias], learning_rate_multiplier=0.0)]
    optimizer = optimizers.SGD(1.0, groups=groups)
    twin, copied = again((optimizer, bias))
    twin.apply_gradients([(eg.ones((2,)), copied)])
    assert copied.tolist() == [1.0, 1.0]


def test_exchanged_weights_are_put_back(again):
    w = eg.tensor([1.0], requires_grad=True)
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75)
    for _ in range(2):
        optimizer.apply_gradients([(eg.tensor([1.0]), w)])
    with optimizer.averaged_weights([w]):
        twin, copied = again((optimizer, w))
    assert copied.tolist() == [-0.25]
    with pytest.raises(RuntimeError, match="exchanged with their averages"):
        twin.apply_gradients([(eg.tensor([1.0]), copied)])
    twin.swap_ema_weights([copied])
    assert copied.tolist() == w.tolist() == [-1.0]


def test_functions_without_a_name_are_pickle_s_to_refuse(data):
    model = eg.Sequential([layers.Dense(3, lambda x: x * 2.0)])
    model.predict(data[0])
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(model)
    # A copy within the process shares the function.
    assert_same(copy.deepcopy(model).get_weights(), model.get_weights())


def test_compiled_functions(again):
    thrice = eg.compile(tripled)
    for step, factor in ((doubled, 2.0), (thrice, 3.0)):
        assert step(np.ones(2)).tolist() == [factor] * 2
        twin = again(step)
        assert twin(np.ones(3)).tolist() == [factor] * 3
    # What stands under its name is that, as any function is; another one has captures of its own.
    assert again(doubled) is doubled
    assert (again(thrice).signatures, thrice.signatures) == (0, 1)


ELSEWHERE = """
import pickle, sys
model, x, y = pickle.load(open(sys.argv[1], "rb"))
model.fit(x, y, verbose=0)
pickle.dump((model, model.predict(x)), open(sys.argv[1], "wb"))
"""


def test_other_processes(data, tmp_path):
    path = tmp_path / "model.pickle"
    model = compiled(lambda: eg.Sequential([layers.Dense(8, "selu"), layers.Dense(3)], seed=2))
    model.fit(*data, verbose=0)
    path.write_bytes(pickle.dumps((model, *data)))
    # It imports what the pickle names, and nothing beforehand.
    subprocess.run([sys.executable, "-c", ELSEWHERE, path], check=True, timeout=60)
    returned, answer = pickle.loads(path.read_bytes())
    model.fit(*data, verbose=0)
    assert_same(returned.get_weights(), model.get_weights())
    np.testing.assert_array_equal(answer, model.predict(data[0]))


@pytest.mark.parametrize(
    "item", [item for item in api_contract.items() if item.family == "layers"], ids=str
)
def test_every_layer_with_its_variables(item, again):
    layer = api_examples.made(item)
    x = api_examples.inputs_of(item)
    expected = api_examples.run(layer, x)
    twin = again(layer)
    assert_same(twin.get_weights(), layer.get_weights())
    found = api_examples.run(twin, x)
    several = isinstance(found, (list, tuple))
    for a, b in zip(*([found, expected] if several else [[found], [expected]]), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
