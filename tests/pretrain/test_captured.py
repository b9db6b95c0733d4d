"""Pre-training is made of captured steps: nothing of it runs in Python."""

import numpy as np
import pytest

import evengrad as eg
from evengrad import layers
from evengrad.training._step import Step


def hidden(activation="sigmoid"):
    return [layers.Dense(6, activation), layers.Dropout(0.2), layers.Dense(4, activation)]


def network():
    return eg.Sequential([*hidden(), layers.Dense(2, "softmax")], seed=1)


def body(seed):
    return eg.Sequential(hidden("elu"), seed=seed)


X = np.random.default_rng(0).random((90, 8)).astype(np.float32)
Y = np.arange(90) % 3
SETTINGS = {"epochs": 3, "batch_size": 20, "verbose": 0}
SPARSE = {"activity_regularizer": eg.regularizers.KLSparsity()}
RUNS = {
    "autoencoder": lambda: eg.pretrain.stacked_autoencoder(network(), X, **SETTINGS),
    "tied": lambda: eg.pretrain.stacked_autoencoder(
        network(), X, tied=True, noise=layers.GaussianNoise(0.1), **SPARSE, **SETTINGS
    ),
    "rbm": lambda: eg.pretrain.rbm(network(), X, k=2, validation_split=0.2, **SETTINGS),
    "persistent": lambda: eg.pretrain.rbm(network(), X, persistent=True, **SETTINGS),
    "gaussian": lambda: eg.pretrain.rbm(network(), X, visible="gaussian", **SETTINGS),
    "pairs": lambda: eg.pretrain.pairs(body(1), body(2), X, Y, validation_data=(X, Y), **SETTINGS),
    "contrastive": lambda: eg.pretrain.contrastive(
        body(1), X, augment=layers.GaussianNoise(0.1), **SETTINGS
    ),
}


@pytest.mark.parametrize("run", RUNS)
def test_steps_are_captured(run, advice, monkeypatch):
    made = []
    run_once = Step._run

    def counted(step):
        made.append(step)
        run_once(step)

    monkeypatch.setattr(Step, "_run", counted)
    with advice.heard():
        RUNS[run]()
    assert made
    assert not any(step.eager for step in made)
    # A rest of an epoch is run once before it is captured.
    assert all(made.count(step) <= 2 for step in made)
    assert not advice.records
