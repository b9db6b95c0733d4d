"""Descriptions of whole models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._checks import check_dtype
from evengrad._random import SEED_LIMIT
from evengrad._saving._describe import Decoder, encode, encode_object
from evengrad.layers._symbolic import Input, Symbolic
from evengrad.models import Model, Sequential

if TYPE_CHECKING:
    from evengrad.layers import Layer


def describe_layer(layer: Layer) -> dict[str, Any]:
    """Return the description of a layer or of a model inside a model."""
    if isinstance(layer, Model) and type(layer) in (Model, Sequential):
        described = describe_model(layer)
    else:
        described = encode_object(layer, layer.path)
    return {**described, "name": layer.name, "trainable": layer.trainable}


def describe_model(model: Model) -> dict[str, Any]:
    """Return the description of a model."""
    settings = {
        "name": model.name,
        "dtype": model._state.dtype,
        "seed": model.seed,
        "drawn_seed": model._seed(),
    }
    if isinstance(model, Sequential) and type(model) is Sequential:
        return {
            "family": "models",
            "class": "Sequential",
            **settings,
            "layers": [describe_layer(layer) for layer in model.layers],
        }
    if model._graph is not None and type(model) is Model:
        return {"family": "models", "class": "Model", **settings, **_describe_graph(model)}
    return {**encode_object(model, model.path), **settings}


def _describe_graph(model: Model) -> dict[str, Any]:
    graph = model._graph
    if graph is None:
        raise TypeError("no graph")
    numbers: dict[int, list[int]] = {
        id(symbol): [-1, position] for position, symbol in enumerate(graph.inputs)
    }
    layers = graph.layers()
    positions = {id(layer): position for position, layer in enumerate(layers)}
    nodes = []
    for position, node in enumerate(graph.nodes):
        for place, symbol in enumerate(node.outputs):
            numbers[id(symbol)] = [position, place]
        nodes.append(
            {
                "layer": positions[id(node.layer)],
                "inputs": [numbers[id(symbol)] for symbol in node.inputs],
                "several": node.several,
            }
        )
    return {
        "inputs": [
            {
                "shape": encode(symbol.shape[1:], "inputs"),
                "dtype": symbol.dtype,
                "name": symbol.name,
            }
            for symbol in graph.inputs
        ],
        "layers": [describe_layer(layer) for layer in layers],
        "nodes": nodes,
        "outputs": [numbers[id(symbol)] for symbol in graph.outputs],
    }


def rebuild_layer(described: Any, decoder: Decoder) -> Layer:
    """Return the layer of a description, without variables."""
    plain = decoder.member(described, "class", str) in ("Sequential", "Model")
    if plain and "layers" in described:
        layer: Any = rebuild_model(described, decoder)
    else:
        layer = decoder.object(described)
    layer._state.name = decoder.member(described, "name", str)
    return layer  # type: ignore[no-any-return]  # a known class made it


def rebuild_model(described: Any, decoder: Decoder) -> Model:
    """Return the model of a description; a graph is drawn, other models are still to be built."""
    kind = decoder.member(described, "class", str)
    name = decoder.member(described, "name", str)
    drawn = decoder.member(described, "drawn_seed", int)
    if not 0 <= drawn < SEED_LIMIT:
        raise decoder.damaged("drawn_seed")
    seed, dtype = described.get("seed"), described.get("dtype")
    model: Model
    try:
        if "layers" not in described:
            model = decoder.object(described)
            model._state.dtype = None if dtype is None else check_dtype(dtype)
        else:
            parts = decoder.member(described, "layers", list)
            layers = [rebuild_layer(item, decoder) for item in parts]
            settings = {"name": name, "dtype": dtype, "seed": seed}
            model = (
                Sequential(layers, **settings)
                if kind == "Sequential"
                else _redraw_graph(described, layers, decoder, settings)
            )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise decoder.damaged(repr(error)) from error
    model._state.seed = drawn
    return model


def _redraw_graph(
    described: Any, layers: list[Layer], decoder: Decoder, settings: dict[str, Any]
) -> Model:
    inputs = [
        Input(item["shape"], item["dtype"], item["name"])
        for item in decoder.member(described, "inputs", list)
    ]
    made: list[list[Symbolic]] = []

    def symbol(number: Any) -> Symbolic:
        node, place = number
        if node < -1 or place < 0:
            raise IndexError(number)
        found: Symbolic = inputs[place] if node == -1 else made[node][place]
        return found

    for node in decoder.member(described, "nodes", list):
        given = [symbol(number) for number in node["inputs"]]
        if node["layer"] < 0:
            raise IndexError(node["layer"])
        result = layers[node["layer"]](given if node["several"] else given[0])
        made.append(list(result) if isinstance(result, (list, tuple)) else [result])
    outputs = [symbol(number) for number in decoder.member(described, "outputs", list)]
    return Model(inputs, outputs, **settings)


def restore_trainable(described: Any, layer: Layer) -> None:
    """Freeze what was frozen."""
    children = layer.layers if isinstance(layer, Model) else []
    for item, child in zip(described.get("layers", []), children, strict=False):
        if isinstance(item, dict) and item.get("trainable") is False:
            child.trainable = False
        elif isinstance(item, dict):
            restore_trainable(item, child)
