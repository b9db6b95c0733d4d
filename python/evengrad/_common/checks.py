"""Checks of arguments; messages name the argument, what was expected, what came."""

from __future__ import annotations

import contextlib
import operator
from typing import Any

FLOATS = ("float32", "float64")


def check_int(value: Any, argument: str, *, at_least: int) -> int:
    """Return an integer that is not too small; booleans are not taken for one."""
    try:
        # What has `__index__` may be an array of several numbers.
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{argument}: expected an integer, got {shown(value)}")
    if number < at_least:
        raise ValueError(f"{argument}: expected {at_least} or more, got {number}")
    return number


def check_float(
    value: Any,
    argument: str,
    *,
    low: float = -float("inf"),
    high: float = float("inf"),
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return a number within the bounds; NaN is within none."""
    number = None
    if not isinstance(value, bool) and (hasattr(value, "__float__") or hasattr(value, "__index__")):
        # It may be an array of several numbers.
        with contextlib.suppress(TypeError):
            number = float(value)
    if number is None:
        raise TypeError(f"{argument}: expected a number, got {shown(value)}")
    above = number > low if open_low else number >= low
    below = number < high if open_high else number <= high
    if not (above and below):
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise ValueError(
            f"{argument}: expected a number in {left}{low:g}, {high:g}{right}, got {number:g}"
        )
    return number


def shown(value: Any) -> str:
    """Return a value of a wrong kind for messages: of an array its shape, for it may be long."""
    kind = type(value).__name__
    shape = getattr(value, "shape", ())
    return f"{kind} of shape {shape}" if shape else f"{value!r} ({kind})"


def check_dtype(dtype: Any, argument: str = "dtype") -> str:
    """Return the name of a floating-point type that models compute with."""
    name = getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or dtype
    if name not in FLOATS:
        raise ValueError(f"{argument}: expected 'float32' or 'float64', got {dtype!r}")
    return str(name)


def check_shape(shape: Any, argument: str) -> tuple[int, ...]:
    """Return a shape as a tuple of sizes, each at least 1."""
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(check_int(size, argument, at_least=1) for size in sizes)


def check_row_shape(shape: Any, argument: str) -> tuple[int | None, ...]:
    """Return the shape of a row, in which sizes that are left open are None."""
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    return tuple(None if size is None else check_shape(size, argument)[0] for size in sizes)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 row``, ``2 rows``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
