"""Activations as layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.checks import check_float, check_int
from evengrad._common.config import name_of
from evengrad._core import Tensor
from evengrad._tensor import activations
from evengrad._tensor.axes import check_axes, over_axes
from evengrad.layers._call_context import call_context
from evengrad.layers._layer import Layer
from evengrad.layers._shared import SameShape, Shared, takes_shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack


def activated(layer: Layer, activation: Callable[..., Any], x: Tensor) -> Tensor:
    """Return a layer's activation of x; what goes wrong in a user's function names the layer."""
    try:
        output = activation(x)
    except TypeError as error:
        if not str(error).startswith("numpy."):
            raise
        raise TypeError(
            f"{layer.path}: expected an activation made of operations on tensors, got one that "
            f"calls NumPy: {error}"
        ) from error
    if not isinstance(output, Tensor):
        raise TypeError(
            f"{layer.path}: expected an activation that returns a tensor, got "
            f"{type(output).__name__} from it; use operations on tensors alone"
        )
    return output


def activated_alike(layer: Layer, activation: Callable[..., Any], x: Tensor) -> Tensor:
    """Return a layer's activation of x, which must have the shape of x."""
    if call_context.observing is not None:
        call_context.observing(layer, x)
    output = activated(layer, activation, x)
    if output.shape != x.shape:
        raise ValueError(
            f"{layer.path}: expected an activation that keeps the shape {x.shape}, got "
            f"{output.shape} from it; put what changes shapes into a layer of its own"
        )
    return output


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

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    Examples
    --------
    >>> eg.layers.Activation("relu")([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    supports_masking = True

    @takes_shared
    def __init__(self, activation: Any, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.activation = activations.get(activation)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return activation(x)."""
        return activated(self, self.activation, x)

    def call_without_activation(self, x: Tensor) -> Tensor:
        """Return the input."""
        return x

    @property
    def final_activation(self) -> str | None:
        """The name of the activation; None for a function of the user's."""
        return name_of(self.activation)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the input's shape."""
        if self.final_activation is None:
            return super().compute_output_shape(input_shape)
        return input_shape


class Elementwise(SameShape):
    """Base of the activation layers that have a name and settings of their own."""

    # The function's name in `evengrad.activations`, or the nearest one there.
    NAME = ""

    @property
    def final_activation(self) -> str | None:
        """The name of the activation."""
        return self.NAME

    def call_without_activation(self, x: Tensor) -> Tensor:
        """Return the input."""
        return x

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)


class ELU(Elementwise):
    """The exponential linear unit: x where x > 0, else alpha · (e^x − 1).

    Parameters
    ----------
    alpha
        The function tends to −alpha; 0 or more. It is smooth at zero for 1 alone.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        A negative `alpha`.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    References
    ----------
    Clevert et al., "Fast and accurate deep network learning by exponential linear units", 2015.

    Examples
    --------
    >>> eg.layers.ELU(2.0)([[-100.0, 0.0, 3.0]]).tolist()
    [[-2.0, 0.0, 3.0]]
    """

    NAME = "elu"

    @takes_shared
    def __init__(self, alpha: float = 1.0, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.alpha = check_float(alpha, "alpha", low=0.0, open_high=True)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the function of x."""
        return x.elu(self.alpha)


class Softmax(Elementwise):
    """Turn scores into shares that sum to one: e^x / Σ e^x.

    A cross-entropy that follows takes the scores themselves, as with ``activation="softmax"``.

    Parameters
    ----------
    axis
        The dimension along which the shares sum to one, or several, over which they do together.
        Not 0, the rows.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `axis` is 0, or holds it; from a call: the input has no such dimension.

    Notes
    -----
    Input (rows, ...), any shape; the output has the same.

    Examples
    --------
    >>> eg.layers.Softmax()([[0.0, 0.0], [1000.0, 0.0]]).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """

    @takes_shared
    def __init__(self, axis: Any = -1, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self._axes = check_axes(axis)
        self.axis = axis

    @property
    def final_activation(self) -> str | None:
        """``"softmax"`` where the shares are those of the last dimension."""
        return "softmax" if self._axes == [-1] else None

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return the shares."""
        if len(self._axes) == 1:
            return _core.softmax(x, self._axes[0])
        return over_axes(x, self._axes, _core.softmax)

    def _check_input(self, shape: Any) -> None:
        super()._check_input(shape)
        if any(not -len(shape) < axis < len(shape) for axis in self._axes):
            raise self._story(
                f"an input with a dimension {self.axis} beside the rows", shape, "choose axis=-1"
            )


def check_axis(axis: Any) -> int:
    """Return a dimension, counted from either end, that is not the rows."""
    number = check_int(axis, "axis", at_least=-8)
    if number == 0:
        raise ValueError("axis: expected any dimension but 0, the rows, got 0")
    return number
