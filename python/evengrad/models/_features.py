"""The output of a layer inside a model, for other estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._checks import check_int
from evengrad._names import did_you_mean
from evengrad._training._arrays import build_for, inputs_of
from evengrad._training._predict import _block_size, run
from evengrad.layers._state import context

if TYPE_CHECKING:
    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model


def features(model: Model, x: Any, layer: Any, batch_size: Any) -> Any:
    """Return the output of a layer for data; see `Model.features`."""
    if not model.built:
        build_for(model, inputs_of(model, x))
    chosen = find(model, layer)
    part = up_to(model, chosen)
    if part is not None:
        return part.predict(x, batch_size)
    return watched(model, x, chosen, batch_size)


def find(model: Model, layer: Any) -> Layer:
    """Return a layer of the model by position or name."""
    layers = model.layers
    if isinstance(layer, str):
        for one in layers:
            if one.name == layer:
                return one
        names = [one.name for one in layers]
        raise ValueError(f"layer: no layer {layer!r}; {did_you_mean(layer, names)}")
    position = check_int(layer, "layer", at_least=-len(layers))
    if position >= len(layers):
        raise ValueError(
            f"layer: expected a position below {len(layers)}, the number of layers, got {position}"
        )
    return layers[position]


def up_to(model: Model, layer: Layer) -> Model | None:
    """Return a model of the same layers that ends at this one; None where `call` is code."""
    from evengrad.models._model import Model as Graphed
    from evengrad.models._sequential import Sequential

    settings: dict[str, Any] = {"dtype": model.dtype, "seed": model._seed()}
    if isinstance(model, Sequential) and type(model).call is Sequential.call:
        chain = model.layers
        return Sequential(chain[: chain.index(layer) + 1], **settings)
    graph = model._graph
    if graph is None or type(model).call is not Graphed.call:
        return None
    ends = [node.outputs for node in graph.nodes if node.layer is layer]
    outputs = ends[-1]
    return Graphed(graph.inputs, outputs if len(outputs) > 1 else outputs[0], **settings)


def watched(model: Model, x: Any, layer: Layer, batch_size: Any) -> Any:
    """Run the whole model and return what the layer puts out, at its last use."""
    xs = inputs_of(model, x)
    build_for(model, xs)
    rows = int(xs[0].shape[0])
    size = None if batch_size is None else check_int(batch_size, "batch_size", at_least=1)
    step = _block_size(model, xs) if size is None else size
    parts: list[list[np.ndarray[Any, Any]]] = []
    before = context.watching, context.layerwise
    for start in range(0, rows, step):
        seen: list[Any] = []

        def note(which: Layer, output: Any, seen: list[Any] = seen) -> None:
            if which is layer:
                seen[:] = [output]

        context.watching, context.layerwise = note, True
        try:
            run(model, [x[start : start + step] for x in xs])
        finally:
            context.watching, context.layerwise = before
        if not seen:
            raise ValueError(f"layer: the model's call does not use {layer.name!r}")
        outputs = seen[0] if isinstance(seen[0], (list, tuple)) else seen
        parts.append([np.array(output.numpy()) for output in outputs])
    joined = [np.concatenate(one) for one in zip(*parts, strict=True)]
    return joined if len(joined) > 1 else joined[0]
