"""How operators that move or cut dimensions are read: none of them is a layer by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.models._onnx._file import FLOATS, WHOLE
from evengrad.models._onnx._reader import reads
from evengrad.models._onnx._values import CUT, MERGED, ROWS, Operation, View, view_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.layers._symbolic import Symbolic
    from evengrad.models._onnx._reader import Reader


@reads("Identity", "ZipMap")
def read_identity(reader: Reader, operation: Operation) -> Any:
    """Read what is handed on."""
    return reader.raw(operation, 0)


@reads("Dropout")
def read_dropout(reader: Reader, operation: Operation) -> Any:
    """Read noise that is off."""
    trains = reader.has(operation, 2) and bool(reader.constant(operation, 2).any())
    if trains and bool(reader.constant(operation, 1, 0.5).any()):
        raise reader.refused(
            operation,
            "training_mode: the file was exported while training; export after model.eval()",
        )
    if len(operation.outputs) > 1 and reader.uses[operation.outputs[1]]:
        raise reader.refused(operation, "its mask is used")
    return reader.raw(operation, 0)


@reads("Cast")
def read_cast(reader: Reader, operation: Operation) -> Any:
    """Read a change between kinds of floats, or to the whole numbers that `Gather` takes."""
    to = int(operation.attributes.get("to", 0))
    if to not in (*FLOATS, *WHOLE):
        raise reader.refused(operation, f"attribute to={reader.file.kind_name(to)}")
    value = reader.raw(operation, 0)
    if to in FLOATS and not isinstance(value, View):
        return value
    view = reader.drawn(operation, value)
    if to in FLOATS and view.whole == CUT:
        raise reader.refused(operation, "floats of which a file has cut the fractions")
    whole = "" if to in FLOATS else view.whole or CUT
    made_by = view.made_by if whole == view.whole else None
    return View(view.symbol, view.axes, view.flipped, made_by, view.last, whole)


@reads("Constant")
def read_constant(reader: Reader, operation: Operation) -> Array:
    """Read a constant that stands among the operators."""
    found = operation.attributes
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if name in found:
            kind = np.int64 if "int" in name else np.float32
            return found[name] if name == "value" else np.asarray(found[name], kind)
    raise reader.refused(operation, f"a constant of kind {', '.join(found) or 'none'}")


@reads("Shape")
def read_shape(reader: Reader, operation: Operation) -> Array:
    """Read sizes, of which that of the rows is not known."""
    value = reader.raw(operation, 0)
    if isinstance(value, np.ndarray):
        return np.asarray(value.shape, np.int64)
    view = reader.drawn(operation, value)
    if MERGED in view.axes:
        raise reader.refused(operation, "the shape of rows that were merged")
    sizes: list[Any] = [
        ROWS if axis == 0 else size for axis, size in zip(view.axes, view.shape, strict=True)
    ]
    start, end = (operation.attributes.get(name) for name in ("start", "end"))
    return np.array(sizes, object)[slice(start, end)]


@reads("Transpose")
def read_transpose(reader: Reader, operation: Operation) -> View:
    """Read dimensions in another order, for who sees them."""
    view = reader.view(operation, 0)
    order = operation.attributes.get("perm", list(range(len(view.axes)))[::-1])
    if sorted(order) != list(range(len(view.axes))):
        raise reader.refused(operation, f"attribute perm={order} for {len(view.axes)} dimensions")
    axes = tuple(view.axes[place] for place in order)
    return view.moved(axes)


def axes_of(reader: Reader, operation: Operation, ndim: int) -> list[int]:
    """Return axes: an attribute up to version 12, else an input."""
    axes = operation.attributes.get("axes")
    if axes is None and reader.has(operation, 1):
        axes = reader.constant(operation, 1).ravel().tolist()
    if axes is None or not all(-ndim <= axis < ndim for axis in axes):
        raise reader.refused(operation, f"axes {axes} for {ndim} dimensions")
    return [axis % ndim for axis in axes]


@reads("Unsqueeze")
def read_unsqueeze(reader: Reader, operation: Operation) -> View:
    """Read new dimensions of size 1, for who sees them."""
    view = reader.view(operation, 0)
    added = reader.constant(operation, 1).size if reader.has(operation, 1) else None
    added = len(operation.attributes.get("axes", ())) if added is None else added
    places = axes_of(reader, operation, len(view.axes) + added)
    axes = list(view.axes)
    for place in sorted(places):
        axes.insert(place, None)
    return view.moved(axes)


@reads("Squeeze")
def read_squeeze(reader: Reader, operation: Operation) -> View:
    """Read dimensions of size 1 that go."""
    view = reader.view(operation, 0)
    gone = axes_of(reader, operation, len(view.axes))
    if any(view.shape[place] != 1 or view.axes[place] == 0 for place in gone):
        raise reader.refused(operation, f"axes {gone} of {view.shape}, which are not all of size 1")
    if all(view.axes[place] is None for place in gone):
        axes = tuple(axis for place, axis in enumerate(view.axes) if place not in gone)
        return view.moved(axes)
    symbol = reader.straight(operation, view)
    row = [size for place, size in enumerate(view.shape) if place and place not in gone]
    return as_whole(reader.reshaped(operation, symbol, row), view)


@reads("Concat")
def read_concatenate(reader: Reader, operation: Operation) -> View:
    """Read inputs side by side."""
    views = reader.views(operation)
    first = views[0]
    place = int(reader.attribute(operation, "axis", 1)) % len(first.axes)
    axis = first.axes[place]
    if any((one.axes, one.flipped) != (first.axes, first.flipped) for one in views) or not axis:
        raise reader.refused(operation, f"attribute axis={place} over rows or other orders")
    if len(views) == 1:
        return first
    own = -1 if axis == first.symbol.ndim - 1 else axis
    layer = layers.Concatenate(own, name=reader.own(operation.name))
    return reader.along(first, reader.draw(operation, layer, *[one.symbol for one in views]))


def as_whole(symbol: Symbolic, view: View) -> View:
    """Return a tensor of the same numbers as a view: whole ones, where those were."""
    made = view_of(symbol)
    made.whole = view.whole
    return made
