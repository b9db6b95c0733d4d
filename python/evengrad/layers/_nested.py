"""Named things with others inside: names, paths and seeds; and who is told when one changes."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from evengrad import _core
from evengrad._config import Configured
from evengrad._names import snake_case
from evengrad._random import next_seed
from evengrad.layers._state import State

if TYPE_CHECKING:
    from collections.abc import Iterator


class Watcher(Protocol):
    """What depends on the attributes of layers."""

    def forget(self) -> None:
        """Do without what was derived from attributes."""


_watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()
_attributes_set = itertools.count()
# The number of attributes of layers that were set so far.
_latest = next(_attributes_set)


def watch_attributes(watcher: Watcher) -> None:
    """Have a watcher told, once, when an attribute of any layer is set."""
    _watchers.add(watcher)


def attributes_set() -> int:
    """Return a number that has changed since an attribute of any layer was set."""
    return _latest


class Nested(Configured):
    """A named thing, with others of its kind inside; `Variables` adds what they keep."""

    _state: State

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the object with its state; a subclass may leave ``super().__init__()`` out."""
        self = super().__new__(cls, *args, **kwargs)
        object.__setattr__(self, "_state", State())
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        global _latest  # noqa: PLW0603 - one number for all layers, so that asking for it is quick
        object.__setattr__(self, name, value)
        _latest = next(_attributes_set)
        if _watchers:
            watchers = list(_watchers)
            _watchers.clear()
            for watcher in watchers:
                watcher.forget()

    def __getstate__(self) -> dict[str, Any]:
        """Return all that the layer keeps, for pickles and copies."""
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        vars(self).update(state)

    # ---- names and settings

    @property
    def name(self) -> str:
        """The layer's name; in a model it is unique among its neighbours."""
        return self._state.name or snake_case(type(self).__name__)

    @property
    def path(self) -> str:
        """The place in the model: the names of the layers above and its own, joined by ``/``."""
        return self._state.path or self.name

    @property
    def dtype(self) -> str:
        """``"float32"`` or ``"float64"``: what the layer computes with."""
        return self._state.dtype or _core.get_default_dtype()

    @property
    def built(self) -> bool:
        """Whether the variables exist."""
        return self._state.built

    @property
    def trainable(self) -> bool:
        """Whether training changes the variables; set it to freeze the layer and all inside it."""
        return self._state.trainable

    @trainable.setter
    def trainable(self, flag: bool) -> None:
        self._set_trainable(bool(flag))
        for _, child in self._children():
            child.trainable = flag

    def _set_trainable(self, flag: bool) -> None:
        """Freeze this layer or thaw it, whatever holds for those inside."""
        self._state.trainable = flag
        for weight in self._state.weights:
            weight.tensor.requires_grad = flag and weight.trainable

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as they stand now; see `Configured.get_config`.

        Examples
        --------
        >>> eg.layers.Flatten(name="rows").get_config()
        {'name': 'rows', 'dtype': None, 'trainable': True}
        """
        config = super().get_config()
        if "name" in config:
            config["name"] = self._state.given_name
        if "dtype" in config:
            config["dtype"] = self._state.given_dtype
        return config

    # ---- layers inside

    def _children(self) -> Iterator[tuple[str, Any]]:
        """Yield the layers that this one keeps as attributes, each once, with suggested names."""
        seen: set[int] = set()
        for attribute, value in vars(self).items():
            if attribute == "_arguments":
                continue
            key = attribute.strip("_") or "layer"
            if isinstance(value, dict):
                found = [(f"{key}_{name}", item) for name, item in value.items()]
            elif isinstance(value, (list, tuple)):
                found = [(f"{key}_{i}", item) for i, item in enumerate(value)]
            else:
                found = [(key, value)]
            for suggested, item in found:
                if isinstance(item, Nested) and id(item) not in seen:
                    seen.add(id(item))
                    yield suggested.replace("/", "_"), item

    def _own_path(self) -> str:
        """Return the path that the layers inside continue; a model at the top adds nothing."""
        return f"{self.path}/"

    def _adopt_children(self) -> None:
        """Give the layers inside a name, a path, a seed and a dtype, unless they have them."""
        taken = {child.name for _, child in self._children() if child._state.adopted}
        for suggested, child in self._children():
            state = child._state
            if not state.adopted:
                base = state.name or suggested
                name, number = base, 0
                while name in taken:
                    number += 1
                    name = f"{base}_{number}"
                state.name = name
                state.path = self._own_path() + name
                state.adopted = True
                state.dtype = state.dtype or self._state.dtype
                if state.given_seed is None and (state.provisional or not state.built):
                    state.seed = self._seed()
                child._redraw()
                child._move_children()
                taken.add(name)

    def _move_children(self) -> None:
        """Let the paths of layers that were inside before continue the path that is now known."""
        for _, child in self._children():
            if child._state.adopted:
                child._state.path = self._own_path() + child.name
                child._move_children()

    def _stand_alone(self) -> None:
        """Forget the model around: a copy of a layer is in none."""
        state = self._state
        state.adopted, state.path, state.name = False, None, state.given_name
        self._move_children()

    def _redraw(self) -> None:
        """Draw provisional values again, from the seed and path that are now known."""
        state = self._state
        for child_name, child in self._children():
            del child_name
            if child._state.provisional:
                child._state.adopted = False
        if state.provisional:
            state.provisional = False
            self._draw_first_values()
        self._adopt_children()

    def _draw_first_values(self) -> None:
        """Draw what is random in this layer, for the seed and path that it has now."""

    def _seed(self) -> int:
        if self._state.seed is None:
            self._state.seed = next_seed()
        return self._state.seed
