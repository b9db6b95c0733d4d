"""Named modules with others inside: their children, names, paths and seeds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from evengrad import _core
from evengrad._common.config import Configured
from evengrad._common.names import snake_case
from evengrad._tensor.random import next_seed
from evengrad.layers._call_context import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# The place of a module that is an attribute by itself, not in a list or dict.
ALONE = object()


class Module(Configured):
    """A named thing, with others of its kind inside; `Variables` adds what they keep."""

    _state: State
    # Attributes that are no part of what the module computes: setting them changes nothing that is
    # derived from it.
    _unwatched: ClassVar[frozenset[str]] = frozenset()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the object with its state; a subclass may leave ``super().__init__()`` out."""
        self = super().__new__(cls, *args, **kwargs)
        object.__setattr__(self, "_state", State())
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name not in self._unwatched:
            self._state.changed()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        if name not in self._unwatched:
            self._state.changed()

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
        set_trainable(self, bool(flag))
        for _, child in self._children():
            child.trainable = flag

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
            if isinstance(value, Module):
                found: Iterable[tuple[Any, Any]] = [(ALONE, value)]
            elif isinstance(value, dict):
                found = value.items()
            elif isinstance(value, (list, tuple)):
                found = enumerate(value)
            else:
                continue
            for place, item in found:
                if isinstance(item, Module) and id(item) not in seen and attribute != "_arguments":
                    seen.add(id(item))
                    key = attribute.strip("_") or "layer"
                    suggested = key if place is ALONE else f"{key}_{place}"
                    yield suggested.replace("/", "_"), item

    def _own_path(self) -> str:
        """Return the path that the layers inside continue; a model at the top adds nothing."""
        return f"{self.path}/"

    def _adopt_children(self) -> None:
        """Give the layers inside a name, a path, a seed and a dtype, unless they have them."""
        children = [(suggested, child, state_of(child)) for suggested, child in self._children()]
        if all(state.adopted for _, _, state in children):
            return
        taken = {child.name for _, child, state in children if state.adopted}
        # How often a name was asked for: where the search for a free number begins.
        asked: Counter[str] = Counter()
        for suggested, child, state in children:
            if state.adopted:
                continue
            base = state.name or suggested
            name = f"{base}_{asked[base]}" if asked[base] else base
            while name in taken:
                asked[base] += 1
                name = f"{base}_{asked[base]}"
            asked[base] += 1
            taken.add(name)
            state.name = name
            state.path = self._own_path() + name
            state.adopted = True
            state.dtype = state.dtype or self._state.dtype
            if state.given_seed is None and (state.provisional or not state.built):
                state.seed = self._seed()
            state.changed()
            child._redraw()  # noqa: SLF001 - of this class
            child._move_children()  # noqa: SLF001 - as above

    def _move_children(self) -> None:
        """Let the paths of layers that were inside before continue the path that is now known."""
        for _, child in self._children():
            state = state_of(child)
            if state.adopted:
                state.path = self._own_path() + child.name
                child._move_children()  # noqa: SLF001 - of this class

    def _redraw(self) -> None:
        """Draw provisional values again, from the seed and path that are now known."""
        state = self._state
        for _, child in self._children():
            if state_of(child).provisional:
                state_of(child).adopted = False
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


def state_of(module: Any) -> State:
    """Return what a module keeps about itself."""
    state: State = module._state  # noqa: SLF001 - no public name, as users derive from it
    return state


def seed_of(module: Any) -> int:
    """Return the seed that what is random in a module follows from; drawn where none is given."""
    seed: int = module._seed()  # noqa: SLF001 - as above
    return seed


def set_trainable(module: Any, flag: bool) -> None:
    """Freeze a module or thaw it, whatever holds for those inside."""
    state = state_of(module)
    state.trainable = flag
    state.changed()
    for weight in state.weights:
        weight.tensor.requires_grad = flag and weight.trainable


def stand_alone(module: Any) -> None:
    """Have a module forget the model around: a copy of a layer is in none."""
    state = state_of(module)
    state.adopted, state.path, state.name = False, None, state.given_name
    state.changed()
    module._move_children()  # noqa: SLF001 - as above


def redraw(module: Any) -> None:
    """Draw the first values that are provisional again, from the seed and path that are known."""
    module._redraw()  # noqa: SLF001 - as above


def children_of(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the modules directly inside a module, each once, with suggested names."""
    children: Iterator[tuple[str, Any]] = module._children()  # noqa: SLF001 - as above
    return children


def containers_of(module: Any) -> list[Any]:
    """Return the lists and dicts that a module keeps: modules may come and go there unnoticed."""
    return [
        value
        for attribute, value in vars(module).items()
        if isinstance(value, (list, dict)) and attribute != "_arguments"
    ]
