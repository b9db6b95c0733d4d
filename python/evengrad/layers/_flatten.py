"""Flattening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.layers._layer import Layer
from evengrad.layers._symbolic import row_size

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Flatten(Layer):
    """Make each row one vector: (rows, a, b, …) becomes (rows, a · b · …).

    Examples
    --------
    >>> eg.layers.Flatten()(eg.zeros((5, 28, 28))).shape
    (5, 784)
    """

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the rows as vectors."""
        return x.reshape(x.shape[0], row_size(tuple(x.shape[1:])))

    def _check_input(self, shape: Any) -> None:
        self._check_sizes(shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (None, elements of a row)."""
        return (None, row_size(tuple(input_shape[1:])))
