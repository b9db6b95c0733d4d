"""The graph between symbolic inputs and outputs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from evengrad.layers._call_context import call_context
from evengrad.layers._layer import called_without_activation, note_use, output_shape_of
from evengrad.layers._symbolic import Node, Symbolic
from evengrad.models._structure import is_structured, taken_apart

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._layer import Layer

Number: TypeAlias = "tuple[int, int]"


class Graph:
    """The uses of layers that lead from inputs to outputs, in an order in which they can run."""

    def __init__(self, inputs: list[Symbolic], outputs: list[Symbolic]) -> None:
        for what, tensors in (("inputs", inputs), ("outputs", outputs)):
            for tensor in tensors:
                if not isinstance(tensor, Symbolic):
                    raise TypeError(
                        f"{what}: expected symbolic tensors from evengrad.Input and layers, got "
                        f"{type(tensor).__name__}"
                    )
        if not inputs or not outputs:
            raise ValueError("inputs, outputs: expected at least one of each")
        if len({id(tensor) for tensor in inputs}) < len(inputs):
            raise ValueError(
                "inputs: expected different ones, got the same symbolic tensor twice; begin the "
                "graph with an evengrad.Input for each, or leave out the second"
            )
        self.inputs = inputs
        self.outputs = outputs
        self.nodes = self._sorted()

    def __getstate__(self) -> list[Any]:
        # A list of uses, as in files: deep graphs would go too deep for a pickle otherwise.
        def described(symbols: list[Symbolic]) -> list[Any]:
            return [(symbol.shape, symbol.dtype, symbol.name) for symbol in symbols]

        uses, ends = self.numbered()
        made = [
            (node.layer, taken, node.several, node.arguments, node.count, described(node.outputs))
            for node, taken in uses
        ]
        return [described(self.inputs), made, ends]

    def __setstate__(self, state: list[Any]) -> None:
        begun, uses, ends = state
        self.inputs = [
            Symbolic(shape, dtype, Node(None, [], several=False), name)
            for shape, dtype, name in begun
        ]
        self.nodes = []

        def symbol(position: int, place: int) -> Symbolic:
            return self.inputs[place] if position < 0 else self.nodes[position].outputs[place]

        for layer, numbers, several, arguments, count, made in uses:
            inputs = [symbol(*number) for number in numbers]
            node = Node(layer, inputs, several, arguments, count)
            # A copy of a layer stands in the copy of its graph.
            note_use(layer, node)
            for shape, dtype, name in made:
                Symbolic(shape, dtype, node, name)
            self.nodes.append(node)
        self.outputs = [symbol(*number) for number in ends]

    def _sorted(self) -> list[Node]:
        """Return the nodes behind the outputs, each after those it needs; without recursion."""
        known = {id(tensor) for tensor in self.inputs}
        done: set[int] = set()
        order: list[Node] = []
        stack: list[tuple[Node, bool]] = [
            (tensor.node, False) for tensor in reversed(self.outputs) if id(tensor) not in known
        ]
        while stack:
            node, ready = stack.pop()
            if id(node) in done:
                continue
            if node.layer is None:
                raise ValueError(
                    f"inputs: an output depends on an Input of shape {node.outputs[0].shape} that "
                    "is not among the model's inputs; add it"
                )
            if ready:
                done.add(id(node))
                order.append(node)
                continue
            stack.append((node, True))
            stack.extend(
                (tensor.node, False) for tensor in reversed(node.inputs) if id(tensor) not in known
            )
        return order

    def numbered(self) -> tuple[list[tuple[Node, list[Number]]], list[Number]]:
        """Return the uses of layers with what each takes, and what the graph puts out.

        A tensor's number is that of the use that makes it, -1 for inputs, and its place there.
        """
        numbers = {id(symbol): (-1, place) for place, symbol in enumerate(self.inputs)}
        uses = []
        for position, node in enumerate(self.nodes):
            uses.append((node, [numbers[id(symbol)] for symbol in node.inputs]))
            numbers.update({id(x): (position, place) for place, x in enumerate(node.outputs)})
        return uses, [numbers[id(symbol)] for symbol in self.outputs]

    def edges(self) -> list[str]:
        """Return for each use of a layer what it takes, by the numbers of the uses before it."""

        def shown(numbers: list[Number]) -> str:
            names = [f"input {place}" if use < 0 else f"{use}.{place}" for use, place in numbers]
            return ", ".join(names)

        uses, ends = self.numbered()
        lines = [
            f"{number}: {node.layer.name if node.layer else ''}({shown(taken)})"
            + "".join(f", {name}={value!r}" for name, value in node.arguments.items())
            for number, (node, taken) in enumerate(uses)
        ]
        return [*lines, shown(ends)]

    def reads(self) -> Counter[int]:
        """Return how often each tensor is read, by a layer or as an output of the graph."""
        reads = Counter(id(symbol) for node in self.nodes for symbol in node.inputs)
        reads.update(id(symbol) for symbol in self.outputs)
        return reads

    def layers(self) -> list[Layer]:
        """Return the layers, each once, in the order of their first use."""
        found: dict[int, Layer] = {}
        for node in self.nodes:
            if node.layer is not None:
                found.setdefault(id(node.layer), node.layer)
        return list(found.values())

    def ends(self) -> tuple[list[Layer], list[Layer]]:
        """Return the layers that take inputs of the graph, and those that make its outputs."""
        inputs = {id(symbol) for symbol in self.inputs}
        takers = [node for node in self.nodes if not inputs.isdisjoint(map(id, node.inputs))]
        makers = [symbol.node for symbol in self.outputs]
        front, end = (
            [node.layer for node in nodes if node.layer is not None] for nodes in (takers, makers)
        )
        return front, end

    def output_shapes(self, input_shapes: list[Any]) -> list[Any]:
        """Return the shapes of the outputs for inputs of these shapes."""
        shapes = {
            id(symbol): shape for symbol, shape in zip(self.inputs, input_shapes, strict=True)
        }
        for node in self.nodes:
            if node.layer is None:
                continue
            made = output_shape_of(node, [shapes[id(symbol)] for symbol in node.inputs])
            made = made if isinstance(made, list) else [made]
            shapes.update({id(x): one for x, one in zip(node.outputs, made, strict=True)})
        return [shapes[id(symbol)] for symbol in self.outputs]

    def heads(self) -> list[Layer | None]:
        """Return, for each output, the layer that makes it and is used for nothing else, if any.

        None where it is called with arguments, which a loss would not know of.
        """
        reads = self.reads()
        return [
            symbol.node.layer
            if reads[id(symbol)] == len(symbol.node.outputs) == 1 and not symbol.node.arguments
            else None
            for symbol in self.outputs
        ]

    @property
    def has_arguments(self) -> bool:
        """Whether a layer is called with more than its inputs."""
        return any(node.arguments for node in self.nodes)

    def run(self, tensors: list[Tensor], without_activation: list[bool]) -> list[Any]:
        """Return the outputs for inputs; where asked, before the final activation."""
        values: dict[int, Any] = {
            id(symbol): tensor for symbol, tensor in zip(self.inputs, tensors, strict=True)
        }
        plain = {
            id(symbol.node)
            for symbol, flag in zip(self.outputs, without_activation, strict=True)
            if flag
        }
        for node in self.nodes:
            layer = node.layer
            if layer is None:
                continue
            given, arguments = node.called_with([values[id(symbol)] for symbol in node.inputs])
            if id(node) in plain:
                results: Any = called_without_activation(layer, given)
            else:
                results = called_as_drawn(layer, given, arguments)
            if is_structured(results):
                # Of a model inside, whose outputs lie in a dict.
                results = taken_apart(results)[0]
            if len(node.outputs) == 1 and not isinstance(results, (list, tuple)):
                results = [results]
            for symbol, value in zip(node.outputs, results, strict=True):
                values[id(symbol)] = value
        return [values[id(symbol)] for symbol in self.outputs]


def called_as_drawn(layer: Layer, given: Any, arguments: dict[str, Any]) -> Any:
    """Call a layer; one that was drawn with `training=False` makes no noise for samples either."""
    if arguments.get("training", True):
        return layer(given, **arguments)
    sampling, call_context.sampling = call_context.sampling, False
    try:
        return layer(given, **arguments)
    finally:
        call_context.sampling = sampling
