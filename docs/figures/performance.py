"""Pictures of docs/guide/performance.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from picture import panels, picture

import evengrad as eg
from evengrad import layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@picture
def batch_size() -> Figure:
    """Draw the loss by epoch and by step, for four batch sizes."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4096, 50)).astype("float32")
    y = (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype("int64")
    figure, (left, right) = panels(1, 2, 2.5, sharey=True)
    for size in (8, 32, 128, 512):
        hidden = [layers.Dense(100, "elu", kernel_initializer="he_normal") for _ in range(3)]
        model = eg.Sequential([eg.Input((50,)), *hidden, layers.Dense(2)], seed=1)
        model.compile("adam", "sparse_categorical_crossentropy")
        losses = model.fit(x, y, batch_size=size, epochs=8, verbose=0).history["loss"]
        epochs = np.arange(1, 9)
        left.plot(epochs, losses, marker="o", markersize=3, label=f"batch {size}")
        right.semilogx(epochs * len(x) / size, losses, marker="o", markersize=3)
    left.set(xlabel="epoch", ylabel="training loss")
    right.set(xlabel="step")
    left.legend()
    return figure
