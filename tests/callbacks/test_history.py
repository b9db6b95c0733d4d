"""`History`: the steps and the time of a training, and the arguments that it was made with."""

import copy
import pickle
import sys
import types

import numpy as np
import pytest

import evengrad as eg
from evengrad import callbacks, layers

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(70, 4)), RNG.normal(size=70)


def model(loss="mse"):
    made = eg.Sequential([layers.Dense(1)], seed=0)
    made.compile(eg.optimizers.SGD(0.01, momentum=0.9), loss)
    return made


def test_time(monkeypatch):
    clock = iter(range(10, 1000, 10))
    watch = types.SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr(sys.modules[callbacks.History.__module__], "time", watch)
    # Two epochs: ten seconds from one look at the clock to the next.
    history = model().fit(X, Y, epochs=2, verbose=0, validation_split=0.2)
    assert history.seconds == 20
    assert history.epoch_seconds == [10, 10]


@pytest.mark.parametrize("validated", [0.0, 0.2])
def test_the_time_of_each_epoch(validated):
    history = model().fit(X, Y, epochs=5, verbose=0, validation_split=validated)
    assert len(history.epoch_seconds) == 5
    assert min(history.epoch_seconds) > 0
    assert sum(history.epoch_seconds) == pytest.approx(history.seconds)
    assert copy.deepcopy(history).epoch_seconds == history.epoch_seconds


def test_the_time_of_epochs_before_a_training_was_resumed_is_not_known(tmp_path):
    keep = {"verbose": 0, "checkpoint": tmp_path}
    model().fit(X, Y, epochs=2, **keep)
    seconds = model().fit(X, Y, epochs=3, **keep).epoch_seconds
    assert np.isnan(seconds).tolist() == [True, True, False]


def batches():
    return [(X[:30], Y[:30]), (X[30:], Y[30:])]


@pytest.mark.parametrize(
    ("data", "settings", "steps"),
    [
        ((X, Y), {"batch_size": 20}, 12),
        ((X, Y), {"batch_size": 20, "validation_split": 0.5}, 6),
        ((X, Y), {"batch_size": 20, "callbacks": [callbacks.Callback()]}, 12),
        ((X, Y), {"batch_size": 20, "steps_per_epoch": 3}, 7),
        ((X, Y), {"batch_size": 20, "drop_last": True}, 9),
        ((X, Y), {"batch_size": 20, "steps_per_epoch": 2, "drop_last": True}, 5),
        ((batches(),), {}, 6),
    ],
)
def test_steps(data, settings, steps):
    trained = model()
    history = trained.fit(*data, epochs=3, verbose=0, **settings)
    assert history.steps == steps == int(trained.optimizer.iterations)
    assert history.params["batch_size"] == settings.get("batch_size")
    validated = settings.get("validation_split", 0)
    assert history.params["rows"] == (None if len(data) == 1 else 70 * (1 - validated))


def test_steps_of_a_resumed_training_are_those_since_then(tmp_path):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002 - as it is called
            if self.model.optimizer.iterations == 5:
                raise RuntimeError

    settings = {"epochs": 3, "batch_size": 20, "verbose": 0}
    settings |= {"checkpoint": tmp_path, "checkpoint_every": "1 step"}
    with pytest.raises(RuntimeError):
        model().fit(X, Y, callbacks=[Stop()], **settings)
    history = model().fit(X, Y, **settings)
    assert history.epoch == [0, 1, 2]
    assert 12 - 5 <= history.steps <= 12 - 4


def test_settings_are_those_of_the_training():
    trained = model()
    history = trained.fit(X, Y, verbose=0)
    expected = {
        "optimizer": "SGD",
        "loss": "mse",
        "optimizer.learning_rate": "0.01",
        "optimizer.momentum": "0.9",
    }
    for settings in (
        history.settings,
        copy.deepcopy(history).settings,
        pickle.loads(pickle.dumps(history)).settings,  # noqa: S301 - what was just written
    ):
        described = settings.described()
        assert expected.items() <= described.items()
        assert "loss_weights" not in described
    trained.optimizer.learning_rate = 0.5
    assert history.settings.described()["optimizer.learning_rate"] == "0.5"
    trained.compile("adam", "mae")
    # The optimizer that the model has no more is not kept, but what was said of it.
    assert history.settings.arguments is None
    assert history.settings.described()["optimizer"] == "SGD"
    assert trained.fit(X, Y, verbose=0).settings.described()["optimizer"] == "Adam"


def test_settings_of_a_copied_model_are_its_own():
    trained = model()
    trained.fit(X, Y, verbose=0)
    other = copy.deepcopy(trained)
    other.optimizer.learning_rate = 0.5
    described = other.fit(X, Y, verbose=0).settings.described()
    assert described["optimizer.learning_rate"] == "0.5"
    assert trained.history.settings.described()["optimizer.learning_rate"] == "0.01"
