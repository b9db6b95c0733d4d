"""Activations in Keras' configurations: names there, and layers where the name alone says less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.config import name_of
from evengrad._tensor import activations
from evengrad.layers import ELU, Layer, LeakyReLU, ReLU, Softmax
from evengrad.models._keras._objects import NONE, made_of_own
from evengrad.saving._keras._described import NoCounterpartError, class_and_config

if TYPE_CHECKING:
    from collections.abc import Mapping

# What Keras 3.0 and later call our activations, where both compute the same.
WRITTEN = {
    name: name
    for name in (
        *("linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "log_softmax", "softplus"),
        *("softsign", "elu", "selu", "gelu", "silu", "hard_sigmoid", "hard_silu", "mish"),
        "exponential",
    )
} | {"swish": "silu", "hard_swish": "hard_silu", "celu": "elu"}
# The slope of ours, and of Keras'.
OUR_SLOPE, KERAS_SLOPE = 0.01, 0.2
# Layers that Keras uses as functions in the place of an activation, with what they are made of.
AS_FUNCTIONS = {
    "LeakyReLU": (LeakyReLU, {"negative_slope": "negative_slope", "alpha": "negative_slope"}, 0.3),
    "ReLU": (
        ReLU,
        {name: name for name in ("max_value", "negative_slope", "threshold")},
        None,
    ),
    "ELU": (ELU, {"alpha": "alpha"}, None),
    "Softmax": (Softmax, {"axis": "axis"}, None),
}
# Below this, Keras' hard sigmoid is clip(0.2 x + 0.5, 0, 1); from it on, relu6(x + 3) / 6.
HARD_SIGMOID_SINCE = 3


def word_of(activation: Any) -> str | None:
    """Return what Keras calls a function; None where it has no word for it."""
    if isinstance(activation, Layer):
        return None
    return WRITTEN.get(str(name_of(activation)))


def read_activation(
    described: Any, keras_version: int, *, as_layer: bool, own: Mapping[str, Any] = NONE
) -> Any:
    """Return the activation that a configuration describes: a name, or a layer of ours.

    `as_layer` says whether a layer may stand there; `own` functions and layers are the caller's.
    """
    if described is None:
        return None
    name, config = class_and_config(described, own)
    if name in own:
        return made_of_own(own[name], config)
    if name == "leaky_relu":
        name, config = "LeakyReLU", {"negative_slope": KERAS_SLOPE}
    if name == "hard_sigmoid" and keras_version < HARD_SIGMOID_SINCE:
        raise NoCounterpartError(
            f"hard_sigmoid of Keras {keras_version} is clip(0.2 x + 0.5, 0, 1), and here, as in "
            "Keras 3, relu6(x + 3) / 6"
        )
    if name in AS_FUNCTIONS:
        if not as_layer:
            raise NoCounterpartError(f"{name} inside a recurrent layer has no counterpart here")
        kind, arguments, slope = AS_FUNCTIONS[name]
        made = {arguments[key]: value for key, value in config.items() if key in arguments}
        if slope is not None:
            made.setdefault("negative_slope", slope)
        return kind(**made)
    if config or name not in activations.offered():
        raise NoCounterpartError(f"activation {name!r} has no counterpart here")
    return name
