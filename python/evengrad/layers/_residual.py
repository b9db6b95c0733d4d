"""Residual blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import shown_object
from evengrad._tensor import activations
from evengrad.layers._activation import activated_alike
from evengrad.layers._dense import Dense
from evengrad.layers._layer import Layer, build_for
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Residual(Layer):
    """Add what layers make of the input to the input: activation(x + body(x)).

    Through the sum gradients reach the layers before with a factor of one, however deep the stack.

    Parameters
    ----------
    body
        A layer, or a list of layers of which each takes the output of the one before.
    projection
        A layer that brings the input to the body's shape: activation(projection(x) + body(x)). By
        default none where the shapes agree, and where the width differs a
        ``Dense(width, use_bias=False)``.
    activation
        A name from `evengrad.activations`, a function of a tensor, or a layer; None is none.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    TypeError
        Something else than layers.
    ValueError
        There is no layer; an unknown name. From a call: the body changes more than the width, or
        the projection leads to another shape.

    Notes
    -----
    Input (..., in), output (..., out) with the width of the body.

    References
    ----------
    He et al., "Deep residual learning for image recognition", 2015.

    Examples
    --------
    >>> block = eg.layers.Residual([eg.layers.Dense(8, "relu"), eg.layers.Dense(4)])
    >>> block(eg.ones((2, 4))).shape, block.count_params()
    ((2, 4), 76)
    >>> silent = eg.layers.Dense(2, kernel_initializer="zeros")
    >>> eg.layers.Residual(silent)([[1.0, 2.0]]).tolist()
    [[1.0, 2.0]]
    """

    supports_masking = True

    @takes_shared
    def __init__(
        self,
        body: Any,
        projection: Layer | None = None,
        activation: Any = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        parts = list(body) if isinstance(body, (list, tuple)) else [body]
        if not parts:
            raise ValueError("body: expected at least one layer, got none")
        for part in [*parts, *([] if projection is None else [projection])]:
            if not isinstance(part, Layer):
                raise TypeError(f"body, projection: expected layers, got {shown_object(part)}")
        self.body = body
        self.projection = projection
        self.activation = activations.get(activation)
        self._parts = parts
        # The projection in use: the one given, or one that the shapes call for.
        self._shortcut = projection
        if not self.trainable:
            # The layers inside, too.
            self.trainable = False

    def build(self, input_shape: Any) -> None:
        """Build body and projection."""
        shape = input_shape
        for part in self._parts:
            build_for(part, shape)
            shape = part.compute_output_shape(shape)
        if self.projection is None:
            self._shortcut = None
            if shape != input_shape and tuple(shape[:-1]) == tuple(input_shape[:-1]):
                self._shortcut = Dense(
                    shape[-1], use_bias=False, name="projection", trainable=self.trainable
                )
        reached = input_shape
        if self._shortcut is not None:
            # It gets its name, seed and path before its variables are made.
            self._adopt_children()
            build_for(self._shortcut, input_shape)
            reached = self._shortcut.compute_output_shape(input_shape)
        if tuple(reached) != tuple(shape):
            raise self._story(
                f"a shortcut to the body's shape {shape}",
                reached,
                "pass a projection that leads there, or let the body keep the shape",
            )
        if isinstance(self.activation, Layer):
            build_for(self.activation, shape)

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]  # no noise: no training
        """Return activation(x + body(x)), with the projection of x where there is one."""
        inner = x
        for part in self._parts:
            inner = part(inner)
        shortcut = x if self._shortcut is None else self._shortcut(x)
        return activated_alike(self, self.activation, shortcut + inner)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the body's output shape."""
        for part in self._parts:
            input_shape = part.compute_output_shape(input_shape)
        return input_shape

    def _check_input(self, shape: Any) -> None:
        self._check_features(shape, None)


def parts_of(block: Residual) -> tuple[list[Layer], Layer | None]:
    """Return the layers of a block's body, and the projection in use, if there is one."""
    return block._parts, block._shortcut  # noqa: SLF001 - its class is public, they are not
