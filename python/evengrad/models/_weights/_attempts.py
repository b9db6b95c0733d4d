"""The ways in which a file may be meant, tried in turn: layouts, and beginnings of names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evengrad import layers as all_layers
from evengrad._common.names import public_names
from evengrad.layers import Layer
from evengrad.layers._module import module_tree, state_of
from evengrad.models._weights._keras_structure import by_structure
from evengrad.models._weights._mapping import mapped
from evengrad.models._weights._numbers import stem_and_number
from evengrad.models._weights._pairing import Pairing, by_name, by_order, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.models._model import Model
    from evengrad.models._weights._mapping import Names
    from evengrad.models._weights._pairing import Target
    from evengrad.saving._weight_file import FileLayer, WeightFile


def best_pairing(
    model: Model,
    file: WeightFile,
    mapping: Names | None,
    layout: str,
    chosen: set[str],
    *,
    whole: bool,
) -> Pairing:
    """Return the pairing that leaves nothing over, or else the one that finds most.

    Parameters
    ----------
    model, file
        What is paired.
    mapping
        What the user says of names.
    layout
        ``"keras"``, ``"torch"``, or ``"auto"`` for what the file's names speak of, then the other.
    chosen
        The variables that matter.
    whole
        Whether arrays that are left over matter, too.
    """
    layouts = [layout]
    if layout == "auto":
        # Names decide, where shapes do not contradict.
        layouts = ["torch", "keras"] if file.layout == "torch" else ["keras", "torch"]
    best, seen = Pairing(), False
    structured = None if mapping is not None else by_structure(model, file)
    if structured is not None and not file.named:
        # Nothing else says as much.
        return structured
    for one in layouts:
        for found in _attempts(file, mapping, targets_of(model, one)):
            if not seen or _merit(found, chosen) > _merit(best, chosen):
                best = found
            seen = True
            if not chosen.intersection(best.missing) and not (whole and best.left):
                return best if structured is None else _agreed(best, structured, model)
    return best if structured is None else structured


def _agreed(by_names: Pairing, structured: Pairing, model: Model) -> Pairing:
    """Return what names say, unless nobody has given them and the structure says otherwise."""

    def sources(pairing: Pairing) -> dict[str, list[str]]:
        return {path: [array.name for array in one.arrays] for path, one in pairing.made.items()}

    if sources(by_names) == sources(structured):
        return by_names
    layers = [layer for _, layer in module_tree(model).layers if state_of(layer).weights]
    given = any(state_of(layer).given_name is not None for layer in layers)
    return by_names if given else structured


def _merit(pairing: Pairing, chosen: set[str]) -> int:
    return len(chosen.intersection(pairing.made))


def _attempts(file: WeightFile, mapping: Names | None, targets: list[Target]) -> Iterator[Pairing]:
    """Yield pairings by names as they are, then without their common beginnings, then by order."""
    if mapping is not None:
        named = mapped(file, mapping, targets)
        yield by_name(named.layers, targets) or Pairing(
            missing=[target.variable(name) for target in targets for name in target.form.parts],
            left=named.arrays(),
        )
        return
    fitted = False
    if file.named:
        for layers in _spelled(file.layers):
            found = by_name(layers, targets)
            if found is not None:
                fitted = True
                yield found
    if not fitted or _numbered_by_class(file.layers):
        yield by_order(file, targets)


def _numbered_by_class(layers: list[FileLayer]) -> bool:
    """Tell whether names are those that layers get by themselves, which Keras goes on counting."""
    kinds = public_names(vars(all_layers), Layer)
    return all(stem_and_number(layer.name.rpartition("/")[2])[0] in kinds for layer in layers)


def _spelled(layers: list[FileLayer]) -> Iterator[list[FileLayer]]:
    """Yield the layers of a file, then without the first parts of names that all of them share."""
    yield layers
    while layers and all("/" in layer.name for layer in layers):
        firsts = {layer.name.partition("/")[0] for layer in layers}
        if len(firsts) > 1:
            return
        layers = [replace(layer, name=layer.name.partition("/")[2]) for layer in layers]
        yield layers
