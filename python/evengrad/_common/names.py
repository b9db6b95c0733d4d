"""Names that users write as strings or keywords: looked up among what exists, with did-you-mean."""

from __future__ import annotations

import difflib
import functools
import re
from typing import TYPE_CHECKING, Any, TypeVar

from evengrad._common.foreign_words import argument_here

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

Thing = TypeVar("Thing")
# What the modules of this package begin with: classes of users are told from ours by it.
PACKAGE = __name__.split(".", maxsplit=1)[0] + "."


def is_own(thing: Any) -> bool:
    """Tell whether a class, a function, or the class of an object, is of this package."""
    return f"{getattr(thing, '__module__', None) or ''}.".startswith(PACKAGE)


def public_path(thing: type) -> str:
    """Return the full name of a class, without the files of this package that are not public."""
    module = str(thing.__module__)
    if f"{module}.".startswith(PACKAGE):
        module = module.partition("._")[0]
    return f"{module}.{thing.__qualname__}"


# Items of a list that a message names.
NAMED = 5


@functools.cache
def snake_case(name: str) -> str:
    """Return a class name as users write it in a string: ``HeNormal`` is ``he_normal``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return spaced.lower()


# Escapes, as `repr` has them, of what terminals and pages obey rather than show: control
# characters, ends of lines and paragraphs, changes of the direction of writing.
_OBEYED = [(0, 0x20), (0x7F, 0xA0), (0x2028, 0x202F), (0x2066, 0x206A)]
ESCAPES = {
    code: chr(code).encode("unicode_escape").decode()
    for first, end in _OBEYED
    for code in range(first, end)
}


def printable(text: str) -> str:
    """Return text with escapes in the place of control characters, and of halves of pairs."""
    return text.translate(ESCAPES).encode("utf-8", "backslashreplace").decode()


def check_name(name: str | None, argument: str = "name") -> str | None:
    """Return a name of something that reports and messages show, or raise an error."""
    if name is not None and not isinstance(name, str):
        raise TypeError(f"{argument}: expected a string, got {name!r} ({type(name).__name__})")
    if name is not None and printable(name) != name:
        raise ValueError(f"{argument}: expected a name without control characters, got {name!r}")
    return name


def free_name(name: str, taken: Container[str]) -> str:
    """Return a name, or with a number behind it the first that is not taken."""
    found, number = name, 1
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that is most like another one; capitals are of no account."""
    by_word = {one.lower(): one for one in valid}
    found = difflib.get_close_matches(name.lower(), by_word, n=1, cutoff=0.6)
    return by_word[found[0]] if found else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return the end of an error message: the nearest valid name, then all of them."""
    names = sorted(set(valid))
    close = nearest(name, names)
    hint = "" if close is None else f"did you mean {close!r}? "
    return f"{hint}Valid: {', '.join(map(printable, names))}"


def listed(noun: str, items: Sequence[Any]) -> str:
    """Return some of the items after their noun, and how many there are beside them."""
    shown = ", ".join(map(str, items[:NAMED]))
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return f"{noun if len(items) == 1 else noun + 's'} {shown}{more}"


def choose(name: object, valid: Iterable[str], argument: str) -> str:
    """Return `name` if it is one of the valid strings, else raise a ValueError that lists them."""
    options = list(valid)
    if isinstance(name, str) and name in options:
        return name
    raise ValueError(f"{argument}: unknown {name!r}; {did_you_mean(str(name), options)}")


# What modules offer, by the identity of their names, which are kept so that it stays their own.
_offered: dict[tuple[int, type], tuple[Mapping[str, Any], int, dict[str, Any]]] = {}


def public_names(names: Mapping[str, Any], base: type[Thing]) -> dict[str, Callable[..., Thing]]:
    """Return what a module offers under a string, in snake case: its public classes below `base`.

    It is looked up once for each table of names, and again when names are added to it.
    """
    known = _offered.get((id(names), base))
    if known is not None and known[0] is names and known[1] == len(names):
        return known[2]
    found: dict[str, Any] = {
        snake_case(name): thing
        for name, thing in names.items()
        if isinstance(thing, type) and issubclass(thing, base) and thing is not base
        if not name.startswith("_")
    }
    _offered[id(names), base] = (names, len(names), found)
    return found


def shown_object(value: Any) -> str:
    """Return a value for messages that expect an object; a class says that it is none yet."""
    if isinstance(value, type):
        return f"the class {value.__name__}; did you forget its parentheses?"
    return repr(value)


def look_up(name: str, offered: Mapping[str, Thing], argument: str) -> Thing:
    """Return the thing with that name; case and underscores are of no account."""
    if name in offered:
        return offered[name]
    wanted = name.replace("_", "").lower()
    for key, thing in offered.items():
        if key.replace("_", "") == wanted:
            return thing
    raise ValueError(f"{argument}: unknown name {name!r}; {did_you_mean(name, offered)}")


def check_keywords(given: Iterable[str], valid: Iterable[str], function: str) -> None:
    """Raise a TypeError that names the nearest argument for the first keyword that is unknown."""
    error = unknown_keyword(given, valid, function)
    if error is not None:
        raise error


def unknown_keyword(given: Iterable[str], valid: Iterable[str], function: str) -> TypeError | None:
    """Return the error for the first keyword that is unknown, with the nearest argument."""
    names = list(valid)
    for keyword in given:
        if keyword not in names:
            hint = did_you_mean(keyword, names) if names else "there are no others"
            known = argument_here(keyword, names)
            if known is not None:
                hint = f"{known}. Valid: {', '.join(sorted(names))}"
            return TypeError(f"{function}: unknown argument {keyword!r}; {hint}")
    return None
