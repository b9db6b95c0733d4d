"""Names that users write as strings or keywords: looked up among what exists, with did-you-mean."""

from __future__ import annotations

import difflib
import re
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def snake_case(name: str) -> str:
    """Return a class name as users write it in a string: ``HeNormal`` is ``he_normal``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return spaced.lower()


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error message: the nearest valid name, then all of them."""
    names = sorted(set(valid))
    nearest = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{hint}Valid: {', '.join(names)}"


def choose(name: object, valid: Iterable[str], argument: str) -> str:
    """Return `name` if it is one of the valid strings, else raise a ValueError that lists them."""
    options = list(valid)
    if isinstance(name, str) and name in options:
        return name
    raise ValueError(f"{argument}: unknown {name!r}; {did_you_mean(str(name), options)}")


def public_names(module: ModuleType | Mapping[str, Any], base: type | None) -> dict[str, Any]:
    """Return what a module offers under a string: its public classes below `base`, or functions.

    Keys are in snake case. With `base` None, the functions are offered instead.
    """
    table = vars(module) if isinstance(module, ModuleType) else module
    found = {}
    for name, thing in table.items():
        if name.startswith("_"):
            continue
        if base is None:
            if callable(thing) and not isinstance(thing, type):
                found[name] = thing
        elif isinstance(thing, type) and issubclass(thing, base) and thing is not base:
            found[snake_case(name)] = thing
    return found


def look_up(name: str, offered: Mapping[str, Any], argument: str) -> Any:
    """Return the thing with that name; case and underscores are of no account."""
    wanted = name.replace("_", "").lower()
    for key, thing in offered.items():
        if key.replace("_", "") == wanted:
            return thing
    raise ValueError(f"{argument}: unknown name {name!r}; {did_you_mean(name, offered)}")


def check_keywords(given: Iterable[str], valid: Iterable[str], function: str) -> None:
    """Raise a TypeError that names the nearest argument for the first keyword that is unknown."""
    names = list(valid)
    for keyword in given:
        if keyword not in names:
            raise TypeError(
                f"{function}: unknown argument {keyword!r}; {did_you_mean(keyword, names)}"
            )
