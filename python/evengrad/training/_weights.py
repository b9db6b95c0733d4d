"""Weights of samples: of the rows of each output, or of their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evengrad._common.arrays import as_array
from evengrad._common.checks import check_float
from evengrad._common.names import did_you_mean

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

# An array, or the tensor that a step finds it in.
Weights = TypeVar("Weights")
# Rows, steps, and what there is at each step.
SEQUENCE_NDIM = 3


def sample_weights(
    given: Any, names: list[str], shapes: list[Any], rows: int, dtype: str
) -> list[Array | None]:
    """Return the weights of each output, of shape (rows,) or (rows, steps).

    Names and shapes are those of the outputs, which share what was given once.
    """
    items = items_by_output(given, names)
    shared = all(item is items[0] for item in items)
    found: list[Array | None] = []
    for name, item, shape in zip(names, items, shapes, strict=True):
        what = "sample_weight" if shared else f"sample_weight[{name!r}]"
        weights = found[0] if shared and found else as_weights(item, what, rows, dtype)
        if weights is not None:
            check_shape(weights, what, rows, shape, several=len(names) > 1)
        found.append(weights)
    return found


def items_by_output(given: Any, names: list[str]) -> list[Any]:
    """Return the weights of each output as they were given; what is no list is for all."""
    if isinstance(given, dict):
        return items_by_name(given, names, "sample_weight")
    # A list of numbers has those of rows.
    several = isinstance(given, (list, tuple)) and len(given) == len(names)
    if several and any(item is None or np.ndim(item) > 0 for item in given):
        return list(given)
    return [given] * len(names)


def items_by_name(given: dict[Any, Any], names: list[str], argument: str) -> list[Any]:
    """Return an item for each output, None for those that a dict leaves out."""
    for name in given:
        if name not in names:
            raise ValueError(f"{argument}: no output {name!r}; {did_you_mean(str(name), names)}")
    return [given.get(name) for name in names]


def as_weights(item: Any, what: str, rows: int, dtype: str) -> Array | None:
    """Return weights as an array, without the last dimension of a column; one number for all."""
    if item is None:
        return None
    if np.ndim(item) == 0:
        return checked(np.full(rows, check_float(item, what, low=0.0, open_high=True)), what, dtype)
    weights = as_array(item, what)
    if weights.shape[-1] == 1 and weights.ndim in (2, SEQUENCE_NDIM):
        weights = weights[..., 0]
    return checked(weights, what, dtype)


def check_shape(weights: Array, what: str, rows: int, shape: Any, *, several: bool) -> None:
    """Raise a ValueError for weights that are neither of the rows of an output nor of its steps."""
    steps = shape[1] if len(shape) >= SEQUENCE_NDIM else None
    if weights.shape in ((rows,), (rows, steps)):
        return
    also = "" if steps is None else f", or per step, shape {(rows, steps)}"
    fix = "; for several outputs pass a list, or a dict by their names" if several else ""
    raise ValueError(
        f"{what}: expected one weight per row, shape ({rows},){also}, got {weights.shape}{fix}"
    )


def checked(weights: Array, what: str, dtype: str) -> Array:
    """Return weights in a dtype, or raise a ValueError for those negative or not finite in it."""
    # Not so of NaN either.
    if not ((weights >= 0) & (weights <= np.finfo(dtype).max)).all():
        raise ValueError(f"{what}: expected finite weights of 0 or more, in {dtype}")
    return weights.astype(dtype)


def each_once(weights: list[Array | None]) -> tuple[list[Array], list[int | None]]:
    """Return the arrays, those that outputs share once, and the place of each output's in them."""
    distinct = list({id(one): one for one in weights if one is not None}.values())
    places = {id(one): place for place, one in enumerate(distinct)}
    return distinct, [None if one is None else places[id(one)] for one in weights]


def each_from(distinct: list[Weights], places: list[int | None]) -> list[Weights | None]:
    """Return the array of each output, of those that outputs share."""
    return [None if place is None else distinct[place] for place in places]


def combined(one: Array | None, other: Array) -> Array:
    """Return the product of two weights of an output, of which one may be of rows alone."""
    if one is None:
        return other
    if one.ndim > other.ndim:
        one, other = other, one
    return one.reshape(*one.shape, *[1] * (other.ndim - one.ndim)) * other
