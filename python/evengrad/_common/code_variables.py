"""What functions of users take from around them: variables, by the names in their code."""

from __future__ import annotations

import functools
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from evengrad._common.names import is_own

if TYPE_CHECKING:
    from collections.abc import Iterable

# The methods of users' classes that run within steps.
METHODS = ("call", "__call__", "update_state")


def methods_of(thing: Any) -> list[Any]:
    """Return the functions of an object's class that a user wrote and that run within steps."""
    found = [getattr(type(thing), name, None) for name in METHODS]
    return [one for one in found if isinstance(one, FunctionType) and not is_own(one)]


def variables_of(function: Any) -> list[Any]:
    """Return what a function, or an object that is called like one, finds under names around it.

    Variables of functions around and of the module, attributes that its code names, and functions
    of the same module that it calls, for which the same holds.
    """
    if isinstance(function, functools.partial):
        return [function.func, *function.args, *function.keywords.values()]
    if isinstance(function, MethodType):
        return [function.__func__, *attributes([function.__self__], names_in(function.__func__))]
    if not isinstance(function, FunctionType):
        names = {name for method in methods_of(function) for name in names_in(method)}
        return [*methods_of(function), *attributes([function], names)]
    names = names_in(function)
    around = [function.__globals__[name] for name in names if name in function.__globals__]
    around += enclosed_by(function)
    found = [*around, *(function.__defaults__ or ()), *attributes(around, names)]
    # Functions of other modules are those of libraries; layers and losses are called, too.
    return [
        one
        for one in found
        if not callable(one)
        or hasattr(one, "_is_read")
        or getattr(one, "__module__", None) == function.__module__
    ]


def names_in(function: Any) -> set[str]:
    """Return the names of variables and attributes in a function's code."""
    code = getattr(function, "__code__", None)
    return set() if code is None else {*code.co_names}


def attributes(owners: Iterable[Any], names: Iterable[str]) -> list[Any]:
    """Return what objects keep under these names."""
    kept = [getattr(owner, "__dict__", {}) for owner in owners]
    wanted = sorted(names)
    return [held[name] for held in kept for name in wanted if name in held]


def enclosed_by(function: FunctionType) -> list[Any]:
    """Return the values of the variables that a function takes from functions around it."""
    return [cell.cell_contents for cell in function.__closure__ or () if is_filled(cell)]


def is_filled(cell: Any) -> bool:
    """Tell whether a variable of a function around has a value."""
    try:
        cell.cell_contents  # noqa: B018 - it raises
    except ValueError:
        return False
    return True
