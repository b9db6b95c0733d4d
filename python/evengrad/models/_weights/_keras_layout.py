"""Keras' layout, which is ours: kernels (in, out), gates i f c o and z r h."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evengrad.layers import (
    BatchNormalization,
    Dense,
    LayerNormalization,
    Maxout,
    Normalization,
    PReLU,
)
from evengrad.layers._recurrent import Recurrent
from evengrad.models._weights._forms import RESHAPED, Form, Part, as_is, same, variables_of

if TYPE_CHECKING:
    from evengrad.layers._layer import Layer

# Of Keras' Normalization, how many rows it has seen.
COUNT = "count"
# Layers that may lack weights which others have all the same, with values that do nothing.
WITHOUT = (BatchNormalization, Dense, LayerNormalization, Maxout, Recurrent)
NEUTRAL = {"gamma": 1.0, "beta": 0.0, "bias": 0.0}


def form_of(layer: Layer) -> Form:
    """Return how a layer's weights look in Keras' files, and in ours."""
    form = as_is(layer, [COUNT] if isinstance(layer, Normalization) else [])
    if isinstance(layer, WITHOUT):
        # ONNX' operators have them always.
        neutral = {role: value for role, value in NEUTRAL.items() if role not in form.parts}
        form = form._replace(neutral=neutral)
    if isinstance(layer, (Dense, Maxout)) and "kernel" in form.parts:
        # The word of others for a matrix that is laid out as ours.
        (part,) = form.parts["kernel"]
        form.parts["kernel"] = (part, part._replace(roles=("weight",)))
    if isinstance(layer, PReLU) and layer.built:
        form.parts["alpha"] += _other_slopes(layer)
    return form


def _other_slopes(layer: PReLU) -> tuple[Part, ...]:
    """Return slopes of as many numbers, in a shape without the dimensions of one place."""
    shape = tuple(variables_of(layer)["alpha"].shape)
    bare = tuple(size for size in shape if size != 1) or (1,)
    if bare == shape:
        return ()
    return (Part("alpha", ("alpha",), (bare,), lambda array: same(array).reshape(shape), RESHAPED),)
