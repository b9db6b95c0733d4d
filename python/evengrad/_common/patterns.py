"""Patterns of paths that users write: names, globs, and regular expressions."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


# What makes of a name a pattern.
WILD = set("*?[")


def matcher(given: str | re.Pattern[str]) -> Callable[[str], bool]:
    """Return what tells whether a path is meant by a name, a glob or a regular expression."""
    if isinstance(given, re.Pattern):
        return lambda path: given.search(path) is not None
    if WILD & set(given):
        return lambda path: fnmatch.fnmatchcase(path, given)
    return lambda path: path == given.rstrip("/")


def select(pattern: Any, paths: Iterable[str], argument: str = "pattern") -> list[str]:
    """Return the paths that a pattern, or one of several, is about.

    A string is a name or a glob of a whole path or of its beginning: ``"dense"`` and ``"den*"`` are
    about ``dense/kernel``. One that is about nothing so, and a compiled pattern, are regular
    expressions that are searched in the paths.

    Raises
    ------
    ValueError
        The pattern, or one of several, is about none of the paths.
    TypeError
        It is neither a string nor a compiled pattern.
    """
    known = list(paths)
    given = list(pattern) if isinstance(pattern, (list, tuple)) else [pattern]
    chosen: set[str] = set()
    for one in given:
        found = _found(one, known, argument)
        if not found:
            shown = one.pattern if isinstance(one, re.Pattern) else one
            names = ", ".join(known)
            raise ValueError(f"{argument}: {shown!r} matches none of: {names or 'no names'}")
        chosen.update(found)
    return [path for path in known if path in chosen]


def _found(pattern: Any, paths: list[str], argument: str) -> list[str]:
    if isinstance(pattern, str):
        found = [path for path in paths if _is_about(pattern, path)]
        if found:
            return found
        try:
            pattern = re.compile(pattern)
        except re.error:
            return []
    if not isinstance(pattern, re.Pattern) or not isinstance(pattern.pattern, str):
        raise TypeError(
            f"{argument}: expected a name, a glob or a regular expression, got {pattern!r} "
            f"({type(pattern).__name__})"
        )
    return list(filter(matcher(pattern), paths))


def _is_about(glob: str, path: str) -> bool:
    """Tell whether a glob matches a path or the beginning of it, up to a slash."""
    parts = path.split("/")
    beginnings = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return any(map(matcher(glob), beginnings))
