"""What recurrent layers compute, row by row and step by step in NumPy."""

import numpy as np
from scipy.special import expit

from evengrad import layers

KINDS = {
    "simple": (layers.SimpleRNN, {}),
    "lstm": (layers.LSTM, {}),
    "gru": (layers.GRU, {}),
    "gru_before": (layers.GRU, {"reset_after": False}),
}
# Activations that no single operation knows: the layers compute step by step then.
OTHERS = {
    "lstm_other": (layers.LSTM, {"activation": "softsign", "recurrent_activation": "hard_sigmoid"}),
    "gru_other": (layers.GRU, {"activation": "elu", "recurrent_activation": "sigmoid"}),
    "simple_other": (layers.SimpleRNN, {"activation": "gelu"}),
}
FUNCTIONS = {
    "tanh": np.tanh,
    "sigmoid": expit,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(__import__("math").erf)(x / np.sqrt(2))),
}


def make(kind, units=3, **options):
    cls, given = {**KINDS, **OTHERS}[kind]
    return cls(units, dtype="float64", **given, **options)


def fill(layer, shape, rng):
    """Build a layer and give it random weights, biases too."""
    layer(np.zeros(shape))
    layer.set_weights([rng.normal(size=w.shape) * 0.7 for w in layer.weights])
    return layer


def by_hand(layer, x, states=None):
    """One row after the other, one step after the other, as the papers write it."""
    weights = [np.asarray(w) for w in layer.get_weights()]
    kernel, recurrent = weights[:2]
    u = layer.units
    act = FUNCTIONS[layer.activation.__name__]
    everything, last = [], []
    for row in range(len(x)):
        h = np.zeros(u) if states is None else states[0][row].copy()
        c = np.zeros(u) if states is None or len(states) < 2 else states[1][row].copy()
        outputs = []
        steps = x[row][::-1] if layer.go_backwards else x[row]
        for inputs in steps:
            if isinstance(layer, layers.SimpleRNN):
                bias = weights[2] if layer.use_bias else 0
                h = act(inputs @ kernel + h @ recurrent + bias)
            elif isinstance(layer, layers.LSTM):
                gate = FUNCTIONS[layer.recurrent_activation.__name__]
                bias = weights[2] if layer.use_bias else 0
                i, f, g, o = np.split(inputs @ kernel + h @ recurrent + bias, 4)
                c = gate(f) * c + gate(i) * act(g)
                h = gate(o) * act(c)
            else:
                gate = FUNCTIONS[layer.recurrent_activation.__name__]
                wz, wr, wh = np.split(kernel, 3, axis=1)
                uz, ur, uh = np.split(recurrent, 3, axis=1)
                bias = np.zeros((2, 3 * u))
                if layer.use_bias:
                    bias[: 2 if layer.reset_after else 1] = weights[2]
                bz, br, bh = np.split(bias[0], 3)
                cz, cr, ch = np.split(bias[1], 3)
                z = gate(inputs @ wz + bz + h @ uz + cz)
                r = gate(inputs @ wr + br + h @ ur + cr)
                inner = r * (h @ uh + ch) if layer.reset_after else (r * h) @ uh
                h = z * h + (1 - z) * act(inputs @ wh + bh + inner)
            outputs.append(h)
        everything.append(outputs)
        last.append([h, c] if isinstance(layer, layers.LSTM) else [h])
    outputs = np.array(everything)
    return outputs, [np.array(state) for state in zip(*last, strict=True)]
