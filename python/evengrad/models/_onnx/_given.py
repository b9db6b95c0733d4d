"""What operators of a file take: values, attributes and constants, and how their errors read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.models._onnx._values import MERGED

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._file import OnnxFile
    from evengrad.models._onnx._values import Operation, View
    from evengrad.saving._errors import FileFormatError

# Weights and constants may take so many times the bytes of the file: no use of one array in many
# places fills the memory.
GROWTH, LEAST = 4, 2**20


class Given:
    """The values of a graph that is being read, by their names.

    Attributes
    ----------
    file
        The file.
    values
        Constants as arrays; others as in `_values`.
    uses
        How often each is read, as an output of the graph too.
    consumers
        The operators that read each.
    """

    def __init__(self, file: OnnxFile) -> None:
        self.file = file
        self.values: dict[str, Any] = {}
        self.uses: Counter[str] = Counter()
        self.consumers: dict[str, list[Operation]] = {}
        self._spent = 0

    def refused(self, operation: Operation, reason: str) -> FileFormatError:
        """Return an error that names an operator and what is wrong with it."""
        return self.file.error(f"{operation.place}: {reason}")

    def spend(self, operation: Operation, size: int) -> None:
        """Count bytes that are about to be taken; raise an error where they are too many."""
        self._spent += size
        if self._spent > GROWTH * self.file.size + LEAST:
            raise self.refused(operation, "the weights would take many times the file's size")

    def attribute(self, operation: Operation, name: str, default: Any) -> Any:
        """Return an attribute."""
        return operation.attributes.get(name, default)

    def has(self, operation: Operation, place: int) -> bool:
        """Tell whether an input, which may be left out, is there."""
        return place < len(operation.inputs) and operation.inputs[place] != ""

    def raw(self, operation: Operation, place: int) -> Any:
        """Return an input as it is."""
        if not self.has(operation, place):
            raise self.refused(operation, f"input {place} is missing")
        return self.values[operation.inputs[place]]

    def is_constant(self, operation: Operation, place: int) -> bool:
        """Tell whether an input is there and constant."""
        return self.has(operation, place) and isinstance(self.raw(operation, place), np.ndarray)

    def initial(self, name: str) -> Array | None:
        """Return a constant by its name, if it is one."""
        value = self.values.get(name)
        return value if isinstance(value, np.ndarray) else None

    def constant(self, operation: Operation, place: int, default: Any = None) -> Array:
        """Return an input that must be constant, or the default where it is left out."""
        if default is not None and not self.has(operation, place):
            return np.asarray(default)
        value = self.raw(operation, place)
        if not isinstance(value, np.ndarray):
            raise self.refused(operation, f"input {place} must be constant")
        if value.dtype == object:
            raise self.refused(operation, f"input {place} depends on the number of rows")
        return value

    def aligned(self, operation: Operation, constant: Array, view: View) -> Array:
        """Return a constant as it lines up with the dimensions of a view's tensor; numbers as such.

        A vector of one number is an array.
        """
        if constant.ndim == 0 and constant.dtype != object:
            return constant.astype(np.float64)
        ndim = len(view.axes)
        if constant.dtype == object or constant.ndim > ndim:
            raise self.refused(operation, f"a constant of shape {constant.shape} beside rows")
        full = constant.astype(np.float64).reshape((1,) * (ndim - constant.ndim) + constant.shape)
        for axis, size, wanted in zip(view.axes, full.shape, view.shape, strict=True):
            if size != 1 and (axis in (0, None, MERGED) or size != wanted):
                raise self.refused(
                    operation, f"a constant of shape {constant.shape} beside {view.shape}"
                )
        if MERGED in view.axes:
            return np.reshape(full, (1,) * (view.symbol.ndim - 1) + full.shape[-1:])
        places = [view.axes.index(axis) for axis in range(view.symbol.ndim)]
        rest = [i for i, axis in enumerate(view.axes) if axis is None]
        moved = full.transpose([*places, *rest]).reshape([full.shape[i] for i in places])
        return np.asarray(np.flip(moved, tuple(view.flipped)) if view.flipped else moved)
