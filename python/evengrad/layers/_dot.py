"""Products of the rows of two inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_int
from evengrad.layers._layer import Layer
from evengrad.layers._shared import Shared, takes_shared
from evengrad.layers._unit_normalization import unit

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.arrays import Shape
    from evengrad._core import Tensor

INPUTS = 2
# Rows that are vectors.
VECTORS = 2


class Dot(Layer):
    """Multiply two inputs row by row and sum over a dimension of each: Σ_i x_i · y_i.

    Parameters
    ----------
    axes
        The dimension that is summed over, or a pair of one for each input; not 0, the rows.
    normalize
        Whether vectors along these dimensions are brought to length 1 first: the outputs are then
        cosines.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `axes` holds 0, or is neither a number nor a pair. From a call: no list of two inputs, or
        sizes of these dimensions that differ.

    Notes
    -----
    Two inputs (rows, ...). The output has the other dimensions of the first input, then those of
    the second; two inputs of vectors make (rows, 1).

    Examples
    --------
    >>> eg.layers.Dot(1)([eg.tensor([[1.0, 2.0]]), eg.tensor([[3.0, 4.0]])]).tolist()
    [[11.0]]
    """

    @takes_shared
    def __init__(self, axes: Any, normalize: bool = False, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        given = axes if isinstance(axes, (tuple, list)) else [axes, axes]
        if len(given) != INPUTS:
            raise ValueError(f"axes: expected a dimension or a pair of them, got {axes!r}")
        self._axes = [check_int(axis, "axes", at_least=-8) for axis in given]
        if 0 in self._axes:
            raise ValueError("axes: expected any dimensions but 0, the rows, got 0")
        self.axes = axes
        self.normalize = bool(normalize)

    def call(self, x: list[Tensor]) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the sums of products."""
        left, right = x
        first, second = self._axes
        if self.normalize:
            left, right = unit(left, [first]), unit(right, [second])
        if left.ndim == right.ndim == VECTORS:
            return (left * right).sum(1, keepdim=True)
        left, others = _with_axis_last(left, first)
        right, more = _with_axis_last(right, second)
        product = _core.matmul(left, right.transpose(1, 2))
        return product.reshape(left.shape[0], *others, *more)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the other dimensions of both inputs."""
        left, right = (
            _others(shape, axis) for shape, axis in zip(input_shape, self._axes, strict=True)
        )
        return (None, *(left + right or (1,)))

    def _check_input(self, shape: Any) -> None:
        if not isinstance(shape, list) or len(shape) != INPUTS:
            raise self._story("a list of two inputs", shape, "call it as layer([a, b])")
        for one, axis in zip(shape, self._axes, strict=True):
            if not -len(one) < axis < len(one):
                raise self._story(
                    f"an input with dimension {axis} beside the rows", one, "choose other axes"
                )
        sizes = [one[axis] for one, axis in zip(shape, self._axes, strict=True)]
        if sizes[0] != sizes[1]:
            raise self._story(
                f"equal sizes in dimensions {self._axes[0]} and {self._axes[1]}",
                f"shapes {shape[0]} and {shape[1]}",
                "choose other axes",
            )


def _others(shape: Shape, axis: int) -> tuple[Any, ...]:
    """Return the sizes of a row without one dimension."""
    axis %= len(shape)
    return (*shape[1:axis], *shape[axis + 1 :])


def _with_axis_last(x: Tensor, axis: int) -> tuple[Tensor, tuple[int, ...]]:
    """Return a tensor of shape (rows, all others, one dimension), and the sizes of the others."""
    axis %= x.ndim
    others = [other for other in range(1, x.ndim) if other != axis]
    moved = x.permute(0, *others, axis)
    return moved.reshape(x.shape[0], -1, x.shape[axis]), tuple(x.shape[one] for one in others)
