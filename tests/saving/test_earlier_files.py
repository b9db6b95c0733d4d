"""Files that earlier code has saved load, and training goes on from them as it would have then.

`files/graph.safetensors` was saved at commit 6f8ce47, whose own figures these are: a graph with
batch normalization and dropout, trained for three epochs by Adam with a schedule and averages.
"""

from pathlib import Path

import numpy as np
import pytest

import evengrad as eg

FILE = Path(__file__).parent / "files" / "graph.safetensors"


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3)).astype("float32")
    return x, (x[:, 0] > 0).astype(int)


def test_predictions_are_those_of_then():
    x, _ = data()
    expected = [
        [0.791057825088501, 0.20894214510917664],
        [0.8229759931564331, 0.1770240068435669],
        [0.29716017842292786, 0.7028397917747498],
        [0.5782378911972046, 0.4217621088027954],
    ]
    # Processors differ in the last bits of their sums.
    np.testing.assert_allclose(eg.load_model(FILE).predict(x[:4]), expected, rtol=1e-5)


def test_training_goes_on():
    model = eg.load_model(FILE)
    history = model.fit(*data(), epochs=2, verbose=0).history
    assert history["loss"] == pytest.approx([1.4604972004890442, 1.1521148443222047], rel=1e-4)
    assert history["accuracy"] == pytest.approx([0.4, 0.475])
    assert model.optimizer.iterations == 10


def test_weights_alone_load_too():
    model, other = eg.load_model(FILE), eg.load_model(FILE, compile=False)
    other.set_weights([w * 0 for w in other.get_weights()])
    other.load_weights(FILE)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))
