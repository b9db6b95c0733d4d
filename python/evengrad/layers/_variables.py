"""What layers keep: names, the layers inside, variables, streams of random numbers."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from evengrad import _core, constraints, initializers, regularizers
from evengrad._checks import plural
from evengrad._config import Configured
from evengrad._constrained import constrain, constraint_of
from evengrad._elementwise import as_tensor
from evengrad._names import snake_case
from evengrad._paths import enter, path_of
from evengrad._random import generator, next_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evengrad._core import Tensor
    from evengrad.layers._restoring import Restoration

# No machine addresses more elements than this, whatever their size.
ELEMENT_LIMIT = 2**62


class _Context(threading.local):
    """What layers inside a running layer inherit from it."""

    training: bool = False
    # What variables start with while a saved model is being built; None at other times.
    restoring: Restoration | None = None
    # Outputs of layers that end in a softmax or sigmoid, while a loss looks for them.
    probabilities: list[Any] | None = None
    # Penalties on outputs of layers, while a step gathers them.
    penalties: list[Any] | None = None
    # Whether each layer must be run and none answered for: while one of the next two is in force.
    layerwise: bool = False
    # Whether layers with `monte_carlo` make their noise outside training too.
    sampling: bool = False
    # Told each layer and its output.
    watching: Callable[[Any, Any], None] | None = None


context = _Context()


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


class Weight:
    """A variable of a layer."""

    # The penalty on it, a function of the tensor that returns one element.
    regularizer: Any = None
    # Whether the weight decay of optimizers reaches it.
    decays: bool = True

    def __init__(self, name: str, tensor: Tensor, trainable: bool, initializer: Any) -> None:
        self.name = name
        self.tensor = tensor
        self.trainable = trainable
        self.initializer = initializer

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "constraint": constraint_of(self.tensor)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        constraint = state.pop("constraint")
        vars(self).update(state)
        if constraint is not None:
            constrain(self.tensor, constraint)


class State:
    """What a layer keeps about itself, apart from what its own code keeps."""

    def __init__(self) -> None:
        self.name: str | None = None
        # Name and dtype as the constructor got them; the others may come from the model.
        self.given_name: str | None = None
        self.given_dtype: str | None = None
        # The place in the model: names of the layers above and its own, without the model's.
        self.path: str | None = None
        self.seed: int | None = None
        self.given_seed: int | None = None
        self.dtype: str | None = None
        self.trainable = True
        self.built = False
        self.building = False
        self.adopted = False
        # Values that were drawn before the layer came into a model are drawn again there, from
        # the model's seed, unless somebody has set them.
        self.provisional = False
        self.input_shape: Any = None
        self.weights: list[Weight] = []
        self.generators: dict[str, _core.Generator] = {}
        # Random draws that `predict_mc` has made: apart from those of training.
        self.sampled = 0
        # The penalty on the output of the last call that ran in Python.
        self.penalty: Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        # The last call's graph stays in this process.
        return {**vars(self), "penalty": None}


class Variables(Configured):
    """A named thing with variables, and with others of its kind inside."""

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
        for weight in self._state.weights:
            # A shallow copy shares the variables, which stay those of the layer that made them.
            if path_of(weight.tensor) is None:
                enter(weight.tensor, self, weight.name)

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
                if isinstance(item, Variables) and id(item) not in seen:
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
            # Saved values come to all variables when the paths of all are known.
            for weight in state.weights if context.restoring is None else []:
                weight.tensor.copy_(self._first_values(weight, tuple(weight.tensor.shape)))
            for name, old in list(state.generators.items()):
                del old
                state.generators[name] = generator(self._seed(), f"{self.path}/{name}")
        self._adopt_children()

    def _seed(self) -> int:
        if self._state.seed is None:
            self._state.seed = next_seed()
        return self._state.seed

    # ---- variables

    def add_weight(
        self,
        name: str,
        shape: Sequence[int] | int,
        initializer: Any = "glorot_uniform",
        trainable: bool = True,
        dtype: Any = None,
        *,
        regularizer: Any = None,
        constraint: Any = None,
        decays: bool = True,
    ) -> Tensor:
        """Make a variable; call it from `build`.

        Parameters
        ----------
        name
            Its name, unique in the layer.
        shape
            Its shape.
        initializer
            A name, an initialiser, or a function of shape and dtype.
        trainable
            False for state that training reads and code updates with ``copy_`` or
            `evengrad.accumulate`.
        dtype
            The layer's dtype if None.
        regularizer
            A name, a regularizer, or a function of the variable: a penalty added to the loss.
        constraint
            A name, a constraint, or a function of the variable: what it becomes after each update.
        decays
            False for what the weight decay of optimizers shall leave alone.

        Returns
        -------
        Tensor
            The variable; it requires a gradient where it is trainable.

        Raises
        ------
        MemoryError
            The shape needs more memory than there is.
        ValueError
            The layer has a variable of that name; the initialiser returned another shape; the
            constraint asks for a dimension that the shape lacks.

        Examples
        --------
        >>> class Shift(eg.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.offset = self.add_weight("offset", (input_shape[-1],), "ones")
        ...
        ...     def call(self, x):
        ...         return x + self.offset
        >>> Shift()([[1.0, 2.0]]).tolist()
        [[2.0, 3.0]]
        """
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        if any(weight.name == name for weight in self._state.weights):
            raise ValueError(f"{self.path}: a variable named {name!r} exists already")
        if math.prod(sizes) > ELEMENT_LIMIT:
            raise MemoryError(
                f"{self.path}/{name}: shape {sizes} has more elements than memory can hold"
            )
        chosen = initializers.get(initializer, f"{self.path}: initializer of {name!r}")
        after = constraints.get(constraint, f"{self.path}: constraint of {name!r}")
        if isinstance(after, constraints.Constraint):
            after._check(sizes, f"{self.path}/{name}")
        kind = self.dtype if dtype is None else dtype
        weight = Weight(name, _core.zeros((), dtype=kind), trainable, chosen)
        try:
            tensor = self._first_values(weight, sizes, kind)
        except MemoryError as error:
            raise MemoryError(f"{self.path}/{name}: {error}") from error
        weight.tensor = tensor
        weight.regularizer = regularizers.get(regularizer, f"{self.path}: regularizer of {name!r}")
        weight.decays = decays
        if after is not None:
            constrain(tensor, after)
        if trainable and self._state.trainable:
            tensor.requires_grad = True
        self._state.weights.append(weight)
        enter(tensor, self, name)
        return tensor

    def _first_values(
        self, weight: Weight, shape: tuple[int, ...], dtype: str | None = None
    ) -> Tensor:
        """Return the values a variable starts with: the saved ones while a model is restored."""
        path = f"{self.path}/{weight.name}"
        kind = dtype or weight.tensor.dtype
        if context.restoring is not None:
            return context.restoring.first_values(path, shape, kind)
        if isinstance(weight.initializer, initializers.Initializer):
            values = weight.initializer(shape, kind, seed=self._seed(), path=path)
        else:
            values = as_tensor(weight.initializer(shape, kind)).astype(kind).clone()
        if tuple(values.shape) != shape:
            raise ValueError(
                f"{path}: expected first values of shape {shape}, the initialiser returned "
                f"{tuple(values.shape)}"
            )
        return values

    def add_generator(self, name: str = "noise") -> _core.Generator:
        """Make a stream of random numbers for this layer; call it from `build`.

        Its values follow from the model's seed and the layer's path, and its position is saved with
        the model. Read it as ``self.generator(name)`` in `call`.

        Examples
        --------
        >>> class Noise(eg.layers.Layer):
        ...     def build(self, input_shape):
        ...         self.add_generator()
        ...
        ...     def call(self, x):
        ...         return x + self.generator().normal(x.shape, 0.0, 0.1, x.dtype)
        >>> Noise()(np.zeros((2, 3))).shape
        (2, 3)
        """
        stream = generator(self._seed(), f"{self.path}/{name}")
        self._state.generators[name] = stream
        return stream

    def generator(self, name: str = "noise") -> _core.Generator:
        """Return a stream made by `add_generator`.

        Examples
        --------
        >>> layer = eg.layers.Dropout(0.5)
        >>> layer(np.zeros((2, 3)), training=True).shape
        (2, 3)
        >>> layer.generator("mask").draws
        1
        """
        return self._state.generators[name]

    def _named_layers(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield this layer and all inside it with paths from here, each once."""
        seen: set[int] = set()
        stack: list[tuple[str, Any]] = [(prefix, self)]
        while stack:
            path, layer = stack.pop()
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            yield path, layer
            inside = [(f"{path}{child.name}/", child) for _, child in layer._children()]
            stack.extend(reversed(inside))

    def named_weights(self) -> list[tuple[str, Tensor]]:
        """Return all variables with their paths, in the order of the layers.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)])
        >>> [(path, w.shape) for path, w in model.named_weights()]
        [('dense/kernel', (3, 2)), ('dense/bias', (2,))]
        """
        return [
            (path + weight.name, weight.tensor)
            for path, layer in self._named_layers()
            for weight in layer._state.weights
        ]

    def _weights(self, trainable: bool) -> list[Tensor]:
        return [
            weight.tensor
            for _, layer in self._named_layers()
            for weight in layer._state.weights
            if (weight.trainable and layer.trainable) is trainable
        ]

    @property
    def weights(self) -> list[Tensor]:
        """All variables: of this layer, then of the layers inside it."""
        return [tensor for _, tensor in self.named_weights()]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The variables that training changes; none where the layer is frozen."""
        return self._weights(True)

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """State, and the variables of frozen layers."""
        return self._weights(False)

    def _weight_penalties(self) -> list[Tensor]:
        """Return the penalties on the variables that training changes."""
        return [
            weight.regularizer(weight.tensor)
            for _, layer in self._named_layers()
            for weight in layer._state.weights
            if weight.regularizer is not None and weight.trainable and layer.trainable
        ]

    @property
    def losses(self) -> list[Tensor]:
        """The penalties: on the variables as they stand, and on the outputs of the last call.

        They are part of the loss that training reports; add them in a training loop of your own.
        `fit` gathers those on outputs apart, so that they are not here afterwards.

        Examples
        --------
        >>> layer = eg.layers.Dense(2, kernel_initializer="ones", kernel_regularizer="l2")
        >>> layer(np.ones((1, 3))).shape
        (1, 2)
        >>> [round(penalty.item(), 4) for penalty in layer.losses]
        [0.06]
        """
        of_outputs = [layer._state.penalty for _, layer in self._named_layers()]
        return [*self._weight_penalties(), *[one for one in of_outputs if one is not None]]

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of all variables as NumPy arrays, in the order of `weights`.

        Examples
        --------
        >>> layer = eg.layers.Dense(2, kernel_initializer="ones")
        >>> layer.build((None, 1))
        >>> [w.tolist() for w in layer.get_weights()]
        [[[1.0, 1.0]], [0.0, 0.0]]
        """
        return [np.array(tensor.detach().numpy()) for tensor in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Replace the values of all variables.

        Parameters
        ----------
        weights
            Arrays in the order and shapes of `weights`.

        Raises
        ------
        ValueError
            The number of arrays or a shape differs; nothing is changed then.

        Examples
        --------
        >>> layer = eg.layers.Dense(2)
        >>> layer.build((None, 1))
        >>> layer.set_weights([[[3.0, 4.0]], [0.5, 0.5]])
        >>> layer([[1.0]]).tolist()
        [[3.5, 4.5]]
        """
        named = self.named_weights()
        if not named and not self.built:
            raise ValueError(
                f"{self.path}: set_weights before the layer is built; call it on data, or begin a "
                "model with evengrad.Input(shape)"
            )
        if len(weights) != len(named):
            raise ValueError(
                f"{self.path}: expected {plural(len(named), 'array')}, got {len(weights)}"
            )
        arrays = [np.asarray(value) for value in weights]
        for (path, tensor), array in zip(named, arrays, strict=True):
            if tuple(array.shape) != tuple(tensor.shape):
                raise ValueError(
                    f"{path}: expected shape {tuple(tensor.shape)}, got {tuple(array.shape)}"
                )
        converted = [
            np.asarray(array, dtype=tensor.dtype, order="C")
            for (_, tensor), array in zip(named, arrays, strict=True)
        ]
        for (_, tensor), array in zip(named, converted, strict=True):
            tensor.copy_(array)
        for _, layer in self._named_layers():
            layer._state.provisional = False

    def count_params(self) -> int:
        """Return the number of values in all variables.

        Examples
        --------
        >>> eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)]).count_params()
        8
        """
        return sum(tensor.size for tensor in self.weights)


@contextlib.contextmanager
def restoring(saved: Restoration) -> Iterator[None]:
    """Have variables made inside take their first values from a file."""
    context.restoring = saved
    try:
        yield
    finally:
        context.restoring = None
