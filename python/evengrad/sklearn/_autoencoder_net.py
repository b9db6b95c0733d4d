"""The net of an `AutoencoderTransformer`: made for training, then taken apart."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._tensor import activations
from evengrad.layers import Dense, GaussianNoise, Input, Layer
from evengrad.layers._layer import build_for
from evengrad.layers._module import state_of
from evengrad.models import Model, Sequential
from evengrad.models._network import make_chain
from evengrad.pretrain._autoencoder import TiedDense, check_noise
from evengrad.sklearn._build import (
    activation_of,
    for_each_layer,
    hidden_sizes,
    norm_of,
    penalty_of,
)

if TYPE_CHECKING:
    from evengrad.sklearn._meta import ModelMeta

# What the layer is called that puts out the codes.
CODE = "code"


def autoencoder(estimator: Any, meta: ModelMeta) -> Model:
    """Return a net from rows to rows, which narrows to the codes."""
    sizes = hidden_sizes(estimator.hidden_layer_sizes)
    functions = for_each_layer(estimator.activation, len(sizes), "activation")
    norms = for_each_layer(estimator.norm, len(sizes), "norm")
    shared = {
        "kernel_initializer": estimator.kernel_initializer,
        "kernel_regularizer": penalty_of(estimator),
        "dtype": meta.dtype,
    }

    def dense(units: int, activation: Any, **more: Any) -> Dense:
        return Dense(units, activation_of(activation), **more, **shared)

    encoder = [
        dense(*one, norm=norm_of(norm)) for *one, norm in zip(sizes, functions, norms, strict=True)
    ]
    penalty = estimator.activity_regularizer
    code = dense(
        estimator.n_components, estimator.code_activation, name=CODE, activity_regularizer=penalty
    )
    # What each layer of the decoder gives back: the inputs of those of the encoder, in turn.
    ends = [*functions[::-1], estimator.output_activation]
    decoder: list[Layer]
    if estimator.tied:
        mirrored = [code, *encoder[::-1]]
        decoder = [
            TiedDense(layer, activations.get(activation_of(end)))
            for layer, end in zip(mirrored, ends, strict=True)
        ]
    else:
        widths = [*sizes[::-1], meta.n_features]
        decoder = [
            dense(*one, norm=norm_of(norm))
            for *one, norm in zip(widths, ends, [*norms[::-1], None], strict=True)
        ]
    noise = noise_of(estimator.noise)
    front = [] if noise is None else [noise]
    return Sequential(
        [Input((meta.n_features,), meta.dtype), *front, *encoder, code, *decoder], dtype=meta.dtype
    )


def noise_of(given: Any) -> Layer | None:
    """Return a layer that spoils inputs; a number is the deviation of Gaussian noise."""
    if isinstance(given, (int, float, np.number)):
        return GaussianNoise(float(given))
    return check_noise(copy.deepcopy(given))


def untied(model: Model) -> Model:
    """Return a model whose layers have kernels of their own, which files and ONNX know."""
    layers: list[Any] = list(model.layers)
    if not any(isinstance(layer, TiedDense) for layer in layers):
        return model
    plain: list[Any] = [
        Dense(layer.bias.shape[0], layer.activation, dtype=layer.dtype)
        if isinstance(layer, TiedDense)
        else layer
        for layer in layers
    ]
    made = make_chain(plain, dtype=model.dtype, seed=0)
    build_for(made, state_of(model).input_shape)
    for tied, own in zip(layers, plain, strict=True):
        if not isinstance(tied, TiedDense):
            continue
        own.kernel.copy_(tied.encoder.kernel.detach().T.numpy())
        own.bias.copy_(tied.bias.detach().numpy())
    return made


def parts_of(model: Model) -> tuple[Model, Model]:
    """Return what codes rows and what gives them back, as models of the same layers."""
    layers: list[Any] = list(model.layers)
    end = next(at for at, layer in enumerate(layers) if layer.name == CODE) + 1
    parts = []
    for chain, width in (
        (layers[:end], state_of(model).input_shape[-1]),
        (layers[end:], layers[end - 1].units),
    ):
        part = make_chain(chain, dtype=model.dtype, seed=0)
        if not part.built:
            build_for(part, (None, width))
        parts.append(part)
    return parts[0], parts[1]
