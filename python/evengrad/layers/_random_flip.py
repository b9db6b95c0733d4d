"""Images that are mirrored at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.names import choose
from evengrad.layers._random_images import RandomImages
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor

MODES = ("horizontal", "vertical", "horizontal_and_vertical")


class RandomFlip(RandomImages):
    """Mirror each image with probability ½ while training.

    With both axes, each has a coin of its own: a quarter of the images stays, another is turned by
    half a turn. In inference images pass unchanged.

    Parameters
    ----------
    mode
        ``"horizontal"`` left to right, ``"vertical"`` upside down, or
        ``"horizontal_and_vertical"``.
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
        An unknown mode. From a call: no images.

    Notes
    -----
    Input (rows, height, width) or (rows, height, width, channels); the output has the same shape.
    Gradients reach the images.

    Examples
    --------
    >>> layer = eg.layers.RandomFlip("horizontal")
    >>> y = layer(np.full((100, 1, 2), [[0.0, 1.0]]), training=True).numpy()
    >>> sorted({tuple(row) for row in y.reshape(100, 2).tolist()})
    [(0.0, 1.0), (1.0, 0.0)]
    """

    _stream = "coins"

    @takes_shared
    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str = "channels_last",
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.mode = choose(mode, MODES, "mode")
        self._set_images(seed, data_format)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return images, half of them mirrored in training, else x."""
        if not training:
            return x
        coins = self.generator(self._stream).uniform((x.shape[0], 2), dtype="float64")
        axes = self.mode != "horizontal", self.mode != "vertical"
        return _core.flip_images(x, coins, *axes, self._channels_first)
