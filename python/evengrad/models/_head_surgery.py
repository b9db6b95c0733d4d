"""What users do to a model's head: each call makes a new model, and the source stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_int, plural
from evengrad._common.config import outside_scopes
from evengrad.layers._layer import Layer
from evengrad.layers._module import state_of
from evengrad.models._network import chain_of, graph_of
from evengrad.models._remodel import chain_like, graph_like
from evengrad.models._surgery import Surgery

if TYPE_CHECKING:
    from evengrad.layers._symbolic import Symbolic
    from evengrad.models._graph import Graph
    from evengrad.models._model import Model


def shown(*layers: Any) -> str:
    """Return what a call was given."""
    return ", ".join(map(repr, layers))


@outside_scopes()
def drop_top(model: Model, n: Any) -> Model:
    """Return the model without its last layers; see `Model.drop_top`."""
    count = check_int(n, "n", at_least=1)
    work = Surgery(model, f"drop_top({count})")
    chain, graph = chain_of(work.twin), graph_of(work.twin)
    if graph is not None:
        return work.finished(graph_like(work.twin, graph.inputs, [_below(work, graph, count)]))
    layers = chain or []
    if count >= len(layers):
        raise _too_many(work, len(layers) - 1)
    return work.finished(chain_like(work.twin, layers[:-count]))


def _below(work: Surgery, graph: Graph, count: int) -> Symbolic:
    """Return what the last layers of a graph are made of."""
    symbol = _only_output(work, graph)
    for done in range(count):
        node = symbol.node
        if node.layer is None or node.inputs[0].node.layer is None:
            raise _too_many(work, done)
        if len(node.inputs) > 1:
            raise ValueError(
                f"{work.call}: {node.layer.path} joins {plural(len(node.inputs), 'tensor')}, and "
                f"no one of them is the top below it; {_at_most(done)}"
            )
        symbol = node.inputs[0]
    return symbol


def _at_most(count: int) -> str:
    return f"drop {count} at most" if count else "replace the layer, or draw another graph"


def _too_many(work: Surgery, most: int) -> ValueError:
    there = f"expected n of {most} or less" if most > 0 else "there is nothing to drop"
    return ValueError(f"{work.call}: {there}, since one layer stays at least")


def _only_output(work: Surgery, graph: Graph) -> Symbolic:
    if len(graph.outputs) > 1:
        names = ", ".join(work.twin.output_names)
        raise ValueError(
            f"{work.call}: expected a model with one output, got {len(graph.outputs)}: {names}; "
            "replace the layers that make them"
        )
    return graph.outputs[0]


@outside_scopes()
def with_head(model: Model, layers: tuple[Any, ...]) -> Model:
    """Return the model with further layers at its end; see `Model.with_head`."""
    work = Surgery(model, f"with_head({shown(*layers)})")
    graph = graph_of(work.twin)
    output = None if graph is None else _only_output(work, graph)
    made = work.given(layers)
    with work.naming_errors():
        if graph is None:
            return work.finished(chain_like(work.twin, [*(chain_of(work.twin) or []), *made]))
        result: Any = output
        for layer in made:
            result = layer(result)
        outputs = result if isinstance(result, list) else [result]
        return work.finished(graph_like(work.twin, graph.inputs, outputs))


@outside_scopes()
def insert(model: Model, before: Any, layers: tuple[Any, ...]) -> Model:
    """Return the model with further layers in front of one; see `Model.insert`."""
    named = before.name if isinstance(before, Layer) else before
    work = Surgery(model, f"insert({shown(named, *layers)})")
    target = work.find(model, before, "before")
    _check_single_input(work, target)
    work.inserted = work.given(layers, beside=target)
    return work.exchanged(target, target)


def _check_single_input(work: Surgery, target: Layer) -> None:
    """Raise an error where a layer takes several inputs, so that nothing says which is meant."""
    several = isinstance(state_of(target).input_shape, list)
    for _, around in work.inside:
        graph = graph_of(around)
        for node in [] if graph is None else graph.nodes:
            several = several or (node.layer is target and len(node.inputs) > 1)
    if several:
        raise ValueError(
            f"{work.call}: {target.path} takes several inputs, and nothing says which one the "
            "layers are for; insert in front of a layer that makes or reads one of them"
        )


@outside_scopes()
def replace(model: Model, name: Any, layer: Any) -> Model:
    """Return the model with another layer in the place of one; see `Model.replace`."""
    named = name.name if isinstance(name, Layer) else name
    work = Surgery(model, f"replace({named!r}, {shown(layer)})")
    target = work.find(model, name, "name")
    made = work.given((layer,), beside=target, gone=target)[0]
    if state_of(made).given_name is None and type(made) is type(target):
        state_of(made).name = target.name
        state_of(made).changed()
    return work.exchanged(target, made)
