"""How layers that shift and scale are written: normalizations and fixed factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad import layers
from evengrad.layers._batch_normalization import is_over_last as batch_norm_is_over_last
from evengrad.layers._layer_normalization import is_over_last as layer_norm_is_over_last
from evengrad.layers._preprocessing import factors_of
from evengrad.models._onnx._drawing import refused, writes
from evengrad.models._onnx._writer import values_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models._onnx._writer import Value, Writer

# Means this many times as large as deviations: runtimes make one product and one sum of the four
# vectors of a batch normalization, which loses as many digits as the number has.
LARGE_MEAN = 16.0


@writes(layers.BatchNormalization)
def write_batch_norm(writer: Writer, layer: layers.BatchNormalization, inputs: list[Value]) -> str:
    """Write gamma · (x − mean) / √(variance + epsilon) + beta.

    The operator normalizes the second dimension, as the last one is in rows that are vectors. Other
    rows, and inputs whose mean is large beside their deviation, are shifted, then scaled.
    """
    if not batch_norm_is_over_last(layer, len(inputs[0].shape)):
        raise refused(layer, "a normalization of another dimension than the last")
    mean, variance = values_of(layer.moving_mean), values_of(layer.moving_variance)
    gamma = np.ones_like(mean) if layer.gamma is None else values_of(layer.gamma)
    beta = np.zeros_like(mean) if layer.beta is None else values_of(layer.beta)
    deviation = np.sqrt(variance + layer.epsilon)
    if len(inputs[0].shape) != 2 or bool((np.abs(mean) > LARGE_MEAN * deviation).any()):
        with np.errstate(divide="ignore", invalid="ignore"):
            return _shifted(writer, layer, inputs[0], mean, gamma / deviation, beta)
    # Attributes are float32; what that takes from epsilon goes to the variance.
    epsilon = float(np.float32(layer.epsilon))
    named = {
        "gamma": gamma,
        "beta": beta,
        "moving_mean": mean,
        "moving_variance": variance + (layer.epsilon - epsilon),
    }
    vectors = [writer.weight(values, name, layer) for name, values in named.items()]
    return writer.add("BatchNormalization", inputs[0].name, *vectors, epsilon=epsilon)


def _shifted(
    writer: Writer, owner: layers.Layer, value: Value, mean: Array, factor: Array, offset: Array
) -> str:
    """Write (x − mean) · factor + offset: in this order large means cost no digits."""
    shifted = writer.add("Sub", value.name, writer.weight(mean, "mean", owner))
    scaled = writer.add("Mul", shifted, writer.weight(factor, "factor", owner))
    return writer.add("Add", scaled, writer.weight(offset, "offset", owner))


@writes(layers.LayerNormalization)
def write_layer_norm(writer: Writer, layer: layers.LayerNormalization, inputs: list[Value]) -> str:
    """Write gamma · x̂ + beta."""
    if not layer_norm_is_over_last(layer, len(inputs[0].shape)):
        raise refused(layer, "a normalization of another dimension than the last")
    width = inputs[0].shape[-1]
    gamma = np.ones(width or 1) if layer.gamma is None else values_of(layer.gamma)
    vectors = [writer.weight(gamma, "gamma", layer)]
    if layer.beta is not None:
        vectors.append(writer.weight(values_of(layer.beta), "beta", layer))
    return writer.add(
        "LayerNormalization", inputs[0].name, *vectors, axis=-1, epsilon=layer.epsilon
    )


@writes(layers.Normalization)
def write_normalization(writer: Writer, layer: layers.Normalization, inputs: list[Value]) -> str:
    """Write (x − mean) / deviation, or the opposite."""
    mean, deviation = factors_of(layer, inputs[0].shape)
    shift = writer.weight(mean, "mean", layer)
    if layer.invert:
        scaled = writer.add("Mul", inputs[0].name, writer.weight(deviation, "deviation", layer))
        return writer.add("Add", scaled, shift)
    shifted = writer.add("Sub", inputs[0].name, shift)
    return writer.add("Mul", shifted, writer.weight(1.0 / deviation, "factor", layer))


@writes(layers.Rescaling)
def write_rescaling(writer: Writer, layer: layers.Rescaling, inputs: list[Value]) -> str:
    """Write x · scale + offset."""
    made = inputs[0].name
    if layer.scale != 1.0:
        made = writer.add("Mul", made, writer.number(layer.scale, "scale"))
    if layer.offset:
        made = writer.add("Add", made, writer.number(layer.offset, "offset"))
    return made
