"""The variables and streams of random numbers that layers keep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core, constraints, initializers, regularizers
from evengrad._common.arrays import as_numbers
from evengrad._common.checks import plural
from evengrad._common.paths import enter, path_of
from evengrad._tensor.constrained import constrained
from evengrad._tensor.conversion import as_tensor
from evengrad._tensor.masked import apply_masks, masked
from evengrad._tensor.random import generator
from evengrad.constraints._constraint import check_shape
from evengrad.layers._call_context import call_context
from evengrad.layers._module import Module, access_to, module_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from evengrad._core import Tensor

# No machine addresses more elements than this, whatever their size.
ELEMENT_LIMIT = 2**62
# Variables with so many dimensions are kernels: others scale, shift or are added.
KERNEL_DIMENSIONS = 2


@dataclass(eq=False)
class Weight:
    """A variable of a layer."""

    name: str
    tensor: Tensor
    trainable: bool
    initializer: Callable[..., Any]
    # The penalty on it, a function of the tensor that returns one element.
    regularizer: Any
    # Whether the weight decay of optimizers reaches it.
    decays: bool

    def __getstate__(self) -> dict[str, Any]:
        tensor = self.tensor
        beside = {"constraint": constrained.of(tensor), "mask": masked.of(tensor)}
        return {**vars(self), **beside}

    def __setstate__(self, state: dict[str, Any]) -> None:
        constraint, mask = state.pop("constraint"), state.pop("mask", None)
        vars(self).update(state)
        if constraint is not None:
            constrained.attach(self.tensor, constraint)
        if mask is not None:
            masked.attach(self.tensor, mask)


class Variables(Module):
    """A named thing with variables, and with others of its kind inside."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        super().__setstate__(state)
        for weight in self._state.weights:
            # A shallow copy shares the variables, which stay those of the layer that made them.
            if path_of(weight.tensor) is None:
                enter(weight.tensor, self, weight.name, weight.decays)

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
            A name, an initializer, or a function of shape and dtype.
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
            The layer has a variable of that name; the initializer returned another shape; the
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
        state = self._state
        path = f"{state.path or self.name}/{name}"
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        for weight in state.weights:
            if weight.name == name:
                raise ValueError(f"{self.path}: a variable named {name!r} exists already")
        # What a file may ask for is looked up in it.
        if call_context.restoring is None and math.prod(sizes) > ELEMENT_LIMIT:
            raise MemoryError(f"{path}: shape {sizes} has more elements than memory can hold")
        if not isinstance(initializer, initializers.Initializer):
            initializer = initializers.get(initializer, f"{self.path}: initializer of {name!r}")
        if constraint is not None:
            constraint = constraints.get(constraint, f"{self.path}: constraint of {name!r}")
            check_shape(constraint, sizes, path)
        if regularizer is not None:
            regularizer = regularizers.get(regularizer, f"{self.path}: regularizer of {name!r}")
        own = state.dtype or _core.get_default_dtype()
        kind = own if dtype is None else _core.zeros((), dtype=dtype).dtype
        try:
            tensor = self._first_values(path, sizes, initializer, kind)
        except MemoryError as error:
            raise MemoryError(f"{path}: {error}") from error
        if constraint is not None:
            constrained.attach(tensor, constraint)
        tensor.requires_grad = trainable and state.trainable
        state.weights.append(Weight(name, tensor, trainable, initializer, regularizer, decays))
        if state.watched:
            state.changed()
        enter(tensor, self, name, decays)
        return tensor

    def _follow(self, name: str, value: Any) -> Any:
        """Have the variable that an attribute is about take another regularizer or constraint.

        That is the variable of the attribute's name without its end, or the kernel of that name.
        """
        of, _, kind = name.rpartition("_")
        what = f"{self.path}: {name}"
        if value is not None:
            value = (regularizers if kind == "regularizer" else constraints).get(value, what)
        for weight in self._state.weights:
            if weight.name not in (of, f"{of}_kernel"):
                continue
            if kind == "regularizer":
                weight.regularizer = value
            elif value is None:
                constrained.detach(weight.tensor)
            else:
                check_shape(value, tuple(weight.tensor.shape), what)
                constrained.attach(weight.tensor, value)
        return value

    def _first_values(
        self, path: str, shape: tuple[int, ...], initializer: Callable[..., Any], dtype: str
    ) -> Tensor:
        """Return the values a variable starts with: the saved ones while a model is restored."""
        values: Tensor
        if call_context.restoring is not None:
            return call_context.restoring.first_values(path, shape, dtype)
        if isinstance(initializer, initializers.Initializer):
            seed = self._state.seed
            seed = self._seed() if seed is None else seed
            values = initializer(shape, dtype, seed=seed, path=path)
        else:
            values = as_tensor(initializer(shape, dtype)).astype(dtype).clone()
        if tuple(values.shape) != shape:
            raise ValueError(
                f"{path}: expected first values of shape {shape}, the initializer returned "
                f"{tuple(values.shape)}"
            )
        return values

    def _draw_first_values(self) -> None:
        # Saved values come to all variables when the paths of all are known.
        for weight in self._state.weights if call_context.restoring is None else []:
            tensor, path = weight.tensor, f"{self.path}/{weight.name}"
            shape = tuple(tensor.shape)
            tensor.copy_(self._first_values(path, shape, weight.initializer, tensor.dtype))
            apply_masks([tensor])
        for name in list(self._state.generators):
            self._state.generators[name] = self._stream_for(name)
        self._state.changed()

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
        stream = self._stream_for(name)
        self._state.generators[name] = stream
        self._state.changed()
        return stream

    def _stream_for(self, name: str) -> _core.Generator:
        return generator(self._seed(), f"{self.path}/{name}")

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

    def named_weights(self) -> list[tuple[str, Tensor]]:
        """Return all variables with their paths, in the order of the layers.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)])
        >>> [(path, w.shape) for path, w in model.named_weights()]
        [('dense/kernel', (3, 2)), ('dense/bias', (2,))]
        """
        return list(module_tree(self).named_weights)

    @property
    def weights(self) -> list[Tensor]:
        """All variables: of this layer, then of the layers inside it."""
        return list(module_tree(self).tensors)

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The variables that training changes; none where the layer is frozen."""
        return list(module_tree(self).trainable)

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """State, and the variables of frozen layers."""
        return list(module_tree(self).non_trainable)

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
        tree = module_tree(self)
        of_outputs = [state.penalty for state in tree.states if state.penalty is not None]
        return [*tree.weight_penalties(), *of_outputs]

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """Return copies of all variables as NumPy arrays, in the order of `weights`.

        Beside a `fit` in another thread, they are those of one step.

        Examples
        --------
        >>> layer = eg.layers.Dense(2, kernel_initializer="ones")
        >>> layer.build((None, 1))
        >>> [w.tolist() for w in layer.get_weights()]
        [[[1.0, 1.0]], [0.0, 0.0]]
        """
        with access_to(self):
            return [np.array(tensor.detach().numpy()) for tensor in self.weights]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Replace the values of all variables.

        For other threads that is done at once: a training makes no step meanwhile, and a prediction
        is made by the old values alone, or by the new ones. What `Model.prune` has pruned stays 0.

        Parameters
        ----------
        weights
            Arrays in the order and shapes of `weights`.

        Raises
        ------
        ValueError
            The number of arrays or a shape differs; nothing is changed then.
        TypeError
            An array holds something else than real numbers, such as None, text or masked values;
            nothing is changed.

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
        given = list(weights)
        if len(given) != len(named):
            raise ValueError(
                f"{self.path}: expected {plural(len(named), 'array')}, got {len(given)}"
            )
        pairs = zip(named, given, strict=True)
        arrays = [as_numbers(value, path, tensor.dtype) for (path, tensor), value in pairs]
        for (path, tensor), array in zip(named, arrays, strict=True):
            if array.shape != tuple(tensor.shape):
                raise ValueError(f"{path}: expected shape {tuple(tensor.shape)}, got {array.shape}")
        with access_to(self, writes=True):
            for (_, tensor), array in zip(named, arrays, strict=True):
                tensor.copy_(array)
            if masked:
                apply_masks(tensor for _, tensor in named)
        for state in module_tree(self).states:
            state.provisional = False

    def count_params(self) -> int:
        """Return the number of values in all variables.

        Examples
        --------
        >>> eg.Sequential([eg.Input((3,)), eg.layers.Dense(2)]).count_params()
        8
        """
        return sum(tensor.size for tensor in module_tree(self).tensors)


def drawn_again(layer: Variables, weight: Weight, stream: str) -> Tensor:
    """Return other first values for a variable, from a stream of their own below its path."""
    tensor, path = weight.tensor, f"{layer.path}/{weight.name}/{stream}"
    shape, first = tuple(tensor.shape), weight.initializer
    return layer._first_values(path, shape, first, tensor.dtype)  # noqa: SLF001 - of this file
