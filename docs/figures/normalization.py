"""Pictures of docs/guide/normalization.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from picture import OKABE_ITO, digits, panels, picture

import evengrad as eg
from evengrad import callbacks, layers, optimizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH = 6
CHOSEN = ListedColormap(["#ffffff", OKABE_ITO["sky blue"]])


def speeds_in_training(*, normalized: bool, epochs: int = 12) -> np.ndarray:
    """Return the speed of each hidden layer's first variable, by epoch and layer."""
    x, y = digits()
    x, y = x[:1200], y[:1200]
    with eg.default_arguments(layers.BatchNormalization, momentum=0.9):
        norms = [layers.BatchNormalization() if normalized else None for _ in range(DEPTH)]
    hidden = [layers.Dense(100, "sigmoid", norm=norm) for norm in norms]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10)], seed=1)
    model.compile(optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    found = []

    def measure(*_: Any) -> None:
        loss = eg.functional.cross_entropy(model(eg.tensor(x), training=True), y)
        kernels = [layer.kernel for layer in hidden]
        gradients = eg.autograd.grad(loss, kernels)
        found.append([np.linalg.norm(each.numpy()) for each in gradients])

    watch = callbacks.LambdaCallback(on_train_begin=measure, on_epoch_end=measure)
    model.fit(x, y, epochs=epochs, callbacks=[watch], verbose=0)
    return np.array(found)


@picture
def speeds() -> Figure:
    """Draw the speeds of six logistic layers in training, plain and normalized."""
    figure, axes = panels(1, 2, 2.6, sharey=True)
    shades = [(0.0, 0.45 * (1 - n / 5), 0.7 * (1 - n / 5) + 0.2 * n / 5) for n in range(DEPTH)]
    for panel, normalized in zip(axes, (False, True), strict=True):
        for layer, values in enumerate(speeds_in_training(normalized=normalized).T):
            panel.semilogy(values, color=shades[DEPTH - 1 - layer], label=f"layer {layer + 1}")
        panel.set(title="batch normalization" if normalized else "plain", xlabel="epoch")
    axes[0].set_ylabel("gradient of the kernel")
    axes[1].legend(ncols=2, loc="lower left")
    return figure


@picture
def axes() -> Figure:
    """Draw over which numbers of a batch both normalizations take their mean."""
    rows, features = 6, 8
    figure, panels_of = panels(1, 2, 2.2)
    for panel, (title, along) in zip(
        panels_of, (("batch normalization", 0), ("layer normalization", 1)), strict=True
    ):
        place = np.indices((rows, features))[1 - along]
        chosen = 2 if along == 0 else 1
        panel.imshow(np.where(place == chosen, 1.0, 0.0), cmap=CHOSEN, vmin=0, vmax=1)
        for at in range(features + 1):
            panel.axvline(at - 0.5, color="#56606b", linewidth=0.6)
        for at in range(rows + 1):
            panel.axhline(at - 0.5, color="#56606b", linewidth=0.6)
        panel.set(title=title, xlabel="features", xticks=[], yticks=[])
    panels_of[0].set_ylabel("rows of the batch")
    return figure
