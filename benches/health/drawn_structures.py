"""More families of nets drawn at random: graphs, sequences, raw tables, several outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import data
import numpy as np
from drawn import EXPECTED, FAST, RECTIFIERS, between, good, pick, width
from nets import CLASSES, Case, Expected, chain, stack

import evengrad as eg
from evengrad import initializers, layers, losses, optimizers, regularizers

if TYPE_CHECKING:
    from collections.abc import Callable

Draw = np.random.Generator


def hidden(rng: Draw, units: int) -> layers.Dense:
    """Return a dense layer whose initializer suits its activation."""
    return layers.Dense(units, pick(rng, *RECTIFIERS, "tanh"), kernel_initializer="auto")


# Healthy families.


def healthy_branches(rng: Draw, seed: int) -> Case:
    """Return a graph of two ways of different depths that are joined."""
    split = data.digits(seed, scale="standardized")
    start = eg.Input((64,))
    ends = []
    for depth in (1, int(rng.integers(2, 6))):
        end = start
        for _ in range(depth):
            end = hidden(rng, width(rng))(end)
        ends.append(end)
    head = layers.Dense(10, "softmax", name="outputs")
    model = eg.Model(start, head(layers.Concatenate()(ends)), seed=seed)
    model.compile(good(rng), CLASSES)
    return Case(model, split)


def healthy_outputs(rng: Draw, seed: int) -> Case:
    """Return a net of two heads: classes, and a number."""
    split = data.digits(seed, scale="standardized")
    parts = [(y, (y[:, None] / 4.5 - 1.0).astype("float32")) for y in (split.y, split.validation_y)]
    start = eg.Input((64,))
    trunk = hidden(rng, width(rng))(hidden(rng, width(rng))(start))
    ends = [layers.Dense(10, "softmax", name="digit")(trunk), layers.Dense(1, name="size")(trunk)]
    model = eg.Model(start, ends, seed=seed)
    model.compile(optimizers.Adam(between(rng, 3e-4, 2e-3)), [CLASSES, "mse"])
    return Case(model, split._replace(y=list(parts[0]), validation_y=list(parts[1])))


def healthy_layer_normalization(rng: Draw, seed: int) -> Case:
    """Return a stack with layer normalization before each activation."""
    inner: list[Any] = []
    for _ in range(int(rng.integers(2, 8))):
        inner += [layers.Dense(width(rng)), layers.LayerNormalization()]
        inner.append(layers.Activation(pick(rng, "relu", "gelu", "tanh")))
    model = chain(64, inner, 10, seed)
    model.compile(optimizers.Adam(between(rng, 3e-4, 2e-3)), CLASSES)
    return Case(model, data.digits(seed, scale=pick(rng, "unit", "standardized")))


def healthy_patients(rng: Draw, seed: int) -> Case:
    """Return a regression on few rows, with a penalty on its weights."""
    penalty = regularizers.L2(between(rng, 1e-5, 1e-3))
    inner = stack(
        int(rng.integers(1, 4)),
        width(rng, 16, 64),
        pick(rng, *RECTIFIERS, "tanh"),
        kernel_initializer="auto",
        kernel_regularizer=lambda: penalty,
    )
    model = chain(10, inner, layers.Dense(1, name="outputs"), seed)
    loss = pick(rng, "mse", losses.Huber(), "mae")
    model.compile(optimizers.Adam(between(rng, 3e-4, 2e-3)), loss)
    return Case(model, data.diabetes(seed))


def healthy_half_circles(rng: Draw, seed: int) -> Case:
    """Return a narrow net on two features, in double precision."""
    inner = stack(
        int(rng.integers(2, 4)),
        width(rng, 12, 40),
        pick(rng, "tanh", "elu", "silu"),
        kernel_initializer="auto",
    )
    head = layers.Dense(1, "sigmoid", name="outputs")
    model = chain(2, inner, head, seed, dtype="float64")
    model.compile(optimizers.Adam(between(rng, 2e-3, 1e-2)), "binary_crossentropy")
    return Case(model, data.moons(seed))


def healthy_tokens(rng: Draw, seed: int) -> Case:
    """Return an embedding before a recurrent layer."""
    steps = int(rng.integers(8, 20))
    cell = pick(rng, layers.LSTM, layers.GRU)(width(rng, 12, 32))
    inner = [layers.Embedding(50, width(rng, 8, 24)), cell]
    model = eg.Sequential([*inner, layers.Dense(2, "softmax", name="outputs")], seed=seed)
    model.compile(optimizers.Adam(between(rng, 2e-3, 8e-3)), CLASSES)
    return Case(model, data.tokens(seed, steps=steps))


# Sick families.


def sick_table(rng: Draw, seed: int) -> Case:
    """Return a net on measurements as they come, some of which reach thousands."""
    table, features, units = pick(rng, (data.wine, 13, 3), (data.cancer, 30, 2))
    inner = stack(
        int(rng.integers(1, 4)), width(rng), pick(rng, "relu", "elu"), kernel_initializer="auto"
    )
    model = chain(features, inner, units, seed)
    model.compile(optimizers.Adam(1e-3), CLASSES)
    return Case(model, table(seed, scaled=False))


def sick_first_of_many(rng: Draw, seed: int) -> Case:
    """Return a healthy stack whose first layer begins far too large."""
    units = width(rng)
    std = between(rng, 3.0, 10.0)
    first = layers.Dense(
        units, "tanh", name="hidden_1", kernel_initializer=initializers.RandomNormal(0.0, std)
    )
    rest = stack(int(rng.integers(2, 5)), units, "tanh", kernel_initializer="auto")[1:]
    model = chain(64, [first, *rest], 10, seed)
    model.compile(optimizers.Adam(1e-3), CLASSES)
    return Case(model, data.digits(seed, scale="standardized"))


def sick_regression(rng: Draw, seed: int) -> Case:
    """Return a regression whose rate is far too high."""
    inner = stack(
        int(rng.integers(2, 5)),
        width(rng),
        pick(rng, "relu", "elu", "tanh"),
        kernel_initializer="auto",
    )
    model = chain(8, inner, layers.Dense(1, name="outputs"), seed)
    optimizer = pick(
        rng, optimizers.SGD(between(rng, 2.0, 20.0)), optimizers.Adam(between(rng, 0.2, 1.0))
    )
    model.compile(optimizer, "mse")
    return Case(model, data.sine(seed))


def sick_slow_recurrent(rng: Draw, seed: int) -> Case:
    """Return a recurrent layer whose rate is far too low."""
    cell = pick(rng, layers.LSTM, layers.GRU)(width(rng, 12, 32), name="cell")
    model = chain((16, 3), [cell], 2, seed)
    model.compile(optimizers.Adam(between(rng, 1e-7, 1e-6)), CLASSES)
    return Case(model, data.sequences(seed, steps=16))


OF_STRUCTURES: dict[Callable[[Draw, int], Case], Expected] = {
    sick_table: Expected(("unscaled_inputs",), ("inputs",), ("hidden_1",)),
    sick_first_of_many: Expected(("saturated_activations",), ("initializer",), ("hidden_1",)),
    sick_regression: Expected((*FAST, "exploding_gradients"), ("learning_rate",)),
    sick_slow_recurrent: Expected(("small_updates",), ("learning_rate",)),
}
EXPECTED.update(OF_STRUCTURES)
STRUCTURES: tuple[Callable[[Draw, int], Case], ...] = (
    healthy_branches,
    healthy_outputs,
    healthy_layer_normalization,
    healthy_patients,
    healthy_half_circles,
    healthy_tokens,
    *OF_STRUCTURES,
)
