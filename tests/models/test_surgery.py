"""Operations on a model's head: a new model, and the source what it was, to the bit."""

import copy
import pickle
import re

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.layers._module import module_tree

X = np.random.default_rng(6).normal(size=(40, 4)).astype("float32")
Y = np.stack([X[:, 0] * X[:, 1], X[:, 2]], axis=1)


def chain(**settings):
    body = [layers.Dense(6, "relu", norm=layers.BatchNormalization()), layers.Dropout(0.3)]
    parts = [*body, layers.Dense(5, "tanh"), layers.Dense(2)]
    return eg.Sequential([eg.Input((4,)), *parts], seed=3, name="net", **settings)


def graph():
    a = eg.Input((4,))
    shared = layers.Dense(4, "tanh", name="shared")
    inner = eg.Sequential([eg.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(4)], name="inner")
    return eg.Model(a, layers.Dense(2, name="head")(inner(shared(shared(a)))), seed=3)


def unlined():
    """Return a chain that data has built, without an Input."""
    model = eg.Sequential([layers.Dense(5, "relu"), layers.Dense(3, "relu"), layers.Dense(2)])
    model.build((None, 4))
    return model


MODELS = [chain, graph, unlined]
OPERATIONS = {
    "drop_top": lambda model: model.drop_top(1),
    "with_head": lambda model: model.with_head(layers.Dense(3, "relu"), layers.Dense(2)),
    "insert": lambda model: model.insert(-1, layers.Dropout(0.5)),
    "replace": lambda model: model.replace(-1, layers.Dense(2, "tanh")),
}


def trained(model, optimizer=None):
    model.compile(optimizer or eg.optimizers.Adam(0.01), "mse", ["mae"])
    model.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    return model


def all_of(model):
    """Return all that an operation must leave as it is, as bytes."""
    optimizer = model.optimizer
    slots = [
        slot.numpy().tobytes()
        for weight in model.trainable_weights
        for slot in optimizer.slots(weight).values()
    ]
    tree = module_tree(model)
    return [
        [weight.tobytes() for weight in model.get_weights()],
        slots,
        optimizer.iterations,
        [(path, stream.draws) for path, stream in tree.generators],
        model._shuffler().draws,
        repr(model),
        [path for path, _ in model.named_weights()],
        [weight.requires_grad for weight in model.weights],
        [id(layer) for _, layer in tree.layers],
    ]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_source_is_what_it_was_and_shares_nothing(make, operation):
    model = trained(make())
    twin = model.clone()
    before = all_of(model)
    new = OPERATIONS[operation](model)
    new.compile("sgd", "mse")
    new.fit(X, np.zeros((40, *new.output_shape[1:])), epochs=2, verbose=0)
    assert all_of(model) == before
    for inside in (lambda m: [x for _, x in module_tree(m).layers], lambda m: m.weights):
        assert not {id(one) for one in inside(new)} & {id(one) for one in inside(model)}
    # It goes on as one does that was never operated on.
    for one in (model, twin):
        one.fit(X, Y, epochs=1, batch_size=8, verbose=0)
    assert all_of(model)[:-1] == all_of(twin)[:-1]


@pytest.mark.parametrize("make", MODELS)
def test_what_is_left_computes_as_before(make):
    model = trained(make())
    below = model.drop_top(1)
    np.testing.assert_array_equal(below.predict(X), model.features(X, -2))
    assert type(below) is type(model)
    added = model.with_head(layers.Activation("tanh"))
    np.testing.assert_allclose(added.predict(X), np.tanh(model.predict(X)), atol=1e-6)
    quiet = model.insert(-1, layers.Dropout(0.5), layers.GaussianNoise(0.1))
    np.testing.assert_array_equal(quiet.predict(X), model.predict(X))
    # A layer that is given with values brings them.
    same = model.replace(-1, model.layers[-1])
    np.testing.assert_array_equal(same.predict(X), model.predict(X))


@pytest.mark.parametrize("make", MODELS)
def test_names_of_layers_stay(make):
    model = make()
    names = [layer.name for layer in model.layers]
    assert [layer.name for layer in model.drop_top(1).layers] == names[:-1]
    new = model.insert(names[-1], layers.Dense(model.layers[-1].kernel.shape[0]))
    assert [layer.name for layer in new.layers if layer.name in names] == names
    assert [layer.name for layer in model.replace(-1, layers.Dense(9)).layers] == names
    other = model.replace(-1, layers.Maxout(2))
    assert [layer.name for layer in other.layers] == [*names[:-1], "maxout"]
    assert other.name == model.name


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_optimizer_goes_on_where_it_can(make, operation):
    model = trained(make())
    new = OPERATIONS[operation](model)
    report = new.surgery_report
    assert report.compiled
    assert new.optimizer.iterations == 10
    names = dict(new.named_weights())
    old = dict(model.named_weights())
    assert {*report.slots_carried, *report.slots_begun} == {
        path for path, tensor in names.items() if tensor.requires_grad
    }
    for path in report.slots_carried:
        pair = (new.optimizer.slots(names[path]), model.optimizer.slots(old[path]))
        for name, slot in pair[0].items():
            np.testing.assert_array_equal(slot.numpy(), pair[1][name].numpy())
        assert np.abs(pair[0]["mean_square"].numpy()).max() > 0.0
    for path in report.slots_begun:
        assert not any(slot.numpy().any() for slot in new.optimizer.slots(names[path]).values())
    assert {path.rpartition("/")[0] for path in report.slots_begun} == {
        path for path in report.added if f"{path}/kernel" in names
    }


def test_a_model_that_nothing_changes_in_goes_on_to_the_bit():
    """Dropout and noise of another stream, but no step: all else is carried."""
    model = trained(chain(), eg.optimizers.SGD(0.05, momentum=0.9, use_ema=True))
    new = model.with_head(layers.Activation("linear"))
    for one in (model, new):
        one.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    for a, b in zip(model.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_new_layers_follow_from_the_seed():
    first, second = (chain().with_head(layers.Dense(3)).get_weights() for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_base_with_a_new_head():
    model = trained(chain())
    model.feature_names_in_ = list("abcd")
    base = model.drop_top(2)
    base.trainable = False
    new = base.with_head(layers.Dense(2))
    assert new.feature_names_in_ == list("abcd")
    assert new.surgery_report.slots_begun == ("dense_1/kernel", "dense_1/bias")
    frozen = base.get_weights()
    start = new.get_weights()[-2]
    new.fit(X, Y, epochs=2, verbose=0)
    for a, b in zip(frozen, new.get_weights(), strict=False):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(new.get_weights()[-2], start)


def test_double_precision():
    model = chain(dtype="float64")
    new = model.with_head(layers.Dense(3)).insert("dense_1", layers.Dense(6))
    assert {weight.dtype for weight in new.weights} == {"float64"}
    assert new.predict(X.astype("float64")).dtype == "float64"


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_files_pickles_and_clones(make, operation, tmp_path):
    new = OPERATIONS[operation](trained(make()))
    new.save(tmp_path / "net.safetensors")
    for again in (
        eg.load_model(tmp_path / "net.safetensors"),
        pickle.loads(pickle.dumps(new)),  # noqa: S301 - made here
        new.clone(),
    ):
        np.testing.assert_array_equal(again.predict(X), new.predict(X))
        assert [path for path, _ in again.named_weights()] == [p for p, _ in new.named_weights()]
        assert again.optimizer.iterations == 10


# ---- places


def test_inside_a_model_inside():
    model = trained(graph())
    new = model.insert("inner/dense_1", layers.Dense(4, name="between"))
    assert [layer.path for layer in new.get_layer("inner").layers] == [
        "inner/dense",
        "inner/between",
        "inner/dense_1",
    ]
    assert new.surgery_report.kept == ("shared", "inner/dense", "inner/dense_1", "head")
    linear = layers.Dense(4)
    model = graph()
    twin = model.replace("inner/dense", linear)
    outer, inner = twin.layers[0], twin.get_layer("inner").layers
    kernels = [layer.kernel.detach().numpy() for layer in (*inner, twin.layers[-1])]
    hidden = np.tanh(np.tanh(X @ outer.kernel.detach().numpy()) @ outer.kernel.detach().numpy())
    np.testing.assert_allclose(twin.predict(X), hidden @ np.linalg.multi_dot(kernels), atol=1e-5)
    assert not linear.built
    frozen = graph()
    frozen.get_layer("inner").trainable = False
    assert not frozen.replace("inner/dense", layers.Dense(4)).get_layer("inner").trainable


def test_a_shared_layer_is_replaced_at_each_use():
    model = graph()
    new = model.replace("shared", layers.Dense(4, use_bias=False, name="other"))
    kernels = [new.layers[0].kernel.detach().numpy(), model.layers[0].kernel.detach().numpy()]
    body = eg.Sequential([eg.Input((4,)), *copy.deepcopy(model.layers[1:])])
    np.testing.assert_allclose(new.predict(X), body.predict(X @ kernels[0] @ kernels[0]), atol=1e-5)
    before = model.insert("shared", layers.Dense(4, "relu", use_bias=False, name="first"))
    kernel = before.get_layer("first").kernel.detach().numpy()

    def use(x):
        return np.tanh(np.maximum(x @ kernel, 0.0) @ kernels[1])

    np.testing.assert_allclose(before.predict(X), body.predict(use(use(X))), atol=1e-5)


def test_layers_that_join_are_replaced_and_not_gone_through():
    a, b = eg.Input((4,)), eg.Input((4,))
    left, right = layers.Dense(3, name="left")(a), layers.Dense(3, name="right")(b)
    joined = layers.Add(name="sum")([left, right])
    model = eg.Model([a, b], layers.Dense(1, name="head")(joined), seed=1)
    np.testing.assert_allclose(
        model.drop_top(1).predict([X, X]),
        X @ sum(layer.kernel.detach().numpy() for layer in model.layers[:2]),
        atol=1e-6,
    )
    new = model.replace("sum", layers.Multiply())
    expected = (X @ model.layers[0].kernel.detach().numpy()) * (
        X @ model.layers[1].kernel.detach().numpy()
    )
    np.testing.assert_allclose(new.features([X, X], "multiply"), expected, atol=1e-6)
    assert new.get_layer("head").name == "head"
    with pytest.raises(ValueError, match=r"drop_top\(2\): sum joins 2 tensors.*drop 1 at most"):
        model.drop_top(2)
    with pytest.raises(ValueError, match=r"insert\('sum', .*: sum takes several inputs"):
        model.insert("sum", layers.Dense(3))
    with pytest.raises(ValueError, match=r"replace\('sum', Dense\(3\)\): "):
        model.replace("sum", layers.Dense(3))


def test_a_use_with_arguments_keeps_them():
    a = eg.Input((4,))
    drawn = layers.Dropout(0.5, name="drop")(layers.Dense(4)(a), training=False)
    model = eg.Model(a, layers.Dense(2)(drawn), seed=1)
    new = model.insert("drop", layers.Dense(4))
    assert [node.arguments for node in new._graph.nodes] == [{}, {}, {"training": False}, {}]


def test_recurrent_layers_with_states():
    a = eg.Input((5, 3))
    states = layers.LSTM(4, return_state=True, name="encoder")(a)
    model = eg.Model(a, layers.Dense(2)(states[0]), seed=1)
    x = np.random.default_rng(1).normal(size=(3, 5, 3)).astype("float32")
    assert model.replace("encoder", layers.LSTM(4, return_state=True)).predict(x).shape == (3, 2)
    with pytest.raises(ValueError, match=r"encoder.*: expected 3 outputs, as what stood there"):
        model.replace("encoder", layers.LSTM(4, name="encoder"))


# ---- what was compiled


def test_settings_that_do_not_fit_are_left_out():
    model = graph()
    model.compile("adam", {"head": "mse"})
    report = model.with_head(layers.Dense(1)).surgery_report
    assert not report.compiled
    assert re.search("not compiled: the source's settings do not fit: loss: ", report.notes[0])
    assert graph().drop_top(1).surgery_report.notes == ("not compiled: the source is not",)


def test_gathered_gradients_are_dropped():
    model = trained(chain(), eg.optimizers.SGD(0.1, gradient_accumulation_steps=3))
    new = model.drop_top(1)
    assert new.surgery_report.notes == (
        "the gradients of 1 step, gathered for the next update, are dropped",
    )
    kernel = new.trainable_weights[0]
    assert not new.optimizer.slots(kernel)["gradient_accumulator"].numpy().any()
    assert new.optimizer.iterations == 3
    new.with_head(layers.Dense(2)).fit(X, Y, verbose=0)


def test_groups_and_averages():
    slow = eg.optimizers.ParameterGroup("^dense/", learning_rate_multiplier=0.0)
    model = trained(chain(), eg.optimizers.SGD(0.1, groups=[slow], use_ema=True))
    new = model.replace("dense_2", layers.Dense(2))
    first = new.layers[0].kernel.detach().numpy().copy()
    new.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(new.layers[0].kernel.detach().numpy(), first)
    model.optimizer.swap_ema_weights(model.trainable_weights)
    with pytest.raises(RuntimeError, match=r"drop_top\(1\): the weights are exchanged"):
        model.drop_top(1)


def test_rates_of_thawed_layers_are_those_of_variables_and_not_of_names():
    model = trained(chain(), "sgd")
    model.freeze()
    model.unfreeze(learning_rate=0.001)
    new = model.drop_top(1).with_head(layers.Dense(2))
    assert new.layers[-1].path == model.layers[-1].path

    def rate(tensor):
        groups = [group for group in new.optimizer.groups or [] if group.holds(tensor)]
        return np.prod([group.learning_rate_multiplier for group in groups])

    *kept, kernel, bias = map(rate, new.trainable_weights)
    assert (kernel, bias) == (1.0, 1.0)
    np.testing.assert_allclose(kept, 0.1)
    # Another rate takes the place of one that was carried.
    new.unfreeze(learning_rate=0.005)
    np.testing.assert_allclose([rate(tensor) for tensor in new.trainable_weights], 0.5)


# ---- what is refused


class Code(eg.Model):
    def __init__(self):
        super().__init__()
        self.one = layers.Dense(4)

    def call(self, x):
        return self.one(x)


def code():
    model = Code()
    model.build((None, 4))
    return model


def with_block():
    parts = [layers.Residual([layers.Dense(4), layers.Dense(4)]), layers.Dense(2, name="head")]
    return eg.Sequential([eg.Input((4,)), *parts])


def two_headed():
    a = eg.Input((4,))
    return eg.Model(a, [layers.Dense(1, name="one")(a), layers.Dense(2, name="two")(a)])


REFUSED = {
    "too many": (chain, lambda m: m.drop_top(4), r"drop_top\(4\): expected n of 3 or less"),
    "too many of a graph": (graph, lambda m: m.drop_top(4), r"drop_top\(4\): expected n of 3"),
    "none": (chain, lambda m: m.drop_top(0), "n: expected 1 or more"),
    "unbuilt": (
        lambda: eg.Sequential([layers.Dense(1)]),
        lambda m: m.drop_top(1),
        r"drop_top\(1\) before the model is built",
    ),
    "code": (code, lambda m: m.drop_top(1), "the call of Code is code"),
    "in a block": (
        with_block,
        lambda m: m.replace("residual/body_0", layers.Dense(4)),
        "inside 'residual', whose layers are placed by its constructor; replace the Residual as",
    ),
    "in code": (
        lambda: eg.Sequential([eg.Input((4,)), Code(), layers.Dense(1)]),
        lambda m: m.insert("code/one", layers.Dense(4)),
        "stands inside 'code', whose layers are placed by code",
    ),
    "two outputs": (
        two_headed,
        lambda m: m.with_head(layers.Dense(1)),
        "expected a model with one output, got 2: one, two",
    ),
    "two outputs dropped": (two_headed, lambda m: m.drop_top(1), "expected a model with one"),
    "unknown": (chain, lambda m: m.replace("dens", layers.Dense(1)), "name: no layer 'dens'; did"),
    "no such place": (chain, lambda m: m.insert(7, layers.Dense(1)), "before: expected a position"),
    "another's": (
        chain,
        lambda m: m.replace(chain().layers[0], layers.Dense(1)),
        "name: expected a layer of 'net', got 'dense', which is none of its layers",
    ),
    "no layers": (chain, lambda m: m.with_head(), "expected at least one layer, got none"),
    "a name twice": (
        chain,
        lambda m: m.with_head(layers.Dense(1, name="dense")),
        "there is a layer named 'dense' already",
    ),
    "a shape": (
        chain,
        lambda m: m.replace("dense_1", layers.Dense(7)),
        r"Dense\(7\)\): dense_2: expected an input of shape \(rows, 5\), got an input of shape \(N",
    ),
    "a shape of a graph": (
        graph,
        lambda m: m.replace("shared", layers.Dense(7)),
        r"replace\('shared', Dense\(7\)\): .*expected an input of shape \(rows, 4\)",
    ),
    "a shape of what is given": (
        chain,
        lambda m: m.with_head(chain().layers[0]),
        r"with_head\(.*\): dense_3: expected an input of shape \(rows, 4\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    make, operate, message = REFUSED[case]
    model = make()
    before = repr(model), [weight.tobytes() for weight in model.get_weights()]
    with pytest.raises(ValueError, match=message):
        operate(model)
    assert (repr(model), [weight.tobytes() for weight in model.get_weights()]) == before


def test_other_kinds_are_refused():
    model = chain()
    for given, message in (
        ((layers.Dense,), "did you forget its parentheses"),
        (([layers.Dense(1)],), "pass them one by one"),
        ((eg.Input((3,)),), "expected layers, got <symbolic"),
    ):
        with pytest.raises(TypeError, match=message):
            model.with_head(*given)
    twice = layers.Dense(2)
    with pytest.raises(ValueError, match="the same layer 'dense' is given twice"):
        model.with_head(twice, twice)
    with pytest.raises(TypeError, match="n: expected an integer"):
        model.drop_top("dense")


def test_a_class_of_users_becomes_a_plain_model():
    class Net(eg.Sequential):
        def __init__(self):
            super().__init__([eg.Input((4,)), layers.Dense(3), layers.Dense(2)])

    new = Net().drop_top(1)
    assert type(new) is eg.Sequential
    assert new.name == "net"
