"""Layers taken out of a model, and into another: what users have no methods for."""

from __future__ import annotations

from typing import Any

from evengrad.layers._module import state_of


def stand_alone(module: Any) -> None:
    """Have a module forget the model around: a copy of a layer is in none."""
    state = state_of(module)
    state.adopted, state.path, state.name = False, None, state.given_name
    state.changed()
    module._move_children()  # noqa: SLF001 - no public name, as users derive from it


def redraw(module: Any) -> None:
    """Draw the first values that are provisional again, from the seed and path that are known."""
    module._redraw()  # noqa: SLF001 - as above


def children_of(module: Any) -> list[tuple[str, Any]]:
    """Return the modules directly inside a module, each once, with suggested names."""
    children: list[tuple[str, Any]] = module._children()  # noqa: SLF001 - as above
    return children


def seed_of(module: Any) -> int:
    """Return the seed that what is random in a module follows from; drawn where none is given."""
    seed: int = module._seed()  # noqa: SLF001 - no public name, as above
    return seed
