"""How sums, products and extremes are read: of several inputs as merges, or as scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.models._onnx._read_functions import above, below, prelu
from evengrad.models._onnx._reader import reads
from evengrad.models._onnx._values import Scaled, Sums, View, scaled

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._reader import Reader
    from evengrad.models._onnx._values import Operation

MERGES = {
    "Add": layers.Add,
    "Max": layers.Maximum,
    "Mean": layers.Average,
    "Min": layers.Minimum,
    "Mul": layers.Multiply,
    "Sub": layers.Subtract,
    "Sum": layers.Add,
}
# How near to 1/√2 a float32 is.
NEAR = 1e-6


@reads("Add", "Sum")
def read_add(reader: Reader, operation: Operation) -> Any:
    """Read a sum: a bias, a shift, or inputs that are added."""
    if len(operation.inputs) != 2 or not _one_constant(reader, operation):
        found = _with_slopes(reader, operation)
        return merged(reader, operation) if found is None else found
    place, constant = _constant_of(reader, operation)
    value = reader.raw(operation, place)
    alone = reader.uses[operation.inputs[place]] == 1
    if isinstance(value, Sums) and value.bias is None and value.view is None and alone:
        units = value.kernel.shape[1]
        if constant.shape[:-1] == (1,) * (constant.ndim - 1) and constant.shape[-1:] == (units,):
            return Sums(value.base, value.kernel, _vector(reader, constant), value.name)
    own = reader.scaled(operation, place)
    return own.minus(-reader.aligned(operation, constant, own.base))


def _vector(reader: Reader, constant: Array) -> Array:
    """Return a bias as a vector: the same for the same constant, so that layers are shared."""
    if constant.ndim == 1:
        return constant
    return reader.derived(constant, "vector", lambda: constant.reshape(-1))


@reads("Sub")
def read_subtract(reader: Reader, operation: Operation) -> Any:
    """Read a difference."""
    if not _one_constant(reader, operation):
        return merged(reader, operation)
    place, constant = _constant_of(reader, operation)
    own = reader.scaled(operation, place)
    aligned = reader.aligned(operation, constant, own.base)
    if place == 0:
        return own.minus(aligned)
    return own.times(np.float64(-1.0)).minus(-aligned)


@reads("Mul")
def read_multiply(reader: Reader, operation: Operation) -> Any:
    """Read a product: a factor, a unit that files write as several operators, or a gate."""
    if _one_constant(reader, operation):
        place, constant = _constant_of(reader, operation)
        own = reader.scaled(operation, place)
        return own.times(reader.aligned(operation, constant, own.base))
    for x, other in ((0, 1), (1, 0)):
        found = _unit(reader, operation, x, reader.raw(operation, other))
        if found is not None:
            return found
    return merged(reader, operation)


@reads("Div")
def read_divide(reader: Reader, operation: Operation) -> Any:
    """Read a quotient with a constant below."""
    if reader.is_constant(operation, 1):
        own = reader.scaled(operation, 0)
        with np.errstate(divide="ignore"):
            factor = 1.0 / reader.aligned(operation, reader.constant(operation, 1), own.base)
        return own.times(factor)
    found = _softsign(reader, operation)
    if found is None:
        raise reader.refused(operation, "no layer divides by what the graph computes")
    return found


@reads("Neg")
def read_negative(reader: Reader, operation: Operation) -> Scaled:
    """Read −x."""
    return reader.scaled(operation, 0).times(np.float64(-1.0))


@reads("Pow")
def read_power(reader: Reader, operation: Operation) -> View:
    """Read a square."""
    if not bool((reader.constant(operation, 1) == 2).all()):
        raise reader.refused(operation, "of powers, squares alone are read")
    return reader.apply(operation, 0, "square")


@reads("Max", "Min")
def read_extreme(reader: Reader, operation: Operation) -> Any:
    """Read the largest or smallest of inputs, of which constants are bounds."""
    places = range(len(operation.inputs))
    if not any(reader.is_constant(operation, place) for place in places):
        return merged(reader, operation)
    bounds = [p for p in places if reader.is_constant(operation, p)]
    others = [p for p in places if p not in bounds]
    if len(others) != 1:
        raise reader.refused(operation, "bounds beside several inputs")
    bound = above if operation.operator == "Max" else below
    value = reader.scaled(operation, others[0])
    for place in bounds:
        constant = reader.aligned(operation, reader.constant(operation, place), value.base)
        value = bound(reader, operation, value, constant)
    return value


@reads("Mean")
def merged(reader: Reader, operation: Operation) -> View:
    """Draw the layer that joins inputs of one shape."""
    views = reader.views(operation)
    first = views[0]
    if any((one.axes, one.flipped) != (first.axes, first.flipped) for one in views):
        raise reader.refused(operation, "the inputs have their dimensions in different orders")
    if any(one.shape != first.shape for one in views):
        shown = ", ".join(str(one.shape) for one in views)
        raise reader.refused(operation, f"expected inputs of one shape, got {shown}")
    symbols = [one.symbol for one in views]
    if len(symbols) == 1:
        return first
    layer = MERGES[operation.operator](name=reader.own(operation.name))
    return reader.along(first, reader.draw(operation, layer, *symbols))


def _one_constant(reader: Reader, operation: Operation) -> bool:
    return any(reader.is_constant(operation, place) for place in (0, 1))


def _constant_of(reader: Reader, operation: Operation) -> tuple[int, Array]:
    """Return the place of the input that is computed, and the constant beside it."""
    place = 1 if reader.is_constant(operation, 0) else 0
    return place, reader.constant(operation, 1 - place)


# ---- functions that files write as several operators


def _unit(reader: Reader, operation: Operation, place: int, other: Any) -> Any:
    """Return what x · f(x) is, where that is a function here."""
    x = reader.raw(operation, place)
    if isinstance(other, View) and other.made_by is not None:
        name, argument = other.made_by
        if name == "sigmoid" and reader.same(argument, x):
            return reader.apply(operation, place, "swish")
        if name == "hard_sigmoid" and reader.same(argument, x):
            return reader.apply(operation, place, "hard_swish")
        if name == "tanh" and isinstance(argument, View) and argument.made_by is not None:
            inner, of = argument.made_by
            if inner == "softplus" and reader.same(of, x):
                return reader.apply(operation, place, "mish")
        return None
    return _gelu(reader, operation, place, other)


def _gelu(reader: Reader, operation: Operation, place: int, other: Any) -> Any:
    """Return 2k · gelu(x) for x · (k · erf(x/√2) + k)."""
    if not isinstance(other, Scaled) or other.base.made_by is None:
        return None
    name, argument = other.base.made_by
    if name != "erf" or not isinstance(argument, Scaled) or not argument.is_factor():
        return None
    whole = other.offset - other.shift * other.factor
    numbers = [one.ravel() for one in (argument.factor, other.factor, whole)]
    if any(one.size != 1 for one in numbers):
        return None
    rate, factor, offset = (float(one[0]) for one in numbers)
    x = reader.raw(operation, place)
    # A factor may have come to x beside the rest: x · ½, say.
    outer = 1.0
    if isinstance(x, Scaled) and x.is_factor() and x.factor.size == 1 and x.view is None:
        outer, x = float(x.factor.ravel()[0]), x.base
    base = argument.base
    if not reader.same(x, base) or abs(rate * 2**0.5 - 1) > NEAR or factor != offset:
        return None
    made = reader.along(base, reader.draw(operation, layers.Activation("gelu"), base.symbol))
    return scaled(made, operation.name).times(np.float64(2.0 * factor * outer))


def _softsign(reader: Reader, operation: Operation) -> View | None:
    """Return x / (1 + |x|)."""
    below_line = reader.raw(operation, 1)
    if not isinstance(below_line, Scaled) or below_line.base.made_by is None:
        return None
    name, argument = below_line.base.made_by
    added = below_line.offset - below_line.shift
    one = bool((below_line.factor == 1.0).all()) and bool((added == 1.0).all())
    if name != "abs" or not one or not reader.same(argument, reader.raw(operation, 0)):
        return None
    return reader.apply(operation, 0, "softsign")


def _with_slopes(reader: Reader, operation: Operation) -> View | None:
    """Return PReLU for max(0, x) + (−slopes) · max(0, −x), as Keras writes it."""
    if len(operation.inputs) != 2:
        return None
    for place in (0, 1):
        positive, negative = reader.raw(operation, place), reader.raw(operation, 1 - place)
        if not isinstance(negative, Scaled) or not negative.is_factor():
            continue
        inner, outer = negative.base.made_by, getattr(positive, "made_by", None)
        if inner is None or outer is None or (inner[0], outer[0]) != ("relu", "relu"):
            continue
        turned = inner[1]
        if not isinstance(turned, Scaled) or not turned.is_factor():
            continue
        if bool((turned.factor == -1.0).all()) and reader.same(turned.base, outer[1]):
            return prelu(reader, operation, turned.base, -negative.factor)
    return None
