"""Pictures of docs/guide/the-doctor.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from picture import digits, panels, picture

import evengrad as eg
from evengrad import callbacks, layers, optimizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def net(activation: str, optimizer: Any, kernels: str) -> Any:
    """Return six hidden layers, compiled."""
    hidden = [layers.Dense(100, activation, True, kernels, name=f"{n}") for n in range(1, 7)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10, name="7")], seed=1)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


@picture
def diagnosis() -> Figure:
    """Draw a diagnosis of a logistic net."""
    x, y = digits()
    model = net("sigmoid", optimizers.SGD(0.01, momentum=0.9), "glorot_uniform")
    figure, axes = panels(1, 3, 2.3)
    model.diagnose(x[:1200], y[:1200], seed=0).plot(axes)
    for panel in axes[:2]:
        panel.tick_params(axis="x", rotation=0)
        panel.set_xlabel("layer")
    return figure


@picture
def health() -> Figure:
    """Draw dead units by layer and step, of a training at a high rate."""
    x, y = digits()
    model = net("relu", optimizers.Adam(0.03), "he_normal")
    doctor = callbacks.GradientDoctor(every=2)
    health = model.fit(x[:1200], y[:1200], epochs=5, callbacks=[doctor], verbose=0).health
    figure, axes = panels(1, 1, 2.2)
    dead = health["dead"][:, :6].T
    drawn = axes.pcolormesh(health["step"], range(1, 7), dead, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    axes.invert_yaxis()
    axes.set(xlabel="step", ylabel="layer", yticks=range(1, 7))
    figure.colorbar(drawn, label="share of dead units")
    return figure
