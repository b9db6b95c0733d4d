"""Nets of the battery that begin sick: initializers, activations, depth, inputs, symmetry."""

from __future__ import annotations

from typing import Any

import data
import numpy as np
from nets import Case, Expected, chain, compiled, names, sick, stack

from evengrad import initializers, layers, optimizers, regularizers

LOGITS = "outputs"


def normal(stddev: float) -> Any:
    """Return a function that makes N(0, stddev²)."""
    return lambda: initializers.RandomNormal(0.0, stddev)


def variance(scale: float) -> Any:
    """Return a function that makes N(0, scale / fan_in)."""
    return lambda: initializers.VarianceScaling(scale, "fan_in", "untruncated_normal")


def momentum(rate: float = 0.01) -> optimizers.SGD:
    """Return what the notes' nets are trained with."""
    return optimizers.SGD(rate, momentum=0.9)


def deep(
    name: str,
    expected: Expected,
    depth: int,
    width: int,
    activation: Any,
    optimizer: Any = momentum,
    scale: str = "unit",
    curable: bool = True,
    **settings: Any,
) -> None:
    """Register a chain on digits; settings are those of its hidden layers."""

    @sick(name, expected, curable=curable)
    def build(seed: int) -> Case:
        hidden = stack(depth, width, activation, **settings)
        return compiled(chain(64, hidden, 10, seed), optimizer(), data.digits(seed, scale=scale))


# Logistic stacks (techniques 13.3): with N(0, 1) units saturate, the more the wider; with weights
# of variance 1/n they do not, and each layer takes a factor of 4.24 from the gradient.

for width, depth in ((30, 10), (45, 8)):
    deep(
        f"logistic-normal-{width}x{depth}",
        Expected(
            ("vanishing_gradients", "saturated_activations"),
            ("activation", "initializer"),
            names(depth),
        ),
        depth,
        width,
        "sigmoid",
        kernel_initializer=normal(1.0),
    )
for width, depth in ((100, 6), (100, 10), (200, 5), (300, 4)):
    deep(
        f"logistic-normal-{width}x{depth}",
        Expected(("saturated_activations",), ("initializer",), names(depth)),
        depth,
        width,
        "sigmoid",
        kernel_initializer=normal(1.0),
    )
for width, depth in ((30, 4), (100, 6), (64, 8), (50, 12)):
    deep(
        f"logistic-glorot-{width}x{depth}",
        Expected(("vanishing_gradients",), ("activation",), names(2)),
        depth,
        width,
        "sigmoid",
        kernel_initializer="glorot_uniform",
    )
deep(
    "logistic-weights-of-100",
    Expected(("saturated_activations",), ("initializer",), names(4)),
    4,
    30,
    "sigmoid",
    kernel_initializer=normal(100.0),
    bias_initializer=normal(1.0),
)
deep(
    "tanh-std-1",
    Expected(("saturated_activations",), ("initializer",), names(10)),
    10,
    100,
    "tanh",
    kernel_initializer=normal(1.0),
)
deep(
    "tanh-std-3",
    Expected(("saturated_activations",), ("initializer",), names(5)),
    5,
    100,
    "tanh",
    kernel_initializer=normal(3.0),
)

# Signals that fade or grow from layer to layer.

SHRINKS = ("signal_collapse", "vanishing_gradients")
GROWS = ("signal_explosion", "exploding_gradients")
for depth, width, scale in ((30, 64, 1.0), (30, 100, 1.0), (20, 100, 0.5)):
    deep(
        f"relu-scale-{scale:g}-{width}x{depth}",
        Expected(SHRINKS, ("initializer",)),
        depth,
        width,
        "relu",
        kernel_initializer=variance(scale),
    )
deep(
    "relu-std-.01",
    Expected(SHRINKS, ("initializer",)),
    20,
    100,
    "relu",
    kernel_initializer=normal(0.01),
)
deep(
    "relu-glorot-40",
    Expected(SHRINKS, ("initializer",)),
    40,
    64,
    "relu",
    kernel_initializer="glorot_uniform",
    scale="standardized",
)
deep(
    "tanh-small-50",
    Expected(SHRINKS, ("initializer",)),
    50,
    50,
    "tanh",
    kernel_initializer=normal(0.02),
)
deep(
    "elu-small-15",
    Expected(SHRINKS, ("initializer",)),
    15,
    64,
    "elu",
    kernel_initializer=normal(0.01),
    optimizer=lambda: optimizers.Adam(1e-3),
)
deep(
    "relu-std-.3",
    Expected(GROWS, ("initializer",)),
    20,
    100,
    "relu",
    kernel_initializer=normal(0.3),
)
for depth, scale in ((20, 8.0), (12, 16.0)):
    deep(
        f"relu-scale-{scale:g}-{depth}",
        Expected(GROWS, ("initializer",)),
        depth,
        64,
        "relu",
        kernel_initializer=variance(scale),
    )
deep(
    "linear-scale-4-15",
    Expected(GROWS, ("initializer",)),
    15,
    64,
    None,
    kernel_initializer=variance(4.0),
)
deep(
    "leaky-relu-normal-8",
    Expected(GROWS, ("initializer",)),
    8,
    100,
    "leaky_relu",
    kernel_initializer=normal(1.0),
)

# Units that begin dead, and units that are all the same.

for depth, bias in ((3, -10.0), (4, -5.0)):
    deep(
        f"relu-bias-{bias:g}",
        Expected(("dead_units",), ("initializer",), names(depth)),
        depth,
        64,
        "relu",
        kernel_initializer="he_normal",
        bias_initializer=lambda bias=bias: initializers.Constant(bias),
    )
for name, value, activation in (
    ("zeros", 0.0, "tanh"),
    ("zeros-relu", 0.0, "relu"),
    ("constant-.1", 0.1, "relu"),
    ("constant-.05-logistic", 0.05, "sigmoid"),
):
    deep(
        f"kernels-of-{name}",
        Expected(("symmetric_units",), ("initializer",), names(3)),
        3,
        64,
        activation,
        optimizer=lambda: optimizers.Adam(1e-3),
        kernel_initializer=lambda value=value: initializers.Constant(value),
    )


@sick("kernels-of-ones", Expected(("symmetric_units",), ("initializer",), names(2)))
def _(seed: int) -> Case:
    hidden = stack(2, 24, "tanh", kernel_initializer="ones")
    head = layers.Dense(1, name=LOGITS)
    return compiled(chain(8, hidden, head, seed), momentum(), data.sine(seed), "mse")


# SELU's conditions, one violated at a time.


def selu(name: str, cause: str, *kinds: str, curable: bool = True, **given: Any) -> None:
    """Register a SELU net on standardized digits."""
    extra = given.pop("extra", None)
    scale = given.pop("scale", "standardized")

    @sick(name, Expected(("selu_conditions", *kinds), (cause,)), curable=curable)
    def build(seed: int) -> Case:
        hidden: list[Any] = []
        settings = {"kernel_initializer": "lecun_normal", **given}
        for layer in stack(8, 64, "selu", **settings):
            hidden += [layer, *([] if extra is None else [extra()])]
        return compiled(chain(64, hidden, 10, seed), momentum(), data.digits(seed, scale=scale))


selu("selu-with-dropout", "regularization", extra=lambda: layers.Dropout(0.2))
selu("selu-std-.25", "initializer", kernel_initializer=normal(0.25))
selu("selu-he", "initializer", kernel_initializer="he_normal")
selu("selu-l2", "regularization", kernel_regularizer=lambda: regularizers.L2(0.01))
selu("selu-raw-inputs", "inputs", "unscaled_inputs", scale="raw")


# Inputs that are not scaled.


def unscaled(name: str, activation: str, optimizer: Any, factor: float) -> None:
    """Register a net on standardized digits times a factor."""

    @sick(name, Expected(("unscaled_inputs",), ("inputs",), ("hidden_1",)))
    def build(seed: int) -> Case:
        rows = data.digits(seed, scale="standardized")
        scaled = rows._replace(x=rows.x * factor, validation_x=rows.validation_x * factor)
        hidden = stack(3, 64, activation, kernel_initializer="auto")
        return compiled(chain(64, hidden, 10, seed), optimizer(), scaled)


unscaled("inputs-times-1000-relu", "relu", lambda: optimizers.SGD(0.01), 1000.0)
unscaled("inputs-times-1000-tanh", "tanh", lambda: optimizers.Adam(1e-3), 1000.0)
unscaled("inputs-times-300-elu", "elu", momentum, 300.0)


@sick("inputs-of-different-units-wine", Expected(("unscaled_inputs",), ("inputs",), ("hidden_1",)))
def _(seed: int) -> Case:
    rows = data.wine(seed, scaled=False)
    hidden = stack(2, 32, "tanh", kernel_initializer="auto")
    return compiled(chain(13, hidden, 3, seed), momentum(), rows)


@sick(
    "inputs-of-different-units-cancer", Expected(("unscaled_inputs",), ("inputs",), ("hidden_1",))
)
def _(seed: int) -> Case:
    rows = data.cancer(seed, scaled=False)
    hidden = stack(2, 32, "relu", kernel_initializer="auto")
    head = layers.Dense(1, "sigmoid", name=LOGITS)
    return compiled(chain(30, hidden, head, seed), momentum(), rows, "binary_crossentropy")


@sick("inputs-far-from-zero", Expected(("unscaled_inputs",), ("inputs",), ("hidden_1",)))
def _(seed: int) -> Case:
    rows = data.sine(seed)
    far = rows._replace(x=rows.x + 500, validation_x=rows.validation_x + 500)
    hidden = stack(2, 32, "tanh", kernel_initializer="auto")
    head = layers.Dense(1, name=LOGITS)
    return compiled(chain(8, hidden, head, seed), optimizers.Adam(1e-3), far, "mse")


# Recurrent nets.


def recurrent(
    name: str, expected: Expected, stddev: float, activation: str, steps: int, scale: float = 1.0
) -> None:
    """Register a SimpleRNN whose recurrent weights are N(0, stddev²)."""

    @sick(name, expected)
    def build(seed: int) -> Case:
        rows = data.sequences(seed, steps=steps)
        rnn = layers.SimpleRNN(
            32,
            activation,
            kernel_initializer=initializers.RandomNormal(0.0, scale),
            recurrent_initializer=initializers.RandomNormal(0.0, stddev),
            name="rnn",
        )
        return compiled(chain((steps, 3), [rnn], 2, seed), optimizers.SGD(0.01), rows)


EXPLODES = Expected(
    ("exploding_gradients", "signal_explosion"), ("initializer", "architecture"), ("rnn",)
)
recurrent("rnn-exploding-relu", EXPLODES, 0.6, "relu", 30)
recurrent("rnn-exploding-linear", EXPLODES, 0.35, "linear", 40)


@sick(
    "rnn-saturated",
    Expected(
        ("saturated_activations", "exploding_gradients"), ("initializer", "architecture"), ("rnn",)
    ),
)
def _(seed: int) -> Case:
    rows = data.sequences(seed, steps=20)
    rnn = layers.SimpleRNN(
        32,
        kernel_initializer=initializers.RandomNormal(0.0, 3.0),
        recurrent_initializer=initializers.RandomNormal(0.0, 1.5),
        name="rnn",
    )
    return compiled(chain((20, 3), [rnn], 2, seed), optimizers.SGD(0.05), rows)


# Numbers that are none.


def with_holes(values: np.ndarray, seed: int, number: int = 5) -> np.ndarray:
    """Return a copy with so many NaN."""
    holed = values.astype("float32")
    holed.flat[np.random.default_rng(seed).choice(holed.size, number, replace=False)] = np.nan
    return holed


@sick("nan-in-inputs", Expected(("non_finite",), ("inputs", "data")), curable=False)
def _(seed: int) -> Case:
    rows = data.digits(seed)
    hidden = stack(3, 64, "relu", kernel_initializer="auto")
    holed = rows._replace(x=with_holes(rows.x, seed, 200))
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), holed)


@sick("infinite-input", Expected(("non_finite",), ("inputs", "data")), curable=False)
def _(seed: int) -> Case:
    rows = data.cancer(seed)
    x = rows.x.copy()
    x[seed, 3] = np.inf
    hidden = stack(2, 32, "tanh", kernel_initializer="auto")
    head = layers.Dense(1, "sigmoid", name=LOGITS)
    return compiled(
        chain(30, hidden, head, seed), momentum(), rows._replace(x=x), "binary_crossentropy"
    )


@sick("nan-in-targets", Expected(("non_finite",), ("labels", "data")), curable=False)
def _(seed: int) -> Case:
    rows = data.sine(seed)
    hidden = stack(2, 32, "relu", kernel_initializer="auto")
    head = layers.Dense(1, name=LOGITS)
    holed = rows._replace(y=with_holes(rows.y, seed, 20))
    return compiled(chain(8, hidden, head, seed), optimizers.Adam(1e-3), holed, "mse")
