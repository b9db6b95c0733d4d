"""How functions of single numbers are read, also those that files write as several operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.models._onnx._operators import CLIPS, FUNCTIONS
from evengrad.models._onnx._reader import reads
from evengrad.models._onnx._values import Scaled, Sums, View, scaled

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._reader import Reader
    from evengrad.models._onnx._values import Operation

# Attributes are float32: they differ from the numbers of the tables by so much.
NEAR = 1e-6
# What attributes are where a file leaves them out.
DEFAULTS = {
    "Celu": {"alpha": 1.0},
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "LeakyRelu": {"alpha": 0.01},
    "Selu": {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805},
    "Swish": {"alpha": 1.0},
    "ThresholdedRelu": {"alpha": 1.0},
}
PLAIN = {row.operator: name for name, row in FUNCTIONS.items() if not row.attributes}
del PLAIN["Identity"]


def numbers(reader: Reader, operation: Operation) -> dict[str, float]:
    """Return the attributes of an operator that are numbers."""
    default = DEFAULTS[operation.operator]
    return {name: float(reader.attribute(operation, name, x)) for name, x in default.items()}


@reads(*PLAIN)
def read_plain(reader: Reader, operation: Operation) -> View:
    """Read a function without attributes."""
    return reader.apply(operation, 0, PLAIN[operation.operator])


@reads("Celu", "Elu", "HardSigmoid", "LeakyRelu", "Selu")
def read_with_numbers(reader: Reader, operation: Operation) -> Any:
    """Read a function with attributes: by name where they are the usual ones."""
    given = numbers(reader, operation)
    for name, row in FUNCTIONS.items():
        if row.operator == operation.operator and all(
            np.isclose(given[key], value, rtol=NEAR, atol=0.0)
            for key, value in row.attributes.items()
        ):
            return reader.apply(operation, 0, name)
    value, alpha = reader.scaled(operation, 0), given["alpha"]
    if operation.operator == "LeakyRelu":
        return layered(reader, operation, layers.LeakyReLU, alpha)
    if operation.operator == "Elu":
        return layered(reader, operation, layers.ELU, alpha)
    if operation.operator == "Selu":
        made = layered(reader, operation, layers.ELU, alpha)
        return scaled(made, None).times(np.float64(given["gamma"]))
    if operation.operator == "Celu":
        view = reader.drawn(operation, value.times(np.float64(1.0 / alpha)))
        made = _on_view(reader, operation, view, layers.ELU())
        return scaled(made, None).times(np.float64(alpha))
    # Ours is x/6 + ½, held to [0, 1].
    inner = value.times(np.float64(6.0 * alpha)).minus(np.float64(3.0 - 6.0 * given["beta"]))
    view = reader.drawn(operation, inner)
    return _on_view(reader, operation, view, layers.Activation("hard_sigmoid"))


def layered(reader: Reader, operation: Operation, kind: Any, *arguments: Any) -> View:
    """Draw a layer of a class on the first input."""
    view = reader.view(operation, 0)
    return _on_view(reader, operation, view, kind(*arguments, name=reader.own(operation.name)))


def _on_view(reader: Reader, operation: Operation, view: View, layer: Any) -> View:
    return reader.along(view, reader.draw(operation, layer, view.symbol))


@reads("ThresholdedRelu")
def read_thresholded(reader: Reader, operation: Operation) -> View:
    """Read x where x > alpha, else 0; our threshold is the first number that counts as above."""
    alpha = numbers(reader, operation)["alpha"]
    if alpha == 0.0:
        return reader.apply(operation, 0, "relu")
    kind = np.float32 if reader.dtype == "float32" else np.float64
    first = float(np.nextafter(kind(alpha), kind(np.inf)))
    return layered(reader, operation, layers.ReLU, None, 0.0, first)


@reads("Swish")
def read_swish(reader: Reader, operation: Operation) -> Any:
    """Read x · σ(alpha · x)."""
    alpha = numbers(reader, operation)["alpha"]
    if alpha == 1.0:
        return reader.apply(operation, 0, "swish")
    inner = reader.scaled(operation, 0).times(np.float64(alpha))
    view = reader.drawn(operation, inner)
    made = _on_view(reader, operation, view, layers.Activation("swish"))
    return scaled(made, None).times(np.float64(1.0 / alpha))


@reads("Gelu")
def read_gelu(reader: Reader, operation: Operation) -> View:
    """Read the Gaussian error unit; the approximation is drawn by its formula."""
    how = reader.attribute(operation, "approximate", "none")
    if how == "none":
        return reader.apply(operation, 0, "gelu")
    if how != "tanh":
        raise reader.refused(operation, f"attribute approximate={how!r}")
    view = reader.view(operation, 0)
    x = view.symbol
    cube = layers.Multiply()([x, x, x])
    # x · σ(2u), u the argument of tanh.
    rate = 2.0 * 0.7978845608028654
    doubled = layers.Add()([layers.Rescaling(rate)(x), layers.Rescaling(rate * 0.044715)(cube)])
    share = layers.Activation("sigmoid")(doubled)
    return reader.along(view, layers.Multiply()([x, share]))


@reads("Softmax", "LogSoftmax")
def read_softmax(reader: Reader, operation: Operation) -> View:
    """Read shares along an axis; up to version 12 all axes from one on count as one."""
    value = reader.raw(operation, 0)
    # A dense layer that is not drawn yet may take the activation.
    whole = isinstance(value, Sums) and value.view is None
    view = value.base if whole else reader.view(operation, 0)
    ndim = len(view.axes)
    axis = int(reader.attribute(operation, "axis", -1 if reader.file.opset >= 13 else 1)) % ndim
    if reader.file.opset < 13 and axis != ndim - 1:
        raise reader.refused(operation, f"attribute axis={axis} of version {reader.file.opset}")
    own = view.axes[axis]
    last = own == view.symbol.ndim - 1
    if last:
        return reader.apply(
            operation, 0, "softmax" if operation.operator == "Softmax" else "log_softmax"
        )
    if not own or operation.operator == "LogSoftmax":
        raise reader.refused(operation, f"attribute axis={axis}, over the rows or inside them")
    return layered(reader, operation, layers.Softmax, own)


@reads("PRelu")
def read_prelu(reader: Reader, operation: Operation) -> View:
    """Read the rectifier with learned slopes, which line up with the last dimensions."""
    view = reader.view(operation, 0)
    slopes = reader.constant(operation, 1)
    return prelu(reader, operation, view, reader.aligned(operation, slopes, view))


def prelu(reader: Reader, operation: Operation, view: View, alpha: Array) -> View:
    """Draw a rectifier with slopes that line up with the dimensions of a view's tensor."""
    alpha = np.reshape(alpha, alpha.shape or (1,) * view.symbol.ndim)
    row = view.symbol.shape[1:]
    shared = [i + 1 for i, size in enumerate(alpha.shape[1:]) if size == 1 and row[i] != 1]
    alpha = alpha.reshape(alpha.shape[1:])
    layer = reader.make(
        operation, layers.PReLU, [alpha], operation.name, shared_axes=shared or None
    )
    return _on_view(reader, operation, view, layer)


@reads("Clip")
def read_clip(reader: Reader, operation: Operation) -> Any:
    """Read an input held between two bounds: inputs, or attributes up to version 10."""
    low, high = _bounds(reader, operation)
    for name, bounds in CLIPS.items():
        if bounds == (low, high):
            return reader.apply(operation, 0, name)
    value: Any = reader.scaled(operation, 0)
    if low > -np.inf:
        value = above(reader, operation, value, np.float64(low))
    if high < np.inf:
        value = below(reader, operation, value, np.float64(high))
    return value


def _bounds(reader: Reader, operation: Operation) -> tuple[float, float]:
    found = []
    for place, (name, none) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        bound = reader.constant(operation, place, reader.attribute(operation, name, none))
        if bound.size != 1:
            raise reader.refused(operation, f"expected one number for {name}, got {bound.shape}")
        number = float(bound.reshape(()))
        # The largest number of float32 stands for none in older files.
        found.append(none if abs(number) >= float(np.finfo(np.float32).max) else number)
    return found[0], found[1]


def above(reader: Reader, operation: Operation, value: Scaled, bound: Any) -> Scaled:
    """Return the larger of a value and a constant: c + max(0, x − c)."""
    rectified = _rectified(reader, operation, value.minus(bound))
    return scaled(rectified, None).minus(-bound)


def below(reader: Reader, operation: Operation, value: Scaled, bound: Any) -> Scaled:
    """Return the smaller of a value and a constant: c − max(0, c − x)."""
    minus = np.float64(-1.0)
    rectified = _rectified(reader, operation, value.times(minus).minus(-bound))
    return scaled(rectified, None).times(minus).minus(-bound)


def _rectified(reader: Reader, operation: Operation, value: Scaled) -> View:
    view = reader.drawn(operation, value)
    made = _on_view(reader, operation, view, layers.Activation("relu"))
    made.made_by = ("relu", value)
    return made
