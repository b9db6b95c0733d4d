"""Elementwise functions.

Written by ``make stubs`` from the table in rust/core/src/ops/elementwise.rs: do not edit.
"""

from evengrad._core import (
    abs,
    cos,
    erf,
    exp,
    expm1,
    log,
    log1p,
    sign,
    sin,
    sqrt,
    square,
)
from evengrad._tensor.arithmetic import clamp

__all__ = [
    "abs",
    "clamp",
    "cos",
    "erf",
    "exp",
    "expm1",
    "log",
    "log1p",
    "sign",
    "sin",
    "sqrt",
    "square",
]
