"""The groups of layers in Keras' files, with their arrays in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.saving._keras._names import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.saving._hdf5._reading import ArrayInFile, Group
    from evengrad.saving._keras._parts import Part

LAYERS, VARIABLES = "layers", "vars"
# Where the cells of recurrent layers have their variables, and the layers of wrappers.
PLACES = ("", "cell", "layer", "layer/cell")


def arrays_in(group: Group, place: str) -> list[ArrayInFile]:
    """Return the arrays of a layer in their order."""
    inside = group.at(f"{place}/{VARIABLES}" if place else VARIABLES)
    if inside is None:
        return []
    numbers = sorted((name for name in inside.datasets if name.isdecimal()), key=int)
    return [inside.datasets[name] for name in numbers]


def layers_in(root: Group) -> Iterator[tuple[str, str | None, list[ArrayInFile]]]:
    """Yield the layers with arrays: path by groups, path by names where the file has them, arrays.

    Of one class they come by their numbers; between classes a file has no order.
    """
    left: list[tuple[str, str | None, Group]] = [("", "", root)]
    while left:
        path, named, around = left.pop(0)
        inside = around.groups.get(LAYERS)
        if inside is None:
            continue
        for number in in_order(inside.groups):
            group = inside.groups[number]
            name = name_of(group)
            below = None if named is None or name is None else f"{named}/{name}".lstrip("/")
            place = f"{path}/{LAYERS}/{number}".lstrip("/")
            for one in PLACES:
                arrays = arrays_in(group, one)
                if arrays:
                    yield place, below, arrays
            left.append((place, below, group))


def groups_of(model: Part, root: Group) -> dict[int, Group]:
    """Return the groups of the parts of a model by their identities.

    By the names in the file, where it has them, as those of Keras 3.8.0 do and those of 3.0.5 do
    not; else by the numbers that Keras counts.
    """
    found: dict[int, Group] = {}
    left = [(model, root)]
    while left:
        above, around = left.pop()
        inside = around.groups.get(LAYERS)
        if inside is None:
            continue
        named = _by_name(inside)
        for part in above.inside:
            number = part.group.rpartition("/")[2]
            group = named.get(part.name) or inside.groups.get(number)
            if group is not None and part.group:
                found[id(part)] = group
                left.append((part, group))
    return found


def _by_name(layers: Group) -> dict[str, Group]:
    """Return the groups of layers by the names that users see, where the file has those."""
    named = {name_of(group): group for group in layers.groups.values()}
    return {name: group for name, group in named.items() if name is not None}


def name_of(group: Group) -> str | None:
    """Return the name of a layer, an attribute of its variables; None where it is not there."""
    variables = group.groups.get(VARIABLES)
    name = variables.attributes.get("name") if variables is not None else None
    return name if isinstance(name, str) else None
