"""Images in which a box is erased at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.layers._random_images import RandomImages, Range, check_range, check_value_range
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class RandomErasing(RandomImages):
    """Replace a random box of each image while training, by noise or by a value.

    In inference images pass unchanged.

    Parameters
    ----------
    factor
        The probability that an image is changed, in [0, 1]; of two numbers, each image draws its
        probability between them.
    scale
        Both sides of the box are √s of the image's, with an s of its own each, which is drawn
        between these two numbers in [0, 1]: they bound the share of the image that is erased. A
        single number is the upper end of a range from 0.
    fill_value
        What stands in the box: a number, or one for each channel. None: normal noise of mean 0,
        whose deviation is the upper end of `value_range`.
    value_range
        The least and the largest value of images, (low, high), to which the box is cut: (0, 255)
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
        A factor or a scale out of range, or no range of values. From a call: no images, or another
        number of channels than values to fill them with.

    Notes
    -----
    Input (rows, height, width) or (rows, height, width, channels); the output has the same shape.
    Gradients reach the pixels that are left.

    References
    ----------
    Zhong et al., "Random erasing data augmentation", 2017.

    Examples
    --------
    >>> layer = eg.layers.RandomErasing(scale=(0.25, 0.25), fill_value=0.5)
    >>> y = layer(eg.ones((100, 8, 8)), training=True).numpy()
    >>> bool(((y == 0.5).sum((1, 2)) == 16).all())
    True
    """

    _stream = "boxes"

    @takes_shared
    def __init__(
        self,
        factor: Range = 1.0,
        scale: Range = (0.02, 0.33),
        fill_value: float | list[float] | None = None,
        value_range: tuple[float, float] = (0.0, 255.0),
        seed: int | None = None,
        data_format: str = "channels_last",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.factor = check_range(factor, "factor", low=0.0, high=1.0)
        self.scale = check_range(scale, "scale", low=0.0, high=1.0)
        self.fill_value = check_fill(fill_value)
        self.value_range = check_value_range(value_range)
        self._set_images(seed, data_format)

    def build(self, input_shape: Any) -> None:
        """Make the streams of boxes and of noise."""
        super().build(input_shape)
        if self.fill_value is None:
            self.add_generator("noise")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return images with erased boxes in training, else x."""
        if not training:
            return x
        factor, scale = self.factor, self.scale
        probability = factor if isinstance(factor, tuple) else (factor, factor)
        shares = scale if isinstance(scale, tuple) else (0.0, scale)
        boxes = _core.random_boxes(
            self.generator(self._stream),
            *self._sizes_of(x),
            probability=(min(probability), max(probability)),
            scale=(min(shares), max(shares)),
        )
        low, high = self.value_range
        if self.fill_value is None:
            noise, ends = self.generator("noise"), (low, high)
            return _core.erase(x, boxes, None, noise, high, ends, self._channels_first)
        given = self.fill_value
        values = [
            min(max(one, low), high) for one in (given if isinstance(given, list) else [given])
        ]
        return _core.erase(x, boxes, values, channels_first=self._channels_first)

    def _check_input(self, shape: Any) -> None:
        super()._check_input(shape)
        if not isinstance(self.fill_value, list) or len(self.fill_value) == 1:
            return
        plain = len(shape) == 3
        channels = 1 if plain else shape[1 if self._channels_first else -1]
        if channels not in (None, len(self.fill_value)):
            raise self._story(
                f"images of {len(self.fill_value)} channels, one for each fill_value",
                shape,
                "pass one number for all channels, or one for each",
            )


def check_fill(value: Any) -> float | list[float] | None:
    """Return what boxes are filled with: a number, a list of them, or None for noise."""
    if value is None:
        return None
    if isinstance(value, (tuple, list)):
        if not value:
            raise ValueError("fill_value: expected a number, or one for each channel, got none")
        return [check_float(one, "fill_value") for one in value]
    return check_float(value, "fill_value")
