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
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Unpack

    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Rows that `adapt` takes at a time: data may be a mapped file.
PIECE = 2**14
# The deviation of a constant feature, in parts of its mean: what sums over a piece may leave of it,
# in statistics that are given.
ROUNDING = PIECE * float(np.finfo(np.float64).eps)


class Normalization(SameShape):
    """Give every feature mean 0 and variance 1 by statistics of the data: (x − mean) / √variance.

    `adapt` learns the statistics; until then they are 0 and 1, which `fit` warns of. They are saved
    with the model, which then takes data as it is. As in scikit-learn, the deviation of a constant
    feature counts as 1: it becomes 0, and what departs from it later keeps its distance.

    Parameters
    ----------
    axis
        The dimension, or several, whose places have statistics of their own; all others are
        averaged over. Not 0, the rows. None: one mean and one variance for all elements.
    mean, variance
        The statistics, where they are known; both or neither. A variance of 0 counts as 1.
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

    has_caution = True
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
            functools.partial(broadcast, f"{self.path}: {name}", other if value is None else value)
            for name, value, other in (
                ("mean", self.mean, 0.0),
                ("variance", self.variance, 1.0),
            )
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
            Rows as an array, or an iterable of batches of rows. A list of arrays is one of batches
            where these have two dimensions or more, or as many as the layer was built for; a list
            of vectors or numbers is one of rows.

        Raises
        ------
        ValueError, TypeError
            No rows, batches of different shapes, values that are not finite, or no numbers; nothing
            is changed.

        Examples
        --------
        >>> layer = eg.layers.Normalization(axis=None)
        >>> layer.adapt(np.arange(6.0).reshape(3, 2) for _ in range(10))
        >>> [round(float(w), 4) for w in layer.get_weights()]
        [2.5, 2.9167]
        """
        shape, mean, variance = statistics_of(
            pieces(data, self._state.input_shape), self._kept, f"{self.path}: adapt"
        )
        build_for(self, shape)
        self.set_weights([mean, variance])

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return (x − mean) / √variance, or the opposite."""
        kept = self._kept(x.ndim)
        broadcast = [x.shape[axis] if axis in kept else 1 for axis in range(1, x.ndim)]
        mean = self.mean_.reshape(broadcast)
        deviation = self.variance_.reshape(broadcast).sqrt()
        deviation = _core.where(deviation <= mean.abs() * ROUNDING, 1.0, deviation)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _before_training(self) -> str | None:
        """Say that nobody has given the layer statistics."""
        if self.mean is not None or not self.built:
            return None
        mean, variance = self.mean_.numpy(), self.variance_.numpy()
        if mean.any() or (variance != 1.0).any():
            return None
        return (
            f"{self.path} has not been adapted, so that it leaves data as it is; call "
            "adapt(data) on the layer before training, or leave it out"
        )

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


def factors_of(layer: Normalization, shape: Any) -> tuple[Array, Array]:
    """Return mean and deviation of a layer, as they meet a row of a shape, in float64."""
    kept = layer._kept(len(shape))  # noqa: SLF001 - its class is public, this is not
    broadcast = [shape[axis] if axis in kept else 1 for axis in range(1, len(shape))]
    mean, variance = (
        np.asarray(one.detach().numpy(), np.float64).reshape(broadcast)
        for one in (layer.mean_, layer.variance_)
    )
    deviation = np.sqrt(variance)
    return mean, np.where(deviation <= np.abs(mean) * ROUNDING, 1.0, deviation)


def broadcast(what: str, values: Any, shape: Any, dtype: Any) -> Array:
    """Return numbers, or one for all, in a shape: with its values given, an initializer."""
    return as_numbers(np.broadcast_to(values, shape), what, dtype)


def statistics_of(
    parts: Iterable[Array], kept_of: Callable[[int], list[int]], what: str
) -> tuple[tuple[Any, ...], Array, Array]:
    """Return the shape of rows, their mean and their variance; `what` is whose, for messages.

    `kept_of` returns the dimensions of rows of so many that are not averaged over.
    """
    count, mean, squares = 0.0, np.zeros(()), np.zeros(())
    shape: tuple[Any, ...] = ()
    origin: Any = None
    for rows in parts:
        if shape not in ((), (None, *rows.shape[1:])):
            raise ValueError(
                f"{what}: expected batches of rows of one shape, got {shape[1:]} and "
                f"{rows.shape[1:]}"
            )
        shape = (None, *rows.shape[1:])
        kept = kept_of(rows.ndim)
        others = tuple(set(range(rows.ndim)) - set(kept))
        values = rows.astype(np.float64)
        if origin is None:
            # Sums of distances from a value that occurs: those of a constant feature are 0.
            origin = values[tuple(slice(None if i in kept else 1) for i in range(rows.ndim))].copy()
        values -= origin
        here = float(values.size // max(1, values.mean(others).size))
        deviation = values.mean(others) - mean
        # Of two parts together: Chan, Golub and LeVeque, "Updating formulae", 1979.
        total = count + here
        mean = mean + deviation * (here / total)
        squares = squares + values.var(others) * here + deviation**2 * (count * here / total)
        count = total
    if not count:
        raise ValueError(f"{what}: expected at least one row, got none")
    if not (np.isfinite(mean).all() and np.isfinite(squares).all()):
        raise ValueError(
            f"{what}: expected finite numbers, got NaN or infinity among them; fill or leave out "
            "those rows"
        )
    return shape, mean + origin.reshape(mean.shape), squares / count


def pieces(data: Any, built_for: Any) -> Iterator[Array]:
    """Yield rows of data, some at a time; `built_for` is their shape, where it is known."""
    several = is_batches(data) or is_list_of_batches(data, built_for)
    for batch in data if several else [data]:
        rows: Any = reader_for(batch) or as_array(batch, "data")
        for start in range(0, len(rows), PIECE):
            yield rows[start : start + PIECE]


def is_list_of_batches(data: Any, built_for: Any) -> bool:
    """Tell whether data is a list of arrays that are batches of rows, and no rows themselves."""
    if not isinstance(data, (list, tuple)) or not data or isinstance(data[0], (list, tuple)):
        return False
    dimensions = len(getattr(data[0], "shape", ()))
    return dimensions == (len(built_for) if built_for is not None else max(2, dimensions))


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
