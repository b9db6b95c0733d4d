"""Dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad._tensor.random import check_seed
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
    noise_shape
        The shape of the mask: a size of 1 for a dimension whose places are zeroed together, None
        for one that is as large as the input's. ``(None, 1, None)`` zeroes features of whole
        sequences. By default the input's shape.
    seed
        An integer that masks follow from, in place of the model's seed.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `rate` is outside [0, 1]; a size of 0. From a call: a mask that does not fit the input.

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
    def __init__(
        self,
        rate: float,
        noise_shape: Any = None,
        seed: int | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.rate = check_float(rate, "rate", low=0.0, high=1.0)
        if noise_shape is not None:
            noise_shape = tuple(
                None if size is None else check_int(size, "noise_shape", at_least=1)
                for size in noise_shape
            )
        self.noise_shape = noise_shape
        self.seed = None if seed is None else check_seed(seed, "seed")
        self._state.given_seed = self._state.seed = self.seed

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x · mask / (1 − rate) in training, else x."""
        if not training or self.rate == 0.0:
            return x
        if self.noise_shape is None:
            return _core.dropout(x, self.rate, self.generator("mask"))
        sizes = [
            size if given is None else given
            for given, size in zip(self.noise_shape, x.shape, strict=True)
        ]
        ones = _core.ones(sizes, dtype=x.dtype)
        return x * _core.dropout(ones, self.rate, self.generator("mask"))

    def _check_input(self, shape: Any) -> None:
        noise = self.noise_shape
        if noise is None:
            return
        self._check_single(shape)
        pairs = zip(noise[1:], shape[1:], strict=False)
        if len(noise) != len(shape) or any(a not in (None, 1, b) for a, b in pairs):
            raise self._story(
                f"an input that noise_shape={noise} fits", shape, "write 1 or None for a dimension"
            )
