"""Vectors of length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._tensor.axes import check_axes
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor

# Squares of lengths count as no less, so that a vector of zeros stays one.
LEAST_SQUARE = 1e-12


def unit(x: Tensor, axes: list[int]) -> Tensor:
    """Return a tensor whose parts along dimensions have length 1."""
    squares = x.square().sum(axes, keepdim=True)
    return x / squares.clamp(LEAST_SQUARE, float("inf")).sqrt()


class UnitNormalization(SameShape):
    """Divide every row by its length: x / √Σx².

    Parameters
    ----------
    axis
        The dimension along which lengths are 1, or several, over which they are together; not 0,
        the rows.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `axis` is 0, or holds it; from a call: the input has no such dimension.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same. The sum of squares counts as 1e-12 where
    it is less, as in Keras.

    Examples
    --------
    >>> eg.layers.UnitNormalization(dtype="float64")([[3.0, 4.0]]).tolist()
    [[0.6, 0.8]]
    """

    @takes_shared
    def __init__(self, axis: Any = -1, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self._axes = check_axes(axis)
        self.axis = axis

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return x of length 1."""
        return unit(x, self._axes)

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if any(not -len(shape) < axis < len(shape) for axis in self._axes):
            raise self._story(
                f"an input with dimension {self.axis} beside the rows", shape, "choose axis=-1"
            )
