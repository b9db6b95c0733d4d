"""Models: graphs, summaries, prediction, the worked example."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import gc

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_worked_two_two_two_example():
    """Two inputs, two hidden, two outputs; one step of plain gradient descent on the kernels."""
    model = eg.Sequential(
        [eg.Input((2,)), layers.Dense(2, "sigmoid"), layers.Dense(2, "sigmoid")], dtype="float64"
    )
    hidden, output = model.layers
    hidden.set_weights([np.array([[0.15, 0.25], [0.20, 0.30]]), np.full(2, 0.35)])
    output.set_weights([np.array([[0.40, 0.50], [0.45, 0.55]]), np.full(2, 0.60)])
    x, target = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
    kernels = [hidden.kernel, output.kernel]
    optimizer = eg.optimizers.SGD(0.5)

    def energy():
        return 0.5 * ((model(x) - target) ** 2).sum()

    np.testing.assert_allclose(
        hidden(x).detach().numpy(), [[0.5932699921, 0.5968843783]], atol=1e-10
    )
    np.testing.assert_allclose(
        model(x).detach().numpy(), [[0.7513650696, 0.7729284653]], atol=1e-10
    )
    assert energy().item() == pytest.approx(0.29837110876, abs=1e-11)
    lower, upper = eg.autograd.grad(energy(), kernels)
    np.testing.assert_allclose(
        upper.numpy().T.ravel(),
        [0.0821670406, 0.0826676278, -0.0226025405, -0.0227402422],
        atol=1e-10,
    )
    np.testing.assert_allclose(
        lower.numpy().T.ravel(),
        [0.0004385677, 0.0008771355, 0.0004977127, 0.0009954255],
        atol=1e-10,
    )
    optimizer.minimize(energy(), kernels)
    np.testing.assert_allclose(
        output.get_weights()[0].T.ravel(),
        [0.3589164797, 0.4086661861, 0.5113012702, 0.5613701211],
        atol=1e-10,
    )
    np.testing.assert_allclose(
        hidden.get_weights()[0].T.ravel(),
        [0.1497807161, 0.1995614323, 0.2497511436, 0.2995022873],
        atol=1e-10,
    )
    assert energy().item() == pytest.approx(0.2910277737, abs=1e-10)

    @eg.compile
    def step():
        optimizer.minimize(energy(), kernels)

    for _ in range(9999):
        step()
    np.testing.assert_allclose(
        model(x).detach().numpy(), [[0.0159136204, 0.9840642735]], atol=1e-10
    )
    assert energy().item() == pytest.approx(3.5101878e-5, abs=1e-12)


def test_graph_against_numpy(rng):
    a, b = eg.Input((5,), dtype="float64"), eg.Input((3,), dtype="float64")
    shared = layers.Dense(4, "tanh", name="shared")
    once = shared(a)
    skip = layers.Add(name="skip")([once, layers.Dense(4, name="inner")(once)])
    joined = layers.Concatenate()([skip, b])
    first = layers.Dense(2, name="first")(joined)
    second = layers.Dense(1, "sigmoid", name="second")(skip)
    model = eg.Model([a, b], [first, second], seed=1)
    x, z = rng.normal(size=(7, 5)), rng.normal(size=(7, 3))
    got = model.predict([x, z])
    w = {path: tensor.detach().numpy() for path, tensor in model.named_weights()}
    h = np.tanh(x @ w["shared/kernel"] + w["shared/bias"])
    s = h + h @ w["inner/kernel"] + w["inner/bias"]
    f = np.concatenate([s, z], axis=1) @ w["first/kernel"] + w["first/bias"]
    g = 1 / (1 + np.exp(-(s @ w["second/kernel"] + w["second/bias"])))
    np.testing.assert_allclose(got[0], f, rtol=1e-12)
    np.testing.assert_allclose(got[1], g, rtol=1e-12)
    assert model.output_shape == [(None, 2), (None, 1)]
    assert "2 inputs" not in repr(model)
    assert model.summary().parameters == sum(v.size for v in w.values())


def test_several_outputs_train(rng):
    a = eg.Input((5,))
    h = layers.Dense(16, "relu")(a)
    model = eg.Model(
        a, [layers.Dense(3, "softmax", name="kind")(h), layers.Dense(1, name="size")(h)], seed=1
    )
    model.compile(
        eg.optimizers.Adam(0.01),
        {"kind": "sparse_categorical_crossentropy", "size": "mse"},
        {"kind": ["accuracy"], "size": ["mae"]},
        loss_weights={"kind": 2.0, "size": 0.5},
    )
    x = rng.normal(size=(128, 5)).astype("float32")
    y = {"kind": (x[:, 0] > 0).astype(int) + (x[:, 1] > 0), "size": x[:, 2]}
    history = model.fit(x, y, epochs=30, verbose=0).history
    names = {"loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"}
    assert set(history) == names
    total = 2 * np.array(history["kind_loss"]) + 0.5 * np.array(history["size_loss"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    assert history["kind_accuracy"][-1] > 0.9
    listed = model.evaluate(x, [y["kind"], y["size"]])
    assert len(listed) == 5


def test_a_layer_used_twice_shares_its_weights(rng):
    a, b = eg.Input((3,)), eg.Input((3,))
    shared = layers.Dense(2)
    model = eg.Model([a, b], shared(a) + shared(b), seed=0)
    assert model.count_params() == 8
    x = rng.normal(size=(4, 3)).astype("float32")
    single = model.layers[0](x).detach().numpy()
    np.testing.assert_allclose(model.predict([x, x]), 2 * single, rtol=1e-6)


def test_graph_seed():
    def weights(seed):
        a = eg.Input((3,))
        b = layers.Dense(2)(layers.Dense(4)(a))
        return eg.Model(a, b, seed=seed).get_weights()

    for left, right in zip(weights(1), weights(1), strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(weights(1)[0], weights(2)[0])
    chain = eg.Sequential([eg.Input((3,)), layers.Dense(4), layers.Dense(2)], seed=1)
    np.testing.assert_array_equal(chain.get_weights()[0], weights(1)[0])


@pytest.mark.parametrize(
    "around",
    [lambda layer: eg.Sequential([layer, layers.Dense(2)]), lambda layer: layers.Residual([layer])],
    ids=["Sequential", "Residual"],
)
def test_a_trained_layer_inside_a_part_of_a_graph_keeps_its_values(around, rng):
    layer = layers.Dense(4)
    trained = eg.Sequential([layer, layers.Dense(1)])
    trained.compile("sgd", "mse")
    trained.fit(rng.normal(size=(8, 4)), np.ones(8), verbose=0)
    kernel = trained.get_weights()[0]
    x = eg.Input((4,))
    graph = eg.Model(x, around(layer)(x), seed=5)
    np.testing.assert_array_equal(layer.get_weights()[0], kernel)
    # What is new follows from the model's seed all the same.
    other = eg.Input((4,))
    again = eg.Model(other, around(layer)(other), seed=5)
    for one, two in zip(graph.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_very_deep_graph():
    x = a = eg.Input((2,))
    for _ in range(2000):
        x = layers.Activation("relu")(x)
    model = eg.Model(a, x)
    np.testing.assert_array_equal(model.predict(np.ones((1, 2))), [[1, 1]])


def test_model_inside_a_model(rng):
    inner = eg.Sequential([layers.Dense(4, "relu"), layers.Dense(3, "softmax")], name="body")
    model = eg.Sequential([eg.Input((5,)), inner], seed=3)
    assert model.named_weights()[0][0] == "body/dense/kernel"
    assert model.final_activation == "softmax"
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = rng.normal(size=(16, 5)), rng.integers(0, 3, 16)
    model.fit(x, y, epochs=2, verbose=0)


def test_predict_is_the_same_for_any_batch_size(rng):
    model = eg.Sequential([layers.Dense(64, "relu"), layers.Dense(3, "softmax")], seed=1)
    x = rng.normal(size=(1001, 20)).astype("float32")
    whole = model.predict(x)
    for size in (1, 7, 32, 1000, 5000):
        np.testing.assert_array_equal(model.predict(x[:100], batch_size=size), whole[:100])
    np.testing.assert_array_equal(model.predict_on_batch(x[:50]), whole[:50])
    batches = (x[i : i + 77] for i in range(0, 1001, 77))
    np.testing.assert_array_equal(model.predict(batches), whole)


def test_sequential_add_and_pop():
    model = eg.Sequential([eg.Input((4,)), layers.Dense(3)], seed=1)
    kernel = model.get_weights()[0]
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    model.pop()
    assert model.output_shape == (None, 3)
    assert model.get_layer("dense") is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[-1]


def test_summary():
    model = eg.Sequential(
        [eg.Input((64,)), layers.Dense(30, "relu"), layers.Dropout(0.2), layers.Dense(10)],
        name="digits",
    )
    model.layers[0].trainable = False
    summary = model.summary()
    assert summary.parameters == 64 * 30 + 30 + 30 * 10 + 10
    assert summary.trainable == 310
    assert summary.multiply_adds == 64 * 30 + 30 * 10
    assert summary.memory == 4 * summary.parameters
    assert [row.output_shape for row in summary.rows] == [(None, 30), (None, 30), (None, 10)]
    text = str(summary)
    assert text.splitlines()[0] == "digits (Sequential)"
    assert "1,950" in text
    assert "2,260 parameters (310 trainable, 1,950 not), 9.0 kB" in text
    page = model._repr_html_()
    assert page.startswith("<table>")
    assert "dense_1 (Dense)" in page


def test_subclass_with_several_inputs(rng):
    class Pair(eg.Model):
        def __init__(self):
            super().__init__(seed=1)
            self.a = layers.Dense(3)
            self.b = layers.Dense(3)

        def call(self, x, training):
            return self.a(x[0]) * self.b(x[1])

    x, z = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    model = Pair()
    assert model.predict([x, z]).shape == (6, 3)
    model.compile("sgd", "mse")
    model.fit([x, z], np.zeros((6, 3)), verbose=0)


def test_calls():
    model = eg.Sequential([layers.Dense(2, kernel_initializer="ones")])
    assert model([[1.0, 2.0]]).tolist() == [[3.0, 3.0]]
    assert model(eg.tensor([[1.0, 2.0]]), training=True).requires_grad


def test_one_input_twice_is_refused():
    a, b = eg.Input((3,)), eg.Input((3,))
    joined = layers.Add()([a, b])
    with pytest.raises(ValueError, match="inputs: expected different ones"):
        eg.Model([a, b, a], joined)
    # One output may be wanted twice.
    assert len(eg.Model([a, b], [joined, joined]).predict([np.ones((2, 3))] * 2)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": ["mse"]}, "loss: expected one for each of the 2 outputs, got 1"),
        ({"loss": ["mse"] * 3}, "loss: expected one for each of the 2 outputs, got 3"),
        ({"loss": {"frist": "mse"}}, "loss: no output 'frist'; did you mean 'first'"),
        ({"loss_weights": [1.0]}, "loss_weights: expected one for each of the 2 outputs, got 1"),
        ({"loss_weights": {"third": 1.0}}, "loss_weights: no output 'third'"),
        ({"metrics": [["mae"]]}, "metrics: expected one for each of the 2 outputs, got 1"),
        ({"weighted_metrics": {"third": ["mae"]}}, "weighted_metrics: no output 'third'"),
    ],
)
def test_a_drawn_graph_knows_its_outputs_when_it_is_compiled(arguments, message):
    a = eg.Input((3,))
    heads = [layers.Dense(2, name="first")(a), layers.Dense(1, name="second")(a)]
    model = eg.Model(a, heads, seed=1)
    model.compile("sgd", "mse")
    before = model._config
    with pytest.raises(ValueError, match=message):
        model.compile("adam", **{"loss": "mse", **arguments})
    assert model._config is before


# ---- the optimizer of a model


def compiled(optimizer, name):
    model = eg.Sequential([eg.Input((2,)), layers.Dense(1)], seed=1, name=name)
    model.compile(optimizer, "mse")
    return model


def test_an_optimizer_trains_one_model():
    optimizer, data = eg.optimizers.Adam(0.1), (np.ones((4, 2)), np.ones(4))
    first = compiled(optimizer, "first")
    with pytest.raises(ValueError, match=r"the Adam of the model 'first', .*another .*'second'"):
        compiled(optimizer, "second")
    first.fit(*data, verbose=0)
    # Compiled anew, as after freezing layers, the model goes on with it.
    first.compile(optimizer, "mae")
    first.fit(*data, verbose=0)
    assert optimizer.iterations == 2
    other = compiled("sgd", "third")
    with pytest.raises(ValueError, match="it has made 2 updates; make another one for 'third'"):
        other.compile(optimizer, "mse")
    assert type(other.optimizer) is eg.optimizers.SGD
    # A copy has an optimizer of its own, which is that of the copy.
    twin = first.clone()
    with pytest.raises(ValueError, match="the Adam of the model 'first'"):
        other.compile(twin.optimizer, "mse")
    twin.fit(*data, verbose=0)
    assert (optimizer.iterations, twin.optimizer.iterations) == (2, 3)


def test_an_optimizer_is_free_until_it_has_trained():
    optimizer = eg.optimizers.Adam(0.1)
    model = compiled(optimizer, "first")
    model.compile("sgd", "mse")
    second = compiled(optimizer, "second")
    second.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    del second
    gc.collect()
    with pytest.raises(ValueError, match="the model 'second', of which it has made 1 update;"):
        model.compile(optimizer, "mse")


class Halved(eg.Sequential):
    """A chain with a `call` of its own."""

    def __init__(self):
        super().__init__([eg.Input((3,)), layers.Dense(1, "sigmoid")], seed=1)
        self.first = [(layers.Dense(3, "tanh"),)]

    def call(self, x):
        return super().call(self.first[0][0](x)) * 0.5


class HalvedGraph(eg.Model):
    """A drawn graph with a `call` of its own."""

    def __init__(self):
        x = eg.Input((3,))
        super().__init__(x, layers.Dense(1, "sigmoid")(x), seed=1)
        self.first = layers.Dense(3, "tanh")

    def call(self, x):
        return super().call(self.first(x)) * 0.5


@pytest.mark.parametrize("kind", [Halved, HalvedGraph])
def test_a_call_of_ones_own_is_what_runs_trains_and_is_saved(kind, rng, tmp_path):
    x, y = rng.normal(size=(16, 3)).astype("float32"), np.ones((16, 1))
    model = kind()
    assert len(model.layers) == 2
    predicted = model.predict(x)
    assert (predicted < 0.5).all()
    for _ in range(4):
        np.testing.assert_array_equal(model(x).numpy(), predicted)
    model.compile("sgd", eg.losses.BinaryCrossentropy(from_logits=False))
    history = model.fit(x, y, verbose=0).history
    assert history["loss"][0] == pytest.approx(-np.log(predicted).mean(), rel=1e-5)
    assert len(model.trainable_weights) == 4
    assert model.output_shape == (None, 1)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors", {kind.__name__: kind})
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_a_drawn_class_without_arguments_for_a_file_says_what_to_do(tmp_path):
    class Doubled(eg.Model):
        def __init__(self, start, end):
            super().__init__(start, end)

        def call(self, x):
            return super().call(x) * 2.0

    x = eg.Input((3,))
    model = Doubled(x, layers.Dense(1)(x))
    model.build((None, 3))
    with pytest.raises(
        TypeError, match=r"Doubled\.start: .*inputs and outputs; call them so, draw"
    ):
        model.save(tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "net.safetensors")


# ---- the dtype of data


def precise(**settings):
    return layers.Dense(1, dtype="float64", kernel_initializer="ones", **settings)


class Precise(eg.Model):
    """A subclass whose layers all compute in float64."""

    def __init__(self):
        super().__init__()
        self.dense = precise()

    def call(self, x):
        return self.dense(x)


def drawn(layer):
    x = eg.Input((3,))
    return eg.Model(x, layer(x))


PRECISE = {
    "a chain": lambda: eg.Sequential([precise()]),
    "with a dtype for the others": lambda: eg.Sequential([precise()], dtype="float32"),
    "with an input": lambda: eg.Sequential([eg.Input((3,)), precise()]),
    "a graph": lambda: drawn(precise()),
    "a chain in a graph": lambda: drawn(eg.Sequential([precise()])),
    "a graph in a chain": lambda: eg.Sequential([drawn(precise())]),
    "a subclass": Precise,
}


@pytest.mark.parametrize("make", PRECISE.values(), ids=list(PRECISE))
def test_data_is_not_rounded_before_layers_of_float64(make, rng, tmp_path):
    x = 1.0 + 1e-9 * rng.normal(size=(24, 3))
    y = 3.0 + 1e-9 * rng.normal(size=(24, 1))
    expected = x.sum(axis=1, keepdims=True)
    loss = pytest.approx(((expected - y) ** 2).mean(), rel=1e-5)
    model = make()
    model.compile(eg.optimizers.SGD(0.0), "mse")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors", {"Precise": Precise})
    for one in (model, again):
        for predict in (one.predict, one.predict_on_batch, one, one, one, one.predict):
            output = np.asarray(predict(x))
            assert output.dtype == np.float64
            np.testing.assert_allclose(output, expected, rtol=1e-15)
        np.testing.assert_allclose(one.predict_mc(x, 2)[0], expected, rtol=1e-15)
        assert one.evaluate(x, y) == loss
        assert one.evaluate(iter([(x, y)])) == loss
        assert one.train_on_batch(x, y) == loss
        assert one.fit(x, y, batch_size=9, verbose=0).history["loss"][0] == loss
        weights = np.full(24, 1.0 + 1e-12)
        assert one.fit(x, y, sample_weight=weights, verbose=0).history["loss"][0] == loss


def test_layers_behind_one_of_float64_keep_their_dtype(rng):
    x = 1.0 + 1e-9 * rng.normal(size=(50, 3))
    norm = layers.Normalization(dtype="float64")
    norm.adapt(x)
    model = eg.Sequential([norm, layers.Dense(2, kernel_initializer="identity")])
    expected = ((x - x.mean(0)) / x.std(0))[:, :2]
    output = model.predict(x)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    assert output.dtype == np.float32
    assert [w.dtype for w in model.weights] == ["float64"] * 2 + ["float32"] * 2
    model.compile("sgd", "mse")
    assert model.evaluate(x, x[:, :2]) == pytest.approx(((expected - 1.0) ** 2).mean(), rel=1e-4)
    np.testing.assert_allclose(model.features(x, 0), (x - x.mean(0)) / x.std(0), atol=1e-6)
