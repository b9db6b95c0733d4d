"""Symbolic tensors: what layers pass to each other while a model's graph is drawn."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from evengrad._common.checks import check_dtype, check_row_shape
from evengrad._common.names import check_name
from evengrad._core import get_default_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evengrad._common.arrays import Shape
    from evengrad.layers._layer import Layer

LayerClass = TypeVar("LayerClass", bound="type[Layer]")

# The layers that operators between symbolic tensors stand for, by name. Layers are made of symbolic
# tensors, so that they come in here by themselves.
_operators: dict[str, Callable[..., Any]] = {}


def stands_for_operator(layer: LayerClass) -> LayerClass:
    """Decorate the class of a layer that an operator between symbolic tensors stands for."""
    _operators[layer.__name__] = layer
    return layer


@dataclass(frozen=True)
class Taken:
    """Stands in the arguments of a call for a symbolic tensor: its place in the node's inputs."""

    place: int


class Node:
    """One use of a layer in a graph; a node without layer is an input of the model.

    Attributes
    ----------
    inputs
        What the layer is called with, then the symbolic tensors among the other arguments.
    several
        Whether the layer was called with a list, even if of one tensor.
    arguments
        The other arguments of the call by name, with `Taken` in place of symbolic tensors.
    count
        How many of the inputs the layer is called with.
    """

    def __init__(
        self,
        layer: Layer | None,
        inputs: list[Symbolic],
        several: bool,
        arguments: Mapping[str, Any] | None = None,
        count: int | None = None,
    ) -> None:
        self.layer = layer
        self.inputs = inputs
        self.several = several
        self.arguments = dict(arguments or {})
        self.count = len(inputs) if count is None else count
        self.outputs: list[Symbolic] = []

    def called_with(self, given: list[Any]) -> tuple[Any, dict[str, Any]]:
        """Return what the layer is called with where its inputs are these."""
        main = given[: self.count] if self.several else given[0]
        arguments: dict[str, Any] = filled(self.arguments, given)
        return main, arguments


def taken_out(value: Any, symbols: list[Symbolic]) -> Any:
    """Return a value with `Taken` for symbolic tensors in it, which are added to a list."""

    def out(item: Any) -> Any:
        if not isinstance(item, Symbolic):
            return item
        symbols.append(item)
        return Taken(len(symbols) - 1)

    return mapped(value, out)


def filled(value: Any, given: list[Any]) -> Any:
    """Return a value with what is given in the places of `Taken`."""
    return mapped(value, lambda item: given[item.place] if isinstance(item, Taken) else item)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a value, or lists, tuples and dicts of values to any depth, with each changed."""
    if isinstance(value, (list, tuple)):
        items = [mapped(item, change) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, dict):
        return {name: mapped(item, change) for name, item in value.items()}
    return change(value)


class Symbolic:
    """A tensor of a graph that is being drawn: a shape, a dtype, no values.

    Made by `evengrad.Input` and by calling layers on others of its kind. ``+``, ``-`` and ``*``
    stand for the layers `Add`, `Subtract` and `Multiply`, and with numbers for `Rescaling`.

    Examples
    --------
    >>> x = eg.Input((4,))
    >>> y = eg.layers.Dense(3)(x)
    >>> (y * eg.layers.Dense(3, "sigmoid")(x) - 1.0).shape
    (None, 3)
    """

    def __init__(self, shape: Shape, dtype: str, node: Node, name: str | None = None) -> None:
        self.shape = shape
        self.dtype = dtype
        self.node = node
        self.name = name
        node.outputs.append(self)

    @property
    def ndim(self) -> int:
        """The number of dimensions, rows included."""
        return len(self.shape)

    def __add__(self, other: Any) -> Any:
        return self._merged("Add", other) if is_symbolic(other) else self._rescaled(1, other)

    def __sub__(self, other: Any) -> Any:
        if is_symbolic(other):
            return self._merged("Subtract", other)
        return self._rescaled(1, other, sign=-1)

    def __mul__(self, other: Any) -> Any:
        return self._merged("Multiply", other) if is_symbolic(other) else self._rescaled(other, 0)

    def __rsub__(self, other: Any) -> Any:
        return self._rescaled(-1, other)

    def __neg__(self) -> Any:
        return self._rescaled(-1, 0)

    __radd__, __rmul__ = __add__, __mul__

    def _merged(self, layer: str, other: Symbolic) -> Any:
        return _operators[layer]()([self, other])

    def _rescaled(self, scale: Any, offset: Any, sign: int = 1) -> Any:
        """Return this, times a number, plus a number."""
        if any(isinstance(x, bool) or not isinstance(x, numbers.Real) for x in (scale, offset)):
            return self._refuse()
        return _operators["Rescaling"](float(scale), float(sign * offset))(self)

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(
            f"a symbolic tensor of shape {show_shape(self.shape)} has no values; it takes part in "
            "+, - and * with others of its kind and with numbers. Use a layer, or write a Layer "
            "whose `call` does what is wanted"
        )

    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __pow__ = _refuse
    __getitem__ = __bool__ = __float__ = __array__ = _refuse

    def __repr__(self) -> str:
        return f"<symbolic tensor, shape {show_shape(self.shape)}, dtype {self.dtype}>"


def is_symbolic(value: Any) -> bool:
    """Tell whether a value stands for a tensor in a graph."""
    return isinstance(value, Symbolic)


def Input(  # noqa: N802 - Keras' name; it stands where a layer stands
    shape: Any, dtype: Any = None, name: str | None = None
) -> Symbolic:
    """Begin a graph, or say the input shape of a `Sequential` model.

    Parameters
    ----------
    shape
        The shape of one row, without the number of rows. None is a size that is left open, as the
        number of steps in a sequence: any will do, another one in each batch.
    dtype
        ``"float32"`` or ``"float64"``; the default dtype if None.
    name
        A name for the input, used where a model has several.

    Returns
    -------
    Symbolic
        Shape (None, *shape).

    Raises
    ------
    ValueError
        A size below 1, an unknown dtype, a name with control characters.

    Examples
    --------
    >>> eg.Input((64,))
    <symbolic tensor, shape (None, 64), dtype float32>

    Sequences of any length, of 3 features a step:

    >>> model = eg.Sequential([eg.Input((None, 3)), eg.layers.LSTM(8), eg.layers.Dense(1)])
    >>> [model(eg.zeros((2, steps, 3))).shape for steps in (5, 7)]
    [(2, 1), (2, 1)]
    """
    kind = check_dtype(get_default_dtype() if dtype is None else dtype)
    row = check_row_shape(shape, "shape")
    return Symbolic((None, *row), kind, Node(None, [], False), check_name(name))


def show_shape(shape: Any) -> str:
    """Return a shape for messages, or several of them."""
    if isinstance(shape, list):
        return "[" + ", ".join(show_shape(one) for one in shape) + "]"
    return str(tuple(shape))


def is_open(shape: Shape) -> bool:
    """Tell whether sizes of a row are left open."""
    return None in shape[1:]


def fits(shape: Shape, expected: Shape) -> bool:
    """Tell whether rows of a shape may come where those of another are expected."""
    if shape[1:] == expected[1:]:
        return True
    return len(shape) == len(expected) and all(
        wanted in (None, size) for size, wanted in zip(shape[1:], expected[1:], strict=True)
    )


def row_size(shape: Shape) -> int:
    """Return the number of elements of one row; of one step, where the number is left open."""
    return math.prod(size for size in shape if size is not None)
