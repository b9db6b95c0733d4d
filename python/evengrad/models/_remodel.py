"""Models made again from their architecture, with changes of layers."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from evengrad._common.config import outside_scopes, remade
from evengrad._common.names import snake_case
from evengrad._tensor.masked import masked
from evengrad.layers import Normalization, Residual
from evengrad.layers._layer import Layer, build_for
from evengrad.layers._module import access_to, module_tree, set_trainable, state_of
from evengrad.layers._placement import children_of, seed_of
from evengrad.layers._residual import parts_of
from evengrad.layers._symbolic import Input, mapped
from evengrad.models._layer_change import ByHandError
from evengrad.models._network import (
    Network,
    chain_of,
    check_built,
    graph_of,
    input_of,
    is_made_of_layers,
    make_chain,
    make_graph_like,
    start_anew,
)
from evengrad.models._segments import segments_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evengrad.layers._symbolic import Symbolic
    from evengrad.models._graph import Graph
    from evengrad.models._layer_change import LayerChange
    from evengrad.models._model import Model


class Remodel:
    """One model made again: unbuilt layers where a change has its say, under the names they had."""

    def __init__(self, model: Model, change: LayerChange) -> None:
        self.change = change
        # By the identity of the old layer, with it, so that its identity stays its own.
        self.made: dict[int, tuple[Layer, Layer]] = {}
        self._model = model
        self._names = {layer.name for _, layer in module_tree(model).layers}

    def free_name(self, kind: type) -> str:
        """Return a name for a new layer of a class that no layer has."""
        base = snake_case(kind.__name__)
        names = (f"{base}_{number}" if number else base for number in count())
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return name

    def named(self, layer: Layer) -> Layer:
        """Give a layer that is new in the model a name that shifts no other."""
        state_of(layer).name = self.free_name(type(layer))
        state_of(layer).changed()
        return layer

    def layer(self, old: Layer) -> Layer:
        """Return the new layer for an old one: the same one for each of its places."""
        if id(old) not in self.made:
            new = self._changed(old)
            state = state_of(new)
            kept = type(new) is type(old) or self.change.keeps_names
            state.name = old.name if kept else state.given_name
            if old.built:
                # It may come from another model around.
                state.dtype = old.dtype
            state.changed()
            self.made[id(old)] = old, new
        return self.made[id(old)][1]

    def _changed(self, old: Layer) -> Layer:
        if isinstance(old, Network) and self._is_open(old):
            return self._network(old)
        return self.change.replaced(old) or self._configured(old)

    def _is_open(self, old: Network) -> bool:
        """Tell whether a model is made again of its layers, as a plain one, whatever its class.

        A class's constructor that draws a graph, or lines up layers, makes the old ones again.
        """
        if graph_of(old) is not None:
            return True
        return chain_of(old) is not None and (is_made_of_layers(old) or self.change.rearranges)

    def _network(self, old: Network) -> Model:
        graph, chain = graph_of(old), chain_of(old)
        if graph is not None:
            return self._graph(old, graph, front=old is self._model)
        layers = self.chain(chain or [])
        if old is self._model and (front := self.change.front(0)) is not None:
            layers = [self.named(front), *layers]
        return chain_like(old, layers)

    def chain(self, layers: list[Layer]) -> list[Layer]:
        """Return what stands in the place of layers one after the other."""
        return self.change.along(layers, [self.layer(layer) for layer in layers], self.named)

    def use(self, layer: Layer) -> list[Layer]:
        """Return what stands in the place of one use of a layer, which may have others."""
        return [self.layer(layer)]

    def _graph(self, old: Network, graph: Graph, *, front: bool) -> Model:
        inputs = [Input(x.shape[1:], x.dtype, x.name) for x in graph.inputs]
        new: dict[int, Symbolic] = {}
        for place, (given, symbol) in enumerate(zip(graph.inputs, inputs, strict=True)):
            first = self.change.front(place) if front else None
            new[id(given)] = symbol if first is None else self.named(first)(symbol)
        for segment in segments_of(graph):
            layers = segment.layers()
            made = self.chain(layers) if segment.alone else self.use(layers[0])
            segment.draw(made, new)
        return graph_like(old, inputs, [new[id(symbol)] for symbol in graph.outputs])

    # ---- layers made of their arguments

    def _configured(self, old: Layer) -> Layer:
        config: dict[str, Any] = mapped(old.get_config(), self._value)
        if isinstance(old, Residual):
            config |= self._parts(old)
        config |= self.change.arguments(old)
        try:
            new: Layer = type(old)(**config)
        except (TypeError, ValueError) as error:
            raise ByHandError(
                f"{old.path}: {type(old).__name__} cannot be made from its arguments: {error}"
            ) from error
        self._exchange_children(old, new)
        return new

    def _value(self, value: Any) -> Any:
        """Return an argument, or an item of one, for a new layer."""
        return self.layer(value) if isinstance(value, Layer) else remade(value)

    def _parts(self, block: Residual) -> dict[str, Any]:
        layers, projection = parts_of(block)
        body = self.chain(layers)
        alone = len(body) == 1 and not isinstance(block.body, (list, tuple))
        if block.projection is None and projection is not None and self.change.touches(projection):
            # One that the shapes called for has other arguments now.
            return {"body": body[0] if alone else body, "projection": self.layer(projection)}
        return {"body": body[0] if alone else body}

    def _exchange_children(self, old: Layer, new: Layer) -> None:
        """Have layers that a constructor of users makes by itself be changed ones, where any is."""
        changed = [
            (name, child)
            for name, child in children_of(old)
            if id(child) not in self.made and self.change.touches(child)
        ]
        if not changed:
            return
        olds, news = children_of(old), children_of(new)
        if [type(one) for _, one in olds] != [type(one) for _, one in news]:
            raise ByHandError(
                f"{old.path}: {type(old).__name__} makes {changed[0][0] or 'layers'} elsewhere "
                "than in its __init__"
            )
        places = {id(one): place for place, (_, one) in enumerate(olds)}
        swapped = {id(news[places[id(one)]][1]): self.layer(one) for _, one in changed}
        for name, value in list(vars(new).items()):
            hits: list[Any] = []

            def exchanged(item: Any, hits: list[Any] = hits) -> Any:
                if id(item) not in swapped:
                    return item
                hits.append(item)
                return swapped[id(item)]

            other = None if name in ("_made_with", "_state") else mapped(value, exchanged)
            if hits:
                setattr(new, name, other)
        left = [name for name, child in children_of(new) if id(child) in swapped]
        if left:
            raise ByHandError(f"{old.path}: {left[0] or 'a layer'} is kept where nothing finds it")


def chain_like(old: Network, layers: list[Layer]) -> Model:
    """Return a chain of layers that begins as another model does, with its name and seed."""
    first = input_of(old)
    start = [] if first is None else [Input(first.shape[1:], first.dtype, first.name)]
    return _seeded_as(old, make_chain([*start, *layers], **_settings_of(old)))


def graph_like(old: Network, inputs: Sequence[Symbolic], outputs: Sequence[Symbolic]) -> Model:
    """Return a graph between symbolic tensors, with the name and seed of another model."""
    return _seeded_as(old, make_graph_like(old, inputs, outputs, **_settings_of(old)))


def _settings_of(old: Network) -> dict[str, Any]:
    state = state_of(old)
    return {"name": state.given_name, "dtype": state.given_dtype, "seed": seed_of(old)}


def _seeded_as(old: Network, new: Model) -> Model:
    new.seed, state_of(new).given_seed = old.seed, state_of(old).given_seed
    return new


@outside_scopes()
def remodelled(model: Model, change: LayerChange) -> Model:
    """Return a model with a change, built, and with the values that it keeps; not compiled."""
    check_built(model, "a treatment")
    work = Remodel(model, change)
    # As the old one is.
    twin = cast("Model", work.layer(model))
    state_of(twin).seed = seed_of(model)
    if not twin.built:
        try:
            build_for(twin, state_of(model).input_shape)
        except (TypeError, ValueError) as error:
            raise ByHandError(f"{model.path}: it cannot be built anew: {error}") from error
    if not change.count:
        raise ValueError(f"treatment: {change.missing}")
    _begin(model, twin, list(work.made.values()), change)
    return twin


def unchanged(model: Model, change: LayerChange) -> Model:
    """Return a copy of a model of which no layer changes, whatever it is made of; not compiled."""
    twin = model.clone()
    twin.stop_training = False
    if not (change.keeps_weights and _are_finite(model)):
        _begin(model, twin, [(model, twin)], change)
    return twin


def _begin(
    model: Model, twin: Model, pairs: list[tuple[Layer, Layer]], change: LayerChange
) -> None:
    """Give a twin first values of the model's seed, and then what it keeps of the model."""
    start_anew(twin, seed_of(model))
    twin.seed, state_of(twin).given_seed = model.seed, state_of(model).given_seed
    twin.feature_names_in_, twin.classes_ = model.feature_names_in_, model.classes_
    carry(model, pairs, change)


def _are_finite(model: Model) -> bool:
    with access_to(model):
        return all(np.isfinite(tensor.detach().numpy()).all() for tensor in model.weights)


def carry(model: Model, pairs: Iterable[tuple[Layer, Layer]], change: LayerChange) -> None:
    """Have new layers be frozen as the old ones are, and copy the values that stay.

    All of them, for a change that first values have nothing to do with, unless training has
    brought NaN or infinity into them. Else what no training has made or is to make: frozen layers,
    and statistics of data.
    """
    with access_to(model):
        tensors = [tensor.detach().numpy() for tensor in model.weights]
        values = {id(t): np.array(v) for t, v in zip(model.weights, tensors, strict=True)}
    everything = change.keeps_weights and _are_finite(model)
    done: set[int] = set()
    for old, new in pairs:
        inside = dict(module_tree(new).layers)
        for prefix, one in module_tree(old).layers:
            twin = inside.get(prefix)
            if twin is None or type(twin) is not type(one) or id(twin) in done:
                continue
            done.add(id(twin))
            if twin.trainable is not one.trainable:
                set_trainable(twin, one.trainable)
            learned = one.trainable and not isinstance(one, Normalization)
            if everything or not (learned or change.changes(one)):
                _copy(state_of(one).weights, state_of(twin).weights, values)


def _copy(olds: Sequence[Any], news: Sequence[Any], values: dict[int, Any]) -> None:
    by_name = {weight.name: weight.tensor for weight in olds}
    for weight in news:
        source = by_name.get(weight.name)
        if source is not None and tuple(source.shape) == tuple(weight.tensor.shape):
            weight.tensor.copy_(values[id(source)])
            kept = masked.of(source)
            if kept is not None:
                masked.attach(weight.tensor, kept)
