"""The conditions under which a net of SELU units normalizes itself."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from evengrad import layers
from evengrad._common.config import name_of
from evengrad._tensor.grad_mode import no_grad
from evengrad.constraints import MaxNorm
from evengrad.initializers import VarianceScaling
from evengrad.layers._activation import Elementwise
from evengrad.layers._merge import Merge
from evengrad.layers._module import module_tree
from evengrad.layers._placement import children_of
from evengrad.layers._recurrent import Recurrent
from evengrad.models._network import chain_of, graph_of, heads_of
from evengrad.training._data import prepare_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from evengrad.layers._layer import Layer
    from evengrad.models._graph import Graph
    from evengrad.models._model import Model
    from evengrad.models._network import ModelView

# What mean and deviation of a feature may be off by; the sampling error of few rows is added.
TOLERANCE = 0.1
# Names in a message; more are counted.
MOST_NAMES = 3

# Layers that data may pass before the net proper.
IN_FRONT = (layers.Normalization, layers.Rescaling, layers.Flatten, layers.Reshape)
SKIPS = (layers.Residual, layers.Concatenate, Merge, Recurrent)
NOISES = (layers.Dropout, layers.GaussianDropout, layers.GaussianNoise)
NORMS = (layers.BatchNormalization, layers.LayerNormalization)
# What outputs end in. Another function at a model's end is that of a hidden layer: the model makes
# features. None is a function of the user's.
OF_OUTPUTS = (
    None,
    "exponential",
    "hard_sigmoid",
    "hard_tanh",
    "linear",
    "log_softmax",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
)


class Unit(NamedTuple):
    """A layer with a kernel, if one leads, and what is applied to its sums: layers with names."""

    layer: Layer | None
    activations: list[tuple[Layer, str | None]]

    def without_selu(self) -> Iterator[Layer]:
        """Yield what keeps the unit from being one of SELU."""
        of_its_own = isinstance(self.layer, layers.Maxout)
        if self.layer is not None and (of_its_own or not self.activations):
            yield self.layer
        yield from (layer for layer, name in self.activations if name != "selu")

    def members(self) -> list[Layer]:
        """Return all layers of the unit."""
        applied = [layer for layer, _ in self.activations]
        return applied if self.layer is None else [self.layer, *applied]


def check_selu(model: Model, view: ModelView, x: Any) -> list[str]:
    """Return a message for each violated condition; see `Model.check_selu`."""
    xs = prepare_inputs(view, x)
    inside = [layer for _, layer in module_tree(model).layers]
    dense = [layer for layer in inside if isinstance(layer, (layers.Dense, layers.Maxout))]
    hidden = _hidden(model)
    kernels = [unit.layer for unit in hidden if isinstance(unit.layer, layers.Dense)]
    return [
        *_inputs(model, xs),
        *violated(
            "activation",
            [layer for unit in hidden for layer in unit.without_selu()],
            "without SELU; use activation='selu' in all hidden layers",
        ),
        *violated(
            "initializer",
            [layer for layer in kernels if not is_lecun_normal(layer.kernel_initializer)],
            "not begun with LeCun's normal values; use kernel_initializer='lecun_normal' in all "
            "hidden layers",
        ),
        *_stack(model, inside),
        *violated(
            "regularizers",
            [layer for layer in dense if _penalized(layer)],
            "penalized by ℓ1, ℓ2 or another, which pulls variances down; remove them, or use early "
            "stopping",
        ),
        *violated(
            "constraints",
            [layer for layer in dense if isinstance(layer.kernel_constraint, MaxNorm)],
            "held by max-norm, which changes variances; remove it",
        ),
        *violated(
            "dropout",
            [layer for layer in inside if isinstance(layer, NOISES)],
            "no AlphaDropout, the one that keeps mean and variance; use layers.AlphaDropout",
        ),
        *violated(
            "normalization",
            [layer for layer in inside if isinstance(layer, NORMS)],
            "superfluous, since the net normalizes itself; remove normalizing layers",
        ),
    ]


def violated(condition: str, by: list[Any], how: str) -> list[str]:
    """Return the message for a condition, if there are layers that violate it."""
    return [f"{condition}: {named(by)} {how}"] if by else []


def named(some: list[Any]) -> str:
    """Return the layers' names with the verb: ``dense is``, ``dense, dense_1 are``."""
    # A layer that is used twice is one.
    names = list(dict.fromkeys(layer.path for layer in some))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more} {'is' if len(names) == 1 else 'are'}"


def pieces(layer: Layer) -> Iterator[Layer]:
    """Yield the layers that data passes, models and other containers opened, in their order."""
    chain, graph = chain_of(layer), graph_of(layer)
    if chain is not None:
        inside: Iterable[Layer] = chain
    elif graph is not None:
        inside = [node.layer for node in graph.nodes if node.layer is not None]
    else:
        inside = [child for _, child in children_of(layer)]
        if not inside or isinstance(layer, layers.Dense):
            yield layer
    for child in inside:
        yield from pieces(child)


def _units(passed: Iterable[Layer]) -> list[Unit]:
    """Return layers as units: each with what is applied to its sums by itself or behind it."""
    units: list[Unit] = []
    for layer in passed:
        if isinstance(layer, (layers.Dense, layers.Maxout)):
            units.append(Unit(layer, []))
        if isinstance(layer, (layers.Activation, Elementwise)):
            name = layer.final_activation
        elif isinstance(layer, layers.Dense) and not isinstance(layer.activation, layers.Layer):
            name = name_of(layer.activation)
        else:
            # An activation that is a layer comes by itself.
            continue
        if not units:
            units.append(Unit(None, []))
        if name != "linear":
            units[-1].activations.append((layer, name))
    return units


def _hidden(model: Model) -> list[Unit]:
    """Return the units that make no output."""
    units = _units(pieces(model))
    heads = [_units(pieces(head))[-1:] for head in heads_of(model) if head is not None]
    ends = [*units[-1:], *itertools.chain.from_iterable(heads)]
    members = {id(layer) for end in ends for layer in end.members()}
    return [
        unit
        for unit in units
        if members.isdisjoint(map(id, unit.members()))
        or any(name not in OF_OUTPUTS for _, name in unit.activations)
    ]


def fronts_of(model: Model) -> list[list[Layer]]:
    """Return, for each input, the layers that data passes before the net proper."""
    if chain_of(model) is not None:
        return [_leading(pieces(model))]
    graph = graph_of(model)
    return [] if graph is None else [_behind(graph, symbol) for symbol in graph.inputs]


def _behind(graph: Graph, symbol: Any) -> list[Layer]:
    """Return the layers in front that an input of a graph passes."""
    front: list[Layer] = []
    while True:
        uses = [node for node in graph.nodes if any(x is symbol for x in node.inputs)]
        if len(uses) != 1 or uses[0].layer is None or len(uses[0].inputs) != 1:
            return front
        passed = list(pieces(uses[0].layer))
        leading = _leading(passed)
        front += leading
        if len(leading) < len(passed):
            return front
        symbol = uses[0].outputs[0]


def _leading(passed: Iterable[Layer]) -> list[Layer]:
    return list(itertools.takewhile(lambda layer: isinstance(layer, IN_FRONT), passed))


def _inputs(model: Model, xs: list[np.ndarray[Any, Any]]) -> list[str]:
    """Check that each feature has mean 0 and deviation 1, behind layers that see to that."""
    found = []
    for number, (x, front) in enumerate(itertools.zip_longest(xs, fronts_of(model), fillvalue=())):
        values = np.asarray(x, np.float64)
        with no_grad():
            for layer in front:
                values = layer(values).numpy().astype(np.float64)
        mean, deviation = values.mean(0).ravel(), values.std(0).ravel()
        close = TOLERANCE + 3 / np.sqrt(len(values))
        off = np.flatnonzero((abs(mean) > close) | (abs(deviation - 1) > close))
        if off.size:
            worst = off[np.argmax(np.maximum(abs(mean), abs(deviation - 1))[off])]
            which = f"inputs[{number}]" if len(xs) > 1 else "inputs"
            found.append(
                f"{which}: {off.size} of {mean.size} features are not standardized; feature "
                f"{worst} has mean {mean[worst]:.3g} and deviation {deviation[worst]:.3g}; put "
                "layers.Normalization() in front and adapt it, and leave out constant features"
            )
    return found


def is_lecun_normal(initializer: Any) -> bool:
    """Tell whether an initializer draws normal values of variance 1 / fan_in."""
    return (
        isinstance(initializer, VarianceScaling)
        and (initializer.scale, initializer.mode) == (1.0, "fan_in")
        and initializer.distribution != "uniform"
    )


def _penalized(layer: Any) -> bool:
    penalties = (layer.kernel_regularizer, layer.bias_regularizer, layer.activity_regularizer)
    return any(penalty is not None for penalty in penalties)


def _stack(model: Model, inside: list[Layer]) -> list[str]:
    """Tell why the model is no plain chain, if it is none."""
    skips = [layer for layer in inside if isinstance(layer, SKIPS)]
    if skips:
        return violated(
            "stack",
            skips,
            "no part of a plain chain: around skips and in recurrences signals do not normalize "
            "themselves; use Dense layers one after the other",
        )
    graph = graph_of(model)
    if graph is not None:
        inputs = [id(symbol) for node in graph.nodes for symbol in node.inputs]
        chain = len(inputs) == len(set(inputs)) == len(graph.nodes) and len(graph.outputs) == 1
        return [] if chain else ["stack: the graph branches; use layers one after the other"]
    if chain_of(model) is None:
        return ["stack: the model's own call hides its structure; use a Sequential to be sure"]
    return []
