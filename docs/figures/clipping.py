"""Pictures of docs/guide/clipping.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from picture import OKABE_ITO, digits, panels, picture

import evengrad as eg
from evengrad import constraints, layers, optimizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS, TARGET = 50, 0.7


def descent(start: tuple[float, float], rate: float, clip: float | None, steps: int) -> np.ndarray:
    """Return the path of (w, b) in descent on the last state of a unit that feeds itself."""
    path = [np.array(start)]
    for _ in range(steps):
        w, b = (eg.tensor(value, dtype="float64", requires_grad=True) for value in path[-1])
        state = eg.tensor(0.0, dtype="float64")
        for _ in range(STEPS):
            state = w * eg.sigmoid(state) + b
        loss = (eg.sigmoid(state) - TARGET) ** 2
        gradient = np.array([each.item() for each in eg.autograd.grad(loss, [w, b])])
        length = np.linalg.norm(gradient)
        if clip is not None and length > clip:
            gradient *= clip / length
        path.append(path[-1] - rate * gradient)
    return np.array(path)


@picture
def cliff() -> Figure:
    """Draw a loss with a cliff, and two descents on it."""
    w, b = np.meshgrid(np.linspace(3.5, 7.5, 160), np.linspace(-3.6, -1.6, 160))
    state = np.zeros_like(w)
    for _ in range(STEPS):
        state = w / (1 + np.exp(-state)) + b
    loss = (1 / (1 + np.exp(-state)) - TARGET) ** 2
    figure, axes = panels(1, 1, 2.9)
    axes.contourf(w, b, loss, levels=20, cmap="Greys", alpha=0.8)
    start = (6.0, -2.3)
    for clip, color, label in (
        (None, OKABE_ITO["vermillion"], "plain"),
        (0.1, OKABE_ITO["blue"], "clipped"),
    ):
        path = descent(start, 1.0, clip, 60)
        axes.plot(*path.T, "o-", color=color, markersize=3, linewidth=1.2, label=label)
    axes.set(xlabel="weight", ylabel="bias", xlim=(3.9, 6.3), ylim=(-3.05, -1.75))
    axes.legend(loc="upper right")
    return figure


@picture
def max_norm() -> Figure:
    """Draw how long the weights that come into units are, over a training with dropout."""
    x, y = digits()
    figure, axes = panels(1, 2, 2.4, sharey=True)
    for panel, bound in zip(axes, (None, 1.5), strict=True):
        constraint = None if bound is None else constraints.MaxNorm(bound)
        hidden = layers.Dense(
            100, "relu", kernel_initializer="he_normal", kernel_constraint=constraint
        )
        parts = [hidden, layers.Dropout(0.5), layers.Dense(10, "softmax")]
        model = eg.Sequential([eg.Input((64,)), *parts], seed=1)
        model.compile(optimizers.SGD(0.3, momentum=0.9), "sparse_categorical_crossentropy")
        found = [np.linalg.norm(hidden.kernel.numpy(), axis=0)]
        for _ in range(15):
            model.fit(x[:1200], y[:1200], verbose=0)
            found.append(np.linalg.norm(hidden.kernel.numpy(), axis=0))
        lengths = np.sort(found, axis=1)
        epochs = range(len(lengths))
        panel.fill_between(
            epochs, lengths[:, 5], lengths[:, -6], color=OKABE_ITO["sky blue"], alpha=0.4
        )
        panel.plot(epochs, np.median(lengths, axis=1), color=OKABE_ITO["blue"], label="median")
        panel.plot(epochs, lengths[:, -1], color=OKABE_ITO["vermillion"], label="longest")
        panel.set(title="free" if bound is None else f"max-norm {bound}", xlabel="epoch")
    axes[0].set_ylabel("norm of a unit's weights")
    axes[0].legend(loc="upper left")
    return figure
