"""Methods of tensors that are made of native ones; importing this gives them to the class.

`_core.pyi` has what type checkers see of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._core import Tensor
from evengrad._tensor import (
    arithmetic,
    extremes,
    in_place,
    indexing,
    joining,
    logic,
    reductions,
    scans,
    shaping,
    spread,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Functions that are methods of the same name.
SHARED = {
    arithmetic: ("ceil", "clamp", "clip", "dot", "floor", "log2", "log10", "masked_fill", "round"),
    extremes: ("amax", "amin", "argmax", "argmin", "max", "min"),
    joining: ("chunk", "flip", "repeat", "split"),
    logic: ("isfinite", "isinf", "isnan"),
    reductions: ("all", "any", "logsumexp", "mean", "prod", "sum"),
    scans: ("argsort", "cumprod", "cumsum", "gather", "sort"),
    shaping: ("flatten", "squeeze", "swapaxes", "view"),
    spread: ("norm", "std", "var"),
}


def _by_protocol(name: str) -> Callable[..., Any]:
    """Return a method of a protocol of NumPy's, whose tables are made when it is first asked."""

    def method(x: Tensor, *args: Any, **kwargs: Any) -> Any:
        from evengrad._tensor import numpy_protocols

        return getattr(numpy_protocols, name)(x, *args, **kwargs)

    return method


def _truths_alone(symbol: str, function: Callable[[Any, Any], Tensor]) -> Callable[..., Any]:
    """Return an operator of truths; of whole numbers it would be one of bits, which is not here."""

    def operate(x: Tensor, other: Any) -> Any:
        kind = str(getattr(other, "dtype", type(other).__name__))
        if x.dtype == "bool" and kind == "bool":
            return function(x, other)
        if kind not in ("bool", "int64", "float32", "float64", "int", "float"):
            return NotImplemented
        raise TypeError(
            f"x {symbol} y: expected truths, got {x.dtype} and {kind}; compare first, as in (x > 0)"
        )

    return operate


def _inverted(x: Tensor) -> Tensor:
    if x.dtype != "bool":
        raise TypeError(f"~x: expected truths, got {x.dtype}; compare first, as in ~(x > 0)")
    return logic.logical_not(x)


OPERATORS: dict[str, Callable[..., Any]] = {
    "__getitem__": indexing.getitem,
    "__setitem__": indexing.setitem,
    "__format__": values.formatted,
    "__round__": values.rounded,
    "__index__": values.as_index,
    "__contains__": values.contains,
    "__getattr__": values.missing,
    "__floordiv__": arithmetic.floor_divide,
    "__rfloordiv__": lambda x, other: arithmetic.floor(other / x),
    "__mod__": arithmetic.remainder,
    "__rmod__": lambda x, other: other - arithmetic.floor(other / x) * x,
    "__and__": (_and := _truths_alone("&", logic.logical_and)),
    "__rand__": _and,
    "__or__": (_or := _truths_alone("|", logic.logical_or)),
    "__ror__": _or,
    "__xor__": (_xor := _truths_alone("^", logic.logical_xor)),
    "__rxor__": _xor,
    "__invert__": _inverted,
    "__array_ufunc__": _by_protocol("array_ufunc"),
    "__array_function__": _by_protocol("array_function"),
    **in_place.METHODS,
    "bool": values.bool_,
    "double": values.double,
    "float": values.float_,
    "long": values.long,
}


def attach() -> None:
    """Give the class its methods."""
    for module, names in SHARED.items():
        for name in names:
            setattr(Tensor, name, getattr(module, name))
    for name, function in OPERATORS.items():
        setattr(Tensor, name, function)


attach()
