"""`Model.diagnose`: it changes nothing, and works for models of all kinds."""

import numpy as np
import pytest

import evengrad as eg

layers = eg.layers


def rows(count=80, features=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, features)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def chain():
    return eg.Sequential(
        [
            eg.Input((6,)),
            layers.Dense(8, "relu", kernel_initializer="he_normal"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(2, "softmax"),
        ],
        seed=3,
    )


def graph():
    x = eg.Input((6,))
    shared = layers.Dense(6, "elu")
    both = layers.Concatenate()([shared(x), layers.Dense(4, "tanh")(shared(x))])
    return eg.Model(x, layers.Dense(2, "softmax")(both), seed=3)


def nested():
    inner = eg.Sequential([layers.Dense(6, "relu"), layers.Dense(6, "relu")], name="inner")
    block = layers.Residual([layers.Dense(6, "relu"), layers.Dense(6)])
    return eg.Sequential([eg.Input((6,)), inner, block, layers.Dense(2)], seed=3)


def recurrent(kind):
    def make():
        steps = layers.Reshape((3, 2))
        return eg.Sequential([eg.Input((6,)), steps, kind(5), layers.Dense(2)], seed=3)

    return make


class Scale(layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight("factor", (input_shape[-1],), "ones")

    def call(self, x):
        return x * self.factor


class Net(eg.Model):
    def __init__(self):
        super().__init__(seed=3)
        self.scale, self.body = Scale(), [layers.Dense(6, "relu") for _ in range(2)]
        self.end = layers.Dense(2)

    def call(self, x, training=False):
        del training
        for layer in [self.scale, *self.body]:
            x = layer(x)
        return self.end(x)


def in_float64():
    model = eg.Sequential([layers.Dense(8, "selu"), layers.Dense(2)], seed=3, dtype="float64")
    model.build((None, 6))
    return model


MODELS = {
    "chain": chain,
    "graph": graph,
    "nested": nested,
    "lstm": recurrent(layers.LSTM),
    "gru": recurrent(layers.GRU),
    "simple": recurrent(layers.SimpleRNN),
    "subclass": Net,
    "float64": in_float64,
}


def compiled(make, fitted=True):
    model = make()
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    if fitted:
        model.fit(*rows(), epochs=1, verbose=0)
    return model


def everything(model):
    """Return copies of all that training changes."""
    tensors = [np.array(weight) for weight in model.get_weights()]
    for weight in model.trainable_weights:
        tensors += [np.array(slot.numpy()) for slot in model.optimizer.slots(weight).values()]
    draws = [stream.draws for _, stream in model._view().tree.generators]
    return tensors, [*draws, int(model.optimizer.iterations), model._view().shuffle().draws]


def assert_same(before, after):
    for ours, theirs in zip(before[0], after[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert before[1] == after[1]


@pytest.mark.parametrize("name", MODELS)
def test_diagnosing_changes_nothing_and_is_the_same_again(name):
    model, twin = compiled(MODELS[name]), compiled(MODELS[name])
    x, y = rows()
    before = everything(model)
    first = model.diagnose(x, y, batch_size=16, steps=12)
    assert_same(before, everything(model))
    second = model.diagnose(x, y, batch_size=16, steps=12)
    assert first.to_dict() == second.to_dict()
    for one in (model, twin):
        one.fit(x, y, epochs=2, verbose=0)
    assert_same(everything(twin), everything(model))
    for path in first.layers:
        assert model.get_layer(path) is not None
    speeds = [figures["speed"] for figures in first.layers.values()]
    assert np.isfinite(speeds).any()


def test_an_exception_and_ctrl_c_change_nothing():
    x, y = rows()
    for error in (RuntimeError("of the user's"), KeyboardInterrupt()):

        class Fails(layers.Layer):
            calls = 0

            def call(self, x, error=error):
                type(self).calls += 1
                if type(self).calls > 6:
                    raise error
                return x

        make = lambda kind=Fails: eg.Sequential(  # noqa: E731 - short
            [layers.Dense(6, "relu"), layers.Dropout(0.5), kind(), layers.Dense(2)], seed=1
        )
        model = make()
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        model.build((None, 6))
        before = everything(model)
        Fails.calls = 0
        with pytest.raises(type(error)):
            model.diagnose(x, y)
        assert_same(before, everything(model))


def test_a_model_that_is_not_built_stays_so():
    model = eg.Sequential([layers.Dense(4, "relu"), layers.Dense(2)], seed=3)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.diagnose(*rows()).layers.keys() == {"dense", "dense_1"}
    assert not model.built


def test_what_fit_refuses_is_a_finding():
    x, y = rows()
    model = chain()
    loss = eg.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    with pytest.raises(ValueError, match="from_logits"):
        model.fit(x, y, verbose=0)
    [finding] = model.diagnose(x, y).findings
    assert (finding.kind, finding.cause, finding.layer) == ("head_loss_mismatch", "loss", "dense_1")
    one = eg.Sequential([eg.Input((6,)), layers.Dense(1, "softmax")])
    one.compile("sgd", "binary_crossentropy")
    assert one.diagnose(x, y).findings[0].kind == "head_loss_mismatch"


def test_numbers_that_are_none_are_findings():
    x, y = rows()
    model = eg.Sequential([eg.Input((6,)), layers.Dense(4, "relu"), layers.Dense(1)])
    model.compile("sgd", "mse")
    targets = y.astype(np.float32)
    targets[7] = np.nan
    finding = model.diagnose(x, targets).findings[0]
    assert (finding.kind, finding.cause) == ("non_finite", "labels")
    x[3, 2] = np.inf
    finding = model.diagnose(x, y.astype(np.float32)).findings[0]
    assert (finding.kind, finding.cause, finding.layer) == ("non_finite", "inputs", "dense")


def test_several_outputs_and_sample_weights():
    x, y = rows()
    entry = eg.Input((6,))
    body = layers.Dense(8, "relu")(entry)
    ends = [layers.Dense(2, "softmax", name="a")(body), layers.Dense(1, name="b")(body)]
    model = eg.Model(entry, ends, seed=1)
    model.compile("adam", ["sparse_categorical_crossentropy", "mse"])
    targets = [y, y.astype(np.float32)]
    diagnosis = model.diagnose(x, targets, sample_weight=np.linspace(0.5, 2.0, len(x)))
    assert {"a", "b"} < diagnosis.layers.keys()


def test_nothing_is_diagnosed_of_what_is_not_compiled_and_of_batches():
    model = chain()
    with pytest.raises(RuntimeError, match="compile"):
        model.diagnose(*rows())
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(TypeError, match="iterable of batches"):
        model.diagnose(iter([rows()]), None)
    for wrong in ({"steps": 0}, {"batch_size": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            model.diagnose(*rows(), **wrong)


def test_threads_do_not_change_a_diagnosis():
    x, y = rows(400)
    model, found = compiled(chain, fitted=False), []
    before = eg.get_num_threads()
    try:
        for threads in (1, 2):
            eg.set_num_threads(threads)
            found.append(model.diagnose(x, y).to_dict())
    finally:
        eg.set_num_threads(before)
    assert found[0] == found[1]


def test_remedies_reach_models_that_know_no_inputs_yet():
    x, y = rows()
    lazy = eg.Sequential(
        [*(layers.Dense(8, "sigmoid") for _ in range(5)), layers.Dense(2, "softmax")], seed=1
    )
    lazy.compile("adam", "sparse_categorical_crossentropy")
    cured = lazy.diagnose(x, y).apply()
    assert not lazy.built
    assert cured.layers[0].activation is eg.activations.elu
    assert cured.predict(x, verbose=0).shape == (len(x), 2)
