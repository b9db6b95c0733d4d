"""Methods and operators of tensors, and functions of the user's, as layers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.names import choose, shown_object
from evengrad._core import Tensor
from evengrad._tensor import activations
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers._layer import Layer
from evengrad.layers._shared import Shared, takes_shared
from evengrad.layers._symbolic import Symbolic, show_shape, stands_for_operator

if TYPE_CHECKING:
    from typing_extensions import Unpack

OPERATORS = tuple(
    f"__{name}__"
    for name in (
        *("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv"),
        *("matmul", "rmatmul", "pow", "rpow", "abs", "neg"),
        *("lt", "le", "gt", "ge", "getitem"),
    )
)
SHAPED = (
    *("reshape", "view", "transpose", "swapaxes", "permute", "flatten", "squeeze", "unsqueeze"),
    *("expand", "flip"),
)
REDUCING = (
    *("sum", "mean", "var", "std", "prod", "norm", "amax", "amin", "max", "min", "argmax"),
    *("argmin", "logsumexp", "all", "any"),
)
# Those of the core's table, and others that keep the shape.
ELEMENTWISE = (
    *(name for name in sorted(_core.elementwise_forms()) if hasattr(_core.Tensor, name)),
    *("clip", "cumsum", "cumprod", "floor", "ceil", "round", "log2", "log10"),
    *("isnan", "isinf", "isfinite"),
)
# Rows on which shapes of outputs are found: so many that no other dimension is likely to be.
ROWS = 5


@stands_for_operator
class Operation(Layer):
    """Apply a method or an operator of tensors: ``x.sum(1)``, ``x[:, 3:]``, ``x ** 2``.

    Symbolic tensors make it by themselves. What it does with a row must not depend on others: the
    first dimension, the rows, stays where it is.

    Parameters
    ----------
    method
        The name of a method of `Tensor` that returns one, or of that behind an operator, such as
        ``"__pow__"``. Comparisons give 1 where they hold, else 0.
    arguments
        What it is called with, beside the input: numbers, text, lists, arrays, and for
        ``"__getitem__"`` an index, whose slices are also written ``{"slice": [start, stop, step]}``
        and whose ellipsis ``{"ellipsis": True}``.
    keywords
        Arguments by name.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        An unknown method. From a call: an output whose first dimension is not that of the rows.

    Notes
    -----
    Input (rows, ...), any shape that the method takes; a list of two inputs for operators between
    tensors, which may be of different shapes as in NumPy.

    Examples
    --------
    >>> eg.layers.Operation("sum", [1])([[1.0, 2.0], [3.0, 4.0]]).tolist()
    [3.0, 7.0]
    >>> x = eg.Input((5,))
    >>> eg.Model(x, x[:, 3:] ** 2).predict(np.arange(5.0)[None], verbose=0).tolist()
    [[9.0, 16.0]]
    """

    METHODS = (*SHAPED, *REDUCING, *ELEMENTWISE)

    @takes_shared
    def __init__(
        self, method: str, arguments: Any = (), keywords: Any = None, **shared: Unpack[Shared]
    ) -> None:
        super().__init__(**shared)
        self.method = choose(method, (*self.METHODS, *OPERATORS), "method")
        self.arguments = [_plain(value) for value in arguments]
        self.keywords = {name: _plain(value) for name, value in (keywords or {}).items()}

    def call(self, x: Any) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return what the method makes of the input."""
        tensor, *others = x if isinstance(x, list) else [x]
        given = [_value(value, self.dtype) for value in self.arguments]
        keywords = {name: _value(value, self.dtype) for name, value in self.keywords.items()}
        made: Any = getattr(tensor, self.method)(*others, *given, **keywords)
        if not isinstance(made, Tensor):
            raise TypeError(
                f"{self.path}: {self.method} takes no {', '.join(map(repr, self.arguments))}"
            )
        return made if made.dtype == self.dtype else made.astype(self.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, found by running on zeros."""
        several = isinstance(input_shape, list)
        shapes = input_shape if several else [input_shape]
        open_sizes = any(None in shape[1:] for shape in shapes)
        found = [
            self._shape_for(shapes, several, size) for size in ((2, 3) if open_sizes else (2,))
        ]
        for shape in found:
            if not shape or shape[0] != ROWS:
                raise self._story(
                    "an output with as many rows as the input",
                    f"shape {shape} for {ROWS} rows",
                    "leave the first dimension as it is, as in x[:, 0] and x.sum(1)",
                )
        sizes = [a if a == b else None for a, b in zip(found[0][1:], found[-1][1:], strict=True)]
        return (None, *sizes)

    def _shape_for(self, shapes: list[Any], several: bool, size: int) -> tuple[int, ...]:
        rows = [
            _core.zeros((ROWS, *[size if one is None else one for one in shape[1:]]), self.dtype)
            for shape in shapes
        ]
        with no_grad():
            return tuple(self.call(rows if several else rows[0]).shape)

    def _shown(self) -> dict[str, Any]:
        return {name: value for name, value in super()._shown().items() if value not in ([], {})}

    def _check_input(self, shape: Any) -> None:
        if isinstance(shape, list) and len(shape) > 2:
            raise self._story("one input or two", f"{len(shape)}", "apply it step by step")


def _plain(value: Any) -> Any:
    """Return an argument as a file has it."""
    if isinstance(value, slice):
        return {"slice": [_plain(one) for one in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor):
        return value.detach().numpy().copy()
    return value.item() if isinstance(value, np.generic) else value


def _value(value: Any, dtype: str) -> Any:
    """Return an argument as the method takes it."""
    if isinstance(value, dict) and "slice" in value:
        return slice(*value["slice"])
    if isinstance(value, dict):
        return Ellipsis
    if isinstance(value, list):
        return tuple(_value(item, dtype) for item in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return _core.tensor(value, dtype=dtype)
    return value


class Lambda(Layer):
    """Apply a function of tensors.

    A function with a name can be saved: a file holds the name, and `load_model` finds it among the
    elementwise functions of this package, among those that are registered with
    `utils.register_keras_serializable`, and in `custom_objects`. No file holds its code, and a
    lambda, which has no name, is an error of `save`.

    Parameters
    ----------
    function
        A function of a tensor, or of a list of them, made of operations on tensors; or a name from
        `evengrad.activations`. It may take ``training`` besides.
    output_shape
        The shape of a row of the output; found by running on zeros if None.
    arguments
        A dict of what the function is called with, beside the input.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        An unknown name.
    TypeError
        No function. From a call: the function returns something else than tensors.

    Notes
    -----
    Input (rows, ...), any shape that the function takes. Variables that the function uses are none
    of the layer's, and are not trained: write a `Layer` for these.

    Examples
    --------
    >>> eg.layers.Lambda(lambda x: x**2)([[2.0, 3.0]]).tolist()
    [[4.0, 9.0]]
    >>> model = eg.Sequential([eg.Input((2,)), eg.layers.Lambda(eg.exp)])
    >>> model.save("net.safetensors")
    >>> eg.load_model("net.safetensors")(eg.zeros((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    @takes_shared
    def __init__(
        self,
        function: Any,
        output_shape: Any = None,
        arguments: dict[str, Any] | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        if isinstance(function, str):
            function = activations.get(function)
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"function: expected a function, got {shown_object(function)}")
        self.function = function
        self.output_shape = None if output_shape is None else tuple(output_shape)
        self.arguments = dict(arguments or {})
        try:
            self._takes_training = "training" in inspect.signature(function).parameters
        except (TypeError, ValueError):
            # A native one.
            self._takes_training = False

    def call(self, x: Any, training: bool = False) -> Any:
        """Return what the function makes of the input."""
        more = {"training": training} if self._takes_training else {}
        made = self.function(x, **self.arguments, **more)
        found = made if isinstance(made, (list, tuple)) else [made]
        if not all(isinstance(one, (Tensor, Symbolic)) for one in found):
            raise TypeError(
                f"{self.path}: expected a function that returns tensors, got "
                f"{type(made).__name__}; use operations on tensors alone"
            )
        return made

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape that was given, or that of the output for a row of zeros."""
        if self.output_shape is not None:
            return (None, *self.output_shape)
        return super().compute_output_shape(input_shape)

    def _check_input(self, shape: Any) -> None:
        if isinstance(shape, tuple) and not shape:
            raise self._story("an input with rows", show_shape(shape), "add a dimension")
