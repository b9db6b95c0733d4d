"""Files of models inside models, and of layers that several places share."""

# ruff: noqa: ARG001, ARG002, ARG005 - functions have the signatures that they are called with

import json

import numpy as np
import pytest
from saving_checks import rewrite

import evengrad as eg
from evengrad import layers
from evengrad.layers._module import module_tree

X = np.random.default_rng(3).normal(size=(37, 4)).astype("float32")


class Inner(eg.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(4, "tanh")
        self.drop = layers.Dropout(0.25)

    def call(self, x, training):
        return self.drop(self.first(x))


class Around(eg.Model):
    """A subclass that gets its parts."""

    def __init__(self, body, head):
        super().__init__(seed=5)
        self.body = body
        self.head = head

    def call(self, x, training):
        return self.head(self.body(x))


class Makes(eg.Model):
    """A subclass that makes a model for itself."""

    def __init__(self, units, inner):
        super().__init__(seed=6)
        self.units = units
        self.inner = inner
        self.body = INNER[inner]()
        self.head = layers.Dense(units)

    def call(self, x, training):
        return self.head(self.body(x))


def parts():
    return [layers.Dense(4, "tanh"), layers.Dropout(0.25)]


def functional(*names):
    a = eg.Input((4,))
    first, second = parts()
    if names:
        first, second = layers.Dense(4, "tanh", name=names[0]), layers.Dense(4, name=names[1])
    return eg.Model(a, second(first(a)), seed=8)


INNER = {
    "sequential": lambda: eg.Sequential(parts()),
    "sequential with input": lambda: eg.Sequential([eg.Input((4,)), *parts()], seed=7),
    "functional": functional,
    "functional, distinct names": lambda: functional("one", "two"),
    "subclass": Inner,
}


def drawn(body, head):
    a = eg.Input((4,))
    return eg.Model(a, head(body(a)), seed=9)


OUTER = {
    "sequential": lambda body, head: eg.Sequential([body, head], seed=2),
    "sequential with input": lambda body, head: eg.Sequential(
        [eg.Input((4,)), layers.Dense(4), body, head], seed=2
    ),
    "functional": drawn,
    "subclass": Around,
    "residual": lambda body, head: eg.Sequential([layers.Residual(body), head], seed=2),
    "residual of several": lambda body, head: eg.Sequential(
        [layers.Residual([layers.Dense(4), body]), head], seed=2
    ),
    "residual in a drawn graph": lambda body, head: drawn(layers.Residual(body), head),
}
CUSTOM = {"Inner": Inner, "Around": Around, "Makes": Makes}


def assert_comes_back(model, folder, x=X, y=None):
    """Train, save, load; find the same bits; train on, and find them again."""
    y = X[:, : model.predict(x).shape[-1]] if y is None else y
    model.compile(eg.optimizers.Adam(0.01), "mse")
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    model.save(folder / "net")
    again = eg.load_model(folder / "net", CUSTOM)
    for _ in range(2):
        named = list(zip(model.named_weights(), again.named_weights(), strict=True))
        assert named
        for (path, a), (other, b) in named:
            assert path == other
            np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy(), err_msg=path)
            assert a.requires_grad is b.requires_grad
            left, right = model.optimizer.slots(a), again.optimizer.slots(b)
            assert list(left) == list(right)
            for slot in left:
                np.testing.assert_array_equal(left[slot].numpy(), right[slot].numpy())
        outputs = [one.predict(x) for one in (model, again)]
        several = isinstance(outputs[0], list)
        for a, b in zip(*(outputs if several else [[o] for o in outputs]), strict=True):
            np.testing.assert_array_equal(a, b)
        for one in (model, again):
            one.fit(x, y, batch_size=8, epochs=2, verbose=0)
    return again


@pytest.mark.parametrize("units", [4, 1], ids=["equal shapes", "other shapes"])
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("inner", INNER)
def test_a_model_inside(inner, outer, units, tmp_path):
    model = OUTER[outer](INNER[inner](), layers.Dense(units))
    again = assert_comes_back(model, tmp_path)
    assert repr(again) == repr(model)


@pytest.mark.parametrize("units", [4, 1])
@pytest.mark.parametrize("inner", INNER)
def test_a_model_that_a_subclass_makes(inner, units, tmp_path):
    assert_comes_back(Makes(units, inner), tmp_path)


def test_two_models_of_one_given_name(tmp_path):
    a = eg.Input((4,))
    bodies = [eg.Sequential([eg.Input((4,)), *parts()], name="body") for _ in range(2)]
    joined = layers.Concatenate()([body(a) for body in bodies])
    again = assert_comes_back(eg.Model(a, layers.Dense(1)(joined), seed=1), tmp_path)
    assert [layer.name for layer in again.layers][:2] == ["body", "body_1"]
    assert [repr(layer) for layer in again.layers[:2]] == [repr(body) for body in bodies]


def test_models_three_deep(tmp_path):
    body = INNER["functional"]()
    for outer in ("residual", "functional", "subclass", "sequential with input"):
        body = OUTER[outer](body, layers.Dense(4))
    assert_comes_back(body, tmp_path)


def test_what_is_nested_too_deeply_to_be_read_is_not_written(tmp_path):
    def nested(levels):
        layer = layers.Dense(4)
        for _ in range(levels):
            layer = layers.Residual([layer])
        return eg.Sequential([eg.Input((4,)), layer], seed=1)

    model = nested(60)
    model.save(tmp_path / "net")
    np.testing.assert_array_equal(eg.load_model(tmp_path / "net").predict(X), model.predict(X))
    with pytest.raises(ValueError, match="nested more deeply than a file can describe"):
        nested(100).save(tmp_path / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_a_model_of_two_inputs_and_two_outputs_inside(tmp_path):
    a, b = eg.Input((4,)), eg.Input((3,))
    one = layers.Dense(4, "relu")(layers.Concatenate()([a, b]))
    body = eg.Model([a, b], [one, layers.Dense(4)(one)], name="body")
    c, d = eg.Input((4,)), eg.Input((3,))
    left, right = body([layers.Dense(4)(c), d])
    model = eg.Model([c, d], [layers.Dense(4)(left), layers.Dense(1)(right)], seed=1)
    assert_comes_back(model, tmp_path, [X, X[:, :3]], [X, X[:, :1]])


def test_what_is_frozen_stays_so_layer_by_layer(tmp_path):
    body, block = INNER["sequential with input"](), layers.Residual([layers.Dense(4) for _ in "ab"])
    model = eg.Sequential([eg.Input((4,)), body, block, layers.Dense(1)], seed=1)
    body.trainable = False
    body.layers[0].trainable = True
    block.body[1].trainable = False
    again = assert_comes_back(model, tmp_path)
    assert [layer.trainable for layer in again.layers] == [False, True, True]
    assert again.layers[0].layers[0].trainable
    assert not again.layers[1].body[1].trainable


# ---- shared layers


def shared_activation():
    one = layers.PReLU("random_uniform")
    return eg.Sequential([eg.Input((4,)), layers.Dense(4, one), layers.Dense(4, one)], seed=1)


def shared_norm():
    one = layers.BatchNormalization()
    return eg.Sequential([layers.Dense(4, "relu", norm=one), layers.Dense(4, norm=one)], seed=1)


def shared_body():
    one = layers.Dense(4, "tanh")
    return eg.Sequential([layers.Residual(one), layers.Residual(one), layers.Dense(1)], seed=1)


def shared_with_the_chain(first):
    one = layers.Dense(4, "tanh")
    chain = [one, layers.Residual([one])]
    return eg.Sequential([*(chain if first else chain[::-1]), layers.Dense(1)], seed=1)


def shared_stream():
    one = layers.Dropout(0.5)
    blocks = [layers.Residual([layers.Dense(4), one]) for _ in range(2)]
    return eg.Sequential([*blocks, layers.Dense(1)], seed=1)


def shared_by_two_models():
    """An encoder and a model that holds it, as for autoencoders, side by side."""
    a = eg.Input((4,))
    code = layers.Dense(4, "tanh")(a)
    encoder, both = eg.Model(a, code), eg.Model(a, layers.Dense(4)(code))
    b = eg.Input((4,))
    return eg.Model(b, layers.Dense(1)(layers.Add()([encoder(b), both(b)])), seed=1)


def drawn_in_another_order():
    """The use that was drawn last comes first in the graph, and names the shared layer anew."""
    a = eg.Input((4,))
    one = layers.PReLU("random_uniform")
    second, first = layers.Dense(4, one), layers.Residual([layers.Dense(4), one])
    late = second(a)
    return eg.Model(a, layers.Dense(1)(layers.Concatenate()([first(a), late])), seed=1)


def called_twice():
    a = eg.Input((4,))
    one = layers.Dense(4, "tanh")
    return eg.Model(a, layers.Dense(1)(one(one(a))), seed=1)


def named_elsewhere():
    """A layer of a trained model goes into a block of another one."""
    source = eg.Sequential([eg.Input((4,)), layers.Dense(4), layers.Dense(4)], seed=2)
    return eg.Sequential([layers.Residual(source.layers[1]), layers.Dense(1)], seed=1)


SHARED = [
    shared_activation,
    shared_norm,
    shared_body,
    lambda: shared_with_the_chain(first=True),
    lambda: shared_with_the_chain(first=False),
    shared_stream,
    shared_by_two_models,
    drawn_in_another_order,
    called_twice,
    named_elsewhere,
]


@pytest.mark.parametrize("make", SHARED)
def test_a_shared_layer(make, tmp_path):
    model = make()
    again = assert_comes_back(model, tmp_path)
    assert len(module_tree(again).layers) == len(module_tree(model).layers)


def test_two_layers_of_one_path_are_refused(tmp_path):
    source = [eg.Sequential([eg.Input((4,)), layers.Dense(4)], seed=n) for n in range(2)]
    model = eg.Sequential([eg.Input((4,)), *[one.layers[0] for one in source]])
    with pytest.raises(ValueError, match="two variables have the path 'dense/kernel'"):
        model.save(tmp_path / "net")
    with pytest.raises(ValueError, match="two variables have the path 'dense/kernel'"):
        model.save_weights(tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_a_new_layer_keeps_clear_of_names_from_elsewhere(tmp_path):
    source = eg.Sequential([eg.Input((4,)), layers.Dense(4)], seed=1)
    model = eg.Sequential([eg.Input((4,)), layers.Dense(4), source.layers[0]], seed=2)
    assert [layer.name for layer in model.layers] == ["dense_1", "dense"]
    assert_comes_back(model, tmp_path)


# ---- damage, and files of earlier releases


@pytest.fixture
def saved(tmp_path):
    model = shared_body()
    model.build((None, 4))
    model.save(tmp_path / "net")
    return tmp_path / "net"


DAMAGE = {
    "unknown label": lambda h, d: d["model"]["layers"][1]["config"]["body"].update(same_as=7),
    "label of text": lambda h, d: d["model"]["layers"][1]["config"]["body"].update(same_as="0"),
    "label of a list": lambda h, d: d["model"]["layers"][0]["config"]["body"].update(label=[]),
    "no list of frozen": lambda h, d: d.update(frozen=3),
    "name of a number": lambda h, d: d["model"]["layers"][0]["config"]["body"].update(name=3),
    "given name of a number": lambda h, d: d["model"].update(given_name=3),
    "given dtype of a number": lambda h, d: d["model"].update(given_dtype=64),
    "another name": lambda h, d: d["model"]["layers"][0]["config"]["body"].update(name="x"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(saved, damage):
    rewrite(saved, DAMAGE[damage])
    with pytest.raises(eg.FileFormatError, match="net: "):
        eg.load_model(saved)


def test_no_description_makes_more_than_its_file_has(saved):
    """A layer described a thousand times has variables in the file once."""

    def many(header, description):
        layer = description["model"]["layers"][2]
        described = [json.loads(json.dumps({**layer, "name": f"d{i}"})) for i in range(1000)]
        description["model"]["layers"] = described

    rewrite(saved, many)
    with pytest.raises(eg.FileFormatError, match="the description asks for shape"):
        eg.load_model(saved)


def test_files_that_list_nothing_frozen_and_name_no_inner_layer(tmp_path):
    """As earlier releases wrote them."""
    chain = [eg.Input((4,)), layers.Residual([layers.Dense(4)]), layers.Dense(1, trainable=False)]
    model = eg.Sequential(chain, seed=1)
    model.save(tmp_path / "net")

    def older(header, description):
        del description["frozen"], description["model"]["input"]
        del description["model"]["layers"][0]["config"]["body"][0]["name"]
        del description["model"]["layers"][0]["config"]["body"][0]["trainable"]

    rewrite(tmp_path / "net", older)
    again = eg.load_model(tmp_path / "net")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert [layer.trainable for layer in again.layers] == [True, False]


class Branches(eg.Model):
    """A subclass that gets its parts in containers."""

    def __init__(self, pairs, named):
        super().__init__(seed=5)
        self.pairs = pairs
        self.named = named

    def call(self, x):
        for first, last in self.pairs:
            x = last(first(x))
        for several in self.named.values():
            for layer in several:
                x = layer(x)
        return x


def test_layers_in_containers_of_arguments(tmp_path):
    pairs = [(layers.Dense(5, "tanh"), layers.Dropout(0.5)), (layers.Dense(4), layers.ReLU())]
    model = Branches(pairs, {"up": [layers.Dense(6)], "down": (layers.Dense(3), layers.Dense(2))})
    model.compile("adam", "mse")
    model.fit(X, X[:, :2], epochs=2, verbose=0)
    model.save(tmp_path / "net.safetensors")
    again = eg.load_model(tmp_path / "net.safetensors", {"Branches": Branches})
    assert [path for path, _ in again.named_weights()] == [p for p, _ in model.named_weights()]
    assert len(again.weights) == 10
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for one in (model, again):
        one.fit(X, X[:, :2], verbose=0)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


# ---- graphs that classes of users are given


class Scaled(eg.Model):
    """A drawn graph, whose outputs are multiplied."""

    def __init__(self, inputs, outputs, factor=1.0, **settings):
        super().__init__(inputs, outputs, **settings)
        self.factor = factor
        self.front = layers.Dense(4, "tanh")

    def call(self, x):
        first = self.front(x[0]) if isinstance(x, list) else self.front(x)
        return super().call([first, x[1]] if isinstance(x, list) else first) * self.factor


class Named(eg.Model):
    """A drawn graph, with nothing of its own."""


CUSTOM.update({"Scaled": Scaled, "Named": Named})


def of_one(**settings):
    a = eg.Input((4,))
    return Scaled(a, layers.Dense(1)(layers.Dense(4, "tanh")(a)), 3.0, **settings)


def of_two():
    a, b = eg.Input((4,)), eg.Input((3,))
    return Scaled([a, b], layers.Dense(1)(layers.Concatenate()([a, b])), 3.0, seed=2)


def named():
    a = eg.Input((4,))
    return Named(a, layers.Dense(1)(a), name="named", seed=2)


def inside_a_graph():
    a = eg.Input((4,))
    return eg.Model(a, layers.Dense(1)(of_one(name="inner")(a)), seed=3)


def within_another():
    a = eg.Input((4,))
    return Scaled(a, of_one()(a), 0.5, seed=4)


def shared():
    body, a = of_one(), eg.Input((4,))
    return eg.Model(a, layers.Add()([body(a), body(layers.Dense(4)(a))]), seed=5)


GIVEN = [of_one, of_two, named, inside_a_graph, within_another, shared]


@pytest.mark.parametrize("make", GIVEN)
def test_a_graph_that_a_class_was_given(make, tmp_path):
    model = make()
    again = assert_comes_back(model, tmp_path, [X, X[:, :3]] if make is of_two else X, X[:, :1])
    assert type(again) is type(model)


def test_what_is_frozen_in_such_a_graph_stays_so(tmp_path):
    model = of_one(seed=1)
    model.layers[0].trainable = False
    again = assert_comes_back(model, tmp_path)
    assert [layer.trainable for layer in again.layers] == [False, True, True]


def test_a_class_that_is_not_given_to_the_loader_is_named(tmp_path):
    named().save(tmp_path / "net")
    with pytest.raises(
        ValueError, match=r"unknown class 'Named' .*custom_objects=\{'Named': Named"
    ):
        eg.load_model(tmp_path / "net")
    rewrite(tmp_path / "net", lambda _, description: description["model"].pop("inputs"))
    with pytest.raises(eg.FileFormatError, match="'inputs' is missing"):
        eg.load_model(tmp_path / "net", CUSTOM)
