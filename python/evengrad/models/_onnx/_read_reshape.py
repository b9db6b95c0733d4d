"""How operators are read that give rows another shape; one of them makes a maxout layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.models._onnx._read_shapes import as_whole, axes_of
from evengrad.models._onnx._reader import reads
from evengrad.models._onnx._values import MERGED, ROWS, Operation, Pieces, Sums, View, view_of

if TYPE_CHECKING:
    from evengrad.layers._symbolic import Symbolic
    from evengrad.models._onnx._reader import Reader


@reads("Flatten")
def read_flatten(reader: Reader, operation: Operation) -> Any:
    """Read rows as vectors."""
    symbol = reader.plain(operation, 0)
    axis = int(reader.attribute(operation, "axis", 1))
    if axis not in (1, 1 - symbol.ndim):
        raise reader.refused(operation, f"attribute axis={axis}, which mixes rows")
    if symbol.ndim == 2:
        return reader.raw(operation, 0)
    made = reader.draw(operation, layers.Flatten(name=reader.own(operation.name)), symbol)
    return as_whole(made, reader.view(operation, 0))


@reads("Reshape")
def read_reshape(reader: Reader, operation: Operation) -> Any:
    """Read another shape for each row; sizes may be those of the rows, 0 or what is left."""
    raw = reader.raw(operation, 1)
    value = reader.raw(operation, 0)
    if not isinstance(raw, np.ndarray):
        raise reader.refused(operation, "a shape that depends on the inputs' values")
    if isinstance(value, np.ndarray):
        raise reader.refused(operation, "constants in a shape that depends on the number of rows")
    sizes = raw.ravel().tolist()
    pieces = _pieces(reader, operation, value, sizes)
    if pieces is not None:
        return pieces
    whole = _unmerged(reader, value, sizes)
    if whole is not None:
        return whole
    view = reader.drawn(operation, value)
    features = len(sizes) == 2 and sizes[1] == view.symbol.shape[-1]
    if features and view.is_plain and view.symbol.ndim > 2 and sizes[0] == -1:
        return view.moved((MERGED, view.symbol.ndim - 1))
    order = _kept_order(reader, view, sizes)
    if order is not None:
        return view.moved(order)
    symbol = reader.straight(operation, view)
    if operation.attributes.get("allowzero") and 0 in sizes:
        raise reader.refused(operation, "attribute allowzero with sizes of 0")
    row = _row(reader, operation, symbol, sizes)
    if tuple(row) == symbol.shape[1:]:
        return value
    return as_whole(reader.reshaped(operation, symbol, row), view)


def _unmerged(reader: Reader, value: Any, sizes: list[Any]) -> Sums | View | None:
    """Return a value whose dimensions were merged, where the new shape is that of before."""
    view = value.base if isinstance(value, Sums) and value.view is None else reader.seen(value)
    if not isinstance(view, View) or MERGED not in view.axes or len(sizes) != view.symbol.ndim:
        return None
    shape = (*view.symbol.shape[:-1], value.kernel.shape[1] if isinstance(value, Sums) else None)
    wanted = shape if isinstance(value, Sums) else view.symbol.shape
    rows, rest = sizes[0], sizes[1:]
    open_ones = [place for place, size in enumerate(sizes) if size == -1]
    if rows not in (-1, ROWS, reader.rows) or len(open_ones) > 1:
        return None
    if any(size not in (-1, known) for size, known in zip(rest, wanted[1:], strict=True)):
        return None
    base = view_of(view.symbol)
    if isinstance(value, Sums) and value.view is None:
        return Sums(base, value.kernel, value.bias, value.name)
    return base


def _kept_order(reader: Reader, view: View, sizes: list[Any]) -> tuple[int | None, ...] | None:
    """Return the dimensions of a view without those of size 1, where the new shape is just that."""
    order = tuple(axis for axis in view.axes if axis is not None)
    if len(order) != len(sizes) or order == view.axes:
        return None
    for place, (axis, size) in enumerate(zip(order, sizes, strict=True)):
        same = size == 0 and view.axes[place] == axis
        if axis == 0:
            fits = same or size in (-1, ROWS, reader.rows)
        else:
            fits = same or size in (-1, view.symbol.shape[axis])
        if not fits:
            return None
    return order


def _pieces(reader: Reader, operation: Operation, value: Any, sizes: list[Any]) -> Pieces | None:
    """Return the sums of a maxout layer in pieces, where a `ReduceMax` alone takes them."""
    takers = reader.consumers.get(operation.outputs[0], [])
    if not isinstance(value, Sums) or [one.operator for one in takers] != ["ReduceMax"]:
        return None
    kept, last = sizes[:-2], sizes[-2:]
    shape = value.base.shape
    stays = all(
        size in (0, ROWS, -1 if i == 0 else 0) or size == shape[i] for i, size in enumerate(kept)
    )
    if len(kept) != len(shape) - 1 or not stays or 0 in last or -1 in last or ROWS in last:
        return None
    if last[0] * last[1] != value.kernel.shape[1]:
        return None
    return Pieces(value, last[0], last[1])


def _row(
    reader: Reader, operation: Operation, symbol: Symbolic, sizes: list[Any]
) -> list[int | None]:
    """Return the sizes of a row, or raise an error where rows are mixed."""
    row: list[Any] = [
        symbol.shape[i] if size == 0 and i < symbol.ndim else size for i, size in enumerate(sizes)
    ]
    whole = [size for size in symbol.shape[1:] if size is not None]
    elements = math.prod(whole)
    known = math.prod(size for size in row[1:] if isinstance(size, int) and size > 0)
    if None in symbol.shape[1:] or None in row[1:]:
        # Sizes that are left open stay where they are.
        if sizes[:1] in ([0], [-1], [ROWS], [reader.rows]) and tuple(row[1:]) == symbol.shape[1:]:
            return row[1:]
        raise reader.refused(operation, f"a shape of {sizes} for {symbol.shape}, some of it open")
    if -1 in row[1:]:
        row[row.index(-1, 1)] = elements // max(1, known)
    if not sizes or math.prod(row[1:]) != elements or ROWS in row[1:]:
        raise reader.refused(operation, f"a shape of {sizes} for {symbol.shape}, which mixes rows")
    return row[1:]


@reads("ReduceMax")
def read_largest(reader: Reader, operation: Operation) -> View:
    """Read the largest of the pieces of a maxout layer."""
    value = reader.raw(operation, 0)
    if not isinstance(value, Pieces):
        raise reader.refused(operation, "of largest values, those of a maxout layer alone are read")
    sums, ndim = value.sums, len(value.sums.base.axes) + 1
    axes = axes_of(reader, operation, ndim)
    if sums.base.shape[-1] != sums.kernel.shape[0]:
        raise reader.refused(
            operation, f"weights of shape {sums.kernel.shape} beside {sums.base.shape}"
        )
    if axes != [ndim - 2]:
        raise reader.refused(operation, f"axes {axes}, which are not those of the pieces")
    arrays = [sums.kernel] if sums.bias is None else [sums.kernel, sums.bias]
    layer = reader.make(
        operation,
        layers.Maxout,
        arrays,
        operation.name,
        units=value.units,
        pieces=value.pieces,
        use_bias=sums.bias is not None,
    )
    base = sums.base
    made = reader.along(base, reader.draw(operation, layer, base.symbol))
    if reader.attribute(operation, "keepdims", 1):
        return View(made.symbol, (*made.axes[:-1], None, made.axes[-1]), made.flipped)
    return made
