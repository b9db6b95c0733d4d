"""Layers that make one tensor of several."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._tensor.step_masks import either
from evengrad.layers._activation import check_axis
from evengrad.layers._layer import Layer
from evengrad.layers._shared import Shared, takes_shared
from evengrad.layers._symbolic import stands_for_operator

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Merge(Layer):
    """Base of the layers that join inputs of one shape, element by element."""

    # How many inputs there are, at least and at most.
    FEWEST = 1
    MOST: int | None = None
    _makes_masks = False

    def merge(self, left: Tensor, right: Tensor) -> Tensor:
        """Return two inputs joined."""
        raise NotImplementedError(f"{type(self).__name__} must define merge(left, right)")

    def call(self, x: list[Tensor]) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the inputs joined, from the first to the last."""
        return functools.reduce(self.merge, x)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of each input."""
        return input_shape[0]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return where a step counts in any input; None where all steps of one do."""
        del inputs
        if previous_mask is None or any(one is None for one in previous_mask):
            return None
        return functools.reduce(either, previous_mask)

    def _check_input(self, shape: Any) -> None:
        if not isinstance(shape, list):
            raise self._story("a list of inputs", shape, "call it as layer([a, b])")
        if len(shape) < self.FEWEST or (self.MOST is not None and len(shape) > self.MOST):
            raise self._story(f"{self.FEWEST} inputs", f"{len(shape)}", "call it as layer([a, b])")
        if any(one != shape[0] for one in shape):
            raise self._story(
                "inputs of one shape",
                f"shapes {', '.join(map(str, shape))}",
                "bring them to one width with a Dense layer",
            )


@stands_for_operator
class Add(Merge):
    """Add inputs of one shape: the end of a shortcut, x + F(x).

    Raises
    ------
    ValueError
        From a call: no list of inputs, or inputs of different shapes.

    Notes
    -----
    Inputs (rows, ...), any shape that they share; the output has the same.

    References
    ----------
    He et al., "Deep residual learning for image recognition", 2015.

    Examples
    --------
    >>> eg.layers.Add()([eg.ones((1, 2)), eg.ones((1, 2))]).tolist()
    [[2.0, 2.0]]
    """

    def merge(self, left: Tensor, right: Tensor) -> Tensor:
        """Return left + right."""
        return left + right


@stands_for_operator
class Subtract(Merge):
    """Subtract the second of two inputs of one shape from the first.

    Raises
    ------
    ValueError
        From a call: no list of two inputs, or inputs of different shapes.

    Notes
    -----
    Two inputs (rows, ...), any shape that they share; the output has the same.

    Examples
    --------
    >>> eg.layers.Subtract()([eg.full((1, 2), 3.0), eg.ones((1, 2))]).tolist()
    [[2.0, 2.0]]
    """

    FEWEST = MOST = 2

    def merge(self, left: Tensor, right: Tensor) -> Tensor:
        """Return left − right."""
        return left - right


@stands_for_operator
class Multiply(Merge):
    """Multiply inputs of one shape, element by element: a gate.

    Raises
    ------
    ValueError
        From a call: no list of inputs, or inputs of different shapes.

    Notes
    -----
    Inputs (rows, ...), any shape that they share; the output has the same.

    Examples
    --------
    >>> eg.layers.Multiply()([eg.full((1, 2), 3.0), eg.full((1, 2), 2.0)]).tolist()
    [[6.0, 6.0]]
    """

    def merge(self, left: Tensor, right: Tensor) -> Tensor:
        """Return left · right."""
        return left * right


class Average(Merge):
    """Take the mean of inputs of one shape, element by element.

    Raises
    ------
    ValueError
        From a call: no list of inputs, or inputs of different shapes.

    Notes
    -----
    Inputs (rows, ...), any shape that they share; the output has the same.

    Examples
    --------
    >>> eg.layers.Average()([eg.full((1, 2), 3.0), eg.ones((1, 2))]).tolist()
    [[2.0, 2.0]]
    """

    def call(self, x: list[Tensor]) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the mean."""
        return functools.reduce(operator.add, x) / len(x)


class Maximum(Merge):
    """Take the largest of inputs of one shape, element by element.

    Two that are equal share the gradient.

    Raises
    ------
    ValueError
        From a call: no list of inputs, or inputs of different shapes.

    Notes
    -----
    Inputs (rows, ...), any shape that they share; the output has the same.

    Examples
    --------
    >>> eg.layers.Maximum()([eg.tensor([[1.0, 5.0]]), eg.tensor([[3.0, 2.0]])]).tolist()
    [[3.0, 5.0]]
    """

    def merge(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the larger of both."""
        return _core.maximum(left, right)


class Minimum(Merge):
    """Take the smallest of inputs of one shape, element by element.

    Two that are equal share the gradient.

    Raises
    ------
    ValueError
        From a call: no list of inputs, or inputs of different shapes.

    Notes
    -----
    Inputs (rows, ...), any shape that they share; the output has the same.

    Examples
    --------
    >>> eg.layers.Minimum()([eg.tensor([[1.0, 5.0]]), eg.tensor([[3.0, 2.0]])]).tolist()
    [[1.0, 2.0]]
    """

    def merge(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the smaller of both."""
        return _core.minimum(left, right)


class Concatenate(Layer):
    """Put inputs side by side.

    Parameters
    ----------
    axis
        The dimension along which they are joined; all others must agree. Not 0, the rows.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `axis` is 0, or the inputs differ in another dimension.

    Notes
    -----
    Inputs (rows, ...); the output has the sum of their sizes along `axis`.

    Examples
    --------
    >>> eg.layers.Concatenate()([eg.zeros((1, 1)), eg.ones((1, 2))]).tolist()
    [[0.0, 1.0, 1.0]]
    """

    _makes_masks = False

    @takes_shared
    def __init__(self, axis: int = -1, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.axis = check_axis(axis)

    def call(self, x: list[Tensor]) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the inputs joined."""
        return _core.cat(x, dim=self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return where a step counts in any input; joined, where `axis` is that of the steps."""
        if previous_mask is None:
            return None
        pairs = list(zip(inputs, previous_mask, strict=True))
        masks = [
            _core.ones(x.shape[:2], dtype="float32") != 0.0 if mask is None else mask
            for x, mask in pairs
        ]
        if self.axis % inputs[0].ndim != 1:
            return functools.reduce(either, masks)
        numbers = [mask.astype("float32") for mask in masks]
        return _core.cat(numbers, dim=1) != 0.0

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with the joined dimension summed."""
        axis = self.axis % len(input_shape[0])
        sizes = [shape[axis] for shape in input_shape]
        joined = None if None in sizes else sum(sizes)
        return (*input_shape[0][:axis], joined, *input_shape[0][axis + 1 :])

    def _check_input(self, shape: Any) -> None:
        if not isinstance(shape, list):
            raise self._story("a list of inputs", shape, "call it as layer([a, b])")
        ndim = len(shape[0])
        if not -ndim < self.axis < ndim:
            raise self._story(
                f"inputs with a dimension {self.axis}", shape, "choose another `axis`"
            )
        axis = self.axis % ndim
        rest = [one[:axis] + one[axis + 1 :] for one in shape]
        if any(one != rest[0] for one in rest):
            raise self._story(
                f"inputs that differ in dimension {axis} alone",
                f"shapes {', '.join(map(str, shape))}",
                "flatten or reshape them first",
            )
