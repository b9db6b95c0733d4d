"""Modules: names, paths, seeds, modules inside; and the module tree, walked once per structure."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import operator
import weakref
from collections import Counter
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, ClassVar

from evengrad import _core
from evengrad._common.code_variables import methods_of
from evengrad._common.config import ATOMS, Configured
from evengrad._common.names import ESCAPES, PACKAGE, printable, snake_case
from evengrad._common.pickling import END, Look, begin, seen, telling
from evengrad._tensor.constrained import constrained
from evengrad._tensor.random import next_seed
from evengrad.layers._containers import CONTAINERS, FIELDS, items_of, search, watched
from evengrad.layers._placement import redraw
from evengrad.layers._watchers import watchers

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._core import Generator, Tensor
    from evengrad.layers._variables import Weight

# ---- changes of attributes and structure


_numbers = itertools.count()
_latest = next(_numbers)


class State:
    """What a module keeps about itself, apart from what its own code keeps."""

    name: str | None = None
    # Name and dtype as the constructor got them; the others may come from the model.
    given_name: str | None = None
    given_dtype: str | None = None
    # The place in the model: names of the layers above and its own, without the model's.
    path: str | None = None
    seed: int | None = None
    given_seed: int | None = None
    dtype: str | None = None
    trainable = True
    built = False
    # The thread that builds the layer at the moment, by its number; 0 for none.
    building = 0
    adopted = False
    # Values that were drawn before the layer came into a model are drawn again there, from
    # the model's seed, unless somebody has set them.
    provisional = False
    input_shape: Any = None
    # The shape of inputs that were found to fit, since the latest change of the layer.
    checked_shape: Any = None
    # Random draws that `predict_mc` has made: apart from those of training.
    sampled = 0
    # The penalty on the output of the last call that ran in Python.
    penalty: Tensor | None = None
    # The first use of the layer in a graph, and the chain that it was taken into, weakly.
    use: Any = None
    around: Any = None
    # Whether anything may depend on the layer: it is built, or in a tree that was walked.
    watched = False
    # When it was built, counted over all builds of this process.
    build_number = 0
    # The names of attributes that may hold modules, of the object with that identity, found when it
    # had so many attributes in all. Shallow copies share their state.
    holders: tuple[int, int, list[str]] = (0, 0, [])

    def __init__(self) -> None:
        self.weights: list[Weight] = []
        self.generators: dict[str, Generator] = {}
        # The number of the latest change of the layer's attributes or structure.
        self.version = _latest

    def changed(self) -> None:
        """Have trees that the layer is in walked again, and watchers told."""
        global _latest  # noqa: PLW0603 - one number for all layers, so that asking for it is quick
        # Larger than that of any change before. Who sees the latest number sees the layer's too.
        number = next(_numbers)
        self.version = number
        _latest = number
        self.checked_shape = None
        while watchers:
            # One by one: another thread may enter its own meanwhile.
            with contextlib.suppress(KeyError):
                watchers.pop().forget()

    def __getstate__(self) -> dict[str, Any]:
        # The last call's graph stays in this process, and so do trees of its layers, and numbers.
        here = {"penalty": None, "holders": State.holders, "build_number": 0, "building": 0}
        here |= {"use": None, "around": None}
        return {**vars(self), **here}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # Numbers of another process say nothing here.
        self.version = _latest


# ---- modules

# Keys of dicts become parts of paths, which errors show.
IN_PATHS = {**ESCAPES, ord("/"): "_"}
# Where the state stands in what `__reduce_ex__` returns.
STATE = 2


# Tells whether values of a type are modules, or containers, perhaps of them.
may_hold_modules: Callable[[Any], bool] = functools.cache(
    lambda kind: issubclass(kind, (Module, *CONTAINERS)) or hasattr(kind, FIELDS)
)


class Module(Configured):
    """A named thing, with others of its kind inside; `Variables` adds what they keep."""

    # Beside the attributes: neither copied nor pickled, and not kept by the state, which the tree
    # has a hold of.
    __slots__ = ("_tree",)

    _is_read = True
    _state: State
    # The tree that was walked from here.
    _tree: ModuleTree | None
    # Attributes that are no part of what the module computes: setting them changes nothing that is
    # derived from it.
    _unwatched: ClassVar[frozenset[str]] = frozenset()
    # Whether the paths of modules inside begin here, where no module is around.
    _begins_paths: ClassVar[bool] = False
    # Whether the module has something to say of its state before it trains.
    has_caution: bool = False
    # Whether it keeps states from batch to batch, which are made for a number of rows.
    stateful: bool = False
    # Has variables take another regularizer or constraint, by the attribute's name, and returns it.
    _follow: Callable[[str, Any], Any]
    # What the class is called in names and paths.
    _class_name: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note the name that objects of the class get."""
        super().__init_subclass__(**kwargs)
        cls._class_name = printable(snake_case(cls.__name__))

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make the object with its state; a subclass may leave ``super().__init__()`` out."""
        self = super().__new__(cls, *args, **kwargs)
        object.__setattr__(self, "_state", State())
        object.__setattr__(self, "_tree", None)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        state = self._state
        if state.weights and name.endswith(("_regularizer", "_constraint")):
            value = self._follow(name, value)
        object.__setattr__(self, name, value)
        if may_hold_modules(type(value)) or name in state.holders[2]:
            state.holders = State.holders
        if state.watched and name not in self._unwatched:
            state.changed()

    def _read_by_steps(self) -> list[Any]:
        """Return what is another object when the layer, or one inside, computes otherwise."""
        tree = module_tree(self)
        return [tree, *tree.reads]

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._state.holders = State.holders
        if name not in self._unwatched:
            self._state.changed()

    def __getstate__(self) -> dict[str, Any]:
        """Return all that the layer keeps, for pickles and copies."""
        return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        vars(self).update(state)
        vars(self).pop(END, None)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Take the layer apart for a pickle: as it is at this moment, with all inside it."""
        look = None
        if seen(self) is None:
            look = self._look()
            begin(look)
        parts = self._taken_apart(protocol)
        if look is not None and len(parts) > STATE and isinstance(parts[STATE], dict):
            parts = (*parts[:STATE], {**parts[STATE], END: look}, *parts[STATE + 1 :])
        return parts

    def _taken_apart(self, protocol: Any) -> Any:
        """Return what `pickle` makes a copy of the layer by, as it is now."""
        return super().__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return a copy of the layer as it is at this moment, with all inside it."""
        with contextlib.nullcontext() if seen(self) else telling(self._look()):
            make, arguments, *state = self.__reduce_ex__(4)
            twin = memo[id(self)] = make(*copy.deepcopy(arguments, memo))
            if state:
                twin.__setstate__(copy.deepcopy(state[0], memo))
        return twin

    def _look(self) -> Look:
        """Return what belongs to this layer, as it is at one moment between steps."""
        look = Look()
        with access_to(self):
            self._see(look)
        return look

    def _see(self, look: Look) -> None:
        """Have a look see what changes from step to step."""
        tree = module_tree(self)
        look.add_tensors(tree.tensors)
        look.add_streams(stream for _, stream in tree.generators)
        for _, module in tree.layers:
            look.add(module, True)

    # ---- names and settings

    @property
    def name(self) -> str:
        """The layer's name; in a model it is unique among its neighbours."""
        return self._state.name or self._class_name

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
        for _, module in module_tree(self).layers:
            set_trainable(module, bool(flag))

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

    def _find_holders(self) -> list[str]:
        """Return the names of attributes that may hold modules."""
        attributes = vars(self)
        owner, count, names = self._state.holders
        if owner != id(self) or count > len(attributes):
            count, names = 0, []
        passed_over = {"_made_with", *self._unwatched}
        # Another thread may set attributes meanwhile.
        items = list(attributes.items())
        # New attributes stand behind those that were looked through before.
        for name, value in items[count:]:
            if may_hold_modules(type(value)) and name not in passed_over:
                names.append(name)
        self._state.holders = id(self), len(items), names
        return names

    def _children(self) -> list[tuple[str, Any]]:
        """Return the layers directly inside, each once, with suggested names; "" is the class's."""
        children: list[tuple[str, Any]] = []
        attributes = vars(self)
        owner, count, names = self._state.holders
        if owner != id(self) or count != len(attributes):
            names = self._find_holders()
        if not names:
            return children
        seen: set[int] = set()
        for attribute in names:
            key, value = attribute.strip("_") or "layer", attributes[attribute]
            alone = isinstance(value, Module)
            found = [(key, value)] if alone else search(key, value, Module, may_hold_modules)
            for suggested, item in found:
                if isinstance(item, Module) and id(item) not in seen:
                    seen.add(id(item))
                    children.append((suggested.translate(IN_PATHS), item))
        return children

    def _own_path(self) -> str:
        """Return the path that the layers inside continue."""
        return "" if self._begins_paths and not self._state.adopted else f"{self.path}/"

    def _adopt_children(self, above: frozenset[int] = frozenset()) -> None:
        """Give the layers inside a name, a path, a seed and a dtype, unless they have them.

        Those above, by their identities, are not inside a layer that refers back to them.
        """
        above = above | {id(self)}
        taken: set[str | None] = set()
        adopted = []
        for suggested, child in self._children():
            state = state_of(child)
            if state.building or id(child) in above:
                continue
            if state.adopted:
                taken.add(state.name)
            else:
                adopted.append((suggested, child, state))
        # How often a name was asked for: where the search for a free number begins.
        asked: Counter[str] = Counter()
        own, own_path = self._state, self._own_path() if adopted else ""
        for suggested, child, state in adopted:
            base = state.name or suggested or child._class_name  # noqa: SLF001 - of this class
            name = f"{base}_{asked[base]}" if asked[base] else base
            while name in taken:
                asked[base] += 1
                name = f"{base}_{asked[base]}"
            asked[base] += 1
            taken.add(name)
            state.name = name
            state.path = own_path + name
            state.adopted, state.around = True, weakref.ref(self)
            state.dtype = state.dtype or own.dtype
            if state.given_seed is None and (state.provisional or not state.built):
                if own.seed is None:
                    own.seed = next_seed()
                state.seed = own.seed
            if state.watched:
                state.changed()
            if state.provisional or child._children():  # noqa: SLF001 - as above
                redraw(child, above)

    def _draw_first_values(self) -> None:
        """Draw what is random in this layer, for the seed and path that it has now."""

    def _seed(self) -> int:
        if self._state.seed is None:
            self._state.seed = next_seed()
        return self._state.seed


# What a module keeps about itself; no public name, as users derive from it. Asked for so often that
# it is no function in Python.
state_of: Callable[[Any], State] = operator.attrgetter("_state")


def set_trainable(module: Any, flag: bool) -> None:
    """Freeze a module or unfreeze it, whatever holds for those inside."""
    state = state_of(module)
    state.trainable = flag
    state.changed()
    for weight in state.weights:
        weight.tensor.requires_grad = flag and weight.trainable


# ---- trees of modules

REGULARIZER = operator.attrgetter("regularizer")


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
        # The root keeps the tree, and nothing in the tree the root: both are freed at once, with
        # all variables.
        self.root = weakref.ref(root)
        self.latest = _latest
        self._inside: list[tuple[str, Any]] = []
        self._prefixes: list[str] = []
        self._versions: list[int] = []
        # Containers, where modules may come and go unnoticed, and what they held.
        self.containers: list[tuple[Any, list[Any]]] = []
        self.states: list[State] = []
        # Layers that have something to say before they train.
        self.cautious: list[Any] = []
        # Layers that keep states from batch to batch.
        self.stateful: list[tuple[str, Any]] = []
        # Whether classes of layers are not all of this package.
        self.has_code_of_users = False
        seen: set[int] = set()
        stack: list[tuple[str, Any]] = [("", root)]
        while stack:
            prefix, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            state = state_of(module)
            if module is not root:
                prefix += f"{state.name or module._class_name}/"  # noqa: SLF001 - of this file
                self._inside.append((prefix, module))
            state.watched = True
            self._versions.append(state.version)
            self.states.append(state)
            self._prefixes.append(prefix)
            if module.has_caution:
                self.cautious.append(module)
            if module.stateful:
                self.stateful.append((prefix, module))
            if not module.__module__.startswith(PACKAGE):
                self.has_code_of_users = True
            for _, child in reversed(module._children()):  # noqa: SLF001 - as above
                stack.append((prefix, child))
            # As they have just been found; none, where modules do not come from attributes.
            for name in state.holders[2]:
                self.containers += watched(name, vars(module)[name], Module, may_hold_modules)

    def is_current(self, root: Any) -> bool:
        """Tell whether another walk from this root would find the same."""
        if self.root() is not root:
            # A shallow copy shares its state with the original.
            return False
        latest = _latest
        if self.latest != latest:
            if [state.version for state in self.states] != self._versions:
                return False
            self.latest = latest
        # Containers change without any layer being told; objects that are merely equal are not the
        # same.
        for held, items in self.containers:
            now = items_of(held)
            if len(now) != len(items) or not all(map(operator.is_, now, items)):
                return False
        return True

    @property
    def layers(self) -> list[tuple[str, Any]]:
        """All layers with the prefixes of their variables' paths: the root, ``""``, comes first."""
        return [("", self.root()), *self._inside]

    @functools.cached_property
    def reads(self) -> list[Any]:
        """What captured steps read beside the layers' attributes: see `config.settings_of`."""
        held: list[Any] = []
        for (_, module), state in zip(self.layers, self.states, strict=True):
            held += vars(module).values()
            held += map(REGULARIZER, state.weights)
            if self.has_code_of_users:
                held += methods_of(module)
                held += [constrained.of(weight.tensor) for weight in state.weights]
        # Most are of these, which cost least to tell.
        held = [one for one in held if type(one) not in ATOMS]
        held = [one for one in held if not isinstance(one, (Module, type, BuiltinFunctionType))]
        return [
            one
            for one in held
            if (
                one._is_read  # noqa: SLF001 - no public name, as users derive from it
                if isinstance(one, Configured)
                else callable(one) and not str(getattr(one, "__module__", "")).startswith(PACKAGE)
            )
        ]

    @functools.cached_property
    def weights(self) -> list[tuple[str, Weight]]:
        """All variables with their paths."""
        return [
            (prefix + weight.name, weight)
            for prefix, state in zip(self._prefixes, self.states, strict=True)
            for weight in state.weights
        ]

    @functools.cached_property
    def named_weights(self) -> list[tuple[str, Tensor]]:
        """The tensors of all variables with their paths."""
        return [(path, weight.tensor) for path, weight in self.weights]

    @functools.cached_property
    def tensors(self) -> list[Tensor]:
        """The tensors of all variables."""
        return [weight.tensor for _, weight in self.weights]

    @functools.cached_property
    def _trained(self) -> list[Weight]:
        """The variables that training changes."""
        return [
            weight
            for state in self.states
            if state.trainable
            for weight in state.weights
            if weight.trainable
        ]

    @functools.cached_property
    def trainable(self) -> list[Tensor]:
        """The tensors that training changes."""
        return [weight.tensor for weight in self._trained]

    @functools.cached_property
    def non_trainable(self) -> list[Tensor]:
        """The tensors that training leaves to the layers' own code, or as they are."""
        trained = set(map(id, self._trained))
        return [weight.tensor for _, weight in self.weights if id(weight) not in trained]

    @functools.cached_property
    def generators(self) -> list[tuple[str, Generator]]:
        """All streams of random numbers with their paths."""
        return [
            (prefix + name, stream)
            for prefix, state in zip(self._prefixes, self.states, strict=True)
            for name, stream in state.generators.items()
        ]

    @functools.cached_property
    def _penalized(self) -> list[Weight]:
        return [weight for weight in self._trained if weight.regularizer is not None]

    def weight_penalties(self, rows: Callable[[], Any] | None = None) -> list[Tensor]:
        """Return the penalties on the variables that training changes, as these stand now.

        `rows` returns how many rows the batch has, or their weights: what some are divided by.
        """
        penalized = self._penalized
        if not penalized:
            return []
        if rows is None or not any(map(is_by_rows, penalized)):
            return [weight.regularizer(weight.tensor) for weight in penalized]
        share = 1.0 / rows()
        return [
            weight.regularizer(weight.tensor) * (share if is_by_rows(weight) else 1.0)
            for weight in penalized
        ]


def is_by_rows(weight: Weight) -> bool:
    """Tell whether the penalty on a variable is divided by the rows of the batch."""
    return bool(getattr(weight.regularizer, "is_by_rows", False))


def module_tree(root: Any) -> ModuleTree:
    """Return the tree of a layer or model: walked once, and again when its structure changes.

    The structure is which layers there are, their names, variables and generators, and which of
    them train. Attributes of all layers inside are watched, and the containers that they hold.
    """
    tree: ModuleTree | None = root._tree  # noqa: SLF001 - of this file
    # Most of the time nothing has changed at all, and there are no containers.
    if tree is not None and tree.latest == _latest and tree.root() is root and not tree.containers:
        return tree
    if tree is None or not tree.is_current(root):
        tree = ModuleTree(root)
        object.__setattr__(root, "_tree", tree)
    return tree


def access_to(root: Any, *, writes: bool = False) -> _core.Access:
    """Return access to all variables of a module: a block in which it is whole for this thread.

    No step, and nobody who replaces values, changes them meanwhile in another thread; with `writes`
    nobody looks at them either. A build in another thread comes to its end first.
    """
    state = state_of(root)
    if state.building:
        with _core.Access([state]):
            pass
    return _core.Access(module_tree(root).tensors, writes)
