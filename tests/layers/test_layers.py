"""Layers: values against NumPy, variables, names, building, freezing."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import copy

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad._tensor.activations import offered


@pytest.fixture
def rng():
    return np.random.default_rng(3)


ACTIVATIONS = list(offered())


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@pytest.mark.parametrize("bias", [True, False])
def test_dense(rng, activation, bias):
    x = rng.normal(size=(6, 5))
    layer = layers.Dense(4, activation, bias, bias_initializer="he_normal", dtype="float64")
    if bias:
        layer.bias_initializer = eg.initializers.RandomNormal(stddev=1.0)
    output = layer(x)
    kernel, *rest = layer.get_weights()
    z = x @ kernel + (rest[0] if bias else 0)
    expected = eg.activations.get(activation)(z).numpy()
    np.testing.assert_allclose(output.numpy(), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", [None, "relu", "elu", "leaky_relu", "softmax", "gelu"])
def test_dense_gradients(rng, activation):
    layer = layers.Dense(3, activation, dtype="float64")
    x = rng.normal(size=(4, 5))
    layer(x)
    kernel, bias = layer.weights

    def function(x, w, b):
        kernel.copy_(w.detach())
        bias.copy_(b.detach())
        return layer(x)

    leaves = [eg.tensor(x, requires_grad=True), kernel, bias]
    weights = rng.normal(size=(4, 3))
    found = eg.autograd.grad((layer(leaves[0]) * weights).sum(), leaves)
    for leaf, gradient in zip(leaves, found, strict=True):
        values = leaf.detach().numpy().copy()
        numeric = np.zeros_like(values)
        for index in np.ndindex(values.shape):
            sides = []
            for step in (1e-6, -1e-6):
                changed = values.copy()
                changed[index] += step
                leaf.copy_(changed)
                sides.append((layer(leaves[0]).detach().numpy() * weights).sum())
            numeric[index] = (sides[0] - sides[1]) / 2e-6
            leaf.copy_(values)
        np.testing.assert_allclose(gradient.numpy(), numeric, rtol=1e-5, atol=1e-7)


def test_dense_on_more_dimensions(rng):
    x = rng.normal(size=(2, 3, 5)).astype("float32")
    layer = layers.Dense(4, "relu")
    kernel, bias = (layer(x), layer.get_weights())[1]
    np.testing.assert_allclose(layer(x).detach().numpy(), np.maximum(x @ kernel + bias, 0), 1e-5)
    assert layer.multiply_adds((None, 3, 5)) == 60


def test_flatten_add_concatenate(rng):
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    np.testing.assert_allclose(layers.Flatten()(a).numpy(), a.reshape(2, 12), rtol=1e-6)
    np.testing.assert_allclose(layers.Add()([a, b, a]).numpy(), a + b + a, rtol=1e-5)
    for axis in (1, 2, -1):
        joined = layers.Concatenate(axis=axis, dtype="float64")([a, b]).numpy()
        np.testing.assert_array_equal(joined, np.concatenate([a, b], axis=axis))


class TestDropout:
    def test_share_and_scale(self):
        layer = layers.Dropout(0.3)
        y = layer(np.ones((500, 200)), training=True).numpy()
        assert set(np.unique(y)) == {0.0, np.float32(1 / 0.7)}
        assert (y == 0).mean() == pytest.approx(0.3, abs=0.01)

    def test_inference_is_the_identity(self, rng):
        x = rng.normal(size=(5, 5)).astype("float32")
        np.testing.assert_array_equal(layers.Dropout(0.9)(x).numpy(), x)

    def test_gradient_has_the_mask(self):
        x = eg.ones((30, 30), requires_grad=True)
        y = layers.Dropout(0.5)(x, training=True)
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())

    def test_draws_anew_in_each_call(self):
        layer = layers.Dropout(0.5)
        first, second = (layer(np.ones((9, 9)), training=True).numpy().copy() for _ in "ab")
        assert not np.array_equal(first, second)

    @pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
    def test_bad_rate(self, rate):
        with pytest.raises(ValueError, match=r"rate: expected a number in \[0, 1\]"):
            layers.Dropout(rate)


class Block(layers.Layer):
    """Layers as attributes, in a list and in a dict; without `super().__init__()`, on purpose."""

    def __init__(self, width, depth):
        self.width = width
        self.depth = depth
        self.inner = [layers.Dense(width, "relu") for _ in range(depth)]
        self.table = {"drop": layers.Dropout(0.5)}
        self.last = layers.Dense(width, name="end")

    def build(self, input_shape):
        self.scale = self.add_weight("scale", (self.width,), "ones")
        self.seen = self.add_weight("seen", (), "zeros", trainable=False)

    def call(self, x, training):
        for layer in self.inner:
            x = layer(x)
        if training:
            eg.accumulate(self.seen, eg.ones(()))
        return self.last(self.table["drop"](x)) * self.scale


def test_layers_inside_a_layer():
    model = eg.Sequential([eg.Input((4,)), Block(4, 2), layers.Dense(1)], seed=1)
    paths = [path for path, _ in model.named_weights()]
    assert paths == [
        "block/scale",
        "block/seen",
        "block/inner_0/kernel",
        "block/inner_0/bias",
        "block/inner_1/kernel",
        "block/inner_1/bias",
        "block/end/kernel",
        "block/end/bias",
        "dense/kernel",
        "dense/bias",
    ]
    assert len(model.trainable_weights) == 9
    assert len(model.non_trainable_weights) == 1
    assert model.layers[0].inner[1].path == "block/inner_1"
    assert model.summary().multiply_adds == 3 * 16 + 4


def test_training_reaches_inner_layers_by_itself():
    block = Block(8, 1)
    x = np.ones((20, 8))
    np.testing.assert_array_equal(block(x).detach().numpy(), block(x).detach().numpy())
    block(x, training=True)
    assert block.seen.item() == 1.0


def test_freezing():
    model = eg.Sequential([eg.Input((4,)), Block(4, 2), layers.Dense(1)], seed=1)
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 2
    assert not model.layers[0].inner[0].kernel.requires_grad
    frozen = [w.copy() for w in model.layers[0].get_weights()]
    head = model.layers[1].get_weights()[0].copy()
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 4)), np.ones(8), verbose=0)
    for before, after in zip(frozen[2:], model.layers[0].get_weights()[2:], strict=True):
        np.testing.assert_array_equal(before, after)
    assert not np.array_equal(head, model.layers[1].get_weights()[0])
    model.layers[0].trainable = True
    assert len(model.trainable_weights) == 9


def test_names_are_unique():
    model = eg.Sequential([layers.Dense(1), layers.Dense(1, name="mine"), layers.Dense(1)])
    model.build((None, 1))
    assert [layer.name for layer in model.layers] == ["dense", "mine", "dense_1"]


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(3),
        layers.Dense(3, "relu", False, "he_normal", dtype="float64"),
        layers.Dense(3, name="head", trainable=False),
        layers.Activation("tanh", name="a"),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Add(),
        layers.Concatenate(axis=1),
        layers.ReLU(6.0, threshold=0.5),
        layers.LeakyReLU(0.2),
        layers.PReLU("ones", shared_axes=[1]),
        layers.RReLU(0.25),
        layers.ELU(0.5),
        layers.Softmax(1),
        layers.Maxout(3, 4, False),
        layers.Dense(3, layers.LeakyReLU()),
        layers.AlphaDropout(0.25),
        layers.GaussianDropout(0.25),
        layers.GaussianNoise(0.25),
        layers.Residual([layers.Dense(3, "relu"), layers.Dense(4)], activation="relu"),
        layers.Residual(layers.Dense(3), layers.Dense(3, use_bias=False)),
        layers.Multiply(),
        layers.Reshape((2, -1)),
        layers.Embedding(10, 3, "he_normal"),
        layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 4.0]),
        layers.Rescaling(0.5, 1.0),
    ],
    ids=repr,
)
def test_repr_can_be_pasted(layer):
    names = {**vars(layers), **vars(eg.initializers)}
    again = eval(repr(layer), names)  # noqa: S307 - the representation is under test
    assert repr(again) == repr(layer)
    assert again.name == layer.name


def test_repr_of_a_model_can_be_pasted():
    model = eg.Sequential(
        [eg.Input((4,)), layers.Dense(3, "relu"), layers.Dropout(0.5), layers.Dense(2)], seed=4
    )
    names = {**vars(eg), **vars(layers), **vars(eg.initializers)}
    again = eval(repr(model), names)  # noqa: S307 - the representation is under test
    assert repr(again) == repr(model)
    for left, right in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_set_weights_changes_all_or_nothing():
    model = eg.Sequential([eg.Input((2,)), layers.Dense(3), layers.Dense(1)])
    before = model.get_weights()
    bad = [w + 1 for w in before[:-1]] + [np.zeros(5)]
    with pytest.raises(ValueError, match=r"dense_1/bias: expected shape \(1,\), got \(5,\)"):
        model.set_weights(bad)
    with pytest.raises(ValueError, match="expected 4 arrays, got 3"):
        model.set_weights(before[:3])
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    model.set_weights([w + 1 for w in before])
    np.testing.assert_array_equal(model.get_weights()[3], before[3] + 1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (None, "an array of dtype object"),
        ([None], "an array of dtype object"),
        ([1.0, None], "an array of dtype object"),
        ([[1.0], [2.0, 3.0]], "inhomogeneous shape"),
        (np.ma.masked_array([1.0, 2.0], mask=[False, True]), "masked array"),
        (np.array([1.0 + 2.0j, 3.0]), "complex128"),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), "datetime64"),
        (["1.0", "2.0"], "<U3"),
    ],
)
def test_weights_that_are_no_numbers_change_nothing(bad, message):
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2, name="d")], seed=1)
    before = model.get_weights()
    with pytest.raises((TypeError, ValueError), match=f"d/bias: .*{message}"):
        model.set_weights([np.ones((3, 2)), bad])
    assert all(map(np.array_equal, model.get_weights(), before))
    with pytest.raises((TypeError, ValueError), match=f"mean: .*{message}"):
        layers.Normalization(mean=bad if bad is not None else [None], variance=[1.0, 1.0])


@pytest.mark.parametrize(("name", "error"), [(3, TypeError), ("", ValueError), ("a/b", ValueError)])
def test_names_that_are_none(name, error):
    with pytest.raises(error, match="name: expected a string"):
        layers.Dense(2, name=name)


def test_numbers_beyond_the_dtype_are_refused():
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2, name="d")], seed=1)
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"d/bias: .*at most 3\.403e\+38 .*float32.*\"float64\""):
        model.set_weights([np.ones((3, 2)), [1.0, -1e39]])
    assert all(map(np.array_equal, model.get_weights(), before))
    with pytest.raises(ValueError, match="normalization: mean: expected numbers of at most"):
        layers.Normalization(mean=1e39, variance=1.0)(np.ones((1, 2)))
    with pytest.raises(ValueError, match="variance: expected numbers of at most"):
        layers.Normalization().adapt([[1e25], [-1e25]])
    layers.Normalization(mean=1e39, variance=1.0, dtype="float64")(np.ones((1, 2)))


def test_weights_may_be_infinite_where_they_are_given_so():
    model = eg.Sequential([eg.Input((3,)), layers.Dense(2)], seed=1)
    model.set_weights([np.full((3, 2), np.inf), eg.tensor([-np.inf, np.nan], dtype="float64")])
    assert np.isinf(model.get_weights()[0]).all()


def test_weights_set_before_a_model_is_drawn_stay():
    layer = layers.Dense(2)
    layer(np.ones((1, 3)))
    values = [w + 1 for w in layer.get_weights()]
    layer.set_weights(values)
    model = eg.Sequential([eg.Input((3,)), layer], seed=5)
    np.testing.assert_array_equal(model.get_weights()[0], values[0])


def test_a_layer_is_not_shared_by_copying_its_settings():
    layer = layers.Dense(2, "relu")
    again = type(layer)(**layer.get_config())
    assert repr(again) == repr(layer)
    assert copy.copy(layer).units == 2


def test_float64_model():
    model = eg.Sequential([layers.Dense(3, "tanh"), layers.Dense(1)], dtype="float64")
    assert model.predict(np.ones((2, 2), np.float32)).dtype == np.float64
    assert all(w.dtype == "float64" for w in model.weights)


def test_what_is_built_keeps_its_dtype_whatever_the_default_is():
    eg.set_default_dtype("float64")
    try:
        model = eg.Sequential([layers.Dense(3, "tanh"), layers.Dense(1)], seed=1)
        model.compile("sgd", "mse")
        expected = model.predict(np.ones((2, 2)))
    finally:
        eg.set_default_dtype("float32")
    for one in (model, model.clone(), copy.deepcopy(model)):
        np.testing.assert_array_equal(one.predict(np.ones((2, 2))), expected)
        assert one(np.ones((2, 2), np.float32)).dtype == "float64"
    model.fit(np.ones((2, 2)), np.ones(2), verbose=0)


def test_default_dtype():
    eg.set_default_dtype("float64")
    try:
        assert layers.Dense(2)(np.ones((1, 2))).dtype == "float64"
    finally:
        eg.set_default_dtype("float32")


def test_a_custom_layer_as_users_write_it():
    class Maxout(layers.Layer):
        def __init__(self, units, **settings):
            super().__init__(**settings)
            self.pair = [layers.Dense(units), layers.Dense(units)]

        def call(self, x):
            return eg.maximum(self.pair[0](x), self.pair[1](x))

    model = eg.Sequential([eg.Input((3,)), Maxout(4, name="max"), layers.Dense(1)])
    assert model.layers[0].name == "max"
    assert model.layers[0].compute_output_shape((None, 3)) == (None, 4)
    model.compile("sgd", "mse")
    losses = model.fit(np.ones((8, 3)), np.ones(8), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
