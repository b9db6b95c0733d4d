"""One layer at every step of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import shown_object
from evengrad.layers._layer import Layer, build_for, called_without_activation
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from evengrad._core import Tensor


class TimeDistributed(Layer):
    """Apply a layer to every step of a sequence: the steps are rows to it.

    Parameters
    ----------
    layer
        The layer, or a model.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    TypeError
        Something else than a layer.
    ValueError
        From a call: an input of less than three dimensions.

    Notes
    -----
    Input (rows, steps, ...), output (rows, steps, ...) with what the layer makes of the rest. The
    steps of all rows go through the layer at once, so that a `BatchNormalization` inside takes its
    statistics of all of them. A mask of the steps goes on to the output; of a mask with more
    dimensions the layer inside gets those of its steps.

    Examples
    --------
    >>> layer = eg.layers.TimeDistributed(eg.layers.Dense(1, kernel_initializer="ones"))
    >>> layer([[[1.0, 2.0], [3.0, 4.0]]]).tolist()
    [[[3.0], [7.0]]]
    """

    _makes_masks = False

    @takes_shared
    def __init__(self, layer: Layer, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a layer, got {shown_object(layer)}")
        self.layer = layer
        if not self.trainable:
            # The layer inside, too.
            self.trainable = False

    def build(self, input_shape: Any) -> None:
        """Build the layer for the input without its steps."""
        self._adopt_children()
        build_for(self.layer, self._inner(input_shape))

    def call(self, x: Tensor, mask: Any = None) -> Any:
        """Return what the layer makes of all steps."""
        inner = {}
        if mask is not None and mask.ndim > 2:
            inner["mask"] = mask.reshape(-1, *mask.shape[2:])
        return self._at_steps(x, lambda steps: self.layer(steps, **inner))

    def call_without_activation(self, x: Tensor) -> Tensor:
        """Return what the layer makes of all steps before its final activation."""
        output: Tensor = self._at_steps(x, lambda y: called_without_activation(self.layer, y))
        return output

    @property
    def final_activation(self) -> str | None:
        """The name of the activation that the layer ends in."""
        return self.layer.final_activation

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the steps."""
        if previous_mask is None or previous_mask.ndim == 2:
            return previous_mask
        inner = previous_mask.reshape(-1, *previous_mask.shape[2:])
        made = self.layer.compute_mask(inputs.reshape(-1, *inputs.shape[2:]), inner)
        return None if made is None else made.reshape(*previous_mask.shape[:2], *made.shape[1:])

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the layer's output shape, with the steps."""
        made = self.layer.compute_output_shape(self._inner(input_shape))
        if isinstance(made, list):
            return [(None, input_shape[1], *one[1:]) for one in made]
        return (None, input_shape[1], *made[1:])

    def multiply_adds(self, input_shape: Any) -> int:
        """Return those of the layer at every step."""
        return int(input_shape[1] or 1) * self.layer.multiply_adds(self._inner(input_shape))

    def _at_steps(self, x: Tensor, function: Callable[[Tensor], Any]) -> Any:
        """Return what a function makes of the steps as rows, as steps again."""
        rows, steps = x.shape[:2]
        made = function(x.reshape(rows * steps, *x.shape[2:]))
        if isinstance(made, (list, tuple)):
            return [one.reshape(rows, steps, *one.shape[1:]) for one in made]
        output: Tensor = made.reshape(rows, steps, *made.shape[1:])
        return output

    @staticmethod
    def _inner(shape: Any) -> Any:
        """Return the shape of one step as a row."""
        return (None, *shape[2:])

    def _check_input(self, shape: Any) -> None:
        self._check_single(shape)
        if len(shape) < 3:
            raise self._story(
                "an input of shape (rows, steps, ...)",
                shape,
                "add the missing dimension, or use the layer inside by itself",
            )
