"""Nets that Keras and this library make by the same words, with data for them.

Each function takes a library: something with `Input`, `layers`, `Sequential` and `Model`.
"""

import numpy as np

ROWS, STEPS, FEATURES = 6, 5, 4
IMAGE = (5, 4, 3)


def chain(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((FEATURES,)),
            L.Normalization(axis=-1),
            L.Dense(5, "relu", name="first"),
            L.Dense(5, "elu", use_bias=False),
            L.BatchNormalization(epsilon=0.01),
            L.Activation("selu"),
            L.Dense(6, "softplus", kernel_regularizer="l2", kernel_constraint="max_norm"),
            L.LayerNormalization(epsilon=1e-4),
            L.LeakyReLU(negative_slope=0.15),
            L.Dropout(0.4),
            L.Dense(6, "gelu"),
            L.PReLU(),
            L.GaussianNoise(0.3),
            L.Dense(4, "tanh"),
            L.GaussianDropout(0.2),
            L.ELU(alpha=0.7),
            L.AlphaDropout(0.2),
            L.Dense(4, "hard_sigmoid"),
            L.ReLU(max_value=0.9, negative_slope=0.1, threshold=0.2),
            L.Dense(3),
            L.Softmax(),
        ],
        name="chain",
    )


def sequences(k):
    L = k.layers
    return k.Sequential(
        [
            k.Input((STEPS, FEATURES)),
            L.LSTM(3, return_sequences=True),
            L.GRU(4, return_sequences=True, dropout=0.1),
            L.Dense(3, "silu"),
            L.GRU(3, reset_after=False, return_sequences=True, go_backwards=True),
            L.PReLU(shared_axes=[1]),
            L.SimpleRNN(4, return_sequences=True, use_bias=False),
            L.LSTM(3, "relu", recurrent_activation="hard_sigmoid", return_sequences=True),
            L.Reshape((3, -1)),
            L.BatchNormalization(scale=False),
            L.LayerNormalization(center=False),
            L.BatchNormalization(center=False),
            L.Flatten(),
            L.Dense(2, "sigmoid"),
        ]
    )


def words(k):
    """Return activations by all names that both have."""
    L = k.layers
    names = ("relu6", "softsign", "mish", "exponential", "hard_silu", "log_softmax", "leaky_relu")
    parts = [k.Input((FEATURES,))]
    for place, name in enumerate(names):
        # There the two differ by name: the slope stands in the file.
        dense = L.Dense(4) if name == "leaky_relu" else L.Dense(4, name)
        parts += [dense, L.Rescaling(0.5, offset=0.1 * place)]
    return k.Sequential(parts)


def tokens(k):
    L = k.layers
    return k.Sequential(
        [k.Input((STEPS,)), L.Embedding(7, 3), L.GRU(3), L.Dense(2), L.Rescaling(2.0, 1.0)]
    )


def graph(k):
    """Return branches, a layer with several places, models inside, states handed on."""
    L = k.layers
    x, side = k.Input((STEPS, FEATURES), name="x"), k.Input((FEATURES,), name="side")
    output, h, c = L.LSTM(4, return_state=True)(x)
    again = L.LSTM(4)(x, initial_state=[h, c])
    shared = L.Dense(4, "tanh")
    body = k.Sequential([k.Input((FEATURES,)), L.Dense(4, "relu"), L.Dense(4)], name="body")
    inner_x = k.Input((4,))
    inner = k.Model(inner_x, L.Add()([L.Dense(4, "relu")(inner_x), inner_x]), name="inner")
    # Two that look alike, in an order that is not that of their use.
    late, early = L.Dense(4), L.Dense(4)
    a = early(side)
    b = late(L.Maximum()([body(side), again]))
    merged = L.Concatenate()(
        [
            L.Average()([shared(shared(a)), b]),
            L.Subtract()([output, L.Minimum()([a, b])]),
            inner(L.Multiply()([inner(a), b])),
        ]
    )
    head = L.Dense(3, "softmax", name="head")(merged)
    return k.Model([x, side], [head, L.Dropout(0.5)(merged, training=False)], name="graph")


def images(k):
    """Return the layers that change images at random, which all releases of Keras have."""
    L = k.layers
    return k.Sequential(
        [
            k.Input(IMAGE),
            L.RandomTranslation((-0.2, 0.1), 0.1, fill_mode="wrap"),
            L.RandomRotation(0.1, fill_mode="constant", fill_value=0.5),
            L.RandomZoom((-0.2, 0.1), interpolation="nearest"),
            L.RandomFlip("horizontal"),
            L.RandomBrightness(0.2, value_range=(0.0, 1.0)),
            L.RandomContrast((0.2, 0.2)),
            L.Flatten(),
            L.Dense(2),
        ]
    )


def erasing(k):
    """Return a net with a layer that the first releases of Keras have not."""
    first = k.layers.RandomErasing((0.2, 0.6), scale=0.3, fill_value=[0.1, 0.2, 0.3])
    return k.Sequential([k.Input(IMAGE), first])


def stepwise(k):
    """Return layers that Keras wraps; those of this library take sequences as they are."""
    L = k.layers
    wrap = getattr(L, "TimeDistributed", lambda layer: layer)
    return k.Sequential(
        [
            k.Input((STEPS, FEATURES)),
            wrap(L.Dense(5, "tanh")),
            wrap(L.LayerNormalization(epsilon=0.01)),
            wrap(L.Activation("elu")),
            wrap(L.Rescaling(0.5, offset=1.0)),
            L.LSTM(3, return_sequences=True),
            wrap(L.Dense(2, use_bias=False)),
        ]
    )


CASES = {one.__name__: one for one in (chain, sequences, words, tokens, graph, images)}
# What Keras' files have and those written here never.
READ = {"stepwise": stepwise}


def data(name):
    """Return the inputs of a net, float64."""
    draws = np.random.default_rng(len(name))
    sequences = draws.normal(size=(ROWS, STEPS, FEATURES))
    rows = draws.normal(size=(ROWS, FEATURES))
    if name == "tokens":
        return [draws.integers(0, 7, (ROWS, STEPS)).astype(float)]
    if name == "graph":
        return [sequences, rows]
    if name == "images":
        return [draws.random((ROWS, *IMAGE))]
    return [sequences if name in ("sequences", "stepwise") else rows]


def values(name, shape, draws):
    """Return values for a variable by its name."""
    drawn = draws.normal(size=shape) * 0.5
    return np.abs(drawn) + 0.5 if "variance" in name else drawn
