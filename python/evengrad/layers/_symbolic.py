"""Symbolic tensors: what layers pass to each other while a model's graph is drawn."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from evengrad._common.checks import check_dtype, check_int, check_row_shape
from evengrad._common.names import check_name, nearest
from evengrad._core import get_default_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evengrad._common.arrays import Shape
    from evengrad.layers._layer import Layer

LayerClass = TypeVar("LayerClass", bound="type[Layer]")

# The layers that operators between symbolic tensors stand for, by name. Layers are made of symbolic
# tensors, so that they come in here by themselves.
_operators: dict[str, Any] = {}


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

    Made by `evengrad.Input` and by calling layers on others of its kind. Operators stand for
    layers: ``+``, ``-`` and ``*`` for `Add`, `Subtract` and `Multiply`, and with numbers for
    `Rescaling`; others, slices such as ``x[:, 3:]``, comparisons, and methods that tensors have,
    such as ``x.sum(1)`` and ``x.exp()``, for `Operation`. Any other function of tensors goes into a
    `Lambda`.

    Examples
    --------
    >>> x = eg.Input((4,))
    >>> y = eg.layers.Dense(3)(x)
    >>> (y * eg.layers.Dense(3, "sigmoid")(x) - 1.0).shape
    (None, 3)
    >>> (x[:, 1:] / x.square().sum(1, keepdim=True)).shape
    (None, 3)
    """

    # NumPy's arrays leave operators to this class.
    __array_ufunc__ = None
    # How many rows batches are meant to have; of an `Input` that was given it.
    batch_size: int | None = None

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
        if is_number(other):
            return self._rescaled(1, other)
        return self._merged("Add", "__add__", other)

    def __sub__(self, other: Any) -> Any:
        if is_number(other):
            return self._rescaled(1, -other)
        return self._merged("Subtract", "__sub__", other)

    def __mul__(self, other: Any) -> Any:
        if is_number(other):
            return self._rescaled(other, 0)
        return self._merged("Multiply", "__mul__", other)

    def __rsub__(self, other: Any) -> Any:
        return self._rescaled(-1, other) if is_number(other) else (-self) + other

    def __neg__(self) -> Any:
        return self._rescaled(-1, 0)

    def __abs__(self) -> Any:
        return _operators["Operation"]("abs")(self)

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, index: Any) -> Any:
        return _operators["Operation"]("__getitem__", [index])(self)

    def __getattr__(self, name: str) -> Any:
        # What is none of these attributes may be a method of tensors.
        known = _operators.get("Operation")
        if name.startswith("_") or known is None or name not in known.METHODS:
            close = None if known is None else nearest(name, known.METHODS)
            raise AttributeError(
                f"a symbolic tensor has no attribute {name!r}"
                + ("" if close is None else f"; did you mean {close!r}?")
            )

        def method(*arguments: Any, **keywords: Any) -> Any:
            return _operators["Operation"](name, arguments, keywords)(self)

        return method

    def _merged(self, layer: str, operator: str, other: Any) -> Any:
        """Return this and another tensor or array, joined by a layer where shapes are alike."""
        if is_symbolic(other) and other.shape == self.shape:
            return _operators[layer]()([self, other])
        return self._operated(operator, other)

    def _operated(self, operator: str, other: Any) -> Any:
        if is_symbolic(other):
            return _operators["Operation"](operator)([self, other])
        if isinstance(other, (str, bool)) or other is None:
            return self._refuse()
        return _operators["Operation"](operator, [other])(self)

    def _rescaled(self, scale: Any, offset: Any) -> Any:
        """Return this, times a number, plus a number."""
        return _operators["Rescaling"](float(scale), float(offset))(self)

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(
            f"a symbolic tensor of shape {show_shape(self.shape)} has no values; it takes part in "
            "operators, and has the methods that tensors have, x.exp() for eg.exp(x). For other "
            "functions use layers.Lambda(function)(x), or write a Layer whose `call` does what is "
            "wanted"
        )

    __bool__ = __float__ = __int__ = __len__ = __iter__ = __array__ = _refuse

    def __repr__(self) -> str:
        return f"<symbolic tensor, shape {show_shape(self.shape)}, dtype {self.dtype}>"


def _operator(name: str) -> Callable[[Symbolic, Any], Any]:
    """Return the method behind an operator that stands for an `Operation`."""

    def operator(symbol: Symbolic, other: Any = None) -> Any:
        return symbol._operated(name, other)  # noqa: SLF001 - of this file

    operator.__name__ = name
    return operator


for _name in ("truediv", "rtruediv", "matmul", "rmatmul", "pow", "rpow", "lt", "le", "gt", "ge"):
    setattr(Symbolic, f"__{_name}__", _operator(f"__{_name}__"))


def is_number(value: Any) -> bool:
    """Tell whether a value is one number, as Python or NumPy has them."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_symbolic(value: Any) -> bool:
    """Tell whether a value stands for a tensor in a graph."""
    return isinstance(value, Symbolic)


def Input(  # noqa: N802 - Keras' name; it stands where a layer stands
    shape: Any = None,
    dtype: Any = None,
    name: str | None = None,
    batch_size: int | None = None,
    *,
    batch_shape: Any = None,
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
    batch_size
        The number of rows that batches are meant to have. It is noted, as ``symbol.batch_size``,
        and binds nobody: models take any number of rows.
    batch_shape
        The shape with the number of rows in front, in the place of `shape` and `batch_size`.

    Returns
    -------
    Symbolic
        Shape (None, *shape).

    Raises
    ------
    ValueError
        A size below 1, an unknown dtype, a name with control characters; both or neither of `shape`
        and `batch_shape`.

    Examples
    --------
    >>> eg.Input((64,))
    <symbolic tensor, shape (None, 64), dtype float32>

    Sequences of any length, of 3 features a step:

    >>> model = eg.Sequential([eg.Input((None, 3)), eg.layers.LSTM(8), eg.layers.Dense(1)])
    >>> [model(eg.zeros((2, steps, 3))).shape for steps in (5, 7)]
    [(2, 1), (2, 1)]
    """
    if (shape is None) is (batch_shape is None):
        raise ValueError("shape, batch_shape: expected one of the two")
    if batch_shape is not None:
        if batch_size is not None or not isinstance(batch_shape, (tuple, list)) or not batch_shape:
            raise ValueError(
                "batch_shape: expected the number of rows, or None, and the shape of one, without "
                f"batch_size beside it, got {batch_shape!r}"
            )
        batch_size, *shape = batch_shape
    kind = check_dtype(get_default_dtype() if dtype is None else dtype)
    row = check_row_shape(shape, "batch_shape" if batch_shape else "shape")
    symbol = Symbolic((None, *row), kind, Node(None, [], False), check_name(name))
    if batch_size is not None:
        symbol.batch_size = check_int(batch_size, "batch_size", at_least=1)
    return symbol


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
