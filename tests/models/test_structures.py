"""Inputs and outputs in dicts and nested lists, and the symbolic tensors of models and layers."""

import copy

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers

RNG = np.random.default_rng(1)
A, B = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2))
U, V = RNG.normal(size=(40, 1)), RNG.normal(size=(40, 2))


def drawn(inputs, outputs):
    """Return a model whose two inputs and two outputs lie as functions of them say."""
    a, b = eg.Input((3,), name="a"), eg.Input((2,), name="b")
    joined = layers.Dense(6, "tanh")(layers.Concatenate()([a, b]))
    u, v = layers.Dense(1, name="u")(joined), layers.Dense(2, name="v")(joined)
    return eg.Model(inputs(a, b), outputs(u, v), seed=3)


def plain():
    return drawn(lambda a, b: [a, b], lambda u, v: [u, v])


STRUCTURES = {
    "dicts": lambda a, b: {"first": a, "second": b},
    "lists": lambda a, b: [a, [b]],
    "tuples": lambda a, b: ((a,), b),
    "mixed": lambda a, b: {"one": [a], "other": (b,)},
}


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
class TestGraphs:
    def test_fit_evaluate_predict(self, structure, tmp_path):
        model, same = drawn(structure, structure), plain()
        x, y = structure(A, B), structure(U, V)
        for one in (model, same):
            one.compile("adam", "mse")
        history = model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y))
        expected = same.fit([A, B], [U, V], epochs=2, verbose=0, validation_data=([A, B], [U, V]))
        assert [*history.history.values()] == [*expected.history.values()]
        assert model.evaluate(x, y) == same.evaluate([A, B], [U, V])
        outputs = model.predict(x)
        assert type(outputs) is type(structure(0, 0))
        for one, other in zip(leaves(outputs), same.predict([A, B]), strict=True):
            np.testing.assert_array_equal(one, other)
        called = model(x)
        assert [leaf.shape for leaf in leaves(called)] == [(40, 1), (40, 2)]
        mean, _ = model.predict_mc(x, samples=2)
        assert type(mean) is type(outputs)
        model.save(tmp_path / "net.safetensors")
        twins = [
            eg.load_model(tmp_path / "net.safetensors"),
            copy.deepcopy(model),
            model.clone(),
        ]
        for twin in twins:
            assert type(twin.predict(x)) is type(outputs)
            for one, other in zip(leaves(twin.predict(x)), leaves(outputs), strict=True):
                np.testing.assert_array_equal(one, other)

    def test_batches(self, structure):
        model = drawn(structure, structure)
        model.compile("sgd", "mse")
        model.fit(((structure(A, B), structure(U, V)) for _ in range(3)), verbose=0)
        assert type(model.predict_on_batch(structure(A, B))) is type(structure(0, 0))
        assert len(model.train_on_batch(structure(A, B), structure(U, V))) == 3

    def test_inside_another_model(self, structure):
        inner = drawn(structure, structure)
        a, b = eg.Input((3,)), eg.Input((2,))
        made = inner(structure(a, b))
        assert type(made) is type(structure(0, 0))
        outer = eg.Model([a, b], leaves(made))
        for one, other in zip(
            outer.predict([A, B]), leaves(inner.predict(structure(A, B))), strict=True
        ):
            np.testing.assert_array_equal(one, other)

    def test_changed_copies(self, structure):
        model = drawn(structure, structure)
        x, outputs = structure(A, B), model.predict(structure(A, B))
        for other in (model.insert("u", layers.Identity()), model.fold_batch_norm()):
            found = other.predict(x)
            assert type(found) is type(outputs)
            for one, expected in zip(leaves(found), leaves(outputs), strict=True):
                np.testing.assert_array_equal(one, expected)

    def test_symbolic_ends(self, structure):
        model = drawn(structure, structure)
        assert type(model.input) is type(structure(0, 0))
        assert leaves(model.output) == model.outputs
        assert [x.name for x in model.inputs] == ["a", "b"]


class TestNames:
    def compiled(self, **settings):
        model = drawn(lambda a, b: {"first": a, "second": b}, lambda u, v: {"left": u, "right": v})
        model.compile("sgd", **settings)
        return model

    def test_losses_weights_and_metrics_by_name(self):
        model = self.compiled(
            loss={"left": "mse", "right": "mae"},
            loss_weights={"left": 2.0, "right": 0.5},
            metrics={"right": ["mse"]},
            weighted_metrics={"left": ["mae"]},
        )
        assert model.output_names == ["left", "right"]
        x = {"second": B, "first": A}
        figures = model.evaluate(x, {"right": V, "left": U}, return_dict=True)
        assert [*figures] == ["loss", "left_loss", "right_loss", "right_mse", "left_mae"]
        assert model.metrics_names == [*figures]
        assert [metric.name for metric in model.metrics] == ["mse", "mae"]
        left, right = model.predict(x).values()
        assert figures["left_loss"] == pytest.approx(((left - U) ** 2).mean(), rel=1e-5)
        assert figures["right_loss"] == pytest.approx(np.abs(right - V).mean(), rel=1e-5)
        assert figures["loss"] == pytest.approx(
            2 * figures["left_loss"] + 0.5 * figures["right_loss"], rel=1e-6
        )

    def test_one_loss_alone(self):
        model = self.compiled(loss={"left": "mse"})
        history = model.fit({"first": A, "second": B}, {"left": U, "right": V}, verbose=0)
        assert [*history.history] == ["loss", "left_loss", "right_loss"]

    def test_wrong_names(self):
        model = self.compiled(loss="mse")
        with pytest.raises(ValueError, match="x: no 'frist'; did you mean 'first'"):
            model.predict({"frist": A, "second": B})
        with pytest.raises(ValueError, match="y: 'right' missing"):
            model.fit({"first": A, "second": B}, {"left": U}, verbose=0)
        with pytest.raises(ValueError, match=r"x: expected a dict with 'first', 'second', got"):
            model({"first": A})
        nested = drawn(lambda a, b: [a, [b]], lambda u, v: [u, v])
        with pytest.raises(ValueError, match=r"x\[1\]: expected a list of 1, got ndarray"):
            nested.predict([[A], B])


class Coded(eg.Model):
    """A model whose call is code, of dicts."""

    def __init__(self):
        super().__init__(seed=2)
        self.first, self.second = layers.Dense(1), layers.Dense(2)

    def call(self, x):
        return {"left": self.first(x["a"]), "right": self.second(x["b"])}


class TestCode:
    def test_dicts(self, tmp_path):
        model = Coded()
        model.compile("adam", {"left": "mse", "right": "mse"}, {"right": ["mae"]})
        x, y = {"a": A, "b": B}, {"left": U, "right": V}
        history = model.fit(x, y, epochs=2, verbose=0)
        assert [*history.history] == ["loss", "left_loss", "right_loss", "right_mae"]
        outputs = model.predict(x)
        called = model(x)
        for name, weights in (("left", model.first), ("right", model.second)):
            kernel, bias = weights.get_weights()
            given = A if name == "left" else B
            np.testing.assert_allclose(outputs[name], given @ kernel + bias, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(called[name].detach().numpy(), outputs[name], rtol=1e-5)
        model.save(tmp_path / "net.safetensors")
        again = eg.load_model(tmp_path / "net.safetensors", {"Coded": Coded})
        np.testing.assert_array_equal(again.predict(x)["right"], outputs["right"])

    def test_ends_are_unknown(self):
        with pytest.raises(AttributeError, match="of a call that is code they are not"):
            _ = Coded().inputs


class TestTensorsOfLayers:
    def test_of_graphs(self):
        x = eg.Input((3,))
        first, second = layers.Dense(4), layers.Dense(2)
        hidden = first(x)
        model = eg.Model(x, second(hidden))
        assert model.input is x
        assert model.inputs == [x]
        assert first.output is second.input is hidden
        assert model.output is second.output
        assert model.input_shape == (None, 3)

    @pytest.mark.parametrize("again", [lambda m: m, copy.deepcopy, eg.models.clone_model])
    @pytest.mark.parametrize("kind", ["chain", "graph"])
    def test_a_model_up_to_a_layer(self, again, kind):
        chain = [layers.Dense(4, "relu", name="hidden"), layers.Dense(2)]
        if kind == "chain":
            model = eg.Sequential([eg.Input((3,)), *chain], seed=1)
        else:
            x = eg.Input((3,))
            model = eg.Model(x, chain[1](chain[0](x)), seed=1)
        model = again(model)
        lower = eg.Model(model.inputs, model.get_layer("hidden").output)
        np.testing.assert_allclose(lower.predict(A), model.features(A, "hidden"), rtol=1e-6)
        assert lower.layers[0] is model.layers[0]

    def test_a_chain_that_changes(self):
        model = eg.Sequential([eg.Input((3,)), layers.Dense(4)])
        assert model.output.shape == (None, 4)
        model.add(layers.Dense(2))
        assert model.output.shape == (None, 2)
        model.pop()
        assert model.output.shape == (None, 4)

    def test_unknown(self):
        with pytest.raises(AttributeError, match="was not called with symbolic tensors"):
            _ = layers.Dense(2).output
        with pytest.raises(AttributeError, match=r"of chains that begin with evengrad\.Input"):
            _ = eg.Sequential([layers.Dense(2)]).inputs

    def test_attributes_of_users_come_first(self):
        class Own(layers.Layer):
            def __init__(self):
                super().__init__()
                self.output = layers.Dense(2)

            def call(self, x):
                return self.output(x)

        layer = Own()
        assert layer(A).shape == (40, 2)
        assert isinstance(layer.output, layers.Dense)
        assert layer.count_params() == 8

    def test_batch_size(self):
        assert eg.Input((3,), batch_size=8).batch_size == 8
        assert eg.Input(batch_shape=(8, 5, 3)).shape == (None, 5, 3)
        assert eg.Input(batch_shape=(None, 3)).batch_size is None
        for wrong in ({}, {"shape": (3,), "batch_shape": (None, 3)}, {"batch_shape": 3}):
            with pytest.raises(ValueError, match="batch_shape"):
                eg.Input(**wrong)
