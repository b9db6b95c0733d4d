"""How layers are written: weighted sums, functions, shapes and merges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import layers
from evengrad.layers._residual import parts_of
from evengrad.models._onnx._drawing import (
    refused,
    write_chain,
    write_function,
    write_layer,
    writes,
)
from evengrad.models._onnx._writer import Value, values_of

if TYPE_CHECKING:
    from evengrad.models._onnx._writer import Writer


@writes(layers.Dense)
def write_dense(writer: Writer, layer: layers.Dense, inputs: list[Value]) -> str:
    """Write activation(x · kernel + bias), with a normalization where there is one."""
    made = Value(_weighted(writer, layer, inputs[0]), (*inputs[0].shape[:-1], layer.units))
    before = layer.norm is not None and layer.norm_position == "before"
    if before and layer.norm is not None:
        made = write_layer(writer, layer.norm, [made])[0]
    made = Value(write_function(writer, layer.activation, made, layer), made.shape)
    if layer.norm is not None and not before:
        made = write_layer(writer, layer.norm, [made])[0]
    return made.name


def _weighted(writer: Writer, layer: Any, value: Value) -> str:
    """Write x · kernel + bias: of rows that are vectors as one operator."""
    kernel = writer.weight(values_of(layer.kernel), "kernel", layer)
    bias = [] if layer.bias is None else [writer.weight(values_of(layer.bias), "bias", layer)]
    if len(value.shape) == 2:
        return writer.add("Gemm", value.name, kernel, *bias)
    product = writer.add("MatMul", value.name, kernel)
    return writer.add("Add", product, *bias) if bias else product


@writes(layers.Maxout)
def write_maxout(writer: Writer, layer: layers.Maxout, inputs: list[Value]) -> str:
    """Write the largest of several weighted sums."""
    sums = _weighted(writer, layer, inputs[0])
    kept = [0] * (len(inputs[0].shape) - 1)
    shape = writer.whole([*kept, layer.pieces, layer.units], "pieces")
    pieces = writer.add("Reshape", sums, shape)
    return writer.add("ReduceMax", pieces, writer.whole([len(kept)], "axis"), keepdims=0)


@writes(layers.Embedding)
def write_embedding(writer: Writer, layer: layers.Embedding, inputs: list[Value]) -> str:
    """Write embeddings[x]."""
    if layer.mask_zero:
        raise ValueError(
            f"{layer.path}: export: mask_zero=True makes a mask, which the operators behind it "
            "would not know of; export a layer without it, and rows without padding"
        )
    # INT64, as enumerated in onnx.TensorProto.
    numbers = writer.add("Cast", inputs[0].name, to=7)
    table = writer.weight(values_of(layer.embeddings), "embeddings", layer)
    return writer.add("Gather", table, numbers, axis=0)


@writes(layers.Activation)
def write_activation(writer: Writer, layer: layers.Activation, inputs: list[Value]) -> str:
    """Write the function."""
    return write_function(writer, layer.activation, inputs[0], layer)


@writes(layers.ELU)
def write_elu(writer: Writer, layer: layers.ELU, inputs: list[Value]) -> str:
    """Write x where x > 0, else alpha · (e^x − 1)."""
    return writer.add("Elu", inputs[0].name, alpha=layer.alpha)


@writes(layers.Softmax)
def write_softmax(writer: Writer, layer: layers.Softmax, inputs: list[Value]) -> str:
    """Write the shares."""
    axes = layer.axis if isinstance(layer.axis, (tuple, list)) else [layer.axis]
    if len(axes) > 1:
        raise refused(layer, "a softmax over several dimensions")
    return writer.add("Softmax", inputs[0].name, axis=axes[0])


@writes(
    *(layers.CategoryEncoding, layers.Discretization, layers.Dot, layers.Operation),
    *(layers.Permute, layers.SpectralNormalization, layers.UnitNormalization),
)
def write_none(writer: Writer, layer: layers.Layer, inputs: list[Value]) -> str:
    """Refuse a layer."""
    del writer, inputs
    raise refused(layer, type(layer).__name__)


@writes(layers.LeakyReLU, layers.RReLU)
def write_leaky_relu(writer: Writer, layer: Any, inputs: list[Value]) -> str:
    """Write the rectifier with a leak; a random one has its mean in inference."""
    random = isinstance(layer, layers.RReLU)
    slope = (layer.lower + layer.upper) / 2 if random else layer.negative_slope
    return writer.add("LeakyRelu", inputs[0].name, alpha=slope)


@writes(layers.PReLU)
def write_prelu(writer: Writer, layer: layers.PReLU, inputs: list[Value]) -> str:
    """Write the rectifier with a learned slope; the operator lines slopes up from the last axis."""
    slopes = writer.weight(values_of(layer.alpha), "alpha", layer)
    return writer.add("PRelu", inputs[0].name, slopes)


@writes(layers.ReLU)
def write_relu(writer: Writer, layer: layers.ReLU, inputs: list[Value]) -> str:
    """Write the rectifier with leak, threshold and upper bound."""
    x, slope = inputs[0].name, layer.negative_slope
    if layer.threshold:
        # The operator's threshold is the last number that counts as below.
        last = float(np.nextafter(np.float32(layer.threshold), np.float32(-1)))
        made = writer.add("ThresholdedRelu", x, alpha=last)
        if slope:
            distance = writer.add("Sub", writer.number(layer.threshold, "threshold"), x)
            below = writer.add("Relu", distance)
            leak = writer.add("Mul", below, writer.number(-slope, "negative_slope"))
            made = writer.add("Add", made, leak)
    else:
        made = writer.add("LeakyRelu", x, alpha=slope) if slope else writer.add("Relu", x)
    if layer.max_value is None:
        return made
    return writer.add("Min", made, writer.number(layer.max_value, "max_value"))


@writes(layers.Flatten)
def write_flatten(writer: Writer, layer: layers.Flatten, inputs: list[Value]) -> str:
    """Write rows as vectors."""
    del layer
    return writer.add("Flatten", inputs[0].name, axis=1)


@writes(layers.Reshape)
def write_reshape(writer: Writer, layer: layers.Reshape, inputs: list[Value]) -> str:
    """Write another shape for each row; 0 leaves the number of rows as it is."""
    sizes = layer.compute_output_shape(inputs[0].shape)[1:]
    return writer.add("Reshape", inputs[0].name, writer.whole([0, *sizes], "shape"))


@writes(layers.Residual)
def write_residual(writer: Writer, layer: layers.Residual, inputs: list[Value]) -> str:
    """Write activation(shortcut + body)."""
    body, projection = parts_of(layer)
    inner = write_chain(writer, body, inputs)[0]
    shortcut = inputs[0] if projection is None else write_layer(writer, projection, inputs)[0]
    total = Value(writer.add("Add", shortcut.name, inner.name), inner.shape)
    return write_function(writer, layer.activation, total, layer)


MERGES = {layers.Add: "Add", layers.Subtract: "Sub", layers.Multiply: "Mul", layers.Average: "Add"}
MERGES |= {layers.Maximum: "Max", layers.Minimum: "Min"}


@writes(*MERGES)
def write_merge(writer: Writer, layer: Any, inputs: list[Value]) -> str:
    """Write inputs joined one after the other, in the order in which the layer takes them."""
    made = inputs[0].name
    for value in inputs[1:]:
        made = writer.add(MERGES[type(layer)], made, value.name)
    if isinstance(layer, layers.Average) and len(inputs) > 1:
        made = writer.add("Div", made, writer.number(len(inputs), "count"))
    return made


@writes(layers.Concatenate)
def write_concatenate(writer: Writer, layer: layers.Concatenate, inputs: list[Value]) -> str:
    """Write inputs side by side."""
    names = [value.name for value in inputs]
    return writer.add("Concat", *names, axis=layer.axis)
