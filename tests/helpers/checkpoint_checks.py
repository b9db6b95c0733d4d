"""A small training, and what came of it, for the tests of checkpoints."""

# ruff: noqa: ARG002 - functions have the signatures that they are called with

import numpy as np

import evengrad as eg
from evengrad import callbacks, layers, optimizers

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
