"""PyTorch's layout: kernels (out, in), two biases of recurrent layers, gates i f g o and r z n."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.layers import (
    GRU,
    LSTM,
    BatchNormalization,
    Embedding,
    LayerNormalization,
    PReLU,
)
from evengrad.layers._dense import Affine
from evengrad.layers._recurrent import Recurrent
from evengrad.models._weights._forms import (
    RESHAPED,
    TRANSPOSED,
    Form,
    Part,
    Parts,
    as_is,
    blocks,
    same,
    transposed_shape,
    turned,
    variables_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.arrays import Array
    from evengrad.layers._layer import Layer

# PyTorch's names of the vectors that normalize.
OF_NORMALIZATION = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
EPSILON = 1e-5
NEUTRAL = {"weight": 1.0, "bias": 0.0}
# Ours z r h, theirs r z n; the exchange is its own inverse.
GRU_GATES = (1, 0, 2)
OTHER_GRU = "PyTorch's GRU resets after the product; this layer has reset_after=False"


def form_of(layer: Layer) -> Form:
    """Return how a layer's weights look in a state dict; our own names where it knows none."""
    for kind, form in FORMS:
        if isinstance(layer, kind):
            return form(layer) if layer.built else Form({})
    return as_is(layer)


def _affine(layer: Any) -> Form:
    shapes = {name: tuple(tensor.shape) for name, tensor in variables_of(layer).items()}
    turned_shape = transposed_shape(shapes["kernel"])
    kernel = Part("kernel", ("weight",), (turned_shape,), turned, TRANSPOSED)
    parts: Parts = {"kernel": (kernel, kernel._replace(roles=("kernel",)))}
    if "bias" in shapes:
        parts["bias"] = (Part("bias", ("bias",), (shapes["bias"],), same),)
    return Form(parts)


def _embedding(layer: Any) -> Form:
    shape = tuple(layer.embeddings.shape)
    return Form({"embeddings": (Part("embeddings", ("weight",), (shape,), same),)})


def _normalization(layer: Any) -> Form:
    parts: Parts = {
        name: (Part(name, (OF_NORMALIZATION[name],), (tuple(tensor.shape),), same),)
        for name, tensor in variables_of(layer).items()
    }
    # PyTorch has both of these or neither, or no offset.
    there = {role for ways in parts.values() for role in ways[0].roles}
    neutral = {role: value for role, value in NEUTRAL.items() if role not in there}
    note = ""
    if layer.epsilon != EPSILON:
        note = (
            f"epsilon is {layer.epsilon:g}; PyTorch's default is {EPSILON:g}, and the file does "
            "not tell: outputs differ unless both are equal"
        )
    return Form(parts, frozenset({"num_batches_tracked"}), neutral, note)


def _slopes(layer: Any) -> Form:
    shape = tuple(layer.alpha.shape)
    one = Part("alpha", ("weight",), ((1,),), lambda array: np.broadcast_to(array, shape), RESHAPED)
    # PyTorch's slopes are those of the first dimension behind the rows.
    first = (shape[0],)
    if shape == first:
        return Form({"alpha": (Part("alpha", ("weight",), (shape,), same), one)})
    across = (*first, *[1] * (len(shape) - 1))

    def spread(array: Array) -> Array:
        return np.broadcast_to(array.reshape(across), shape)

    return Form({"alpha": (Part("alpha", ("weight",), (first,), spread, RESHAPED), one)})


def _recurrent(
    layer: Any, arranged: Callable[[Array], Array] = same, *, two_biases: bool = False
) -> Form:
    """Return the form of a recurrent layer, with the gates of a vector or matrix arranged so."""
    how = TRANSPOSED if arranged is same else RESHAPED

    def kernel(array: Array) -> Array:
        return turned(arranged(array))

    def bias(of_input: Array, recurrent: Array) -> Array:
        if two_biases:
            return np.stack([arranged(of_input), arranged(recurrent)])
        return arranged(of_input + recurrent)

    shapes = {name: tuple(tensor.shape) for name, tensor in variables_of(layer).items()}
    parts: Parts = {
        name: (Part(name, (role,), (transposed_shape(shapes[name]),), kernel, how),)
        for name, role in (("kernel", "weight_ih"), ("recurrent_kernel", "weight_hh"))
    }
    if "bias" in shapes:
        width = (shapes["bias"][-1],)
        parts["bias"] = (Part("bias", ("bias_ih", "bias_hh"), (width, width), bias, RESHAPED),)
    return Form(parts)


def _gru(layer: Any) -> Form:
    form = _recurrent(layer, lambda array: blocks(array, GRU_GATES), two_biases=True)
    # What PyTorch calls so computes another thing.
    return form if layer.reset_after else form._replace(refusal=OTHER_GRU)


FORMS: tuple[tuple[type, Callable[[Any], Form]], ...] = (
    (Affine, _affine),
    (Embedding, _embedding),
    (BatchNormalization, _normalization),
    (LayerNormalization, _normalization),
    (PReLU, _slopes),
    (GRU, _gru),
    (LSTM, _recurrent),
    (Recurrent, _recurrent),
)
