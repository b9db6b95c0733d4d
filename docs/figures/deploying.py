"""Pictures of docs/guide/deploying.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from picture import digits, panels, picture

import evengrad as eg
from evengrad import layers, optimizers, regularizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARES = [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98]


@picture
def pruning() -> Figure:
    """Draw what is left of the accuracy when more and more weights go."""
    x, y = digits()
    figure, axes = panels(1, 1, 2.4)
    for label, penalty in (("plain", None), ("trained with ℓ1", regularizers.L1(3e-4))):
        hidden = [
            layers.Dense(100, "relu", kernel_initializer="he_normal", kernel_regularizer=penalty)
            for _ in range(2)
        ]
        model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10)], seed=1)
        model.compile(optimizers.Adam(0.002), "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(x[:1200], y[:1200], epochs=30, verbose=0)
        found = []
        for share in SHARES:
            twin = model.clone()
            if share:
                twin.prune(share)
            found.append(twin.evaluate(x[1200:], y[1200:], verbose=0)[1])
        axes.plot(SHARES, found, marker="o", markersize=4, label=label)
    axes.set(xlabel="share of weights that are zero", ylabel="accuracy on unseen digits")
    axes.legend()
    return figure
