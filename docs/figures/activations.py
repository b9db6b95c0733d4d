"""Pictures of docs/guide/activations.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from picture import LINES, digits, panels, picture

import evengrad as eg
from evengrad import callbacks, layers, optimizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMOOTH = ("sigmoid", "tanh", "elu", "selu")
OTHERS = ("relu", "leaky_relu", "silu", "gelu")


@picture
def shapes() -> Figure:
    """Draw values and slopes of activations."""
    figure, axes = panels(2, 2, 3.6, sharex=True, sharey="row")
    points = np.linspace(-4, 3, 400)
    for column, names in zip(axes.T, (SMOOTH, OTHERS), strict=True):
        for color, name in zip(LINES, names, strict=False):
            z = eg.tensor(points, requires_grad=True)
            function: Any = getattr(eg, name)
            given = {"negative_slope": 0.1} if name == "leaky_relu" else {}
            a = function(z, **given)
            (slope,) = eg.autograd.grad(a.sum(), [z])
            label = {"sigmoid": "logistic", "leaky_relu": "leaky, α = 0.1"}.get(name, name)
            column[0].plot(points, a.numpy(), color=color, label=label)
            column[1].plot(points, slope.numpy(), color=color)
        column[0].legend(loc="upper left")
        column[1].set_xlabel("z")
    axes[0, 0].set(ylabel="f(z)", ylim=(-2, 3))
    axes[1, 0].set_ylabel("f'(z)")
    return figure


@picture
def dead_units() -> Figure:
    """Draw the share of dead units over a training, at three rates."""
    x, y = digits()
    figure, axes = panels(1, 1, 2.2)
    for rate in (0.001, 0.01, 0.03):
        hidden = [layers.Dense(100, "relu", kernel_initializer="he_normal") for _ in range(5)]
        model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10)], seed=1)
        model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy")
        shares: list[float] = []

        def count(*_: Any, model: Any = model, shares: list[float] = shares) -> None:
            shares.append(np.mean([one.share for one in model.dead_units(x[:300]).values()]))

        watch = callbacks.LambdaCallback(on_train_begin=count, on_epoch_end=count)
        model.fit(x[:1200], y[:1200], epochs=6, callbacks=[watch], verbose=0)
        axes.plot(range(7), shares, marker="o", markersize=3, label=f"rate {rate}")
    axes.set(xlabel="epoch", ylabel="share of dead units", ylim=(0, None))
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.62))
    return figure


@picture
def fixed_point() -> Figure:
    """Draw the deviation of signals through a hundred layers."""
    figure, axes = panels(1, 1, 2.4)
    nets = {
        "SELU, LeCun": ("selu", 1.0),
        "ReLU, He": ("relu", 2.0),
        "ELU, He": ("elu", 2.0),
        "tanh, Glorot": ("tanh", 1.0),
    }
    for color, (label, (name, scale)) in zip(LINES, nets.items(), strict=False):
        for start, style in ((1.0, "-"), (3.0, ":")):
            rng = np.random.default_rng(3)
            a = eg.tensor(start * rng.normal(size=(200, 100)))
            deviations = []
            for _ in range(100):
                kernel = rng.normal(size=(100, 100)) * np.sqrt(scale / 100)
                a = getattr(eg, name)(a @ eg.tensor(kernel))
                deviations.append(a.numpy().std())
            named = label if style == "-" else None
            axes.semilogy(range(1, 101), deviations, style, color=color, label=named)
    axes.set(xlabel="layer", ylabel="deviation of its outputs")
    axes.legend(ncols=2)
    return figure
