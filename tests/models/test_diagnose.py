"""`Model.diagnose`: it changes nothing, and works for models of all kinds."""

import numpy as np
import pytest

import evengrad as eg

layers = eg.layers
MISFIT = "head_loss_mismatch"


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


def test_momentum_may_follow_a_schedule():
    model = chain()
    cycle = eg.optimizers.schedules.OneCycle(0.1, 50, style="torch")
    momentum = eg.optimizers.schedules.OneCycleMomentum(cycle)
    model.compile(eg.optimizers.SGD(cycle, momentum), "sparse_categorical_crossentropy")
    training = model.diagnose(*rows()).to_dict()["training"]
    assert training["momentum"] == pytest.approx(momentum(0))


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


def two_heads(first="softmax", second="linear", losses=None):
    x = eg.Input((6,))
    hidden = layers.Dense(8, "relu", kernel_initializer="he_normal")(x)
    ends = [
        layers.Dense(3, first, name="kind")(hidden),
        layers.Dense(1, second, name="size")(hidden),
    ]
    model = eg.Model(x, ends, seed=1)
    model.compile("adam", losses or ["sparse_categorical_crossentropy", "mse"])
    return model


def test_each_of_several_heads_is_judged_by_its_own_loss_and_targets():
    x, _ = rows()
    rng = np.random.default_rng(0)
    kinds, sizes = rng.integers(3, size=len(x)), rng.normal(size=len(x)) - 5.0
    assert not [
        one for one in two_heads().diagnose(x, [kinds, sizes]).findings if one.kind == MISFIT
    ]
    found = two_heads(second="relu").diagnose(x, [kinds, sizes])
    [finding] = [one for one in found.findings if one.kind == MISFIT]
    assert (finding.layer, finding.cause) == ("size", "activation")
    # Which of the losses to change is a person's to say.
    assert [one.automatic for one in finding.remedies] == [True, False]
    found = two_heads(first="relu", second="sigmoid").diagnose(x, [kinds, sizes])
    layers_found = [one.layer for one in found.findings if one.kind == MISFIT]
    assert sorted(layers_found) == ["kind", "size"]
    # What `fit` refuses is told of the head that it is of.
    logits = eg.losses.BinaryCrossentropy(from_logits=True)
    refused = two_heads(second="sigmoid", losses=["sparse_categorical_crossentropy", logits])
    [finding] = refused.diagnose(x, [kinds, np.abs(sizes) > 5]).findings
    assert (finding.layer, finding.cause) == ("size", "loss")


def test_class_numbers_that_are_none_are_findings_with_their_rows():
    x, y = rows()
    y = y.copy()
    y[[3, 7]] = [5, 9]
    found = compiled(chain, fitted=False).diagnose(x, y)
    [finding] = found.findings
    assert (finding.kind, finding.cause, finding.rows) == (MISFIT, "labels", (3, 7))
    assert "rows 3, 7 of the data" in str(finding)
    cured = found.apply()
    assert cured.layers[-1].units == 10
    cured.fit(x, y, verbose=0)
    y[[3, 7]] = -1
    found = compiled(chain, fitted=False).diagnose(x, y)
    [finding] = found.findings
    assert (finding.cause, finding.rows) == ("labels", (3, 7))
    assert "rows 3, 7 of y" in finding.remedies[0].text
    assert not finding.remedies[0].automatic


def test_rows_with_numbers_that_are_none_are_told():
    x, y = rows(count=3000)
    x[[2, 2500]] = np.nan
    [finding] = compiled(chain, fitted=False).diagnose(x, y).findings
    assert (finding.kind, finding.cause, finding.rows) == ("non_finite", "inputs", (2, 2500))
    assert "rows 2, 2500 of the data" in finding.remedies[0].text
    x, y = rows()
    model = eg.Sequential([layers.Dense(4), layers.Dense(1)])
    model.compile("sgd", "mse")
    y = y.astype(np.float64)
    y[5] = np.inf
    [finding] = model.diagnose(x, y).findings
    assert (finding.kind, finding.cause, finding.rows) == ("non_finite", "labels", (5,))


def test_gradients_of_first_and_last_steps_are_measured_in_recurrent_layers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5, 3)).astype(np.float32)
    y = rng.normal(size=64).astype(np.float32)
    rnn = layers.SimpleRNN(4, "linear", use_bias=False)
    model = eg.Sequential([eg.Input((5, 3)), rnn, layers.Dense(1, use_bias=False)], seed=1)
    model.compile(eg.optimizers.SGD(0.0), "mse")
    kernel, recurrent, head = (weight.astype(np.float64) for weight in model.get_weights())
    state = np.zeros((64, 4))
    for step in range(5):
        state = x[:, step] @ kernel + state @ recurrent
    last = 2 / 64 * (state @ head - y[:, None]) @ head.T
    first = last @ np.linalg.matrix_power(recurrent.T, 4)
    found = model.diagnose(x, y, batch_size=64, steps=1).layers["simple_rnn"]
    assert found["last_step_gradient"] == pytest.approx(np.linalg.norm(last), rel=1e-4)
    assert found["first_step_gradient"] == pytest.approx(np.linalg.norm(first), rel=1e-4)
    for kind in ("SimpleRNN", "LSTM", "GRU"):
        made = getattr(layers, kind)(4, name="rnn")
        model = eg.Sequential([eg.Input((5, 3)), made, layers.Dense(1)], seed=1)
        model.compile("sgd", "mse")
        measured = model.diagnose(x, y, steps=2).layers["rnn"]
        assert 0 < measured["first_step_gradient"] < measured["last_step_gradient"]


def test_a_gradient_that_vanishes_over_the_steps_is_found():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 60, 3)).astype(np.float32)
    small = eg.initializers.RandomNormal(0.0, 0.1)
    rnn = layers.SimpleRNN(12, recurrent_initializer=small, name="rnn")
    model = eg.Sequential([eg.Input((60, 3)), rnn, layers.Dense(2, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = model.diagnose(x, (x[:, 0, 0] > 0).astype(int)).findings
    [finding] = [one for one in found if one.kind == "vanishing_gradients"]
    assert (finding.layer, finding.cause, finding.severity) == ("rnn", "architecture", "warning")
    assert finding.remedies[0].treatment.change == "lstm"
