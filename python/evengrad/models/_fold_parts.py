"""What layers compute in inference, in parts, and how affine parts go into linear ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from evengrad._common.config import name_of
from evengrad._common.names import is_own
from evengrad.layers._activation import Activation
from evengrad.layers._dropout import Noise
from evengrad.layers._flatten import Flatten
from evengrad.layers._module import state_of
from evengrad.layers._symbolic import row_size

if TYPE_CHECKING:
    from evengrad.layers._batch_normalization import BatchNormalization
    from evengrad.layers._dense import Dense
    from evengrad.layers._layer import Layer

Array: TypeAlias = "np.ndarray[Any, Any]"


@dataclass
class Linear:
    """x · kernel + bias, from this layer."""

    layer: Dense
    kernel: Array
    bias: Array

    def then(self, affine: Affine) -> None:
        """Take over what follows: W' = W · diag(s), b' = b ⊙ s + t."""
        self.kernel = self.kernel * affine.factor
        self.bias = self.bias * affine.factor + affine.offset

    def after(self, affine: Affine) -> None:
        """Take over what comes before: W' = diag(s) · W, b' = b + t · W."""
        self.bias = self.bias + affine.offset @ self.kernel
        self.kernel = affine.factor[:, None] * self.kernel


@dataclass
class Affine:
    """x · factor + offset, by features: what a normalization is in inference."""

    factor: Array
    offset: Array

    def then(self, affine: Affine) -> None:
        """Take over what follows."""
        self.offset = self.offset * affine.factor + affine.offset
        self.factor = self.factor * affine.factor

    def repeated(self, times: int) -> Affine:
        """Return the same for vectors that are so many times as long."""
        return Affine(np.tile(self.factor, times), np.tile(self.offset, times))


@dataclass
class Function:
    """The activation of the dense layer before."""

    function: Any


@dataclass
class Passed:
    """A layer that gives values on as they are: as they stand, or in longer vectors."""

    layer: Layer
    times: int = 1


@dataclass
class Opaque:
    """A layer that is for the new model as it is."""

    layer: Layer


Part: TypeAlias = "Linear | Affine | Function | Passed | Opaque"


def values(tensor: Any) -> Array:
    """Return a variable's values for exact arithmetic."""
    return np.asarray(tensor.detach().numpy(), np.float64)


def affine_of(norm: BatchNormalization) -> Affine:
    """Return s = γ/√(v + ε) and β − μ · s."""
    factor = 1.0 / np.sqrt(values(norm.moving_variance) + norm.epsilon)
    if norm.gamma is not None:
        factor = factor * values(norm.gamma)
    offset = -values(norm.moving_mean) * factor
    if norm.beta is not None:
        offset = offset + values(norm.beta)
    return Affine(factor, offset)


def dense_parts(layer: Dense) -> list[Part]:
    """Return the parts of a dense layer, its normalization among them."""
    bias = np.zeros(layer.units) if layer.bias is None else values(layer.bias)
    linear = Linear(layer, values(layer.kernel), bias)
    # A linear activation is none, and hides nothing from a normalization behind it.
    linear_name = name_of(layer.activation) == "linear"
    function: list[Part] = [] if linear_name else [Function(layer.activation)]
    if layer.norm is None:
        return [linear, *function]
    norm = affine_of(layer.norm)  # type: ignore[arg-type]  # the caller has looked
    if layer.norm_position == "before":
        return [linear, norm, *function]
    return [linear, *function, norm]


def times_passed(layer: Layer) -> int | None:
    """Return how many times as long a layer makes vectors that it gives on; None if it does not."""
    if type(layer) is Flatten:
        return row_size(state_of(layer).input_shape[:-1])
    silent = type(layer) is Activation and layer.final_activation == "linear"
    # What a user derives may do something else in inference.
    random = isinstance(layer, Noise) and is_own(type(layer))
    return 1 if silent or random else None


def last_at_work(parts: list[Part]) -> tuple[int, int]:
    """Return the place of the last part that is not just passed, or -1; and the vectors' growth."""
    times = 1
    for place in range(len(parts) - 1, -1, -1):
        part = parts[place]
        if not isinstance(part, Passed):
            return place, times
        times *= part.times
    return -1, times


def join(parts: list[Part]) -> list[Part]:
    """Fold each affine part into the linear one before it, else into the one behind it."""
    joined: list[Part] = []
    for part in parts:
        place, times = last_at_work(joined)
        last = joined[place] if place >= 0 else None
        if isinstance(part, Affine) and isinstance(last, (Linear, Affine)) and times == 1:
            last.then(part)
            continue
        if isinstance(part, Linear) and isinstance(last, Affine):
            del joined[place]
            part.after(last.repeated(times))
        joined.append(part)
    return joined
