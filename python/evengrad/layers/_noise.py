"""Noise layers beside `Dropout`: their numbers follow from seed, path and step as its masks do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.arrays import as_numbers
from evengrad._common.checks import check_float
from evengrad.layers._dropout import Noise
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor

# −λα, what SELU tends to for very negative inputs.
SELU_LOW = -1.7580993408473768599


class AlphaDropout(Noise):
    """Dropout for nets of SELU units: mean 0 and variance 1 stay mean 0 and variance 1.

    A dropped element takes the value that SELU tends to, α' = −1.7581, and all elements are scaled
    and shifted: a · (x · mask + α' · (1 − mask)) + b, with p the rate, b = −a·p·α' and
    a = 1 / √((1 − p)(1 + p·α'²)). In inference the input passes unchanged.

    With rate 1 every output is 0, the limit: all elements are dropped, and a·α' + b =
    α'·√((1 − p) / (1 + p·α'²)) tends to 0.

    Parameters
    ----------
    rate
        The share that is dropped, in [0, 1].
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
    Klambauer et al., "Self-normalizing neural networks", 2017.

    Examples
    --------
    >>> layer = eg.layers.AlphaDropout(0.5)
    >>> y = layer(eg.randn(1000, 100), training=True).numpy()
    >>> abs(round(float(y.mean()), 1)), round(float(y.std()), 1)
    (0.0, 1.0)
    """

    _stream = "mask"

    @takes_shared
    def __init__(self, rate: float, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.rate = check_float(rate, "rate", low=0.0, high=1.0)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x with a share of it at α', scaled and shifted, in training; else x."""
        if not training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        if keep == 0.0:
            # The scale is infinite there; dropout gives zeros, whatever x is.
            return _core.dropout(x, self.rate, self.generator("mask"))
        scale = 1.0 / math.sqrt(keep * (1.0 + self.rate * SELU_LOW**2))
        # a (x m + α'(1 − m)) + b  =  a (x − α') m + a α' (1 − p);  dropout divides by 1 − p.
        kept = _core.dropout(x - SELU_LOW, self.rate, self.generator("mask"))
        return kept * (scale * keep) + scale * SELU_LOW * keep


class GaussianDropout(Noise):
    """Multiply by normal noise of mean 1 while training: x · N(1, rate / (1 − rate)).

    The variance is that of `Dropout` with the same rate. In inference the input passes unchanged.

    Parameters
    ----------
    rate
        In [0, 1): with 1 the variance would be infinite.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `rate` is outside [0, 1).

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    References
    ----------
    Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014,
    section 10.

    Examples
    --------
    >>> layer = eg.layers.GaussianDropout(0.2)
    >>> y = layer(eg.ones((1000, 100)), training=True).numpy()
    >>> round(float(y.mean()), 1), round(float(y.std()), 1)
    (1.0, 0.5)
    """

    @takes_shared
    def __init__(self, rate: float, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        if rate == 1:
            raise ValueError(
                "rate: expected a number in [0, 1), got 1, where the noise would have infinite "
                "variance; layers.Dropout(1.0) gives zeros"
            )
        self.rate = check_float(rate, "rate", low=0.0, high=1.0, open_high=True)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x times noise in training, else x."""
        if not training or self.rate == 0.0:
            return x
        deviation = math.sqrt(self.rate / (1.0 - self.rate))
        return x * self.generator("noise").normal(x.shape, 1.0, deviation, x.dtype)


class GaussianNoise(Noise):
    """Add normal noise while training: x + N(0, stddev²). In inference the input passes unchanged.

    In front of a network it acts as augmentation of the data.

    Parameters
    ----------
    stddev
        The standard deviation of the noise, 0 or more; a list has one for each feature, the last
        dimension.
    by_column
        Whether `stddev` counts in deviations of the columns of each batch, as tables want it whose
        features have scales of their own: 0.1 is then a tenth of each feature's deviation. A batch
        of one row gets no noise.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A negative `stddev`. From a call: another number of features than deviations.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same. Columns are all places of a row.

    References
    ----------
    Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995.

    Examples
    --------
    >>> layer = eg.layers.GaussianNoise(2.0)
    >>> y = layer(eg.zeros((1000, 100)), training=True).numpy()
    >>> round(float(y.std()), 1)
    2.0
    >>> x = eg.randn(1000, 2) * eg.tensor([1.0, 100.0])
    >>> y = eg.layers.GaussianNoise(0.5, by_column=True)(x, training=True)
    >>> (y - x).numpy().std(0).round(-1).tolist()
    [0.0, 50.0]
    """

    @takes_shared
    def __init__(
        self,
        stddev: float | list[float],
        by_column: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        if isinstance(stddev, (list, tuple)) or getattr(stddev, "ndim", None):
            values = as_numbers(stddev, "stddev", "float64").tolist()
            self.stddev: float | list[float] = [check_deviation(one) for one in values]
        else:
            self.stddev = check_deviation(stddev)
        self.by_column = bool(by_column)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return x plus noise in training, else x."""
        if not training or self.stddev == 0.0:
            return x
        generator = self.generator("noise")
        if isinstance(self.stddev, float):
            noise = generator.normal(x.shape, 0.0, self.stddev, x.dtype)
        else:
            deviations = _core.tensor(self.stddev, dtype=x.dtype)
            noise = generator.normal(x.shape, 0.0, 1.0, x.dtype) * deviations
        if self.by_column:
            # What the noise is measured by has no part in the gradient.
            noise = noise * x.detach().var(dim=0, correction=0.0).sqrt()
        return x + noise

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if isinstance(self.stddev, list) and shape[-1] not in (None, len(self.stddev)):
            raise self._story(
                f"an input of {len(self.stddev)} features, one for each stddev",
                shape,
                "pass a stddev for each feature, or one number for all",
            )


def check_deviation(value: Any) -> float:
    """Return a standard deviation."""
    return check_float(value, "stddev", low=0.0, open_high=True)
