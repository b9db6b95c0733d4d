"""What layers share: arguments, written once, and the shape of an output that is the input's."""

from __future__ import annotations

from typing import Any, TypedDict

from evengrad._common.config import spelled_out
from evengrad.layers._layer import Layer


class Shared(TypedDict, total=False):
    """Arguments of every layer; `evengrad.layers.Layer` documents them."""

    name: str | None
    dtype: Any
    trainable: bool


# Decorates an `__init__` that ends in `**shared: Unpack[Shared]`: its signature names them all.
takes_shared = spelled_out(Shared, {"name": None, "dtype": None, "trainable": True})


class SameShape(Layer):
    """Base of the layers whose output has the shape of the input."""

    supports_masking = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        return input_shape
