"""Images whose brightness and contrast change at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad.layers._random_images import (
    RandomImages,
    Range,
    around_zero,
    check_range,
    check_value_range,
)
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class RandomBrightness(RandomImages):
    """Add a random number to all pixels of each image while training: clip(x + d).

    In inference images pass unchanged.

    Parameters
    ----------
    factor
        The number d in parts of the range of values, in [−1, 1]: the ends of the range that each
        image draws from, or a number for the range from −number to number.
    value_range
        The least and the largest value of images, (low, high), to which results are cut: (0, 255)
        for bytes. For pixels that are scaled to [0, 1] it is (0, 1).
    data_format
        ``"channels_last"`` or ``"channels_first"``: where channels stand, if there are any.
    seed
        What the numbers follow from in the place of the model's seed and the layer's path: layers
        of one kind with one seed draw the same, for images and their masks. None by default.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A factor out of range, or no range of values. From a call: no images.

    Notes
    -----
    Input (rows, height, width) or (rows, height, width, channels); the output has the same shape.
    Gradients reach pixels that were not cut.

    Examples
    --------
    >>> layer = eg.layers.RandomBrightness((0.5, 0.5), value_range=(0, 1))
    >>> layer([[[0.0, 0.25, 0.75]]], training=True).tolist()
    [[[0.5, 0.75, 1.0]]]
    """

    @takes_shared
    def __init__(
        self,
        factor: Range,
        value_range: tuple[float, float] = (0.0, 255.0),
        seed: int | None = None,
        data_format: str = "channels_last",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.factor = check_range(factor, "factor", low=-1.0, high=1.0)
        self.value_range = check_value_range(value_range)
        self._set_images(seed, data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return brighter or darker images in training, else x."""
        if not training:
            return x
        low, high = around_zero(self.factor)
        span = self.value_range[1] - self.value_range[0]
        numbers = self._numbers(x, (low * span, high * span))
        bounds = self.value_range
        return _core.change_color(x, "brightness", numbers, bounds, self._channels_first)


class RandomContrast(RandomImages):
    """Stretch each image about its mean by a random factor while training: clip(m + f · (x − m)).

    The mean m is that of a channel of an image. In inference images pass unchanged.

    Parameters
    ----------
    factor
        Each image draws f from [1 − factor, 1 + factor]; of two numbers, (lower, upper), from
        [1 − lower, 1 + upper]. In [0, 1].
    value_range
        The least and the largest value of images, (low, high), to which results are cut: (0, 255)
        for bytes. For pixels that are scaled to [0, 1] it is (0, 1).
    data_format
        ``"channels_last"`` or ``"channels_first"``: where channels stand, if there are any.
    seed
        What the numbers follow from in the place of the model's seed and the layer's path: layers
        of one kind with one seed draw the same, for images and their masks. None by default.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A factor out of range, or no range of values. From a call: no images.

    Notes
    -----
    Input (rows, height, width) or (rows, height, width, channels); the output has the same shape.
    Gradients reach pixels that were not cut.

    Examples
    --------
    >>> layer = eg.layers.RandomContrast((0.5, 0.0), value_range=(0, 1))
    >>> y = layer([[[0.0, 1.0]]], training=True).numpy()
    >>> bool((abs(y - 0.5) >= 0.25).all()), float(y.mean())
    (True, 0.5)
    """

    @takes_shared
    def __init__(
        self,
        factor: Range,
        value_range: tuple[float, float] = (0.0, 255.0),
        seed: int | None = None,
        data_format: str = "channels_last",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.factor = check_range(factor, "factor", low=0.0, high=1.0)
        self.value_range = check_value_range(value_range)
        self._set_images(seed, data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return images of more or less contrast in training, else x."""
        if not training:
            return x
        factor = self.factor
        lower, upper = factor if isinstance(factor, tuple) else (factor, factor)
        numbers = self._numbers(x, (1.0 - lower, 1.0 + upper))
        bounds = self.value_range
        return _core.change_color(x, "contrast", numbers, bounds, self._channels_first)
