"""Pictures of docs/guide/pre-training.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from picture import LINES, digits, panels, picture

import evengrad as eg
from evengrad import layers, pretrain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def body(seed: int) -> Any:
    """Return three hidden layers."""
    hidden = [layers.Dense(100, "elu", kernel_initializer="he_normal") for _ in range(3)]
    return eg.Sequential([eg.Input((64,)), *hidden], seed=seed)


def components(features: np.ndarray) -> np.ndarray:
    """Return the first two principal components, each with deviation 1."""
    centred = features - features.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
    found = centred @ directions.T
    return np.asarray(found / found.std(axis=0))


@picture
def pairs() -> Figure:
    """Draw what a net makes of unseen digits, before and after it has learned pairs."""
    x, y = digits()
    a, b = body(1), body(2)
    before = components(a.predict(x[1150:], verbose=0))
    pretrain.pairs(a, b, x[:1100], y[:1100], epochs=30, steps_per_epoch=20, verbose=0)
    after = components(a.predict(x[1150:], verbose=0))
    figure, axes = panels(1, 2, 2.7)
    for panel, points in zip(axes, (before, after), strict=True):
        for digit in range(10):
            chosen = points[y[1150:] == digit]
            # Without black, on which the digits could not be read.
            color, marker = LINES[digit % 6], "ox"[digit // 6]
            panel.plot(*chosen.T, marker, markersize=2.5, color=color)
            panel.text(*np.median(chosen, axis=0), str(digit), fontsize=10, weight="bold")
        panel.set(xticks=[], yticks=[])
    axes[0].set_title("before")
    axes[1].set_title("after learning pairs")
    return figure


@picture
def filters() -> Figure:
    """Draw weights into hidden units of an autoencoder and of a machine."""
    x, _ = digits()
    coder = eg.Sequential([eg.Input((64,)), layers.Dense(100, "sigmoid"), layers.Dense(10)], seed=1)
    pretrain.stacked_autoencoder(
        coder, x, epochs=60, noise=layers.Dropout(0.3), decoder_activation="sigmoid", verbose=0
    )
    machine = eg.Sequential(
        [eg.Input((64,)), layers.Dense(100, "sigmoid"), layers.Dense(10)], seed=1
    )
    pretrain.rbm(machine, x, epochs=40, learning_rate=0.1, verbose=0)
    figure, axes = panels(4, 12, 2.2)
    for rows, model in zip((axes[:2], axes[2:]), (coder, machine), strict=True):
        kernel = model.layers[0].kernel.numpy()
        strongest = np.argsort(-kernel.std(axis=0))[:24]
        for panel, unit in zip(rows.flat, strongest, strict=True):
            weights = kernel[:, unit].reshape(8, 8)
            bound = abs(weights).max()
            panel.imshow(weights, cmap="RdBu_r", vmin=-bound, vmax=bound)
            panel.axis("off")
    return figure
