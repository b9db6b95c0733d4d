"""Pairing as Keras does it itself: by the structure of the model, whatever the names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evengrad.models._weights._pairing import Pairing, by_name, targets_of

if TYPE_CHECKING:
    from evengrad.models._keras._written import Written
    from evengrad.models._model import Model
    from evengrad.saving._weight_file import FileLayer, WeightFile

KERAS = "keras"
# Between the path of a layer's group and the number of an array.
VARIABLES = "/vars/"


def by_structure(model: Model, file: WeightFile) -> Pairing | None:
    """Pair a file of Keras' with the model that Keras would read it into; None where it would not.

    Keras numbers the layers of a class as it walks through a model, and knows nothing else.
    """
    if file.metadata.get("format") != KERAS or not all(map(_group, file.layers)):
        return None
    groups = {_group(layer): layer for layer in file.layers}
    # Only files of Keras' have to do with it.
    from evengrad.models._keras._emitting import grouped
    from evengrad.models._keras._saving import written_of

    try:
        _, written = written_of(model, "load_weights")
    except ValueError:
        # Keras has no such model.
        return None
    wanted = {group: one for group, one in grouped(written) if one.variables}
    same = wanted.keys() == groups.keys()
    if not same or not all(_fits(groups[group], one) for group, one in wanted.items()):
        return None
    layers = [
        replace(groups[group], name=str(one.variables[0].path).rpartition("/")[0])
        for group, one in wanted.items()
    ]
    found = by_name(layers, targets_of(model, KERAS))
    if found is None or not found.complete:
        return None
    found.by_order = True
    return found


def _group(layer: FileLayer) -> str:
    """Return the path of the group of a layer; ``""`` where a file has none."""
    first = next(iter(layer.arrays.values()))
    group, between, _ = first.name.rpartition(VARIABLES)
    return group if between else ""


def _fits(layer: FileLayer, written: Written) -> bool:
    """Tell whether the arrays of a layer have the shapes that are wanted, in their order."""
    shapes = [array.shape for array in layer.arrays.values()]
    wanted = [one.values.shape for one in written.variables]
    weights = [one.values.shape for one in written.variables if one.path is not None]
    return shapes in (wanted, weights)
