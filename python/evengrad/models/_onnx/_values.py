"""What an operator of a file takes and gives, while the layers for it are being drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad._common.arrays import Array
    from evengrad.layers._symbolic import Symbolic


class _Rows:
    """Stands in a shape for the number of rows, which is any."""

    def __repr__(self) -> str:
        return "rows"


ROWS = _Rows()
# Whole numbers of the graph's inputs; floats that were made whole.
GIVEN, CUT = "given", "cut"
# The dimension of a view that is all of a tensor's but the last, as one.
MERGED = -1


@dataclass(eq=False)
class View:
    """A symbolic tensor whose dimensions an operator sees in another order, or more of them.

    Attributes
    ----------
    symbol
        What a layer has drawn.
    axes
        For each dimension that operators see, the tensor's; None for one of size 1 that it lacks,
        `MERGED` for all but the last together.
    flipped
        The tensor's dimensions that operators see backwards.
    made_by
        The function that made it, by its name here, and of what: for functions that files write as
        several operators.
    last
        Of a recurrent layer's outputs, what the last step that it took puts out.
    whole
        Whether the file has whole numbers there: `GIVEN` ones, or floats that were `CUT`.
    """

    symbol: Symbolic
    axes: tuple[int | None, ...]
    flipped: frozenset[int] = frozenset()
    made_by: tuple[str, Any] | None = None
    last: Symbolic | None = None
    whole: str = ""

    def moved(self, axes: Sequence[int | None], flipped: frozenset[int] | None = None) -> View:
        """Return the same tensor as seen in another order."""
        turned = self.flipped if flipped is None else flipped
        return View(self.symbol, tuple(axes), turned, None, self.last, self.whole)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The sizes that operators see; None for the rows and for open ones."""
        own = self.symbol.shape
        sizes = [1 if axis is None else None if axis == MERGED else own[axis] for axis in self.axes]
        return tuple(sizes)

    @property
    def is_plain(self) -> bool:
        """Whether operators see the tensor as it is."""
        return self.axes == tuple(range(self.symbol.ndim)) and not self.flipped


def view_of(symbol: Symbolic, made_by: tuple[str, Any] | None = None) -> View:
    """Return a tensor as it is."""
    return View(symbol, tuple(range(symbol.ndim)), made_by=made_by)


@dataclass(eq=False)
class Sums:
    """x · kernel + bias: a dense layer, once it is known whether an activation follows."""

    base: View
    kernel: Array
    bias: Array | None = None
    name: str | None = None
    view: View | None = None


@dataclass(eq=False)
class Pieces:
    """The sums of a maxout layer in another shape: (..., pieces, units)."""

    sums: Sums
    pieces: int
    units: int


@dataclass(eq=False)
class Scaled:
    """(x − shift) · factor + offset: numbers, or arrays that line up with the dimensions of x."""

    base: View
    shift: Array
    factor: Array
    offset: Array
    name: str | None = None
    view: View | None = None

    def minus(self, constant: Array) -> Scaled:
        """Return this minus a constant."""
        plain = bool((self.factor == 1.0).all()) and not self.offset.any()
        if plain:
            shift = np.asarray(self.shift + constant)
            return Scaled(self.base, shift, self.factor, self.offset, self.name)
        offset = np.asarray(self.offset - constant)
        return Scaled(self.base, self.shift, self.factor, offset, self.name)

    def times(self, constant: Array) -> Scaled:
        """Return this times a constant."""
        factor, offset = self.factor * constant, self.offset * constant
        return Scaled(self.base, self.shift, np.asarray(factor), np.asarray(offset), self.name)

    def is_factor(self) -> bool:
        """Tell whether nothing is added."""
        return not self.shift.any() and not self.offset.any()


def scaled(base: View, name: str | None) -> Scaled:
    """Return a tensor as it is, to be shifted and scaled."""
    none, one = np.zeros(()), np.ones(())
    return Scaled(base, none, one, none, name)


@dataclass
class Operation:
    """An operator of a file."""

    operator: str
    # What messages call it.
    place: str
    # What the layer that it becomes is to be called.
    name: str | None
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    # Where the layer stood in the model that we have written.
    path: str = ""
