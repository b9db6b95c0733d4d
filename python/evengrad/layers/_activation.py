"""Activations as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import activations
from evengrad.layers._layer import Layer

if TYPE_CHECKING:
    from evengrad._core import Tensor


class Activation(Layer):
    """Apply an activation function to every input.

    Parameters
    ----------
    activation
        A name from `evengrad.activations`, or a function of a tensor.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        An unknown name.

    Examples
    --------
    >>> eg.layers.Activation("relu")([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    def __init__(
        self,
        activation: Any,
        *,
        name: str | None = None,
        dtype: Any = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.activation = activations.get(activation)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return activation(x)."""
        output: Tensor = self.activation(x)
        return output

    def call_without_activation(self, x: Tensor) -> Tensor:
        """Return the input."""
        return x

    @property
    def final_activation(self) -> str | None:
        """The name of the activation; None for a function of the user's."""
        return activations._name_of(self.activation)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        if self.final_activation is None:
            return super().compute_output_shape(input_shape)
        return input_shape
