"""First use of a model from several threads: one builds it, the others wait."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from thread_checks import frequent_switches  # noqa: F401 - a fixture that all tests here use

import evengrad as eg
from evengrad import layers

THREADS, MODELS = 4, 12
X = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")


class Own(eg.Model):
    """A model whose layers are made known by its call."""

    def __init__(self, seed):
        super().__init__(seed=seed)
        self.inner = layers.Dense(8, "tanh")
        self.outer = [layers.Dense(4), layers.Residual([layers.Dense(4)])]

    def call(self, x):
        x = self.inner(x)
        for layer in self.outer:
            x = layer(x)
        return x


def sequential(seed):
    parts = [
        layers.Dense(8, "tanh", norm=layers.BatchNormalization()),
        layers.Dense(4),
        layers.Dropout(0.5),
    ]
    return eg.Sequential(parts, seed=seed)


def nested(seed):
    inner = eg.Sequential([layers.Dense(6, "relu"), layers.Dense(6)])
    return eg.Sequential([inner, layers.Dense(4)], seed=seed)


def at_once(work):
    """Have all threads do the same at the same time; return what each got."""
    barrier = threading.Barrier(THREADS)

    def begin(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


@pytest.mark.parametrize("make", [sequential, nested, Own])
def test_a_model_that_several_threads_use_first_is_as_if_one_had(make):
    for seed in range(MODELS):
        expected = make(seed)
        output = expected.predict(X)
        model = make(seed)
        uses = [
            lambda model=model: model.predict(X),
            lambda model=model: model(X).detach().numpy(),
            lambda model=model: (model.build((None, 5)), model.predict(X))[1],
            lambda model=model: (model.predict(X[:1]), model.predict(X))[1],
        ]
        for found in at_once(lambda number, uses=uses: uses[number]()):
            np.testing.assert_array_equal(found, output)
        assert [path for path, _ in model.named_weights()] == [
            path for path, _ in expected.named_weights()
        ]
        for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


class Slow(layers.Layer):
    """A layer that is being built while another thread calls it."""

    def __init__(self):
        super().__init__()
        self.building, self.called, self.built_by = threading.Event(), threading.Event(), []

    def build(self, input_shape):
        self.built_by.append(threading.get_ident())
        self.building.set()
        assert self.called.wait(600)
        # The other thread's call is under way by then, as a rule.
        time.sleep(0.05)
        self.first = self.add_weight("first", (input_shape[-1],))
        self.second = self.add_weight("second", (input_shape[-1],))

    def call(self, x):
        return x * self.first + self.second


@pytest.mark.parametrize("inside", [False, True])
def test_who_comes_while_a_layer_is_being_built_waits_for_it(inside):
    slow = Slow()
    used = eg.Sequential([slow]) if inside else slow
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(used, X)
        assert slow.building.wait(600)
        slow.called.set()
        found = used(X)
        weights = used.get_weights()
        np.testing.assert_array_equal(building.result().detach().numpy(), found.detach().numpy())
    assert len(slow.built_by) == 1
    assert len(weights) == 2


def test_weights_that_are_asked_for_during_a_build_are_all_of_them():
    slow = Slow()
    model = eg.Sequential([slow, layers.Dense(3)])
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(model, X)
        assert slow.building.wait(600)
        slow.called.set()
        assert len(model.get_weights()) == 4
        building.result()


def test_a_build_that_fails_fails_in_all_threads_and_leaves_the_layer_unbuilt():
    class Broken(layers.Layer):
        def build(self, input_shape):
            del input_shape
            self.add_weight("scale", (2,))
            raise ArithmeticError("on purpose")

    model = eg.Sequential([layers.Dense(2), Broken()])

    def use(_):
        with pytest.raises(ArithmeticError, match="on purpose"):
            model(X)

    at_once(use)
    assert not model.built
    assert model.weights == []


def test_data_that_does_not_fit_what_another_thread_has_built_is_refused():
    slow = Slow()
    with ThreadPoolExecutor(1) as pool:
        building = pool.submit(layers.Dense(2), X)
        building.result()
        model = eg.Sequential([slow, layers.Dense(2)])
        building = pool.submit(model, X)
        assert slow.building.wait(600)
        slow.called.set()
        with pytest.raises(ValueError, match=r"\(rows, 5\)|\(None, 5\)"):
            model(X[:, :4])
        building.result()


def test_a_call_may_run_its_layers_in_threads_of_its_own():
    class Members(eg.Model):
        def __init__(self):
            super().__init__()
            self.members = [layers.Dense(2) for _ in range(3)]

        def call(self, x):
            with ThreadPoolExecutor(3) as pool:
                outputs = list(pool.map(lambda member: member(x), self.members))
            return outputs[0] + outputs[1] + outputs[2]

    model = Members()
    output = model.predict(X)
    expected = sum(member(X).detach().numpy() for member in model.members)
    np.testing.assert_allclose(output, expected, rtol=1e-5)


def test_attributes_may_be_set_while_another_thread_walks_the_layers():
    model = sequential(1)
    model.build((None, 5))

    def work(number):
        for turn in range(150):
            if number == 0:
                setattr(model.layers[0], f"note_{turn}", [turn])
            else:
                assert len(eg.Sequential([model, layers.Dense(2)]).layers) == 2
                assert len(model.weights) == 7

    at_once(work)


def test_captured_answers_follow_attributes_that_another_thread_sets():
    model = eg.Sequential([eg.Input((2,)), layers.Dense(2, use_bias=False)])
    model.set_weights([np.eye(2)])
    x = np.array([[-1.0, 2.0]], np.float32)
    ends = {"relu": [[0.0, 2.0]], "linear": [[-1.0, 2.0]]}

    def ask():
        with eg.no_grad():
            return model(x).tolist()

    def work(number):
        for _ in range(60):
            if number == 0:
                for name in ends:
                    model.layers[0].activation = eg.activations.get(name)
            assert ask() in ends.values()

    for name, expected in ends.items():
        at_once(work)
        model.layers[0].activation = eg.activations.get(name)
        assert [ask() for _ in range(4)] == [expected] * 4
