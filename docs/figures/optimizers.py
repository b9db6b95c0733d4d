"""Pictures of docs/guide/optimizers.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from picture import LINES, digits, panels, picture

import evengrad as eg
from evengrad import layers, optimizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEEPNESS = np.array([1.0, 40.0])
START = np.array([-3.0, 1.0])


@picture
def valley() -> Figure:
    """Draw the paths of optimizers in a narrow valley."""
    figure, axes = panels(1, 1, 2.8)
    a, b = np.meshgrid(np.linspace(-3.3, 1.2, 200), np.linspace(-1.5, 1.5, 200))
    height = 0.5 * (STEEPNESS[0] * a**2 + STEEPNESS[1] * b**2)
    axes.contour(a, b, height, levels=[0.1, 1, 3, 7, 13, 22, 40], colors="#c5cbd2", linewidths=0.8)
    entrants = {
        "SGD": optimizers.SGD(0.045),
        "momentum": optimizers.SGD(0.012, momentum=0.9),
        "AdaGrad": optimizers.Adagrad(0.6, initial_accumulator_value=0.0),
        "RMSProp": optimizers.RMSprop(0.1),
        "Adam": optimizers.Adam(0.2),
    }
    for color, (label, optimizer) in zip(LINES, entrants.items(), strict=False):
        w = eg.tensor(START, requires_grad=True)
        path = [START]
        for _ in range(40):
            optimizer.apply_gradients([(eg.tensor(STEEPNESS * path[-1]), w)])
            path.append(w.numpy().copy())
        axes.plot(*np.array(path).T, "o-", color=color, markersize=2.5, linewidth=1, label=label)
    axes.plot(0, 0, "k*", markersize=9)
    axes.set(xlabel="along the valley", ylabel="across", xlim=(-3.3, 1.2), ylim=(-1.5, 1.5))
    axes.legend(loc="upper right")
    return figure


@picture
def losses() -> Figure:
    """Draw the training losses of optimizers, at one rate and each at its own."""
    x, y = digits()
    names = ("SGD", "momentum", "AdaGrad", "RMSProp", "Adam", "Nadam")
    figure, axes = panels(1, 2, 2.7, sharey=True)
    # The second rates are those that the range test suggests in examples/04_optimizers.py.
    for panel, title, rates in (
        (axes[0], "a rate of 0.001 for all", (0.001,) * 6),
        (axes[1], "each its own", (0.046, 0.032, 0.013, 0.0009, 0.0038, 0.0016)),
    ):
        for color, name, rate in zip(LINES, names, rates, strict=False):
            optimizer = {
                "SGD": optimizers.SGD(rate),
                "momentum": optimizers.SGD(rate, momentum=0.9),
                "AdaGrad": optimizers.Adagrad(rate),
                "RMSProp": optimizers.RMSprop(rate),
                "Adam": optimizers.Adam(rate),
                "Nadam": optimizers.Nadam(rate),
            }[name]
            hidden = [layers.Dense(100, "relu", kernel_initializer="he_normal") for _ in range(3)]
            model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10)], seed=1)
            model.compile(optimizer, "sparse_categorical_crossentropy")
            history = model.fit(x[:1200], y[:1200], epochs=10, verbose=0).history
            panel.semilogy(range(1, 11), history["loss"], color=color, label=name)
        panel.set(title=title, xlabel="epoch")
    axes[0].set_ylabel("training loss")
    axes[0].legend(loc="lower left")
    return figure
