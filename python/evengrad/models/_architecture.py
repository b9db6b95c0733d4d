"""Descriptions of whole models.

A layer that is used in several places is described where it is met first, with a label, and named
by that label everywhere else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_dtype
from evengrad._common.names import check_name
from evengrad._tensor.random import SEED_LIMIT
from evengrad.layers import Layer
from evengrad.layers._module import state_of
from evengrad.layers._placement import seed_of
from evengrad.layers._symbolic import Input, Node, Symbolic, Taken
from evengrad.models._network import (
    CLASSES,
    ENDS,
    Network,
    chain_of,
    given_graph_of,
    graph_of,
    input_of,
    is_made_of_layers,
    make_chain,
    make_graph,
    set_structures,
    structures_of,
)
from evengrad.models._structure import check_structure
from evengrad.saving._describe import FAMILIES, Decoder, Encoder, Family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evengrad._common.arrays import Shape
    from evengrad._common.config import Configured
    from evengrad.models._graph import Graph
    from evengrad.models._model import Model


# More elements than a row has in a model whose variables are fewer, and few enough for memory.
ROW_LIMIT = 2**26

FAMILIES_WITH_MODELS = {**FAMILIES, "models": Family(Network, CLASSES)}


class ArchitectureEncoder(Encoder):
    """Makes descriptions of layers and models, in which each layer is described once."""

    families = FAMILIES_WITH_MODELS

    def __init__(self) -> None:
        super().__init__()
        # The layers are kept with their descriptions, so that their numbers stay theirs.
        self._known: dict[int, tuple[Layer, dict[str, Any]]] = {}
        self._labels = 0

    def value(self, value: Any, what: str) -> Any:
        """Return a value of a constructor as JSON."""
        if isinstance(value, Symbolic):
            raise TypeError(
                f"{what}: a model of a class of your own is saved by the arguments of its "
                "__init__, and a symbolic tensor is none that a file can hold unless the arguments "
                "are inputs and outputs; call them so, draw the graph in __init__, or use "
                "save_weights"
            )
        return super().value(value, what)

    def object(self, value: Configured, what: str) -> dict[str, Any]:
        """Return the description of what has arguments, or of a layer already described."""
        if not isinstance(value, Layer):
            return super().object(value, what)
        if id(value) in self._known:
            described = self._known[id(value)][1]
            if "label" not in described:
                described["label"] = self._labels
                self._labels += 1
            return {"same_as": described["label"]}
        if isinstance(value, Network) and is_made_of_layers(value):
            described = self.model(value)
        else:
            described = self._other(value, what)
            if value.built:
                # It may come from another model, or from a default that is another one when loaded.
                described["dtype"] = value.dtype
        described.update(name=value.name, trainable=value.trainable)
        self._known[id(value)] = value, described
        return described

    def model(self, model: Network) -> dict[str, Any]:
        """Return the description of a model."""
        state, chain, graph = state_of(model), chain_of(model), graph_of(model)
        settings: dict[str, Any] = {
            "name": model.name,
            "given_name": state.given_name,
            "dtype": state.dtype,
            "given_dtype": state.given_dtype,
            "seed": model.seed,
            "drawn_seed": seed_of(model),
        }
        ends = zip(("input_structure", "output_structure"), structures_of(model), strict=True)
        settings.update({end: structure for end, structure in ends if structure is not None})
        if not is_made_of_layers(model):
            return {**self._other(model, model.path), **settings}
        described: dict[str, Any] = {"family": "models", "class": type(model).__name__, **settings}
        if graph is not None:
            return {**described, **self._graph(graph)}
        first = input_of(model)
        if first is not None:
            described["input"] = self._input(first)
        return {**described, "layers": self._layers(chain or [])}

    def _other(self, layer: Layer, what: str) -> dict[str, Any]:
        """Return the description of a layer by its arguments, of which a graph is described."""
        described, graph = super().object(layer, what), given_graph_of(layer)
        return described if graph is None else {**described, **self._graph(graph)}

    def config_of(self, value: Configured) -> dict[str, Any]:
        """Return the arguments of an object, without a graph among them."""
        config = super().config_of(value)
        if isinstance(value, Layer) and given_graph_of(value) is not None:
            return {name: one for name, one in config.items() if name not in ENDS}
        return config

    def _layers(self, layers: list[Layer]) -> list[dict[str, Any]]:
        return [self.object(layer, layer.path) for layer in layers]

    def _input(self, symbol: Symbolic) -> dict[str, Any]:
        shape = self.value(symbol.shape[1:], "inputs")
        return {"shape": shape, "dtype": symbol.dtype, "name": symbol.name}

    def _graph(self, graph: Graph) -> dict[str, Any]:
        layers = graph.layers()
        positions = {id(layer): position for position, layer in enumerate(layers)}
        uses, ends = graph.numbered()
        nodes = [
            {
                "layer": positions[id(node.layer)],
                "inputs": taken,
                "several": node.several,
                **self._call(node),
            }
            for node, taken in uses
        ]
        return {
            "inputs": [self._input(symbol) for symbol in graph.inputs],
            "layers": self._layers(layers),
            "nodes": nodes,
            "outputs": ends,
        }

    def _call(self, node: Node) -> dict[str, Any]:
        """Return what a layer is called with beside its inputs, if there is something."""
        if not node.arguments:
            return {}
        what = f"{node.layer.path if node.layer else ''}: an argument of its call"
        return {"arguments": self._argument(node.arguments, what), "count": node.count}

    def _argument(self, value: Any, what: str) -> Any:
        if isinstance(value, Taken):
            return {"taken": value.place}
        if isinstance(value, tuple):
            return {"tuple": [self._argument(item, what) for item in value]}
        if isinstance(value, list):
            return [self._argument(item, what) for item in value]
        if isinstance(value, dict):
            pairs = value.items()
            return {"dict": [[self.value(x, what), self._argument(y, what)] for x, y in pairs]}
        return self.value(value, what)


class ArchitectureDecoder(Decoder):
    """Makes layers and models of descriptions."""

    families = FAMILIES_WITH_MODELS

    def __init__(self, shown: str, custom_objects: Mapping[str, Any]) -> None:
        super().__init__(shown, custom_objects)
        self.row_limit = ROW_LIMIT
        self._labelled: dict[int, Layer] = {}

    def object(self, described: Any) -> Any:
        """Return what has arguments, or a layer made before; layers without variables."""
        if isinstance(described, dict) and "same_as" in described:
            label = described["same_as"]
            if type(label) is not int or label not in self._labelled:
                raise self.damaged(f"no layer has the label {label!r}")
            return self._labelled[label]
        plain = self.member(described, "class", str) in ("Sequential", "Model")
        made: Any
        if plain and "layers" in described:
            made = self.model(described)
        else:
            made = super().object(described)
            if isinstance(made, Layer) and "dtype" in described:
                state_of(made).dtype = check_dtype(described["dtype"])
        # Files of earlier releases name the layers of models only, not those inside other layers.
        if isinstance(made, Layer) and "name" in described:
            state_of(made).name = check_name(self.member(described, "name", str))
            state_of(made).changed()
        if isinstance(made, Layer) and "label" in described:
            self._labelled[self.member(described, "label", int)] = made
        return made

    def model(self, described: Any) -> Model:
        """Return the model of a description; where it knows its inputs, it is built."""
        drawn = self.member(described, "drawn_seed", int)
        if not 0 <= drawn < SEED_LIMIT:
            raise self.damaged("drawn_seed")
        with self.names_damage():
            model = self._made(described)
        state_of(model).seed = drawn
        return model

    def _made(self, described: Any) -> Model:
        kind = self.member(described, "class", str)
        dtype = described.get("dtype")
        if "config" in described:
            model: Model = super().object(described)
            state_of(model).dtype = None if dtype is None else check_dtype(dtype)
            self._restore_structures(model, described)
            return model
        layers = [self._layer(item) for item in self.member(described, "layers", list)]
        name = self.member(described, "name", str)
        given_seed = described.get("seed")
        # First values follow from it, where no file has values.
        seed = described["drawn_seed"] if given_seed is None else given_seed
        settings = {"name": name, "dtype": dtype, "seed": seed}
        if kind == "Sequential":
            first = [self._input(described["input"])] if "input" in described else []
            model = make_chain([*first, *layers], **settings)
        else:
            model = make_graph(*self._ends(described, layers), **settings)
            self._restore_structures(model, described)
        model.seed = state_of(model).given_seed = given_seed
        # Files of earlier releases do not tell what was given from what came of itself.
        for setting, known in (("given_name", name), ("given_dtype", dtype)):
            given = described.get(setting, known)
            if not isinstance(given, (str, type(None))):
                raise self.damaged(setting)
            setattr(state_of(model), setting, given)
        return model

    @staticmethod
    def _restore_structures(model: Model, described: Any) -> None:
        """Have a model take and return tensors in dicts and nested lists, as it did."""
        ends = "input_structure", "output_structure"
        found = [check_structure(described.get(end)) for end in ends]
        if found != [None, None]:
            set_structures(model, *found)

    def _layer(self, described: Any) -> Layer:
        """Return a layer that stands in a model."""
        made = self.object(described)
        if not isinstance(made, Layer):
            raise self.damaged(f"{made!r} is no layer")
        return made

    def _input(self, described: Any) -> Symbolic:
        made = Input(described["shape"], described["dtype"], described["name"])
        self.check_row(made.shape)
        return made

    def check_row(self, shape: Shape) -> None:
        """Raise an error for rows of absurd size: their shapes are found by running on them."""
        if math.prod(size for size in shape if size is not None) > self.row_limit:
            raise self.damaged(f"a row of shape {shape}")

    def config_of(self, described: Any) -> dict[str, Any]:
        """Return the arguments of an object, and the ends of a graph among them."""
        config = super().config_of(described)
        if "nodes" in described:
            layers = [self._layer(item) for item in self.member(described, "layers", list)]
            with self.names_damage():
                ends = self._ends(described, layers)
            sides = zip(("inputs", "outputs"), ends, strict=True)
            config.update({name: side if len(side) > 1 else side[0] for name, side in sides})
        return config

    def _ends(self, described: Any, layers: list[Layer]) -> tuple[list[Symbolic], list[Symbolic]]:
        """Return the inputs and the outputs of a graph of these layers."""
        inputs = [self._input(item) for item in self.member(described, "inputs", list)]
        made: list[list[Symbolic]] = []

        def symbol(number: Any) -> Symbolic:
            node, place = number
            if node < -1 or place < 0:
                raise IndexError(number)
            found: Symbolic = inputs[place] if node == -1 else made[node][place]
            return found

        for node in self.member(described, "nodes", list):
            given = [symbol(number) for number in node["inputs"]]
            if node["layer"] < 0:
                raise IndexError(node["layer"])
            use = Node(None, [], node["several"], *self._call(node, len(given)))
            main, arguments = use.called_with(given)
            result = layers[node["layer"]](main, **arguments)
            made.append(list(result) if isinstance(result, (list, tuple)) else [result])
        outputs = [symbol(number) for number in self.member(described, "outputs", list)]
        return inputs, outputs

    def _call(self, node: Any, inputs: int) -> tuple[dict[str, Any], int]:
        """Return the arguments of a use of a layer, and how many of its inputs are none of them."""
        if "arguments" not in node:
            return {}, inputs
        count = self.member(node, "count", int)
        arguments = self.value(node["arguments"])
        if not isinstance(arguments, dict) or not 0 < count <= inputs:
            raise self.damaged("the arguments of a call")
        return arguments, count

    def value(self, described: Any) -> Any:
        """Return the value that was described, also of an argument of a call."""
        kind = set(described) if isinstance(described, dict) else None
        if kind == {"taken"}:
            return Taken(self.member(described, "taken", int))
        if kind == {"tuple"}:
            return tuple(self.value(self.member(described, "tuple", list)))
        return super().value(described)


def restore_trainable(described: Any, layer: Layer) -> None:
    """Freeze what was frozen, from the descriptions of layers alone."""
    children = layer.layers if isinstance(layer, Network) else []
    for item, child in zip(described.get("layers", []), children, strict=False):
        if isinstance(item, dict) and item.get("trainable") is False:
            child.trainable = False
        elif isinstance(item, dict):
            restore_trainable(item, child)
