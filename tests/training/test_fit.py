"""Training: the same bits in every way of running, callbacks, interruption, forks, memory."""

# ruff: noqa: ARG001, ARG002, ARG005 - functions have the signatures that they are called with

import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from training_checks import same, three_classes

import evengrad as eg
from evengrad import callbacks, layers
from evengrad.training import _data, _progress


@pytest.fixture
def data():
    return three_classes()


def network(run_eagerly=False, dropout=0.3, optimizer=None, **settings):
    model = eg.Sequential(
        [
            layers.Dense(24, "relu", kernel_initializer="he_normal"),
            layers.Dropout(dropout),
            layers.Dense(16, "elu"),
            layers.Dense(3, "softmax"),
        ],
        seed=7,
        **settings,
    )
    model.compile(
        optimizer or eg.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        ["accuracy"],
        run_eagerly=run_eagerly,
    )
    return model


def by_hand(model, x, y, epochs, size, compiled):
    """Train in a loop of one's own, over the batches that `fit` visits."""
    optimizer = eg.optimizers.Adam(0.01)
    body, head = model.layers[:-1], model.layers[-1]
    shuffle = model._shuffler()
    model.build((None, x.shape[1]))

    def step(xb, yb):
        h = xb
        for layer in body:
            h = layer(h, training=True)
        loss = eg.functional.cross_entropy(head.call_without_activation(h), yb)
        optimizer.minimize(loss, model.trainable_weights)
        return loss

    run = eg.compile(step) if compiled else lambda a, b: step(eg.tensor(a), eg.tensor(b))
    for _ in range(epochs):
        order = shuffle.permutation(len(x))
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            run(x[rows], y[rows])


@pytest.mark.parametrize("way", ["eager fit", "loop", "compiled loop"])
def test_fit_compile_and_eager_give_the_same_bits(data, way):
    x, y = data
    captured = network()
    captured.fit(x, y, epochs=3, batch_size=32, verbose=0)
    if way == "eager fit":
        other = network(run_eagerly=True)
        other.fit(x, y, epochs=3, batch_size=32, verbose=0)
    else:
        other = network()
        by_hand(other, x, y, 3, 32, way == "compiled loop")
    assert same(captured, other)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads_gives_the_same_bits(threads):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 300)).astype("float32")
    y = rng.integers(0, 5, 600)

    def train(count):
        eg.set_num_threads(count)
        model = eg.Sequential(
            [
                layers.Dense(400, "relu"),
                layers.Dropout(0.5),
                layers.Dense(300, "tanh"),
                layers.Dense(5),
            ],
            seed=1,
        )
        model.compile(eg.optimizers.Adam(0.001), "sparse_categorical_crossentropy", ["accuracy"])
        history = model.fit(x, y, epochs=2, batch_size=200, verbose=0).history
        return model, history, model.predict(x)

    before = eg.get_num_threads()
    try:
        one, many = train(1), train(threads)
    finally:
        eg.set_num_threads(before)
    assert same(one[0], many[0])
    assert one[1] == many[1]
    np.testing.assert_array_equal(one[2], many[2])


def test_streaming_gives_the_same_bits(data, monkeypatch, tmp_path):
    x, y = data
    resident = network()
    expected = resident.fit(x, y, epochs=3, verbose=0, validation_data=(x, y)).history
    path = tmp_path / "x.npy"
    np.save(path, x.astype("float64"))
    monkeypatch.setattr(_data, "PIECE_BYTES", 4000)
    mapped = network()
    read = np.load(path, mmap_mode="r")
    assert mapped.fit(read, y, epochs=3, verbose=0, validation_data=(read, y)).history == expected
    monkeypatch.setattr(_data, "RESIDENT_BYTES", 1000)
    streamed = network()
    assert streamed.fit(x, y, epochs=3, verbose=0, validation_data=(x, y)).history == expected
    assert same(resident, mapped)
    assert same(resident, streamed)


class Batches:
    def __init__(self, x, y, size):
        self.x, self.y, self.size = x, y, size

    def __iter__(self):
        for start in range(0, len(self.x), self.size):
            rows = slice(start, start + self.size)
            yield self.x[rows], self.y[rows]


def test_iterables_of_batches(data):
    x, y = data
    arrays = network()
    expected = arrays.fit(x, y, epochs=3, batch_size=50, shuffle=False, verbose=0).history
    iterable = network()
    got = iterable.fit(Batches(x, y, 50), epochs=3, verbose=0).history
    assert got == expected
    assert same(arrays, iterable)
    endless = (batch for _ in itertools.count() for batch in Batches(x, y, 50))
    generator = network()
    got = generator.fit(endless, epochs=3, steps_per_epoch=5, verbose=0).history
    assert got == expected
    assert iterable.evaluate(Batches(x, y, 50)) == arrays.evaluate(x, y, batch_size=50)


def test_an_iterator_that_ends_says_so(data):
    x, y = data
    with pytest.raises(ValueError, match="pass steps_per_epoch"):
        network().fit(iter(Batches(x, y, 50)), epochs=2, verbose=0)


def test_batches_of_many_sizes(data):
    x, y = data
    sizes = [1 + i % 25 for i in range(60)]
    captured, eager = network(), network(run_eagerly=True)
    for model in (captured, eager):
        batches = [(x[:size], y[:size]) for size in sizes]
        model.fit((batch for batch in batches), verbose=0)
    assert same(captured, eager)


class Reads(layers.Layer):
    """Looks at values, so that no plan can hold it."""

    def call(self, x, training):
        return x * (2.0 if x.sum().item() > 0 else 0.5)


def test_a_layer_that_reads_values_runs_in_python(data, advice):
    x, y = data

    def train(run_eagerly):
        model = eg.Sequential(
            [layers.Dense(8, "relu"), layers.Dropout(0.5), Reads(), layers.Dense(3)], seed=2
        )
        model.compile(
            "adam", "sparse_categorical_crossentropy", ["accuracy"], run_eagerly=run_eagerly
        )
        return model, model.fit(x, y, epochs=2, verbose=0).history

    with advice.heard():
        fallen, history = train(False)
    assert "each step runs in Python" in advice.text
    eager, expected = train(True)
    assert same(fallen, eager)
    assert history == expected


def test_training_in_parts_is_training_at_once(data):
    x, y = data
    once = network()
    expected = once.fit(x, y, epochs=6, verbose=0)
    parts = network()
    parts.fit(x, y, epochs=2, verbose=0)
    got = parts.fit(x, y, initial_epoch=2, epochs=6, verbose=0)
    assert same(once, parts)
    assert got.epoch == [2, 3, 4, 5]
    assert got.history["loss"] == expected.history["loss"][2:]


class TestValidation:
    def test_data(self, data):
        x, y = data
        model = network()
        history = model.fit(x, y, epochs=2, verbose=0, validation_data=(x[:50], y[:50])).history
        assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
        loss, accuracy = model.evaluate(x[:50], y[:50])
        assert history["val_loss"][-1] == loss
        assert history["val_accuracy"][-1] == accuracy

    def test_split_keeps_the_classes_shares(self):
        x = np.arange(1000, dtype="float32")[:, None]
        y = np.repeat([0, 1, 2], [900, 90, 10])
        seen = []

        def remember(y_true, y_pred):
            seen.append(y_true.numpy().copy())
            return y_pred.amax(dim=-1)

        model = eg.Sequential([layers.Dense(3)], seed=3)
        model.compile("sgd", "sparse_categorical_crossentropy", [remember], run_eagerly=True)
        model.fit(x / 1000, y, batch_size=1000, verbose=0, validation_split=0.2)
        train, held = (np.bincount(labels, minlength=3).tolist() for labels in seen)
        assert train == [720, 72, 8]
        assert held == [180, 18, 2]

    def test_split_without_shuffling_takes_the_last_rows(self, data):
        x, y = data
        model, expected = network(), network()
        history = model.fit(
            x, y, verbose=0, shuffle=False, validation_split=0.25, validation_shuffle=False
        ).history
        got = expected.fit(
            x[:152], y[:152], verbose=0, shuffle=False, validation_data=(x[152:], y[152:])
        ).history
        assert history == got

    def test_sorted_labels_are_told(self, advice):
        x, y = np.zeros((100, 2)), np.repeat([0, 1], 50)
        model = eg.Sequential([layers.Dense(2)])
        model.compile("sgd", "sparse_categorical_crossentropy")
        with advice.heard():
            model.fit(x, y, verbose=0, validation_split=0.2, validation_shuffle=False)
        assert "no class 0" in advice.text


def test_sample_and_class_weights(data):
    x, y = data
    weights = np.where(y == 1, 3.0, 1.0)
    runs = []
    for arguments in (
        {"sample_weight": weights},
        {"class_weight": {1: 3.0}},
        {"class_weight": {0: 0.5, 1: 1.5, 2: 0.5}, "sample_weight": np.full(len(y), 2.0)},
    ):
        model = network(dtype="float64")
        runs.append(model.fit(x, y, epochs=2, verbose=0, **arguments).history["loss"])
    assert runs[0] == runs[1] == runs[2]
    model = network(dropout=0.0, dtype="float64")
    model.build((None, 12))
    chance = model.predict(x)[np.arange(len(y)), y]
    expected = (-np.log(chance) * weights).mean()
    assert model.evaluate(x, y, sample_weight=weights)[0] == pytest.approx(expected, rel=1e-9)


def test_train_on_batch(data):
    x, y = data
    captured, eager = network(), network(run_eagerly=True)
    for _ in range(3):
        for rows in (slice(0, 32), slice(32, 50)):
            left = captured.train_on_batch(x[rows], y[rows], return_dict=True)
            assert left == eager.train_on_batch(x[rows], y[rows], return_dict=True)
    assert same(captured, eager)
    assert captured.test_on_batch(x, y) == pytest.approx(captured.evaluate(x, y), rel=1e-5)


def test_a_schedule_of_the_step_is_followed_in_replays(data):
    x, y = data

    def schedule(step):
        return 0.05 / (1 + step)

    captured = network(optimizer=eg.optimizers.SGD(schedule, momentum=0.9))
    eager = network(run_eagerly=True, optimizer=eg.optimizers.SGD(schedule, momentum=0.9))
    for model in (captured, eager):
        model.fit(x, y, epochs=3, verbose=0)
    assert same(captured, eager)
    assert captured.optimizer.iterations == 21


@pytest.mark.parametrize("clip", [{"clipvalue": 0.01}, {"clipnorm": 0.1}, {"global_clipnorm": 0.1}])
def test_clipping_is_captured(data, clip):
    x, y = data
    captured = network(optimizer=eg.optimizers.Adam(0.01, **clip))
    eager = network(run_eagerly=True, optimizer=eg.optimizers.Adam(0.01, **clip))
    plain = network()
    for model in (captured, eager, plain):
        model.fit(x, y, epochs=2, verbose=0)
    assert same(captured, eager)
    assert not same(captured, plain)


class Order(callbacks.Callback):
    def __init__(self, batches):
        self.told = []
        names = [name for name in dir(callbacks.Callback) if name.startswith("on_")]
        for name in names:
            if batches or "batch" not in name:
                setattr(self, name, self.remember(name))

    def remember(self, name):
        return lambda *args: self.told.append(name)


def test_callbacks_are_told_in_order(data):
    x, y = data
    order = Order(batches=True)
    network().fit(x, y, batch_size=150, verbose=0, validation_data=(x, y), callbacks=[order])
    batch = ["on_train_batch_begin", "on_train_batch_end"]
    test = ["on_test_batch_begin", "on_test_batch_end"]
    assert order.told == [
        "on_train_begin",
        "on_epoch_begin",
        *batch * 2,
        "on_test_begin",
        *test * 2,
        "on_test_end",
        "on_epoch_end",
        "on_train_end",
    ]
    order = Order(batches=True)
    network().predict(x, batch_size=150, callbacks=[order])
    predict = ["on_predict_batch_begin", "on_predict_batch_end"]
    assert order.told == ["on_predict_begin", *predict * 2, "on_predict_end"]


def test_watching_batches_changes_no_bits(data):
    x, y = data
    plain, watched = network(), network()
    plain.fit(x, y, epochs=2, verbose=0)
    seen = []
    tell = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    history = watched.fit(x, y, epochs=2, verbose=0, callbacks=[tell]).history
    assert same(plain, watched)
    assert len(seen) == 14
    assert seen[-1]["loss"] == history["loss"][-1]


def test_a_callback_may_use_the_model(data):
    x, y = data
    plain, used = network(), network()

    def use(batch, logs):
        used.evaluate(x[:10], y[:10])
        used.predict(x[:10])
        used.test_on_batch(x[:10], y[:10])

    tell = callbacks.LambdaCallback(on_train_batch_end=use)
    expected = plain.fit(x, y, epochs=2, verbose=0).history
    assert used.fit(x, y, epochs=2, verbose=0, callbacks=[tell]).history == expected
    assert same(plain, used)


def test_stop_training(data):
    x, y = data
    model = network()

    def stop(batch, logs):
        model.stop_training = batch == 2

    model.fit(x, y, verbose=0, callbacks=[callbacks.LambdaCallback(on_train_batch_end=stop)])
    assert model.optimizer.iterations == 3


@pytest.mark.parametrize(
    ("patience", "values", "stopped"),
    [(0, [1, 2, 3, 4], 1), (1, [1, 2, 3, 4], 1), (2, [1, 2, 3, 4], 2), (2, [4, 3, 2, 1], None)],
)
def test_early_stopping(patience, values, stopped):
    model = network()
    model.build((None, 2))
    stop = callbacks.EarlyStopping("value", 0.0, patience, "min", restore_best_weights=True)
    stop.set_model(model)
    stop.on_train_begin()
    model.stop_training = False
    best = None
    for epoch, value in enumerate(values):
        model.set_weights([w + 1 for w in model.get_weights()])
        if value == min(values):
            best = model.get_weights()
        stop.on_epoch_end(epoch, {"value": value})
        if model.stop_training:
            break
    stop.on_train_end()
    assert stop.stopped_epoch == stopped
    np.testing.assert_array_equal(model.get_weights()[0], best[0])


def test_early_stopping_goes_up_for_accuracies_and_names_the_figure():
    stop = callbacks.EarlyStopping("val_accuracy", patience=1)
    stop.set_model(network())
    stop.on_epoch_end(0, {"val_accuracy": 0.5})
    stop.on_epoch_end(1, {"val_accuracy": 0.6})
    assert stop.best == 0.6
    with pytest.raises(ValueError, match="pass validation_data"):
        stop.on_epoch_end(2, {"accuracy": 0.5})


def test_best_weights_come_back_after_an_exception(data):
    x, y = data
    model = network()
    stop = callbacks.EarlyStopping("loss", patience=9, restore_best_weights=True)
    kept = []

    def spoil(epoch, logs):
        if epoch == 0:
            kept.extend(model.get_weights())
            model.set_weights([w * 50 for w in model.get_weights()])
        else:
            raise OSError("disk")

    tell = callbacks.LambdaCallback(on_epoch_end=spoil)
    with pytest.raises(OSError, match="disk"):
        model.fit(x, y, epochs=5, verbose=0, callbacks=[stop, tell])
    np.testing.assert_array_equal(model.get_weights()[0], kept[0])


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_end", "on_train_batch_end"])
def test_exceptions_of_callbacks_surface_and_leave_the_model_usable(data, hook):
    x, y = data
    model = network()

    class OddError(Exception):
        pass

    def fail(*args):
        raise OddError(hook)

    with pytest.raises(OddError, match=hook):
        model.fit(x, y, verbose=0, callbacks=[callbacks.LambdaCallback(**{hook: fail})])
    assert model.fit(x, y, verbose=0).epoch == [0]


class Fails(layers.Layer):
    armed = True

    def call(self, x):
        if self.armed:
            raise ZeroDivisionError("mine")
        return x


def test_exceptions_of_layers_surface_and_change_nothing(data):
    x, y = data
    layer = Fails()
    layer.armed = False
    model = eg.Sequential(
        [layers.Dense(8, "relu"), layers.Dropout(0.5), layer, layers.Dense(3)], seed=1
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.build((None, 12))
    before = model.get_weights()
    layer.armed = True
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.fit(x, y, verbose=0)
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    layer.armed = False
    model._shuffler().draws = 0
    model.fit(x, y, verbose=0)
    other = eg.Sequential(
        [layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Flatten(), layers.Dense(3)], seed=1
    )
    other.compile("adam", "sparse_categorical_crossentropy")
    other.fit(x, y, verbose=0)
    assert same(model, other)


class TestHistory:
    def test_figures(self, data, tmp_path):
        x, y = data
        model = network()
        history = model.fit(x, y, epochs=3, verbose=0)
        assert model.history is history
        frame = history.to_pandas()
        assert list(frame.columns) == ["loss", "accuracy"]
        history.to_csv(tmp_path / "h.csv")
        lines = (tmp_path / "h.csv").read_text().splitlines()
        assert lines[0] == "epoch,loss,accuracy"
        assert lines[3] == f"2,{history.history['loss'][2]},{history.history['accuracy'][2]}"

    # The oldest matplotlib that is supported calls what newer versions of its parser deprecate.
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_plot(self, data):
        matplotlib = pytest.importorskip("matplotlib")
        matplotlib.use("Agg")
        from matplotlib import pyplot as plt

        x, y = data
        history = network().fit(x, y, epochs=3, verbose=0, validation_data=(x, y))
        axes = history.plot()
        assert [len(panel.lines) for panel in axes] == [2, 2]
        _, mine = plt.subplots()
        assert history.plot(["loss"], ax=mine) is mine
        with pytest.raises(ValueError, match="no 'los' in the history"):
            history.plot(["los"])
        plt.close("all")

    def test_csv_logger(self, data, tmp_path):
        x, y = data
        path = tmp_path / "log.csv"
        model = network()
        model.fit(x, y, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(path)])
        more = callbacks.CSVLogger(path, append=True)
        model.fit(x, y, initial_epoch=2, epochs=3, verbose=0, callbacks=[more])
        lines = path.read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["epoch", "0", "1", "2"]


class TestProgress:
    def test_a_line_an_epoch_in_logs(self, data, capsys):
        x, y = data
        network().fit(x, y, epochs=2)
        out, err = capsys.readouterr()
        assert [line.split("  ")[0] for line in out.splitlines()] == ["epoch 1/2", "epoch 2/2"]
        assert "loss" in out
        assert "accuracy" in out
        assert err == ""

    def test_silence(self, data, capsys):
        x, y = data
        model = network()
        model.fit(x, y, verbose=0)
        model.evaluate(x, y)
        model.predict(x)
        assert capsys.readouterr() == ("", "")

    def test_a_bar_on_a_terminal(self, data, capsys, monkeypatch):
        pytest.importorskip("tqdm")
        monkeypatch.setattr(_progress, "style", lambda verbose: _progress.BAR)
        x, y = data
        plain, shown = network(), network()
        plain.fit(x, y, epochs=2, verbose=0)
        shown.fit(x, y, epochs=2)
        assert same(plain, shown)
        assert "epoch 2/2 100%|" in capsys.readouterr().err

    class Bar:
        """Stands for tqdm's: notes what is drawn, at times of a clock of its own."""

        made: list["TestProgress.Bar"]
        clock = 0.0
        per_look = 1e-4

        def __init__(self, desc, total, bar_format):
            self.desc, self.total, self.n, self.postfix = desc, total, 0, ""
            self.drawn, self.is_closed = [], False
            self.made.append(self)

        def set_description_str(self, desc, refresh):
            assert not refresh
            self.desc = desc

        def set_postfix_str(self, postfix, refresh):
            assert not refresh
            self.postfix = postfix

        def refresh(self):
            self.drawn.append((TestProgress.Bar.clock, self.desc, self.n, self.postfix))

        def close(self):
            self.is_closed = True

        @classmethod
        def look(cls):
            cls.clock += cls.per_look
            return cls.clock

    @pytest.fixture
    def bars(self, monkeypatch):
        tqdm = pytest.importorskip("tqdm.auto")
        monkeypatch.setattr(tqdm, "tqdm", self.Bar)
        monkeypatch.setattr(self.Bar, "made", [], raising=False)
        monkeypatch.setattr(_progress, "style", lambda verbose: _progress.BAR)
        monkeypatch.setattr(_progress.time, "perf_counter", self.Bar.look)
        return self.Bar.made

    @pytest.mark.parametrize("per_look", [1e-5, 1e-3, 0.03, 1.0])
    @pytest.mark.parametrize("told", [[], [eg.callbacks.Callback()]])
    def test_one_bar_is_drawn_few_times_a_second(self, data, bars, monkeypatch, per_look, told):
        monkeypatch.setattr(self.Bar, "per_look", per_look)
        x, y = data
        plain, shown = network(), network()
        expected = plain.fit(x, y, epochs=200, verbose=0).history
        assert shown.fit(x, y, epochs=200, callbacks=told).history == expected
        assert same(plain, shown)
        (bar,) = bars
        times = [time for time, *_ in bar.drawn]
        # The last drawing shows where it ended, whenever that is.
        assert min(np.diff(times)[:-1], default=1.0) > 0.1
        assert (bar.n, bar.total, bar.desc, bar.is_closed) == (200, 200, "epoch 200/200", True)
        assert f"loss {expected['loss'][-1]:.4g}" in bar.postfix

    def test_a_bar_within_an_epoch_and_after_an_early_end(self, data, bars, monkeypatch):
        monkeypatch.setattr(self.Bar, "per_look", 1.0)

        class Stops(eg.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                pass

            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = epoch == 4

        x, y = data
        network().fit(x, y, batch_size=50, epochs=9, initial_epoch=3, callbacks=[Stops()])
        steps = -(-len(x) // 50)
        (bar,) = bars
        named = [(name, n) for _, name, n, _ in bar.drawn]
        assert (f"epoch 4/9 step 1/{steps}", 1 / steps) in named
        assert (f"epoch 5/9 step 2/{steps}", 1 + 2 / steps) in named
        assert (bar.n, bar.total) == (2, 2)

    def test_a_bar_is_closed_after_an_exception(self, data, bars):
        def fail(epoch, logs):
            raise KeyError("on purpose")

        x, y = data
        with pytest.raises(KeyError, match="on purpose"):
            network().fit(
                x, y, epochs=9, callbacks=[eg.callbacks.LambdaCallback(on_epoch_end=fail)]
            )
        (bar,) = bars
        assert (bar.n, bar.total, bar.is_closed) == (1, 9, True)

    @pytest.mark.parametrize("per_look", [1e-5, 1.0])
    def test_lines_of_epochs_that_are_run_at_once(self, data, capsys, monkeypatch, per_look):
        monkeypatch.setattr(self.Bar, "per_look", per_look)
        monkeypatch.setattr(_progress.time, "perf_counter", self.Bar.look)
        x, y = data
        model = network()
        history = model.fit(x, y, epochs=50, verbose=2).history
        lines = capsys.readouterr().out.splitlines()
        for epoch, line in enumerate(lines):
            assert line.startswith(f"epoch {epoch + 1}/50  ")
            assert f"loss {history['loss'][epoch]:.4g}" in line
        assert len(lines) == 50

    def test_evaluate_prints_a_line_when_asked(self, data, capsys):
        x, y = data
        network().evaluate(x, y, verbose=2)
        assert capsys.readouterr().out.startswith("loss ")


def run_python(program, **settings):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


INTERRUPTED = """
import numpy as np, sys, time
import evengrad as eg
rng = np.random.default_rng(0)
x, y = rng.normal(size=(20000, 200)).astype("float32"), rng.integers(0, 9, 20000)
def make():
    layers = [eg.layers.Dense(300, "relu"), eg.layers.Dropout(0.2), eg.layers.Dense(9)]
    model = eg.Sequential(layers, seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=EAGER)
    return model
model = make()
told = eg.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: print("epoch", flush=True))
try:
    model.fit(x, y, epochs=10000, batch_size=100, verbose=0, callbacks=[told])
except KeyboardInterrupt:
    steps = model.optimizer.iterations
    print("interrupted", len(model.history.epoch), steps, flush=True)
    again = make()
    whole, rest = divmod(steps, 200)
    again.fit(x, y, epochs=whole, batch_size=100, verbose=0)
    order = np.asarray(again._shuffler().permutation(20000))
    for i in range(rest):
        rows = order[i * 100 : i * 100 + 100]
        again.train_on_batch(x[rows], y[rows])
    same = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights()))
    print("whole", same, len(model.history.epoch) in (whole, whole - 1), flush=True)
    model.fit(x[:500], y[:500], verbose=0)
    print("usable", flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("eager", [False, True])
def test_ctrl_c(eager):
    child = run_python(INTERRUPTED.replace("EAGER", str(eager)))
    assert child.stdout.readline() == "epoch\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    started = time.monotonic()
    for line in child.stdout:
        if line.startswith("interrupted"):
            break
    assert time.monotonic() - started < 1.0
    rest = child.communicate(timeout=120)
    assert rest[0] == "whole True True\nusable\n", rest[1]


FORKED = """
import os
import numpy as np
import evengrad as eg
eg.set_num_threads(2)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(600, 300)).astype("float32"), rng.integers(0, 9, 600)
def train():
    model = eg.Sequential([eg.layers.Dense(400, "relu"), eg.layers.Dense(9)], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=2, batch_size=200, verbose=0)
    return model
before = train()
child = os.fork()
if child == 0:
    after = train()
    before.fit(x, y, batch_size=200, verbose=0)
    same = all(np.array_equal(a, b) for a, b in zip(after.get_weights(), train().get_weights()))
    os._exit(0 if same else 3)
expected = train()
status = os.waitpid(child, 0)[1]
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_trains():
    # Python 3.12 warns of forks in processes with threads; that is what is under test.
    program = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORKED
    out, err = run_python(program).communicate(timeout=120)
    assert out == "0\n", err


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_does_not_grow_over_steps(data):
    x, y = data
    x, y = x[:64], y[:64]
    model = network()
    eager = network(run_eagerly=True)

    def work(epochs):
        model.fit(x, y, batch_size=16, epochs=10 * epochs, verbose=0, validation_data=(x, y))
        for _ in range(5):
            model.fit(x, y, verbose=0)
            model.train_on_batch(x, y)
            model.predict(x)
        eager.fit(x, y, batch_size=16, epochs=epochs, verbose=0)

    work(20)
    before = resident_bytes()
    work(500)
    assert model.optimizer.iterations > 20_000
    assert resident_bytes() - before < 4e6


def test_training_in_several_threads(data):
    x, y = data
    expected = network()
    expected.fit(x, y, epochs=3, verbose=0)
    models = [network() for _ in range(4)]
    workers = [
        threading.Thread(target=model.fit, args=(x, y), kwargs={"epochs": 3, "verbose": 0})
        for model in models
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(same(model, expected) for model in models)


def test_data_is_never_changed_nor_kept(data):
    x, y = data
    model = network()
    model.build((None, 12))
    kept = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    model.fit(x, y, verbose=0, validation_split=0.1)
    model.evaluate(x, y)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])
    strided, other = network(), network()
    wide = np.zeros((203, 24), "float64")
    wide[:, ::2] = x
    strided.fit(wide[:, ::2], y, verbose=0)
    other.fit(x, y, verbose=0)
    assert same(strided, other)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint16", "int64", "bool"])
def test_any_dtype_that_converts(dtype):
    x = (np.random.default_rng(0).uniform(0, 9, (40, 4)) > 4).astype(dtype)
    y = np.arange(40) % 3
    left, right = network(), network()
    left.fit(x, y.astype("uint8"), verbose=0)
    right.fit(x.astype("float32"), y.astype("float64")[:, None], verbose=0)
    assert same(left, right)


def test_pandas(data):
    pandas = pytest.importorskip("pandas")
    x, y = data
    left, right = network(), network()
    frame = pandas.DataFrame(x, columns=[f"c{i}" for i in range(12)])
    left.fit(frame, pandas.Series(y), verbose=0)
    right.fit(x, y, verbose=0)
    assert same(left, right)
