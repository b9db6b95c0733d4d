"""The base of all layers: building and calling."""

from __future__ import annotations

import functools
import inspect
import itertools
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.advice import advise
from evengrad._common.checks import check_dtype
from evengrad._common.config import keyword_names, scopes
from evengrad._common.foreign_attributes import answer_for
from evengrad._common.foreign_words import LAYER_NAMES
from evengrad._common.names import PACKAGE, check_name, unknown_keyword
from evengrad._common.overridable import overridable
from evengrad._core import Tensor
from evengrad._tensor.step_masks import as_mask, masks_of, step_masks
from evengrad.layers._call_context import call_context, main_output
from evengrad.layers._module import module_tree, state_of
from evengrad.layers._output_shapes import shape_of_call
from evengrad.layers._symbolic import Node, Symbolic, is_open, show_shape, taken_out
from evengrad.layers._untracked import check_attributes
from evengrad.layers._variables import Variables

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Shape


# Counts the begins and ends of builds.
builds = itertools.count(1)


# For a `call` that does not take the argument `training`.
NOT_TAKEN = object()


@functools.cache
def default_training(call: Callable[..., Any]) -> Any:
    """Return what a layer's `call`, as its class has it, takes for `training` by itself."""
    parameters = inspect.signature(call).parameters
    if "training" in parameters:
        default = parameters["training"].default
        return False if default is inspect.Parameter.empty else default
    kinds = [parameter.kind for parameter in parameters.values()]
    return False if inspect.Parameter.VAR_KEYWORD in kinds else NOT_TAKEN


def training_for(call: Callable[..., Any], training: bool | None) -> dict[str, Any]:
    """Return `training` as an argument of a layer's `call`, if it takes it."""
    default = default_training(call)
    if default is NOT_TAKEN:
        return {}
    return {"training": default if training is None else training}


@functools.cache
def arguments_of(call: Callable[..., Any]) -> list[str] | None:
    """Return the names of what a layer's `call` takes beside its inputs; None where any do."""
    names = keyword_names(inspect.signature(call))
    return None if names is None else [name for name in names[2:] if name != "training"]


@functools.cache
def takes_mask(call: Callable[..., Any]) -> bool:
    """Tell whether a layer's `call` takes the argument `mask`."""
    return "mask" in inspect.signature(call).parameters


def as_list(x: Any) -> tuple[list[Any], bool]:
    """Return the inputs that a layer is called with, and whether they came as a list."""
    several = isinstance(x, (list, tuple)) and any(
        isinstance(item, (Symbolic, Tensor, np.ndarray)) for item in x
    )
    return (list(x) if several else [x]), several


def renamed_forward(layer: Any) -> str:
    """Return the end of a message where a class has PyTorch's `forward` in the place of `call`."""
    return "; rename forward to call" if hasattr(layer, "forward") else ""


class Layer(Variables):
    """A function with variables; models are made of layers.

    A subclass writes `call`, and `build` if it has variables of its own. Layers that it keeps as
    attributes, also in lists, tuples, dicts and data classes to any depth, belong to it with all
    their variables. What would train where it is not found is an error when the layer is built.

    Parameters
    ----------
    name
        A name, unique in its model; by default from the class, or from the attribute that holds
        the layer.
    dtype
        ``"float32"`` or ``"float64"``; by default the model's.
    trainable
        Whether training changes the layer's variables.

    Attributes
    ----------
    built
        Whether the variables exist; the first call makes them.
    monte_carlo
        Set in a class: whether `Model.predict_mc` runs its layers as in training, as it does those
        of dropout and noise.
    supports_masking
        Whether the mask of an input, which says what steps of a sequence count, goes on to the
        output as `compute_mask` says. So it does where a class writes that; else set it in the
        class or its ``__init__``. A layer whose `call` takes ``mask`` gets it there.

    Raises
    ------
    ValueError
        A name that is empty or has a ``/`` or control characters in it, an unknown dtype. From a
        call: an input that does not fit the variables.

    Examples
    --------
    >>> class Scale(eg.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight("factor", (input_shape[-1],), "ones")
    ...
    ...     def call(self, x, training):
    ...         return x * self.factor
    >>> layer = Scale()
    >>> layer([[1.0, 2.0]]).tolist(), layer.count_params()
    ([[1.0, 2.0]], 2)
    """

    monte_carlo: bool = False
    supports_masking: bool = False
    # Whether masks come about here: `compute_mask` is asked where no input has one.
    _makes_masks: bool = False
    # Whether the layer looks at the values that come to it, in `_check_values`.
    checks_values: bool = False
    # Whether there are batches of one row that the layer cannot be trained on.
    _needs_several_rows: bool = False
    # A penalty on the layer's output, as a function that returns one element; divided by the rows.
    activity_regularizer: Any = None

    def __init__(
        self, *, name: str | None = None, dtype: Any = None, trainable: bool = True
    ) -> None:
        self._state.name = self._state.given_name = check_name(name)
        if name is not None and (name == "" or "/" in name):
            raise ValueError(f"name: expected a string, not empty and without '/', got {name!r}")
        self._state.dtype = self._state.given_dtype = None if dtype is None else check_dtype(dtype)
        self._state.trainable = bool(trainable)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Note whether the class says what becomes of masks."""
        super().__init_subclass__(**kwargs)
        if "compute_mask" in vars(cls):
            cls.supports_masking = vars(cls).get("supports_masking", True)
            of_users = not cls.__module__.startswith(PACKAGE)
            cls._makes_masks = vars(cls).get("_makes_masks", of_users)

    # ---- what subclasses write

    def build(self, input_shape: Any) -> None:
        """Make the variables for inputs of this shape, rows given as None.

        Parameters
        ----------
        input_shape
            A tuple; a list of tuples where the layer is called with a list.

        Examples
        --------
        >>> layer = eg.layers.Dense(2)
        >>> layer.build((None, 3))
        >>> layer.kernel.shape
        (3, 2)
        """

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the layer's output.

        Examples
        --------
        >>> class Twice(eg.layers.Layer):
        ...     def call(self, x):
        ...         return 2.0 * x
        >>> Twice()([[1.0, 2.0]]).tolist()
        [[2.0, 4.0]]
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define call(self, x, training){renamed_forward(self)}"
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, rows given as None.

        A layer that does not override this is run on one row of zeros.

        Parameters
        ----------
        input_shape
            A tuple, or a list of tuples.

        Examples
        --------
        >>> eg.layers.Dense(2).compute_output_shape((None, 3))
        (None, 2)
        """
        several = isinstance(input_shape, list)
        node = Node(self, [], several, count=len(input_shape) if several else 1)
        return shape_of_call(node, input_shape if several else [input_shape])

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return which steps of the output count.

        Parameters
        ----------
        inputs
            What the layer was called with, a tensor or a list of them.
        previous_mask
            The input's mask, a tensor of booleans (rows, steps), True for steps that count; a list
            with None in it where the layer takes several inputs; None where there is none.

        Returns
        -------
        Tensor, list or None
            A mask for the output, a list of them where there are several; by default the input's.

        Examples
        --------
        >>> class EverySecond(eg.layers.Layer):
        ...     def call(self, x):
        ...         return x[:, ::2]
        ...
        ...     def compute_mask(self, inputs, previous_mask=None):
        ...         return None if previous_mask is None else previous_mask[:, ::2]
        >>> x = eg.layers.Masking()([[[1.0], [0.0], [0.0]]])
        >>> eg.layers.GlobalAveragePooling1D()(EverySecond()(x)).tolist()
        [[1.0]]
        """
        del inputs
        return previous_mask

    def multiply_adds(self, input_shape: Any) -> int:
        """Return the multiplications with addition that one row costs; 0 where none stand out.

        One of a single step, where the number of steps is left open.

        Examples
        --------
        >>> layer = eg.layers.Dense(2)
        >>> layer.multiply_adds((None, 3))
        6
        """
        del input_shape
        layers = [child for _, child in self._children()]
        return sum(one.multiply_adds(state_of(one).input_shape) for one in layers if one.built)

    @property
    def final_activation(self) -> str | None:
        """The name of the activation that the layer ends in, for losses that fuse with it."""
        return None

    def call_without_activation(self, x: Any) -> Tensor:
        """Return the output before the final activation: logits, if that is a softmax.

        Examples
        --------
        >>> layer = eg.layers.Dense(1, "sigmoid", kernel_initializer="ones")
        >>> x = eg.zeros((1, 2))
        >>> layer(x).tolist(), layer.call_without_activation(x).tolist()
        ([[0.5]], [[0.0]])
        """
        raise NotImplementedError(f"{type(self).__name__} ends in no activation")

    # ---- places in a graph

    @overridable
    def input(self) -> Any:
        """The symbolic tensor that the layer is called with in its graph or chain, or a list."""
        node = use_of(self)
        main = node.inputs[: node.count]
        return main if node.several else main[0]

    @overridable
    def output(self) -> Any:
        """The symbolic tensor that the layer puts out in its graph or chain, or a list.

        That of its first use, where a graph has several. A model up to a layer is
        ``Model(model.inputs, layer.output)``; it shares the layers.
        """
        node = use_of(self)
        return node.outputs if len(node.outputs) > 1 else node.outputs[0]

    def add_loss(self, loss: Any) -> None:
        """Add a penalty to the loss of this step; call it from `call`.

        Parameters
        ----------
        loss
            A tensor of one element, or a list of them. It is in `losses` until the next call, and
            in training part of the loss that is minimized and reported.

        Raises
        ------
        TypeError
            Something else than tensors.
        ValueError
            A tensor of several elements.

        Examples
        --------
        >>> class Small(eg.layers.Layer):
        ...     def call(self, x):
        ...         self.add_loss(0.1 * x.square().mean())
        ...         return x
        >>> layer = Small()
        >>> layer([[1.0, 3.0]]).tolist(), [round(loss.item(), 4) for loss in layer.losses]
        ([[1.0, 3.0]], [0.5])
        """
        for one in loss if isinstance(loss, (list, tuple)) else [loss]:
            if not isinstance(one, Tensor):
                raise TypeError(
                    f"{self.path}: add_loss: expected a tensor, got {type(one).__name__}; a "
                    "penalty is made of tensors, in `call`, where it is computed anew in each step"
                )
            if one.size != 1:
                raise ValueError(
                    f"{self.path}: add_loss: expected a tensor of one element, got shape "
                    f"{tuple(one.shape)}; take its sum() or mean()"
                )
            self._add_penalty(one.reshape(()))

    def _add_penalty(self, penalty: Tensor) -> None:
        """Note a penalty: for the step that gathers them, or in the layer."""
        if call_context.penalties is not None:
            call_context.penalties.append(penalty)
        elif not _core.is_capturing():
            before = self._state.penalty
            self._state.penalty = penalty if before is None else before + penalty

    # ---- calling

    def _build_for(self, input_shape: Any) -> None:
        """Make the variables unless they exist; a failure leaves the layer unbuilt.

        That is one thread's work: others wait, and find it done.
        """
        state = self._state
        if state.built:
            return
        with _core.Access([state], writes=True):
            if self._state.built:
                # By another thread meanwhile.
                self._check_input(input_shape)
            else:
                self._build_now(input_shape)

    def _build_now(self, input_shape: Any) -> None:
        """Make the variables, while no other thread does."""
        state = self._state
        if state.weights and not state.building:
            # Somebody has called `build` directly, perhaps for another shape.
            state.input_shape = input_shape
            state.built = state.watched = True
            self._check_input(input_shape)
            return
        within, call_context.building = call_context.building, True
        begun = next(builds)
        # This reads the limits anew, for the first values.
        _core.get_num_threads()
        state.building = threading.get_ident()
        # A layer that is built later, or loaded, must come to the same.
        around = scopes.set(())
        try:
            if self._children():
                self._adopt_children()
            self.build(input_shape)
            if self._children():
                self._adopt_children()
            if not within and module_tree(self).has_code_of_users:
                check_attributes(self)
        except BaseException:
            for one in module_tree(self).states:
                if not one.built or one.build_number > begun:
                    one.weights.clear()
                    one.generators.clear()
                    one.built = False
                    one.changed()
            raise
        finally:
            scopes.reset(around)
            state.building = 0
            call_context.building = within
        state.input_shape = input_shape
        # That of the variables, whatever becomes of the default.
        state.dtype = state.dtype or _core.get_default_dtype()
        state.built = state.watched = True
        state.build_number = next(builds)

    def _draw_chain(self) -> None:
        """Draw the graph of a chain of layers inside, if it is one whose input shape is known."""

    def _check_input(self, shape: Any) -> None:
        """Raise a ValueError that names this layer where an input does not fit it."""

    def _check_values(self, values: Any) -> None:
        """Raise an error that names this layer where data that comes straight to it is wrong.

        `values` is an array; a list of them where the layer takes several inputs.
        """

    def _before_training(self) -> str | None:
        """Return what is to be said of the layer's state before it trains, if anything is."""

    def _make_states(self, rows: int) -> None:
        """Make the states that are kept from batch to batch, or refuse another number of rows."""

    def _check_single(self, shape: Any) -> None:
        """Raise a ValueError where a list of inputs comes."""
        if isinstance(shape, list):
            raise self._story("one input", f"{len(shape)}", "join them with layers.Concatenate()")

    def _check_features(self, shape: Any, features: int | None) -> None:
        """Raise a ValueError for what is no (rows, ..., features); any number of them if None."""
        if isinstance(shape, list):
            self._check_single(shape)
        if len(shape) < 2:
            raise self._story(
                "an input of shape (rows, features)", shape, "add the missing dimension, x[None, :]"
            )
        if shape[-1] is None:
            raise self._story(
                "a known number of features", shape, "say the last size in Input, (None, features)"
            )
        if features is not None and shape[-1] != features:
            raise self._story(
                f"an input of shape (rows, {features})",
                shape,
                "the layer was built for that many features: pass as many, or make a new layer",
            )

    def _check_sizes(self, shape: Any) -> None:
        """Raise a ValueError for one input with sizes that are left open."""
        self._check_single(shape)
        if is_open(shape):
            raise self._story(
                "rows of a known size",
                shape,
                "say all sizes in Input, or let a recurrent layer make one vector of the steps",
            )

    def _convert(self, x: Any) -> Tensor:
        """Return an input as a tensor of the layer's dtype."""
        tensor = x if isinstance(x, Tensor) else _core.tensor(np.asanyarray(x))
        return tensor if tensor.dtype == self.dtype else tensor.astype(self.dtype)

    def __call__(  # noqa: C901, PLR0912 - one call in Python for each layer, not several
        self, x: Any, training: bool | None = None, **arguments: Any
    ) -> Any:
        """Return the output for an input; the first call builds the layer.

        Parameters
        ----------
        x
            A tensor, an array, or a list of them; or symbolic tensors, to draw a graph.
        training
            Whether noise and batch statistics are on; by default as in the layer around this one,
            at the top as `call` has it by default. In a graph that is drawn it holds whenever the
            graph runs.
        **arguments
            What `call` takes besides, by name; in a graph also symbolic tensors. ``mask``, where
            the layer supports masking: of shape (rows, steps), True for the steps that count; by
            default the mask that came with the input.

        Raises
        ------
        TypeError
            An argument that `call` does not take; something else than a flag for `training`.
        """
        state, mask = self._state, None
        if arguments:
            if "mask" in arguments and self.supports_masking:
                mask = as_mask(arguments.pop("mask"))
            if arguments:
                arguments = self._prepared(arguments)
        if isinstance(x, Tensor):
            # A layer that checks values does so as it converts them.
            dtype = state.dtype or _core.get_default_dtype()
            inputs: Any = x
            if x.dtype != dtype or self.checks_values:
                inputs = self._convert(x)
            shape: Any = (None, *inputs.shape[1:])
        else:
            items, several = as_list(x)
            if any(isinstance(item, Symbolic) for item in items):
                if mask is not None:
                    arguments["mask"] = mask
                return self._draw(items, several, training, arguments)
            tensors = [self._convert(item) for item in items]
            shapes: list[Shape] = [(None, *tensor.shape[1:]) for tensor in tensors]
            inputs, shape = (tensors, shapes) if several else (tensors[0], shapes[0])
        if shape != state.checked_shape:
            build_for(self, shape)
        if step_masks or mask is not None:
            inputs, mask = self._take_mask(x, inputs, mask, arguments)
        context = call_context
        before, default = context.training, default_training(type(self).call)
        if training is not None:
            context.training = self._flag(training)
        elif before is None and default is not NOT_TAKEN:
            context.training = default
        if state.penalty is not None:
            # That of the call before.
            state.penalty = None
        try:
            if default is not NOT_TAKEN:
                samples = context.sampling and self.monte_carlo
                noisy: Any = True if samples else context.training
                output = self.call(inputs, training=noisy, **arguments)
            else:
                output = self.call(inputs, **arguments)
        finally:
            context.training = before
        if mask is not None or self._makes_masks:
            hand_on(self, inputs, output, mask)
        listens = context.probabilities is not None or context.watching is not None
        if listens or self.activity_regularizer is not None:
            self._show(output)
        return output

    def _take_mask(
        self, x: Any, inputs: Any, given: Any, arguments: dict[str, Any]
    ) -> tuple[Any, Any]:
        """Return the inputs with a mask, which is the given one or the one that came with them.

        A `call` that takes it gets it among its arguments; layers inside find it at the inputs.
        """
        mask = masks_of(x) if given is None else given
        if mask is None:
            return inputs, None
        if takes_mask(type(self).call):
            arguments.setdefault("mask", mask)
            return inputs, mask
        if given is not None or inputs is not x:
            several = isinstance(inputs, list)
            # The user's tensors stay without it.
            alike = [one.reshape(one.shape) for one in (inputs if several else [inputs])]
            for one, its in zip(alike, mask if isinstance(mask, list) else [mask], strict=False):
                if its is not None:
                    step_masks.attach(one, its)
            inputs = alike if several else alike[0]
        return inputs, mask

    def _flag(self, training: Any) -> bool:
        """Return `training` as a flag, or raise an error for a second input in its place."""
        if not isinstance(training, (bool, int, np.bool_)):
            raise TypeError(
                f"{self.path}: training: expected True, False or None, got "
                f"{type(training).__name__}; pass several inputs as a list, and what `call` takes "
                "besides by name"
            )
        return bool(training)

    def _prepared(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Check the names of arguments of a call, and convert arrays of floating-point numbers."""
        names = arguments_of(type(self).call)
        if names is not None:
            error = unknown_keyword(arguments, names, f"{self.path}: call")
            if error is not None:
                raise error
        return {
            name: self._convert(value)
            if isinstance(value, (Tensor, np.ndarray)) and str(value.dtype).startswith("float")
            else value
            for name, value in arguments.items()
        }

    def _show(self, output: Any) -> None:
        """Note the penalty on an output; show it to who looks for probabilities, or at outputs."""
        context = call_context
        if self.activity_regularizer is not None:
            self._penalize(output)
        if context.probabilities is not None and self.final_activation in ("softmax", "sigmoid"):
            context.probabilities.append((self.final_activation, output))
        if context.watching is not None:
            context.watching(self, output)

    def _penalize(self, output: Any) -> None:
        """Note the penalty on an output, a mean over the rows of the batch."""
        first = main_output(output)
        self._add_penalty(self.activity_regularizer(first) / float(max(1, first.shape[0])))

    def _draw(
        self,
        items: list[Any],
        several: bool,
        training: bool | None,
        arguments: dict[str, Any],
    ) -> Any:
        """Add a use of this layer to the graph that is being drawn."""
        for item in items:
            if not isinstance(item, Symbolic):
                raise TypeError(
                    f"{self.path}: expected symbolic tensors from evengrad.Input and layers, got "
                    f"{type(item).__name__} among them"
                )
        if self._state.dtype is None:
            self._state.dtype = items[0].dtype
        shapes = [item.shape for item in items]
        shape = shapes if several else shapes[0]
        self._check_input(shape)
        inputs = list(items)
        given = arguments
        if training is not None:
            given = {"training": self._flag(training), **arguments}
        node = Node(self, inputs, several, taken_out(given, inputs), len(items))
        note_use(self, node)
        within, call_context.building = call_context.building, True
        try:
            if not self._state.built:
                before = {id(state) for state in module_tree(self).states if state.built}
                self._build_for(shape)
                self._mark_provisional(before)
            output = output_shape_of(node, [symbol.shape for symbol in inputs])
        finally:
            call_context.building = within
        if isinstance(output, list):
            return [Symbolic(one, self.dtype, node) for one in output]
        return Symbolic(output, self.dtype, node)

    def _mark_provisional(self, before: set[int]) -> None:
        """Mark what was built just now: a model draws its first values from a seed of its own.

        What had been built before, by its state's identity, may have learned its values.
        """
        for state in module_tree(self).states:
            if id(state) not in before:
                state.provisional = not state.adopted or state is not self._state

    def _story(self, expected: str, got: Any, fix: str) -> ValueError:
        """Return an error that names this layer: what was expected, what came, the likely fix."""
        shown = got if isinstance(got, str) else f"an input of shape {show_shape(got)}"
        return ValueError(f"{self.path}: expected {expected}, got {shown}; {fix}")


def note_use(layer: Layer, node: Node) -> None:
    """Note the first use of a layer in a graph that is still there."""
    state = state_of(layer)
    if state.use is None or state.use() is None:
        state.use = weakref.ref(node)


def use_of(layer: Layer) -> Node:
    """Return the first use of a layer in a graph or a chain, or raise an error."""
    state = state_of(layer)
    node = None if state.use is None else state.use()
    around = None if node is not None or state.around is None else state.around()
    if isinstance(around, Layer):
        around._draw_chain()  # noqa: SLF001 - no public name, as users derive from it
        node = None if state.use is None else state.use()
    if node is None:
        raise AttributeError(
            f"{layer.path}: the layer has no input and no output yet: it was not called with "
            "symbolic tensors; draw a graph with evengrad.Input, or begin the chain with one"
        )
    found: Node = node
    return found


def build_for(layer: Layer, shape: Any) -> None:
    """Check that inputs of a shape fit a layer, and make its variables unless they exist."""
    state = state_of(layer)
    if shape == state.checked_shape:
        return
    layer._check_input(shape)  # noqa: SLF001 - no public name, as users derive from it
    if not state.built:
        layer._build_for(shape)  # noqa: SLF001 - as above
    state.checked_shape = shape


def hand_on(layer: Layer, inputs: Any, output: Any, mask: Any) -> None:
    """Have what a layer puts out have the mask that follows from the one of its inputs."""
    outputs = output if isinstance(output, (list, tuple)) else [output]
    if not layer.supports_masking:
        if all(step_masks.of(one) is None for one in outputs):
            advise(
                f"{layer.path}: the input has a mask, which ends here, as {type(layer).__name__} "
                "does not hand masks on: layers, losses and metrics behind it take all steps for "
                "steps that count. Where the mask still fits the output, set supports_masking = "
                "True in the class or write compute_mask"
            )
        return
    if all(step_masks.of(one) is not None for one in outputs):
        return
    masks = layer.compute_mask(inputs, mask)
    found = masks if isinstance(masks, (list, tuple)) else [masks]
    # States that come behind the output have none.
    for one, its in zip(outputs, found, strict=False):
        if its is not None and isinstance(one, Tensor) and step_masks.of(one) is None:
            step_masks.attach(one, its)


def called_without_activation(layer: Layer, x: Any) -> Any:
    """Return what a layer puts out before its final activation, with the mask that it has."""
    output = layer.call_without_activation(x)
    if step_masks:
        mask = masks_of(x)
        if mask is not None:
            hand_on(layer, x, output, mask)
    return output


def needs_several_rows(layer: Layer) -> bool:
    """Tell whether there are batches of one row that a layer cannot be trained on."""
    return layer._needs_several_rows  # noqa: SLF001 - as above


def check_values(layer: Layer, values: Any) -> None:
    """Raise an error that names a layer where data that comes straight to it is wrong.

    `values` is an array; a list of them where the layer takes several inputs.
    """
    layer._check_values(values)  # noqa: SLF001 - as above


def output_shape_of(node: Node, shapes: list[Shape]) -> Any:
    """Return the shape of what a use of a layer puts out, or a list, for inputs of these shapes."""
    layer: Any = node.layer
    says_it = type(layer).compute_output_shape is not Layer.compute_output_shape
    if says_it or node.arguments.keys() <= {"training"}:
        return layer.compute_output_shape(shapes[: node.count] if node.several else shapes[0])
    return shape_of_call(node, shapes)


def make_states(layer: Layer, rows: int) -> None:
    """Have a stateful layer have its states for so many rows, or refuse them."""
    layer._make_states(rows)  # noqa: SLF001 - as above


def caution_of(layer: Layer) -> str | None:
    """Return what is to be said of a layer's state before it trains, if anything is."""
    return layer._before_training()  # noqa: SLF001 - as above


answer_for(Layer, LAYER_NAMES)
