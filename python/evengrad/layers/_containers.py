"""Containers in which layers keep others: lists, tuples, dicts, data classes, to any depth."""

from __future__ import annotations

from collections import UserDict, UserList, deque
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ORDERED = (list, tuple, deque, UserList)
KEYED = (dict, UserDict, MappingProxyType)
CONTAINERS = (*ORDERED, *KEYED, SimpleNamespace)
# What data classes have, and their objects.
FIELDS = "__dataclass_fields__"
# Containers of more items, and no container among them, are data, in which nobody looks for others.
MOST_WATCHED = 10_000


def places_of(held: Any) -> Iterable[tuple[Any, Any]]:
    """Return the places of a container and what they hold: numbers, keys or names."""
    if isinstance(held, ORDERED):
        return enumerate(held)
    return held.items() if isinstance(held, KEYED) else attributes_of(held).items()


def items_of(held: Any) -> list[Any]:
    """Return what a container holds."""
    return [item for _, item in places_of(held)]


def attributes_of(held: Any) -> dict[str, Any]:
    """Return an object's attributes, those in slots included."""
    found = dict(getattr(held, "__dict__", {}))
    for kind in reversed(type(held).__mro__):
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(held, name):
                found[name] = getattr(held, name)
    return found


def place_name(place: Any, number: int) -> str:
    """Return the name of a place that is the same in another process."""
    kind: Any = type(place)
    # A key of a class that says nothing else would be shown with its address.
    silent = kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__
    return str(number) if silent else str(place)


def search(
    name: str, value: Any, wanted: type, looks_into: Callable[[type], bool]
) -> Iterator[tuple[str, Any]]:
    """Yield all containers and objects of a type in a value, with the names of their places.

    `looks_into` tells of a type whether it is wanted or a container.
    """
    seen: set[int] = set()
    stack = [(name, value)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, wanted):
            yield name, value
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield name, value
        inside = [
            (f"{name}_{place_name(place, number)}", item)
            for number, (place, item) in enumerate(places_of(value))
            if looks_into(type(item))
        ]
        stack += reversed(inside)


def watched(
    name: str, value: Any, wanted: type, looks_into: Callable[[type], bool]
) -> list[tuple[Any, list[Any]]]:
    """Return the containers in a value that may come to hold others, and what they hold now.

    Arguments are those of `search`.
    """
    found = []
    for _, held in search(name, value, wanted, looks_into):
        if isinstance(held, (wanted, tuple)):
            continue
        items = items_of(held)
        if len(items) <= MOST_WATCHED or any(map(looks_into, map(type, items))):
            found.append((held, items))
    return found
