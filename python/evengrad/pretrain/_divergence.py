"""Contrastive divergence: how a restricted Boltzmann machine learns, as a layer that trains.

With p_h(v) = σ(v · W + c) and p_v(h) = σ(h · Wᵀ + b), h₀ drawn from p_h(v₀) and v₁ from p_v(h₀),
one step of it is

    ΔW = η · (v₀ᵀ · p_h(v₀) − v₁ᵀ · p_h(v₁)) / m,   Δb = η · mean(v₀ − v₁),
    Δc = η · mean(p_h(v₀) − p_h(v₁)).

k steps draw h and v in turn, and take v_k in the place of v₁. Persistent chains begin where they
ended in the step before, not at the data. The layer's output is the error of the reconstruction,
for reports; the gradients that it hands to the optimizer are those differences, with the other
sign, whatever the output's own gradient is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad import _core
from evengrad._tensor.function import Function
from evengrad.layers import Layer

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers import Dense


@dataclass(frozen=True)
class Machine:
    """What a machine is, beside its numbers."""

    # Whether visible units are normal with variance 1, instead of 0 or 1.
    gaussian: bool
    # Steps of the chain.
    k: int
    # How many chains go on from step to step; 0 where they begin at the data.
    chains: int
    # Whether visible units are drawn, or stand for their means.
    samples: bool
    weight_decay: float


class ContrastiveDivergence(Layer):
    """A machine whose kernel and hidden biases are those of a dense layer.

    Streams ``"hidden"`` and ``"visible"`` are drawn from once for each step of a chain.
    """

    def __init__(self, dense: Dense, machine: Machine, visible_bias: Any) -> None:
        super().__init__(dtype=dense.dtype)
        self.dense = dense
        self.machine = machine
        # Its first values.
        self.first = visible_bias

    def build(self, input_shape: Any) -> None:
        """Make the visible biases, the streams and the chains."""

        def given(shape: Any, dtype: Any) -> Tensor:
            del shape
            return _core.tensor(self.first, dtype=dtype)

        self.visible_bias = self.add_weight("visible_bias", (input_shape[-1],), given)
        self.chain: Tensor | None = None
        if self.machine.chains:
            shape = (self.machine.chains, self.dense.units)
            self.chain = self.add_weight("chain", shape, "zeros", trainable=False)
        self.add_generator("hidden")
        self.add_generator("visible")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (rows, 1)."""
        return (input_shape[0], 1)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Return the mean square of what is left of each row, (rows, 1)."""
        if not training:
            return self.error(x, self.visible_means(self.hidden_means(x)))
        biases = [self.visible_bias, *([] if self.dense.bias is None else [self.dense.bias])]
        error: Tensor = Difference.apply(self, x, self.dense.kernel, *biases)
        return error

    # ---- what the machine computes, off the tape

    def hidden_means(self, visible: Tensor) -> Tensor:
        """Return p_h(v)."""
        bias = None if self.dense.bias is None else self.dense.bias.detach()
        return _core.dense(visible, self.dense.kernel.detach(), bias, activation="sigmoid")

    def visible_means(self, hidden: Tensor) -> Tensor:
        """Return p_v(h), or the means of normal units."""
        activation = None if self.machine.gaussian else "sigmoid"
        kernel, bias = self.dense.kernel.detach(), self.visible_bias.detach()
        return _core.dense(hidden, kernel.T, bias, activation=activation)

    def draw_hidden(self, means: Tensor) -> Tensor:
        """Return units that are 1 with these chances, else 0."""
        return drawn(means, self.generator("hidden"))

    def draw_visible(self, means: Tensor) -> Tensor:
        """Return visible units with these means, or the means."""
        if not self.machine.samples:
            return means
        stream = self.generator("visible")
        if self.machine.gaussian:
            return means + stream.normal(means.shape, 0.0, 1.0, means.dtype)
        return drawn(means, stream)

    @staticmethod
    def error(data: Tensor, means: Tensor) -> Tensor:
        """Return the mean square of the difference for each row, (rows, 1)."""
        return (data - means).square().mean(1, keepdim=True)

    def run(self, data: Tensor) -> Phases:
        """Make the steps of the chain."""
        chain = self.chain
        positive = self.hidden_means(data)
        hidden = self.draw_hidden(positive) if chain is None else chain
        # Of the data; persistent chains are elsewhere.
        means = self.visible_means(hidden if chain is None else positive)
        error = self.error(data, means)
        visible = self.draw_visible(means if chain is None else self.visible_means(hidden))
        negative = self.hidden_means(visible)
        for _ in range(self.machine.k - 1):
            visible = self.draw_visible(self.visible_means(self.draw_hidden(negative)))
            negative = self.hidden_means(visible)
        if chain is not None:
            # To the bit, as all are 0 or 1.
            _core.accumulate(chain, self.draw_hidden(negative) - chain)
        return Phases(data, positive, visible, negative, error)


@dataclass
class Phases:
    """What a step of learning compares: data and its hidden means, and those of the chains."""

    data: Tensor
    positive: Tensor
    visible: Tensor
    negative: Tensor
    # Of the reconstruction, for each row of the data.
    error: Tensor

    def gradients(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return those of the kernel, and of visible and hidden biases.

        v_kᵀ · p_h(v_k) / chains − v₀ᵀ · p_h(v₀) / m, as one product; mean(v_k) − mean(v₀); and
        mean(p_h(v_k)) − mean(p_h(v₀)).
        """
        rows, chains = self.data.shape[0], self.visible.shape[0]
        hidden = _core.cat([self.negative * (1.0 / chains), self.positive * (-1.0 / rows)], 0)
        kernel = _core.cat([self.visible, self.data], 0).T @ hidden
        return kernel, self.visible.mean(0) - self.data.mean(0), hidden.sum(0)


class Difference(Function):
    """The error of the reconstruction, with the gradients of contrastive divergence."""

    @staticmethod
    def forward(
        ctx: Any, layer: ContrastiveDivergence, data: Tensor, kernel: Tensor, *biases: Tensor
    ) -> Tensor:
        """Return the error of each row."""
        ctx.phases = layer.run(data)
        ctx.kernel, ctx.decay = kernel, layer.machine.weight_decay
        ctx.has_bias = len(biases) > 1
        error: Tensor = ctx.phases.error
        return error

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """Return the gradients of kernel and biases."""
        del gradient
        phases: Phases = ctx.phases
        kernel, visible, hidden = phases.gradients()
        if ctx.decay:
            kernel = kernel + ctx.kernel.detach() * ctx.decay
        return None, None, kernel, visible, *([hidden] if ctx.has_bias else [])


def drawn(means: Tensor, stream: _core.Generator) -> Tensor:
    """Return 1 with these chances, else 0."""
    chances = stream.uniform(means.shape, dtype=means.dtype)
    return (chances < means).astype(means.dtype)
