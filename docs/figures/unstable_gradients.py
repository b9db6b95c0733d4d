"""Pictures of docs/guide/unstable-gradients.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from picture import LINES, OKABE_ITO, digits, panels, picture

import evengrad as eg
from evengrad import initializers, layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALED = initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal")
UNIT = initializers.RandomNormal(0.0, 1.0)


def speeds(depth: int, width: int, activation: str, kernels: object, seed: int = 1) -> np.ndarray:
    """Return the speed of every hidden layer before training."""
    x, y = digits()
    hidden = [layers.Dense(width, activation, True, kernels) for _ in range(depth)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10)], seed=seed)
    loss = eg.functional.cross_entropy(model(eg.tensor(x[:300])), y[:300])
    gradients = eg.autograd.grad(loss, model.trainable_weights)
    return np.array([np.linalg.norm(each.numpy()) for each in gradients[1:-2:2]])


def gain(width: float, variance: float) -> float:
    """Return by how much a logistic layer multiplies the length of a gradient, in the limit."""
    t = np.linspace(-9, 9, 801)
    weights = np.exp(-(t**2) / 2)
    weights /= weights.sum()
    q = 1.0
    for _ in range(200):
        a = 1 / (1 + np.exp(-np.sqrt(q) * t))
        q = width * variance * (weights * a**2).sum()
    return float(np.sqrt(width * variance * (weights * (a * (1 - a)) ** 2).sum()))


@picture
def speeds_by_layer() -> Figure:
    """Draw speeds by layer, and what a logistic layer does to a gradient, by width."""
    figure, (left, right) = panels(1, 2, 2.7)
    nets = {
        "SELU, LeCun": ("selu", "lecun_normal"),
        "ReLU, He": ("relu", "he_normal"),
        "tanh, Glorot": ("tanh", "glorot_uniform"),
        "logistic, Glorot": ("sigmoid", "glorot_uniform"),
    }
    for color, (label, net) in zip(LINES, nets.items(), strict=False):
        left.semilogy(range(1, 21), speeds(20, 100, *net), color=color, label=label)
    left.set(xlabel="hidden layer", ylabel="speed of learning", xticks=[1, 5, 10, 15, 20])
    left.legend(loc="lower right")
    widths = np.geomspace(20, 1200, 40)
    blue, red = OKABE_ITO["blue"], OKABE_ITO["vermillion"]
    right.loglog(widths, [gain(n, 1.0) for n in widths], color=red, label="N(0, 1)")
    right.loglog(widths, [gain(n, 1 / n) for n in widths], color=blue, label="N(0, 1/n)")
    for color, kernels in ((red, UNIT), (blue, SCALED)):
        for width in (30, 100, 300):
            found = speeds(10, width, "sigmoid", kernels)
            right.plot(width, (found[0] / found[-1]) ** (1 / 9), "o", color=color, markersize=4)
    right.axhline(1.0, color="#56606b", linewidth=0.8)
    right.set(xlabel="units in a layer", ylabel="gradient, × per layer")
    right.set_xticks([30, 100, 300, 1000], ["30", "100", "300", "1000"])
    right.set_yticks([0.25, 0.5, 1, 2], ["¼", "½", "1", "2"])
    right.minorticks_off()
    right.legend(loc="center left", bbox_to_anchor=(0.0, 0.4))
    return figure


@picture
def saturation() -> Figure:
    """Draw what the tenth logistic layer puts out, under both first values."""
    x, _ = digits()
    figure, axes = panels(1, 2, 2.2, sharex=True)
    named = (("weights N(0, 1)", UNIT), ("weights N(0, 1/n)", SCALED))
    for panel, (title, kernels) in zip(axes, named, strict=True):
        hidden = [layers.Dense(100, "sigmoid", True, kernels) for _ in range(10)]
        model = eg.Sequential([eg.Input((64,)), *hidden], seed=1)
        outputs = model(eg.tensor(x[:1000])).numpy().ravel()
        shares = np.full(outputs.size, 1 / outputs.size)
        panel.hist(outputs, np.linspace(0, 1, 41), weights=shares)
        panel.set(title=title, xlabel="output of layer 10")
    axes[0].set_ylabel("share of units")
    return figure


@picture
def shortcuts() -> Figure:
    """Draw the speeds of forty layers, plain and as blocks with shortcuts."""
    x, y = digits()
    figure, axes = panels(1, 2, 2.4, sharey=True)
    for panel, activation in zip(axes, ("logistic", "tanh"), strict=True):
        name = {"logistic": "sigmoid"}.get(activation, activation)
        for label, color in (("plain", "vermillion"), ("blocks of two", "blue")):
            body = [layers.Dense(64, name) for _ in range(40)]
            chain = (
                body
                if label == "plain"
                else [layers.Residual(body[at : at + 2]) for at in range(0, 40, 2)]
            )
            model = eg.Sequential([eg.Input((64,)), *chain, layers.Dense(10)], seed=1)
            loss = eg.functional.cross_entropy(model(eg.tensor(x[:300])), y[:300])
            gradients = eg.autograd.grad(loss, [layer.bias for layer in body])
            lengths = [np.linalg.norm(each.numpy()) for each in gradients]
            panel.semilogy(range(1, 41), lengths, color=OKABE_ITO[color], label=label)
        panel.set(title=activation, xlabel="layer", xticks=[1, 10, 20, 30, 40])
    axes[0].set_ylabel("speed of learning")
    axes[0].legend(loc="lower right")
    return figure
