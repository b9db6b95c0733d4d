"""Activations that are elementwise functions.

Written by ``make stubs`` from the table in rust/core/src/ops/elementwise.rs: do not edit.
"""

from evengrad._core import (
    celu,
    elu,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    mish,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
)
from evengrad._tensor.gelu import gelu
from evengrad._tensor.relu import relu

__all__ = [
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
]
