"""Signals in a training with checkpoints: it ends at a whole step, then they take effect."""

# ruff: noqa: ARG001, ARG002, ARG005 - functions have the signatures that they are called with

import os
import signal
import threading

import numpy as np
import pytest
from checkpoint_checks import X, Y, bits, net, run

from evengrad import callbacks, optimizers


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
