"""What modules answer where a name is asked for that they have not, and to `dir`."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evengrad._common.foreign_words import NAMES
from evengrad._common.names import PACKAGE, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def public_names(module: ModuleType) -> list[str]:
    """Return the names that a module offers, without what it imports for itself."""
    names = vars(module)
    if "__all__" in names:
        return sorted(names["__all__"])
    return sorted(name for name, thing in names.items() if _is_offered(name, thing))


def _is_offered(name: str, thing: Any) -> bool:
    if name.startswith("_"):
        return False
    if isinstance(thing, ModuleType):
        own = thing.__name__.startswith(PACKAGE) and "._" not in thing.__name__
        return own and bool(public_names(thing))
    return f"{getattr(thing, '__module__', None) or ''}.".startswith(PACKAGE)


def hooks_for(module: ModuleType, later: Mapping[str, str]) -> Mapping[str, Callable[..., Any]]:
    """Return what a module answers by where a name is asked for that it has not, and to `dir`."""

    def unknown(name: str) -> Any:
        if name in later:
            holder = importlib.import_module(f"{module.__name__}.{later[name]}")
            found = vars(module)[name] = getattr(holder, name)
            return found
        message = f"module {module.__name__!r} has no attribute {name!r}"
        # Python and tools ask for these.
        if not name.startswith("__"):
            meant = NAMES.get(module.__name__, {}).get(name)
            close = nearest(name, public_names(module))
            if meant is not None:
                message += f"; {meant}" if " " in meant else f"; here it is {meant}"
            elif close is not None:
                message += f"; did you mean {close!r}?"
        raise AttributeError(message, name=name, obj=module)

    def listed() -> list[str]:
        return public_names(module)

    return {"__getattr__": unknown, "__dir__": listed}


def answer(name: str, later: Mapping[str, str] | None = None) -> None:
    """Have a public module, and those inside, list their names alone and answer for all others.

    Names in `later` are imported when they are asked for, from the module inside that stands there.

    It is done from here, not in each module: type checkers take a module with a ``__getattr__``
    for one that has every name.
    """
    for inside, module in list(sys.modules.items()):
        if f"{inside}.".startswith(f"{name}.") and "._" not in inside:
            vars(module).update(hooks_for(module, later or {}))
