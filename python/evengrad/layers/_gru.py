"""The gated recurrent unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from evengrad import _core
from evengrad._common.config import name_of
from evengrad._tensor import activations
from evengrad.layers._recurrent import Recurrent
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor


class GRU(Recurrent):
    """The gated recurrent unit: a layer whose gates say how much of the output stays as it is.

    ```text
    z, r = σ(x · W + h · U + b)              keep, reset
    g    = tanh(x · W + b + r ⊙ (h · U + b'))    the new output
    h ← z ⊙ h + (1 − z) ⊙ g
    ```

    Parameters
    ----------
    units
        The number of outputs.
    activation
        A name from `evengrad.activations`, or a function of a tensor, for g; None is none.
    recurrent_activation
        The same for the gates.
    use_bias
        Whether there is a bias.
    kernel_initializer, recurrent_initializer, bias_initializer
        A name from `evengrad.initializers`, an initializer, or a function of shape and dtype, for
        the kernel of the inputs, that of the outputs before, and the bias.
    kernel_regularizer, recurrent_regularizer, bias_regularizer
        A name from `evengrad.regularizers`, a regularizer, or a function of the variable.
    activity_regularizer
        The same on the layer's output, divided by the rows of the batch.
    kernel_constraint, recurrent_constraint, bias_constraint
        A name from `evengrad.constraints`, a constraint, or a function of the variable.
    dropout
        The share of the input features that is zeroed in training, in [0, 1); one mask for all
        steps of a row.
    recurrent_dropout
        The same for the outputs on their way to the next step's recurrent product, in [0, 1).
    return_sequences
        Whether all outputs are returned, or the last alone.
    return_state
        Whether the last states are returned after the output, as a list.
    go_backwards
        Whether the steps are taken from the last to the first; outputs are in that order, too.
    stateful
        Whether the next batch begins with the states after this one, row by row, until
        `reset_states`; all batches must have as many rows then. The states are variables that do
        not train, made with the first batch.
    unroll
        Taken for Keras' sake: it changes nothing, as captured steps are fast by themselves.
    reset_after
        Whether r multiplies h · U + b', as above and in PyTorch, or h itself: (r ⊙ h) · U, the
        first paper's form.
    name, dtype, trainable
        As for every `Layer`.

    Raises
    ------
    ValueError
        `units` below 1, a rate out of bounds, an unknown name. From a call: an input that is not
        (rows, steps, features), or has other features than the layer was built for.

    Notes
    -----
    Input (rows, steps, features), or ``[input, h]`` with a first state h (rows, units), which is 0
    otherwise. Kernel (features, 3 · units), recurrent kernel (units, 3 · units), each with the
    gates in Keras' order z, r, g (PyTorch's is r, z, g). Bias (2, 3 · units): that of the inputs,
    then that of the recurrent product; (3 · units,) with ``reset_after=False``. Output
    (rows, units), or (rows, steps, units).

    With tanh and the sigmoid, and ``reset_after=True``, all steps are one operation; others go
    step by step, which takes several times as long.

    Under a mask, as `Masking` and `Embedding` make it or as the argument ``mask`` of a call, the
    state is carried over masked steps, and their output is the one before. So a padded row has the
    output of the row alone, to the bit.

    Any number of steps will do, another one in each call. In a model, leave it open with
    ``Input((None, features))``; else the model is built for one number.

    References
    ----------
    Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
    translation", 2014; Gal and Ghahramani, "A theoretically grounded application of dropout in
    recurrent neural networks", 2016.

    Examples
    --------
    >>> layer = eg.layers.GRU(3)
    >>> layer(np.zeros((2, 5, 4))).shape, layer.bias.shape
    ((2, 3), (2, 9))
    """

    gates = 3

    @takes_shared
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Choice = "glorot_uniform",
        recurrent_initializer: Choice = "orthogonal",
        bias_initializer: Choice = "zeros",
        kernel_regularizer: Choice | None = None,
        recurrent_regularizer: Choice | None = None,
        bias_regularizer: Choice | None = None,
        activity_regularizer: Choice | None = None,
        kernel_constraint: Choice | None = None,
        recurrent_constraint: Choice | None = None,
        bias_constraint: Choice | None = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(
            units,
            activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            return_sequences,
            return_state,
            go_backwards,
            stateful,
            unroll,
            **shared,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = bool(reset_after)

    def bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias: two rows, or one vector."""
        width = self.gates * self.units
        return (2, width) if self.reset_after else (width,)

    def input_bias(self) -> Tensor | None:
        """Return the bias of the inputs."""
        return self.bias[0] if self.bias is not None and self.reset_after else self.bias

    def fused_cell(self) -> Literal["gru"] | None:
        """Return the core's name, where the activations are tanh and the sigmoid."""
        names = name_of(self.activation), name_of(self.recurrent_activation)
        return "gru" if names == ("tanh", "sigmoid") and self.reset_after else None

    def recurrent_bias(self) -> Tensor | None:
        """Return the bias of the recurrent product."""
        return self.bias[1] if self.bias is not None and self.reset_after else None

    def step(self, projected: Tensor, states: list[Tensor], mask: Tensor | None) -> list[Tensor]:
        """Return h after a step."""
        h = states[0]
        units = self.units
        if self.reset_after:
            recurrent = self._recurrent(h, mask, self.recurrent_bias())
            gates = self.recurrent_activation((projected + recurrent)[:, : 2 * units])
            keep, reset = self._gate(gates, 0), self._gate(gates, 1)
            new = self._gate(projected, 2) + reset * self._gate(recurrent, 2)
        else:
            seen = h if mask is None else h * mask
            kernel = self.recurrent_kernel
            both, last = kernel[:, : 2 * units], kernel[:, 2 * units :]
            gates = self.recurrent_activation(projected[:, : 2 * units] + _core.matmul(seen, both))
            keep, reset = self._gate(gates, 0), self._gate(gates, 1)
            new = self._gate(projected, 2) + _core.matmul(reset * seen, last)
        return [keep * h + (1.0 - keep) * self.activation(new)]
