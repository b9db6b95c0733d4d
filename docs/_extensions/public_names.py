"""The public names of evengrad: of which modules, where each is documented, what has two names.

A name is public if neither it nor a module on the way to it begins with an underscore. A thing that
several modules offer is documented once, at its home: under its own name rather than another one,
and in a module of its family rather than at the top. Needs no Sphinx, so that tests can read it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Activations are `functional`'s too, whose other operations have no second home.
LAST_HOMES = ("evengrad.functional", "evengrad")


@dataclass(frozen=True)
class Name:
    """A public name: its module, and what it stands for."""

    module: str
    name: str
    thing: Any

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @property
    def kind(self) -> str:
        """The kind of thing, as autodoc's directives call it."""
        if inspect.isclass(self.thing):
            return "exception" if issubclass(self.thing, BaseException) else "class"
        return "function" if callable(self.thing) else "data"


def public_modules(name: str = "evengrad") -> Iterator[str]:
    """Yield the names of the package and of the public modules in it."""
    yield name
    module = importlib.import_module(name)
    for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not found.name.startswith("_"):
            yield from public_modules(f"{name}.{found.name}")


def names_of(module_name: str) -> list[Name]:
    """Return what a module lists, in alphabetical order; modules inside are none of it."""
    module = importlib.import_module(module_name)
    things = ((name, getattr(module, name)) for name in dir(module))
    return [Name(module_name, *pair) for pair in things if not inspect.ismodule(pair[1])]


def _distance(name: Name) -> tuple[bool, int]:
    """Order the names of one thing, its home first."""
    foreign = getattr(name.thing, "__name__", name.name) != name.name
    last = LAST_HOMES.index(name.module) + 1 if name.module in LAST_HOMES else 0
    return foreign, last


@cache
def homes() -> dict[Name, Name]:
    """Return the home of each public name, by name; a name that is its own home maps to itself."""
    found = [name for module in public_modules() for name in names_of(module)]
    by_thing: dict[int, list[Name]] = {}
    for name in found:
        by_thing.setdefault(id(name.thing), []).append(name)
    return {name: min(by_thing[id(name.thing)], key=_distance) for name in found}


@cache
def by_definition() -> dict[str, Name]:
    """Return the homes of classes and functions by where they are defined."""
    return {
        f"{home.thing.__module__}.{home.thing.__qualname__}": home
        for home in homes().values()
        if hasattr(home.thing, "__qualname__")
    }


def public_bases(thing: type) -> list[Name]:
    """Return the homes of a class's nearest public bases."""
    found: list[Name] = []
    for base in thing.__bases__:
        home = by_definition().get(f"{base.__module__}.{base.__qualname__}")
        if home is not None:
            found.append(home)
        elif base.__module__.startswith("evengrad"):
            found += public_bases(base)
    return list(dict.fromkeys(found))


@cache
def spellings() -> dict[str, str]:
    """Return the full names that pages mean by what stands in code, as ``layers.Dense``.

    Classes are known by their bare names, too, where one home alone has that name, and members by
    their class.
    """
    found: dict[str, set[str]] = {}

    def enter(full: str, home: str) -> None:
        parts = full.split(".")[1:]
        found.setdefault(full, set()).add(home)
        found.setdefault(".".join(["eg", *parts]), set()).add(home)
        if len(parts) > 1:
            found.setdefault(".".join(parts), set()).add(home)

    for module in public_modules():
        if module != "evengrad" and names_of(module):
            enter(module, module)
    for name, home in homes().items():
        enter(str(name), str(home))
        if home.kind not in ("class", "exception"):
            continue
        found.setdefault(name.name, set()).add(str(home))
        for member, value in vars(home.thing).items():
            if not member.startswith("_") and (callable(value) or inspect.isdatadescriptor(value)):
                found.setdefault(f"{name.name}.{member}", set()).add(f"{home}.{member}")
    return {spelling: full.pop() for spelling, full in found.items() if len(full) == 1}
