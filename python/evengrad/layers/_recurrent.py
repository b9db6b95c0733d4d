"""What the recurrent layers share: inputs, states, dropout and the loop over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from evengrad import _core, constraints, initializers, regularizers
from evengrad._common.checks import check_float, check_int
from evengrad._tensor import activations
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers._call_context import call_context
from evengrad.layers._layer import Layer, as_list
from evengrad.layers._module import access_to
from evengrad.layers._shared import Shared, takes_shared

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from evengrad._common.choices import Choice
    from evengrad._core import Tensor


class Recurrent(Layer):
    """Base of the recurrent layers. A subclass says how many gates and states it has, and one step.

    The products of all steps' inputs with the kernel are one product. What follows is one operation
    of the core where it knows the activations, else a loop over the steps.
    """

    # How many times `units` wide the kernels are, and how many tensors are carried from step to
    # step; the first of them is the output.
    gates = 1
    states = 1
    # Dropout is noise.
    monte_carlo = True
    _makes_masks = False
    # What all outputs have at masked steps: 0, or the output before.
    zero_output_for_mask = False
    # The states that come after a batch, where they are kept.
    _kept: tuple[Tensor, ...] = ()

    kernel: Tensor
    recurrent_kernel: Tensor
    bias: Tensor | None

    @takes_shared
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
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
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(**shared)
        self.units = check_int(units, "units", at_least=1)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        first, penalty, after = initializers.get, regularizers.get, constraints.get
        self.kernel_initializer = first(kernel_initializer, "kernel_initializer")
        self.recurrent_initializer = first(recurrent_initializer, "recurrent_initializer")
        self.bias_initializer = first(bias_initializer, "bias_initializer")
        self.kernel_regularizer = penalty(kernel_regularizer, "kernel_regularizer")
        self.recurrent_regularizer = penalty(recurrent_regularizer, "recurrent_regularizer")
        self.bias_regularizer = penalty(bias_regularizer, "bias_regularizer")
        self.activity_regularizer = penalty(activity_regularizer, "activity_regularizer")
        self.kernel_constraint = after(kernel_constraint, "kernel_constraint")
        self.recurrent_constraint = after(recurrent_constraint, "recurrent_constraint")
        self.bias_constraint = after(bias_constraint, "bias_constraint")
        self.dropout = check_float(dropout, "dropout", low=0.0, high=1.0, open_high=True)
        self.recurrent_dropout = check_float(
            recurrent_dropout, "recurrent_dropout", low=0.0, high=1.0, open_high=True
        )
        self.return_sequences = bool(return_sequences)
        self.return_state = bool(return_state)
        self.go_backwards = bool(go_backwards)
        self.stateful = bool(stateful)
        self.unroll = bool(unroll)

    # ---- what subclasses write

    def step(self, projected: Tensor, states: list[Tensor], mask: Tensor | None) -> list[Tensor]:
        """Return the states after a step, the output first.

        `projected` is its input times the kernel, bias added: (rows, gates · units); `mask` what
        the output is multiplied with on its way to the recurrent kernel, or None.
        """
        raise NotImplementedError

    def fused_cell(self) -> Literal["simple", "lstm", "gru"] | None:
        """Return the core's name for this recurrence, all steps at once; None goes step by step."""
        return None

    def recurrent_bias(self) -> Tensor | None:
        """Return the bias that is added to the recurrent product, apart from that of the inputs."""
        return None

    def bias_shape(self) -> tuple[int, ...]:
        """Return the shape of the bias."""
        return (self.gates * self.units,)

    def input_bias(self) -> Tensor | None:
        """Return the bias that is added to the product of input and kernel."""
        return self.bias

    def first_bias(self) -> Any:
        """Return the initializer of the bias."""
        return self.bias_initializer

    # ---- the layer

    def build(self, input_shape: Any) -> None:
        """Make the two kernels, the bias and the streams of masks."""
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        width = self.gates * self.units
        self.kernel = self.add_weight(
            "kernel",
            (shape[-1], width),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel",
            (self.units, width),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                self.bias_shape(),
                self.first_bias(),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.add_generator("dropout")
        self.add_generator("recurrent_dropout")

    def __call__(
        self, x: Any, training: bool | None = None, *, initial_state: Any = None, **arguments: Any
    ) -> Any:
        """Return the output for an input; see `Layer`.

        Parameters
        ----------
        x
            The input, or a list of it and the first states.
        training
            As for every layer.
        initial_state
            The first states in a list, or the only one: another way to write them.
        **arguments
            As for every layer.
        """
        if initial_state is not None:
            x = [*as_list(x)[0], *as_list(initial_state)[0]]
        return super().__call__(x, training, **arguments)

    def call(self, x: Any, training: bool = False, mask: Any = None) -> Any:
        """Return the last output or all outputs, and the last states where asked for."""
        inputs, *states = x if isinstance(x, list) else [x]
        counts = self._counts(inputs, mask)
        rows = inputs.shape[0]
        if any(state.shape[0] != rows for state in states):
            raise self._story(
                f"first states with as many rows as the input, {rows}",
                ", ".join(str(state.shape) for state in states),
                "pass the states of the same rows, or the input alone",
            )
        begins_at_zero = not states and not self.stateful
        # A row of zeros that a model is built by is no batch.
        keeps = self.stateful and not call_context.building
        if not states and keeps:
            self._make_states(rows)
            # The values of this moment, which change before the gradients are taken.
            states = [kept.clone() for kept in self._kept]
        if not states:
            zeros = _core.zeros((rows, self.units), dtype=inputs.dtype)
            states = [zeros] * self.states
        if self.go_backwards:
            inputs = inputs[:, ::-1]
            counts = None if counts is None else counts[:, ::-1]
        if training and self.dropout:
            inputs = inputs * self._mask(inputs, inputs.shape[2], "dropout").unsqueeze(1)
        dropped = None
        if training and self.recurrent_dropout:
            dropped = self._mask(inputs, self.units, "recurrent_dropout")
        projected = self._projected(inputs, counts)
        outputs, states = self._over_time(projected, states, dropped, counts)
        if keeps:
            with no_grad():
                for kept, state in zip(self._kept, states, strict=True):
                    kept.copy_(state)
        if outputs is not None and counts is not None and self.return_sequences:
            outputs = self._shown_steps(outputs, counts, begins_at_zero)
        output = outputs if self.return_sequences else states[0]
        return [output, *states] if self.return_state else output

    def _projected(self, inputs: Tensor, counts: Tensor | None) -> Tensor:
        """Return the products of all steps' inputs with the kernel: (rows, steps, width)."""
        if counts is not None and self.fused_cell() is not None:
            # Padding costs nothing; its gradient is 0.
            return _core.dense_steps(inputs, self.kernel, counts, self.input_bias())
        vectors = inputs.reshape(inputs.shape[0] * inputs.shape[1], inputs.shape[2])
        product = _core.dense(vectors, self.kernel, self.input_bias())
        return product.reshape(inputs.shape[0], inputs.shape[1], self.gates * self.units)

    def _counts(self, inputs: Tensor, mask: Any) -> Tensor | None:
        """Return which steps of the input count, or None for all of them."""
        counts: Tensor | None = mask[0] if isinstance(mask, list) else mask
        if counts is not None and tuple(counts.shape) != tuple(inputs.shape[:2]):
            raise self._story(
                f"a mask of shape (rows, steps), {tuple(inputs.shape[:2])}",
                f"{tuple(counts.shape)}",
                "pass True for each step that counts and False for the others",
            )
        return counts

    def _shown_steps(self, outputs: Tensor, counts: Tensor, begins_at_zero: bool) -> Tensor:
        """Return all outputs, where the state is carried over masked steps, as they are shown.

        A masked step has the output before it, and 0 where there is none.
        """
        if self.zero_output_for_mask:
            return _core.where(counts.unsqueeze(2), outputs, 0.0)
        if begins_at_zero:
            return outputs
        steps = counts.shape[1]
        upto = _core.tensor(np.triu(np.ones((steps, steps), outputs.dtype)))
        seen = _core.matmul(counts.astype(outputs.dtype), upto) != 0.0
        return _core.where(seen.unsqueeze(2), outputs, 0.0)

    def _make_states(self, rows: int) -> None:
        """Make the states that are kept from batch to batch, for so many rows, unless they are."""
        if not self._kept:
            self._kept = tuple(
                self.add_weight(f"state_{name}", (rows, self.units), "zeros", False, decays=False)
                for name in "hc"[: self.states]
            )
        elif self._kept[0].shape[0] != rows:
            raise self._story(
                f"batches of {self._kept[0].shape[0]} rows, for which it keeps the states",
                f"{rows}",
                "a stateful layer needs batches of one size: choose a batch_size that divides the "
                "rows, or drop_last=True; for other data use a copy of the model with "
                "stateful=False",
            )

    def reset_states(self) -> None:
        """Set the states that are kept from batch to batch to 0.

        Raises
        ------
        ValueError
            The layer is not stateful.

        Examples
        --------
        >>> layer = eg.layers.GRU(2, stateful=True)
        >>> first, second = layer(eg.ones((1, 3, 2))), layer(eg.ones((1, 3, 2)))
        >>> layer.reset_states()
        >>> third = layer(eg.ones((1, 3, 2)))
        >>> first.tolist() == third.tolist() != second.tolist()
        True
        """
        if not self.stateful:
            raise ValueError(
                f"{self.path}: reset_states: the layer keeps no states; make it with stateful=True"
            )
        with access_to(self, writes=True), no_grad():
            for kept in self._kept:
                kept.copy_(np.zeros(kept.shape, kept.dtype))

    def _over_time(
        self,
        projected: Tensor,
        states: list[Tensor],
        mask: Tensor | None,
        counts: Tensor | None = None,
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Return all outputs (rows, steps, units), if they are asked for, and the last states."""
        cell = self.fused_cell()
        if cell is not None:
            bias = self.recurrent_bias()
            both = _core.recurrent(
                cell, projected, self.recurrent_kernel, states, bias, mask, counts
            )
            last = [self._gate(both[:, -1], i) for i in range(self.states)]
            whole = both if self.states == 1 else both[:, :, : self.units]
            if call_context.unrolling is not None:
                call_context.unrolling(self, projected, lambda: whole)
            return whole, last
        outputs: list[Tensor] = []
        which = [] if counts is None else counts.unsqueeze(2).unbind(1)
        for number, inputs in enumerate(projected.unbind(1)):
            before, states = states, self.step(inputs, states, mask)
            if counts is not None:
                pairs = zip(states, before, strict=True)
                states = [_core.where(which[number], new, old) for new, old in pairs]
            outputs.append(states[0])
        if call_context.unrolling is not None:
            call_context.unrolling(self, projected, lambda: _core.stack(outputs, dim=1))
        return (_core.stack(outputs, dim=1) if self.return_sequences else None), states

    def _mask(self, inputs: Tensor, width: int, stream: str) -> Tensor:
        """Return one mask for all steps (Gal and Ghahramani), scaled: (rows, width)."""
        ones = _core.ones((inputs.shape[0], width), dtype=inputs.dtype)
        rate = self.dropout if stream == "dropout" else self.recurrent_dropout
        return _core.dropout(ones, rate, self.generator(stream))

    def _recurrent(self, output: Tensor, mask: Tensor | None, bias: Tensor | None = None) -> Tensor:
        """Return the product of the last output with the recurrent kernel."""
        seen = output if mask is None else output * mask
        return _core.dense(seen, self.recurrent_kernel, bias)

    def _gate(self, z: Tensor, i: int) -> Tensor:
        """Return the part of gate `i` of (rows, gates · units)."""
        return z[:, i * self.units : (i + 1) * self.units]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the input's mask, where there are steps in the output."""
        del inputs
        mask = previous_mask[0] if isinstance(previous_mask, list) else previous_mask
        mask = mask if self.return_sequences else None
        return [mask, *[None] * self.states] if self.return_state else mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (None, units), or (None, steps, units) for all outputs; states come after it."""
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        state = (None, self.units)
        output = (None, shape[1], self.units) if self.return_sequences else state
        return [output, *[state] * self.states] if self.return_state else output

    def multiply_adds(self, input_shape: Any) -> int:
        """Return steps · (features + units) · gates · units."""
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        return int(shape[1] or 1) * (int(shape[2]) + self.units) * self.gates * self.units

    def _check_input(self, shape: Any) -> None:
        sequence, *states = shape if isinstance(shape, list) else [shape]
        if len(sequence) != 3:
            raise self._story(
                "an input of shape (rows, steps, features)",
                sequence,
                "add the missing dimension, such as x[:, :, None] for one feature",
            )
        if sequence[1] == 0:
            raise self._story("at least one step", sequence, "leave empty sequences out")
        if states and (len(states) != self.states or any(s[1:] != (self.units,) for s in states)):
            raise self._story(
                f"the first states as {self.states} of shape (rows, {self.units}) after the input",
                ", ".join(map(str, states)),
                "pass [x, *states] as `return_state=True` gives them, or the input alone",
            )
        if sequence[2] is None:
            raise self._story(
                "a known number of features", sequence, "say it in Input, (None, features)"
            )
        if self.built and sequence[2] != self.kernel.shape[0]:
            raise self._story(
                f"an input of shape (rows, steps, {self.kernel.shape[0]})",
                sequence,
                "the layer was built for that many features: pass as many, or make a new layer",
            )


# `SimpleRNN` takes it as it is, and Python's messages name it.
Recurrent.__init__.__qualname__ = "SimpleRNN.__init__"
