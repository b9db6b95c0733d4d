"""Weights in ``.h5`` files as Keras 2 wrote them, and as Keras 3 still can."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from evengrad.saving._errors import FileFormatError
from evengrad.saving._keras._arrays import dtype_of, values_of
from evengrad.saving._weight_file import FileArray, FileLayer, WeightFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad.saving._hdf5._reading import ArrayInFile, Group

# The group of the weights in a file of a whole model, and what lists layers and weights.
MODEL, LAYER_NAMES, WEIGHT_NAMES = "model_weights", "layer_names", "weight_names"
# A part of a name that no user has given: the cell of a recurrent layer.
CELL = re.compile(r"(?:lstm|gru|simple_rnn)_cell(?:_\d+)?")
# Layers that have no weights, and are listed with the others.
TOP = "top_level_model_weights"


def is_legacy(root: Group) -> bool:
    """Tell whether a file lists its weights by names."""
    return LAYER_NAMES in root.groups.get(MODEL, root).attributes


def legacy_layers(shown: str, root: Group) -> WeightFile:
    """Return the weights of a file, by the names that it lists: their order is not that of the net.

    Freezing a layer of a model inside the model moves its weights to the end.
    """
    around = root.groups.get(MODEL, root)
    arrays: dict[str, dict[str, FileArray]] = {}
    nested = False
    for layer in _texts(around, LAYER_NAMES):
        group = around.groups.get(layer)
        if group is None:
            raise FileFormatError(f"{shown}: {around.place}: it lists {layer!r} and has it not")
        for name in _texts(group, WEIGHT_NAMES):
            path, role = _parted(layer, name)
            nested = nested or path != layer
            array = _array(shown, group, name)
            arrays.setdefault(path, {})[role] = FileArray(
                f"{group.place}/{name}".lstrip("/"),
                array.dataset.shape,
                dtype_of(shown, array),
                _reader(shown, array),
            )
    version = around.attributes.get("keras_version", root.attributes.get("keras_version", ""))
    layers = [FileLayer(path, roles) for path, roles in arrays.items()]
    metadata = {"format": "keras", "keras_version": str(version)}
    return WeightFile(shown, layers, "keras", ordered=not nested, metadata=metadata)


def _reader(shown: str, array: ArrayInFile) -> Callable[[], Array]:
    return lambda: values_of(shown, array)


def _texts(group: Group, attribute: str) -> list[str]:
    """Return the texts that an attribute lists; long lists stand in several, numbered ones."""
    pieces = [group.attributes.get(attribute, [])]
    while f"{attribute}{len(pieces) - 1}" in group.attributes:
        pieces.append(group.attributes[f"{attribute}{len(pieces) - 1}"])
    return [text for piece in pieces if isinstance(piece, list) for text in piece]


def _parted(layer: str, name: str) -> tuple[str, str]:
    """Return the path of the layer that a weight belongs to, and what the weight is.

    The name of the weight may begin with that of the model around, and lack that of the layer.
    """
    *parts, role = name.partition(":")[0].split("/")
    parts = [part for part in parts if not CELL.fullmatch(part)]
    parts = parts[parts.index(layer) :] if layer in parts else [layer, *parts]
    return "/".join(parts), role


def _array(shown: str, group: Group, name: str) -> ArrayInFile:
    folder, _, last = name.rpartition("/")
    inside = group.at(folder) if folder else group
    array = inside.datasets.get(last) if inside is not None else None
    if array is None:
        raise FileFormatError(f"{shown}: {group.place}: it lists {name!r} and has it not")
    return array
