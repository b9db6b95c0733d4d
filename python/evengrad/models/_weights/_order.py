"""The layers of a model in the order in which data passes them, as far as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.layers import Dense
from evengrad.layers._module import module_tree, state_of

if TYPE_CHECKING:
    from evengrad.layers._layer import Layer


def layers_with_variables(model: Layer) -> list[tuple[str, Layer]]:
    """Return the layers that have variables, with their paths."""
    found = [(prefix.rstrip("/"), one) for prefix, one in module_tree(model).layers]
    for _, layer in list(found):
        if isinstance(layer, Dense) and layer.norm is not None:
            _put_in_order(found, layer)
    return [(path, layer) for path, layer in found if state_of(layer).weights]


def _put_in_order(found: list[tuple[str, Layer]], layer: Dense) -> None:
    """Put the normalization and the activation of a layer in order."""
    after = layer.norm_position == "after"
    parts = (layer.activation, layer.norm) if after else (layer.norm, layer.activation)
    places = [place for place, (_, one) in enumerate(found) if one in parts]
    if len(places) == len(parts):
        first, second = (next(row for row in found if row[1] is part) for part in parts)
        found[places[0]], found[places[1]] = first, second
