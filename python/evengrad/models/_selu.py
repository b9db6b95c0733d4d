"""The conditions under which a net of SELU units normalises itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import activations, layers
from evengrad._training._arrays import build_for, inputs_of
from evengrad.autograd import no_grad
from evengrad.constraints import MaxNorm
from evengrad.initializers import VarianceScaling
from evengrad.layers._merge import Merge
from evengrad.layers._recurrent import Recurrent
from evengrad.models._sequential import Sequential

if TYPE_CHECKING:
    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model

# What mean and deviation of a feature may be off by; the sampling error of few rows is added.
TOLERANCE = 0.1
# Names in a message; more are counted.
MOST_NAMES = 3

# Layers that data may pass before the net proper.
IN_FRONT = (layers.Normalization, layers.Rescaling, layers.Flatten, layers.Reshape)
SKIPS = (layers.Residual, layers.Concatenate, Merge, Recurrent)
NOISES = (layers.Dropout, layers.GaussianDropout, layers.GaussianNoise)
NORMS = (layers.BatchNormalization, layers.LayerNormalization)


def check_selu(model: Model, x: Any) -> list[str]:
    """Return a message for each violated condition; see `Model.check_selu`."""
    xs = inputs_of(model, x)
    build_for(model, xs)
    inside = [layer for _, layer in model._named_layers()]
    dense = [layer for layer in inside if isinstance(layer, layers.Dense)]
    # What makes the outputs is no hidden layer.
    ends = [*model._heads(), *dense[-1:]]
    hidden = [layer for layer in dense if not any(layer is end for end in ends)]
    found = _inputs(model, xs)
    others = [layer for layer in hidden if activations._name_of(layer.activation) != "selu"]
    if others:
        found.append(
            f"activation: {named(others)} without SELU; use activation='selu' in all hidden layers"
        )
    begun = [layer for layer in hidden if not is_lecun_normal(layer.kernel_initializer)]
    if begun:
        found.append(
            f"initialiser: {named(begun)} not begun with LeCun's normal values; use "
            "kernel_initializer='lecun_normal' in all hidden layers"
        )
    stack = _stack(model, inside)
    if stack is not None:
        found.append(f"stack: {stack}")
    regularized = [layer for layer in dense if _penalised(layer)]
    if regularized:
        found.append(
            f"regularisers: {named(regularized)} penalised by ℓ1, ℓ2 or another, which pulls "
            "variances down; remove them, or use early stopping"
        )
    bounded = [layer for layer in dense if isinstance(layer.kernel_constraint, MaxNorm)]
    if bounded:
        found.append(
            f"constraints: {named(bounded)} held by max-norm, which changes variances; remove it"
        )
    noises = [layer for layer in inside if isinstance(layer, NOISES)]
    if noises:
        found.append(
            f"dropout: {named(noises)} no AlphaDropout, the one that keeps mean and variance; use "
            "layers.AlphaDropout"
        )
    norms = [layer for layer in inside if isinstance(layer, NORMS)]
    if norms:
        found.append(
            f"normalisation: {named(norms)} superfluous, since the net normalises itself; remove "
            "normalising layers"
        )
    return found


def named(some: list[Any]) -> str:
    """Return the layers' names with the verb: ``dense is``, ``dense, dense_1 are``."""
    names = [layer.path for layer in some[:MOST_NAMES]]
    more = f" and {len(some) - MOST_NAMES} more" if len(some) > MOST_NAMES else ""
    return f"{', '.join(names)}{more} {'is' if len(some) == 1 else 'are'}"


def _inputs(model: Model, xs: list[np.ndarray[Any, Any]]) -> list[str]:
    """Check that each feature has mean 0 and deviation 1, behind layers that see to that."""
    found = []
    for number, x in enumerate(xs):
        values = np.asarray(x, np.float64)
        if isinstance(model, Sequential):
            with no_grad():
                for layer in model.layers:
                    if not isinstance(layer, IN_FRONT):
                        break
                    values = layer(values).numpy().astype(np.float64)
        mean, deviation = values.mean(0).ravel(), values.std(0).ravel()
        close = TOLERANCE + 3 / np.sqrt(len(values))
        off = np.flatnonzero((abs(mean) > close) | (abs(deviation - 1) > close))
        if off.size:
            worst = off[np.argmax(np.maximum(abs(mean), abs(deviation - 1))[off])]
            which = f"inputs[{number}]" if len(xs) > 1 else "inputs"
            found.append(
                f"{which}: {off.size} of {mean.size} features are not standardised; feature "
                f"{worst} has mean {mean[worst]:.3g} and deviation {deviation[worst]:.3g}; put "
                "layers.Normalization() in front and adapt it, and leave out constant features"
            )
    return found


def is_lecun_normal(initializer: Any) -> bool:
    """Tell whether an initialiser draws normal values of variance 1 / fan_in."""
    return (
        isinstance(initializer, VarianceScaling)
        and (initializer.scale, initializer.mode) == (1.0, "fan_in")
        and initializer.distribution != "uniform"
    )


def _penalised(layer: Any) -> bool:
    penalties = (layer.kernel_regularizer, layer.bias_regularizer, layer.activity_regularizer)
    return any(penalty is not None for penalty in penalties)


def _stack(model: Model, inside: list[Layer]) -> str | None:
    """Tell why the model is no plain chain; None if it is one."""
    skips = [layer for layer in inside if isinstance(layer, SKIPS)]
    if skips:
        return (
            f"{named(skips)} no part of a plain chain: around skips and in recurrences signals do "
            "not normalise themselves; use Dense layers one after the other"
        )
    graph = model._graph
    if graph is not None:
        inputs = [id(symbol) for node in graph.nodes for symbol in node.inputs]
        chain = len(inputs) == len(set(inputs)) == len(graph.nodes) and len(graph.outputs) == 1
        return None if chain else "the graph branches; use layers one after the other"
    if not isinstance(model, Sequential):
        return "the model's own call hides its structure; use a Sequential to be sure"
    return None
