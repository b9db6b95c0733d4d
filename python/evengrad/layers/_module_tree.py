"""The module tree of a layer or model: all layers, variables and generators, from one walk."""

from __future__ import annotations

import operator
import weakref
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evengrad.layers._changes import latest_change
from evengrad.layers._module import children_of, containers_of, state_of

if TYPE_CHECKING:
    from evengrad._core import Generator, Tensor
    from evengrad.layers._call_context import State, Weight


class ModuleTree:
    """A layer and all inside it, each once, in the order of their paths.

    What it holds stands for the structure as it was when the tree was walked; `module_tree` returns
    the same tree until the structure changes.

    Attributes
    ----------
    states
        What the layers keep about themselves, in the order of `layers`.
    """

    def __init__(self, root: Any) -> None:
        # The root keeps the tree: a strong reference back would keep both from being freed at once.
        self._root = weakref.ref(root)
        self._latest = latest_change()
        self._inside: list[tuple[str, Any]] = []
        self._prefixes: list[str] = []
        self._versions: list[int] = []
        self._containers: list[tuple[Any, list[Any]]] = []
        self.states: list[State] = []
        seen: set[int] = set()
        stack: list[tuple[str, Any]] = [("", root)]
        while stack:
            prefix, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            state = state_of(module)
            self._versions.append(state.version)
            self.states.append(state)
            self._prefixes.append(prefix)
            if module is not root:
                self._inside.append((prefix, module))
            self._containers += [(held, items_of(held)) for held in containers_of(module)]
            inside = [(f"{prefix}{child.name}/", child) for _, child in children_of(module)]
            stack.extend(reversed(inside))

    def is_current(self, root: Any) -> bool:
        """Tell whether another walk from this root would find the same."""
        latest = latest_change()
        if self._root() is not root:
            # A shallow copy shares its state with the original.
            return False
        if self._latest != latest:
            if [state.version for state in self.states] != self._versions:
                return False
            self._latest = latest
        # Lists and dicts change without any layer being told.
        return all(same_items(items_of(held), items) for held, items in self._containers)

    @property
    def layers(self) -> list[tuple[str, Any]]:
        """All layers with the prefixes of their variables' paths: the root, ``""``, comes first."""
        return [("", self._root()), *self._inside]

    @cached_property
    def weights(self) -> list[tuple[str, Weight]]:
        """All variables with their paths."""
        return [
            (prefix + weight.name, weight)
            for prefix, state in zip(self._prefixes, self.states, strict=True)
            for weight in state.weights
        ]

    @cached_property
    def named_weights(self) -> list[tuple[str, Tensor]]:
        """The tensors of all variables with their paths."""
        return [(path, weight.tensor) for path, weight in self.weights]

    @cached_property
    def tensors(self) -> list[Tensor]:
        """The tensors of all variables."""
        return [weight.tensor for _, weight in self.weights]

    @cached_property
    def _trained(self) -> list[Weight]:
        """The variables that training changes."""
        return [
            weight
            for _, layer in self.layers
            if layer.trainable
            for weight in state_of(layer).weights
            if weight.trainable
        ]

    @cached_property
    def trainable(self) -> list[Tensor]:
        """The tensors that training changes."""
        return [weight.tensor for weight in self._trained]

    @cached_property
    def non_trainable(self) -> list[Tensor]:
        """The tensors that training leaves to the layers' own code, or as they are."""
        trained = set(map(id, self._trained))
        return [weight.tensor for _, weight in self.weights if id(weight) not in trained]

    @cached_property
    def generators(self) -> list[tuple[str, Generator]]:
        """All streams of random numbers with their paths."""
        return [
            (prefix + name, stream)
            for prefix, state in zip(self._prefixes, self.states, strict=True)
            for name, stream in state.generators.items()
        ]

    @cached_property
    def _penalized(self) -> list[Weight]:
        return [weight for weight in self._trained if weight.regularizer is not None]

    def weight_penalties(self) -> list[Tensor]:
        """Return the penalties on the variables that training changes, as these stand now."""
        return [weight.regularizer(weight.tensor) for weight in self._penalized]


def items_of(held: Any) -> list[Any]:
    """Return the items of a list, or the values of a dict."""
    return list(held.values()) if isinstance(held, dict) else list(held)


def same_items(some: list[Any], others: list[Any]) -> bool:
    """Tell whether lists hold the same objects; objects that are merely equal are not the same."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def module_tree(root: Any) -> ModuleTree:
    """Return the tree of a layer or model: walked once, and again when its structure changes.

    The structure is which layers there are, their names, variables and generators, and which of
    them train. Attributes of all layers inside are watched, and lists and dicts that they hold.
    """
    state = state_of(root)
    tree: ModuleTree | None = state.tree
    if tree is None or not tree.is_current(root):
        tree = state.tree = ModuleTree(root)
    return tree
