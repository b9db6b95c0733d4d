"""Operators whose inputs are all constants: computed while a file is read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array

# Kinds of elements that `Cast` may ask for, as in `TensorProto`.
KINDS = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 11: np.float64}


def _axes(given: list[Array], attributes: dict[str, Any]) -> tuple[int, ...]:
    """Return axes, which are an attribute up to version 12 of the operators."""
    axes = given[1].ravel().tolist() if len(given) > 1 else attributes.get("axes", ())
    return tuple(int(axis) for axis in axes)


def _squeeze(given: list[Array], attributes: dict[str, Any]) -> Array:
    axes = _axes(given, attributes)
    return np.asarray(np.squeeze(given[0], axes) if axes else np.squeeze(given[0]))


def _slice(given: list[Array], attributes: dict[str, Any]) -> Array:
    x = given[0]
    starts, ends, axes, steps = slices(given, attributes, x.ndim)
    index: list[Any] = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # From the last on down to the first: no end says that.
        stop = None if step < 0 and end < -x.shape[axis] else end
        index[axis] = slice(start, stop, step)
    return np.asarray(x[tuple(index)])


def slices(
    given: list[Array], attributes: dict[str, Any], ndim: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Return starts, ends, axes and steps of a `Slice`: inputs, or attributes up to version 9."""
    if "starts" in attributes:
        given = [given[0], *(np.asarray(attributes[k]) for k in ("starts", "ends"))]
        if "axes" in attributes:
            given.append(np.asarray(attributes["axes"]))
    starts, ends = given[1].tolist(), given[2].tolist()
    axes = given[3].tolist() if len(given) > 3 else list(range(len(starts)))
    steps = given[4].tolist() if len(given) > 4 else [1] * len(starts)
    return starts, ends, [axis % ndim for axis in axes], steps


def _cast(given: list[Array], attributes: dict[str, Any]) -> Array:
    # Sizes that are not known stay what they are.
    return given[0] if given[0].dtype == object else given[0].astype(KINDS[attributes["to"]])


def _reshape(given: list[Array], _: dict[str, Any]) -> Array:
    sizes = [given[0].shape[i] if n == 0 else n for i, n in enumerate(given[1].tolist())]
    return given[0].reshape(sizes)


def _filled(given: list[Array], attributes: dict[str, Any]) -> Array:
    """Return one number for all places, which broadcasts as all of them would."""
    value = attributes.get("value")
    number = np.zeros(1, np.float32) if value is None else np.asarray(value)
    return np.reshape(number, (1,) * given[0].size)


def _divided(given: list[Array], _: dict[str, Any]) -> Array:
    one, other = given
    if one.dtype.kind == "f":
        return np.asarray(one / other)
    # Whole numbers lose what is behind the point, on both sides of 0.
    return np.asarray(np.sign(one) * np.sign(other) * (np.abs(one) // np.abs(other)))


def _expanded(given: list[Array], _: dict[str, Any]) -> Array:
    """Return an array with as many dimensions; it broadcasts as one of all places would."""
    missing = given[1].size - given[0].ndim
    return np.reshape(given[0], (1,) * max(0, missing) + given[0].shape)


FOLDS: dict[str, Callable[[list[Array], dict[str, Any]], Array]] = {
    "Add": lambda given, _: given[0] + given[1],
    "Cast": _cast,
    "Concat": lambda given, attributes: np.concatenate(given, attributes["axis"]),
    "ConstantOfShape": _filled,
    "Div": _divided,
    "Expand": _expanded,
    "Gather": lambda given, attributes: np.take(
        given[0], given[1].astype(np.int64), attributes.get("axis", 0)
    ),
    "Identity": lambda given, _: given[0],
    "Mul": lambda given, _: given[0] * given[1],
    "Neg": lambda given, _: -given[0],
    "Reciprocal": lambda given, _: 1.0 / given[0],
    "Reshape": _reshape,
    "Slice": _slice,
    "Sqrt": lambda given, _: np.sqrt(given[0]),
    "Squeeze": _squeeze,
    "Sub": lambda given, _: given[0] - given[1],
    "Transpose": lambda given, attributes: np.transpose(given[0], attributes.get("perm")),
    "Unsqueeze": lambda given, attributes: np.expand_dims(given[0], _axes(given, attributes)),
}


def _broadcast(given: list[Array]) -> int:
    return math.prod(np.broadcast_shapes(*(value.shape for value in given)))


# Of those, the ones whose result may be larger than what they take: how many elements it has.
GROWING: dict[str, Callable[[list[Array]], int]] = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), _broadcast),
    "Concat": lambda given: sum(value.size for value in given),
    "Gather": lambda given: given[0].size * given[1].size,
}
