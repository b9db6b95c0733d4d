"""Pictures of docs/guide/initializers.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from picture import LINES, panels, picture

import evengrad as eg
from evengrad import initializers, layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, WIDTH = 30, 256
FIRST_VALUES = {
    "He, 2/n": initializers.VarianceScaling(2.0),
    "Glorot, 1/n": initializers.VarianceScaling(1.0),
    "twice He's, 4/n": initializers.VarianceScaling(4.0),
    "N(0, 0.05²)": initializers.RandomNormal(0.0, 0.05),
}


@picture
def through_depth() -> Figure:
    """Draw signals forward and gradients backward through ReLU layers."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, WIDTH)).astype("float32"), rng.integers(0, 10, 200)
    figure, (left, right) = panels(1, 2, 2.6)
    places = range(1, DEPTH + 1)
    for color, (label, kernels) in zip(LINES, FIRST_VALUES.items(), strict=False):
        hidden = [layers.Dense(WIDTH, "relu", True, kernels) for _ in places]
        model = eg.Sequential([eg.Input((WIDTH,)), *hidden, layers.Dense(10)], seed=0)
        a, sizes = eg.tensor(x), []
        for layer in model.layers[:-1]:
            a = layer(a)
            sizes.append(float(np.sqrt((a.numpy() ** 2).mean())))
        left.semilogy(places, sizes, color=color, label=label)
        loss = eg.functional.cross_entropy(model(eg.tensor(x)), y)
        gradients = eg.autograd.grad(loss, model.trainable_weights)[1:-2:2]
        speeds = [np.linalg.norm(each.numpy()) for each in gradients]
        right.semilogy(places, speeds, color=color, label=label)
    left.set(xlabel="layer", ylabel="RMS of its outputs")
    right.set(xlabel="layer", ylabel="speed of learning")
    left.legend(loc="lower left")
    return figure
