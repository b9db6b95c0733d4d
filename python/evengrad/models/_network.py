"""The structure of models: graphs of layers, subclasses, and what training sees of them."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from evengrad import _core
from evengrad._common.arrays import is_sparse
from evengrad._common.checks import check_dtype, check_row_shape
from evengrad._common.names import did_you_mean
from evengrad._common.overridable import overridable
from evengrad._common.serialized import deserialized, serialize
from evengrad._core import Tensor
from evengrad._tensor.random import check_seed, next_seed
from evengrad._tensor.step_masks import masks_of, step_masks
from evengrad.layers._call_context import call_context
from evengrad.layers._layer import (
    Layer,
    as_list,
    build_for,
    check_values,
    renamed_forward,
    training_for,
)
from evengrad.layers._module import ModuleTree, access_to, module_tree, state_of
from evengrad.layers._output_shapes import shapes_of_outputs
from evengrad.layers._placement import seed_of
from evengrad.layers._symbolic import Symbolic, fits, is_open, show_shape
from evengrad.models._graph import Graph
from evengrad.models._inference import Answers
from evengrad.models._structure import (
    Structure,
    flattened,
    is_structured,
    names_in,
    packed,
    taken_apart,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from evengrad._core import Generator
    from evengrad.health._examination import LayerFacts
    from evengrad.models._model import Model
    from evengrad.training._compile_config import CompileConfig
    from evengrad.training._protocol import FrozenPart

NetworkClass = TypeVar("NetworkClass", bound="type[Network]")

# The arguments that a graph lies between, as it has them.
ENDS = {"inputs", "outputs"}


class Unmade:
    """Stands for what `Network.__init__` makes, and is found where that was not called."""

    def __get__(self, model: Any, owner: type) -> Any:
        """Raise an error that says what was forgotten."""
        if model is None:
            return self
        raise TypeError(f"{owner.__name__}.__init__: expected a call of super().__init__() first")


class Network(Layer):
    """A layer made of layers, with inputs and outputs; what it computes, without training."""

    _graph: Graph | None = Unmade()  # type: ignore[assignment]  # of no object
    _unwatched = frozenset(
        {"_answers", "_config", "_output_shapes", "_shuffle", "feature_names_in_", "history"}
        | {"stop_training", "stop_evaluating", "stop_predicting", "surgery_report"}
        | {
            "classes_",
            "gradual_pruning",
            "steps_per_execution",
            "_drawn",
            "_input_structure",
            "_output_structure",
        }
    )
    _begins_paths = True
    _makes_masks = False
    # Where no gradients are recorded, a small call costs little more than its kernels.
    _answers: Answers | None = None
    # How inputs and outputs lie in dicts and nested lists; None for one tensor, or a list of them.
    _input_structure: Structure = None
    _output_structure: Structure = None
    # What a chain was drawn as, where somebody has asked for its tensors.
    _drawn: Any = None

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        *,
        name: str | None = None,
        dtype: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(name=name, dtype=None if dtype is None else check_dtype(dtype))
        self.seed = None if seed is None else check_seed(seed, "seed")
        self._state.given_seed = self.seed
        self._state.seed = next_seed() if self.seed is None else self.seed
        self._output_shapes: list[Any] = []
        self._graph = None
        self._input: Symbolic | None = None
        self._answers = Answers()
        if (inputs is None) is not (outputs is None):
            raise ValueError("inputs, outputs: expected both or neither")
        if inputs is not None:
            given, self._input_structure = taken_apart(inputs)
            wanted, self._output_structure = taken_apart(outputs)
            self._graph = Graph(given, wanted)
            if self._state.dtype is None:
                self._state.dtype = given[0].dtype
            shapes = [tensor.shape for tensor in given]
            if type(self).call is Network.call:
                self._build_for(shapes if len(shapes) > 1 else shapes[0])
            else:
                # What a `call` of its own uses besides is not there yet: data will build it.
                self._adopt_children()

    def __getstate__(self) -> dict[str, Any]:
        """Return all that the model keeps, for pickles and copies; captures stay here."""
        state = {**super().__getstate__(), "_answers": Answers()}
        state.pop("_drawn", None)
        if self._graph is not None:
            # The graph has them, and is taken apart without recursion.
            bound = self._bound()
            for name in ENDS & bound.arguments.keys():
                bound.arguments[name] = isinstance(bound.arguments[name], (list, tuple, dict))
            state["_made_with"] = bound.args, bound.kwargs
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        super().__setstate__(state)
        if self._graph is None:
            return
        bound = self._bound()
        for name in ENDS & bound.arguments.keys():
            ends = getattr(self._graph, name)
            structure = self._input_structure if name == "inputs" else self._output_structure
            if structure is not None:
                ends = packed(structure, ends)
            bound.arguments[name] = ends if bound.arguments[name] else ends[0]
        vars(self)["_made_with"] = bound.args, bound.kwargs

    def _children(self) -> list[tuple[str, Layer]]:
        if self._graph is None:
            return super()._children()
        drawn = [("", layer) for layer in self._graph.layers()]
        return drawn if type(self).call is Network.call else self._with_attributes(drawn)

    def _with_attributes(self, children: list[tuple[str, Any]]) -> list[tuple[str, Layer]]:
        """Return layers inside and those in attributes, which a class's own `call` may use."""
        known = {id(child) for _, child in children}
        return children + [item for item in super()._children() if id(item[1]) not in known]

    @property
    def layers(self) -> list[Layer]:
        """The model's layers, without those inside other layers."""
        return [layer for _, layer in self._children()]

    @overridable
    def inputs(self) -> list[Symbolic]:
        """The symbolic tensors where data comes in: of a graph, or of a chain of known input."""
        return self._known_ends()[0]

    @overridable
    def outputs(self) -> list[Symbolic]:
        """The symbolic tensors that come out: of a graph, or of a chain of known input."""
        return self._known_ends()[1]

    @overridable
    def input(self) -> Any:
        """The symbolic tensor where data comes in, or as many as there are, as they were given."""
        return packed(self._input_structure, self._known_ends()[0])

    @overridable
    def output(self) -> Any:
        """The symbolic tensor that comes out, or as many as there are, as they were given."""
        return packed(self._output_structure, self._known_ends()[1])

    @overridable
    def input_shape(self) -> Any:
        """The shape that the model was built for, rows as None, or a list; None before."""
        return self._state.input_shape

    def _ends_drawn(self) -> tuple[list[Symbolic], list[Symbolic]] | None:
        """Return the symbolic tensors where data comes in, and those that come out, if known."""
        graph = graph_of(self)
        return None if graph is None else (graph.inputs, graph.outputs)

    def _known_ends(self) -> tuple[list[Symbolic], list[Symbolic]]:
        ends = self._ends_drawn()
        if ends is None:
            raise AttributeError(
                f"{self.path}: inputs and outputs are known of graphs, and of chains that begin "
                "with evengrad.Input or have seen data; of a call that is code they are not"
            )
        return list(ends[0]), list(ends[1])

    def get_config(self) -> dict[str, Any]:
        """Return what makes the model again, without its values: `from_config` takes it.

        Of chains and graphs the layers, each with class and arguments, and how they are connected,
        in numbers, text, lists and dicts alone, which JSON holds; of a class with a `call` or a
        constructor of its own, the arguments.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu")])
        >>> config = model.get_config()
        >>> config["layers"][0]["class_name"], config["layers"][0]["config"]["units"]
        ('Dense', 3)
        >>> eg.Sequential.from_config(config)
        Sequential([Input((4,)), Dense(3, activation='relu')])
        """
        if not is_made_of_layers(self):
            return self._arguments()
        config: dict[str, Any] = serialize(self)["config"]
        return config

    def _arguments(self) -> dict[str, Any]:
        config, given = super().get_config(), self._bound().arguments
        # As they were given; the attributes of these names are lists.
        return {**config, **{name: given[name] for name in ENDS & given.keys() & config.keys()}}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """Return a model made of what `get_config` returned, with first values.

        Parameters
        ----------
        config
            As `get_config` returned it.
        custom_objects
            Your own classes and functions by name.

        Raises
        ------
        ValueError
            An unknown class, or a configuration that describes no model.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3, "relu")], seed=1)
        >>> twin = eg.Sequential.from_config(model.get_config())
        >>> bool((twin.get_weights()[0] == model.get_weights()[0]).all())
        True
        """
        layers = config.get("layers")
        is_described = isinstance(layers, list) and all(isinstance(one, dict) for one in layers)
        if is_described and CLASSES.get(cls.__name__) is cls:
            described = {"module": "evengrad.models", "class_name": cls.__name__}
            made: Self = deserialized({**described, "config": config}, "models", custom_objects)
            return made
        return super().from_config(config)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its position; one inside another layer by its path.

        Raises
        ------
        ValueError
            No layer has the name, or neither or both are given.
        IndexError
            There is no such position.

        Examples
        --------
        >>> model = eg.Sequential([eg.Input((4,)), eg.layers.Dense(3), eg.layers.Dense(2)])
        >>> model.get_layer("dense_1").units
        2
        """
        if (name is None) is (index is None):
            raise ValueError("get_layer: expected a name or an index")
        if index is not None:
            return self.layers[index]
        if "/" in str(name):
            inside: list[tuple[str, Layer]] = module_tree(self).layers
            for prefix, layer in inside:
                if prefix == f"{name}/":
                    return layer
        return layer_named(self.layers, name, "get_layer")

    def build(self, input_shape: Any) -> None:
        """Make all variables: of a subclass, by running `call` on one row of zeros.

        Examples
        --------
        >>> model = eg.Sequential([eg.layers.Dense(2)])
        >>> model.build((None, 4))
        >>> model.count_params()
        10
        """
        if self._state.building != threading.get_ident():
            self._build_for(self._shapes(input_shape))
            return
        graph = graph_of(self)
        if graph is not None:
            self._output_shapes = [tensor.shape for tensor in graph.outputs]
            return
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        training, call_context.training = call_context.training, False
        try:
            self._output_shapes = shapes_of_outputs(
                lambda rows: self._run(rows, []), shapes, self.dtype
            )
        finally:
            call_context.training = training

    @staticmethod
    def _shapes(input_shape: Any) -> Any:
        """Return a user's shape, or list of shapes, as tuples with None for the rows."""
        if isinstance(input_shape, list) and any(
            isinstance(one, (tuple, list)) for one in input_shape
        ):
            return [(None, *check_row_shape(one[1:], "input_shape")) for one in input_shape]
        return (None, *check_row_shape(tuple(input_shape)[1:], "input_shape"))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return the outputs; a subclass writes this, and may ask its base for those of the graph.

        `training` holds for all layers inside that were not drawn with one; by default that of the
        call around.
        """
        if self._graph is None:
            raise NotImplementedError(
                f"{type(self).__name__} must define call(self, x, training), or be made as "
                f"Model(inputs, outputs){renamed_forward(self)}"
            )
        inputs = list(x) if isinstance(x, (list, tuple)) else [x]
        before = call_context.training
        if training is not None:
            call_context.training = bool(training)
        try:
            outputs = self._graph.run(inputs, [False] * len(self._graph.outputs))
        finally:
            call_context.training = before
        return outputs if len(outputs) > 1 else outputs[0]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return None: outputs have the masks that layers inside have given them."""
        del inputs, previous_mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, rows given as None; a list where there are several."""
        self._build_for(input_shape)
        shapes = self._output_shapes
        if any(is_open(shape) for shape in shapes):
            # The input may say more.
            given = input_shape if isinstance(input_shape, list) else [input_shape]
            graph = graph_of(self)
            if graph is None:
                return super().compute_output_shape(input_shape)
            shapes = graph.output_shapes(given)
        return shapes if len(shapes) > 1 else shapes[0]

    @property
    def output_shape(self) -> Any:
        """The shape of the output, or a list of them; None before the model is built."""
        if not self.built:
            return None
        return self._output_shapes if len(self._output_shapes) > 1 else self._output_shapes[0]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, after the layers that make them."""
        count = len(self._output_shapes)
        structure = self._output_structure
        given = None if structure is None else names_in(structure)
        if given is not None:
            return given
        graph = graph_of(self)
        if graph is not None:
            made_by = [tensor.node.layer for tensor in graph.outputs]
            names = [layer.name if layer else "output" for layer in made_by]
            if len(set(names)) == count:
                return names
        return [f"output_{i + 1}" for i in range(count)]

    @property
    def final_activation(self) -> str | None:
        """The name of the activation that the only output ends in, where that is known."""
        heads = self._heads()
        return heads[0].final_activation if len(heads) == 1 and heads[0] is not None else None

    def call_without_activation(self, x: Any) -> Tensor:
        """Return the only output before its final activation."""
        inputs = list(x) if isinstance(x, (list, tuple)) else [x]
        output: Tensor = self._run(inputs, [True])[0]
        return output

    def _chain(self) -> list[Layer] | None:
        """Return the layers, where each takes the output of the one before and that is all."""
        return None

    def _ends(self) -> tuple[list[Layer] | None, list[Layer]]:
        """Return the layers that data comes to, and those that make outputs; None where unknown."""
        graph = graph_of(self)
        return (None, []) if graph is None else graph.ends()

    def _heads(self) -> list[Layer | None]:
        """Return, for each output, the layer whose activation a loss may fuse with."""
        graph = graph_of(self)
        return [None] * len(self._output_shapes) if graph is None else graph.heads()

    def _run(self, inputs: list[Any], without_activation: list[bool]) -> list[Any]:
        """Return the outputs for tensors; where asked, before the final activation."""
        graph = graph_of(self)
        if graph is not None:
            return graph.run(inputs, without_activation)
        if any(without_activation):
            raise NotImplementedError("a subclass's outputs are known after their activation only")
        x = packed(self._input_structure, inputs)
        output = self.call(x, **training_for(type(self).call, call_context.training))
        return self._flat_outputs(output)

    def _flat_outputs(self, output: Any) -> list[Any]:
        """Return what a call has returned as a list; dicts are noted, to be put together again."""
        if is_structured(output):
            leaves, structure = taken_apart(output)
            if structure != self._output_structure:
                self._output_structure = structure
            return leaves
        return list(output) if isinstance(output, (list, tuple)) else [output]

    def _called_in_structure(self, x: Any, training: bool | None, arguments: Any) -> Any:
        """Return the output for inputs in a dict or nested lists, in its own structure."""
        leaves = self._flat_inputs(x, "x")
        with access_to(self):
            if self._graph is not None:
                given = leaves if len(leaves) > 1 else leaves[0]
                output = super().__call__(given, training, **arguments)
                made = output if isinstance(output, list) else [output]
                return packed(self._output_structure, made)
            if any(isinstance(leaf, Symbolic) for leaf in leaves):
                raise TypeError(
                    f"{self.path}: expected arrays in a dict, got symbolic tensors; pass a list, "
                    "or draw this model as evengrad.Model(inputs, outputs)"
                )
            tensors = [self._convert(leaf) for leaf in leaves]
            shapes = [(None, *tensor.shape[1:]) for tensor in tensors]
            build_for(self, shapes if len(shapes) > 1 else shapes[0])
            before, context = call_context.training, call_context
            context.training = before if training is None else bool(training)
            try:
                return packed(self._output_structure, self._run(tensors, []))
            finally:
                context.training = before

    def _flat_inputs(self, x: Any, what: str) -> list[Any]:
        """Return inputs in a dict or nested lists one after the other.

        Of a subclass the first ones say how those that follow are to lie.
        """
        if isinstance(x, dict):
            note_structure(self, x)
        if self._input_structure is not None:
            return flattened(self._input_structure, x, what)
        if isinstance(x, dict):
            by_name = {symbol.name: symbol for symbol in self._known_ends()[0]}
            return flattened(["dict", [[name, None] for name in by_name]], x, what)
        return as_list(x)[0]

    def _convert(self, x: Any) -> Tensor:
        """Return an input as a tensor of the dtype that the layers in front compute in."""
        tensor = x if isinstance(x, Tensor) else _core.tensor(np.asarray(x))
        dtype = data_dtypes(self, self.dtype).inputs
        return tensor if tensor.dtype == dtype else tensor.astype(dtype)

    def __call__(self, x: Any, training: bool | None = None, **arguments: Any) -> Any:
        """Return the output for an input; see `Layer`."""
        if type(x) is dict or self._output_structure or self._input_structure:
            return self._called_in_structure(x, training, arguments)
        answers, context = self._answers, call_context
        runs_layers = training or arguments or context.training or context.layerwise
        if step_masks:
            # A captured answer takes no masks and has none.
            runs_layers = runs_layers or masks_of(x) is not None
        if answers is not None and not runs_layers:
            latest = answers.latest
            output = latest(x) if latest is not None else None
            if output is None:
                output = answers.ask(self, self._run, self._convert, x)
            if output is not None and not answers.lacks_mask:
                return output
        if not isinstance(x, (Tensor, np.ndarray)):
            x = self._without_tables(x)
        if runs_layers or _core.is_recording() or not self._state.built:
            return super().__call__(x, training, **arguments)
        # Layer by layer, and yet by the values of one moment.
        with access_to(self):
            return super().__call__(x, training)

    def _without_tables(self, x: Any) -> Any:
        """Return inputs as they were given, where none are tables."""
        return x

    def _check_input(self, shape: Any) -> None:
        expected = self._state.input_shape
        if not self.built or expected is None:
            return
        several = isinstance(expected, list)
        all_wanted = expected if several else [expected]
        all_got = shape if isinstance(shape, list) else [shape]
        if several is not isinstance(shape, list) or len(all_got) != len(all_wanted):
            count = len(all_wanted)
            raise self._story(
                f"{count} inputs of shape {show_shape(expected)}", shape, "pass a list of as many"
            )
        for got, wanted in zip(all_got, all_wanted, strict=True):
            if not fits(got, wanted):
                fix = "pass data of the shape that the model was built for"
                if len(got) == len(wanted) > 2 and got[2:] == wanted[2:]:
                    first = f"Input({(None, *wanted[2:])})"
                    fix += f", or begin it with {first} for sequences of any length"
                raise self._story(f"an input of shape {show_shape(wanted)}", got, fix)

    def _check_values(self, values: Any) -> None:
        if self._graph is None:
            return
        arrays = values if isinstance(values, list) else [values]
        places = {id(symbol): i for i, symbol in enumerate(self._graph.inputs)}
        for node in self._graph.nodes:
            main = node.inputs[: node.count]
            given = [arrays[places[id(x)]] for x in main if id(x) in places]
            if node.layer is not None and len(given) == len(main):
                check_values(node.layer, given if node.several else given[0])

    def __repr__(self) -> str:
        if self._graph is None:
            return super().__repr__()
        ends = [
            ", ".join(show_shape(symbol.shape) for symbol in side)
            for side in (self._graph.inputs, self._graph.outputs)
        ]
        return f"<Model {self.name!r}: {ends[0]} to {ends[1]}, {len(self.layers)} layers>"


# The classes whose objects follow from their layers alone, by name. The files that define them
# enter them: what makes models of models is imported by these files, and cannot import them.
CLASSES: dict[str, type[Any]] = {}


def made_of_layers(network: NetworkClass) -> NetworkClass:
    """Decorate a class of models that is made by `make_chain` or `make_graph`."""
    CLASSES[network.__name__] = network
    return network


def is_made_of_layers(layer: Layer) -> bool:
    """Tell whether a model is what `make_chain` or `make_graph` would make of its layers."""
    known = CLASSES.get(type(layer).__name__) is type(layer)
    return known and (chain_of(layer) is not None or graph_of(layer) is not None)


def make_chain(layers: Sequence[Any], **settings: Any) -> Model:
    """Return a `Sequential` of layers, an `Input` in front if there is one."""
    model: Model = CLASSES["Sequential"](layers, **settings)
    return model


def make_graph(inputs: Sequence[Symbolic], outputs: Sequence[Symbolic], **settings: Any) -> Model:
    """Return a `Model` of what leads from inputs to outputs; one of a list stands by itself."""
    ends = [side if len(side) > 1 else side[0] for side in (inputs, outputs)]
    model: Model = CLASSES["Model"](*ends, **settings)
    return model


def make_graph_like(
    old: Layer, inputs: Sequence[Symbolic], outputs: Sequence[Symbolic], **settings: Any
) -> Model:
    """Return a `Model` whose inputs and outputs lie in dicts and lists as those of another one."""
    model, graph = make_graph(inputs, outputs, **settings), graph_of(old)
    if isinstance(old, Network) and graph is not None:
        sides = (inputs, graph.inputs), (outputs, graph.outputs)
        pairs = zip(structures_of(old), sides, strict=True)
        kept = [one if len(new) == len(before) else None for one, (new, before) in pairs]
        set_structures(model, *kept)
    return model


def chain_of(layer: Layer) -> list[Layer] | None:
    """Return the layers of a model that is a chain; None of any other, and of other layers."""
    return layer._chain() if isinstance(layer, Network) else None  # noqa: SLF001 - of this file


def graph_of(layer: Layer) -> Graph | None:
    """Return the graph of a model that was drawn; None of any other, and of other layers."""
    if not isinstance(layer, Network) or type(layer).call is not Network.call:
        return None
    return layer._graph  # noqa: SLF001 - as above


def given_graph_of(layer: Layer) -> Graph | None:
    """Return the graph that a model of a class of users' was given; None of any other layer."""
    if not isinstance(layer, Network) or is_made_of_layers(layer):
        return None
    # One that its constructor draws comes of itself.
    given = layer._bound().arguments.keys() >= ENDS  # noqa: SLF001 - as above
    return layer._graph if given else None  # noqa: SLF001 - as above


class DataDtypes(NamedTuple):
    """The dtypes that data comes to a layer in and leaves it in, so that nothing is rounded."""

    inputs: str
    outputs: str


def data_dtypes(layer: Layer, around: str) -> DataDtypes:
    """Return the dtypes of data: of a model those of its layers in front and at the end.

    The wider one of several; of a subclass its own, or that of its layers, if all have a wider one.
    `around` is the dtype of the model around.
    """
    own = state_of(layer).dtype or around
    if not isinstance(layer, Network):
        return DataDtypes(own, own)
    front, end = layer._ends()  # noqa: SLF001 - of this file
    if front is None:
        inside = {dtype for one in layer.layers for dtype in data_dtypes(one, own)}
        own = max(own, *inside) if len(inside) == 1 else own
        return DataDtypes(own, own)
    return DataDtypes(
        max([data_dtypes(one, own).inputs for one in front], default=own),
        max([data_dtypes(one, own).outputs for one in end], default=own),
    )


def check_built(network: Network, what: str) -> None:
    """Raise an error where something needs variables that are not there yet."""
    if not network.built:
        raise ValueError(
            f"{network.path}: {what} before the model is built; pass data, or begin the model with "
            "evengrad.Input(shape)"
        )


def layer_named(layers: list[Layer], name: Any, argument: str) -> Layer:
    """Return the layer of that name, or raise an error that lists those there are."""
    for layer in layers:
        if layer.name == name:
            return layer
    names = [layer.name for layer in layers]
    raise ValueError(f"{argument}: no layer {name!r}; {did_you_mean(str(name), names)}")


def input_of(network: Network) -> Symbolic | None:
    """Return the `Input` that a chain begins with, if it does."""
    return network._input  # noqa: SLF001 - as above


def view_of(model: Any) -> ModelView:
    """Return a model as training sees it."""
    view: ModelView = model._view()  # noqa: SLF001 - as above
    return view


def start_anew(model: Model, seed: int | None) -> None:
    """Make of a model one that was never trained: with first values from a seed, not compiled."""
    model._start_anew(seed)  # noqa: SLF001 - the file of its class imports this one


def structures_of(network: Network) -> tuple[Structure, Structure]:
    """Return how the inputs of a model lie in dicts and nested lists, and its outputs."""
    return network._input_structure, network._output_structure  # noqa: SLF001 - as above


def note_structure(network: Network, x: dict[Any, Any]) -> None:
    """Have a model whose call is code get its inputs in a dict, as the first ones come."""
    is_code = graph_of(network) is None and chain_of(network) is None
    if is_code and structures_of(network)[0] is None:
        network._input_structure = taken_apart(x)[1]  # noqa: SLF001 - as above


def set_structures(network: Network, inputs: Structure, outputs: Structure) -> None:
    """Have a model take and return tensors in dicts and nested lists."""
    network._input_structure, network._output_structure = inputs, outputs  # noqa: SLF001 - as above


def heads_of(network: Network) -> list[Layer | None]:
    """Return, for each output, the layer whose activation a loss may fuse with."""
    return network._heads()  # noqa: SLF001 - as above


@dataclass(eq=False)
class ModelView:
    """A model as `training._protocol.TrainableModel`, made of the model's own methods."""

    # What users hold.
    public: Model
    # Of a model that was drawn.
    graph_inputs: list[Symbolic] | None
    heads: Callable[[], list[Layer | None]]
    forward: Callable[..., list[Tensor]]
    frozen_part: Callable[[list[Tensor]], FrozenPart]
    answer: Callable[[np.ndarray[Any, Any]], Tensor | None]
    answer_each: Callable[[np.ndarray[Any, Any], int, np.ndarray[Any, Any]], bool]
    shuffle: Callable[[], Generator]
    config: Callable[[], CompileConfig]
    set_seed: Callable[[int], None]
    check_values: Callable[[Any], None]
    compute_output_shape: Callable[[Any], Any]
    described: Callable[[CompileConfig], tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]]
    write: Callable[[str | os.PathLike[str]], None]
    # Methods of the class that Keras would call, and nothing here does.
    own_steps: tuple[str, ...]
    # The class's own `compute_loss`, if it writes one.
    own_loss: Callable[..., Tensor] | None
    layer_facts: Callable[..., list[tuple[Layer, LayerFacts]]]

    @property
    def path(self) -> str:
        """What messages call the model."""
        return self.public.path

    @functools.cached_property
    def dtypes(self) -> DataDtypes:
        """What inputs come in, and targets and weights: as the layers there compute."""
        return data_dtypes(self.public, _core.get_default_dtype())

    @property
    def input_names(self) -> list[str] | None:
        """Names of the inputs; None where the model takes what it is given."""
        inputs = self.graph_inputs
        structure = self.public._input_structure  # noqa: SLF001 - not to call for it
        given = None if structure is None else names_in(structure)
        if given is not None or inputs is None:
            return given
        if len(inputs) == 1:
            return [inputs[0].name or "input"]
        return [symbol.name or f"input_{i + 1}" for i, symbol in enumerate(inputs)]

    @property
    def input_shape(self) -> Any:
        """The shape that it was built for, or a list of them; rows as None."""
        return state_of(self.public).input_shape

    def flat_inputs(self, x: Any) -> Any:
        """Return inputs in nested lists or dicts as a list; others, and dicts by name, as given."""
        if isinstance(x, dict) and not is_sparse(x):
            note_structure(self.public, x)
        structure = structures_of(self.public)[0]
        if structure is None or (names_in(structure) is not None and isinstance(x, dict)):
            return x
        return flattened(structure, x, "x")

    def flat_targets(self, y: Any) -> Any:
        """Return targets in nested lists or dicts, as the outputs lie, as a list."""
        structure = structures_of(self.public)[1]
        nested = structure is not None and names_in(structure) is None
        return flattened(structure, y, "y") if nested else y

    def packed_inputs(self, inputs: list[Any]) -> Any:
        """Return inputs as the model takes them: one, a list, or in their structure."""
        return packed(structures_of(self.public)[0], inputs)

    def packed_outputs(self, outputs: list[Any]) -> Any:
        """Return outputs as the model returns them: one, a list, or in their structure."""
        return packed(structures_of(self.public)[1], outputs)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return self.public.output_names

    @property
    def output_shapes(self) -> list[Any]:
        """Shapes of the outputs, rows as None."""
        shape = self.public.output_shape
        return shape if isinstance(shape, list) else [shape]

    @property
    def tree(self) -> ModuleTree:
        """All layers and variables."""
        return module_tree(self.public)

    def build_for(self, shape: Any) -> None:
        """Build the model for inputs of this shape, or check that they fit."""
        build_for(self.public, shape)

    def with_config(self, config: CompileConfig) -> ModelView:
        """Return the model with other arguments of `compile`."""
        return replace(self, config=lambda: config)

    def edges(self) -> list[str]:
        """Return the edges of the graphs that the model and those inside it were drawn as."""
        found = []
        for prefix, layer in self.tree.layers:
            graph = graph_of(layer)
            if graph is not None:
                found += [f"{prefix}{edge}" for edge in graph.edges()]
        return found

    def seed(self) -> int:
        """Return the seed that the model's random streams follow from."""
        return seed_of(self.public)

    def given_seed(self) -> int | None:
        """Return the seed that the user gave."""
        return state_of(self.public).given_seed
