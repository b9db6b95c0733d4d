"""The plain recurrent layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from evengrad._common.config import name_of
from evengrad.layers._recurrent import Recurrent

if TYPE_CHECKING:
    from evengrad._core import Tensor


class SimpleRNN(Recurrent):
    """A layer whose output is an input of its next step: h ← tanh(x · W + h · U + b).

    The gradient of an early step is a product of as many Jacobians as there are steps after it: it
    vanishes or explodes. `LSTM` and `GRU` remember longer.

    Parameters
    ----------
    units
        The number of outputs.
    activation
        A name from `evengrad.activations`, or a function of a tensor; None is none.
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
    otherwise. Kernel (features, units), recurrent kernel (units, units), bias (units,): as in
    Keras. Output (rows, units), or (rows, steps, units).

    With tanh all steps are one operation; others go step by step, which takes several times as
    long.

    Under a mask, as `Masking` and `Embedding` make it or as the argument ``mask`` of a call, the
    state is carried over masked steps, and their output is the one before. So a padded row has the
    output of the row alone, to the bit.

    Any number of steps will do, another one in each call. In a model, leave it open with
    ``Input((None, features))``; else the model is built for one number.

    References
    ----------
    Elman, "Finding structure in time", 1990; Gal and Ghahramani, "A theoretically grounded
    application of dropout in recurrent neural networks", 2016 (dropout).

    Examples
    --------
    >>> layer = eg.layers.SimpleRNN(
    ...     1,
    ...     "relu",
    ...     kernel_initializer="ones",
    ...     return_sequences=True,
    ...     recurrent_initializer="ones",
    ... )
    >>> layer([[[1.0], [2.0], [3.0]]]).tolist()
    [[[1.0], [3.0], [6.0]]]
    """

    def fused_cell(self) -> Literal["simple"] | None:
        """Return the core's name, where the activation is tanh."""
        return "simple" if name_of(self.activation) == "tanh" else None

    def step(self, projected: Tensor, states: list[Tensor], mask: Tensor | None) -> list[Tensor]:
        """Return h ← activation(x · kernel + h · recurrent_kernel + b)."""
        return [self.activation(projected + self._recurrent(states[0], mask))]
