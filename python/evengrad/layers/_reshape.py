"""Another shape for the same numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_int
from evengrad.layers._layer import Layer
from evengrad.layers._shared import Shared, takes_shared
from evengrad.layers._symbolic import row_size

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Reshape(Layer):
    """Give each row another shape: (rows, …) becomes (rows, *target_shape).

    Parameters
    ----------
    target_shape
        The sizes of a row; one of them may be −1 and is then what is left.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A size of 0 or below −1, several of −1. From a call: another number of elements.

    Examples
    --------
    >>> eg.layers.Reshape((2, -1))(eg.zeros((5, 6))).shape
    (5, 2, 3)
    """

    @takes_shared
    def __init__(self, target_shape: Any, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        sizes = target_shape if isinstance(target_shape, (tuple, list)) else (target_shape,)
        self.target_shape = tuple(check_int(size, "target_shape", at_least=-1) for size in sizes)
        if 0 in self.target_shape or self.target_shape.count(-1) > 1:
            raise ValueError(
                "target_shape: expected sizes of 1 or more, and −1 at most once, got "
                f"{self.target_shape}"
            )

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the rows in their new shape."""
        return x.reshape(x.shape[0], *self._sizes(tuple(x.shape)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (None, *target_shape)."""
        return (None, *self._sizes(tuple(input_shape)))

    def _sizes(self, shape: Any) -> tuple[int, ...]:
        """Return the sizes of a row, without −1."""
        rest = row_size(shape[1:]) // math.prod(size for size in self.target_shape if size > 0)
        return tuple(rest if size < 0 else size for size in self.target_shape)

    def _check_input(self, shape: Any) -> None:
        self._check_sizes(shape)
        if math.prod(self._sizes(shape)) != row_size(shape[1:]):
            raise self._story(
                f"rows that fill {self.target_shape}",
                shape,
                f"a row has {row_size(shape[1:])} elements; choose sizes with that product",
            )
