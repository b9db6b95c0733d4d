"""Where numbers stop being finite in `fit`: step, tensor, layer and rows; nothing is changed."""

# ruff: noqa: ARG001, ARG002, ARG005 - functions have the signatures that they are called with

from typing import ClassVar

import numpy as np
import pytest
from checkpoint_checks import StopAt
from training_checks import everything

import evengrad as eg
from evengrad import callbacks, layers, optimizers
from evengrad.training import _forensics

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("float32")
NEVER = 1e9


class FirstBroken(callbacks.Callback):
    """The reference: looks at the loss and at all variables after each step."""

    def __init__(self):
        self.step = self.place = None
        self.iterations = 0
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.iterations = self.model.optimizer.iterations

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer
        arrays = [logs["loss"], *self.model.get_weights()]
        for weight in self.model.trainable_weights:
            arrays += [slot.numpy() for slot in optimizer.slots(weight).values()]
        if self.step is None and not all(np.isfinite(array).all() for array in arrays):
            self.step, self.place = self.iterations, (self.epoch, batch)
            self.model.stop_training = True


def net(optimizer=None, activation="tanh", loss="mse", begin=(), eagerly=False, **settings):
    model = eg.Sequential(
        [
            *begin,
            layers.Dense(16, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(8, activation, name="middle"),
            layers.Dense(1, name="end"),
        ],
        **{"seed": 3, **settings},
    )
    model.compile(optimizer or optimizers.Adam(1e-3), loss, run_eagerly=eagerly)
    return model


def finding_of(model, x=X, y=Y, also=(), **given):
    given = {"batch_size": 16, "epochs": 40, "verbose": 0, "check_finite": False, **given}
    stop = callbacks.TerminateOnNaN()
    model.fit(x, y, callbacks=[stop, *also], **given)
    return stop.finding


def expected_step(model, x=X, y=Y, also=(), **given):
    given = {"batch_size": 16, "epochs": 40, "verbose": 0, "check_finite": False, **given}
    reference = FirstBroken()
    model.fit(x, y, callbacks=[reference, *also], **given)
    return reference.step


def leaps_at_20(step):
    return 1e-3 if step < 20 else 1e36


def broken_at(row, value=np.nan, dtype="float32"):
    x = X.astype(dtype)
    x[row, 2] = value
    return x


@pytest.fixture(params=[0.0, NEVER], ids=["copied_often", "copied_once"])
def often(request, monkeypatch):
    """Have the state copied wherever the session returns, or at the beginning alone."""
    monkeypatch.setattr(_forensics, "INTERVAL", request.param)
    monkeypatch.setattr(_forensics, "SHARE", NEVER)


class TestInputs:
    @pytest.mark.parametrize("row", [0, 97, 217, 299])
    @pytest.mark.parametrize("eagerly", [False, True])
    def test_the_row_is_named_in_the_batch_and_in_the_data(self, row, eagerly):
        place = int(np.flatnonzero(net()._shuffler().permutation(300) == row)[0])
        finding = finding_of(net(eagerly=eagerly), broken_at(row))
        assert (finding.kind, finding.severity) == ("non_finite", "error")
        assert (finding.tensor, finding.layer, finding.cause) == ("input", "dense", "inputs")
        assert finding.step == place // 16
        assert (finding.batch_rows, finding.rows) == ((place % 16,), (row,))
        size = 12 if place >= 288 else 16
        assert finding.value == pytest.approx(1 / (6 * size))

    def test_rows_of_a_split_are_those_of_the_whole(self):
        finding = finding_of(net(), broken_at(40), validation_split=0.4, validation_shuffle=False)
        assert finding.rows == (40,)
        found = {
            finding_of(net(), broken_at(row), validation_split=0.5, epochs=1)
            for row in range(290, 300)
        }
        assert {one.rows for one in found if one is not None} <= {(row,) for row in range(290, 300)}
        assert len(found) > 2

    @pytest.mark.parametrize(
        "given",
        [
            {"steps_per_epoch": 7},
            {"drop_last": True, "steps_per_epoch": 4},
            {"sample_weight": np.linspace(1, 2, 300)},
            {"validation_split": 0.1, "validation_shuffle": False, "steps_per_epoch": 5},
            {"batch_size": 7},
        ],
        ids="_".join,
    )
    def test_rows_of_later_epochs(self, given):
        for row in (3, 150, 260):
            finding = finding_of(net(), broken_at(row), **given)
            assert (finding.tensor, finding.rows) == ("input", (row,))

    def test_rows_that_are_read_some_at_a_time(self, monkeypatch):
        monkeypatch.setattr("evengrad.training._data.RESIDENT_BYTES", 1000)
        monkeypatch.setattr("evengrad.training._data.PIECE_BYTES", 2000)
        place = int(np.flatnonzero(net()._shuffler().permutation(300) == 217)[0])
        finding = finding_of(net(), broken_at(217))
        assert (finding.step, finding.rows) == (place // 16, (217,))

    def test_several_inputs(self):
        ends = [eg.Input((3,), name="left"), eg.Input((6,), name="right")]
        both = [layers.Dense(4, name=name)(end) for name, end in zip("ab", ends, strict=True)]
        model = eg.Model(ends, layers.Dense(1)(layers.Add()(both)), seed=1)
        model.compile("sgd", "mse")
        finding = finding_of(model, [X[:, :3], broken_at(64)], shuffle=False)
        assert (finding.step, finding.tensor, finding.rows) == (4, "input", (64,))

    def test_an_outlier_is_to_blame_for_what_overflows_later(self):
        finding = finding_of(net(optimizers.SGD(1e-3), "relu"), broken_at(80, 3e38), shuffle=False)
        # Of 3e38 there is a mean, and no variance.
        assert (finding.step, finding.tensor) == (5, "weight")
        assert (finding.layer, finding.cause) == ("batch_normalization", "inputs")
        assert "row 80 of the data" in finding.remedies[0].text


class TestSteps:
    """Steps as a training finds them that looks at everything after each step."""

    RATES: ClassVar = {
        "sgd": lambda: optimizers.SGD(30.0),
        "momentum": lambda: optimizers.SGD(3.0, momentum=0.9),
        "schedule": lambda: optimizers.SGD(lambda step: 1e-3 if step < 437 else 1e6),
        "adam": lambda: optimizers.Adam(lambda step: 1e-3 if step < 100 else 1e36),
        "clipped": lambda: optimizers.SGD(1e36, global_clipnorm=1.0),
        "accumulated": lambda: optimizers.SGD(30.0, gradient_accumulation_steps=3),
        "averaged": lambda: optimizers.SGD(30.0, use_ema=True),
    }

    @pytest.mark.parametrize("name", RATES)
    @pytest.mark.parametrize("activation", ["relu", "tanh"])
    @pytest.mark.usefixtures("often")
    def test_rates_that_are_too_high(self, name, activation):
        make = self.RATES[name]
        expected = expected_step(net(make(), activation))
        finding = finding_of(net(make(), activation))
        assert expected is not None
        assert finding.step == expected
        assert finding.cause in ("learning_rate", "initializer")
        assert finding.remedies[0].automatic

    @pytest.mark.usefixtures("often")
    @pytest.mark.parametrize(
        "given",
        [
            {"shuffle": False},
            {"steps_per_epoch": 7},
            {"steps_per_epoch": 7, "drop_last": True},
            {"drop_last": True},
            {"batch_size": 300, "epochs": 100},
            {"batch_size": 1, "epochs": 4},
            {"sample_weight": np.linspace(0, 1, 300)},
            {"validation_data": (X, Y)},
            {"class_weight": None, "validation_split": 0.2},
        ],
        ids="_".join,
    )
    def test_ways_of_an_epoch(self, given):
        def make():
            return net(optimizers.SGD(lambda step: 1e-3 if step < 68 else 1e5), "relu")

        expected = expected_step(make(), **given)
        finding = finding_of(make(), **given)
        assert finding.step == expected >= 68

    def test_rates_that_callbacks_set(self):
        def make():
            return net(optimizers.SGD(1e-3), "relu")

        def rate(epoch, now):
            return 1e-3 if epoch < 5 else 1e6 if epoch == 5 else 1e-9

        def also():
            return [callbacks.LearningRateScheduler(rate)]

        expected = expected_step(make(), also=also())
        finding = finding_of(make(), also=also())
        assert finding.step == expected
        assert finding.layer is not None
        assert finding.cause == "learning_rate"

    def test_variables_that_callbacks_set(self):
        class Sets(callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 3:
                    self.model.set_weights([1.5 * w for w in self.model.get_weights()])
                if epoch == 4:
                    self.model.layers[0].trainable = False
                if epoch == 5:
                    self.model.layers[2].rate = 0.6

        def make():
            return net(optimizers.SGD(lambda step: 1e-3 if step < 150 else 1e5), "relu")

        expected = expected_step(make(), also=[Sets()])
        finding = finding_of(make(), also=[Sets()])
        assert finding.step == expected >= 150
        assert finding.batch_rows is not None

    @pytest.mark.parametrize("often", [NEVER], indirect=True, ids=["copied_once"])
    def test_training_in_between(self, often):
        def make():
            return net(optimizers.SGD(lambda step: 1e-3 if step < 150 else 1e5), "relu")

        def also(model):
            return [
                callbacks.LambdaCallback(
                    on_train_batch_end=lambda batch, logs: model.train_on_batch(X[:4], Y[:4])
                )
            ]

        models = make(), make()
        expected = expected_step(models[0], also=also(models[0]))
        finding = finding_of(models[1], also=also(models[1]))
        assert expected is not None
        # Steps of others lie between, of which this training hears by their count.
        assert finding.step == expected

    def test_a_training_that_resumes(self, tmp_path):
        def make():
            return net(
                optimizers.SGD(lambda step: 1e-3 if step < 68 else 1e5),
                "relu",
                begin=[eg.Input((6,))],
            )

        expected = finding_of(make())
        keep = {"checkpoint": tmp_path, "checkpoint_every": "5 steps"}
        with pytest.raises(KeyboardInterrupt):
            finding_of(make(), also=[StopAt(63)], **keep)
        assert finding_of(make(), **keep) == expected

    def test_batches_of_an_iterable(self):
        def batches():
            for epoch in range(40):
                order = np.random.default_rng(epoch).permutation(300)
                for start in range(0, 300, 16):
                    rows = order[start : start + 16]
                    yield X[rows], Y[rows]

        class Data:
            def __iter__(self):
                return (next(self.items) for _ in range(19))

            def __init__(self):
                self.items = batches()

        def make():
            return net(optimizers.SGD(lambda step: 1e-3 if step < 68 else 1e5), "relu")

        for ends in ({"epochs": 5}, {"epochs": 20, "steps_per_epoch": 4}):
            given = {**ends, "batch_size": None}
            expected = expected_step(make(), Data(), None, **given)
            finding = finding_of(make(), Data(), None, **given)
            assert finding.step == expected >= 68
            assert finding.rows is None
            assert finding.batch_rows is not None

    def test_the_same_buffer_for_all_batches(self):
        class Reused:
            def __iter__(self):
                held = np.empty((10, 6), "float32")
                for start in range(0, 300, 10):
                    held[:] = broken_at(217)[start : start + 10]
                    yield held, Y[start : start + 10]

        finding = finding_of(net(), Reused(), None, batch_size=None)
        assert (finding.step, finding.tensor, finding.batch_rows) == (21, "input", (7,))

    def test_the_last_step_of_all(self, advice):
        """The loss of a step is that of the weights before it."""

        def make():
            return net(optimizers.SGD(lambda step: 1e-3 if step < 18 else 3e38), "relu")

        stop = callbacks.TerminateOnNaN()
        model = make()
        history = model.fit(X, Y, 16, epochs=1, verbose=0, callbacks=[stop])
        assert np.isfinite(history.history["loss"]).all()
        assert (stop.finding.step, stop.finding.tensor) == (18, "weight")
        assert (stop.stopped_epoch, stop.stopped_batch) == (0, 18)
        assert "variables are NaN or infinite in epoch 0, batch 18" in advice.text

    def test_variables_that_the_loss_does_not_show(self):
        """A row of an embedding that is broken by one batch, and met again by none."""
        model = eg.Sequential([layers.Embedding(5, 3), layers.Flatten(), layers.Dense(1)], seed=1)
        model.compile(optimizers.SGD(lambda step: 3e38 if step == 7 else 1e-3), "mse")
        x = np.zeros((40, 1), "int64")
        x[28:32] = 3
        model.layers[2].trainable = False
        finding = finding_of(model, x, np.full(40, 1e4), batch_size=4, shuffle=False, epochs=1)
        assert (finding.step, finding.tensor, finding.layer) == (7, "weight", "embedding")

    @pytest.mark.usefixtures("often")
    def test_the_place_of_variables_that_break(self):
        """Copies at the end of epochs are of the beginning of the next ones."""
        optimizer = optimizers.SGD(lambda step: 3e38 if step == 94 else 1e-3)
        stop = callbacks.TerminateOnNaN()
        net(optimizer, "relu").fit(X, Y, 16, 5, 0, [stop])
        assert (stop.finding.step, stop.finding.tensor) == (94, "weight")
        assert (stop.stopped_epoch, stop.stopped_batch) == (4, 18)


class TestTensors:
    def test_a_function_that_overflows_in_the_middle(self):
        finding = finding_of(net(optimizers.SGD(1e-3), lambda z: (60.0 * z).exp()))
        assert (finding.tensor, finding.layer) == ("activation", "middle")
        assert finding.cause == "activation"
        assert 0 < len(finding.batch_rows) <= 16
        assert len(finding.rows) == len(finding.batch_rows)

    def test_a_layer_inside_another(self):
        class Explodes(layers.Layer):
            def call(self, x):
                return (100.0 * x).exp()

        block = eg.Sequential([layers.Dense(4), Explodes()], name="block")
        model = eg.Sequential([block, layers.Dense(1)], seed=1)
        model.compile("sgd", "mse")
        finding = finding_of(model)
        assert (finding.tensor, finding.layer) == ("activation", "block/explodes")
        assert finding.cause == "activation"

    def test_a_logarithm_of_zero_in_a_loss(self):
        def likelihood(y, p):
            return -(p.relu()).log().mean(dim=-1)

        model = net(loss=likelihood)
        finding = finding_of(model, shuffle=False)
        assert (finding.step, finding.tensor, finding.layer) == (0, "loss", None)
        assert finding.cause == "loss"
        assert finding.rows == finding.batch_rows != ()

    def test_the_loss_of_one_output(self):
        begin = eg.Input((6,))
        ends = [layers.Dense(1, name=name)(begin) for name in ("sound", "broken")]
        model = eg.Model(begin, ends, seed=1)
        model.compile("sgd", ["mse", lambda y, p: (0.0 * p).log().mean(dim=-1)])
        finding = finding_of(model, X, [Y, Y])
        assert (finding.tensor, finding.layer) == ("loss", "broken")
        assert finding.batch_rows == tuple(range(16))

    def test_labels_that_are_too_large(self):
        y = Y.copy()
        y[33] = 1e30
        finding = finding_of(net(), X, y, shuffle=False)
        assert (finding.step, finding.tensor, finding.rows) == (2, "loss", (33,))
        assert finding.cause == "labels"

    def test_a_derivative_that_is_infinite(self):
        finding = finding_of(net(activation=lambda z: z.relu().sqrt()))
        assert (finding.step, finding.tensor, finding.layer) == (0, "gradient", "middle")
        assert finding.cause == "activation"
        assert (finding.batch_rows, finding.rows) == (None, None)

    def test_a_derivative_of_the_loss(self):
        finding = finding_of(net(loss=lambda y, p: (0.0 * (y - p)).abs().sqrt().mean(dim=-1)))
        assert (finding.step, finding.tensor, finding.layer) == (0, "gradient", None)
        assert finding.cause == "loss"

    def test_a_square_that_overflows_in_the_optimizer(self):
        model = eg.Sequential([layers.Dense(1, kernel_initializer="zeros")], seed=1)
        model.compile(optimizers.Adam(1e-3), lambda y, p: (1e22 * p).mean(dim=-1))
        finding = finding_of(model, 1e-2 + 0 * X)
        assert (finding.step, finding.tensor, finding.layer) == (0, "slot", "dense")

    def test_a_penalty(self):
        model = eg.Sequential([layers.Dense(1, kernel_regularizer=lambda w: w.sum() / 0.0)], seed=1)
        model.compile("sgd", "mse")
        finding = finding_of(model)
        assert (finding.tensor, finding.layer, finding.cause) == ("loss", None, "regularization")

    def test_weights_that_were_broken_before(self):
        model = net(begin=[eg.Input((6,))])
        weights = model.get_weights()
        weights[6][3, 3] = np.nan
        model.set_weights(weights)
        finding = finding_of(model)
        assert (finding.step, finding.tensor, finding.layer) == (0, "weight", "middle")
        assert finding.cause == "initializer"

    @pytest.mark.usefixtures("often")
    def test_infinities_that_are_meant(self):
        class Masked(layers.Layer):
            def build(self, input_shape):
                self.mask = self.add_weight("mask", (input_shape[-1],), "zeros", trainable=False)

            def call(self, x):
                return eg.maximum(x, self.mask)

        def model(*between):
            made = eg.Sequential([layers.Dense(4), *between, layers.Dense(1)], seed=1)
            made.compile(optimizers.Adam(leaps_at_20), "mse")
            made.build((None, 6))
            return made

        masked = model(Masked())
        masked.layers[1].mask.copy_(np.full(4, -np.inf, "float32"))
        finding, plain = finding_of(masked), finding_of(model())
        assert (finding.step, finding.tensor) == (plain.step, plain.tensor)
        assert finding.layer != "masked"

    def test_recurrent_layers_and_float64(self):
        x = RNG.normal(size=(40, 5, 3))
        x[21, 2, 1] = np.inf
        model = eg.Sequential([layers.LSTM(4), layers.Dense(1)], dtype="float64", seed=1)
        model.compile("adam", "mse")
        finding = finding_of(model, x, np.zeros(40), batch_size=8, shuffle=False)
        assert (finding.step, finding.tensor, finding.layer) == (2, "input", "lstm")
        assert (finding.batch_rows, finding.rows) == ((5,), (21,))


class TestNothingChanges:
    @pytest.mark.parametrize(
        "optimizer",
        [
            lambda: optimizers.Adam(leaps_at_20, amsgrad=True),
            lambda: optimizers.Nadam(1e36),
            lambda: optimizers.SGD(30.0, momentum=0.9, gradient_accumulation_steps=2),
            lambda: optimizers.Adagrad(1e36, use_ema=True),
        ],
    )
    @pytest.mark.parametrize("stops", [True, False])
    def test_the_state_afterwards_has_the_bits_of_a_training_without(
        self, monkeypatch, optimizer, stops
    ):
        def train():
            model = net(optimizer(), "relu")
            stop = callbacks.TerminateOnNaN() if stops else Hears()
            history = model.fit(X, Y, 16, 3, 0, [stop], validation_data=(X, Y), steps_per_epoch=13)
            return stop.finding, [*everything(model), history.history.pop("val_loss")[:1]], history

        monkeypatch.setattr(_forensics.Forensics, "_investigate", lambda *given: None)
        _, expected, before = train()
        monkeypatch.undo()
        finding, got, after = train()
        assert finding.tensor is not None
        assert got[:-1] == expected[:-1]
        assert repr(before.history) == repr(after.history)
        assert before.epoch == after.epoch

    def test_a_sound_training(self):
        plain, watched = net(), net()
        plain.fit(X, Y, 16, 5, 0)
        assert finding_of(watched, epochs=5) is None
        assert everything(watched) == everything(plain)

    def test_data_is_freed_with_the_training(self):
        import gc
        import weakref

        class Rows(np.ndarray):
            pass

        gc.collect()
        gc.disable()
        try:
            x = X.copy().view(Rows)
            held = weakref.ref(x)
            finding_of(net(), x, epochs=1)
            del x
            assert held() is None
        finally:
            gc.enable()


class Hears(callbacks.Callback):
    """Hears where numbers stop being finite, and lets the training go on."""

    def __init__(self):
        self.finding = None
        self.told = 0

    def _on_non_finite(self, trouble):
        self.finding = trouble.finding
        self.told += 1


class TestTelling:
    def test_the_history_has_it(self):
        model = net()
        finding = finding_of(model, broken_at(3))
        assert model.history.findings == (finding,)

    def test_it_is_told_once_and_training_goes_on(self):
        hears = Hears()
        history = net(optimizers.SGD(30.0), "relu").fit(X, Y, 16, 4, 0, [hears])
        assert hears.told == 1
        assert len(history.epoch) == 4

    def test_a_training_that_was_mended_is_watched_on(self):
        class Mends(Hears):
            def on_train_begin(self, logs=None):
                self.steps = []
                self.good = self.model.get_weights()

            def _on_non_finite(self, trouble):
                super()._on_non_finite(trouble)
                self.steps.append(trouble.finding.step)

            def on_epoch_end(self, epoch, logs=None):
                if not np.isfinite(logs["loss"]):
                    self.model.set_weights(self.good)

        def leaps(step):
            return 1e5 if step in (30, 31, 70, 71) else 1e-3

        mends = Mends()
        model = net(optimizers.SGD(leaps), "relu", begin=[eg.Input((6,))])
        history = model.fit(X, Y, 16, 6, 0, [mends])
        assert [int(step // 19) for step in mends.steps] == [1, 3]
        assert mends.finding.batch_rows is not None
        assert np.isfinite(history.history["loss"]).tolist() == [
            True,
            False,
            True,
            False,
            True,
            True,
        ]

    def test_the_warning_says_all(self, advice):
        with advice.heard():
            finding_of(net(), broken_at(217), shuffle=False)
        assert "epoch 0, batch 13 (both counted from 0)" in advice.text
        assert (
            "It began in step 13, in the inputs of layer 'dense', row 9 of the batch, "
            "row 217 of the data; cause: inputs. Drop or fill row 217 of the data;" in advice.text
        )

    def test_without_memory_for_a_copy_the_step_is_known(self, monkeypatch):
        make = TestSteps.RATES["schedule"]
        monkeypatch.setattr(_forensics, "available_bytes", lambda: 0)
        expected = expected_step(net(make(), "relu"))
        finding = finding_of(net(make(), "relu"))
        assert (finding.step, finding.tensor, finding.layer) == (expected, "loss", None)

    def test_code_that_does_not_repeat_itself_is_not_believed(self):
        class Counts(layers.Layer):
            """Breaks at the 50th call in Python, whatever is computed."""

            def __init__(self):
                super().__init__()
                self.calls = [0]

            def call(self, x):
                self.calls[0] += 1
                return x * float("nan") if self.calls[0] == 30 else x

        model = eg.Sequential([layers.Dense(4), Counts(), layers.Dense(1)], seed=1)
        model.compile("sgd", "mse", run_eagerly=True)
        finding = finding_of(model, batch_size=32)
        assert finding.layer is None
        assert finding.tensor == "loss"
        assert finding.step > 20

    def test_a_checkpoint_keeps_the_finding(self, tmp_path):
        def train():
            stop = callbacks.TerminateOnNaN()
            model = net(optimizers.SGD(30.0), "relu", begin=[eg.Input((6,))])
            model.fit(X, Y, 16, 4, 0, [stop], checkpoint=tmp_path)
            return stop

        first, again = train(), train()
        assert first.finding.tensor is not None
        assert again.finding == first.finding
        assert again.stopped_batch == first.stopped_batch
