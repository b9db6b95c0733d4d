"""Noise for tables: numbers of other rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.layers._dropout import Noise
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class SwapNoise(Noise):
    """Replace a random share of a table by numbers of the same column while training.

    Each number is replaced with probability `rate` by that of another row of the batch, drawn for
    it alone: noise with the law of the column, for numbers, codes and flags alike. In inference the
    input passes unchanged.

    Parameters
    ----------
    rate
        The share that is replaced, in [0, 1]; 0.15 is usual.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `rate` is outside [0, 1].

    Notes
    -----
    Input (rows, ...), any shape; the output has the same. A batch of one row stays as it is.
    Gradients go to the rows that numbers came from.

    Examples
    --------
    >>> layer = eg.layers.SwapNoise(1.0)
    >>> layer([[1.0, 10.0], [2.0, 20.0]], training=True).tolist()
    [[2.0, 20.0], [1.0, 10.0]]
    """

    # It stands for other data, not for other networks.
    monte_carlo = False
    _stream = "swaps"

    # Numbers of padded steps come to others.
    supports_masking = False

    @takes_shared
    def __init__(self, rate: float, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.rate = check_float(rate, "rate", low=0.0, high=1.0)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x with a share of its numbers replaced in training, else x."""
        if not training or self.rate == 0.0:
            return x
        return _core.swap_noise(x, self.rate, self.generator(self._stream))
