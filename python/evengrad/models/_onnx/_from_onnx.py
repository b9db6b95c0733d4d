"""`Model.from_onnx`: a model of the layers that a graph of ONNX operators is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evengrad._common.config import outside_scopes
from evengrad._common.names import did_you_mean, printable
from evengrad.layers._module import state_of
from evengrad.layers._symbolic import Input
from evengrad.models._graph import Graph
from evengrad.models._network import make_chain, make_graph
from evengrad.models._onnx import (  # noqa: F401 - they enter the functions that read operators
    _read_arithmetic,
    _read_choices,
    _read_functions,
    _read_layers,
    _read_moments,
    _read_recurrent,
    _read_reshape,
    _read_shapes,
    _read_steps,
)
from evengrad.models._onnx._file import FLOATS, OnnxFile
from evengrad.models._onnx._folding import FOLDS
from evengrad.models._onnx._library import DOMAINS
from evengrad.models._onnx._reader import READERS, Reader
from evengrad.models._onnx._values import Operation
from evengrad.models._segments import segments_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from evengrad.models._model import Model

DOUBLE = 11
# What our own files are made by: their nodes bear the names of layers.
OURS = "evengrad"
# Operators of other domains that are read: skl2onnx names the classes of shares with it.
OTHERS = {("ai.onnx.ml", "ZipMap")}
# What attributes are, by their numbers in `AttributeProto`.
FLOAT, INT, STRING, TENSOR, FLOAT_LIST, INT_LIST, STRING_LIST = 1, 2, 3, 4, 6, 7, 8


class Found(NamedTuple):
    """The model of a file, and what messages call the file."""

    model: Model
    shown: str
    # Whether we have written it, so that names are those of layers: their paths, by the names here.
    ours: bool
    paths: dict[str, str]


def from_onnx(path: str | os.PathLike[str], outputs: Any = None) -> Model:
    """Return a model that computes what a file does; see `Model.from_onnx`."""
    return found_in(OnnxFile(path, "Model.from_onnx"), outputs).model


@outside_scopes()
def found_in(file: OnnxFile, outputs: Any) -> Found:
    """Return the model of a file."""
    graph = file.graph
    wanted = _wanted(file, outputs)
    operations = _behind(file, wanted)
    reader = Reader(file)
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in arrays]
    kinds = [one.type.tensor_type.elem_type for one in inputs]
    # A model of whole numbers alone has the dtype of its weights.
    floats = [kind for kind in kinds if kind in FLOATS] or [x.data_type for x in graph.initializer]
    reader.dtype = "float64" if DOUBLE in floats else "float32"
    used = {name for operation in operations for name in operation.inputs} | set(wanted)
    for described in inputs:
        # Exporters leave inputs that nothing reads; where we have written one, it was meant.
        if described.name in used or file.producer == OURS:
            reader.add_input(described)
    for name in used & arrays.keys():
        reader.values[name] = file.array(arrays[name], f"initializer {name!r}")
    _check_names(file, operations, wanted, set(reader.values))
    for operation in operations:
        _with_arrays(file, operation)
    ends = reader.run(operations, wanted)
    paths = {one.name: one.path for one in operations if one.name is not None}
    return Found(_model(file, reader, ends), file.shown, file.producer == OURS, paths)


def _wanted(file: OnnxFile, outputs: Any) -> list[str]:
    """Return the names of outputs that the model is to have: all, or by place or name."""
    names = [one.name for one in file.graph.output]
    if outputs is None:
        given: list[Any] = names
    else:
        given = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    found = []
    for one in given:
        if isinstance(one, int) and not isinstance(one, bool) and -len(names) <= one < len(names):
            found.append(names[one])
        elif one in names:
            found.append(one)
        else:
            raise ValueError(
                f"outputs: {file.shown} has no {one!r} among its {len(names)} outputs; "
                f"{did_you_mean(str(one), names)}"
            )
    if not found:
        raise file.error("the graph has no outputs")
    return found


def _behind(file: OnnxFile, wanted: list[str]) -> list[Operation]:
    """Return the operators that outputs depend on, in the file's order."""
    needed, found = set(wanted), []
    for number in range(len(file.graph.node) - 1, -1, -1):
        node = file.graph.node[number]
        if needed.intersection(filter(None, node.output)):
            found.append(_operation(file, node, number))
            needed.update(node.input)
    return found[::-1]


def _operation(file: OnnxFile, node: Any, number: int) -> Operation:
    named = f" {node.name!r}" if node.name else ""
    ours = node.domain in DOMAINS or (node.domain, node.op_type) in OTHERS
    domain = "" if ours else f"{node.domain}."
    place = f"node {number}{named} ({domain}{node.op_type})"
    if domain or node.op_type not in READERS.keys() | FOLDS.keys():
        raise file.error(f"{place}: no layer is known for this operator")
    attributes = {}
    for attribute in node.attribute:
        attributes[attribute.name] = _attribute(file, attribute, place)
    # Ours have the path of the layer, that of the model in front, and the operator at the end.
    ours = file.producer == OURS and "/" in node.name
    path = "/".join(node.name.split("/")[1:-1]) if ours else ""
    name = printable(path.replace("/", "_")) or None
    inputs, outputs = list(node.input), list(node.output)
    while inputs and not inputs[-1]:
        inputs.pop()
    return Operation(node.op_type, place, name, inputs, outputs, attributes, path)


def _attribute(file: OnnxFile, attribute: Any, place: str) -> Any:
    kinds: dict[int, Callable[[], Any]] = {
        FLOAT: lambda: attribute.f,
        INT: lambda: attribute.i,
        STRING: lambda: attribute.s.decode("utf-8", "replace"),
        # Read when it is known to be needed.
        TENSOR: lambda: attribute.t,
        FLOAT_LIST: lambda: list(attribute.floats),
        INT_LIST: lambda: list(attribute.ints),
        STRING_LIST: lambda: [one.decode("utf-8", "replace") for one in attribute.strings],
    }
    if attribute.type not in kinds:
        raise file.error(f"{place}: attribute {attribute.name!r} of a kind that no layer takes")
    return kinds[attribute.type]()


def _with_arrays(file: OnnxFile, operation: Operation) -> None:
    """Read the tensors among an operator's attributes."""
    for name, value in operation.attributes.items():
        if hasattr(value, "data_type"):
            operation.attributes[name] = file.array(value, f"{operation.place}: {name}")


def _check_names(
    file: OnnxFile, operations: list[Operation], wanted: list[str], known: set[str]
) -> None:
    """Raise an error where a value is used before it is made, or made twice."""
    for operation in operations:
        for name in operation.inputs:
            if name and name not in known:
                raise file.error(f"{operation.place}: {name!r} is used before it is made")
        for name in filter(None, operation.outputs):
            if name in known:
                raise file.error(f"{operation.place}: {name!r} is made twice")
            known.add(name)
    for name in wanted:
        if name not in known:
            raise file.error(f"output {name!r} is made by nothing")


def _model(file: OnnxFile, reader: Reader, ends: list[Any]) -> Model:
    """Return the model between the inputs and what was drawn last, with its values."""
    try:
        drawn = Graph(reader.inputs, ends)
    except (TypeError, ValueError) as error:
        raise file.error(f"the graph cannot be a model: {error}") from error
    name = printable(file.graph.name) if file.producer == OURS and file.graph.name else None
    segments = segments_of(drawn)
    chain = len(segments) == len(reader.inputs) == len(ends) == 1 and segments[0].is_chain()
    if chain:
        symbol = reader.inputs[0]
        start = Input(symbol.shape[1:], symbol.dtype, symbol.name)
        model = make_chain([start, *segments[0].layers()], name=name, dtype=reader.dtype)
    else:
        model = make_graph(reader.inputs, ends, name=name, dtype=reader.dtype)
    for layer, arrays in reader.weights:
        state = state_of(layer)
        state.provisional = False
        for weight, array in zip(state.weights, arrays, strict=False):
            if tuple(weight.tensor.shape) != array.shape:
                raise file.error(
                    f"{layer.path}/{weight.name}: expected shape {tuple(weight.tensor.shape)}, "
                    f"the file has {array.shape}"
                )
            weight.tensor.copy_(np.asarray(array, dtype=weight.tensor.dtype, order="C"))
    return model
