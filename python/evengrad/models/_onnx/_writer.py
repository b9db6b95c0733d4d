"""A graph of operators that is being written: nodes, constants, and names that are their own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import free_name
from evengrad.models._onnx._operators import FLOAT_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evengrad._common.arrays import Array, Shape


@dataclass(frozen=True)
class Value:
    """A tensor of the graph; rows are None in its shape."""

    name: str
    shape: Shape


@dataclass
class Operation:
    """One operator of the graph."""

    operator: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    doc: str


class Writer:
    """Gathers nodes and constants."""

    def __init__(self, dtype: str, taken: Sequence[str]) -> None:
        self.dtype = np.dtype(dtype)
        self.operations: list[Operation] = []
        self.constants: dict[str, Array] = {}
        # Where the weights of layers, which may be used in several places, stand already.
        self._kept: dict[tuple[int, str], str] = {}
        self._taken = set(taken)
        self._place: list[str] = []
        self._doc = ""

    @property
    def place(self) -> str:
        """The path of the layer that is being written."""
        return "/".join(self._place)

    @contextlib.contextmanager
    def inside(self, name: str, doc: str) -> Iterator[None]:
        """Have the nodes that are made in this block bear a layer's name."""
        self._place.append(name)
        # The first node of a layer says what it is.
        self._doc = doc
        try:
            yield
        finally:
            self._place.pop()
            self._doc = ""

    def operation(
        self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any
    ) -> list[str]:
        """Add a node, and return the names of what it puts out."""
        if self.dtype == np.float64 and operator in FLOAT_ONLY:
            raise ValueError(
                f"{self.place}: export: ONNX Runtime has no {operator} for float64; export with "
                'dtype="float32"'
            )
        name = self._own(f"{self.place}/{operator}" if self._place else operator)
        made = [name if i == 0 else self._own(f"{name}_output_{i}") for i in range(outputs)]
        self.operations.append(
            Operation(operator, name, list(inputs), made, dict(attributes), self._doc)
        )
        self._doc = ""
        return made

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return its name."""
        return self.operation(operator, *inputs, **attributes)[0]

    def weight(self, values: Any, name: str, owner: Any = None) -> str:
        """Add an array of the graph's dtype; those of one owner and name stand there once."""
        key = (id(owner), name)
        if owner is None or key not in self._kept:
            array = np.ascontiguousarray(values, dtype=self.dtype)
            self._kept[key] = self._constant(array, name)
        return self._kept[key]

    def whole(self, values: Sequence[int], name: str) -> str:
        """Add a vector of whole numbers: a shape, or axes."""
        return self._constant(np.asarray(values, np.int64), name)

    def number(self, value: float, name: str) -> str:
        """Add a number of the graph's dtype."""
        return self._constant(np.asarray(value, self.dtype), name)

    def _constant(self, array: Array, name: str) -> str:
        own = self._own(f"{self.place}/{name}" if self._place else name)
        self.constants[own] = array
        return own

    def finish(self, made: Sequence[str], names: Sequence[str]) -> None:
        """Give what operations have made the names that the graph puts out; drop idle constants."""
        new: dict[str, str] = {}
        ours = {output for operation in self.operations for output in operation.outputs}
        for old, name in zip(made, names, strict=True):
            if old in ours and old not in new:
                new[old] = name
            else:
                # An input that is handed on, or an output that stands there twice.
                self.operations.append(
                    Operation("Identity", self._own(f"{name}/Identity"), [old], [name], {}, "")
                )
        for operation in self.operations:
            operation.inputs = [new.get(name, name) for name in operation.inputs]
            operation.outputs = [new.get(name, name) for name in operation.outputs]
        read = {name for operation in self.operations for name in operation.inputs}
        self.constants = {name: x for name, x in self.constants.items() if name in read}

    def _own(self, name: str) -> str:
        """Return a name that nothing else has: ONNX Runtime refuses equal ones, also of nodes."""
        own = free_name(name, self._taken)
        self._taken.add(own)
        return own


def values_of(tensor: Any) -> Array:
    """Return a variable's values for exact arithmetic."""
    return np.asarray(tensor.detach().numpy(), np.float64)
