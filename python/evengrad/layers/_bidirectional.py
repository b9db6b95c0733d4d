"""A recurrent layer in both directions of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._common.config import remade
from evengrad._common.names import choose, shown_object
from evengrad.layers._layer import Layer, as_list, build_for
from evengrad.layers._recurrent import Recurrent
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._core import Tensor


class Bidirectional(Layer):
    """Run a recurrent layer over the steps forwards, and another one backwards; join the outputs.

    At each step the output has seen all steps, those before and those after it.

    Parameters
    ----------
    layer
        An `LSTM`, `GRU` or `SimpleRNN`: what the forward layer is made like; it is not used itself.
    merge_mode
        How the outputs of both are joined: ``"concat"``, ``"sum"``, ``"mul"``, ``"ave"``, their
        mean; None for a list of both.
    backward_layer
        What the backward layer is made like, with another `go_backwards` than `layer`; by default
        like `layer`, with ``go_backwards=True``.
    name, dtype, trainable
        As for every `Layer`.

    Attributes
    ----------
    forward_layer, backward_layer
        The two layers.

    Raises
    ------
    TypeError
        Something else than a recurrent layer.
    ValueError
        An unknown `merge_mode`; layers that differ in `return_sequences`, `return_state` or
        `stateful`, or go in one direction. From a call: as the layers.

    Notes
    -----
    Input (rows, steps, features); output (rows, 2 · units) with ``"concat"``, or (rows, units); all
    steps of it, in their order, where `layer` returns sequences. With `return_state` a list of the
    output, the states of the forward layer, and those of the backward layer. First states, as
    ``[input, *states]`` or `initial_state`, are in that order too.

    Under a mask each direction passes over the masked steps, and the outputs there are 0.

    References
    ----------
    Schuster and Paliwal, "Bidirectional recurrent neural networks", 1997.

    Examples
    --------
    >>> layer = eg.layers.Bidirectional(eg.layers.LSTM(3, return_sequences=True))
    >>> layer(eg.zeros((2, 5, 4))).shape, layer.count_params()
    ((2, 5, 6), 192)
    """

    _makes_masks = False
    monte_carlo = False

    @takes_shared
    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        backward_layer: Layer | None = None,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        for what, given in (("layer", layer), ("backward_layer", backward_layer)):
            if not isinstance(given, Recurrent) and (given is not None or what == "layer"):
                raise TypeError(
                    f"{what}: expected an LSTM, GRU or SimpleRNN, got {shown_object(given)}"
                )
        modes = ("concat", "sum", "mul", "ave")
        self.merge_mode = None if merge_mode is None else choose(merge_mode, modes, "merge_mode")
        self.forward_layer: Any = remade(layer)
        self.backward_layer: Any = (
            self._mirrored() if backward_layer is None else remade(backward_layer)
        )
        self._check_layers()
        for one in (self.forward_layer, self.backward_layer):
            one.zero_output_for_mask = True
        if not self.trainable:
            # The layers inside, too.
            self.trainable = False

    @property
    def layer(self) -> Any:
        """The forward layer."""
        return self.forward_layer

    def _mirrored(self) -> Any:
        """Return a layer like the forward one that goes backwards."""
        config = self.forward_layer.get_config()
        turned = {**config, "go_backwards": not self.forward_layer.go_backwards}
        return type(self.forward_layer)(**{**turned, "name": None})

    def _check_layers(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                "backward_layer: expected another go_backwards than that of layer, got "
                f"{backward.go_backwards} in both"
            )
        for name in ("return_sequences", "return_state", "stateful"):
            if getattr(forward, name) != getattr(backward, name):
                raise ValueError(
                    f"backward_layer: expected {name}={getattr(forward, name)} as in layer, got "
                    f"{getattr(backward, name)}"
                )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as they stand now."""
        config = super().get_config()
        if repr(self.backward_layer) == repr(self._mirrored()):
            config["backward_layer"] = None
        return config

    @property
    def stateful(self) -> bool:  # type: ignore[override]  # as its layers are
        """Whether the layers keep their states from batch to batch."""
        return bool(self.forward_layer.stateful)

    def reset_states(self) -> None:
        """Set the states that stateful layers keep to 0.

        Examples
        --------
        >>> layer = eg.layers.Bidirectional(eg.layers.GRU(2, stateful=True))
        >>> first, second = layer(eg.ones((1, 3, 2))), layer(eg.ones((1, 3, 2)))
        >>> layer.reset_states()
        >>> third = layer(eg.ones((1, 3, 2)))
        >>> first.tolist() == third.tolist() != second.tolist()
        True
        """
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()

    def build(self, input_shape: Any) -> None:
        """Build both layers."""
        self._adopt_children()
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        for one in (self.forward_layer, self.backward_layer):
            build_for(one, shape)

    def __call__(
        self, x: Any, training: bool | None = None, *, initial_state: Any = None, **arguments: Any
    ) -> Any:
        """Return the output for an input; see `Layer`, and `initial_state` in `LSTM`."""
        if initial_state is not None:
            x = [*as_list(x)[0], *as_list(initial_state)[0]]
        return super().__call__(x, training, **arguments)

    def call(self, x: Any, mask: Any = None) -> Any:
        """Return the joined outputs, and the last states where asked for."""
        inputs, *states = x if isinstance(x, list) else [x]
        half = len(states) // 2
        given = {} if mask is None else {"mask": mask[0] if isinstance(mask, list) else mask}
        made = [
            layer([inputs, *first] if first else inputs, **given)
            for layer, first in (
                (self.forward_layer, states[:half]),
                (self.backward_layer, states[half:]),
            )
        ]
        forward, backward = (one[0] if isinstance(one, list) else one for one in made)
        if self.forward_layer.return_sequences:
            # In the order of the steps, both of them.
            if self.forward_layer.go_backwards:
                forward = forward[:, ::-1]
            else:
                backward = backward[:, ::-1]
        joined = self._joined(forward, backward)
        if not self.forward_layer.return_state:
            return joined
        last = [state for one in made for state in one[1:]]
        return [*(joined if isinstance(joined, list) else [joined]), *last]

    def _joined(self, forward: Tensor, backward: Tensor) -> Any:
        if self.merge_mode is None:
            return [forward, backward]
        if self.merge_mode == "concat":
            return _core.cat([forward, backward], dim=-1)
        if self.merge_mode == "mul":
            return forward * backward
        total = forward + backward
        return total / 2.0 if self.merge_mode == "ave" else total

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the steps, where there are steps in the output."""
        del inputs
        mask = previous_mask[0] if isinstance(previous_mask, list) else previous_mask
        mask = mask if self.forward_layer.return_sequences else None
        return mask if self.merge_mode is not None else [mask, mask]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the joined outputs; states come after it."""
        made = self.forward_layer.compute_output_shape(
            input_shape[0] if isinstance(input_shape, list) else input_shape
        )
        output, *states = made if isinstance(made, list) else [made]
        if self.merge_mode == "concat":
            output = (*output[:-1], 2 * output[-1])
        outputs = [output] if self.merge_mode is not None else [output, output]
        outputs += 2 * states
        return outputs if len(outputs) > 1 else output

    def multiply_adds(self, input_shape: Any) -> int:
        """Return those of both layers."""
        layers = (self.forward_layer, self.backward_layer)
        return sum(one.multiply_adds(input_shape) for one in layers)

    def _check_input(self, shape: Any) -> None:
        sequence, *states = shape if isinstance(shape, list) else [shape]
        wanted = 2 * self.forward_layer.states
        if states and len(states) != wanted:
            raise self._story(
                f"{wanted} first states after the input, those of the forward layer in front",
                ", ".join(map(str, states)),
                "pass [x, *states] as `return_state=True` gives them, or the input alone",
            )
        self.forward_layer._check_input(  # noqa: SLF001 - its family's
            [sequence, *states[: wanted // 2]] if states else sequence
        )
