"""One session drives all steps: epochs run without Python in between where nobody hears of them."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from training_checks import everything, three_classes

import evengrad as eg
from evengrad import callbacks, layers
from evengrad.training._objective import Objective
from evengrad.training._step import ArraySource

EPOCHS = 9


class CountsItself(eg.metrics.Metric):
    """Counts batches outside of its states, and forgets them in its own way."""

    def __init__(self, name="counts_itself"):
        super().__init__(name)
        self.resets = 0
        self.total = self.add_state(())

    def update_state(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002 - as it is called
        eg._core.accumulate(self.total, eg.ones((), dtype="float64"))

    def result(self):
        return self.total.item() + self.resets

    def reset_state(self):
        super().reset_state()
        self.resets += 1


def network(optimizer="adam", metrics=("accuracy",), run_eagerly=False):
    model = eg.Sequential(
        [
            layers.Dense(12, "relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3),
        ],
        seed=7,
    )
    model.compile(
        optimizer() if callable(optimizer) else optimizer,
        "sparse_categorical_crossentropy",
        list(metrics),
        run_eagerly=run_eagerly,
    )
    return model


@pytest.fixture
def visits(monkeypatch):
    """Notes how often a training session is run."""
    seen = []
    original = ArraySource.run

    def run(self, until):
        if self.kinds[0].training:
            seen.append(until)
        return original(self, until)

    monkeypatch.setattr(ArraySource, "run", run)
    return seen


def check(visits, model, silent=True, **settings):
    """Train twice, the second time with somebody who hears of all epochs, and compare."""
    x, y = three_classes()
    one, other = model(), model()
    settings = {"epochs": EPOCHS, "verbose": 0, "batch_size": 32, **settings}
    first = one.fit(x, y, **settings)
    assert len(visits) == (1 if silent else EPOCHS - settings.get("initial_epoch", 0))
    second = other.fit(x, y, callbacks=callbacks.Callback(), **settings)
    assert (first.history, first.epoch) == (second.history, second.epoch)
    # The rate may be a schedule, which is equal to itself alone.
    assert list(map(repr, everything(one))) == list(map(repr, everything(other)))
    return first


@pytest.mark.parametrize("batch_size", [1, 32, 50, 64, 1000])
def test_the_same_training(visits, batch_size):
    history = check(visits, network, batch_size=batch_size)
    assert history.epoch == list(range(EPOCHS))
    assert len(set(history.history["loss"])) == EPOCHS


def test_rows_as_they_lie(visits):
    check(visits, network, shuffle=False)


def test_weights_and_later_epochs(visits):
    history = check(
        visits, network, sample_weight=np.linspace(0, 1, len(three_classes()[0])), initial_epoch=4
    )
    assert history.epoch == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: eg.optimizers.SGD(eg.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)),
        lambda: eg.optimizers.Adam(0.01, gradient_accumulation_steps=3),
        lambda: eg.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
    ],
    ids=["schedule", "accumulation", "average"],
)
def test_what_an_optimizer_counts(visits, optimizer):
    check(visits, lambda: network(optimizer))


def test_metrics_with_several_states(visits):
    metrics = ["accuracy", eg.metrics.ConfusionMatrix()]
    x, y = three_classes()
    one = network(metrics=metrics).fit(x, y, epochs=4, verbose=0)
    assert len(visits) == 1
    heard = callbacks.Callback()
    other = network(metrics=metrics).fit(x, y, epochs=4, verbose=0, callbacks=[heard])
    assert one.history["accuracy"] == other.history["accuracy"]
    for a, b in zip(
        one.history["confusion_matrix"], other.history["confusion_matrix"], strict=True
    ):
        assert a.sum() == len(x)
        assert np.array_equal(a, b)


def test_a_metric_that_forgets_in_its_own_way_is_heard(visits):
    check(visits, lambda: network(metrics=[CountsItself()]), silent=False)


def test_steps_in_python(visits):
    check(visits, lambda: network(run_eagerly=True))


def test_validation_is_heard(visits):
    check(visits, network, silent=False, validation_split=0.25)


def test_data_that_comes_piece_by_piece(visits, monkeypatch):
    monkeypatch.setattr("evengrad.training._data.RESIDENT_BYTES", 0)
    monkeypatch.setattr("evengrad.training._data.PIECE_BYTES", 4000)
    check(visits, network)


def test_layers_that_are_thawed_train_in_the_next_call(visits):
    x, y = three_classes()
    model = network()
    model.build((None, x.shape[1]))
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()
    model.fit(x, y, epochs=3, verbose=0)
    assert np.array_equal(before[0], model.layers[0].get_weights()[0])
    model.layers[0].trainable = True
    model.fit(x, y, epochs=3, verbose=0)
    assert not np.array_equal(before[0], model.layers[0].get_weights()[0])
    assert len(visits) == 2


def interrupting(function, before=(), after=()):
    """Return the function such that some of its calls are interrupted, before or after it works."""
    count = 0

    def call(*args):
        nonlocal count
        count += 1
        if count in before:
            raise KeyboardInterrupt
        outcome = function(*args)
        if count in after:
            raise KeyboardInterrupt
        return outcome

    return call


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Objective, "restore"),
        (Objective, "logs"),
        (callbacks.History, "on_epoch_end"),
    ],
)
@pytest.mark.parametrize(
    "when", [{"before": [4]}, {"after": [4]}, {"before": [4, 5], "after": [8]}]
)
def test_ctrl_c_while_figures_are_noted_loses_none(monkeypatch, owner, name, when):
    x, y = three_classes()
    model = network()
    model.fit(x, y, epochs=1, verbose=0)
    before = int(model.optimizer.iterations)
    monkeypatch.setattr(owner, name, interrupting(getattr(owner, name), **when))
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=400, verbose=0)
    monkeypatch.undo()
    steps = -(-len(x) // 32)
    ended = (int(model.optimizer.iterations) - before) // steps
    assert ended >= 4
    history = model.history
    assert history.epoch == list(range(ended))
    assert {len(column) for column in history.history.values()} == {ended}
    again = network()
    again.fit(x, y, epochs=1, verbose=0)
    assert again.fit(x, y, epochs=ended, verbose=0).history == history.history


INTERRUPTED = """
import threading
import time
import numpy as np
import evengrad as eg
rng = np.random.default_rng(0)
x, y = rng.normal(size=(320, 30)).astype("float32"), rng.integers(0, 3, 320)
def make():
    model = eg.Sequential([eg.layers.Dense(30, "relu"), eg.layers.Dense(3)], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
model = make()
model.fit(x, y, epochs=2, verbose=0)
def tell():
    while model.optimizer.iterations < 100:
        time.sleep(0.01)
    print("ready", flush=True)
threading.Thread(target=tell).start()
try:
    model.fit(x, y, epochs=10**9, verbose=0)
except KeyboardInterrupt:
    told = model.history
    epochs = len(told.epoch)
    print(epochs == model.optimizer.iterations // 10 - 2 and epochs > 2)
    again = make()
    again.fit(x, y, epochs=2, verbose=0)
    same = again.fit(x, y, epochs=epochs, verbose=0)
    print(same.history == told.history)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_keeps_the_figures_of_all_epochs():
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=120) == ("True\nTrue\n", "")
