"""Healthy nets of the battery: all of them learn, and no alarm is right."""

from __future__ import annotations

from typing import Any

import data
import numpy as np
from nets import Case, chain, compiled, healthy, stack

import evengrad as eg
from evengrad import initializers, layers, losses, optimizers, regularizers

BATCH_NORM = layers.BatchNormalization


def dense(units: int, activation: Any = None, **settings: Any) -> layers.Dense:
    """Return a dense layer whose initializer suits its activation."""
    return layers.Dense(units, activation, **{"kernel_initializer": "auto", **settings})


# Plain stacks, each with the initializer that suits its activation.


def plain(name: str, depth: int, width: int, activation: Any, optimizer: Any, scale: str) -> None:
    """Register a chain on digits; `optimizer` makes one."""

    @healthy(name)
    def build(seed: int) -> Case:
        hidden = stack(depth, width, activation, kernel_initializer="auto")
        return compiled(chain(64, hidden, 10, seed), optimizer(), data.digits(seed, scale=scale))


plain("relu-he-3", 3, 100, "relu", lambda: optimizers.Adam(1e-3), "unit")
plain("relu-he-5-momentum", 5, 100, "relu", lambda: optimizers.SGD(0.01, momentum=0.9), "unit")
plain("relu-he-5-sgd", 5, 64, "relu", lambda: optimizers.SGD(0.05), "standardized")
plain("relu-he-12", 12, 64, "relu", lambda: optimizers.Adam(5e-4), "standardized")
plain("relu-he-wide", 2, 400, "relu", lambda: optimizers.Adam(5e-4), "standardized")
plain("leaky-relu-6", 6, 64, "leaky_relu", lambda: optimizers.Adam(1e-3), "unit")
plain("elu-5", 5, 100, "elu", lambda: optimizers.Nadam(1e-3), "standardized")
plain("gelu-5", 5, 64, "gelu", lambda: optimizers.AdamW(1e-3), "standardized")
plain("silu-4", 4, 64, "silu", lambda: optimizers.RMSprop(1e-3), "standardized")
plain("tanh-5", 5, 100, "tanh", lambda: optimizers.SGD(0.1), "standardized")
plain("tanh-10", 10, 100, "tanh", lambda: optimizers.SGD(0.01, momentum=0.9), "unit")
plain("tanh-3-adam", 3, 64, "tanh", lambda: optimizers.Adam(1e-3), "unit")
plain("selu-10", 10, 64, "selu", lambda: optimizers.SGD(0.01, momentum=0.9), "standardized")
plain("selu-6-adam", 6, 100, "selu", lambda: optimizers.Adam(5e-4), "standardized")
plain("logistic-1", 1, 100, "sigmoid", lambda: optimizers.Adam(3e-3), "standardized")
plain("softsign-4", 4, 64, "softsign", lambda: optimizers.Adam(1e-3), "standardized")


# What batch normalization cures: the beginnings are those of sick nets.


def normalized(name: str, depth: int, activation: str, initializer: Any, rate: float) -> None:
    """Register a net that learns by batch normalization alone."""

    @healthy(name)
    def build(seed: int) -> Case:
        hidden = stack(
            depth,
            100,
            activation,
            kernel_initializer=initializer,
            norm=lambda: BATCH_NORM(0.9),
        )
        optimizer = optimizers.SGD(rate, momentum=0.9)
        return compiled(chain(64, hidden, 10, seed), optimizer, data.digits(seed))


normalized("logistic-glorot-normalized", 6, "sigmoid", "glorot_uniform", 0.01)
normalized(
    "relu-std-.01-normalized", 20, "relu", lambda: initializers.RandomNormal(0.0, 0.01), 0.01
)
normalized("relu-std-.3-normalized", 20, "relu", lambda: initializers.RandomNormal(0.0, 0.3), 0.01)
normalized("relu-he-fast-normalized", 10, "relu", "he_normal", 0.1)
normalized("tanh-std-1-normalized", 10, "tanh", lambda: initializers.RandomNormal(0.0, 1.0), 0.01)
normalized("tanh-glorot-normalized", 10, "tanh", "glorot_uniform", 0.01)


@healthy("elu-normalized-after-the-activation")
def _(seed: int) -> Case:
    hidden = stack(
        8,
        64,
        "elu",
        kernel_initializer="auto",
        norm=lambda: BATCH_NORM(0.9),
        norm_position="after",
    )
    return compiled(chain(64, hidden, 10, seed), optimizers.Nadam(1e-3), data.digits(seed))


@healthy("layer-normalization")
def _(seed: int) -> Case:
    hidden = stack(6, 64, "relu", kernel_initializer="auto", norm=layers.LayerNormalization)
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("inputs-normalized-by-a-layer")
def _(seed: int) -> Case:
    rows = data.wine(seed, scaled=False)
    hidden = [BATCH_NORM(0.9), *stack(2, 32, "relu", kernel_initializer="auto")]
    return compiled(chain(13, hidden, 3, seed), optimizers.Adam(3e-3), rows)


@healthy("inputs-normalized-by-their-statistics")
def _(seed: int) -> Case:
    rows = data.cancer(seed, scaled=False)
    x = rows.x
    first = layers.Normalization(mean=x.mean(axis=0), variance=x.var(axis=0))
    hidden = [first, *stack(2, 32, "tanh", kernel_initializer="auto")]
    head = layers.Dense(1, "sigmoid", name="outputs")
    return compiled(
        chain(30, hidden, head, seed), optimizers.Adam(1e-3), rows, "binary_crossentropy"
    )


# Residual nets, branches, shared and frozen layers.


def block(width: int, activation: str, **last: Any) -> layers.Residual:
    """Return a residual block of two layers."""
    return layers.Residual([dense(width, activation), dense(width, **last)])


@healthy("residual-relu-zero-beginning")
def _(seed: int) -> Case:
    blocks = [block(64, "relu", kernel_initializer="zeros") for _ in range(12)]
    return compiled(chain(64, blocks, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("residual-tanh")
def _(seed: int) -> Case:
    blocks = [block(64, "tanh", kernel_initializer="zeros") for _ in range(8)]
    return compiled(chain(64, blocks, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("residual-normalized")
def _(seed: int) -> Case:
    blocks = [block(64, "relu", norm=BATCH_NORM(0.9)) for _ in range(4)]
    return compiled(chain(64, blocks, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("zero-head")
def _(seed: int) -> Case:
    head = layers.Dense(10, "softmax", kernel_initializer="zeros", name="outputs")
    hidden = stack(3, 64, "relu", kernel_initializer="auto")
    return compiled(chain(64, hidden, head, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("frozen-lower-layers")
def _(seed: int) -> Case:
    hidden = stack(4, 64, "relu", kernel_initializer="auto")
    for layer in hidden[:2]:
        layer.trainable = False
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("wide-and-deep")
def _(seed: int) -> Case:
    x = eg.Input((8,))
    deep = dense(32, "relu")(dense(32, "relu")(x))
    model = eg.Model(x, dense(1)(layers.Concatenate()([x, deep])), seed=seed)
    return compiled(model, optimizers.Adam(3e-3), data.sine(seed), "mse")


@healthy("parallel-branches")
def _(seed: int) -> Case:
    x = eg.Input((64,))
    towers = [dense(32, "relu")(dense(width, "relu")(x)) for width in (16, 32, 64) * 3]
    model = eg.Model(x, dense(10, "softmax")(layers.Concatenate()(towers)), seed=seed)
    return compiled(model, optimizers.Adam(1e-3), data.digits(seed))


@healthy("two-inputs")
def _(seed: int) -> Case:
    rows = data.sine(seed)
    a, b = eg.Input((5,)), eg.Input((3,))
    joined = layers.Concatenate()([dense(32, "elu")(a), dense(16, "elu")(b)])
    model = eg.Model([a, b], dense(1)(dense(32, "elu")(joined)), seed=seed)
    parts = data.Split(
        [rows.x[:, :5], rows.x[:, 5:]],
        rows.y,
        [rows.validation_x[:, :5], rows.validation_x[:, 5:]],
        rows.validation_y,
    )
    return compiled(model, optimizers.Adam(3e-3), parts, "mse")


@healthy("shared-layer")
def _(seed: int) -> Case:
    rows = data.digits(seed)
    top, bottom = eg.Input((32,)), eg.Input((32,))
    shared = dense(48, "relu", name="shared")
    joined = layers.Concatenate()([shared(top), shared(bottom)])
    model = eg.Model([top, bottom], dense(10, "softmax")(dense(48, "relu")(joined)), seed=seed)
    halves = data.Split(
        [rows.x[:, :32], rows.x[:, 32:]],
        rows.y,
        [rows.validation_x[:, :32], rows.validation_x[:, 32:]],
        rows.validation_y,
    )
    return compiled(model, optimizers.Adam(1e-3), halves)


@healthy("two-outputs")
def _(seed: int) -> Case:
    rows = data.digits(seed)
    x = eg.Input((64,))
    body = dense(64, "relu")(dense(64, "relu")(x))
    model = eg.Model(
        x, [dense(10, "softmax", name="digit")(body), dense(1, name="ink")(body)], seed=seed
    )
    model.compile(optimizers.Adam(1e-3), ["sparse_categorical_crossentropy", "mse"])
    ink = [x.mean(axis=1, keepdims=True) * 4 for x in (rows.x, rows.validation_x)]
    targets = [[rows.y, ink[0]], [rows.validation_y, ink[1]]]
    return Case(model, data.Split(rows.x, targets[0], rows.validation_x, targets[1]))


@healthy("model-within-a-model")
def _(seed: int) -> Case:
    body = eg.Sequential([dense(64, "relu"), dense(64, "relu")], name="body")
    return compiled(chain(64, [body], 10, seed), optimizers.Adam(1e-3), data.digits(seed))


class Gate(layers.Layer):
    """A layer of a user's own: tanh(x A) · σ(x B)."""

    def __init__(self, units: int, **shared: Any) -> None:
        super().__init__(**shared)
        self.signal = dense(units, "tanh")
        self.gate = dense(units, "sigmoid")

    def call(self, x: eg.Tensor) -> eg.Tensor:
        """Return the gated signal."""
        return self.signal(x) * self.gate(x)


class Gated(eg.Model):
    """A model of a user's own with such layers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed)
        self.first = Gate(64)
        self.second = Gate(64)
        self.head = layers.Dense(10, "softmax")

    def call(self, x: eg.Tensor) -> eg.Tensor:
        """Return the probabilities."""
        return self.head(self.second(self.first(x)))


@healthy("subclassed-with-layers-of-its-own")
def _(seed: int) -> Case:
    return compiled(Gated(seed), optimizers.Adam(3e-3), data.digits(seed, scale="standardized"))


@healthy("activation-of-a-user")
def _(seed: int) -> Case:
    hidden = stack(4, 64, None, kernel_initializer="he_normal")
    for layer in hidden:
        layer.activation = leaky
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


def leaky(z: eg.Tensor) -> eg.Tensor:
    """Return a leaky ReLU, written by hand."""
    return eg.maximum(0.05 * z, z)


# Recurrent layers and embeddings.


@healthy("lstm")
def _(seed: int) -> Case:
    model = chain((20, 3), [layers.LSTM(24, name="lstm")], 2, seed)
    return compiled(model, optimizers.Adam(5e-3), data.sequences(seed))


@healthy("gru-two-layers")
def _(seed: int) -> Case:
    hidden = [layers.GRU(16, return_sequences=True), layers.GRU(16)]
    return compiled(chain((20, 3), hidden, 2, seed), optimizers.Adam(5e-3), data.sequences(seed))


@healthy("simple-rnn-orthogonal")
def _(seed: int) -> Case:
    optimizer = optimizers.Adam(2e-3, global_clipnorm=1.0)
    model = chain((12, 3), [layers.SimpleRNN(24)], 2, seed)
    return compiled(model, optimizer, data.sequences(seed, steps=12))


@healthy("embedding-and-lstm")
def _(seed: int) -> Case:
    hidden = [layers.Embedding(50, 8), layers.LSTM(16)]
    return compiled(chain((12,), hidden, 2, seed), optimizers.Adam(5e-3), data.tokens(seed))


@healthy("embedding-with-words-never-seen")
def _(seed: int) -> Case:
    hidden = [layers.Embedding(2000, 8), layers.Flatten(), dense(32, "relu")]
    return compiled(chain((12,), hidden, 2, seed), optimizers.Adam(3e-3), data.tokens(seed))


# Regression, two classes, weights, dtypes, regularization.


@healthy("regression")
def _(seed: int) -> Case:
    hidden = stack(2, 32, "relu", kernel_initializer="auto")
    return compiled(chain(8, hidden, dense(1), seed), optimizers.Adam(3e-3), data.sine(seed), "mse")


@healthy("regression-huber-tanh")
def _(seed: int) -> Case:
    hidden = stack(2, 16, "tanh", kernel_initializer="auto")
    model = chain(10, hidden, dense(1), seed)
    return compiled(model, optimizers.SGD(0.03, momentum=0.9), data.diabetes(seed), "huber")


@healthy("linear-regression")
def _(seed: int) -> Case:
    return compiled(chain(10, [], dense(1), seed), optimizers.SGD(0.02), data.diabetes(seed), "mse")


@healthy("softmax-regression")
def _(seed: int) -> Case:
    return compiled(chain(64, [], 10, seed), optimizers.SGD(0.5), data.digits(seed))


@healthy("two-classes-by-one-unit")
def _(seed: int) -> Case:
    hidden = stack(2, 32, "relu", kernel_initializer="auto")
    model = chain(2, hidden, dense(1, "sigmoid"), seed)
    return compiled(model, optimizers.Adam(5e-3), data.moons(seed), "binary_crossentropy")


@healthy("logits")
def _(seed: int) -> Case:
    hidden = stack(3, 64, "relu", kernel_initializer="auto")
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model = chain(64, hidden, dense(10), seed)
    return compiled(model, optimizers.Adam(1e-3), data.digits(seed), loss)


@healthy("sample-weights")
def _(seed: int) -> Case:
    rows = data.cancer(seed)
    weights = np.where(rows.y == 0, 1.5, 0.75).astype("float32")
    hidden = stack(2, 32, "elu", kernel_initializer="auto")
    model = chain(30, hidden, dense(1, "sigmoid"), seed)
    return compiled(
        model, optimizers.Adam(1e-3), rows, "binary_crossentropy", sample_weight=weights
    )


@healthy("float64")
def _(seed: int) -> Case:
    hidden = stack(4, 64, "relu", kernel_initializer="auto")
    model = chain(64, hidden, 10, seed, dtype="float64")
    return compiled(model, optimizers.Adam(1e-3), data.digits(seed))


@healthy("small")
def _(seed: int) -> Case:
    model = chain(13, stack(1, 8, "tanh", kernel_initializer="auto"), 3, seed)
    return compiled(model, optimizers.Adam(0.01), data.wine(seed), batch_size=16)


@healthy("dropout")
def _(seed: int) -> Case:
    hidden: list[Any] = []
    for layer in stack(3, 128, "relu", kernel_initializer="auto"):
        hidden += [layer, layers.Dropout(0.2)]
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("selu-with-alpha-dropout")
def _(seed: int) -> Case:
    hidden = [*stack(5, 64, "selu", kernel_initializer="auto"), layers.AlphaDropout(0.1)]
    rows = data.digits(seed, scale="standardized")
    return compiled(chain(64, hidden, 10, seed), optimizers.SGD(0.02, momentum=0.9), rows)


@healthy("weight-decay-and-max-norm")
def _(seed: int) -> Case:
    hidden = stack(
        3,
        100,
        "relu",
        kernel_initializer="auto",
        kernel_regularizer=lambda: regularizers.L2(1e-4),
        kernel_constraint="max_norm",
    )
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("parametric-relu-layers")
def _(seed: int) -> Case:
    hidden: list[Any] = []
    for layer in stack(4, 64, None, kernel_initializer="he_normal"):
        hidden += [layer, layers.PReLU()]
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("maxout")
def _(seed: int) -> Case:
    hidden = [layers.Maxout(48, 2), layers.Maxout(48, 2)]
    return compiled(chain(64, hidden, 10, seed), optimizers.Adam(1e-3), data.digits(seed))


@healthy("autoencoder")
def _(seed: int) -> Case:
    rows = data.digits(seed)
    hidden = [dense(48, "elu"), dense(16, "elu", name="code"), dense(48, "elu")]
    model = chain(64, hidden, dense(64, "sigmoid"), seed)
    pairs = data.Split(rows.x, rows.x, rows.validation_x, rows.validation_x)
    return compiled(model, optimizers.Adam(2e-3), pairs, "mse")


@healthy("rare-class")
def _(seed: int) -> Case:
    rows = data.digits(seed)
    ones = [(y == 1).astype("int64") for y in (rows.y, rows.validation_y)]
    hidden = stack(2, 48, "relu", kernel_initializer="auto")
    model = chain(64, hidden, dense(1, "sigmoid"), seed)
    rare = data.Split(rows.x, ones[0], rows.validation_x, ones[1])
    return compiled(model, optimizers.Adam(1e-3), rare, "binary_crossentropy")


@healthy("validated-with-patience")
def _(seed: int) -> Case:
    hidden = stack(2, 32, "relu", kernel_initializer="auto")
    model = chain(64, hidden, 10, seed)
    return compiled(model, optimizers.Adam(1e-3), data.digits(seed), validated=True, steps=400)
