"""Pictures of docs/guide/recurrent-nets.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from picture import LINES, panels, picture

import evengrad as eg
from evengrad import initializers, layers, optimizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 60


def adding_problem(rows: int, steps: int, seed: int) -> tuple[Any, Any]:
    """Return numbers with two marks, and the sum of the marked ones."""
    rng = np.random.default_rng(seed)
    numbers, marks, row = rng.uniform(size=(rows, steps)), np.zeros((rows, steps)), np.arange(rows)
    marks[row, rng.integers(0, steps // 2, rows)] = 1
    marks[row, rng.integers(steps // 2, steps, rows)] = 1
    return np.stack([numbers, marks], axis=-1).astype("float32"), (numbers * marks).sum(axis=1)


def network(layer: Any, steps: int) -> Any:
    """Return a recurrent net, compiled."""
    model = eg.Sequential([eg.Input((steps, 2)), layer, layers.Dense(1)], seed=1)
    model.compile(optimizers.SGD(0.4, momentum=0.9, global_clipnorm=0.5), "mse")
    return model


def dependence(model: Any, steps: int) -> np.ndarray:
    """Return the length of the answer's gradient by the inputs of each step."""
    x, _ = adding_problem(100, steps, seed=1)
    inputs = eg.tensor(x, requires_grad=True)
    (gradient,) = eg.autograd.grad(model(inputs).sum(), [inputs])
    return np.asarray(np.linalg.norm(gradient.numpy(), axis=2).mean(axis=0))


@picture
def reach() -> Figure:
    """Draw how far back gradients reach, before and after training."""
    figure, (left, right) = panels(1, 2, 2.6)
    large = initializers.Orthogonal(2.0)
    nets = {
        "SimpleRNN, ReLU, gain 2": layers.SimpleRNN(24, "relu", recurrent_initializer=large),
        "SimpleRNN": layers.SimpleRNN(24),
        "LSTM": layers.LSTM(24),
        "GRU": layers.GRU(24),
    }
    for color, (label, layer) in zip(LINES, nets.items(), strict=False):
        values = dependence(network(layer, STEPS), STEPS)
        left.semilogy(range(1, STEPS + 1), values, color=color, label=label)
    left.set(title="before training", xlabel="step", ylabel="gradient of the answer")
    left.legend(loc="upper right")
    left.set_ylim(top=1e26)
    x, y = adding_problem(2048, 20, seed=0)
    for color, layer in ((LINES[1], layers.SimpleRNN(24)), (LINES[2], layers.LSTM(24))):
        model = network(layer, 20)
        model.fit(x, y, batch_size=64, epochs=15, verbose=0)
        right.semilogy(range(1, 21), dependence(model, 20), color=color)
    right.set(title="after training", xlabel="step", xticks=[1, 5, 10, 15, 20])
    return figure
