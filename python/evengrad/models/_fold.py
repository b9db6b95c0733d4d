"""Folding batch normalization into the dense layers next to it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import outside_scopes
from evengrad._tensor.masked import masked
from evengrad.layers._batch_normalization import BatchNormalization, is_over_last
from evengrad.layers._dense import Dense
from evengrad.layers._layer import Layer, build_for
from evengrad.layers._module import state_of
from evengrad.layers._placement import stand_alone
from evengrad.layers._residual import Residual, parts_of
from evengrad.layers._symbolic import Input
from evengrad.models._fold_parts import (
    Affine,
    Array,
    Function,
    Linear,
    Opaque,
    Part,
    Passed,
    affine_of,
    dense_parts,
    join,
    last_at_work,
    times_passed,
)
from evengrad.models._network import chain_of, check_built, graph_of, make_chain, make_graph_like
from evengrad.models._segments import Segment, segments_of

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.models._graph import Graph
    from evengrad.models._model import Model


@outside_scopes()
def fold(model: Model) -> Model:
    """Return a new model without the normalizations that a dense layer can take over."""
    check_built(model, "fold_batch_norm")
    folded = _Folding().model(model)
    folded.feature_names_in_, folded.classes_ = model.feature_names_in_, model.classes_
    return folded


def _is_over_last(layer: BatchNormalization) -> bool:
    return is_over_last(layer, len(state_of(layer).input_shape))


def _name_apart(layers: list[Layer]) -> None:
    """Take names from layers where another one has the name, as in another chain inside."""
    taken: set[str] = set()
    for layer in layers:
        state = state_of(layer)
        if state.given_name in taken:
            state.name = state.given_name = None
            state.changed()
        elif state.given_name is not None:
            taken.add(state.given_name)


class _Folding:
    """One folding: what it has copied, and the values that its new layers are to get."""

    def __init__(self) -> None:
        # A layer that is copied for several places is copied once.
        self._copies: dict[int, Any] = {}
        self._values: list[tuple[Layer, list[Array]]] = []
        # New layers with the masks of those that were pruned.
        self._pruned: list[tuple[Dense, Tensor]] = []

    def model(self, model: Model) -> Model:
        """Return the new model, with its values."""
        chain, graph, state = chain_of(model), graph_of(model), state_of(model)
        if graph is not None:
            new = self._graph(model, graph)
        elif chain is not None:
            made = self._layers(join(self._chain_parts(chain)))
            shape = state.input_shape
            several = isinstance(shape, list)
            first = [] if several else [Input(shape[1:], model.dtype)]
            _name_apart(made)
            new = make_chain([*first, *made], name=state.given_name, dtype=state.given_dtype)
            build_for(new, shape)
        else:
            raise ValueError(
                f"{model.path}: fold_batch_norm expects a chain or a drawn graph, and the call of "
                f"{type(model).__name__} is code; fold models that it holds one by one"
            )
        for layer, arrays in self._values:
            state_of(layer).provisional = False
            for weight, array in zip(state_of(layer).weights, arrays, strict=True):
                weight.tensor.copy_(np.asarray(array, dtype=weight.tensor.dtype, order="C"))
        # Rows and columns of kernels were scaled, so that zeros are where they were.
        for layer, kept in self._pruned:
            masked.attach(layer.kernel, kept.clone())
        return new

    # ---- parts

    def _chain_parts(self, layers: list[Layer]) -> list[Part]:
        return [part for layer in layers for part in self._parts(layer)]

    def _parts(self, layer: Layer) -> list[Part]:
        """Return what a layer computes, one thing after the other."""
        if type(layer) is BatchNormalization and _is_over_last(layer):
            return [affine_of(layer)]
        if type(layer) is Dense and (
            layer.norm is None
            or (type(layer.norm) is BatchNormalization and _is_over_last(layer.norm))
        ):
            return dense_parts(layer)
        if type(layer) is Residual:
            return [Opaque(self._residual(layer))]
        chain = chain_of(layer)
        if chain is not None:
            return self._chain_parts(chain)
        graph = graph_of(layer)
        if graph is not None:
            return self._graph_parts(layer, graph)
        times = times_passed(layer)
        copied = self._copied(layer)
        return [Opaque(copied)] if times is None else [Passed(copied, times)]

    def _graph_parts(self, model: Layer, graph: Graph) -> list[Part]:
        """Return the parts of a graph inside a model: laid open where it is a chain."""
        if len(graph.inputs) == len(graph.outputs) == 1:
            segments = segments_of(graph)
            if len(segments) == 1 and segments[0].is_chain():
                return self._chain_parts(segments[0].layers())
        return [Opaque(self._graph(model, graph))]

    def _residual(self, layer: Residual) -> Residual:
        """Return a block whose body and projection are folded, each by itself."""
        parts, projection = parts_of(layer)
        body = self._layers(join(self._chain_parts(parts)))
        shortcut: Layer | None = None
        if projection is not None:
            made = self._layers(join(self._parts(projection)))
            shortcut = made[0] if len(made) == 1 else make_chain(made)
        return Residual(
            body if isinstance(layer.body, (list, tuple)) or len(body) != 1 else body[0],
            shortcut,
            self._copied(layer.activation),
            name=state_of(layer).given_name,
            dtype=state_of(layer).given_dtype,
            trainable=layer.trainable,
        )

    # ---- new layers

    def _copied(self, thing: Any) -> Any:
        """Return a copy of a layer that is in no model yet; of a function, the function."""
        first = id(thing) not in self._copies
        copied = copy.deepcopy(thing, self._copies)
        if first and isinstance(copied, Layer):
            stand_alone(copied)
        return copied

    def _layers(self, parts: list[Part]) -> list[Layer]:
        """Return new layers for the parts, and note the values of their variables."""
        made: list[Layer] = []
        for i, part in enumerate(parts):
            if isinstance(part, Linear):
                behind = parts[i + 1] if i + 1 < len(parts) else None
                function = behind.function if isinstance(behind, Function) else None
                made.append(self._dense(part, function))
            elif isinstance(part, Affine):
                # Nothing to fold it into: its statistics become 0 and 1.
                norm = BatchNormalization(epsilon=0.0, trainable=False)
                none = np.zeros_like(part.offset)
                self._values.append((norm, [part.factor, part.offset, none, none + 1.0]))
                made.append(norm)
            elif not isinstance(part, Function):
                again = any(part.layer is layer for layer in made)
                # No chain holds a layer twice; chains inside, which are laid open, may share one.
                made.append(copy.deepcopy(part.layer) if again else part.layer)
        return made

    def _dense(self, part: Linear, function: Any) -> Dense:
        """Return a dense layer with a bias and without normalization."""
        config = {**part.layer.get_config(), "use_bias": True, "norm_position": "before"}
        config.update(norm=None, activation=function)
        layer = Dense(**{name: self._copied(value) for name, value in config.items()})
        self._values.append((layer, [part.kernel, part.bias]))
        kept = masked.of(part.layer.kernel)
        if kept is not None:
            self._pruned.append((layer, kept))
        return layer

    # ---- graphs

    def _graph(self, model: Layer, graph: Graph) -> Model:
        """Return a graph drawn anew, each of its chains folded."""
        inputs = [Input(x.shape[1:], x.dtype, x.name) for x in graph.inputs]
        new = {id(old): symbol for old, symbol in zip(graph.inputs, inputs, strict=True)}
        shared: dict[int, list[Layer]] = {}
        folded = [_Folded(segment) for segment in segments_of(graph)]
        for one in folded:
            if one.segment.alone:
                one.parts = self._chain_parts(one.segment.layers())
        for one in folded:
            segment = one.segment
            key = id(segment.nodes[0].layer)
            if segment.alone:
                made = self._layers(_handed_on(graph, folded, one))
            elif segment.nodes[0].arguments:
                # As it is: what it computes follows from its call, too.
                made = [self._copied(segment.nodes[0].layer)]
            elif key in shared:
                made = shared[key]
            else:
                made = shared[key] = self._layers(join(self._chain_parts(segment.layers())))
            segment.draw(made, new)
        outputs = [new[id(symbol)] for symbol in graph.outputs]
        state = state_of(model)
        settings = {"name": state.given_name, "dtype": state.given_dtype}
        return make_graph_like(model, inputs, outputs, **settings)


@dataclass
class _Folded:
    """A segment with what its layers compute."""

    segment: Segment
    parts: list[Part] = field(default_factory=list)

    def takes_affine(self) -> bool:
        """Tell whether its first layer at work is linear."""
        at_work = (part for part in self.parts if not isinstance(part, Passed))
        return self.segment.alone and isinstance(next(at_work, None), Linear)


def _handed_on(graph: Graph, folded: list[_Folded], chain: _Folded) -> list[Part]:
    """Return a chain's parts, joined; its last one goes to all that read it, where it can."""
    joined = join(chain.parts)
    end, times = last_at_work(joined)
    affine = joined[end] if end >= 0 else None
    symbol = chain.segment.nodes[-1].outputs[0]
    readers = [node for node in graph.nodes if any(one is symbol for one in node.inputs)]
    takers = [one for one in folded if any(one.segment.nodes[0] is node for node in readers)]
    final = any(one is symbol for one in graph.outputs)
    if (
        isinstance(affine, Affine)
        and not final
        and len(takers) == len(readers)
        and all(taker.takes_affine() for taker in takers)
    ):
        del joined[end]
        for taker in takers:
            taker.parts = [affine.repeated(times), *taker.parts]
    return joined
