"""Checks that what should train does not lie where neither training nor files find it."""

from __future__ import annotations

import functools
import weakref
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.code_variables import enclosed_by
from evengrad._common.names import is_own
from evengrad._common.paths import path_of
from evengrad._core import Tensor
from evengrad.layers._containers import attributes_of, places_of
from evengrad.layers._module import Module, may_hold_modules, module_tree, state_of
from evengrad.layers._symbolic import Symbolic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# What a module's own class keeps: not what its user's code does.
OWN = frozenset({"_state", "_made_with", "_graph", "_input"})
KEPT = "keep it as an attribute, or in a list, tuple, dict or data class of them, to any depth"
# Values looked through in one attribute; who holds more holds data.
MOST_VALUES = 100_000


def check_called(root: Any, called: list[Any]) -> None:
    """Raise a ValueError for a layer that trains and was called, but is none of a model's."""
    inside = {id(module) for _, module in module_tree(root).layers}
    for layer in reversed(called):
        if id(layer) not in inside and any(
            tensor.requires_grad for tensor in module_tree(layer).tensors
        ):
            raise ValueError(
                f"{root.path}: calls {shown(layer)}, which is none of its layers, so that it is "
                f"neither trained nor saved; make it in __init__ and {KEPT}. If it is not meant to "
                "train, set its trainable = False"
            )


def check_attributes(root: Any) -> None:
    """Raise a ValueError for attributes that hold layers or tensors to train out of sight."""
    modules = [module for _, module in module_tree(root).layers]
    inside = {id(module) for module in modules}
    for module in modules:
        for name, held in [] if is_own(type(module)) else attributes_to_check(module):
            for place, thing in search(name, held):
                if isinstance(thing, Tensor):
                    check_tensor(module, place, thing)
                elif id(thing) not in inside and not state_of(thing).adopted and thing.trainable:
                    raise ValueError(
                        f"{module.path}: {place} holds {shown(thing)} where it is not found, so "
                        f"that it is neither trained nor saved; {KEPT}. If it is not meant to "
                        "train, set its trainable = False"
                    )


def check_tensor(module: Any, place: str, tensor: Tensor) -> None:
    """Raise an error for a tensor that asks for gradients and is no variable."""
    if tensor.requires_grad and tensor.is_leaf and path_of(tensor) is None:
        raise ValueError(
            f"{module.path}: {place} is a tensor with requires_grad=True, but no variable, so that "
            "it is neither trained nor saved; make it in build with self.add_weight(name, shape, "
            "initializer)"
        )


def shown(module: Any) -> str:
    """Return how messages call a module outside the model."""
    return f"{type(module).__name__} {module.name!r}"


def attributes_to_check(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that a user's code has given a module or its class."""
    passed_over = OWN | module._unwatched  # noqa: SLF001 - no public name, as users derive from it
    for name, held in attributes_of(module).items():
        if name not in passed_over:
            yield name, held
    for kind in type(module).__mro__:
        if is_own(kind) or kind is object:
            continue
        for name, held in vars(kind).items():
            if isinstance(held, (Module, Tensor)) or may_hold_modules(type(held)):
                yield f"{kind.__name__}.{name}", held


@functools.cache
def _is_closed(kind: Any) -> bool:
    """Tell whether objects of a type hold nothing that could train."""
    # Weak references hold nothing.
    closed: Any = (str, bytes, int, float, complex, type(None), type, Symbolic, *weakref.ProxyTypes)
    return issubclass(kind, closed) or (is_own(kind) and not issubclass(kind, (Module, Tensor)))


is_closed: Callable[[Any], bool] = _is_closed


def search(name: str, value: Any) -> Iterator[tuple[str, Module | Tensor]]:
    """Yield the modules and tensors in a value, with what messages call their places."""
    seen: set[int] = set()
    stack = [(name, value)]
    while stack and len(seen) < MOST_VALUES:
        place, value = stack.pop()
        if is_closed(type(value)) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (Module, Tensor)):
            yield place, value
        else:
            stack += reversed([(place + inner, item) for inner, item in parts_of(value)])


def parts_of(value: Any) -> list[tuple[str, Any]]:
    """Return what a value holds, with what messages add to its place."""
    if isinstance(value, (set, frozenset, np.ndarray, FunctionType, MethodType, functools.partial)):
        return [("", item) for item in unnamed_parts_of(value)]
    if may_hold_modules(type(value)):
        places = list(places_of(value))
        return [(f"[{key!r}]", item) for key, item in places] + [
            ("'s keys", key) for key, _ in places
        ]
    return [(f".{name}", item) for name, item in attributes_of(value).items()]


def unnamed_parts_of(value: Any) -> Iterable[Any]:
    """Return what a set, an array of objects or a function holds."""
    if isinstance(value, np.ndarray):
        return value.ravel() if value.dtype == object else ()
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, FunctionType):
        return enclosed_by(value)
    return value  # type: ignore[no-any-return]  # a set
