"""Checkpoints and resume: the same bits as without interruption, whatever happened in between."""

# ruff: noqa: ARG001, ARG002, ARG005 - functions have the signatures that they are called with

import logging
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers, optimizers

SCRIPT = Path(__file__).resolve().parents[1] / "helpers" / "interrupted_training.py"
pytestmark = pytest.mark.filterwarnings("error")

X = np.random.default_rng(1).normal(size=(50, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


def net(seed=5, units=8, activation="relu", optimizer=None, *, built=True):
    begin = [eg.Input((4,))] if built else []
    model = eg.Sequential(
        [*begin, layers.Dense(units, activation), layers.Dropout(0.4), layers.Dense(2)], seed=seed
    )
    model.compile(optimizer or optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    return model


def run(model, epochs=4, x=X, y=Y, **given):
    given = {"batch_size": 8, "verbose": 0, **given}
    return model.fit(x, y, epochs=epochs, **given)


def bits(model, history):
    return [w.tobytes() for w in model.get_weights()], history.epoch, history.history


class StopAt(callbacks.Callback):
    """End the process's training with an exception in the middle of an epoch."""

    def __init__(self, step, error=KeyboardInterrupt):
        self.left = step
        self.error = error

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise self.error


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
@pytest.mark.parametrize(
    ("name", "count", "ways"),
    [("SIGKILL", 50, {-9, 0}), ("SIGTERM", 15, {-15, 0}), ("SIGINT", 15, {3, 0})],
)
def test_an_interrupted_training_comes_to_the_same_bits(tmp_path, name, count, ways):
    command = [sys.executable, SCRIPT, tmp_path, name, str(count), "7"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=250)
    words = done.stdout.split()
    assert words[:2] == ["same", str(count)], done.stdout + done.stderr
    seen = re.findall(r"-?[0-9]+", done.stdout[done.stdout.index("[") : done.stdout.index("]")])
    assert set(map(int, seen)) <= ways, done.stdout + done.stderr


@pytest.mark.parametrize("every", ["epoch", "2 epochs", "3 steps", "7 steps", "0.001 s"])
def test_a_training_goes_on_from_its_newest_checkpoint(tmp_path, every):
    whole = net()
    expected = bits(whole, run(whole))
    with pytest.raises(KeyboardInterrupt):
        run(net(), checkpoint=tmp_path, checkpoint_every=every, callbacks=[StopAt(17)])
    again = net()
    assert bits(again, run(again, checkpoint=tmp_path, checkpoint_every=every)) == expected


def test_a_model_without_seed_goes_on_with_that_of_the_first_start(tmp_path):
    first = net(None)
    begun = first.get_weights()
    with pytest.raises(KeyboardInterrupt):
        run(first, checkpoint=tmp_path, callbacks=[StopAt(3)], validation_split=0.2)
    second = net(None)
    run(second, checkpoint=tmp_path, validation_split=0.2)
    third = net(None)
    third.set_weights(begun)
    assert sorted(os.listdir(tmp_path)) == [
        "checkpoint-000003-00000000.safetensors",
        "checkpoint-000004-00000000.safetensors",
    ]


def test_epochs_may_grow_and_a_finished_training_does_nothing(tmp_path):
    whole = net()
    expected = bits(whole, run(whole, 6))
    first = net()
    run(first, 3, checkpoint=tmp_path)
    same = net()
    history = run(same, 3, checkpoint=tmp_path)
    assert bits(same, history) == bits(first, first.history)
    more = net()
    assert bits(more, run(more, 6, checkpoint=tmp_path)) == expected


def test_a_training_that_stopped_early_stays_stopped(tmp_path):
    def stop():
        return callbacks.EarlyStopping("loss", min_delta=10.0, patience=2)

    first = net()
    history = run(first, 20, checkpoint=tmp_path, callbacks=[stop()])
    assert len(history.epoch) == 3
    again = net()
    assert bits(again, run(again, 20, checkpoint=tmp_path, callbacks=[stop()])) == bits(
        first, history
    )


def test_averages_of_weights_are_swapped_in_at_the_end_once(tmp_path):
    def made():
        return net(optimizer=optimizers.SGD(0.1, momentum=0.9, use_ema=True, ema_momentum=0.8))

    whole = made()
    expected = bits(whole, run(whole, 5))
    first = made()
    run(first, 2, checkpoint=tmp_path)
    again = made()
    assert bits(again, run(again, 5, checkpoint=tmp_path)) == expected


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda: (net(units=9), {}), "dense"),
        (lambda: (net(activation="tanh"), {}), "tanh"),
        (lambda: (net(seed=6), {}), "seed"),
        (lambda: (net(optimizer=optimizers.SGD(0.01)), {}), "optimizer"),
        (lambda: (net(optimizer=optimizers.Adam(0.02)), {}), "learning_rate"),
        (lambda: (net(), {"x": X[:-1], "y": Y[:-1]}), "x: now shape"),
        (lambda: (net(), {"x": X + 1}), "values"),
        (lambda: (net(), {"y": Y[::-1]}), "y: now"),
        (lambda: (net(), {"batch_size": 10}), "batch_size"),
        (lambda: (net(), {"shuffle": False}), "shuffle"),
        (lambda: (net(), {"class_weight": {1: 2.0}}), "class_weight"),
        (lambda: (net(), {"callbacks": callbacks.EarlyStopping("loss")}), "EarlyStopping"),
        (lambda: (net(), {"validation_split": 0.5}), "validation"),
    ],
)
def test_another_training_is_refused_by_what_differs(tmp_path, change, named):
    run(net(), 1, checkpoint=tmp_path)
    model, given = change()
    before = model.get_weights()
    with pytest.raises(ValueError, match=named):
        run(model, 2, checkpoint=tmp_path, **given)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    run(model, 1, checkpoint=tmp_path, resume=False, **given)


def test_another_loss_is_refused(tmp_path):
    run(net(), 1, checkpoint=tmp_path)
    model = net()
    model.compile(optimizers.Adam(0.01), eg.losses.SparseCategoricalCrossentropy())
    with pytest.raises(ValueError, match="loss"):
        run(model, 2, checkpoint=tmp_path)


def test_what_has_no_state_may_change(tmp_path, capsys):
    run(net(), 1, checkpoint=tmp_path)
    tell = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    run(net(), 2, checkpoint=tmp_path, callbacks=[tell], verbose=2)
    assert "epoch 2/2" in capsys.readouterr().out


def test_a_rate_that_a_callback_cut_is_no_other_optimizer(tmp_path):
    def cut():
        return callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=10.0)

    whole = net()
    expected = bits(whole, run(whole, 6, callbacks=[cut()]))
    model = net()
    run(model, 3, checkpoint=tmp_path, callbacks=[cut()])
    assert model.optimizer.learning_rate < 0.01
    # The optimizer has the rate of the end, that of the checkpoint the one of the start.
    assert bits(model, run(model, 6, checkpoint=tmp_path, callbacks=[cut()])) == expected
    assert len(os.listdir(tmp_path)) == 2


def test_a_scheduler_is_not_asked_twice_for_an_epoch(tmp_path):
    def halve():
        return callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)

    whole = net()
    expected = bits(whole, run(whole, callbacks=[halve()]))
    with pytest.raises(KeyboardInterrupt):
        run(
            net(),
            checkpoint=tmp_path,
            checkpoint_every="2 steps",
            callbacks=[halve(), StopAt(10)],
        )
    again = net()
    again_history = run(again, checkpoint=tmp_path, checkpoint_every="2 steps", callbacks=[halve()])
    assert bits(again, again_history) == expected


def test_data_that_comes_piece_by_piece(tmp_path, monkeypatch):
    whole = net()
    expected = bits(whole, run(whole))
    monkeypatch.setattr("evengrad.training._resident_data.RESIDENT_BYTES", 0)
    monkeypatch.setattr("evengrad.training._resident_data.PIECE_BYTES", 500)
    keep = {"checkpoint": tmp_path, "checkpoint_every": "2 steps"}
    with pytest.raises(KeyboardInterrupt):
        run(net(), callbacks=[StopAt(18)], **keep)
    again = net()
    assert bits(again, run(again, **keep)) == expected


def test_a_training_in_python_too(tmp_path):
    def made():
        model = net()
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", run_eagerly=True)
        return model

    whole = made()
    expected = bits(whole, run(whole))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "3 steps"}
    with pytest.raises(KeyboardInterrupt):
        run(made(), callbacks=[StopAt(10)], **keep)
    again = made()
    assert bits(again, run(again, **keep)) == expected


def test_lines_of_a_csv_file_are_those_of_one_training(tmp_path):
    run(net(), 5, callbacks=[callbacks.CSVLogger(tmp_path / "whole.csv")])

    class Die(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def log():
        return callbacks.CSVLogger(tmp_path / "log.csv")

    with pytest.raises(KeyboardInterrupt):
        run(net(), 5, checkpoint=tmp_path / "ck", callbacks=[log(), Die()])
    # The third line is in the file, and its epoch is not in the checkpoint.
    run(net(), 5, checkpoint=tmp_path / "ck", callbacks=[log()])
    assert (tmp_path / "log.csv").read_text() == (tmp_path / "whole.csv").read_text()


class Remembers(callbacks.Callback):
    """A callback whose state has all that a file can keep."""

    def __init__(self):
        self.state = {"epochs": 0}

    def on_epoch_end(self, epoch, logs=None):
        self.state = {
            "epochs": self.state["epochs"] + 1,
            "list": [1, 2.5, None, True, "text"],
            "tuple": (1, (2, float("nan"))),
            "infinite": float("-inf"),
            "large": 2**100,
            "numpy": [np.float32(0.1), np.int64(3)],
            "arrays": {
                kind: np.arange(3).astype(kind)
                for kind in (
                    "float16",
                    "float32",
                    "float64",
                    "int8",
                    "uint8",
                    "int32",
                    "uint64",
                    "bool",
                )
            },
        }

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def test_what_a_callback_remembers_comes_back_as_it_was(tmp_path):
    first, again = Remembers(), Remembers()
    run(net(), 2, checkpoint=tmp_path, callbacks=[first])
    run(net(), 2, checkpoint=tmp_path, callbacks=[again])
    assert again.state["epochs"] == 2
    kept = again.state.pop("arrays")
    given = first.state.pop("arrays")
    assert all(kept[k].dtype == v.dtype and np.array_equal(kept[k], v) for k, v in given.items())
    first.state["numpy"] = [float(np.float32(0.1)), 3]
    assert repr(again.state) == repr(first.state)


@pytest.mark.parametrize("state", [{"a": object()}, {1: 2}, {"$a": 1}, {"a": np.array(["x"])}])
def test_what_no_file_can_keep_is_refused(tmp_path, state):
    stateful = Remembers()
    stateful.state_dict = lambda: state
    with pytest.raises(TypeError, match="callback"):
        run(net(), 1, checkpoint=tmp_path, callbacks=[stateful])


def test_a_model_without_seed_comes_to_the_same_bits(tmp_path):
    first = net(None)
    expected = bits(first, run(first, 3, checkpoint=tmp_path, keep=9))
    for path in sorted(tmp_path.iterdir())[2:]:
        path.unlink()
    again = net(None)
    assert bits(again, run(again, 3, checkpoint=tmp_path)) == expected


def test_a_refused_resume_leaves_the_seed(tmp_path):
    run(net(None), 1, checkpoint=tmp_path)
    model = net(None)
    before = model._seed()
    with pytest.raises(ValueError, match="batch_size"):
        run(model, 2, checkpoint=tmp_path, batch_size=10)
    assert model._seed() == before


class Freezes(callbacks.Callback):
    """Freeze or thaw the first layer at an epoch's beginning."""

    def __init__(self, flag):
        self.flag = flag

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.model.layers[0].trainable = self.flag


@pytest.mark.parametrize("thaws", [False, True])
def test_what_a_callback_freezes_stays_frozen(tmp_path, thaws):
    def made():
        model = net()
        model.layers[0].trainable = not thaws
        return model

    whole = made()
    expected = bits(whole, run(whole, 5, callbacks=[Freezes(thaws)]))
    first = made()
    run(first, 3, checkpoint=tmp_path, callbacks=[Freezes(thaws)])
    again = made()
    assert bits(again, run(again, 4, checkpoint=tmp_path, callbacks=[Freezes(thaws)]))
    # In the same process the layer is as the callback has left it.
    assert bits(first, run(first, 5, checkpoint=tmp_path, callbacks=[Freezes(thaws)])) == expected


def test_a_stop_may_be_any_truth_value(tmp_path):
    class Stops(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            self.model.stop_training = np.isfinite(logs["loss"])

    assert run(net(), 3, checkpoint=tmp_path, callbacks=[Stops()]).epoch == [0]
    assert run(net(), 3, checkpoint=tmp_path, callbacks=[Stops()]).epoch == [0]


def test_a_state_may_be_made_when_training_begins(tmp_path):
    class Begins(callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.seen = np.zeros(9)

        def on_epoch_end(self, epoch, logs):
            self.seen[epoch] = logs["loss"]

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    run(net(), 1, checkpoint=tmp_path, callbacks=[Begins()])
    last = Begins()
    history = run(net(), 3, checkpoint=tmp_path, callbacks=[last])
    assert last.seen[:3].tolist() == history.history["loss"]


def test_an_epoch_whose_loss_is_no_number_ends_as_it_would_have(tmp_path):
    class Dies(callbacks.Callback):
        def on_test_begin(self, logs=None):
            raise KeyboardInterrupt

    def train(each, **keep):
        model = eg.Sequential([eg.Input((4,)), layers.Dense(1)], seed=5)
        model.compile(optimizers.SGD(1e30), "mse")
        y = X[:, :1]
        return model.fit(
            X, y, 8, 3, 0, [callbacks.TerminateOnNaN(), *each], validation_data=(X, y), **keep
        )

    keep = {"checkpoint": tmp_path, "checkpoint_every": "1 steps"}
    with pytest.raises(KeyboardInterrupt):
        train([Dies()], **keep)
    assert train([], **keep).epoch == train([]).epoch == [0]


def test_who_watches_the_loss_may_come_later(tmp_path):
    whole = net()
    expected = bits(whole, run(whole))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "2 steps"}
    with pytest.raises(KeyboardInterrupt):
        run(net(), callbacks=[StopAt(5)], **keep)
    again = net()
    assert bits(again, run(again, callbacks=[callbacks.TerminateOnNaN()], **keep)) == expected


def test_an_end_is_heard_once_and_the_signal_after_an_exception(tmp_path):
    heard, ends = [], []

    class Fails(callbacks.Callback):
        def __init__(self, error):
            self.error = error

        def on_train_end(self, logs=None):
            ends.append(logs)

        def on_train_batch_begin(self, batch, logs=None):
            if batch == 3:
                os.kill(os.getpid(), signal.SIGTERM)
                if self.error:
                    raise self.error

    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        run(net(), checkpoint=tmp_path, callbacks=[Fails(None)])
        with pytest.raises(ValueError, match="on purpose"):
            run(
                net(),
                checkpoint=tmp_path,
                resume=False,
                callbacks=[Fails(ValueError("on purpose"))],
            )
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (len(heard), len(ends)) == (2, 2)


class Numbered:
    """Batches that follow from their numbers; the process is signalled while one is fetched."""

    def __init__(self, kills=False):
        self.at, self.kills = 0, kills

    def __iter__(self):
        return self

    def __next__(self):
        self.at += 1
        if self.kills and self.at == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        rows = np.random.default_rng(self.at).integers(0, 50, 8)
        return X[rows], Y[rows]

    def state_dict(self):
        return vars(self)

    def load_state_dict(self, state):
        self.at = state["at"]


class SeesBatches(callbacks.Callback):
    """Note the batches; the process is signalled where one begins."""

    def __init__(self, kills=False):
        self.seen, self.kills = [], kills

    def on_train_batch_begin(self, batch, logs=None):
        if self.kills and len(self.seen) == 7:
            self.kills = False
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(batch)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


@pytest.mark.parametrize("where", ["fetch", "hook"])
def test_a_signal_costs_no_batch_and_brings_none(tmp_path, where):
    def train(stream, sees, **keep):
        model = net()
        history = model.fit(
            stream, steps_per_epoch=5, epochs=3, verbose=0, callbacks=[sees], **keep
        )
        return bits(model, history), sees.seen

    expected = train(Numbered(), SeesBatches())
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        train(Numbered(where == "fetch"), SeesBatches(where == "hook"), checkpoint=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert train(Numbered(), SeesBatches(), checkpoint=tmp_path) == expected


def test_an_iterable_that_shuffles_by_itself_is_begun_once(tmp_path):
    class Shuffles:
        def __init__(self):
            self.rng = np.random.default_rng(3)

        def __iter__(self):
            order = self.rng.permutation(48)
            for at in range(0, 48, 8):
                yield X[order[at : at + 8]], Y[order[at : at + 8]]

    plain, kept = net(), net()
    expected = bits(plain, plain.fit(Shuffles(), epochs=3, verbose=0))
    assert bits(kept, kept.fit(Shuffles(), epochs=3, verbose=0, checkpoint=tmp_path)) == expected


@pytest.mark.parametrize("swapped", [False, True])
def test_graphs_that_are_wired_otherwise_are_other_models(tmp_path, swapped):
    def made(swap):
        a, b = layers.Dense(4, name="a"), layers.Dense(4, name="b")
        x = eg.Input((4,))
        first, second = (b, a) if swap else (a, b)
        model = eg.Model(x, layers.Dense(2, name="c")(second(first(x))), seed=1)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    run(made(False), 1, checkpoint=tmp_path)
    if not swapped:
        run(made(False), 2, checkpoint=tmp_path)
        return
    with pytest.raises(ValueError, match="graph"):
        run(made(True), 2, checkpoint=tmp_path)


@pytest.mark.parametrize("folder", ["ck", "deep/ck"])
def test_a_relative_folder_stays_where_it_is(tmp_path, monkeypatch, folder):
    class Moves(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            elsewhere = tmp_path / f"elsewhere{epoch}"
            elsewhere.mkdir()
            os.chdir(elsewhere)

    monkeypatch.chdir(tmp_path)
    run(net(), 3, checkpoint=folder, callbacks=[Moves()])
    assert len(list((tmp_path / folder).iterdir())) == 2


# ---- files


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / "checkpoint-000001-00000000.safetensors.0a1b2c3d.tmp"
    left.write_bytes(b"half")
    run(net(), 1, checkpoint=tmp_path)
    assert not left.exists()


def test_what_cannot_be_read_is_passed_over(tmp_path):
    run(net(), 2, checkpoint=tmp_path)
    (tmp_path / "checkpoint-000009-00000000.safetensors").mkdir()
    assert run(net(), 3, checkpoint=tmp_path).epoch == [0, 1, 2]


def damage(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_newest_file_is_named_and_the_one_before_is_taken(tmp_path, caplog):
    whole = net()
    expected = bits(whole, run(whole, 5))
    run(net(), 3, checkpoint=tmp_path)
    damage(tmp_path / "checkpoint-000003-00000000.safetensors")
    again = net()
    with caplog.at_level(logging.WARNING, "evengrad"):
        assert bits(again, run(again, 5, checkpoint=tmp_path)) == expected
    assert "checkpoint-000003-00000000.safetensors" in caplog.text


@pytest.mark.parametrize("resume", [True, "auto"])
def test_all_files_damaged_is_an_error(tmp_path, resume):
    run(net(), 3, checkpoint=tmp_path)
    for path in tmp_path.iterdir():
        damage(path)
    with pytest.raises(eg.FileFormatError, match="resume=False"):
        run(net(), 5, checkpoint=tmp_path, resume=resume)
    run(net(), 1, checkpoint=tmp_path, resume=False)
    run(net(), 2, checkpoint=tmp_path, resume=True)


def test_a_cut_off_file_is_damaged(tmp_path):
    run(net(), 1, checkpoint=tmp_path, keep=1)
    (path,) = tmp_path.iterdir()
    for size in (0, 7, 100, path.stat().st_size - 1):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(eg.FileFormatError):
            run(net(), 2, checkpoint=tmp_path)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_so_many_files_stay(tmp_path, keep):
    folder = tmp_path / "made" / "anew"
    run(net(), 6, checkpoint=folder, keep=keep)
    assert len(list(folder.iterdir())) == keep


def test_resume_true_wants_a_checkpoint_and_false_replaces(tmp_path):
    with pytest.raises(FileNotFoundError, match="resume"):
        run(net(), checkpoint=tmp_path, resume=True)
    run(net(), 9, checkpoint=tmp_path)
    fresh = net()
    history = run(fresh, 2, checkpoint=tmp_path, resume=False)
    assert history.epoch == [0, 1]
    whole = net()
    assert bits(fresh, history) == bits(whole, run(whole, 2))
    assert max(path.name for path in tmp_path.iterdir()).startswith("checkpoint-000002")


def test_a_full_disk_is_told_and_the_older_checkpoint_loads(tmp_path, caplog):
    whole = net()
    expected = bits(whole, run(whole, 5))

    class FillDisk(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with caplog.at_level(logging.ERROR, "evengrad"):
            model = net()
            history = run(model, 5, checkpoint=tmp_path, callbacks=[FillDisk()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert bits(model, history) == expected
    assert "no checkpoint could be written" in caplog.text
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint-000001-00000000.safetensors",
        "checkpoint-000002-00000000.safetensors",
    ]
    again = net()
    assert bits(again, run(again, 5, checkpoint=tmp_path)) == expected


# ---- arguments


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"checkpoint_every": "epochs of 3"}, "checkpoint_every"),
        ({"checkpoint_every": 3}, "checkpoint_every"),
        ({"checkpoint_every": "0 steps"}, "checkpoint_every"),
        ({"checkpoint_every": "1.5 steps"}, "checkpoint_every"),
        ({"keep": 0}, "keep"),
        ({"resume": "yes"}, "resume"),
    ],
)
def test_arguments_are_checked_first(tmp_path, given, error):
    with pytest.raises(ValueError, match=error):
        run(net(), checkpoint=tmp_path / "ck", **given)
    assert not (tmp_path / "ck").exists()


def test_resume_without_a_folder_is_an_error():
    with pytest.raises(ValueError, match="checkpoint"):
        run(net(), resume=True)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ValueError, match="folder"):
        run(net(), checkpoint=path)


# ---- signals


def test_a_handler_of_the_user_s_runs_after_the_checkpoint(tmp_path):
    heard = []

    class Terminate(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    def handle(number, frame):
        heard.append((number, sorted(p.name for p in tmp_path.iterdir())))

    before = signal.signal(signal.SIGTERM, handle)
    try:
        run(net(), checkpoint=tmp_path, callbacks=[Terminate()])
        assert signal.getsignal(signal.SIGTERM) is handle
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [
        (
            signal.SIGTERM,
            [
                "checkpoint-000000-00000000.safetensors",
                "checkpoint-000000-00000004.safetensors",
            ],
        )
    ]
    whole, again = net(), net()
    assert bits(again, run(again, checkpoint=tmp_path)) == bits(whole, run(whole))


def test_a_signal_while_a_schedule_is_asked_costs_no_order(tmp_path):
    def made(hears=None):
        def schedule(step):
            if hears is not None and step == 7:
                os.kill(os.getpid(), signal.SIGTERM)
            return 0.1 / (step + 1)

        return net(optimizer=optimizers.SGD(schedule))

    whole = made()
    expected = bits(whole, run(whole))
    keep = {"checkpoint": tmp_path, "callbacks": callbacks.Callback()}
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        run(made(hears=True), **keep)
    finally:
        signal.signal(signal.SIGTERM, before)
    again = made()
    assert bits(again, run(again, **keep)) == expected


def test_without_checkpoints_signals_are_left_alone():
    seen = []

    class Look(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    run(net(), 1, callbacks=[Look()])
    assert seen == [before]


def test_other_threads_keep_checkpoints_without_signals(tmp_path):
    thread = threading.Thread(target=lambda: run(net(), 2, checkpoint=tmp_path))
    thread.start()
    thread.join()
    assert len(list(tmp_path.iterdir())) == 2


# ---- iterables of batches


class Loader:
    """Batches in an order of their own that is part of the state."""

    def __init__(self, with_state):
        self.rng = np.random.default_rng(4)
        self.at, self.order = 0, None
        if with_state:
            self.state_dict = lambda: {
                "rng": {k: v for k, v in self.rng.bit_generator.state.items() if k != "state"}
                | {"inner": {k: str(v) for k, v in self.rng.bit_generator.state["state"].items()}},
                "at": self.at,
                "order": self.order,
            }
            self.load_state_dict = self.take_over

    def take_over(self, state):
        rng = dict(state["rng"])
        inner = {k: int(v) for k, v in rng.pop("inner").items()}
        self.rng.bit_generator.state = {**rng, "state": inner}
        self.at, self.order = state["at"], state["order"]

    def __len__(self):
        return 6

    def __iter__(self):
        if self.order is None:
            self.order = self.rng.permutation(48)
        while self.at < 6:
            rows = self.order[self.at * 8 : self.at * 8 + 8]
            self.at += 1
            yield X[rows], Y[rows]
        self.at, self.order = 0, None


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("stop", [9, 12, 15])
def test_iterables_with_state_go_on_by_it(tmp_path, built, stop):
    whole = net(built=built)
    expected = bits(whole, whole.fit(Loader(True), epochs=4, verbose=0))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "3 steps"}
    with pytest.raises(KeyboardInterrupt):
        net(built=built).fit(Loader(True), epochs=4, verbose=0, callbacks=[StopAt(stop)], **keep)
    again = net(built=built)
    assert bits(again, again.fit(Loader(True), epochs=4, verbose=0, **keep)) == expected


def stream():
    rng = np.random.default_rng(8)
    while True:
        rows = rng.integers(0, 50, 8)
        yield X[rows], Y[rows]


def test_iterators_go_on_by_skipping_which_is_said(tmp_path, caplog):
    whole = net()
    expected = bits(whole, whole.fit(stream(), epochs=4, steps_per_epoch=5, verbose=0))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "2 steps"}
    with pytest.raises(KeyboardInterrupt):
        net().fit(stream(), epochs=4, steps_per_epoch=5, verbose=0, callbacks=[StopAt(13)], **keep)
    again = net()
    with caplog.at_level(logging.INFO, "evengrad"):
        history = again.fit(stream(), epochs=4, steps_per_epoch=5, verbose=0, **keep)
    assert bits(again, history) == expected
    assert "skipping 12 batches" in caplog.text


def test_a_list_like_of_batches_goes_on_within_an_epoch(tmp_path):
    class Batches:
        def __iter__(self):
            return iter([(X[i : i + 8], Y[i : i + 8]) for i in range(0, 48, 8)])

    whole = net()
    expected = bits(whole, whole.fit(Batches(), epochs=3, verbose=0))
    keep = {"checkpoint": tmp_path, "checkpoint_every": "4 steps"}
    with pytest.raises(KeyboardInterrupt):
        net().fit(Batches(), epochs=3, verbose=0, callbacks=[StopAt(11)], **keep)
    again = net()
    assert bits(again, again.fit(Batches(), epochs=3, verbose=0, **keep)) == expected
