"""Images that are shifted, turned and zoomed at random."""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad.layers._random_images import RandomImages, Range, around_zero, check_range
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor

FILL_MODES = ("constant", "nearest", "reflect", "wrap")
INTERPOLATIONS = ("nearest", "bilinear")


class RandomAffine(RandomImages, abc.ABC):
    """Base of the layers that move the pixels of images."""

    _stream = "map"
    fill_mode: str
    interpolation: str
    fill_value: float

    def _set_modes(self, fill_mode: str, interpolation: str, fill_value: float) -> None:
        self.fill_mode = choose(fill_mode, FILL_MODES, "fill_mode")
        self.interpolation = choose(interpolation, INTERPOLATIONS, "interpolation")
        self.fill_value = check_float(fill_value, "fill_value")

    @abc.abstractmethod
    def _ranges(self) -> dict[str, Any]:
        """Return the ranges of the maps that are drawn."""

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return moved images in training, else x."""
        if not training:
            return x
        maps = _core.random_affine(
            self.generator(self._stream), *self._sizes_of(x), **self._ranges()
        )
        modes = self.fill_mode, self.interpolation, self.fill_value
        return _core.affine_transform(x, maps, *modes, self._channels_first)


class RandomTranslation(RandomAffine):
    """Shift each image by random amounts, up or down and left or right, while training.

    In inference images pass unchanged.

    Parameters
    ----------
    height_factor
        How far down, in parts of the height, in [−1, 1]: the ends of the range that each image
        draws from, or a number for the range from −number to number.
    width_factor
        The same to the right, in parts of the width.
    fill_mode
        What lies beyond the edges a b c d: ``"constant"`` k k | a b c d | k k, ``"nearest"``
        a a | a b c d | d d, ``"reflect"`` b a | a b c d | d c, ``"wrap"`` c d | a b c d | a b.
    interpolation
        Between pixels: ``"bilinear"``, or ``"nearest"``.
    fill_value
        The constant k.
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
        A factor out of range, an unknown mode. From a call: no images.

    Notes
    -----
    Input (rows, height, width) or (rows, height, width, channels); the output has the same shape.
    Gradients reach the images.

    Examples
    --------
    >>> layer = eg.layers.RandomTranslation(0.0, (0.5, 0.5), fill_mode="wrap")
    >>> layer([[[1.0, 2.0, 3.0, 4.0]]], training=True).tolist()
    [[[3.0, 4.0, 1.0, 2.0]]]
    """

    @takes_shared
    def __init__(
        self,
        height_factor: Range,
        width_factor: Range,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str = "channels_last",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.height_factor = check_range(height_factor, "height_factor", low=-1.0, high=1.0)
        self.width_factor = check_range(width_factor, "width_factor", low=-1.0, high=1.0)
        self._set_modes(fill_mode, interpolation, fill_value)
        self._set_images(seed, data_format)

    def _ranges(self) -> dict[str, Any]:
        down, right = around_zero(self.height_factor), around_zero(self.width_factor)
        return {"down": down, "right": right, "zoom_width": (1.0, 1.0)}


class RandomRotation(RandomAffine):
    """Turn each image about its middle by a random angle while training.

    In inference images pass unchanged.

    Parameters
    ----------
    factor
        The angle in parts of a whole turn, counter-clockwise: the ends of the range that each image
        draws from, or a number for the range from −number to number. 0.1 is 36 degrees at most.
    fill_mode, interpolation, fill_value, data_format
        As for `RandomTranslation`.
    seed
        What the numbers follow from in the place of the model's seed and the layer's path: layers
        of one kind with one seed draw the same, for images and their masks. None by default.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A factor that is not in [−1, 1], an unknown mode. From a call: no images.

    Notes
    -----
    Input (rows, height, width) or (rows, height, width, channels); the output has the same shape.
    Gradients reach the images.

    Examples
    --------
    >>> layer = eg.layers.RandomRotation((0.25, 0.25), interpolation="nearest")
    >>> layer([[[1.0, 2.0], [3.0, 4.0]]], training=True).tolist()
    [[[2.0, 4.0], [1.0, 3.0]]]
    """

    @takes_shared
    def __init__(
        self,
        factor: Range,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str = "channels_last",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.factor = check_range(factor, "factor", low=-1.0, high=1.0)
        self._set_modes(fill_mode, interpolation, fill_value)
        self._set_images(seed, data_format)

    def _ranges(self) -> dict[str, Any]:
        low, high = around_zero(self.factor)
        return {"angle": (low * math.tau, high * math.tau)}


class RandomZoom(RandomAffine):
    """Zoom each image about its middle by random amounts while training.

    In inference images pass unchanged.

    Parameters
    ----------
    height_factor
        How much more of the height is seen: 0.2 zooms out to 1.2 heights, −0.2 in to 0.8. The ends
        of the range in (−1, 1] that each image draws from, or a number for the range from −number
        to number.
    width_factor
        The same for the width, drawn by itself; None: images keep their proportions.
    fill_mode, interpolation, fill_value, data_format
        As for `RandomTranslation`.
    seed
        What the numbers follow from in the place of the model's seed and the layer's path: layers
        of one kind with one seed draw the same, for images and their masks. None by default.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A factor out of range, an unknown mode. From a call: no images.

    Notes
    -----
    Input (rows, height, width) or (rows, height, width, channels); the output has the same shape.
    Gradients reach the images.

    Examples
    --------
    >>> layer = eg.layers.RandomZoom((1.0, 1.0), fill_mode="constant")
    >>> layer([[[9.0, 5.0], [5.0, 1.0]]], training=True).tolist()
    [[[2.25, 1.25], [1.25, 0.25]]]
    """

    @takes_shared
    def __init__(
        self,
        height_factor: Range,
        width_factor: Range | None = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str = "channels_last",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.height_factor = check_zoom(height_factor, "height_factor")
        self.width_factor = (
            None if width_factor is None else check_zoom(width_factor, "width_factor")
        )
        self._set_modes(fill_mode, interpolation, fill_value)
        self._set_images(seed, data_format)

    def _ranges(self) -> dict[str, Any]:
        def seen(factor: Range) -> tuple[float, float]:
            low, high = around_zero(factor)
            return 1.0 + low, 1.0 + high

        wide = None if self.width_factor is None else seen(self.width_factor)
        return {"zoom": seen(self.height_factor), "zoom_width": wide}


def check_zoom(factor: Any, argument: str) -> Range:
    """Return a factor of a zoom: nothing at all is never seen."""
    checked = check_range(factor, argument, low=-1.0, high=1.0, open_low=True)
    if around_zero(checked)[0] <= -1.0:
        raise ValueError(
            f"{argument}: expected a number below 1, as images are zoomed in as much as out, got "
            f"{factor!r}; give both ends of a range, (-0.5, {factor!r})"
        )
    return checked
