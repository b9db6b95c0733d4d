"""Nets of the battery whose training is sick: rates, heads and losses, targets, fit."""

from __future__ import annotations

from typing import Any

import data
import numpy as np
from nets import Case, Expected, chain, compiled, names, sick, stack

import evengrad as eg
from evengrad import layers, losses, optimizers, regularizers

FAST = ("large_updates", "diverging_loss")


def at_a_rate(
    name: str,
    expected: Expected,
    optimizer: Any,
    activation: str = "relu",
    depth: int = 3,
    width: int = 64,
    **options: Any,
) -> None:
    """Register a net that would be healthy at another rate."""

    @sick(name, expected)
    def build(seed: int) -> Case:
        hidden = stack(depth, width, activation, kernel_initializer="auto")
        rows = data.digits(seed, scale="standardized")
        return compiled(chain(64, hidden, 10, seed), optimizer(), rows, **options)


# Rates a hundred times too high and a thousand times too low.

at_a_rate(
    "adam-rate-times-100",
    Expected((*FAST, "dead_units"), ("learning_rate",)),
    lambda: optimizers.Adam(0.1),
)
at_a_rate(
    "adam-rate-times-300-tanh",
    Expected((*FAST, "saturated_activations"), ("learning_rate",)),
    lambda: optimizers.Adam(0.3),
    "tanh",
)
at_a_rate(
    "sgd-rate-times-100",
    Expected((*FAST, "dead_units"), ("learning_rate",)),
    lambda: optimizers.SGD(5.0),
)
at_a_rate(
    "momentum-rate-times-100-elu",
    Expected(FAST, ("learning_rate",)),
    lambda: optimizers.SGD(1.0, momentum=0.9),
    "elu",
)
at_a_rate(
    "rmsprop-rate-times-100-gelu",
    Expected(FAST, ("learning_rate",)),
    lambda: optimizers.RMSprop(0.1),
    "gelu",
)
at_a_rate(
    "relu-dead-by-rate",
    Expected((*FAST, "dead_units"), ("learning_rate",)),
    lambda: optimizers.SGD(0.5, momentum=0.9),
    depth=5,
    width=100,
)
at_a_rate(
    "relu-dead-by-adam",
    Expected((*FAST, "dead_units"), ("learning_rate",)),
    lambda: optimizers.Adam(0.05),
    depth=5,
    width=100,
)
for name, optimizer, activation in (
    ("sgd-rate-over-1000", lambda: optimizers.SGD(5e-5), "relu"),
    ("adam-rate-over-1000", lambda: optimizers.Adam(1e-6), "relu"),
    ("momentum-rate-over-1000-tanh", lambda: optimizers.SGD(1e-5, momentum=0.9), "tanh"),
    ("adam-rate-over-2000-selu", lambda: optimizers.Adam(3e-7), "selu"),
):
    at_a_rate(name, Expected(("small_updates",), ("learning_rate",)), optimizer, activation)


@sick("regression-diverges", Expected((*FAST, "exploding_gradients"), ("learning_rate",)))
def _(seed: int) -> Case:
    hidden = stack(2, 64, "relu", kernel_initializer="auto")
    head = layers.Dense(1, name="outputs")
    return compiled(chain(8, hidden, head, seed), optimizers.SGD(1.0), data.sine(seed), "mse")


@sick("linear-regression-diverges", Expected(FAST, ("learning_rate",)))
def _(seed: int) -> Case:
    head = layers.Dense(1, name="outputs")
    return compiled(chain(10, [], head, seed), optimizers.SGD(3.0), data.diabetes(seed), "mse")


@sick(
    "targets-of-thousands",
    Expected((*FAST, "exploding_gradients", "non_finite"), ("labels", "learning_rate")),
    curable=False,
)
def _(seed: int) -> Case:
    rows = data.diabetes(seed, scaled=False)
    large = rows._replace(y=rows.y * 100, validation_y=rows.validation_y * 100)
    hidden = stack(2, 32, "relu", kernel_initializer="auto")
    head = layers.Dense(1, name="outputs")
    return compiled(chain(10, hidden, head, seed), optimizers.SGD(0.01), large, "mse")


# Heads and losses that do not fit.

MISMATCH = "head_loss_mismatch"


def headed(
    name: str, causes: tuple[str, ...], head: Any, loss: Any, rows: Any, curable: bool = True
) -> None:
    """Register a net of two layers with a head that does not fit its loss."""

    @sick(name, Expected((MISMATCH,), causes), curable=curable)
    def build(seed: int) -> Case:
        split = rows(seed)
        hidden = stack(2, 48, "relu", kernel_initializer="auto")
        model = chain(split.x.shape[1], hidden, head(), seed)
        return compiled(model, optimizers.Adam(2e-3), split, loss() if callable(loss) else loss)


def of_logits(loss: Any) -> Any:
    """Return a function that makes the loss from logits."""
    return lambda: loss(from_logits=True)


def head_of(units: int, activation: Any = None) -> Any:
    """Return a function that makes a head."""
    return lambda: layers.Dense(units, activation, name="outputs")


HEAD = ("loss", "activation", "architecture")
headed("softmax-of-one-unit", HEAD, head_of(1, "softmax"), "binary_crossentropy", data.moons)
headed(
    "softmax-of-one-unit-cancer", HEAD, head_of(1, "softmax"), "binary_crossentropy", data.cancer
)
headed(
    "logits-behind-a-relu",
    HEAD,
    head_of(10, "relu"),
    of_logits(losses.SparseCategoricalCrossentropy),
    data.digits,
)
headed(
    "one-logit-behind-a-relu",
    HEAD,
    head_of(1, "relu"),
    of_logits(losses.BinaryCrossentropy),
    data.cancer,
)
headed(
    "softmax-taken-for-logits",
    HEAD,
    head_of(10, "softmax"),
    of_logits(losses.SparseCategoricalCrossentropy),
    data.digits,
)
headed(
    "logistic-taken-for-a-logit",
    HEAD,
    head_of(1, "sigmoid"),
    of_logits(losses.BinaryCrossentropy),
    data.cancer,
)
headed("regression-behind-a-logistic-unit", HEAD, head_of(1, "sigmoid"), "mse", data.sine)
headed("regression-behind-a-relu", HEAD, head_of(1, "relu"), "mse", data.sine)
headed("regression-behind-a-softmax", HEAD, head_of(1, "softmax"), "mse", data.diabetes)


# What takes a whole run to see.


def tiny(seed: int, rows: int = 60) -> data.Split:
    """Return few digits to train on, with many to validate on."""
    return data.digits(seed, rows=rows)


@sick("overfitting-few-digits", Expected(("overfitting",), ("data", "regularization")))
def _(seed: int) -> Case:
    hidden = stack(3, 128, "relu", kernel_initializer="auto")
    model = chain(64, hidden, 10, seed)
    return compiled(
        model, optimizers.Adam(2e-3), tiny(seed), batch_size=16, steps=400, validated=True
    )


@sick("overfitting-noise", Expected(("overfitting",), ("data", "regularization", "labels")))
def _(seed: int) -> Case:
    rows = data.cancer(seed)
    rng = np.random.default_rng(seed)
    flipped = [np.where(rng.random(len(y)) < 0.3, 1 - y, y) for y in (rows.y, rows.validation_y)]
    hidden = stack(2, 256, "relu", kernel_initializer="auto")
    model = chain(30, hidden, layers.Dense(1, "sigmoid", name="outputs"), seed)
    noisy = data.Split(rows.x, flipped[0], rows.validation_x, flipped[1])
    return compiled(
        model,
        optimizers.Adam(3e-3),
        noisy,
        "binary_crossentropy",
        steps=800,
        validated=True,
    )


@sick("overfitting-regression", Expected(("overfitting",), ("data", "regularization")))
def _(seed: int) -> Case:
    hidden = stack(3, 128, "elu", kernel_initializer="auto")
    model = chain(10, hidden, layers.Dense(1, name="outputs"), seed)
    return compiled(
        model, optimizers.Adam(2e-3), data.diabetes(seed), "mse", steps=800, validated=True
    )


UNDER = ("underfitting", "plateau")


@sick(
    "underfitting-a-straight-line",
    Expected(UNDER, ("architecture",)),
    curable=False,
)
def _(seed: int) -> Case:
    # No straight line parts the exclusive or.
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(1200, 2)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int64")
    model = chain(2, [], 2, seed)
    return compiled(model, optimizers.Adam(0.01), data.split(x, y, seed), steps=600, validated=True)


@sick("underfitting-too-few-units", Expected(UNDER, ("architecture",)), curable=False)
def _(seed: int) -> Case:
    hidden = stack(1, 2, "tanh", kernel_initializer="auto")
    model = chain(64, hidden, 10, seed)
    rows = data.digits(seed)
    return compiled(model, optimizers.Adam(0.01), rows, steps=800, validated=True)


@sick("underfitting-by-penalty", Expected(UNDER, ("regularization",)))
def _(seed: int) -> Case:
    hidden = stack(
        2,
        64,
        "relu",
        kernel_initializer="auto",
        kernel_regularizer=lambda: regularizers.L2(1.0),
    )
    model = chain(64, hidden, 10, seed)
    rows = data.digits(seed)
    return compiled(model, optimizers.Adam(2e-3), rows, steps=600, validated=True)


@sick("underfitting-by-dropout", Expected(UNDER, ("regularization",)))
def _(seed: int) -> Case:
    hidden: list[Any] = []
    for layer in stack(3, 32, "relu", kernel_initializer="auto"):
        hidden += [layer, layers.Dropout(0.9)]
    model = chain(64, hidden, 10, seed)
    rows = data.digits(seed)
    return compiled(model, optimizers.Adam(2e-3), rows, steps=600, validated=True)


@sick(
    "plateau-of-a-rate-that-fell",
    Expected(("plateau", "small_updates", "underfitting"), ("learning_rate",)),
)
def _(seed: int) -> Case:
    # The rate is as good as none after a hundred steps.
    schedule = optimizers.schedules.ExponentialDecay(0.05, 10, 0.5)
    hidden = stack(3, 64, "relu", kernel_initializer="auto")
    model = chain(64, hidden, 10, seed)
    rows = data.digits(seed)
    return compiled(model, optimizers.SGD(schedule), rows, steps=600, validated=True)


# The same illnesses where models are more than chains.


@sick(
    "graph-with-a-deep-logistic-branch",
    Expected(("vanishing_gradients",), ("activation",), names(2)),
)
def _(seed: int) -> Case:
    x = eg.Input((64,))
    deep = x
    for layer in stack(8, 64, "sigmoid", kernel_initializer="glorot_uniform"):
        deep = layer(deep)
    model = eg.Model(x, layers.Dense(10, "softmax", name="outputs")(deep), seed=seed)
    return compiled(model, optimizers.SGD(0.01, momentum=0.9), data.digits(seed))


@sick("two-outputs-dead-body", Expected(("dead_units",), ("initializer",), ("body",)))
def _(seed: int) -> Case:
    rows = data.digits(seed)
    x = eg.Input((64,))
    body = layers.Dense(64, "relu", bias_initializer=eg.initializers.Constant(-20.0), name="body")(
        x
    )
    heads = [layers.Dense(10, "softmax", name="digit")(body), layers.Dense(1, name="ink")(body)]
    model = eg.Model(x, heads, seed=seed)
    model.compile(optimizers.Adam(1e-3), ["sparse_categorical_crossentropy", "mse"])
    ink = [x.mean(axis=1, keepdims=True) for x in (rows.x, rows.validation_x)]
    pairs = data.Split(rows.x, [rows.y, ink[0]], rows.validation_x, [rows.validation_y, ink[1]])
    return Case(model, pairs)


class Tower(eg.Model):
    """A model of a user's own."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self.hidden = stack(
            15, 64, "relu", kernel_initializer=lambda: eg.initializers.VarianceScaling(10.0)
        )
        self.head = layers.Dense(10, "softmax")

    def call(self, x: eg.Tensor) -> eg.Tensor:
        """Return the probabilities."""
        for layer in self.hidden:
            x = layer(x)
        return self.head(x)


@sick(
    "subclassed-exploding",
    Expected(("signal_explosion", "exploding_gradients"), ("initializer",)),
)
def _(seed: int) -> Case:
    return compiled(Tower(seed), optimizers.SGD(0.01), data.digits(seed))


@sick("float64-saturated", Expected(("saturated_activations",), ("initializer",), names(5)))
def _(seed: int) -> Case:
    hidden = stack(5, 64, "tanh", kernel_initializer=lambda: eg.initializers.RandomNormal(0.0, 2.0))
    model = chain(64, hidden, 10, seed, dtype="float64")
    return compiled(model, optimizers.Adam(1e-3), data.digits(seed))
