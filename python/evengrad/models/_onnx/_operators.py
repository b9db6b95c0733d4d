"""What the writer and the reader share: operators, functions of one number, orders of gates."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evengrad._tensor import activations, elementwise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Row:
    """A function of one number that is one operator, with all of its attributes."""

    operator: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


# Functions of `evengrad.activations` and `evengrad`, by name. Attributes are written out: defaults
# differ between libraries. Those of `selu` are what float32 makes of the closed forms.
FUNCTIONS = {
    "abs": Row("Abs"),
    "celu": Row("Celu", {"alpha": 1.0}),
    "cos": Row("Cos"),
    "elu": Row("Elu", {"alpha": 1.0}),
    "erf": Row("Erf"),
    "exponential": Row("Exp"),
    "gelu": Row("Gelu", {"approximate": "none"}),
    "hard_sigmoid": Row("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_swish": Row("HardSwish"),
    "leaky_relu": Row("LeakyRelu", {"alpha": 0.01}),
    "linear": Row("Identity"),
    "log": Row("Log"),
    "log_softmax": Row("LogSoftmax", {"axis": -1}),
    "mish": Row("Mish"),
    "relu": Row("Relu"),
    "selu": Row("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}),
    "sigmoid": Row("Sigmoid"),
    "sign": Row("Sign"),
    "sin": Row("Sin"),
    "softmax": Row("Softmax", {"axis": -1}),
    "softplus": Row("Softplus"),
    "softsign": Row("Softsign"),
    "sqrt": Row("Sqrt"),
    "tanh": Row("Tanh"),
}
# Those that are their input held between two bounds.
CLIPS = {"hard_tanh": (-1.0, 1.0), "relu6": (0.0, 6.0)}

# Operators without a kernel for doubles in ONNX Runtime (1.32), as of which files of them load and
# fail when they run (the recurrent ones), or do not load.
FLOAT_ONLY = frozenset(
    {"Celu", "Elu", "Erf", "GRU", "Gelu", "HardSigmoid", "HardSwish", "LSTM", "LeakyRelu", "Mish"}
    | {"PRelu", "RNN", "Selu", "Softplus", "Softsign", "ThresholdedRelu"}
)

# The activations that recurrent operators know. Each eats as many numbers of the lists
# `activation_alpha` and `activation_beta` as stand here: the lists have no fillers.
RECURRENT_FUNCTIONS = {
    "elu": Row("Elu", {"alpha": 1.0}),
    "hard_sigmoid": Row("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "leaky_relu": Row("LeakyRelu", {"alpha": 0.01}),
    "linear": Row("Affine", {"alpha": 1.0, "beta": 0.0}),
    "relu": Row("Relu"),
    "sigmoid": Row("Sigmoid"),
    "softplus": Row("Softplus"),
    "softsign": Row("Softsign"),
    "tanh": Row("Tanh"),
}


@dataclass(frozen=True)
class Cell:
    """A recurrent operator: where the gates of a layer stand in it, and what its functions are."""

    operator: str
    # The place here of each of the operator's gates. LSTM: i o f c there, i f g o here.
    gates: tuple[int, ...]
    # Where the operator takes its functions from, in its order.
    functions: tuple[str, ...]


CELLS = {
    "GRU": Cell("GRU", (0, 1, 2), ("recurrent_activation", "activation")),
    "LSTM": Cell("LSTM", (0, 3, 1, 2), ("recurrent_activation", "activation", "activation")),
    "SimpleRNN": Cell("RNN", (0,), ("activation",)),
}


@functools.cache
def _names() -> dict[int, str]:
    """Return the names in `FUNCTIONS` and `CLIPS` of functions, by their identities."""
    known: dict[str, Callable[..., Any]] = {**activations.offered()}
    known.update({name: getattr(elementwise, name) for name in elementwise.__all__})
    names = {id(known[name]): name for name in (*FUNCTIONS, *CLIPS)}
    return {**names, id(known["silu"]): "silu", id(known["square"]): "square"}


def function_name(function: Any) -> str | None:
    """Return the name of a function that the tables have; None of any other."""
    return _names().get(id(function))


def function_named(name: str) -> Any:
    """Return what a layer takes for a function of the tables: a name, or the function itself."""
    return name if name in activations.offered() else getattr(elementwise, name)
