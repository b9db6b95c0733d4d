"""Inputs and outputs in dicts and nested lists: their structure, and the flat lists within it.

A structure is None for one tensor; for others a kind and what is inside, as JSON holds it:
``["list", [...]]``, ``["tuple", [...]]`` and ``["dict", [[name, ...], ...]]``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Structure: TypeAlias = "list[Any] | None"
SEQUENCES = {"list": list, "tuple": tuple}
PAIR = 2


def taken_apart(value: Any) -> tuple[list[Any], Structure]:
    """Return what is inside dicts, lists and tuples to any depth, and their structure.

    One thing alone, and one flat list, have the structure None.
    """
    if isinstance(value, (list, tuple)) and not any(
        isinstance(item, (list, tuple, dict)) for item in value
    ):
        return list(value), None
    leaves: list[Any] = []
    return leaves, _structure_of(value, leaves)


def _structure_of(value: Any, leaves: list[Any]) -> Structure:
    if isinstance(value, dict):
        return ["dict", [[name, _structure_of(item, leaves)] for name, item in value.items()]]
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return [kind, [_structure_of(item, leaves) for item in value]]
    leaves.append(value)
    return None


def is_structured(value: Any) -> bool:
    """Tell whether a value is a dict, or holds lists or dicts in a list."""
    return isinstance(value, dict) or (
        isinstance(value, (list, tuple))
        and any(isinstance(item, (list, tuple, dict)) for item in value)
    )


def packed(structure: Structure, leaves: list[Any]) -> Any:
    """Return things in their structure; without one, one alone or a list."""
    if structure is None:
        return leaves if len(leaves) != 1 else leaves[0]
    return _packed(structure, iter(leaves))


def _packed(structure: Structure, leaves: Any) -> Any:
    if structure is None:
        return next(leaves)
    kind, inside = structure
    if kind == "dict":
        return {name: _packed(item, leaves) for name, item in inside}
    return SEQUENCES[kind](_packed(item, leaves) for item in inside)


def names_in(structure: Structure) -> list[str] | None:
    """Return the names of a dict of tensors; None of any other structure."""
    if structure is None or structure[0] != "dict":
        return None
    names = [str(name) for name, item in structure[1] if item is None]
    return names if len(names) == len(structure[1]) else None


def flattened(structure: Structure, value: Any, what: str) -> list[Any]:
    """Return what a value has in the places of a structure, one after the other.

    A flat list of as many things is taken as well. Raises a ValueError where something is missing.
    """
    if structure is None:
        return list(value) if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, (list, tuple)) and not is_structured(value):
        count = _count(structure)
        if len(value) == count:
            return list(value)
    if not isinstance(value, (dict, list, tuple)) and _count(structure) == 1:
        return [value]
    leaves: list[Any] = []
    _flatten(structure, value, what, leaves)
    return leaves


def _flatten(structure: Structure, value: Any, what: str, leaves: list[Any]) -> None:
    if structure is None:
        leaves.append(value)
        return
    kind, inside = structure
    if kind == "dict":
        names = [name for name, _ in inside]
        if not isinstance(value, dict) or set(value) != set(names):
            got = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise ValueError(
                f"{what}: expected a dict with {', '.join(map(repr, names))}, got {got}"
            )
        for name, item in inside:
            _flatten(item, value[name], f"{what}[{name!r}]", leaves)
        return
    if not isinstance(value, (list, tuple)) or len(value) != len(inside):
        got = str(len(value)) if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(f"{what}: expected a {kind} of {len(inside)}, got {got}")
    for place, (item, one) in enumerate(zip(inside, value, strict=True)):
        _flatten(item, one, f"{what}[{place}]", leaves)


def _count(structure: Structure) -> int:
    if structure is None:
        return 1
    kind, inside = structure
    return sum(_count(item[1] if kind == "dict" else item) for item in inside)


def check_structure(value: Any) -> Structure:
    """Return a structure that a file has, or raise a ValueError."""
    if value is None:
        return None
    whole = isinstance(value, list) and len(value) == PAIR and isinstance(value[1], list)
    if not whole or value[0] not in ("dict", *SEQUENCES):
        raise ValueError(f"{value!r:.60} is no structure of tensors")
    for item in value[1]:
        if value[0] == "dict":
            if not isinstance(item, list) or len(item) != PAIR or not isinstance(item[0], str):
                raise ValueError(f"{item!r:.60} is no part of a structure of tensors")
            check_structure(item[1])
        else:
            check_structure(item)
    found: list[Any] = value
    return found
