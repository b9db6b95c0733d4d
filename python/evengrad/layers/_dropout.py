"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Noise(SameShape):
    """Base of the layers that change their input at random in training, and else leave it."""

    monte_carlo = True
    # The name of the stream of random numbers.
    _stream = "noise"

    def build(self, input_shape: Any) -> None:
        """Make the stream."""
        del input_shape
        self.add_generator(self._stream)


class Dropout(Noise):
    """Zero a random share of the inputs while training: x · mask / (1 − rate).

    In inference the input passes unchanged. Masks follow from the model's seed, the layer's path
    and the number of the step: not from the number of threads, nor from eager or replayed running.

    Parameters
    ----------
    rate
        The share that is zeroed, in [0, 1]; with 1 all outputs and gradients are 0.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `rate` is outside [0, 1].

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    Examples
    --------
    >>> layer = eg.layers.Dropout(0.5)
    >>> x = eg.ones((10, 10))
    >>> sorted(set(layer(x, training=True).numpy().ravel().tolist()))
    [0.0, 2.0]
    >>> bool((layer(x).numpy() == 1).all())
    True
    """

    _stream = "mask"

    @takes_shared
    def __init__(self, rate: float, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.rate = check_float(rate, "rate", low=0.0, high=1.0)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x · mask / (1 − rate) in training, else x."""
        if not training or self.rate == 0.0:
            return x
        return _core.dropout(x, self.rate, self.generator("mask"))
