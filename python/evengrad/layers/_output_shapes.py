"""Shapes of outputs, found by running layers on a row of zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers._symbolic import is_open

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evengrad._common.arrays import Shape
    from evengrad._core import Tensor
    from evengrad.layers._symbolic import Node


def shapes_of_outputs(
    run: Callable[[list[Tensor]], Sequence[Tensor]], shapes: list[Shape], dtype: str
) -> list[Shape]:
    """Return the shapes of outputs, from running on one row of zeros.

    Where sizes are left open it is run with two sizes in their place: what differs is open too.
    """
    found: list[list[Shape]] = []
    for size in (2, 3) if any(is_open(shape) for shape in shapes) else (1,):
        rows = [
            _core.zeros((1, *[size if one is None else one for one in shape[1:]]), dtype=dtype)
            for shape in shapes
        ]
        with no_grad():
            found.append([tuple(output.shape) for output in run(rows)])
    return [
        (None, *[size if size == other else None for size, other in zip(a[1:], b[1:], strict=True)])
        for a, b in zip(found[0], found[-1], strict=True)
    ]


def shape_of_call(node: Node, shapes: list[Shape]) -> Any:
    """Return the shape of what a use of a layer puts out, from running it on one row of zeros."""
    layer: Any = node.layer
    alone = True

    def run(rows: list[Tensor]) -> Sequence[Tensor]:
        nonlocal alone
        given, arguments = node.called_with(rows)
        outputs = layer(given, **{**arguments, "training": False})
        alone = not isinstance(outputs, (list, tuple))
        return [outputs] if alone else outputs

    found = shapes_of_outputs(run, shapes, layer.dtype)
    return found[0] if alone else found
