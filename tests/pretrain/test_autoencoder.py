"""Stacked autoencoders, and what every pre-training of layers leaves as it was."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import evengrad as eg
from evengrad import callbacks, layers, optimizers, regularizers

FEATURES = 8


@pytest.fixture
def rng():
    return np.random.default_rng(18)


@pytest.fixture
def x(rng):
    return (rng.normal(size=(120, 3)) @ rng.normal(size=(3, FEATURES))).astype(np.float32)


def network(*, compiled=True, **settings):
    hidden = [
        layers.Dense(6, "tanh", name="first"),
        layers.Dropout(0.2, name="drop"),
        layers.Dense(4, name="second"),
        layers.BatchNormalization(name="norm"),
        layers.ReLU(name="relu"),
    ]
    head = layers.Dense(2, "softmax", name="head")
    model = eg.Sequential([eg.Input((FEATURES,)), *hidden, head], **{"seed": 7, **settings})
    if compiled:
        model.compile("adam", "sparse_categorical_crossentropy")
    return model


def pretrain(model, x, **settings):
    return eg.pretrain.stacked_autoencoder(model, x, **{"epochs": 2, "verbose": 0, **settings})


def changed(model, before):
    """Return the layers of which a variable is another one."""
    now = {path: value.numpy() for path, value in model.named_weights()}
    return {path.split("/")[0] for path in now if not np.array_equal(now[path], before[path])}


def values(model):
    return {path: np.array(value.detach().numpy()) for path, value in model.named_weights()}


# ---- what is learned


@pytest.mark.parametrize("tied", [False, True])
def test_a_linear_code_is_as_good_as_principal_components(rng, tied):
    x = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 10)) + 0.1 * rng.normal(size=(200, 10))
    x -= x.mean(axis=0)
    model = eg.Sequential([layers.Dense(3, name="code"), layers.Dense(2)], seed=2, dtype="float64")
    settings = {"tied": tied, "optimizer": optimizers.Adam(0.02), "batch_size": 50}
    report = pretrain(model, x, epochs=400, **settings)
    least = (np.linalg.svd(x, compute_uv=False)[3:] ** 2).sum() / x.size
    left = report.stages[0].leftovers
    kernel, bias = model.get_layer("code").get_weights()
    error = ((x - ((x @ kernel + bias) @ left["kernel"] + left["bias"])) ** 2).mean()
    assert least <= error < 1.05 * least
    if tied:
        np.testing.assert_array_equal(left["kernel"], kernel.T)


def test_noise_spoils_the_input_and_not_the_target(x):
    model = eg.Sequential([layers.Dense(4, "tanh"), layers.Dense(2)], seed=1)
    # Nothing comes through: the means are all that the decoder can give back.
    settings = {"optimizer": optimizers.Adam(0.02), "batch_size": 120}
    report = pretrain(model, x, noise=layers.Dropout(1.0), epochs=400, **settings)
    assert report.stages[0].losses[-1] == pytest.approx(x.var(axis=0).mean(), rel=0.01)


def test_each_stage_has_noise_of_its_own(x):
    found = []
    for noise in (None, layers.GaussianNoise(0.5), layers.Dropout(0.5)):
        model = network()
        report = pretrain(model, x, noise=noise, epochs=3)
        found.append([stage.losses[-1] for stage in report.stages])
        assert noise is None or not noise.built
    clean, gaussian, dropped = found
    assert all(a < b for a, b in zip(clean, gaussian, strict=True))
    assert all(a < b for a, b in zip(clean, dropped, strict=True))


@pytest.mark.parametrize(
    "penalty", [regularizers.L1(1e-1), regularizers.KLSparsity(0.05, 1.0)], ids=["l1", "kl"]
)
def test_sparse_codes(x, penalty):
    means = {}
    for given in (None, penalty):
        model = eg.Sequential([layers.Dense(6, "sigmoid", name="code"), layers.Dense(2)], seed=1)
        settings = {"optimizer": optimizers.Adam(0.02), "activity_regularizer": given}
        report = pretrain(model, x, epochs=60, **settings)
        means[given] = model.features(x, "code").mean()
        history = report.stages[0].history
        # The loss has the penalty in it, the error has not.
        error = history["reconstruction_error"][-1]
        assert (history["loss"][-1] > 1.01 * error) is (given is not None)
    assert means[penalty] < 0.6 * means[None]


def test_each_layer_learns_from_the_ones_below(x):
    model = network()
    report = pretrain(model, x)
    assert [stage.name for stage in report.stages] == ["first", "second"]
    assert [stage.leftovers["kernel"].shape for stage in report.stages] == [(6, 8), (4, 6)]
    # The second one by itself, on what the first one puts out.
    twin = network()
    pretrain(twin, x, layers=["first"])
    codes = twin.features(x, "first")
    top = eg.Sequential([eg.Input((6,)), *twin.layers[1:]], seed=7)
    pretrain(top, codes, layers=[top.get_layer("second")])
    for name in ("first", "second", "norm"):
        pairs = zip(
            model.get_layer(name).get_weights(), twin.get_layer(name).get_weights(), strict=True
        )
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)


def test_callbacks_hear_of_each_stage(x):
    stop = callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e9)
    report = pretrain(network(), x, epochs=9, callbacks=[stop], validation_split=0.25)
    assert [len(stage.losses) for stage in report.stages] == [2, 2]


def test_validation(x):
    held = pretrain(network(), x, validation_split=0.25)
    given = pretrain(network(), x[:90], validation_data=x[90:])
    as_fit_has_it = pretrain(network(), x[:90], validation_data=(x[90:], x[90:]))
    for report in (held, given, as_fit_has_it):
        for stage in report.stages:
            assert len(stage.history["val_loss"]) == 2
    for one, other in zip(given.stages, as_fit_has_it.stages, strict=True):
        assert one.history == other.history


# ---- what stays as it was


def test_all_else_stays(x, rng):
    model = network()
    y = rng.integers(0, 2, len(x))
    model.fit(x, y, epochs=2, verbose=0)
    config, optimizer = model._config, model.optimizer
    before, streams = values(model), [(s, s.draws) for _, s in tree_of(model).generators]
    iterations = optimizer.iterations
    history = model.history
    pretrain(model, x)
    assert changed(model, before) == {"first", "second", "norm"}
    assert model._config is config
    assert model.optimizer is optimizer
    assert model.history is history
    assert optimizer.iterations == iterations
    assert all(stream.draws == draws for stream, draws in streams)
    for path, tensor in model.named_weights():
        if path in ("norm/moving_mean", "norm/moving_variance"):
            continue
        slots = [slot.numpy() for slot in optimizer.slots(tensor).values()]
        assert all(np.any(slot) for slot in slots) is path.startswith("head/"), path
    # It goes on as it is, to the bit, in the steps that were captured.
    twin = model.clone()
    for one in (model, twin):
        one.fit(x, y, epochs=1, verbose=0)
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def tree_of(model):
    return eg.models._network.view_of(model).tree


class Interrupt(callbacks.Callback):
    """Ends the second training that it hears of, after its first epoch."""

    def __init__(self, error=KeyboardInterrupt):
        self.error = error
        self.trainings = 0

    def on_train_begin(self, _logs=None):
        self.trainings += 1

    def on_epoch_end(self, _epoch, _logs=None):
        if self.trainings == 2:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stage_that_is_broken_off_leaves_no_trace(x, error):
    model, whole = network(), network()
    before = values(model)
    pretrain(whole, x, layers="first")
    with pytest.raises(error):
        pretrain(model, x, callbacks=[Interrupt(error)])
    assert changed(model, before) == {"first"}
    for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("tied", [False, True])
def test_pruned_weights_stay_zero(x, tied):
    model = network()
    model.prune(0.5)
    before = values(model)
    pretrain(model, x, tied=tied)
    kernel, old = model.get_layer("first").get_weights()[0], before["first/kernel"]
    assert (old == 0.0).sum() > 10
    np.testing.assert_array_equal(kernel == 0.0, old == 0.0)


def test_averages_begin_anew(x):
    model = network(compiled=False)
    model.compile(optimizers.SGD(0.01, use_ema=True), "sparse_categorical_crossentropy")
    y = np.arange(len(x)) % 2
    model.fit(x, y, epochs=1, verbose=0)
    with (
        model.optimizer.averaged_weights(model.trainable_weights),
        pytest.raises(RuntimeError, match="exchanged with their averages"),
    ):
        pretrain(model, x)
    pretrain(model, x)
    kernel = model.get_layer("first").kernel
    (average,) = model.optimizer.slots(kernel).values()
    fresh = optimizers.SGD(0.01, use_ema=True)
    np.testing.assert_array_equal(
        average.numpy(), *(s.numpy() for s in fresh.slots(kernel).values())
    )


def test_frozen_layers_are_passed(x):
    model = network()
    model.get_layer("first").trainable = False
    before = values(model)
    report = pretrain(model, x)
    assert [stage.name for stage in report.stages] == ["second"]
    assert changed(model, before) == {"second", "norm"}
    with pytest.raises(ValueError, match="'first' is frozen; set its trainable = True"):
        pretrain(model, x, layers="first")


def test_the_same_bits(x):
    found = []
    threads = eg.get_num_threads()
    try:
        for count, seed in ((1, 3), (2, 3), (2, 4)):
            eg.set_num_threads(count)
            model = network()
            pretrain(model, x, noise=layers.Dropout(0.3), seed=seed)
            found.append(model.get_weights())
    finally:
        eg.set_num_threads(threads)
    for one, other in zip(*found[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(found[0][0], found[2][0])


# ---- kinds of models and data


def test_kinds_of_chains(x):
    sequential = network()
    drawn_input = eg.Input((FEATURES,))
    drawn = drawn_input
    for layer in network().layers:
        drawn = layer(drawn)
    graph = eg.Model(drawn_input, drawn, seed=7)
    parts = network().layers
    nested = eg.Sequential([eg.Input((FEATURES,)), eg.Sequential(parts[:3]), *parts[3:]], seed=7)
    for model in (sequential, graph, nested):
        before = values(model)
        report = pretrain(model, x)
        assert len(report.stages) == 2
        assert "head" not in changed(model, before)
    for one, other in zip(sequential.get_weights(), graph.get_weights(), strict=True):
        assert one.shape == other.shape


def test_other_layers_compute_what_they_compute(rng):
    x = rng.normal(size=(40, 5, 3)).astype(np.float32)
    chain = [layers.LSTM(6, name="lstm"), layers.Dense(4, "elu", name="dense"), layers.Dense(1)]
    model = eg.Sequential([eg.Input((5, 3)), *chain], seed=1)
    before = values(model)
    report = pretrain(model, x)
    assert [stage.name for stage in report.stages] == ["dense"]
    assert changed(model, before) == {"dense"}
    # Of sequences, each step is a row.
    steps = eg.Sequential([layers.Dense(2), layers.Flatten(), layers.Dense(1)], seed=1)
    report = pretrain(steps, x)
    assert report.stages[0].leftovers["kernel"].shape == (2, 3)
    pretrain(steps, x, tied=True)


def test_kinds_of_data(x):
    wide = np.where(np.abs(x) < 1.0, 0.0, x)
    kinds = [wide, pd.DataFrame(wide), csr_matrix(wide), wide.tolist()]
    found = []
    for data in kinds:
        # Not built before.
        model = eg.Sequential([layers.Dense(4, "elu"), layers.Dense(2)], seed=1)
        pretrain(model, data)
        found.append(model.get_weights()[0])
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_double_precision(x):
    model = network(dtype="float64")
    report = pretrain(model, x)
    assert report.stages[0].leftovers["kernel"].dtype == np.float64


def test_decoders_that_bound(x):
    shares = 1.0 / (1.0 + np.exp(-x))
    report = pretrain(
        network(), shares, loss="binary_crossentropy", decoder_activation="sigmoid", layers="first"
    )
    assert report.stages[0].losses[-1] < 0.9


# ---- reports and errors


def test_reports():
    stage = eg.pretrain.Stage("a/b", "reconstruction", {"loss": [2.0, 1.0], "val_loss": [3.0]}, 0.5)
    report = eg.pretrain.Report((stage, stage))
    assert str(report).splitlines() == [
        "stage  epochs  first loss  last loss  validation loss  seconds",
        "--------------------------------------------------------------",
        "a/b         2           2          1                3      0.5",
        "a/b         2           2          1                3      0.5",
        "loss: reconstruction",
    ]
    assert report.seconds == 1.0
    assert report._repr_html_().count("<tr>") == 3


WRONG = {
    "model": (lambda x: (layers.Dense(2), x, {}), TypeError, "model: expected a model"),
    "layers": (lambda x: (network(), x, {"layers": "frist"}), ValueError, "did you mean 'first'"),
    "kind": (
        lambda x: (network(), x, {"layers": "drop"}),
        ValueError,
        "expected Dense layers, got 'drop', a Dropout",
    ),
    "none": (lambda x: (network(), x, {"layers": []}), ValueError, "at least one Dense layer"),
    "shallow": (
        lambda x: (eg.Sequential([layers.Dense(2)]), x, {}),
        ValueError,
        "hidden Dense layers that train, got none",
    ),
    "epochs": (lambda x: (network(), x, {"epochs": 0}), ValueError, "epochs: expected 1 or more"),
    "noise": (lambda x: (network(), x, {"noise": 0.3}), TypeError, "noise: expected a layer"),
    "nan": (lambda x: (network(), x * np.nan, {}), ValueError, "x: "),
    "batches": (lambda x: (network(), iter([x]), {}), TypeError, "pass the rows as one array"),
    "held": (
        lambda x: (network(), x, {"validation_data": x[:, :2]}),
        ValueError,
        "validation_data: ",
    ),
    "both": (
        lambda x: (network(), x, {"validation_data": x, "validation_split": 0.2}),
        ValueError,
        "expected one of the two",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_errors_come_first(x, case):
    make, error, message = WRONG[case]
    model, data, settings = make(x)
    with pytest.raises(error, match=message):
        pretrain(model, data, **settings)


def test_models_that_are_no_chains(x):
    class Code(eg.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    with pytest.raises(ValueError, match="got a model whose call is code; pass a Sequential"):
        pretrain(Code(), x)
    first = eg.Input((FEATURES,))
    left, right = layers.Dense(3)(first), layers.Dense(3)(first)
    branching = eg.Model(first, layers.Dense(2)(layers.Add()([left, right])))
    with pytest.raises(ValueError, match="got a graph that branches; pass a Sequential"):
        pretrain(branching, x)
