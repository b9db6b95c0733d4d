"""Layers as Keras' configurations have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.serialized import deserialized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad.layers._layer import Layer


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Layer:
    """Return the layer or model that `serialize` has described, without its variables' values.

    What Keras itself has written of a layer that there is here, as ``keras.layers.serialize``, is
    taken as well; of that nothing is run.

    Parameters
    ----------
    config
        What `serialize` returned: ``{"class_name": ..., "config": ...}``.
    custom_objects
        Your own classes and functions by name.

    Raises
    ------
    ValueError
        An unknown class, or arguments that it does not take.

    Examples
    --------
    >>> eg.layers.deserialize(eg.layers.serialize(eg.layers.Dense(3, "relu")))
    Dense(3, activation='relu')
    """
    made: Layer = deserialized(config, "layers", custom_objects)
    return made
