"""Pictures of docs/guide/optimizers.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from picture import LINES, panels, picture

import evengrad as eg
from evengrad import optimizers

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
