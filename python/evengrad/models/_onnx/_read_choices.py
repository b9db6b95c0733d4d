"""How choices by a comparison are read: exporters write a softplus with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad.models._onnx._reader import reads

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._reader import Reader
    from evengrad.models._onnx._values import Operation, View

# From here on ln(1 + e^x) is x, to the last digit of a dtype.
LINEAR = {"float32": 17.0, "float64": 37.0}


@dataclass(eq=False)
class Above:
    """Where a value is above a constant."""

    value: Any
    bound: Array


@reads("Greater")
def read_greater(reader: Reader, operation: Operation) -> Above:
    """Read a comparison with a constant."""
    return Above(reader.raw(operation, 0), reader.constant(operation, 1))


@reads("Where")
def read_choice(reader: Reader, operation: Operation) -> View:
    """Read x where x is large, else softplus(x)."""
    condition, x, other = (reader.raw(operation, place) for place in range(3))
    if isinstance(condition, Above) and bool((condition.bound >= LINEAR[reader.dtype]).all()):
        name, argument = getattr(other, "made_by", None) or ("", None)
        if name == "softplus" and reader.same(argument, x) and reader.same(condition.value, x):
            return reader.view(operation, 2)
    raise reader.refused(operation, "of choices, those of a softplus alone are read")
