"""Names of functions of this package, by identity: what messages and files call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# With the functions, so that their identities stay theirs; a user's function may not be hashable.
_names: dict[int, tuple[Any, str]] = {}


def enter_names(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Enter functions; of several names of one, the first counts."""
    for name, function in functions.items():
        _names.setdefault(id(function), (function, name))


def name_of(function: Any) -> str | None:
    """Return the name of a function that was entered; None for a function of the user's."""
    return _names.get(id(function), (None, None))[1]
