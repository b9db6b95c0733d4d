"""Checkpoints and resume: the same bits as without interruption, whatever happened in between."""

# ruff: noqa: ARG002, ARG005 - functions have the signatures that they are called with

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoint_checks import StopAt, X, bits, net, run

import evengrad as eg
from evengrad import callbacks, layers, metrics, optimizers

SCRIPT = Path(__file__).resolve().parents[1] / "helpers" / "interrupted_training.py"


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


def test_a_metric_is_kept_as_far_as_it_is_filled(tmp_path):
    def scored():
        model = net()
        model.compile(
            "sgd", "sparse_categorical_crossentropy", ["accuracy", metrics.AUC(average="macro")]
        )
        return model

    whole = scored()
    expected = bits(whole, run(whole))
    with pytest.raises(KeyboardInterrupt):
        run(scored(), checkpoint=tmp_path, checkpoint_every="3 steps", callbacks=[StopAt(18)])
    # Of the room of the scores, three megabytes, what the steps of the epoch have filled.
    assert max(file.stat().st_size for file in tmp_path.iterdir()) < 60_000
    again = scored()
    assert bits(again, run(again, checkpoint=tmp_path, checkpoint_every="3 steps")) == expected


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
    monkeypatch.setattr("evengrad.training._data.RESIDENT_BYTES", 0)
    monkeypatch.setattr("evengrad.training._data.PIECE_BYTES", 500)
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
