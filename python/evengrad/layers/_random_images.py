"""What layers that change images at random share: kinds of images, and ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad._tensor.random import check_seed, generator
from evengrad.layers._dropout import Noise

if TYPE_CHECKING:
    from evengrad._core import Tensor

# A number, or the two ends of a range.
Range: TypeAlias = float | tuple[float, float]

DATA_FORMATS = ("channels_last", "channels_first")
# Dimensions of images without channels and with them, the rows of the batch included.
PLAIN, COLOURED = 3, 4


class RandomImages(Noise):
    """Base of the layers that change images at random in training, and else leave them.

    Each image draws numbers of its own.
    """

    # What is sampled by `predict_mc` is the network: its images stay what they are.
    monte_carlo = False
    data_format: str
    seed: int | None

    def _set_images(self, seed: int | None, data_format: str) -> None:
        """Keep what all these layers have."""
        self.seed = None if seed is None else check_seed(seed, "seed")
        self.data_format = choose(data_format, DATA_FORMATS, "data_format")

    def _stream_for(self, name: str) -> _core.Generator:
        return super()._stream_for(name) if self.seed is None else generator(self.seed, name)

    @property
    def _channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def _sizes_of(self, x: Tensor) -> tuple[int, int, int]:
        """Return how many images there are, their height and their width."""
        shape = x.shape
        at = 2 if len(shape) == COLOURED and self._channels_first else 1
        return shape[0], shape[at], shape[at + 1]

    def _numbers(self, x: Tensor, ends: tuple[float, float]) -> Tensor:
        """Draw a number for each image."""
        return self.generator(self._stream).uniform((x.shape[0], 1), *ends, "float64")

    def _convert(self, x: Any) -> Tensor:
        """Return images as a tensor of the layer's dtype: bytes in one step."""
        if isinstance(x, np.ndarray) and x.dtype.kind in "ui":
            return _core.tensor(x.astype(self.dtype))
        return super()._convert(x)

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if len(shape) not in (PLAIN, COLOURED):
            raise self._story(
                "images of shape (rows, height, width) or (rows, height, width, channels)",
                shape,
                "put layers.Reshape((height, width)) before this layer where images come as rows "
                "of numbers, and layers.Flatten() after it",
            )


def check_range(
    value: Any,
    argument: str,
    *,
    low: float = -float("inf"),
    high: float = float("inf"),
    open_low: bool = False,
) -> Range:
    """Return a number, or two as a tuple, each within the bounds."""

    def check(one: Any) -> float:
        return check_float(one, argument, low=low, high=high, open_low=open_low)

    if not isinstance(value, (tuple, list)):
        return check(value)
    if len(value) != 2:
        raise ValueError(f"{argument}: expected a number or two, got {len(value)}")
    return check(value[0]), check(value[1])


def around_zero(value: Range) -> tuple[float, float]:
    """Return the ends of a range: those given in order, or a number on both sides of zero."""
    if isinstance(value, tuple):
        return min(value), max(value)
    return -abs(value), abs(value)


def check_value_range(value: Any) -> tuple[float, float]:
    """Return the least and the largest value of images, in this order."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"value_range: expected two numbers, (low, high), got {value!r}")
    low, high = (check_float(one, "value_range") for one in value)
    if low >= high:
        raise ValueError(f"value_range: expected (low, high), got ({low:g}, {high:g})")
    return low, high
