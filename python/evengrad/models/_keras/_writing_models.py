"""Models of ours as models of Keras'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import layers
from evengrad._common.names import free_name
from evengrad.layers._module import state_of
from evengrad.layers._recurrent import Recurrent
from evengrad.layers._residual import parts_of
from evengrad.models._keras._writing_layers import Writer
from evengrad.models._keras._written import Call, Ref, Written, WrittenModel, graph_model
from evengrad.models._network import Network, chain_of, graph_of, input_of

if TYPE_CHECKING:
    from evengrad.layers import Layer
    from evengrad.layers._symbolic import Node
    from evengrad.models._graph import Graph
    from evengrad.models._model import Model

# Layers that run otherwise in training, whose calls in Keras take the argument.
TRAINED = (
    *("BatchNormalization", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
    *("RandomTranslation", "RandomRotation", "RandomZoom", "RandomFlip"),
    *("RandomBrightness", "RandomContrast", "RandomErasing"),
    *("LSTM", "GRU", "SimpleRNN", "Sequential", "Functional"),
)
DEPTH_LIMIT = 64


class ModelWriter:
    """Makes models of Keras' of models of ours; a layer that has several places is made once."""

    def __init__(self) -> None:
        self.writer = Writer()
        self._made: dict[int, list[Written]] = {}
        self._depth = 0

    def model(self, model: Model) -> Written:
        """Return the model that Keras reads."""
        return self._network(model, model.name)

    def _network(self, network: Network, name: str) -> Written:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self.writer.refused(network, "is nested too deeply for Keras")
        chain, graph = chain_of(network), graph_of(network)
        if graph is not None:
            made = self._graph(graph)
        elif chain is not None:
            made = self._chain(network, chain)
        else:
            raise self.writer.refused(
                network,
                "is a model with a `call` of its own, of which Keras knows nothing; write a "
                ".safetensors file",
            )
        self._depth -= 1
        written = Written(made.kind, name, model=made)
        if not network.trainable:
            written.config["trainable"] = False
        return written

    def _chain(self, network: Network, chain: list[Layer]) -> WrittenModel:
        shape = state_of(network).input_shape
        first = input_of(network)
        dtype = network.dtype if first is None else first.dtype
        names = _Names()
        steps = [step for layer in chain for step in self._steps(layer)]
        name = first.name if first is not None and first.name else "input_layer"
        start = _input(name, shape, dtype)
        if any(step.kind == "Functional" for step in steps):
            # Not every release of Keras finds out what a graph inside a chain puts out.
            x = first_ref = Ref(Call(start))
            drawing = _Drawing(self)
            for step in steps:
                x = drawing.call(step, [x])
            return drawing.model([first_ref], [x])
        for step in [start, *steps]:
            names.enter(step)
        return WrittenModel("Sequential", [start, *steps])

    def _steps(self, layer: Layer) -> list[Written]:
        if id(layer) not in self._made:
            if isinstance(layer, Network):
                steps = [self._network(layer, layer.name)]
            elif isinstance(layer, layers.Residual):
                steps = [self._residual(layer)]
            else:
                steps = self.writer.steps(layer)
            self._made[id(layer)] = steps
        return self._made[id(layer)]

    def _residual(self, block: layers.Residual) -> Written:
        """Return a block as a graph of its own."""
        start = Ref(Call(_input("x", state_of(block).input_shape, block.dtype)))
        drawing = _Drawing(self)
        body, shortcut = parts_of(block)
        inner = start
        for layer in body:
            inner = drawing.through(layer, inner)
        aside = start if shortcut is None else drawing.through(shortcut, start)
        total = drawing.call(Written("Add", "sum", {"dtype": block.dtype}), [[aside, inner]])
        for step in self.writer.activation(block, "activation", block.activation):
            total = drawing.call(step, [total])
        model = drawing.model([start], [total])
        return Written("Functional", block.name, {}, model=model)

    def _graph(self, graph: Graph) -> WrittenModel:
        drawing = _Drawing(self)
        known: dict[int, Ref] = {}
        inputs = []
        for place, symbol in enumerate(graph.inputs):
            name = symbol.name or (f"input_layer_{place}" if place else "input_layer")
            ref = Ref(Call(_input(name, symbol.shape, symbol.dtype)))
            known[id(symbol)] = ref
            inputs.append(ref)
        for node in graph.nodes:
            made = drawing.node(node, [known[id(symbol)] for symbol in node.inputs])
            known.update(
                {id(symbol): Ref(made, place) for place, symbol in enumerate(node.outputs)}
            )
        return drawing.model(inputs, [known[id(symbol)] for symbol in graph.outputs])


class _Drawing:
    """One graph that is being made: the calls so far."""

    def __init__(self, models: ModelWriter) -> None:
        self._models = models
        self._calls: list[Call] = []

    def call(self, layer: Written, args: list[Any], kwargs: Any = None) -> Ref:
        """Add a call, and return what it makes first."""
        made = Call(layer, args, kwargs or {})
        self._calls.append(made)
        return Ref(made)

    def through(self, layer: Layer, x: Ref) -> Ref:
        """Add the calls that a layer of one input stands for."""
        for step in self._models._steps(layer):  # noqa: SLF001 - of this file
            x = self.call(step, [x])
        return x

    def node(self, node: Node, given: list[Ref]) -> Call:
        """Add the calls that a use of a layer stands for, and return the last one."""
        layer: Any = node.layer
        arguments = dict(node.arguments)
        training = arguments.pop("training", None)
        if arguments:
            raise self._models.writer.refused(
                layer, f"called with {', '.join(arguments)} has no counterpart in Keras"
            )
        steps = self._models._steps(layer)  # noqa: SLF001 - of this file
        for place, step in enumerate(steps):
            args: list[Any] = [given[0]] if place or not node.several else [list(given)]
            kwargs: dict[str, Any] = {}
            if isinstance(layer, Recurrent) and node.several:
                args = [given[0]]
                if len(given) > 1:
                    kwargs["initial_state"] = list(given[1:])
            if training is not None and step.kind in TRAINED:
                kwargs["training"] = bool(training)
            given = [self.call(step, args, kwargs)]
        return given[0].call

    def model(self, inputs: list[Ref], outputs: list[Ref]) -> WrittenModel:
        """Return the graph, whose layers have names of their own."""
        ends = []
        for place, ref in enumerate(outputs):
            if ref.call.layer.kind == "Functional":
                # Keras 3.0 does not find what a graph inside puts out as its own output.
                name = f"output_{place + 1}"
                step = Written("Activation", name, {"activation": "linear"})
                ref = self.call(step, [ref])  # noqa: PLW2901 - it takes its place
            ends.append(ref)
        made = graph_model([*(ref.call for ref in inputs), *self._calls], inputs, ends)
        names = _Names()
        for layer in made.layers:
            names.enter(layer)
        return made


class _Names:
    """The names of the layers of one model, none twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def enter(self, layer: Written) -> None:
        """Give a layer a name that no other one has."""
        layer.name = free_name(layer.name, self._taken)
        self._taken.add(layer.name)


def _input(name: str, shape: Any, dtype: str) -> Written:
    return Written("InputLayer", name, {"batch_shape": list(shape), "dtype": dtype})
