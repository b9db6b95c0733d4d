"""Writing models layer by layer: by the functions that are entered here, or by drawing a call."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

from evengrad._common.config import name_of
from evengrad.layers._call_context import call_context
from evengrad.layers._layer import (
    NOT_TAKEN,
    Layer,
    as_list,
    default_training,
    output_shape_of,
    training_for,
)
from evengrad.layers._module import module_tree
from evengrad.layers._operation import Operation
from evengrad.layers._symbolic import Input, Node, Symbolic
from evengrad.models._graph import Graph
from evengrad.models._network import Network, chain_of, graph_of
from evengrad.models._onnx._operators import CLIPS, FUNCTIONS, function_name
from evengrad.models._onnx._writer import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evengrad.models._onnx._writer import Writer

    Write = Callable[[Writer, Any, list[Value]], "str | list[str]"]

Function = TypeVar("Function", bound="Write")

# What writes the layers of a class, not of those derived from it, and returns the outputs' names.
WRITERS: dict[type[Layer], Write] = {}


def writes(*classes: type[Layer]) -> Callable[[Function], Function]:
    """Decorate the function that writes the layers of these classes."""

    def enter(function: Function) -> Function:
        WRITERS.update(dict.fromkeys(classes, function))
        return function

    return enter


def refused(layer: Layer, what: str) -> ValueError:
    """Return the error about a layer that is not written to files."""
    return ValueError(
        f"{layer.path}: export: {what} is not written to ONNX files; compute it before the model "
        "or behind it, or put other layers in its place"
    )


def write_call(
    writer: Writer, layer: Layer, inputs: list[Value], several: bool, arguments: dict[str, Any]
) -> list[Value]:
    """Write a use of a layer, and return what it puts out."""
    arguments = dict(arguments)
    if arguments.pop("training", False) and default_training(type(layer).call) is not NOT_TAKEN:
        raise ValueError(
            f"{layer.path}: export: the layer was drawn with training=True, and a file is for "
            "inference; draw it without"
        )
    with writer.inside(layer.name, "" if isinstance(layer, Network) else repr(layer)):
        graph = graph_of(layer)
        if chain_of(layer) is not None:
            return write_chain(writer, chain_of(layer) or [], inputs)
        if graph is not None:
            return write_graph(writer, graph, inputs)
        if type(layer) in WRITERS and not arguments:
            made = WRITERS[type(layer)](writer, layer, inputs)
            node = Node(layer, [], several, count=len(inputs))
            found = output_shape_of(node, [value.shape for value in inputs])
            shapes = found if isinstance(found, list) else [found]
            names = made if isinstance(made, list) else [made]
            return [Value(name, shape) for name, shape in zip(names, shapes, strict=True)]
        return write_graph(writer, drawn(layer, inputs, several, arguments), inputs)


def write_layer(writer: Writer, layer: Layer, inputs: list[Value]) -> list[Value]:
    """Write a layer that takes one input, or the several that there are."""
    return write_call(writer, layer, inputs, len(inputs) > 1, {})


def write_chain(writer: Writer, chain: Sequence[Layer], values: list[Value]) -> list[Value]:
    """Write layers of which each takes what the one before puts out."""
    for layer in chain:
        values = write_layer(writer, layer, values)
    return values


def write_graph(writer: Writer, graph: Graph, inputs: list[Value]) -> list[Value]:
    """Write the uses of layers in a graph."""
    values = {id(symbol): value for symbol, value in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        if node.layer is None:
            continue
        given, arguments = node.called_with([values[id(symbol)] for symbol in node.inputs])
        main = given if node.several else [given]
        made = write_call(writer, node.layer, main, node.several, arguments)
        values.update({id(x): one for x, one in zip(node.outputs, made, strict=True)})
    return [values[id(symbol)] for symbol in graph.outputs]


def drawn(layer: Layer, inputs: list[Value], several: bool, arguments: dict[str, Any]) -> Graph:
    """Return the graph that a layer's own `call` draws in inference."""
    if any(not state.built for state in module_tree(layer).states):
        # What a `call` does not use may be unbuilt; drawing must build nothing.
        layer = copy.deepcopy(layer)
    symbols = [Input(value.shape[1:], layer.dtype) for value in inputs]
    if any(isinstance(value, Value) for value in arguments.values()):
        raise ValueError(
            f"{layer.path}: export: the layer is called with tensors beside its inputs; make them "
            "inputs of it, as layer([a, b])"
        )
    training, call_context.training = call_context.training, False
    try:
        given: Any = symbols if several else symbols[0]
        outputs = layer.call(given, **training_for(type(layer).call, False), **arguments)
        graph = Graph(symbols, as_list(outputs)[0])
        for inside in graph.layers():
            if isinstance(inside, Operation):
                raise TypeError(f"it calls {inside.method}")  # noqa: TRY301 - one message
    except Exception as error:
        raise ValueError(
            f"{layer.path}: export: no operators are known for {type(layer).__name__}, and its "
            f"`call` cannot be drawn ({error}); make it of layers of this package, joined by +, - "
            "and * or by merging layers"
        ) from error
    finally:
        call_context.training = training
    return graph


def write_function(writer: Writer, function: Any, value: Value, owner: Layer) -> str:
    """Write an activation of a layer: a function, or a layer."""
    if isinstance(function, Layer):
        return write_layer(writer, function, [value])[0].name
    name = function_name(function)
    if name == "linear":
        return value.name
    if name in FUNCTIONS:
        row = FUNCTIONS[name]
        return writer.add(row.operator, value.name, **row.attributes)
    if name in CLIPS:
        low, high = CLIPS[name]
        bounds = writer.number(low, "low"), writer.number(high, "high")
        return writer.add("Clip", value.name, *bounds)
    if name in ("silu", "square"):
        other = writer.add("Sigmoid", value.name) if name == "silu" else value.name
        return writer.add("Mul", value.name, other)
    return _function_drawn(writer, function, value, owner)


def _function_drawn(writer: Writer, function: Any, value: Value, owner: Layer) -> str:
    symbol = Input(value.shape[1:], owner.dtype)
    try:
        output = function(symbol)
        if not isinstance(output, Symbolic):
            raise TypeError(f"it returned {type(output).__name__}")  # noqa: TRY301 - one message
        graph = Graph([symbol], [output])
    except Exception as error:
        shown = name_of(function) or getattr(function, "__name__", repr(function))
        raise ValueError(
            f"{owner.path}: export: no operator is known for the activation {shown}, and it cannot "
            f"be drawn ({error}); use one of evengrad.activations, or a layer"
        ) from error
    return write_graph(writer, graph, [value])[0].name
