"""Signals in a training with checkpoints: it ends at a whole step, then they take effect."""

# ruff: noqa: ARG001, ARG002, ARG005 - functions have the signatures that they are called with

import os
import signal
import threading

import numpy as np
import pytest
from checkpoint_checks import X, Y, bits, net, run

import evengrad as eg
from evengrad import callbacks, layers, metrics, optimizers


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


class InValidation(callbacks.Callback):
    """Count the batches of validations; the process is signalled in one."""

    def __init__(self, kills=None):
        self.seen, self.epochs, self.kills = 0, 0, kills

    def on_test_begin(self, logs=None):
        self.epochs += 1

    def on_test_batch_end(self, batch, logs=None):
        self.seen += 1
        if (self.epochs - 1, batch) == self.kills:
            os.kill(os.getpid(), signal.SIGTERM)

    def state_dict(self):
        return {"seen": self.seen, "epochs": self.epochs}

    def load_state_dict(self, state):
        self.seen, self.epochs = state["seen"], state["epochs"]


class NumberedRows(Numbered):
    """Batches of an iterator without a state."""

    state_dict = property()
    load_state_dict = property()


def drawn():
    """Make a model that draws, and moves statistics, in validation too."""
    x = eg.Input((4,))
    h = layers.Dropout(0.3)(layers.Dense(8, "relu")(x), training=True)
    h = layers.BatchNormalization()(h, training=True)
    model = eg.Model(x, layers.Dense(2)(h), seed=5)
    optimizer = optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5)
    tracked = [metrics.SparseCategoricalAccuracy(), metrics.AUC()]
    model.compile(optimizer, "sparse_categorical_crossentropy", tracked)
    return model


@pytest.mark.parametrize("validation", ["arrays", "iterable with state", "iterable"])
@pytest.mark.parametrize("kills", [(0, 0), (1, 2), (2, 4)])
def test_a_signal_ends_a_validation_which_is_run_anew(tmp_path, validation, kills):
    def train(kills=None, **keep):
        data = {
            "arrays": lambda: (X[:33], Y[:33]),
            "iterable with state": Numbered,
            "iterable": NumberedRows,
        }[validation]()
        model, counts = drawn(), InValidation(kills)
        keep.update(validation_steps=5, callbacks=[callbacks.SwapEMAWeights(), counts])
        history = run(model, 3, validation_data=data, **keep)
        return (*bits(model, history), counts.seen), counts

    expected = train()[0]
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        counts = train(kills, checkpoint=tmp_path)[1]
    finally:
        signal.signal(signal.SIGTERM, before)
    # No batch more than the one of the signal, and no step of the epoch lost.
    epoch, batch = kills
    assert counts.seen == 5 * epoch + batch + 1
    last = batch == 4
    name = f"checkpoint-{epoch + last:06d}-{0 if last else 7:08d}.safetensors"
    assert max(path.name for path in tmp_path.iterdir()) == name
    assert train(checkpoint=tmp_path)[0] == expected


def test_a_signal_in_an_epoch_s_last_step_leaves_the_validation_for_later(tmp_path):
    class InLastStep(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 6:
                os.kill(os.getpid(), signal.SIGTERM)

    data, plain = {"validation_data": (X, Y)}, callbacks.Callback()
    whole, again, heard = net(), net(), InValidation()
    expected = bits(whole, run(whole, callbacks=[plain], **data))
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        run(net(), checkpoint=tmp_path, callbacks=[InLastStep(), heard], **data)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard.epochs == 0
    history = run(again, checkpoint=tmp_path, callbacks=[InValidation()], **data)
    assert bits(again, history) == expected
