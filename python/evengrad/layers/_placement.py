"""The place of layers in a model: names and first values of what moves there, or leaves it."""

# ruff: noqa: SLF001 - none of it has a public name, as users derive from modules

from __future__ import annotations

from typing import Any


def children_of(module: Any) -> list[tuple[str, Any]]:
    """Return the modules directly inside a module, each once, with suggested names."""
    children: list[tuple[str, Any]] = module._children()
    return children


def seed_of(module: Any) -> int:
    """Return the seed that what is random in a module follows from; drawn where none is given."""
    seed: int = module._seed()
    return seed


def move_children(module: Any, above: frozenset[int] = frozenset()) -> None:
    """Let the paths of modules that were inside before continue the path that is now known.

    Modules above, by their identities, are not inside one that refers back to them.
    """
    above = above | {id(module)}
    for _, child in children_of(module):
        state = child._state
        if state.adopted and id(child) not in above:
            state.path = module._own_path() + child.name
            move_children(child, above)


def redraw(module: Any, above: frozenset[int] = frozenset()) -> None:
    """Draw the first values that are provisional again, from the seed and path that are known.

    Modules above are those of `move_children`.
    """
    state = module._state
    children = children_of(module)
    for _, child in children:
        if child._state.provisional and id(child) not in above:
            child._state.adopted = False
    if state.provisional:
        state.provisional = False
        module._draw_first_values()
    if children:
        module._adopt_children(above)
        move_children(module, above)


def stand_alone(module: Any) -> None:
    """Have a module forget the model around: a copy of a layer is in none."""
    state = module._state
    state.adopted, state.path, state.name = False, None, state.given_name
    state.changed()
    move_children(module)
