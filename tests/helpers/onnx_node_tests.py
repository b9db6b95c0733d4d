"""The ONNX project's own tests of operators, as graphs of rows with weights."""

import importlib
import warnings

import numpy as np
import onnx
from onnx import helper, numpy_helper

RECURRENT = ("GRU", "LSTM", "RNN")
# Operators whose inputs are all computed by graphs; of others the first is, and the rest constant.
MERGES = ("Add", "Concat", "Max", "Mean", "Min", "Mul", "Sub", "Sum")
# Operators whose constants differ by the first dimension: all of the data is one row.
ONE_ROW = ("Div", "PRelu")
# Modules of tests whose names are not those of their operators.
MODULES = {"BatchNormalization": "batch_normalization"}


def cases(operators):
    """Return the tests of operators, by name, with those of the operators' own formulas."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        node = importlib.import_module("onnx.backend.test.case.node")
        for operator in sorted(operators):
            name = MODULES.get(operator, operator.lower())
            try:
                importlib.import_module(f"onnx.backend.test.case.node.{name}")
            except ModuleNotFoundError:
                continue
    return {case.name: case for case in node._NodeTestCases}


def as_array(value):
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value)


def as_rows(case):
    """Return a test's model with constants in the places of weights, the data, and the outputs."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    inputs, outputs = case.data_sets[0]
    names = [one.name for one in graph.input]
    arrays = dict(zip(names, map(as_array, inputs), strict=True))
    expected = dict(zip((one.name for one in graph.output), map(as_array, outputs), strict=True))
    operator = graph.node[0].op_type
    kept = names[:1]
    if operator in MERGES and len({x.shape for x in arrays.values()}) == 1:
        kept = names
    if operator == "Gather":
        kept = names[1:]
    if (
        operator == "Gemm"
        and len(names) > 2
        and arrays[names[2]].shape == arrays[names[0]].shape[:1] + (arrays[names[1]].shape[-1:])
    ):
        # A bias that differs by row is one that the graph computes.
        kept = [names[0], names[2]]
    for name in [name for name in names if name not in kept]:
        graph.initializer.append(numpy_helper.from_array(arrays.pop(name), name))
    described = [one for one in graph.input if one.name in kept]
    del graph.input[:]
    graph.input.extend(described)
    if operator in ONE_ROW and len(graph.node) == 1:
        _one_row(graph, arrays, expected)
    if operator in RECURRENT and not layout_of(graph.node[0]):
        _rows_first(graph, arrays, expected)
    if operator == "LayerNormalization" or case.name.startswith("test_layer_normalization"):
        # Mean and deviation are for training.
        while len(graph.output) > 1:
            del expected[graph.output[-1].name]
            del graph.output[-1]
    return model, [arrays[one.name] for one in graph.input], list(expected.values())


def _one_row(graph, arrays, expected):
    for described in (*graph.input, *graph.output):
        sizes = [1, *(d.dim_value for d in described.type.tensor_type.shape.dim)]
        kind = described.type.tensor_type.elem_type
        described.CopyFrom(helper.make_tensor_value_info(described.name, kind, sizes))
    for values in (arrays, expected):
        for name in list(values):
            values[name] = values[name][None]


def layout_of(node):
    return next((a.i for a in node.attribute if a.name == "layout"), 0)


def _rows_first(graph, arrays, expected):
    """Put operators around a recurrent one, so that rows stand before steps."""
    (name,) = arrays
    arrays[name] = arrays[name].transpose(1, 0, 2)
    before = helper.make_node("Transpose", [name], ["steps"], perm=[1, 0, 2])
    recurrent = graph.node[0]
    recurrent.input[0] = "steps"
    nodes = [before, recurrent]
    for output in graph.output:
        steps = expected[output.name].ndim == 4
        order = [2, 0, 1, 3] if steps else [1, 0, 2]
        place = list(recurrent.output).index(output.name)
        recurrent.output[place] += "_raw"
        nodes.append(
            helper.make_node("Transpose", [output.name + "_raw"], [output.name], perm=order)
        )
        expected[output.name] = expected[output.name].transpose(order)
    shape = graph.input[0].type.tensor_type.shape.dim
    shape[0].dim_value, shape[1].dim_value = shape[1].dim_value, shape[0].dim_value
    del graph.node[:]
    graph.node.extend(nodes)
