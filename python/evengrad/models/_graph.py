"""The graph between symbolic inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.layers._symbolic import Node, Symbolic

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._layer import Layer


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
        numbers: dict[int, tuple[int, int]] = {
            id(symbol): (-1, place) for place, symbol in enumerate(self.inputs)
        }
        uses = []
        for position, node in enumerate(self.nodes):
            made = [(symbol.shape, symbol.dtype, symbol.name) for symbol in node.outputs]
            uses.append((node.layer, [numbers[id(x)] for x in node.inputs], node.several, made))
            numbers.update({id(x): (position, place) for place, x in enumerate(node.outputs)})
        begun = [(symbol.shape, symbol.dtype, symbol.name) for symbol in self.inputs]
        return [begun, uses, [numbers[id(symbol)] for symbol in self.outputs]]

    def __setstate__(self, state: list[Any]) -> None:
        begun, uses, ends = state
        self.inputs = [
            Symbolic(shape, dtype, Node(None, [], several=False), name)
            for shape, dtype, name in begun
        ]
        self.nodes = []

        def symbol(position: int, place: int) -> Symbolic:
            return self.inputs[place] if position < 0 else self.nodes[position].outputs[place]

        for layer, numbers, several, made in uses:
            node = Node(layer, [symbol(*number) for number in numbers], several)
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

    def edges(self) -> list[str]:
        """Return for each use of a layer what it takes, by the numbers of the uses before it."""
        names = {id(symbol): f"input {place}" for place, symbol in enumerate(self.inputs)}
        lines = []
        for number, node in enumerate(self.nodes):
            taken = ", ".join(names[id(symbol)] for symbol in node.inputs)
            lines.append(f"{number}: {node.layer.name if node.layer else ''}({taken})")
            for place, symbol in enumerate(node.outputs):
                names[id(symbol)] = f"{number}.{place}"
        return [*lines, ", ".join(names[id(symbol)] for symbol in self.outputs)]

    def layers(self) -> list[Layer]:
        """Return the layers, each once, in the order of their first use."""
        found: dict[int, Layer] = {}
        for node in self.nodes:
            if node.layer is not None:
                found.setdefault(id(node.layer), node.layer)
        return list(found.values())

    def output_shapes(self, input_shapes: list[Any]) -> list[Any]:
        """Return the shapes of the outputs for inputs of these shapes."""
        shapes = {
            id(symbol): shape for symbol, shape in zip(self.inputs, input_shapes, strict=True)
        }
        for node in self.nodes:
            if node.layer is None:
                continue
            given = [shapes[id(symbol)] for symbol in node.inputs]
            made = node.layer.compute_output_shape(given if node.several else given[0])
            made = made if isinstance(made, list) else [made]
            shapes.update({id(x): one for x, one in zip(node.outputs, made, strict=True)})
        return [shapes[id(symbol)] for symbol in self.outputs]

    def heads(self) -> list[Layer | None]:
        """Return, for each output, the layer that makes it and is used for nothing else, if any."""
        uses: dict[int, int] = {}
        for node in self.nodes:
            for tensor in node.inputs:
                uses[id(tensor)] = uses.get(id(tensor), 0) + 1
        for tensor in self.outputs:
            uses[id(tensor)] = uses.get(id(tensor), 0) + 1
        heads: list[Layer | None] = []
        for tensor in self.outputs:
            layer = tensor.node.layer
            sole = layer is not None and uses[id(tensor)] == 1 and len(tensor.node.outputs) == 1
            heads.append(layer if sole else None)
        return heads

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
            given = [values[id(symbol)] for symbol in node.inputs]
            argument = given if node.several else given[0]
            if id(node) in plain:
                results: Any = layer.call_without_activation(argument)
            else:
                results = layer(argument)
            if len(node.outputs) == 1 and not isinstance(results, (list, tuple)):
                results = [results]
            for symbol, value in zip(node.outputs, results, strict=True):
                values[id(symbol)] = value
        return [values[id(symbol)] for symbol in self.outputs]
