"""What is known of each layer of a model before it runs: facts that the doctor's findings use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from evengrad._common.config import name_of
from evengrad.constraints import MaxNorm
from evengrad.health._examination import LayerFacts
from evengrad.initializers import VarianceScaling
from evengrad.layers._dropout import Noise
from evengrad.layers._layer import Layer
from evengrad.layers._module import module_tree, state_of
from evengrad.layers._noise import AlphaDropout
from evengrad.layers._preprocessing import Normalization, Rescaling
from evengrad.layers._recurrent import Recurrent
from evengrad.layers._residual import Residual, parts_of
from evengrad.layers._variables import KERNEL_DIMENSIONS
from evengrad.models._anatomy import ACTIVATIONS, NORMALIZATIONS
from evengrad.models._network import chain_of, graph_of

if TYPE_CHECKING:
    from evengrad.health._watch import Uses
    from evengrad.models._graph import Graph

SCALING = (Normalization, Rescaling)
PENALTIES = ("kernel_regularizer", "bias_regularizer", "activity_regularizer")


# What scale and mode of `VarianceScaling` are called.
NAMED = {(1.0, "fan_in"): "Lecun", (1.0, "fan_avg"): "Glorot", (2.0, "fan_in"): "He"}


class Reached(NamedTuple):
    """Where the outputs of a layer stand: how deep, and which rows of the table made them."""

    depth: int = 0
    made_by: tuple[int, ...] = ()
    # Of the model's inputs, before any layer with a kernel: whether a layer has scaled them, and
    # the rate at which they were dropped.
    scaled: bool = False
    dropped: float = 0.0


def facts_of(model: Layer, seen: Uses | None = None) -> list[tuple[Layer, LayerFacts]]:
    """Return the layers with kernels and the activation layers, and what is known of each.

    In the order in which data comes through them, as far as the structure tells it; in the code of
    users, in the order in which a pass that was `seen` has called them.
    """
    walk = Walk(model, {} if seen is None else seen.order)
    end = walk.through(model, Reached(), shortcut=False)
    ends = [end.made_by]
    if chain_of(model) is None:
        if graph_of(model) is not None:
            ends = [one.made_by for one in walk.ends]
        elif seen is not None and seen.ends:
            ends = [walk.made_by(layer) for layer in seen.ends]
    walk.mark_heads(ends)
    return [(layer, LayerFacts(**facts)) for layer, facts in walk.rows]


def name_of_initializer(initializer: Any) -> str | None:
    """Return the name of an initializer's class; of a scaling of variances, that of its equal."""
    if type(initializer) is not VarianceScaling:
        return type(initializer).__name__ if initializer else None
    uniform = "Uniform" if initializer.distribution == "uniform" else "Normal"
    name = NAMED.get((initializer.scale, initializer.mode))
    return "VarianceScaling" if name is None else f"{name}{uniform}"


class Walk:
    """A walk through a model along the way that data takes."""

    def __init__(self, model: Layer, order: dict[int, int]) -> None:
        # When layers were called, by their identity, where that was seen.
        self.order = order
        # Where the outputs of the graph stand that was gone through last.
        self.ends: list[Reached] = []
        self.paths = {id(layer): prefix.rstrip("/") for prefix, layer in module_tree(model).layers}
        self.rows: list[tuple[Layer, dict[str, Any]]] = []
        self.place_of: dict[int, int] = {}

    def through(self, layer: Layer, before: Reached, *, shortcut: bool) -> Reached:
        """Visit a layer that takes what was reached; return what it puts out."""
        known = self.place_of.get(id(layer))
        if known is not None:
            # A layer that several places share: as deep as its deepest use.
            facts = self.rows[known][1]
            depth = before.depth + facts["has_kernel"]
            facts["depth"] = max(facts["depth"], depth)
            return Reached(depth, (known,))
        graph, chain = graph_of(layer), chain_of(layer)
        if chain is not None:
            return self._along(chain, before, shortcut=shortcut)
        if graph is not None:
            return self._through_graph(graph, before, shortcut=shortcut)
        if isinstance(layer, Residual):
            return self._through_block(layer, before)
        return self._through_layer(layer, before, shortcut=shortcut)

    def _along(self, layers: list[Layer], before: Reached, *, shortcut: bool) -> Reached:
        for layer in layers:
            before = self.through(layer, before, shortcut=shortcut)
        return before

    def _through_graph(self, graph: Graph, before: Reached, *, shortcut: bool) -> Reached:
        reached = {id(symbol): before for symbol in graph.inputs}
        for node in graph.nodes:
            if node.layer is None:
                continue
            ends = [reached[id(symbol)] for symbol in node.inputs]
            deepest = max((one.depth for one in ends), default=before.depth)
            made_by = ends[0].made_by if len(ends) == 1 else ()
            end = self.through(node.layer, Reached(deepest, made_by), shortcut=shortcut)
            reached.update({id(symbol): end for symbol in node.outputs})
        outputs = self.ends = [reached[id(symbol)] for symbol in graph.outputs]
        made_by = tuple(dict.fromkeys(place for end in outputs for place in end.made_by))
        return Reached(max(end.depth for end in outputs), made_by)

    def _through_block(self, block: Residual, before: Reached) -> Reached:
        body, projection = parts_of(block)
        end = self._along(body, before, shortcut=True)
        if projection is not None:
            around = self.through(projection, Reached(before.depth), shortcut=True)
            end = Reached(max(end.depth, around.depth), end.made_by)
        if isinstance(block.activation, Layer):
            end = self.through(block.activation, end, shortcut=False)
        return Reached(end.depth)

    def _through_layer(self, layer: Layer, before: Reached, *, shortcut: bool) -> Reached:
        if isinstance(layer, NORMALIZATIONS):
            for place in before.made_by:
                self.rows[place][1]["normalized"] = True
            return before._replace(scaled=True)
        if isinstance(layer, SCALING):
            return before._replace(scaled=True)
        if isinstance(layer, ACTIVATIONS):
            return self._through_activation(layer, before, shortcut=shortcut)
        if isinstance(layer, Noise):
            rate = 0.0 if isinstance(layer, AlphaDropout) else float(getattr(layer, "rate", 0.0))
            for place in before.made_by:
                self.rows[place][1]["dropout"] = rate
            return before._replace(dropped=max(before.dropped, rate))
        weights = [one.tensor for one in state_of(layer).weights]
        kernels = [tensor for tensor in weights if tensor.ndim >= KERNEL_DIMENSIONS]
        inside = module_tree(layer).layers[1:]
        parts = [part for prefix, part in inside if prefix.count("/") == 1]
        if not kernels:
            # What code of users does with its layers is not known: one after the other, likely.
            called = [part for part in parts if id(part) in self.order]
            if called:
                others = [part for part in parts if id(part) not in self.order]
                self._along(others, Reached(before.depth), shortcut=shortcut)
                parts = sorted(called, key=lambda part: self.order[id(part)])
            end = self._along(parts, before, shortcut=shortcut)
            return end if parts else Reached(before.depth)
        place = self._enter(layer, before.depth + 1, shortcut=shortcut, has_kernel=True)
        facts = self.rows[place][1]
        facts["units"] = self._units_of(layer, kernels[0].shape[-1])
        facts["fan_in"] = int(kernels[0].shape[0])
        facts["normalized"] = any(isinstance(part, NORMALIZATIONS) for part in parts)
        if not before.made_by and before.depth == 0:
            facts["input_scaled"], facts["dropout"] = before.scaled, before.dropped
        return Reached(before.depth + 1, (place,))

    def _through_activation(self, layer: Layer, before: Reached, *, shortcut: bool) -> Reached:
        for place in before.made_by:
            facts = self.rows[place][1]
            if facts["activation"] == "linear":
                facts["followed_by"] = layer.final_activation
        place = self._enter(layer, before.depth, shortcut=shortcut, has_kernel=False)
        facts = self.rows[place][1]
        facts["units"] = max((self.rows[one][1]["units"] for one in before.made_by), default=0)
        return Reached(before.depth, (*before.made_by, place))

    def _enter(self, layer: Layer, depth: int, *, shortcut: bool, has_kernel: bool) -> int:
        initializer = getattr(layer, "kernel_initializer", None)
        activation = layer.final_activation
        own = getattr(layer, "activation", None)
        if activation is None and own is not None:
            activation = name_of(own)
        place = self.place_of[id(layer)] = len(self.rows)
        facts = {
            "path": self.paths.get(id(layer), layer.path),
            "kind": type(layer).__name__,
            "activation": activation if activation or has_kernel else None,
            "initializer": name_of_initializer(initializer) if has_kernel else None,
            "depth": depth,
            "trainable": layer.trainable and any(w.trainable for w in state_of(layer).weights),
            "has_kernel": has_kernel,
            "recurrent": isinstance(layer, Recurrent),
            "shortcut": shortcut,
            "penalized": any(getattr(layer, name, None) is not None for name in PENALTIES),
            "constrained": isinstance(getattr(layer, "kernel_constraint", None), MaxNorm),
        }
        self.rows.append((layer, facts))
        return place

    @staticmethod
    def _units_of(layer: Layer, columns: int) -> int:
        units = getattr(layer, "units", None)
        return units if isinstance(units, int) else int(columns)

    def made_by(self, layer: Layer | None) -> tuple[int, ...]:
        """Return the row of what has made the output of a layer, if there is one."""
        place = self.place_of.get(id(layer), -1)
        while place >= 0 and not self.rows[place][1]["has_kernel"]:
            # An activation is behind what it is applied to.
            place -= 1
        return () if place < 0 else (place,)

    def mark_heads(self, ends: list[tuple[int, ...]]) -> None:
        """Mark what puts out what the losses get: the last layer, where code alone knows it."""
        kernels = [place for place, (_, facts) in enumerate(self.rows) if facts["has_kernel"]]
        any_known = False
        for output, end in enumerate(ends):
            for place in end:
                facts = self.rows[place][1]
                if facts["has_kernel"]:
                    facts["head"], any_known = True, True
                    facts["outputs"] = (*facts.get("outputs", ()), output)
        if not any_known and kernels:
            facts = self.rows[kernels[-1]][1]
            facts["head"] = True
            facts["outputs"] = (0,) if len(ends) == 1 else ()
