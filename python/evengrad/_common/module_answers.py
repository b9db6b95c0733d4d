"""What modules answer where a name is asked for that they have not, and to `dir`."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from evengrad._common.foreign_words import LAYER_PARTS, NAMES
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
            message += _hint(module, name)
        raise AttributeError(message, name=name, obj=module)

    def listed() -> list[str]:
        return public_names(module)

    return {"__getattr__": unknown, "__dir__": listed}


def _hint(module: ModuleType, name: str) -> str:
    """Return the end of a message: what is meant by a name, as far as can be told."""
    meant = NAMES.get(module.__name__, {}).get(name)
    if meant is None and module.__name__ == f"{PACKAGE}layers":
        said = (one for part, one in LAYER_PARTS.items() if re.search(part, name))
        meant = next(said, None)
    close = nearest(name, public_names(module))
    if meant is None and (close is None or close.lower() != name.lower()):
        meant = _elsewhere(name)
    if meant is not None:
        return f"; {meant}" if " " in meant else f"; here it is {meant}"
    return "" if close is None else f"; did you mean {close!r}?"


def _elsewhere(name: str) -> str | None:
    """Return where another public module has a name, by its full name."""
    for full in sorted(sys.modules, key=lambda one: (one.count("."), one)):
        if f"{full}.".startswith(PACKAGE) and "._" not in full:
            module = sys.modules[full]
            if name in public_names(module) and not isinstance(vars(module)[name], ModuleType):
                return f"{full}.{name}"
    return None


def answer(name: str, later: Mapping[str, str] | None = None) -> None:
    """Have a public module, and those inside, list their names alone and answer for all others.

    Names in `later` are imported when they are asked for, from the module inside that stands there.

    It is done from here, not in each module: type checkers take a module with a ``__getattr__``
    for one that has every name.
    """
    for inside, module in list(sys.modules.items()):
        if f"{inside}.".startswith(f"{name}.") and "._" not in inside:
            vars(module).update(hooks_for(module, later or {}))
            _name_errors(module)


def _name_errors(module: ModuleType) -> None:
    """Have tracebacks and messages call errors by where users find them."""
    for name in public_names(module):
        thing = vars(module).get(name)
        if not (isinstance(thing, type) and issubclass(thing, BaseException)):
            continue
        if "._" in thing.__module__ and thing.__name__ == name:
            thing.__module__ = module.__name__
