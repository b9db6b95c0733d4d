"""How operators are read that pick places: the last step, an embedding's vectors, steps turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad import layers
from evengrad.models._onnx._folding import slices
from evengrad.models._onnx._reader import reads
from evengrad.models._onnx._values import Operation, View

if TYPE_CHECKING:
    from evengrad.layers._symbolic import Symbolic
    from evengrad.models._onnx._reader import Reader


@reads("Slice")
def read_slice(reader: Reader, operation: Operation) -> View:
    """Read steps backwards, or the last step of a recurrent layer."""
    view = reader.view(operation, 0)
    given = [reader.constant(operation, p) for p in range(1, len(operation.inputs))]
    cuts = list(
        zip(*slices([np.zeros(0), *given], operation.attributes, len(view.axes)), strict=True)
    )
    for start, end, place, step in cuts:
        size = view.shape[place]
        far = end < -(size or 1) if step < 0 else end >= (size or 2**31 - 1)
        if step == 1 and start == 0 and far:
            continue
        if step == -1 and start in (-1, (size or 0) - 1) and far and view.axes[place] != 0:
            view = _backwards(view, place)
        elif step == 1 and start == -1 and far:
            view = _last_step(reader, operation, view, place, keeps=True)
        elif step == 1 and (start, end) == (0, 1):
            view = _first_step(reader, operation, view, place, keeps=True)
        else:
            raise reader.refused(operation, f"a cut from {start} to {end} by {step}")
    return view


def _backwards(view: View, place: int) -> View:
    axis = view.axes[place]
    if axis is None:
        return view
    return view.moved(view.axes, view.flipped ^ {axis})


def _last_step(
    reader: Reader, operation: Operation, view: View, place: int, *, keeps: bool
) -> View:
    axis = view.axes[place]
    if view.last is None or axis != 1 or 1 in view.flipped:
        raise reader.refused(operation, "one place of a dimension that is no recurrent layer's end")
    return _without_steps(view, place, view.last, keeps=keeps)


def _first_step(
    reader: Reader, operation: Operation, view: View, place: int, *, keeps: bool
) -> View:
    axis = view.axes[place]
    if view.last is None or axis != 1 or 1 not in view.flipped:
        raise reader.refused(operation, "one place of a dimension that is no recurrent layer's end")
    return _without_steps(view, place, view.last, keeps=keeps)


def _without_steps(view: View, place: int, last: Symbolic, *, keeps: bool) -> View:
    moved = [axis if axis in (None, 0) else axis - 1 for axis in view.axes]
    middle = [None] if keeps else []
    return View(last, (*moved[:place], *middle, *moved[place + 1 :]))


@reads("Gather")
def read_gather(reader: Reader, operation: Operation) -> View:
    """Read an embedding, or the last step of a recurrent layer."""
    if reader.is_constant(operation, 0):
        return _embedding(reader, operation)
    view = reader.view(operation, 0)
    index = reader.constant(operation, 1)
    place = int(reader.attribute(operation, "axis", 0)) % len(view.axes)
    if index.size != 1:
        raise reader.refused(operation, "places that are picked by a constant")
    number, size = int(index.reshape(())), view.shape[place]
    keeps = index.ndim == 1
    if number == -1 or number == (size or 0) - 1:
        if view.axes[place] is None:
            axes = list(view.axes)
            axes[place : place + 1] = [None] if keeps else []
            return view.moved(axes)
        if size != 1 or 1 not in view.flipped:
            return _last_step(reader, operation, view, place, keeps=keeps)
    return _first_step(reader, operation, view, place, keeps=keeps)


def _embedding(reader: Reader, operation: Operation) -> View:
    table = reader.constant(operation, 0)
    axis = int(reader.attribute(operation, "axis", 0))
    if table.ndim != 2 or axis not in (0, -2) or table.dtype.kind != "f":
        raise reader.refused(
            operation,
            f"a table of shape {table.shape} with attribute axis={axis}; two dimensions "
            "and 0 are those of an embedding",
        )
    view = reader.view(operation, 1)
    layer = reader.make(
        operation,
        layers.Embedding,
        [table],
        operation.name,
        input_dim=table.shape[0],
        output_dim=table.shape[1],
    )
    symbol = reader.draw(operation, layer, view.symbol)
    return View(symbol, (*view.axes, symbol.ndim - 1), view.flipped)
