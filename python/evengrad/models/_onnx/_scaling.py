"""Layers for (x − shift) · factor + offset."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.layers._preprocessing import ROUNDING

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._values import Operation, Scaled

    Made = list[tuple[layers.Layer, list[Array]]]


def layers_of(reader: Any, operation: Operation, value: Scaled) -> Made:
    """Return layers that shift and scale, with the values of their variables.

    Numbers for all places become `Rescaling`; numbers by feature a frozen `BatchNormalization`,
    or a `Normalization` where they have its form, as those of other dimensions must.
    """
    parts = (value.shift, value.factor, value.offset)
    # In our own files a vector of one number is a feature's.
    numbers = all(part.ndim == 0 if value.name else part.size == 1 for part in parts)
    if numbers:
        return _by_numbers(reader, value, *(float(part.reshape(())) for part in parts))
    ndim = value.base.symbol.ndim
    shift, factor, offset = (np.reshape(x, x.shape or (1,) * ndim) for x in parts)
    positive = bool((factor > 0).all()) and _keeps(shift, factor)
    if positive and not offset.any():
        return [_normalization(reader, value, shift, factor)]
    if positive and not shift.any():
        return [_normalization(reader, value, offset, 1.0 / factor, invert=True)]
    if all(part.size in (1, part.shape[-1]) for part in (shift, factor, offset)):
        return [_frozen(reader, value, shift, factor, offset)]
    if positive:
        second = _normalization(reader, value, -offset, np.ones_like(offset))
        return [_normalization(reader, value, shift, factor), second]
    return _flattened(reader, operation, value)


def _by_numbers(reader: Any, value: Scaled, shift: float, factor: float, offset: float) -> Made:
    # In two steps where there is a shift: a large one costs no digits.
    made: Made = []
    if shift:
        made.append((layers.Rescaling(1.0, -shift, name=reader.own(value.name)), []))
    if factor != 1.0 or offset or not made:
        made.append((layers.Rescaling(factor, offset, name=reader.own(value.name)), []))
    return made


def _keeps(shift: Array, factor: Array) -> bool:
    """Tell whether a `Normalization` takes no deviation for rounding errors."""
    return bool((1.0 / factor > 2.0 * np.abs(shift) * ROUNDING).all())


def _normalization(
    reader: Any, value: Scaled, mean: Array, factor: Array, *, invert: bool = False
) -> tuple[layers.Layer, list[Array]]:
    mean, factor = np.broadcast_arrays(mean, factor)
    axes = [axis for axis in range(1, mean.ndim) if mean.shape[axis] != 1]
    if value.name and value.base.symbol.shape[-1] == 1:
        axes = axes or [mean.ndim - 1]
    shape = [mean.shape[axis] for axis in axes]
    layer = layers.Normalization(axes or None, invert=invert, name=reader.own(value.name))
    return layer, [mean.reshape(shape), (1.0 / factor.reshape(shape)) ** 2]


def _frozen(
    reader: Any, value: Scaled, shift: Array, factor: Array, offset: Array
) -> tuple[layers.Layer, list[Array]]:
    width = value.base.symbol.shape[-1] or 1
    layer = layers.BatchNormalization(epsilon=0.0, trainable=False, name=reader.own(value.name))
    vectors = [np.broadcast_to(part.reshape(-1), (width,)) for part in (factor, offset, shift)]
    return layer, _as_variance(vectors)


def _as_variance(vectors: list[Array]) -> list[Array]:
    """Return gamma, beta, mean and variance; gamma is 1 where the variance can say it all."""
    factor, offset, shift = vectors
    one = np.ones_like(factor)
    if bool((factor > 0.0).all()):
        return [one, offset, shift, (1.0 / factor) ** 2]
    return [factor, offset, shift, one]


def _flattened(reader: Any, operation: Operation, value: Scaled) -> Made:
    """Return layers that scale each place of a row by itself."""
    row = [size or 0 for size in value.base.symbol.shape[1:]]
    if 0 in row:
        raise reader.refused(operation, "factors of both signs beside rows of an open size")
    width = math.prod(row)
    reader.spend(operation, 8 * 4 * width)
    vectors = [
        np.broadcast_to(part, (1, *row)).reshape(width)
        for part in (value.factor, value.offset, value.shift)
    ]
    layer = layers.BatchNormalization(epsilon=0.0, trainable=False)
    return [
        (layers.Flatten(), []),
        (layer, _as_variance(vectors)),
        (layers.Reshape(tuple(row)), []),
    ]
