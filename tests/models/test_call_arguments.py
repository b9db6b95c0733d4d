"""Arguments that layers are called with in drawn graphs: kept, saved, loaded; and `training`."""

import copy
import json

import numpy as np
import pytest
from saving_checks import rewrite

import evengrad as eg
from evengrad import layers
from evengrad.saving import _safetensors

rng = np.random.default_rng(11)
X = rng.normal(size=(24, 6)).astype("float32")


class Scaled(layers.Layer):
    """A layer with arguments of its own."""

    def call(self, x, factor=1.0, shift=None, *, parts=(), table=None):
        x = x * factor if shift is None else x * factor + shift
        for part in parts:
            x = x + part
        return x if table is None else x * table["by"]


def reloaded(model, folder):
    model.save(folder / "net.safetensors")
    return eg.load_model(folder / "net.safetensors", {"Scaled": Scaled})


def versions(model, folder):
    """Return a model and what it comes back as."""
    return {"drawn": model, "copied": copy.deepcopy(model), "loaded": reloaded(model, folder)}


class TestTraining:
    @pytest.mark.parametrize("way", ["drawn", "copied", "loaded"])
    def test_noise_that_was_asked_for_is_there_at_inference(self, way, tmp_path):
        x = eg.Input((6,))
        model = versions(eg.Model(x, layers.Dropout(0.5)(x, training=True), seed=1), tmp_path)[way]
        model.compile("sgd", "mse")
        for output in (model.predict(X), model(X).numpy(), model(X).numpy(), model(X).numpy()):
            kept = output != 0
            assert 0.3 < kept.mean() < 0.7
            np.testing.assert_allclose(output[kept], 2.0 * X[kept], rtol=1e-6)
        assert not np.array_equal(model.predict(X), model.predict(X))
        assert not np.array_equal(model(X).numpy(), model(X).numpy())
        assert model.evaluate(X, X) == pytest.approx((X**2).mean(), rel=0.3)

    @pytest.mark.parametrize("way", ["drawn", "copied", "loaded"])
    def test_noise_that_was_refused_is_not_there_in_training(self, way, tmp_path):
        x = eg.Input((6,))
        dense = layers.Dense(6, kernel_initializer="identity")
        model = eg.Model(x, layers.Dropout(0.5)(dense(x), training=False), seed=1)
        model.compile(eg.optimizers.SGD(0.0), "mse")
        model = versions(model, tmp_path)[way]
        assert model.fit(X, X, verbose=0).history["loss"] == [0.0]
        np.testing.assert_array_equal(model.predict_mc(X, 3)[1], np.zeros_like(X))

    @pytest.mark.parametrize("way", ["drawn", "copied", "loaded"])
    def test_statistics_stay_as_they_are(self, way, tmp_path):
        x = eg.Input((6,))
        norm = layers.BatchNormalization()
        model = eg.Model(x, layers.Dense(1)(norm(x, training=False)), seed=1)
        model = versions(model, tmp_path)[way]
        model.compile("sgd", "mse")
        model.fit(X + 3.0, X[:, 0], epochs=2, verbose=0)
        norm = model.layers[0]
        np.testing.assert_array_equal(norm.moving_mean.numpy(), np.zeros(6))
        np.testing.assert_array_equal(norm.moving_variance.numpy(), np.ones(6))
        assert not np.array_equal(norm.gamma.numpy(), np.ones(6))

    def test_statistics_of_the_batch_at_inference(self):
        x = eg.Input((6,))
        model = eg.Model(x, layers.BatchNormalization()(x, training=True))
        wanted = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3)
        for output in (model.predict(X, batch_size=24), model(X).numpy(), model(X).numpy()):
            np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)

    def test_one_layer_both_ways(self, tmp_path):
        x = eg.Input((6,))
        drop = layers.Dropout(0.5)
        model = eg.Model(x, [drop(x, training=True), drop(x), drop(x, training=False)], seed=2)
        for one in versions(model, tmp_path).values():
            noisy, plain, never = one.predict(X)
            assert (noisy == 0).any()
            np.testing.assert_array_equal(plain, X)
            np.testing.assert_array_equal(never, X)
            noisy, plain, never = (y.numpy() for y in one(X, training=True))
            assert (noisy == 0).any()
            assert (plain == 0).any()
            np.testing.assert_array_equal(never, X)

    def test_a_model_inside(self, tmp_path):
        inner = eg.Sequential([eg.Input((6,)), layers.Dropout(0.5)])
        x = eg.Input((6,))
        model = eg.Model(x, inner(x, training=True), seed=3)
        for one in versions(model, tmp_path).values():
            assert (one.predict(X) == 0).any()
        outer = eg.Model(x, model(x, training=False), seed=3)
        assert (outer.predict(X) == 0).any()

    def test_a_loss_looks_through_an_output_that_is_called_with_arguments(self):
        x = eg.Input((6,))
        model = eg.Model(x, layers.Dense(3, "softmax")(x, training=True), seed=1)
        model.compile("sgd", "sparse_categorical_crossentropy")
        y = np.arange(24) % 3
        wanted = -np.log(model.predict(X)[np.arange(24), y]).mean()
        assert model.evaluate(X, y) == pytest.approx(wanted, rel=1e-5)

    def test_folding_keeps_what_runs_as_in_training(self):
        x = eg.Input((6,))
        hidden = layers.BatchNormalization()(layers.Dense(5)(x))
        noisy = layers.Dropout(0.5)(hidden, training=True)
        again = layers.BatchNormalization()(layers.Dense(4)(noisy), training=False)
        model = eg.Model(x, again, seed=4)
        folded = model.fold_batch_norm()
        kinds = [type(layer).__name__ for layer in folded.layers]
        assert kinds == ["Dense", "Dropout", "Dense", "BatchNormalization"]
        assert not np.array_equal(folded.predict(X), folded.predict(X))


class NoisyGraph(eg.Model):
    def call(self, x, training=None):
        del training
        return super().call(x, training=True)


class NoisyChain(eg.Sequential):
    def call(self, x, training=None):
        del training
        return super().call(x, training=True)


class SilentChain(eg.Sequential):
    def call(self, x, training=None):
        del training
        return super().call(x, training=False)


class SameGraph(eg.Model):
    def call(self, x, training=None):
        return super().call(x, training=training)


def drawn_as(kind):
    x = eg.Input((6,))
    return kind(x, layers.Dropout(0.5)(x), seed=1)


@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize(
    ("model", "trained", "asked"),
    [
        (lambda: drawn_as(NoisyGraph), 0.5, 0.5),
        (lambda: NoisyChain([layers.Dropout(0.5)], seed=1), 0.5, 0.5),
        (lambda: SilentChain([layers.Dropout(0.5)], seed=1), 0.0, 0.0),
        (lambda: drawn_as(SameGraph), 0.5, 0.0),
    ],
)
def test_training_that_a_call_hands_to_its_base_holds(model, trained, asked, run_eagerly):
    model = model()
    model.compile("sgd", "mse", run_eagerly=run_eagerly)
    for output in (model.predict(X), model(X).numpy(), model(X).numpy()):
        assert (output == 0).mean() == pytest.approx(asked, abs=0.2)
    assert (model(X, training=True).numpy() == 0).mean() == pytest.approx(trained, abs=0.2)
    # What is dropped is off by x, and what is kept and doubled too.
    wanted = (X**2).mean() if trained else 0.0
    assert model.fit(X, X, verbose=0).history["loss"] == [pytest.approx(wanted, rel=1e-5)]


# ---- what `call` gets


def layer_that_notes(default):
    seen = []
    if default == "none given":

        class Notes(layers.Layer):
            def call(self, x, training):
                seen.append(training)
                return x

    else:

        class Notes(layers.Layer):
            def call(self, x, training=default):
                seen.append(training)
                return x

    return Notes(), seen


@pytest.mark.parametrize(
    ("default", "by_itself"), [(None, None), (False, False), (True, True), ("none given", False)]
)
def test_what_call_gets_for_training(default, by_itself):
    layer, seen = layer_that_notes(default)
    layer(X)
    layer(X, training=None)
    assert seen == [by_itself] * 2
    for given in (True, False):
        seen.clear()
        layer(X, training=given)
        assert seen == [given]
    model = eg.Sequential([layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.build((None, 6))
    for run, wanted in (
        (lambda: model.fit(X, X[:, :1], verbose=0), True),
        (lambda: model.evaluate(X, X[:, :1]), False),
        (lambda: model.predict(X), False),
        (lambda: model(X, training=True), True),
        (lambda: model(X), by_itself),
    ):
        seen.clear()
        run()
        assert set(seen) == {wanted}


def test_a_default_holds_for_layers_inside():
    inner, seen = layer_that_notes(None)

    class Outer(eg.Model):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def call(self, x, training=True):
            assert training in (True, False)
            return self.inner(x)

    model = Outer()
    model.build((None, 6))
    seen.clear()
    model(X)
    model(X, training=False)
    assert seen == [True, False]


def test_a_build_within_training_leaves_statistics_alone():
    class Inner(eg.Model):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization()

        def call(self, x):
            return self.norm(x)

    class Late(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def call(self, x):
            return self.inner(x)

        def compute_output_shape(self, input_shape):
            return input_shape

    layer = Late()
    layer(X, training=True)
    wanted = 0.99 * np.zeros(6) + 0.01 * X.mean(0)
    np.testing.assert_allclose(layer.inner.norm.moving_mean.numpy(), wanted, rtol=1e-4, atol=1e-7)


# ---- arguments of one's own


class TestOwnArguments:
    def test_called_directly(self):
        layer = Scaled()
        np.testing.assert_allclose(layer(X, factor=2.0).numpy(), 2.0 * X)
        np.testing.assert_allclose(layer(X, shift=X.astype("float64")).numpy(), 2.0 * X)
        with pytest.raises(TypeError, match=r"scaled: call.*'faktor'.*'factor'"):
            layer(X, faktor=2.0)
        with pytest.raises(TypeError, match=r"dense: call.*'shift'"):
            layers.Dense(2)(X, shift=None)

    @pytest.mark.parametrize("way", ["drawn", "copied", "loaded"])
    def test_in_a_graph(self, way, tmp_path):
        x, z = eg.Input((6,)), eg.Input((6,), name="z")
        layer = Scaled()
        tripled = layer(x, factor=3.0)
        shifted = layer(tripled, shift=z, parts=(x, z), table={"by": 0.5})
        model = eg.Model([x, z], [tripled, shifted])
        model = versions(model, tmp_path)[way]
        Z = X[::-1]
        first, second = model.predict([X, Z])
        np.testing.assert_allclose(first, 3.0 * X, rtol=1e-6)
        np.testing.assert_allclose(second, 0.5 * (4.0 * X + 2.0 * Z), rtol=1e-5, atol=1e-6)
        assert model.output_shape == [(None, 6), (None, 6)]
        assert isinstance(model._graph.nodes[1].arguments["parts"], tuple)

    def test_symbolic_arguments_belong_to_the_graph(self):
        x, z = eg.Input((6,)), eg.Input((6,))
        with pytest.raises(ValueError, match="not among the model's inputs"):
            eg.Model(x, Scaled()(x, shift=z))
        dense = layers.Dense(6)
        model = eg.Model(x, Scaled()(x, shift=dense(x)))
        assert model.count_params() == 42
        model.compile("sgd", "mse")
        model.fit(X, X, verbose=0)

    def test_what_broadcasts_says_its_shape(self):
        x, z = eg.Input((1,)), eg.Input((6,))
        assert Scaled()(x, shift=z).shape == (None, 6)

    def test_a_damaged_description(self, tmp_path):
        x = eg.Input((6,))
        eg.Model(x, Scaled()(x, shift=x)).save(tmp_path / "net.safetensors")
        whole = (tmp_path / "net.safetensors").read_bytes()

        def change(**news):
            def of(header, description):
                del header
                description["model"]["nodes"][0].update(news)

            return of

        for news in (
            {"arguments": 3},
            {"arguments": {"dict": [["shift", {"taken": 7}]]}},
            {"arguments": {"dict": [["shift", {"taken": "x"}]]}},
            {"arguments": {"dict": [["other", 1.0]]}},
            {"arguments": {"dict": 1}},
            {"count": 0},
            {"count": 9},
            {"count": None},
        ):
            (tmp_path / "net.safetensors").write_bytes(whole)
            rewrite(tmp_path / "net.safetensors", change(**news))
            with pytest.raises(eg.FileFormatError, match="damaged"):
                eg.load_model(tmp_path / "net.safetensors", {"Scaled": Scaled})

    @pytest.mark.parametrize("kind", ["float32", "float64"])
    @pytest.mark.parametrize("given", [np.asarray, eg.tensor])
    def test_arrays_and_tensors_come_back_to_the_bit(self, tmp_path, kind, given):
        x = eg.Input((6,), dtype=kind)
        shift = given(np.array([0.1, -0.0, 3e-30, 1.0, 7.0, 2.5], kind))
        model = eg.Model(x, Scaled(dtype=kind)(x, shift=shift))
        expected = model.predict(X)
        model.save(tmp_path / "net.safetensors")
        same = eg.load_model(tmp_path / "net.safetensors", {"Scaled": Scaled})
        assert np.array_equal(same.predict(X), expected)
        assert np.array_equal(model.clone().predict(X), expected)

    def test_a_damaged_array(self, tmp_path):
        x = eg.Input((6,))
        eg.Model(x, Scaled()(x, shift=np.ones(6, "float32"))).save(tmp_path / "net.safetensors")
        whole = (tmp_path / "net.safetensors").read_bytes()
        good = {"dtype": "F32", "shape": [6], "bytes": "AACAPwAAgD8AAIA/AACAPwAAgD8AAIA/"}

        def change(news):
            def of(header, description):
                del header
                held = description["model"]["nodes"][0]["arguments"]["dict"]
                assert held == [["shift", {"tensor": good}]]
                held[0][1] = {"tensor": news}

            return of

        for news in (
            3,
            {},
            {**good, "dtype": "O"},
            {**good, "shape": [5]},
            {**good, "shape": [-6]},
            {**good, "shape": [2**40, 2**40]},
            {**good, "shape": [1] * 65},
            {**good, "bytes": "no bytes!"},
            {**good, "bytes": 3},
        ):
            (tmp_path / "net.safetensors").write_bytes(whole)
            rewrite(tmp_path / "net.safetensors", change(news))
            with pytest.raises(eg.FileFormatError, match="damaged"):
                eg.load_model(tmp_path / "net.safetensors", {"Scaled": Scaled})

    def test_what_a_file_cannot_hold_is_said(self, tmp_path):
        x, variable = eg.Input((6,)), layers.Dense(6)
        variable.build((None, 6))
        large = eg.Model(x, Scaled()(x, shift=np.ones((20_000, 6), "float32")))
        foreign = eg.Model(x, Scaled()(x, shift=variable.bias))
        for model, named in (
            (large, "480000 bytes in a file, where 65536 is"),
            (foreign, "tensor"),
        ):
            with pytest.raises(ValueError, match=f"scaled: an argument of its call: .*{named}"):
                model.save(tmp_path / "net.safetensors")
            assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "states"), [(layers.SimpleRNN, 1), (layers.GRU, 1), (layers.LSTM, 2)]
)
def test_first_states_by_name(make, states, tmp_path):
    layer = make(4, return_state=True)
    steps = X.reshape(24, 3, 2)
    first = [rng.normal(size=(24, 4)).astype("float32") for _ in range(states)]
    wanted = layer([steps, *first])
    found = layer(steps, initial_state=first if states > 1 else first[0])
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    x, begun = eg.Input((3, 2)), [eg.Input((4,)) for _ in range(states)]
    model = eg.Model([x, *begun], layer(x, initial_state=begun))
    again = reloaded(model, tmp_path)
    for one, other in zip(again.predict([steps, *first]), wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-6)


def test_files_without_arguments_say_nothing_of_them(tmp_path):
    x = eg.Input((6,))
    eg.Model(x, layers.Dense(2)(x)).save(tmp_path / "net.safetensors")
    _, metadata = _safetensors.read(tmp_path / "net.safetensors")
    (node,) = json.loads(metadata["evengrad"])["model"]["nodes"]
    assert node.keys() == {"layer", "inputs", "several"}


def test_a_second_input_in_the_place_of_training_is_refused():
    x = eg.Input((6,))
    for layer, first, second in (
        (layers.Dropout(0.5), X, X),
        (layers.Dropout(0.5), X, eg.tensor(X)),
        (Scaled(), x, x),
        (Scaled(), x, [x]),
    ):
        with pytest.raises(TypeError, match=r"training: expected True, False or None, got .* list"):
            layer(first, second)
    assert layers.Dropout(0.5)(X, np.bool_(True)).shape == (24, 6)
    with pytest.raises(TypeError, match=r"sequential: call.*'shift'"):
        eg.Sequential([layers.Dense(2)])(X, shift=None)
