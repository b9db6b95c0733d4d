"""Layers that bring data to a scale: by statistics of the data, or by numbers that are known."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.arrays import as_array, as_numbers, is_batches
from evengrad._common.checks import check_float, check_int
from evengrad._common.row_readers import reader_for
from evengrad.layers._layer import build_for
from evengrad.layers._shared import SameShape, Shared, takes_shared
from evengrad.layers._symbolic import stands_for_operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Unpack

    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Deviations below this count as this, so that a constant feature becomes 0 and not NaN.
SMALLEST_DEVIATION = 1e-7
# Rows that `adapt` takes at a time: data may be a mapped file.
PIECE = 2**14


class Normalization(SameShape):
    """Give every feature mean 0 and variance 1 by statistics of the data: (x − mean) / √variance.

    `adapt` learns the statistics; until then they are 0 and 1. They are saved with the model, which
    then takes data as it is. Deviations below 1e-7 count as 1e-7: a constant feature becomes 0.

    Parameters
    ----------
    axis
        The dimension, or several, whose places have statistics of their own; all others are
        averaged over. Not 0, the rows. None: one mean and one variance for all elements.
    mean, variance
        The statistics, where they are known; both or neither.
    invert
        Whether to do the opposite: x · √variance + mean.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `axis` holds 0; one of `mean` and `variance` without the other, or a negative variance. From
        a call: another shape than the layer was built for.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same. The statistics are the variables `mean`
    and `variance`, which are not trainable; the layer keeps them as `mean_` and `variance_`.

    Examples
    --------
    >>> layer = eg.layers.Normalization()
    >>> layer.adapt([[0.0, 5.0], [2.0, 5.0]])
    >>> layer([[0.0, 5.0], [3.0, 5.0]]).tolist()
    [[-1.0, 0.0], [2.0, 0.0]]
    """

    mean_: Tensor
    variance_: Tensor

    @takes_shared
    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        given = axis if isinstance(axis, (tuple, list)) else [] if axis is None else [axis]
        self.axis = axis
        self._axes = [check_int(one, "axis", at_least=-8) for one in given]
        if 0 in self._axes:
            raise ValueError("axis: expected any dimension but 0, the rows, got 0")
        if (mean is None) is not (variance is None):
            raise ValueError("mean, variance: expected both or neither")
        # Kept as lists, as a saved file describes them.
        self.mean, self.variance = (
            None if value is None else as_numbers(value, name, "float64").tolist()
            for name, value in (("mean", mean), ("variance", variance))
        )
        if self.variance is not None and not bool((np.asarray(self.variance) >= 0).all()):
            raise ValueError(f"variance: expected values of 0 or more, got {variance}")
        self.invert = bool(invert)

    def build(self, input_shape: Any) -> None:
        """Make the statistics."""
        shape = tuple(input_shape[axis] for axis in self._kept(len(input_shape)))
        if None in shape:
            raise self._story("an axis beside the rows", input_shape, "choose axis=-1")

        mean, variance = (
            functools.partial(broadcast, value if value is not None else other)
            for value, other in ((self.mean, 0.0), (self.variance, 1.0))
        )
        self.mean_ = self.add_weight("mean", shape, mean, trainable=False)
        self.variance_ = self.add_weight("variance", shape, variance, trainable=False)

    def _kept(self, ndim: int) -> list[int]:
        """Return the dimensions that have statistics of their own, counted from the left."""
        return sorted({axis % ndim for axis in self._axes})

    def adapt(self, data: Any) -> None:
        """Take the statistics of data, in place of what they were.

        Parameters
        ----------
        data
            Rows as an array, or an iterable of batches of rows.

        Raises
        ------
        ValueError, TypeError
            No rows, values that are not finite, or no numbers; nothing is changed.

        Examples
        --------
        >>> layer = eg.layers.Normalization(axis=None)
        >>> layer.adapt(np.arange(6.0).reshape(3, 2) for _ in range(10))
        >>> [round(float(w), 4) for w in layer.get_weights()]
        [2.5, 2.9167]
        """
        count, mean, squares = 0.0, np.zeros(()), np.zeros(())
        shape: tuple[Any, ...] = ()
        for rows in pieces(data):
            shape = (None, *rows.shape[1:])
            others = tuple(set(range(rows.ndim)) - set(self._kept(rows.ndim)))
            values = rows.astype(np.float64)
            here = float(values.size // max(1, values.mean(others).size))
            deviation = values.mean(others) - mean
            # Of two parts together: Chan, Golub and LeVeque, "Updating formulae", 1979.
            total = count + here
            mean = mean + deviation * (here / total)
            squares = squares + values.var(others) * here + deviation**2 * (count * here / total)
            count = total
        if not count:
            raise ValueError(f"{self.path}: adapt: expected at least one row, got none")
        if not (np.isfinite(mean).all() and np.isfinite(squares).all()):
            raise ValueError(
                f"{self.path}: adapt: expected finite numbers, got NaN or infinity among them; "
                "fill or leave out those rows"
            )
        build_for(self, shape)
        self.set_weights([mean, squares / count])

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return (x − mean) / √variance, or the opposite."""
        kept = self._kept(x.ndim)
        broadcast = [x.shape[axis] if axis in kept else 1 for axis in range(1, x.ndim)]
        mean = self.mean_.reshape(broadcast)
        deviation = _core.maximum(self.variance_.reshape(broadcast).sqrt(), SMALLEST_DEVIATION)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _check_input(self, shape: Any) -> None:
        self._check_features(shape, None)
        if any(not -len(shape) < axis < len(shape) for axis in self._axes):
            raise self._story(f"an input with axis {self.axis}", shape, "choose axis=-1")
        if not self.built:
            return
        sizes = tuple(shape[axis] for axis in self._kept(len(shape)))
        if sizes != tuple(self.mean_.shape):
            raise self._story(
                f"an input with {self.mean_.shape} features",
                shape,
                "the layer was built for that many: pass as many, or make a new layer",
            )


def broadcast(values: Any, shape: Any, dtype: Any) -> Array:
    """Return numbers, or one for all, in a shape: with its values given, an initializer."""
    return np.broadcast_to(values, shape).astype(dtype)


def pieces(data: Any) -> Iterator[Array]:
    """Yield rows of data, some at a time."""
    batches: Iterable[Any] = data if is_batches(data) else [data]
    for batch in batches:
        rows: Any = reader_for(batch) or as_array(batch, "data")
        for start in range(0, len(rows), PIECE):
            yield rows[start : start + PIECE]


@stands_for_operator
class Rescaling(SameShape):
    """Multiply by a factor and add an offset: x · scale + offset.

    Parameters
    ----------
    scale
        The factor; 1/255 brings bytes to [0, 1].
    offset
        What is added.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    TypeError
        A factor or an offset that is no number.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    Examples
    --------
    >>> eg.layers.Rescaling(1 / 127.5, offset=-1.0)([[0.0, 255.0]]).tolist()
    [[-1.0, 1.0]]
    """

    @takes_shared
    def __init__(self, scale: float, offset: float = 0.0, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.scale = check_float(scale, "scale")
        self.offset = check_float(offset, "offset")

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return x · scale + offset."""
        return x * self.scale + self.offset

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
