"""Nets of the battery's families with widths, depths, rates and data drawn at random.

The battery's own nets are few and known, and thresholds may be fitted to them; these are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import data
import numpy as np
from nets import CLASSES, Case, Expected, Net, chain, names, stack

from evengrad import initializers, layers, losses, optimizers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Draw = np.random.Generator
RECTIFIERS = ("relu", "leaky_relu", "elu", "gelu", "silu")


def pick(rng: Draw, *choices: Any) -> Any:
    """Return one of the choices."""
    return choices[int(rng.integers(len(choices)))]


def between(rng: Draw, low: float, high: float) -> float:
    """Return a number between two, even on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def width(rng: Draw, low: int = 32, high: int = 128) -> int:
    """Return a number of units."""
    return int(rng.integers(low, high + 1))


def rows(rng: Draw, seed: int) -> tuple[data.Split, str, Any]:
    """Return standardized data, its loss, and a head that fits."""
    kind = pick(rng, "digits", "wine", "cancer", "sine", "blobs")
    if kind == "cancer":
        head = layers.Dense(1, "sigmoid", name="outputs")
        return data.cancer(seed), "binary_crossentropy", head
    if kind == "sine":
        return data.sine(seed), "mse", layers.Dense(1, name="outputs")
    if kind == "wine":
        return data.wine(seed), CLASSES, layers.Dense(3, "softmax", name="outputs")
    if kind == "blobs":
        return data.blobs(seed), CLASSES, layers.Dense(4, "softmax", name="outputs")
    digits = data.digits(seed, scale="standardized")
    return digits, CLASSES, layers.Dense(10, "softmax", name="outputs")


def good(rng: Draw) -> Any:
    """Return an optimizer at a sensible rate."""
    if rng.random() < 0.6:
        kind = pick(rng, optimizers.Adam, optimizers.AdamW, optimizers.Nadam, optimizers.RMSprop)
        return kind(between(rng, 3e-4, 2e-3))
    if rng.random() < 0.5:
        return optimizers.SGD(between(rng, 0.003, 0.015), momentum=0.9)
    return optimizers.SGD(between(rng, 0.02, 0.08))


def net(
    rng: Draw, seed: int, hidden: list[Any], optimizer: Any = None, factor: float = 1.0
) -> Case:
    """Return a chain over data drawn at random, whose inputs may be multiplied."""
    split, loss, head = rows(rng, seed)
    if factor != 1.0:
        split = split._replace(x=split.x * factor, validation_x=split.validation_x * factor)
    model = chain(split.x.shape[1], hidden, head, seed)
    model.compile(optimizer or good(rng), loss)
    return Case(model, split)


def normal(stddev: float) -> Callable[[], Any]:
    """Return a function that makes N(0, stddev²)."""
    return lambda: initializers.RandomNormal(0.0, stddev)


# Healthy families.


def healthy_rectifier(rng: Draw, seed: int) -> Case:
    """Return a stack of rectifiers with He's weights."""
    depth = int(rng.integers(1, 9))
    return net(
        rng, seed, stack(depth, width(rng), pick(rng, *RECTIFIERS), kernel_initializer="auto")
    )


def healthy_tanh(rng: Draw, seed: int) -> Case:
    """Return a tanh stack with Glorot's weights."""
    depth = int(rng.integers(1, 9))
    return net(rng, seed, stack(depth, width(rng), "tanh", kernel_initializer="auto"))


def healthy_selu(rng: Draw, seed: int) -> Case:
    """Return a SELU stack that meets all conditions."""
    depth = int(rng.integers(3, 16))
    return net(rng, seed, stack(depth, width(rng), "selu", kernel_initializer="lecun_normal"))


def healthy_normalized(rng: Draw, seed: int) -> Case:
    """Return a net with batch normalization, whose weights begin anyhow."""
    initializer = pick(rng, "he_normal", "glorot_uniform", normal(0.03), normal(0.3))
    hidden = stack(
        int(rng.integers(2, 11)),
        width(rng),
        pick(rng, "relu", "tanh", "elu", "sigmoid"),
        kernel_initializer=initializer,
        norm=lambda: layers.BatchNormalization(0.9),
    )
    return net(rng, seed, hidden)


def healthy_residual(rng: Draw, seed: int) -> Case:
    """Return residual blocks whose last layers begin at zero."""
    units = width(rng)
    activation = pick(rng, "relu", "tanh", "elu")
    blocks = [
        layers.Residual(
            [
                layers.Dense(units, activation, kernel_initializer="auto"),
                layers.Dense(units, kernel_initializer="zeros"),
            ]
        )
        for _ in range(int(rng.integers(2, 9)))
    ]
    first = layers.Dense(units, kernel_initializer="auto")
    return net(rng, seed, [first, *blocks])


def healthy_dropout(rng: Draw, seed: int) -> Case:
    """Return a stack with some dropout."""
    hidden: list[Any] = []
    rate = float(rng.uniform(0.1, 0.35))
    for layer in stack(
        int(rng.integers(1, 4)), width(rng, 64, 160), "relu", kernel_initializer="auto"
    ):
        hidden += [layer, layers.Dropout(rate)]
    return net(rng, seed, hidden)


def healthy_recurrent(rng: Draw, seed: int) -> Case:
    """Return an LSTM or a GRU."""
    steps = int(rng.integers(8, 30))
    cell = pick(rng, layers.LSTM, layers.GRU)
    model = chain((steps, 3), [cell(width(rng, 12, 32))], 2, seed)
    model.compile(optimizers.Adam(between(rng, 2e-3, 8e-3)), CLASSES)
    return Case(model, data.sequences(seed, steps=steps))


# Sick families.


def sick_logistic(rng: Draw, seed: int) -> Case:
    """Return a logistic stack with Glorot's weights."""
    depth = int(rng.integers(4, 13))
    return net(rng, seed, stack(depth, width(rng), "sigmoid", kernel_initializer="glorot_uniform"))


def sick_saturated(rng: Draw, seed: int) -> Case:
    """Return a stack whose units saturate at once."""
    depth = int(rng.integers(2, 9))
    if rng.random() < 0.5:
        units, activation, std = width(rng, 100, 250), "sigmoid", between(rng, 1.0, 5.0)
    else:
        units, activation, std = width(rng, 60, 128), "tanh", between(rng, 1.0, 4.0)
    return net(rng, seed, stack(depth, units, activation, kernel_initializer=normal(std)))


def sick_fading(rng: Draw, seed: int) -> Case:
    """Return a stack whose signal fades."""
    units = width(rng)
    gain = float(rng.uniform(0.15, 0.5))
    depth = int(np.ceil(np.log(1e-4) / np.log(gain))) + int(rng.integers(0, 10))
    activation = pick(rng, "relu", "tanh", "elu", "leaky_relu")
    # A rectifier halves the mean square besides.
    factor = gain * (2.0**0.5 if "relu" in activation else 1.0)
    std = factor / units**0.5
    return net(rng, seed, stack(depth, units, activation, kernel_initializer=normal(std)))


def sick_growing(rng: Draw, seed: int) -> Case:
    """Return a stack whose signal grows."""
    units = width(rng)
    gain = float(rng.uniform(2.0, 4.0))
    depth = int(np.ceil(np.log(1e5) / np.log(gain))) + int(rng.integers(0, 6))
    activation = pick(rng, "relu", "leaky_relu", "elu", None)
    std = gain * (1.0 if activation is None else 2.0**0.5) / units**0.5
    return net(rng, seed, stack(depth, units, activation, kernel_initializer=normal(std)))


def sick_dead(rng: Draw, seed: int) -> Case:
    """Return a net whose biases are so negative that units are dead."""
    bias = -between(rng, 8.0, 30.0)
    hidden = stack(
        int(rng.integers(1, 5)),
        width(rng),
        "relu",
        kernel_initializer="he_normal",
        bias_initializer=lambda: initializers.Constant(bias),
    )
    return net(rng, seed, hidden)


def sick_symmetric(rng: Draw, seed: int) -> Case:
    """Return a net whose kernels are constant."""
    value = pick(rng, 0.0, 0.01, 0.05, 0.1)
    hidden = stack(
        int(rng.integers(2, 4)),
        width(rng),
        pick(rng, "relu", "tanh", "sigmoid"),
        kernel_initializer=lambda: initializers.Constant(value),
    )
    return net(rng, seed, hidden, optimizers.Adam(1e-3))


def sick_inputs(rng: Draw, seed: int) -> Case:
    """Return a net whose inputs are far too large."""
    hidden = stack(
        int(rng.integers(1, 5)),
        width(rng),
        pick(rng, "relu", "tanh", "elu"),
        kernel_initializer="auto",
    )
    return net(rng, seed, hidden, factor=between(rng, 200.0, 1e4))


def sick_fast(rng: Draw, seed: int) -> Case:
    """Return a net whose rate is a hundred times too high."""
    activation = pick(rng, *RECTIFIERS, "tanh")
    hidden = stack(int(rng.integers(2, 6)), width(rng), activation, kernel_initializer="auto")
    optimizer = pick(
        rng,
        optimizers.Adam(between(rng, 0.1, 0.5)),
        optimizers.SGD(between(rng, 4.0, 20.0)),
        optimizers.SGD(between(rng, 1.0, 3.0), momentum=0.9),
    )
    return net(rng, seed, hidden, optimizer)


def sick_slow(rng: Draw, seed: int) -> Case:
    """Return a net whose rate is a thousand times too low."""
    activation = pick(rng, *RECTIFIERS, "tanh")
    hidden = stack(int(rng.integers(2, 6)), width(rng), activation, kernel_initializer="auto")
    optimizer = pick(
        rng,
        optimizers.Adam(between(rng, 1e-7, 1e-6)),
        optimizers.SGD(between(rng, 1e-6, 5e-5)),
        optimizers.SGD(between(rng, 1e-7, 1e-5), momentum=0.9),
    )
    return net(rng, seed, hidden, optimizer)


def sick_head(rng: Draw, seed: int) -> Case:
    """Return a net whose head does not fit its loss."""
    hidden = stack(int(rng.integers(1, 4)), width(rng), "relu", kernel_initializer="auto")
    if rng.random() < 0.5:
        split, units = data.digits(seed), 10
        heads = (("relu", losses.SparseCategoricalCrossentropy(from_logits=True)),)
        heads += (("softmax", losses.SparseCategoricalCrossentropy(from_logits=True)),)
    else:
        split, units = data.cancer(seed), 1
        heads = (("softmax", losses.BinaryCrossentropy()),)
        heads += (("relu", losses.BinaryCrossentropy(from_logits=True)),)
        heads += (("sigmoid", losses.BinaryCrossentropy(from_logits=True)),)
    activation, loss = pick(rng, *heads)
    head = layers.Dense(units, activation, name="outputs")
    model = chain(split.x.shape[1], hidden, head, seed)
    model.compile(optimizers.Adam(1e-3), loss)
    return Case(model, split)


def sick_recurrent(rng: Draw, seed: int) -> Case:
    """Return a SimpleRNN whose gradient explodes over time."""
    steps, units = int(rng.integers(25, 50)), width(rng, 16, 48)
    gain = float(rng.uniform(2.0, 3.0))
    activation = pick(rng, "relu", "linear")
    std = gain * (2.0**0.5 if activation == "relu" else 1.0) / units**0.5
    cell = layers.SimpleRNN(
        units, activation, recurrent_initializer=initializers.RandomNormal(0.0, std), name="rnn"
    )
    model = chain((steps, 3), [cell], 2, seed)
    model.compile(optimizers.SGD(0.01), CLASSES)
    return Case(model, data.sequences(seed, steps=steps))


def sick_selu(rng: Draw, seed: int) -> Case:
    """Return a SELU stack with ordinary dropout."""
    hidden: list[Any] = []
    rate = float(rng.uniform(0.1, 0.4))
    for layer in stack(
        int(rng.integers(4, 12)), width(rng), "selu", kernel_initializer="lecun_normal"
    ):
        hidden += [layer, layers.Dropout(rate)]
    return net(rng, seed, hidden)


ANY = names(100)
FAST = ("large_updates", "diverging_loss", "dead_units", "non_finite", "saturated_activations")
EXPECTED: dict[Callable[[Draw, int], Case], Expected] = {
    sick_logistic: Expected(("vanishing_gradients",), ("activation",), names(3)),
    sick_saturated: Expected(("saturated_activations",), ("initializer",), ANY),
    sick_fading: Expected(("signal_collapse", "vanishing_gradients"), ("initializer",)),
    sick_growing: Expected(("signal_explosion", "exploding_gradients"), ("initializer",)),
    sick_dead: Expected(("dead_units",), ("initializer",), ANY),
    sick_symmetric: Expected(("symmetric_units",), ("initializer",), ANY),
    sick_inputs: Expected(("unscaled_inputs",), ("inputs",), ("hidden_1",)),
    sick_fast: Expected(FAST, ("learning_rate",)),
    sick_slow: Expected(("small_updates",), ("learning_rate",)),
    sick_head: Expected(("head_loss_mismatch",), ("loss", "activation", "architecture")),
    sick_recurrent: Expected(
        ("exploding_gradients", "signal_explosion"), ("initializer", "architecture"), ("rnn",)
    ),
    sick_selu: Expected(("selu_conditions",), ("regularization",)),
}
FAMILIES: tuple[Callable[[Draw, int], Case], ...] = (
    healthy_rectifier,
    healthy_tanh,
    healthy_selu,
    healthy_normalized,
    healthy_residual,
    healthy_dropout,
    healthy_recurrent,
    *EXPECTED,
)


def drawn(
    number: int, first: int = 0, families: Sequence[Callable[[Draw, int], Case]] = FAMILIES
) -> list[Net]:
    """Return so many nets, the families in turn; the same ones for the same numbers."""
    return [one(at, families[at % len(families)]) for at in range(first, first + number)]


def one(at: int, family: Callable[[Draw, int], Case]) -> Net:
    """Return the net of a family that has this number."""

    def build(seed: int) -> Case:
        # The net is the number's, its weights and the order of rows are the seed's.
        return family(np.random.default_rng(at), seed)

    expected = EXPECTED.get(family)
    name = f"{family.__name__.replace('_', '-')}-{at}"
    return Net(name, build, () if expected is None else (expected,), curable=True)
