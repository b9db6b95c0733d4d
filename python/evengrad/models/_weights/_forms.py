"""The form that a layer's weights have in a layout: names, shapes, and how variables follow."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from evengrad.layers._module import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evengrad._common.arrays import Array
    from evengrad.layers._layer import Layer

# How values of a file become those of a variable.
AS_IS, TRANSPOSED, RESHAPED = "as is", "transposed", "reshaped"


class Part(NamedTuple):
    """One way in which a file may hold a variable of a layer.

    Attributes
    ----------
    variable
        The variable's name in the layer.
    roles
        The arrays that it is made of, by the layout's names.
    shapes
        What shapes these must have.
    read
        Returns the variable's values; it may be a view.
    how
        What the report says of it.
    """

    variable: str
    roles: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    read: Callable[..., Array]
    how: str = AS_IS


# For each variable, the ways in which it may be there.
Parts: TypeAlias = "dict[str, tuple[Part, ...]]"


class Form(NamedTuple):
    """How the weights of one layer look in a layout.

    Attributes
    ----------
    parts
        For each variable, in the layout's order, the ways in which it may be there; the first whose
        arrays are there in their shapes is taken.
    ignored
        Roles that are no weights.
    neutral
        Roles that the layer has not, which are there with this value all the same.
    note
        What the layout does not tell of the layer, and its outputs depend on.
    refusal
        Why the layout cannot hold such a layer, where it cannot.
    """

    parts: Parts
    ignored: frozenset[str] = frozenset()
    neutral: Mapping[str, float] = MappingProxyType({})
    note: str = ""
    refusal: str = ""

    def roles(self) -> list[str]:
        """Return the layout's names in its order, by the first way of each variable."""
        return [role for ways in self.parts.values() for role in ways[0].roles]

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the shapes of `roles`."""
        return [shape for ways in self.parts.values() for shape in ways[0].shapes]


def same(array: Array) -> Array:
    """Return what the file holds."""
    return array


def turned(array: Array) -> Array:
    """Return a kernel (out, in) as (in, out)."""
    kernel: Array = array.T
    return kernel


def variables_of(layer: Layer) -> dict[str, Any]:
    """Return the variables of a layer, without those of layers inside, by their names."""
    return {weight.name: weight.tensor for weight in state_of(layer).weights}


def as_is(layer: Layer, ignored: Sequence[str] = ()) -> Form:
    """Return the form with our own names and shapes."""
    parts: Parts = {
        name: (Part(name, (name,), (tuple(tensor.shape),), same),)
        for name, tensor in variables_of(layer).items()
    }
    return Form(parts, frozenset(ignored))


def transposed_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the transpose."""
    return tuple(shape)[::-1]


def blocks(array: Array, order: Sequence[int]) -> Array:
    """Return the gates that lie one after the other along the first dimension in another order."""
    parts = np.split(array, len(order))
    return np.concatenate([parts[place] for place in order])
