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


# ---- files


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
