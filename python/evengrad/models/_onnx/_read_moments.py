"""How a normalization by rows is read that a file writes by its formula, as Keras does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.models._onnx._read_shapes import axes_of
from evengrad.models._onnx._reader import COMBINERS, reads

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._reader import Reader
    from evengrad.models._onnx._values import Operation, View

MEAN, MINUS_MEAN, CENTRED, SQUARES, VARIANCE, DEVIATION, INVERSE = range(7)
# x · gamma / deviation, and beta − mean · gamma / deviation.
FIRST, SECOND = 7, 8


@dataclass(eq=False)
class Moment:
    """A step of the formula, for features in the last dimension of a value."""

    kind: int
    of: View
    epsilon: float = 0.0
    gamma: Array | None = None
    beta: Array | None = None


@reads("Reciprocal")
def read_reciprocal(reader: Reader, operation: Operation) -> Any:
    """Read 1 / deviation: what else is divided by is no layer."""
    raise reader.refused(operation, "no layer divides by what the graph computes")


@reads("ReduceMean")
def read_mean(reader: Reader, operation: Operation) -> Moment:
    """Read a mean over features, of them or of their squared distances."""
    value = reader.raw(operation, 0)
    squares = isinstance(value, Moment) and value.kind == SQUARES
    view = value.of if squares else reader.view(operation, 0)
    ndim = len(view.axes)
    last = axes_of(reader, operation, ndim) == [ndim - 1]
    features = view.axes[-1] == view.symbol.ndim - 1
    if not last or not features or not reader.attribute(operation, "keepdims", 1):
        raise reader.refused(operation, "of means, those of a normalization by rows are read")
    return Moment(VARIANCE if squares else MEAN, view)


def combined(reader: Reader, operation: Operation) -> Any:
    """Return what an operator makes of steps of the formula; None where none is among its inputs.

    Raises an error where there is one and the operator is no further step.
    """
    given = [reader.values[name] for name in operation.inputs if name]
    if not any(isinstance(value, Moment) for value in given) or operation.operator == "ReduceMean":
        return None
    made = STEPS[operation.operator](reader, *given) if operation.operator in STEPS else None
    if made is None:
        raise reader.refused(operation, "a mean or deviation of rows in no formula that is known")
    if isinstance(made, tuple):
        return _drawn(reader, operation, made[0])
    return made


COMBINERS.append(combined)


def _drawn(reader: Reader, operation: Operation, whole: Moment) -> View:
    """Draw the layer for a whole formula."""
    arrays = [one.reshape(-1) for one in (whole.gamma, whole.beta) if one is not None]
    layer = reader.make(
        operation,
        layers.LayerNormalization,
        arrays,
        None,
        epsilon=whole.epsilon,
        scale=whole.gamma is not None,
        center=whole.beta is not None,
    )
    return reader.along(whole.of, reader.draw(operation, layer, whole.of.symbol))


def _is(value: Any, *kinds: int) -> bool:
    return isinstance(value, Moment) and value.kind in kinds


def _vector(one: Any, of: View) -> bool:
    """Tell whether a constant has a number for each feature."""
    return isinstance(one, np.ndarray) and one.size == of.shape[-1] == one.shape[-1]


def _number(one: Any) -> bool:
    return isinstance(one, np.ndarray) and one.size == 1


def _subtract(reader: Reader, left: Any, right: Any) -> Any:
    if _is(right, MEAN) and reader.same(reader.seen(left), right.of):
        return replace(right, kind=CENTRED)
    return None


def _multiply(reader: Reader, left: Any, right: Any) -> Any:
    for one, other in ((left, right), (right, left)):
        if _is(one, CENTRED) and one is other:
            return replace(one, kind=SQUARES)
        if _is(one, INVERSE):
            if one.gamma is None and _vector(other, one.of):
                return replace(one, gamma=other)
            if _is(other, MINUS_MEAN) and other.of is one.of:
                return replace(one, kind=SECOND)
            if reader.same(reader.seen(other), one.of):
                return replace(one, kind=FIRST)
    return None


def _add(reader: Reader, left: Any, right: Any) -> Any:
    del reader
    for one, other in ((left, right), (right, left)):
        if _is(one, VARIANCE) and _number(other):
            return replace(one, epsilon=one.epsilon + float(other.reshape(())))
        if _is(one, SECOND) and one.beta is None and _vector(other, one.of):
            return replace(one, beta=other)
        if _is(one, FIRST) and _is(other, SECOND) and one.of is other.of:
            alike = one.epsilon == other.epsilon and one.gamma is other.gamma
            return (other,) if alike else None
    return None


def _divide(reader: Reader, left: Any, right: Any) -> Any:
    del reader
    if _is(left, CENTRED) and _is(right, DEVIATION) and left.of is right.of:
        return (right,)
    return None


def _turned(kind: int, into: int) -> Any:
    """Return the step of an operator with one input."""

    def step(_: Reader, value: Any, *rest: Any) -> Any:
        square = not rest or bool((np.asarray(rest[0]) == 2).all())
        return replace(value, kind=into) if _is(value, kind) and square else None

    return step


STEPS: dict[str, Any] = {
    "Add": _add,
    "Div": _divide,
    "Mul": _multiply,
    "Neg": _turned(MEAN, MINUS_MEAN),
    "Pow": _turned(CENTRED, SQUARES),
    "Reciprocal": _turned(DEVIATION, INVERSE),
    "Sqrt": _turned(VARIANCE, DEVIATION),
    "Sub": _subtract,
}
