"""Reading graphs: each operator becomes layers, which are drawn one after the other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evengrad import layers
from evengrad.layers._symbolic import Input, Symbolic, row_size
from evengrad.models._architecture import ROW_LIMIT
from evengrad.models._onnx._file import FLOATS, WHOLE
from evengrad.models._onnx._folding import FOLDS, GROWING
from evengrad.models._onnx._given import Given
from evengrad.models._onnx._operators import function_named
from evengrad.models._onnx._scaling import layers_of
from evengrad.models._onnx._values import (
    GIVEN,
    Operation,
    Scaled,
    Sums,
    View,
    scaled,
    view_of,
)
from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evengrad._common.arrays import Array
    from evengrad.models._onnx._file import OnnxFile

    Read = Callable[["Reader", Operation], Any]

Function = TypeVar("Function", bound="Read")

# What reads an operator, and returns what it puts out: a value, or a list of them.
READERS: dict[str, Read] = {}
# Operators that may take whole numbers: as numbers of vectors, or to hand them on.
TAKE_WHOLE = {"Cast", "Dropout", "Flatten", "Gather", "Identity", "Reshape", "Shape", "Squeeze"} | {
    "Transpose",
    "Unsqueeze",
}
# What is asked before them, for formulas of several operators: each returns a value, or None.
COMBINERS: list[Read] = []


def reads(*operators: str) -> Callable[[Function], Function]:
    """Decorate the function that reads these operators."""

    def enter(function: Function) -> Function:
        READERS.update(dict.fromkeys(operators, function))
        return function

    return enter


class Reader(Given):
    """Draws the layers for the operators of a file.

    Attributes
    ----------
    dtype
        ``"float64"`` where inputs are; else ``"float32"``.
    inputs
        The symbolic inputs of the model.
    rows
        How many rows the file speaks of, where it does.
    weights
        For each layer with variables the arrays that these get, in their order.
    """

    def __init__(self, file: OnnxFile) -> None:
        super().__init__(file)
        self.dtype = "float32"
        self.inputs: list[Symbolic] = []
        self.rows: int | None = None
        self.weights: list[tuple[layers.Layer, list[Array]]] = []
        self._names: set[str] = set()
        # Layers with weights by the identities of these, so that one that is used twice is one; the
        # arrays are kept, so that their identities stay theirs.
        self._shared: dict[Any, layers.Layer] = {}
        self._kept: list[Any] = []
        self._derived: dict[tuple[int, str], tuple[Array, Array]] = {}

    # ---- the graph

    def run(self, operations: list[Operation], wanted: list[str]) -> list[Symbolic]:
        """Return what the graph puts out under these names."""
        self.uses.update(wanted)
        for operation in operations:
            self.uses.update(operation.inputs)
            for name in operation.inputs:
                self.consumers.setdefault(name, []).append(operation)
        # Who looks ahead finds the constants that stand among the operators.
        for operation in sorted(operations, key=lambda one: one.operator != "Constant"):
            made = self._read(operation)
            for name, value in zip(operation.outputs, made, strict=False):
                self.values[name] = value
        ends = []
        for name in wanted:
            end = Operation("output", f"output {name!r}", None, [name], [])
            ends.append(self.plain(end, 0))
        return ends

    def _read(self, operation: Operation) -> list[Any]:
        """Return what an operator puts out; whatever does not fit in it is an error of the file."""
        try:
            return self._made(operation)
        except FileFormatError:
            raise
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            raise self.refused(operation, f"it does not fit: {error}") from error

    def _made(self, operation: Operation) -> list[Any]:
        given = [self.values[name] for name in operation.inputs if name]
        constant = all(isinstance(value, np.ndarray) for value in given)
        if constant and given and operation.operator in FOLDS:
            return [self._folded(operation, given)]
        if operation.operator not in READERS:
            raise self.refused(operation, "no layer is known for this operator")
        for combine in COMBINERS:
            made = combine(self, operation)
            if made is not None:
                return [made]
        made = READERS[operation.operator](self, operation)
        return made if isinstance(made, list) else [made]

    def _folded(self, operation: Operation, given: list[Array]) -> Array:
        if operation.operator in GROWING:
            self.spend(operation, 8 * GROWING[operation.operator](given))
        with np.errstate(all="ignore"):
            return np.asarray(FOLDS[operation.operator](given, operation.attributes))

    def add_input(self, described: Any) -> None:
        """Begin the graph with an input of the file."""
        place = f"input {described.name!r}"
        tensor = described.type.tensor_type
        if not described.type.HasField("tensor_type") or tensor.elem_type not in (*FLOATS, *WHOLE):
            kind = self.file.kind_name(tensor.elem_type)
            raise self.file.error(f"{place}: expected floats or whole numbers, got {kind}")
        sizes = [
            int(size.dim_value) if size.HasField("dim_value") else None
            for size in (tensor.shape.dim if tensor.HasField("shape") else [])
        ]
        if not sizes or any(size is not None and size < 1 for size in sizes[1:]):
            raise self.file.error(f"{place}: expected rows of a shape, got {tuple(sizes)}")
        if math.prod(size or 1 for size in sizes[1:]) > max(ROW_LIMIT, self.file.size):
            raise self.file.error(f"{place}: a row of shape {tuple(sizes[1:])}")
        # A number of rows that exporters write into shapes.
        self.rows = sizes[0] if not self.inputs else self.rows
        symbol = Input(tuple(sizes[1:]), self.dtype, printable_name(described.name))
        self.inputs.append(symbol)
        view = view_of(symbol)
        view.whole = GIVEN if tensor.elem_type in WHOLE else ""
        self.values[described.name] = view

    def view(self, operation: Operation, place: int) -> View:
        """Return an input that the graph computes, with the layers behind it drawn."""
        return self.drawn(operation, self.raw(operation, place))

    def views(self, operation: Operation) -> list[View]:
        """Return all inputs, which the graph computes."""
        places = range(len(operation.inputs))
        if any(self.is_constant(operation, place) for place in places):
            raise self.refused(operation, "constants among the inputs")
        return [self.view(operation, place) for place in places]

    def drawn(self, operation: Operation, value: Any) -> View:
        """Return a value as one that a layer has drawn."""
        if isinstance(value, Sums):
            value.view = value.view or self.dense(operation, value, None)
            return value.view
        if isinstance(value, Scaled):
            value.view = value.view or self._rescaled(operation, value)
            return value.view
        if not isinstance(value, View):
            raise self.refused(operation, "expected an input that depends on the graph's inputs")
        if value.whole and operation.operator not in TAKE_WHOLE:
            raise self.refused(operation, "whole numbers, with which layers do not calculate")
        return value

    def seen(self, value: Any) -> Any:
        """Return the view of a value, if it has one already."""
        return value.view if isinstance(value, (Sums, Scaled)) else value

    def same(self, one: Any, other: Any) -> bool:
        """Tell whether two values are the same tensor."""
        views = [self.seen(value) for value in (one, other)]
        return one is other or (views[0] is not None and views[0] is views[1])

    def plain(self, operation: Operation, place: int) -> Symbolic:
        """Return an input whose dimensions are in our order, or raise an error."""
        return self.straight(operation, self.view(operation, place))

    def straight(self, operation: Operation, view: View) -> Symbolic:
        """Return the tensor of a view whose order is ours; dimensions of size 1 may be new."""
        order = [axis for axis in view.axes if axis is not None]
        if view.flipped or view.axes[:1] != (0,) or order != list(range(view.symbol.ndim)):
            raise self.refused(operation, "expected rows first, and other dimensions in order")
        if view.is_plain:
            return view.symbol
        return self.reshaped(operation, view.symbol, list(view.shape[1:]))

    def reshaped(self, operation: Operation, symbol: Symbolic, row: list[int | None]) -> Symbolic:
        """Return rows in another shape."""
        if tuple(row) == symbol.shape[1:]:
            return symbol
        if None in row or None in symbol.shape[1:]:
            raise self.refused(operation, "rows of a size that is left open cannot be reshaped")
        made: Symbolic = self.draw(operation, layers.Reshape(tuple(row)), symbol)
        return made

    def scaled(self, operation: Operation, place: int) -> Scaled:
        """Return an input that is to be shifted or scaled."""
        value = self.raw(operation, place)
        # Of our own files, what one layer does stays one layer.
        if isinstance(value, Scaled) and value.view is None and value.name == operation.name:
            return value
        return scaled(self.drawn(operation, value), operation.name)

    # ---- layers

    def draw(self, operation: Operation, layer: layers.Layer, *symbols: Symbolic) -> Any:
        """Return what a layer makes of symbolic tensors."""
        made = layer(list(symbols) if len(symbols) > 1 else symbols[0])
        for symbol in made if isinstance(made, list) else [made]:
            if row_size(symbol.shape) > max(ROW_LIMIT, self.file.size):
                raise self.refused(operation, f"rows of shape {symbol.shape[1:]}")
        return made

    def make(
        self,
        operation: Operation,
        kind: Callable[..., Any],
        arrays: Iterable[Array],
        name: str | None = None,
        **settings: Any,
    ) -> Any:
        """Return a layer with weights: the one there is, where the same arrays make the same."""
        kept = list(arrays)
        key = (kind, *map(id, kept), *((k, repr(v)) for k, v in settings.items()))
        if key not in self._shared:
            self.spend(operation, sum(array.nbytes for array in kept))
            layer = kind(**settings, name=self.own(name))
            self._kept.append((kept, settings))
            self._shared[key] = layer
            self.weights.append((layer, kept))
        return self._shared[key]

    def derived(self, array: Array, how: str, make: Callable[[], Array]) -> Array:
        """Return what is made of an array in some way: each time the same object."""
        key = (id(array), how)
        if key not in self._derived:
            # Kept with it, so that its identity stays its own.
            self._derived[key] = (array, make())
        return self._derived[key][1]

    def own(self, name: str | None) -> str | None:
        """Return a name for a layer, or None where another one has it."""
        if name is None or name in self._names:
            return None
        self._names.add(name)
        return name

    def dense(self, operation: Operation, sums: Sums, activation: Any) -> View:
        """Draw a dense layer."""
        base = sums.base
        arrays = [sums.kernel] if sums.bias is None else [sums.kernel, sums.bias]
        if base.shape[-1] != sums.kernel.shape[0]:
            raise self.refused(
                operation, f"weights of shape {sums.kernel.shape} beside {base.shape}"
            )
        layer = self.make(
            operation,
            layers.Dense,
            arrays,
            sums.name,
            units=sums.kernel.shape[1],
            activation=activation,
            use_bias=sums.bias is not None,
        )
        return View(self.draw(operation, layer, base.symbol), base.axes, base.flipped)

    def _rescaled(self, operation: Operation, value: Scaled) -> View:
        base, symbol = value.base, value.base.symbol
        for layer, arrays in layers_of(self, operation, value):
            if arrays:
                self.spend(operation, sum(array.nbytes for array in arrays))
                self.weights.append((layer, arrays))
            symbol = self.draw(operation, layer, symbol)
        return View(symbol, base.axes, base.flipped)

    def apply(self, operation: Operation, place: int, name: str) -> View:
        """Draw a function of single numbers: within a dense layer, where that alone reads it."""
        value = self.raw(operation, place)
        alone = self.uses[operation.inputs[place]] == 1
        function = function_named(name)
        if isinstance(value, Sums) and value.view is None and alone and isinstance(function, str):
            made = self.dense(operation, value, function)
            made.made_by = (name, None)
            return made
        view = self.drawn(operation, value)
        layer = layers.Activation(function, name=self.own(operation.name))
        symbol = self.draw(operation, layer, view.symbol)
        return View(symbol, view.axes, view.flipped, (name, value))

    def along(self, view: View, symbol: Symbolic) -> View:
        """Return a tensor of the same dimensions as a view sees them."""
        return View(symbol, view.axes, view.flipped)


def printable_name(name: str) -> str | None:
    """Return a name of the file for an input."""
    return name if name.isprintable() and name else None
