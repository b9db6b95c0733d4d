"""Folding batch normalisation into the dense layers next to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._config import remade
from evengrad.layers._batch_normalization import BatchNormalization
from evengrad.layers._dense import Dense
from evengrad.layers._layer import Layer
from evengrad.layers._symbolic import Input
from evengrad.models._network import Network

if TYPE_CHECKING:
    from evengrad.models._sequential import Sequential

Array = np.ndarray[Any, Any]


@dataclass
class _Linear:
    """x · kernel + bias, from this layer."""

    layer: Dense
    kernel: Array
    bias: Array


@dataclass
class _Affine:
    """x · factor + offset: what a normalisation is in inference."""

    factor: Array
    offset: Array


@dataclass
class _Function:
    """The activation of a dense layer."""

    function: Any


def _values(tensor: Any) -> Array:
    return np.asarray(tensor.detach().numpy(), np.float64)


def _affine(norm: BatchNormalization) -> _Affine:
    """Return s = γ/√(v + ε) and β − μ · s."""
    factor = 1.0 / np.sqrt(_values(norm.moving_variance) + norm.epsilon)
    if norm.gamma is not None:
        factor = factor * _values(norm.gamma)
    offset = -_values(norm.moving_mean) * factor
    if norm.beta is not None:
        offset = offset + _values(norm.beta)
    return _Affine(factor, offset)


def _parts(layer: Layer) -> list[Any]:
    """Return what a layer computes, one thing after the other."""
    if type(layer) is BatchNormalization:
        return [_affine(layer)]
    if isinstance(layer, Network):
        if getattr(layer, "_chain", None) is None:
            raise ValueError(f"{layer.path}: fold_batch_norm expects chains, got {layer!r}")
        return [part for inner in layer.layers for part in _parts(inner)]
    if type(layer) is not Dense or not isinstance(layer.norm, (BatchNormalization, type(None))):
        return [layer]
    bias = np.zeros(layer.units) if layer.bias is None else _values(layer.bias)
    linear = _Linear(layer, _values(layer.kernel), bias)
    # A linear activation is none, and hides nothing from a normalisation behind it.
    named = getattr(layer.activation, "__name__", None)
    function = [] if named == "linear" else [_Function(layer.activation)]
    if layer.norm is None:
        return [linear, *function]
    norm = [_affine(layer.norm)]
    return [linear, *(norm + function if layer.norm_position == "before" else function + norm)]


def _join(parts: list[Any]) -> list[Any]:
    """Fold each affine part into the linear one before it, else into the one behind it.

    Before: W' = W · diag(s), b' = b ⊙ s + t. Behind: W' = diag(s) · W, b' = b + t · W.
    """
    joined: list[Any] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, _Affine) and isinstance(last, _Linear):
            last.kernel = last.kernel * part.factor
            last.bias = last.bias * part.factor + part.offset
        elif isinstance(part, _Affine) and isinstance(last, _Affine):
            last.offset = last.offset * part.factor + part.offset
            last.factor = last.factor * part.factor
        elif isinstance(part, _Linear) and isinstance(last, _Affine):
            joined[-1] = part
            part.bias = part.bias + last.offset @ part.kernel
            part.kernel = last.factor[:, None] * part.kernel
        else:
            joined.append(part)
    return joined


def _layers(parts: list[Any]) -> tuple[list[Layer], list[list[Array]]]:
    """Return new layers for the parts, and the values of their variables."""
    made: list[Layer] = []
    values: list[list[Array]] = []
    for i, part in enumerate(parts):
        if isinstance(part, _Linear):
            config = part.layer.get_config()
            behind = parts[i + 1] if i + 1 < len(parts) else None
            function = behind.function if isinstance(behind, _Function) else None
            config.update(activation=function, use_bias=True, norm=None)
            made.append(Dense(**{name: remade(value) for name, value in config.items()}))
            learned = function.get_weights() if isinstance(function, Layer) else []
            values.append([part.kernel, part.bias, *learned])
        elif isinstance(part, _Affine):
            # Nothing to fold it into: its statistics become 0 and 1.
            made.append(BatchNormalization(epsilon=0.0, trainable=False))
            size = len(part.factor)
            values.append([part.factor, part.offset, np.zeros(size), np.ones(size)])
        elif not isinstance(part, _Function):
            made.append(remade(part))
            values.append(part.get_weights())
    return made, values


def fold(model: Sequential) -> Sequential:
    """Return a new chain without the normalisations that a dense layer can take over."""
    if not model.built:
        raise ValueError(
            f"{model.path}: fold_batch_norm before the model is built; pass data, or begin the "
            "model with evengrad.Input(shape)"
        )
    parts = [part for layer in model.layers for part in _parts(layer)]
    made, values = _layers(_join(parts))
    shape = model._state.input_shape
    chain = type(model)([Input(shape[1:], model.dtype), *made], name=model._state.given_name)
    for layer, arrays in zip(made, values, strict=True):
        layer.set_weights(arrays)
    return chain
