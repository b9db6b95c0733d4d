"""Scopes of default arguments: what they reach, what wins, what is kept."""

import abc
import asyncio
import copy
import inspect
import pickle
import threading

import numpy as np
import pytest

import evengrad as eg
from evengrad import initializers, layers, losses, optimizers
from evengrad._common.config import remade


class Passing(layers.Dense):
    """A subclass that names no argument of its parent."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)


class Positional(layers.Dense):
    """A subclass that hands on whatever comes."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Fixed(layers.Dense):
    """A subclass that takes one argument alone."""

    def __init__(self, units):
        super().__init__(units, use_bias=False)

    def get_config(self):
        return {"units": self.units}


class Composite(layers.Layer):
    """A layer that makes another in its constructor, and one in `build`."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(2)

    def build(self, _):
        self.second = layers.Dense(2)

    def call(self, x):
        return self.second(self.first(x))


def test_what_is_left_out_comes_from_the_scope():
    with eg.default_arguments(layers.Dense, activation="elu", kernel_initializer="he_normal"):
        layer = layers.Dense(3)
    assert repr(layer) == "Dense(3, activation='elu', kernel_initializer=HeNormal())"
    assert repr(layers.Dense(3)) == "Dense(3)"


def test_required_arguments_may_come_from_the_scope():
    with eg.default_arguments(layers.Dense, units=7):
        assert layers.Dense().units == 7


@pytest.mark.parametrize("make", [layers.Dense, Passing, Positional])
def test_what_is_written_wins(make):
    with eg.default_arguments(layers.Dense, units=9, kernel_initializer="ones", use_bias=False):
        named = make(units=2, kernel_initializer="zeros")
        placed = make(2)
    assert repr(named.kernel_initializer) == "Zeros()"
    assert repr(placed.kernel_initializer) == "Ones()"
    assert (named.units, placed.units) == (2, 2)
    assert (named.use_bias, placed.use_bias) == (False, False)


@pytest.mark.parametrize("make", [layers.Dense, Positional])
def test_positions_win(make):
    with eg.default_arguments(layers.Dense, activation="relu", use_bias=True):
        layer = make(2, "tanh", False)
    assert (layer.activation, layer.use_bias) == (eg.tanh, False)


def test_none_written_out_wins_too():
    with eg.default_arguments(layers.Dense, activation="relu", norm=layers.LayerNormalization()):
        layer = layers.Dense(2, activation=None, norm=None)
    assert repr(layer) == "Dense(2)"


def test_inner_scopes_win_argument_by_argument():
    with eg.default_arguments(layers.Dense, activation="relu", use_bias=False):
        with eg.default_arguments(layers.Dense, activation="tanh"):
            inner = layers.Dense(1)
        outer = layers.Dense(1)
    assert (inner.activation, inner.use_bias) == (eg.tanh, False)
    assert (outer.activation, outer.use_bias) == (eg.relu, False)


def test_an_inner_scope_of_a_base_class_wins():
    with (
        eg.default_arguments(layers.Dense, dtype="float64"),
        eg.default_arguments(layers.Layer, dtype="float32"),
    ):
        assert layers.Dense(1).dtype == "float32"


@pytest.mark.parametrize("listed", [False, True])
def test_several_classes(listed):
    classes = [layers.Dense, layers.LSTM]
    given = [classes] if listed else classes
    with eg.default_arguments(*given, kernel_initializer="zeros"):
        made = [layers.Dense(2), layers.LSTM(2), layers.Maxout(2)]
    names = [type(layer.kernel_initializer).__name__ for layer in made]
    assert names == ["Zeros", "Zeros", "GlorotUniform"]


def test_subclasses_take_part_with_what_they_take():
    with eg.default_arguments(layers.Dense, activation="relu"):
        assert repr(Passing(2)) == "Passing(2, activation='relu')"
        assert repr(remade(Passing(2))) == "Passing(2, activation='relu')"
        assert Passing(2).activation is eg.relu
        assert Fixed(2).activation is not eg.relu
    with eg.default_arguments(Passing, activation="relu"):
        assert Passing(2).activation is eg.relu
        assert layers.Dense(2).activation is not eg.relu


def test_everything_with_arguments_takes_part():
    with (
        eg.default_arguments(optimizers.Adam, learning_rate=0.25),
        eg.default_arguments(initializers.VarianceScaling, seed=3),
        eg.default_arguments(losses.Huber, delta=2.0),
        eg.default_arguments(eg.callbacks.EarlyStopping, patience=4),
        eg.default_arguments(eg.Model, seed=5),
    ):
        assert optimizers.Adam().learning_rate == 0.25
        assert optimizers.Lion().learning_rate != 0.25
        assert initializers.VarianceScaling().seed == 3
        assert losses.Huber().delta == 2.0
        assert eg.callbacks.EarlyStopping().patience == 4
        assert eg.Sequential().seed == 5


def test_unknown_arguments_are_refused_before_the_scope_begins():
    message = "Dropout: unknown argument 'activation'"
    with pytest.raises(TypeError, match=message):
        eg.default_arguments(layers.Dense, layers.Dropout, activation="relu")
    with pytest.raises(TypeError, match="did you mean 'kernel_initializer'"):
        eg.default_arguments(Passing, kernel_initialiser="zeros")
    assert repr(layers.Dense(1)) == "Dense(1)"


@pytest.mark.parametrize(
    ("classes", "arguments", "message"),
    [
        ([], {"units": 1}, "at least one class"),
        ([layers.Dense], {}, "at least one argument"),
        ([layers.Dense(1)], {"units": 1}, "did you mean Dense"),
        (["Dense"], {"units": 1}, "expected classes such as layers.Dense, got 'Dense'"),
        ([dict], {"units": 1}, "expected classes"),
    ],
)
def test_what_is_no_scope(classes, arguments, message):
    with pytest.raises(TypeError, match=message):
        eg.default_arguments(*classes, **arguments)


def test_an_error_ends_the_scope():
    with pytest.raises(ZeroDivisionError), eg.default_arguments(layers.Dense, units=3):
        raise ZeroDivisionError
    with pytest.raises(TypeError, match="units"):
        layers.Dense()


def test_an_error_in_a_constructor_leaves_the_scope():
    with eg.default_arguments(layers.Dense, units=3, activation="rely"):
        with pytest.raises(ValueError, match="unknown name 'rely'"):
            layers.Dense()
        assert layers.Dense(activation="relu").units == 3


def test_a_scope_may_be_kept_and_entered_again():
    scope = eg.default_arguments(layers.Dense, use_bias=False)
    for _ in range(2):
        with scope, scope:
            assert not layers.Dense(1).use_bias
        assert layers.Dense(1).use_bias
    assert repr(scope) == "default_arguments(Dense, use_bias=False)"


def test_a_scope_is_a_decorator():
    @eg.default_arguments(layers.Dense, use_bias=False)
    def layer():
        return layers.Dense(1)

    assert not layer().use_bias
    assert layers.Dense(1).use_bias


def test_threads_have_their_own_scopes():
    found = []
    with eg.default_arguments(layers.Dense, use_bias=False):
        thread = threading.Thread(target=lambda: found.append(layers.Dense(1).use_bias))
        thread.start()
        thread.join()
    assert found == [True]


def test_tasks_have_their_own_scopes():
    async def made(activation, pause):
        with eg.default_arguments(layers.Dense, activation=activation):
            await asyncio.sleep(pause)
            return layers.Dense(1).activation

    async def both():
        return await asyncio.gather(made("relu", 0.02), made("tanh", 0.01))

    assert asyncio.run(both()) == [eg.relu, eg.tanh]


def test_generators_that_end_out_of_order_leave_nothing():
    def scoped(activation):
        with eg.default_arguments(layers.Dense, activation=activation):
            yield layers.Dense(1).activation

    first, second = scoped("relu"), scoped("tanh")
    assert (next(first), next(second)) == (eg.relu, eg.tanh)
    first.close()
    assert layers.Dense(1).activation is eg.tanh
    second.close()
    assert repr(layers.Dense(1)) == "Dense(1)"


def test_objects_are_copied_by_configuration():
    norm = layers.BatchNormalization(momentum=0.9)
    with eg.default_arguments(layers.Dense, norm=norm, activation=layers.PReLU()):
        one, two = layers.Dense(2), layers.Dense(2)
    assert len({id(norm), id(one.norm), id(two.norm)}) == 3
    assert one.activation is not two.activation
    assert repr(one.norm) == repr(two.norm) == repr(norm)
    model = eg.Sequential([eg.Input((3,)), one, two])
    # Kernel; γ and β; α: four trainable variables for each, no bias.
    assert len(model.trainable_weights) == 8


def test_layers_are_the_same_as_written_out(tmp_path):
    he = {"kernel_initializer": "he_normal", "activation": "selu"}
    with eg.default_arguments(layers.Dense, **he), eg.default_arguments(eg.Sequential, seed=1):
        scoped = eg.Sequential([eg.Input((4,)), layers.Dense(3), layers.Dense(2)])
    written = eg.Sequential([eg.Input((4,)), layers.Dense(3, **he), layers.Dense(2, **he)], seed=1)
    for a, b in zip(scoped.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert repr(scoped) == repr(written)
    scoped.save(tmp_path / "net")
    loaded = eg.load_model(tmp_path / "net")
    assert repr(loaded.layers) == repr(written.layers)


def test_loading_and_copying_ignore_scopes(tmp_path):
    model = eg.Sequential(
        [
            eg.Input((3,)),
            layers.Residual([layers.Dense(5)], activation="relu"),
            Composite(),
            layers.Dense(2, norm=layers.BatchNormalization()),
        ],
        seed=0,
    )
    model.compile("adam", "mse", ["mae"])
    model.save(tmp_path / "net")
    stored = pickle.dumps(model)
    custom = {"Composite": Composite}
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    expected = model.predict(x)
    outside = eg.load_model(tmp_path / "net", custom_objects=custom)
    with (
        eg.default_arguments(layers.Dense, use_bias=False, activation="relu", norm=None),
        eg.default_arguments(layers.Layer, name="same"),
        eg.default_arguments(optimizers.Adam, learning_rate=0.5),
    ):
        inside = eg.load_model(tmp_path / "net", custom_objects=custom)
        copied = remade(model.layers[-1])
        for other in (copy.deepcopy(model), pickle.loads(stored)):  # noqa: S301 - our own
            assert repr(other) == repr(model)
            np.testing.assert_array_equal(other.predict(x), expected)
    assert repr(inside) == repr(outside)
    assert repr(inside.optimizer) == repr(outside.optimizer)
    assert [layer.name for layer in inside.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(inside.predict(x), expected)
    assert repr(copied) == repr(model.layers[-1])


def test_what_a_layer_makes_inside_follows_from_its_arguments():
    with eg.default_arguments(layers.Dense, use_bias=False):
        drawn = Composite()
        # This call builds the layer.
        drawn(np.ones((1, 3)))
        later = Composite()
    later(np.ones((1, 3)))
    for layer in (drawn, later):
        assert layer.first.use_bias
        assert layer.second.use_bias


def test_a_scope_within_a_constructor():
    class Net(eg.Model):
        def __init__(self):
            super().__init__()
            with eg.default_arguments(layers.Dense, use_bias=False):
                self.hidden = layers.Dense(4)

        def call(self, x):
            return self.hidden(x)

    with eg.default_arguments(layers.Dense, activation="relu"):
        net = Net()
    assert repr(net.hidden) == "Dense(4, use_bias=False)"


def test_abstract_classes_of_users():
    class Base(layers.Layer, abc.ABC):
        @abc.abstractmethod
        def call(self, x): ...

    class Plain(Base):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="abstract"):
        Base()
    assert isinstance(Plain(), Base)
    assert not isinstance(layers.Dense(1), Base)


def test_signatures_are_the_constructors():
    assert next(iter(inspect.signature(layers.Dropout).parameters)) == "rate"
    assert list(inspect.signature(Passing).parameters) == ["units", "kwargs"]
