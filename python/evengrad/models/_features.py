"""The output of a layer inside a model, for other estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_int
from evengrad.layers._call_context import shown_to
from evengrad.layers._module import state_of
from evengrad.layers._placement import seed_of
from evengrad.models._network import chain_of, graph_of, layer_named, make_chain, make_graph
from evengrad.training._data import count_or, prepare_inputs
from evengrad.training._predict import Gathered, outputs_of, row_blocks

if TYPE_CHECKING:
    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model
    from evengrad.models._network import ModelView
    from evengrad.training._data import Array


def features(
    model: Model, view: ModelView, x: Any, layer: Any, batch_size: Any, check_finite: bool
) -> Any:
    """Return the output of a layer for data; see `Model.features`."""
    if not model.built:
        prepare_inputs(view, x, check_finite)
    chosen = find(model, layer)
    part = up_to(model, chosen)
    if part is not None:
        part.feature_names_in_ = model.feature_names_in_
        return part.predict(x, batch_size, check_finite=check_finite)
    xs = prepare_inputs(view, x, check_finite)
    return watched(view, xs, chosen, count_or(None, batch_size, "batch_size"))


def find(model: Model, layer: Any, argument: str = "layer") -> Layer:
    """Return a layer of the model by position or name."""
    layers = model.layers
    if isinstance(layer, str):
        return layer_named(layers, layer, argument)
    position = check_int(layer, argument, at_least=-len(layers))
    if position >= len(layers):
        raise ValueError(
            f"{argument}: expected a position below {len(layers)}, the number of layers, got "
            f"{position}"
        )
    return layers[position]


def up_to(model: Model, layer: Layer) -> Model | None:
    """Return a model of the same layers that ends at this one; None where `call` is code."""
    settings: dict[str, Any] = {"dtype": state_of(model).given_dtype, "seed": seed_of(model)}
    chain, graph = chain_of(model), graph_of(model)
    if chain is not None:
        return make_chain(chain[: chain.index(layer) + 1], **settings)
    if graph is None:
        return None
    ends = [node.outputs for node in graph.nodes if node.layer is layer]
    return make_graph(graph.inputs, ends[-1], **settings)


def watched(model: ModelView, xs: list[Array], layer: Layer, batch_size: int | None) -> Any:
    """Run the whole model and return what the layer puts out, at its last use."""
    gathered = Gathered()
    for block in row_blocks(model, xs, batch_size)[1]:
        seen: list[Any] = []

        def note(which: Layer, output: Any, seen: list[Any] = seen) -> None:
            if which is layer:
                seen[:] = [output]

        with shown_to(note):
            outputs_of(model, block)
        if not seen:
            raise ValueError(f"layer: the model's call does not use {layer.name!r}")
        outputs = seen[0] if isinstance(seen[0], (list, tuple)) else seen
        gathered.add([output.numpy() for output in outputs])
    joined = gathered.results()
    return joined if len(joined) > 1 else joined[0]
