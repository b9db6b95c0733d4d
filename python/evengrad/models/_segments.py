"""The chains that a graph is made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evengrad._common.checks import plural
from evengrad.models._structure import taken_apart

if TYPE_CHECKING:
    from evengrad.layers._layer import Layer
    from evengrad.layers._symbolic import Node, Symbolic
    from evengrad.models._graph import Graph


@dataclass
class Segment:
    """A chain in a graph: uses of layers of which each alone reads the one before."""

    nodes: list[Node]
    # Whether its layers are used nowhere else. Another segment is one use of one layer.
    alone: bool

    def layers(self) -> list[Layer]:
        """Return the layers in order."""
        return [node.layer for node in self.nodes if node.layer is not None]

    def is_chain(self) -> bool:
        """Tell whether layers one after the other, with one input, do the same."""
        return self.alone and not self.nodes[0].several

    def draw(self, made: list[Layer], new: dict[int, Symbolic]) -> None:
        """Draw new layers in place of its own, from and to new symbolic tensors.

        What a use has for arguments is for the last of them.
        """
        first = self.nodes[0]
        result, arguments = first.called_with([new[id(symbol)] for symbol in first.inputs])
        for layer in made[:-1]:
            result = layer(result)
        for layer in made[-1:]:
            result = layer(result, **arguments)
        results = taken_apart(result)[0] if isinstance(result, (list, dict)) else [result]
        ends = self.nodes[-1].outputs
        if len(results) != len(ends):
            raise ValueError(
                f"{made[-1].path}: expected {plural(len(ends), 'output')}, as what stood there "
                f"had, got {len(results)}"
            )
        new.update({id(old): symbol for old, symbol in zip(ends, results, strict=True)})


def segments_of(graph: Graph) -> list[Segment]:
    """Return the chains of a graph, in an order in which they can run."""
    reads = graph.reads()
    used = Counter(id(node.layer) for node in graph.nodes)
    segments: list[Segment] = []
    ending: dict[int, Segment] = {}
    for node in graph.nodes:
        first = id(node.inputs[0])
        alone = used[id(node.layer)] == 1 and not node.arguments
        segment = ending.get(first)
        if segment is None or not alone or node.several or reads[first] > 1:
            segment = Segment([], alone)
            segments.append(segment)
        segment.nodes.append(node)
        if alone and len(node.outputs) == 1:
            ending[id(node.outputs[0])] = segment
    return segments
