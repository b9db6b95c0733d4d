"""Pictures of docs/guide/schedules.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from picture import OKABE_ITO, digits, panels, picture

import evengrad as eg
from evengrad import layers, optimizers
from evengrad.optimizers import schedules

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 100
SHAPES = {
    "exponential": schedules.ExponentialDecay(1.0, 30, 0.4),
    "staircase": schedules.ExponentialDecay(1.0, 30, 0.4, staircase=True),
    "power": schedules.PowerDecay(1.0, 15),
    "piecewise": schedules.PiecewiseConstantDecay([40, 80], [1.0, 0.3, 0.1]),
    "polynomial": schedules.PolynomialDecay(1.0, STEPS, 0.0, 2.0),
    "warm-up, cosine": schedules.CosineDecay(0.0, 85, warmup_target=1.0, warmup_steps=15),
    "restarts": schedules.CosineDecayRestarts(1.0, 15),
    "1cycle": schedules.OneCycle(1.0, STEPS),
}


@picture
def shapes() -> Figure:
    """Draw the rates of schedules over a training."""
    figure, axes = panels(2, 4, 2.6, sharex=True, sharey=True)
    for panel, (title, schedule) in zip(axes.flat, SHAPES.items(), strict=True):
        panel.plot([float(schedule(step)) for step in range(STEPS)], color=OKABE_ITO["blue"])
        panel.set(title=title, xticks=[0, 50, 100], yticks=[0, 1])
    axes[0, 0].set_ylabel("rate")
    axes[1, 0].set_ylabel("rate")
    figure.supxlabel("step", fontsize=9)
    return figure


@picture
def range_test() -> Figure:
    """Draw a range test of a small net."""
    x, y = digits()
    hidden = [layers.Dense(100, "elu", kernel_initializer="he_normal") for _ in range(3)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10)], seed=1)
    model.compile(optimizers.SGD(momentum=0.9), "sparse_categorical_crossentropy")
    figure, axes = panels(1, 1, 2.5)
    model.find_learning_rate(x[:1200], y[:1200], min_lr=1e-4, max_lr=10.0).plot(axes)
    return figure


@picture
def losses() -> Figure:
    """Draw losses on unseen rows over trainings with and without a schedule."""
    x, y = digits()
    unseen = (x[1200:], y[1200:])
    steps = 38 * 10
    rates = {
        "constant .01": 0.01,
        "constant .05": 0.05,
        "exponential": schedules.ExponentialDecay(0.05, steps, 0.02),
        "1cycle": schedules.OneCycle(0.05, steps),
    }
    figure, axes = panels(1, 1, 2.4)
    for label, rate in rates.items():
        found = []
        for seed in (1, 2, 3):
            hidden = [layers.Dense(100, "elu", kernel_initializer="he_normal") for _ in range(3)]
            model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10)], seed=seed)
            model.compile(optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy")
            history = model.fit(x[:1200], y[:1200], epochs=10, validation_data=unseen, verbose=0)
            found.append(history.history["val_loss"])
        axes.plot(range(1, 11), np.mean(found, axis=0), label=label)
    axes.set(xlabel="epoch", ylabel="loss on unseen digits", ylim=(0.25, 0.7))
    axes.legend(ncols=2)
    return figure
