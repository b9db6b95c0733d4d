"""Names in a file that the user has other names for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from evengrad._common.names import did_you_mean
from evengrad.saving._weight_file import FileLayer, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad.models._weights._pairing import Target
    from evengrad.saving._weight_file import FileArray, WeightFile

# None leaves an array out.
Names: TypeAlias = "Mapping[str, str | None] | Callable[[str], str | None]"


def check_mapping(mapping: Any) -> None:
    """Raise a TypeError for what is neither names by names nor a function of a name."""
    if mapping is not None and not isinstance(mapping, Mapping) and not callable(mapping):
        raise TypeError(
            "mapping: expected a dict, name in the file to name in the model, or a function of a "
            f"name, got {mapping!r} ({type(mapping).__name__})"
        )


def mapped(file: WeightFile, mapping: Names, targets: Sequence[Target]) -> WeightFile:
    """Return the file with the names that a mapping gives, of the model's layers.

    Names are those of arrays, or of layers with all that is in them; what a mapping does not name
    keeps its own, unless the mapping gives that to another array. What a function makes of names
    need not be of the model.

    Raises
    ------
    ValueError
        A name that the file or the model does not have, or one for two arrays.
    TypeError
        A name that is no text.
    """
    if isinstance(mapping, Mapping):
        _check_names(file, mapping)
    layers: dict[str, dict[str, FileArray]] = {}
    numbered: set[str] = set()
    said: set[str] = set()
    beaten: list[FileLayer] = []
    for layer in file.layers:
        for role, array in layer.arrays.items():
            target = _target(mapping, layer, array)
            if target is None:
                continue
            name, kind = (layer.name, role) if target == "" else _place(target, role, targets)
            if name is None:
                if isinstance(mapping, Mapping):
                    raise _unknown(target, targets)
                name, kind = split(target)
            roles = layers.setdefault(name, {})
            other = roles.get(kind)
            if other is not None:
                if target and other.name in said:
                    raise ValueError(
                        f"mapping: {other.name!r} and {array.name!r} are both for "
                        f"{f'{name}/{kind}'!r}; map one of them to None"
                    )
                # What the mapping says goes first; two layers of a name are left over but for one.
                beaten.append(FileLayer(name, {kind: other if target else array}))
            if other is None or target:
                roles[kind] = array
            said |= {array.name} if target else set()
            numbered |= {name} if layer.by_place else set()
    found = [FileLayer(name, roles, name in numbered) for name, roles in layers.items()]
    return replace(file, layers=found + beaten)


def _check_names(file: WeightFile, mapping: Mapping[str, str | None]) -> None:
    names = {array.name for array in file.arrays()}
    names |= {spelled for layer in file.layers for spelled in _spellings(layer.name)}
    for name in mapping:
        if name not in names:
            raise ValueError(f"mapping: {file.shown} has no {name!r}; {did_you_mean(name, names)}")


def _spellings(name: str) -> tuple[str, str]:
    return name, name.replace("/", ".")


def _target(mapping: Names, layer: FileLayer, array: FileArray) -> str | None:
    """Return what the mapping says of an array; ``""`` where it says nothing."""
    if not isinstance(mapping, Mapping):
        found = _text_or_none(mapping(array.name), array.name)
        return "" if found == array.name else found
    for name in (array.name, *_spellings(layer.name)):
        if name in mapping:
            return _text_or_none(mapping[name], name)
    return ""


def _text_or_none(found: Any, name: str) -> str | None:
    if found is None or isinstance(found, str):
        return found
    raise TypeError(
        f"mapping: expected a name in the model or None for {name!r}, got {found!r} "
        f"({type(found).__name__})"
    )


def _place(name: str, role: str, targets: Sequence[Target]) -> tuple[str | None, str]:
    """Return the layer of the model and the role in it that a name given by the user means."""
    for target in targets:
        if name in (target.path, target.path.replace("/", ".")):
            return target.path, role
        for variable, ways in target.form.parts.items():
            if name == target.variable(variable):
                roles = [one for way in ways for one in way.roles]
                return target.path, role if role in roles else roles[0]
    layer, kind = split(name)
    for target in targets:
        if layer == target.path and any(
            kind in way.roles for ways in target.form.parts.values() for way in ways
        ):
            return layer, kind
    return None, role


def _unknown(name: str, targets: Sequence[Target]) -> ValueError:
    valid = [target.variable(one) for target in targets for one in target.form.parts]
    return ValueError(f"mapping: the model has no {name!r}; {did_you_mean(name, valid)}")
