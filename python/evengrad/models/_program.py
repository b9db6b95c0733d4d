"""The uses of layers that a model runs one after the other, those inside models inside it too."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad.layers._layer import called_without_activation
from evengrad.layers._module import module_tree
from evengrad.models._graph import called_as_drawn
from evengrad.models._network import Network, chain_of, graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad.layers._layer import Layer
    from evengrad.layers._symbolic import Node


@dataclass(eq=False)
class Use:
    """A use of a layer: the numbers of the values that it takes and makes."""

    layer: Layer
    takes: list[int]
    makes: list[int]
    # Where it was drawn; None in a chain, where a value may also be a list.
    node: Node | None

    def run(self, values: dict[int, Any], without_activation: bool = False) -> None:
        """Add what the layer makes to the values; where asked, before its activation."""
        given = [values[number] for number in self.takes]
        arguments: dict[str, Any] = {}
        main: Any = given[0]
        if self.node is not None:
            main, arguments = self.node.called_with(given)
        if without_activation:
            made: Any = called_without_activation(self.layer, main)
        else:
            made = called_as_drawn(self.layer, main, arguments)
        one = self.node is None or (len(self.makes) == 1 and not isinstance(made, (list, tuple)))
        values.update(zip(self.makes, [made] if one else made, strict=True))


class Program:
    """What a model does: uses of layers in an order in which they can run.

    Values have numbers: first those of the inputs, which in a chain are one value.
    """

    def __init__(self, network: Network) -> None:
        self._numbers = itertools.count()
        self.uses: list[Use] = []
        self.is_chain = chain_of(network) is not None
        graph = graph_of(network)
        count = 1 if graph is None else len(graph.inputs)
        self.inputs = self._new(count)
        self.outputs = self._lay(network, self.inputs)
        # The inputs of models inside and of this one are the same values.
        del self._numbers

    def _new(self, count: int) -> list[int]:
        return list(itertools.islice(self._numbers, count))

    def _lay(self, network: Network, inputs: list[int]) -> list[int]:
        """Add the uses of a model's layers; return the numbers of what it puts out."""
        chain, graph = chain_of(network), graph_of(network)
        if chain is not None:
            number = inputs[0]
            for layer in chain:
                (number,) = self._use(layer, [number], 1, None)
            return [number]
        assert graph is not None  # noqa: S101 - callers have asked `is_open_to_view`
        numbers = {id(symbol): n for symbol, n in zip(graph.inputs, inputs, strict=True)}
        for node in graph.nodes:
            assert node.layer is not None  # noqa: S101 - inputs are no nodes of a graph's order
            takes = [numbers[id(symbol)] for symbol in node.inputs]
            made = self._use(node.layer, takes, len(node.outputs), node)
            numbers.update({id(x): n for x, n in zip(node.outputs, made, strict=True)})
        return [numbers[id(symbol)] for symbol in graph.outputs]

    def _use(self, layer: Layer, takes: list[int], makes: int, node: Node | None) -> list[int]:
        """Add a use of a layer, or those of the layers in it where some of them alone train."""
        if may_open(layer, len(takes), makes, node) and isinstance(layer, Network):
            return self._lay(layer, takes)
        made = self._new(makes)
        self.uses.append(Use(layer, takes, made, node))
        return made

    def values_of(self, inputs: list[Any]) -> dict[int, Any]:
        """Return the inputs as values by their numbers."""
        if self.is_chain:
            return {self.inputs[0]: inputs if len(inputs) > 1 else inputs[0]}
        return dict(zip(self.inputs, inputs, strict=True))

    def layers(self) -> Iterator[Layer]:
        """Yield the layers of the uses."""
        return (use.layer for use in self.uses)


def is_open_to_view(network: Network) -> bool:
    """Tell whether a model's layers are known with what they take: it has no call of its own."""
    return chain_of(network) is not None or graph_of(network) is not None


def may_open(layer: Layer, takes: int, makes: int, node: Node | None) -> bool:
    """Tell whether the layers of a model inside can stand in its place."""
    if not isinstance(layer, Network) or not is_open_to_view(layer):
        return False
    if layer.activity_regularizer is not None or not module_tree(layer).trainable:
        # With nothing in it that trains it is one piece.
        return False
    if node is not None and (node.arguments or (node.several and chain_of(layer) is not None)):
        return False
    graph = graph_of(layer)
    return (
        makes == 1 if graph is None else (takes, makes) == (len(graph.inputs), len(graph.outputs))
    )
