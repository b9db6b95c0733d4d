"""Where the layers of a model stand: paths, chains, ends, and what is applied to their sums."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from evengrad._common.config import name_of
from evengrad._common.names import did_you_mean
from evengrad.layers import Residual
from evengrad.layers._activation import Activation, Elementwise
from evengrad.layers._batch_normalization import BatchNormalization
from evengrad.layers._dropout import Noise
from evengrad.layers._layer_normalization import LayerNormalization
from evengrad.layers._module import module_tree, state_of
from evengrad.layers._residual import parts_of
from evengrad.layers._variables import KERNEL_DIMENSIONS
from evengrad.models._network import Network, chain_of, graph_of
from evengrad.models._segments import segments_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evengrad.layers._layer import Layer

ACTIVATIONS = (Activation, Elementwise)
NORMALIZATIONS = (BatchNormalization, LayerNormalization)


def has_kernel(layer: Layer) -> bool:
    """Tell whether a layer, without those inside it, multiplies its input with a matrix."""
    return any(weight.tensor.ndim >= KERNEL_DIMENSIONS for weight in state_of(layer).weights)


def own_activation(layer: Any) -> Any:
    """Return the activation that a layer applies: a function or a layer; None for none."""
    if isinstance(layer, Elementwise):
        return layer
    activation = getattr(layer, "activation", None)
    return None if name_of(activation) == "linear" else activation


class Anatomy:
    """A built model, as far as its structure tells what stands where."""

    def __init__(self, model: Layer) -> None:
        inside = module_tree(model).layers[1:]
        self.by_path: dict[str, Layer] = {prefix.rstrip("/"): one for prefix, one in inside}
        self.layers = list(self.by_path.values())
        self.path_of = {id(one): path for path, one in self.by_path.items()}
        # Layers one after the other, each read by the next alone.
        self.chains = list(chains_of(model))
        self.heads = {id(layer) for layer in ends_of(model)}
        # The layer that is applied to the output of another, by its identity: past a normalization.
        self.applied = {
            id(layer): behind
            for chain in self.chains
            for place, layer in enumerate(chain)
            if (behind := _activation_in(chain[place + 1 :])) is not None
        }

    def find(self, paths: Sequence[str]) -> list[Layer]:
        """Return the layers of these paths."""
        for path in paths:
            if path not in self.by_path:
                raise ValueError(
                    f"treatment.layers: no layer {path!r}; {did_you_mean(path, self.by_path)}"
                )
        return [self.by_path[path] for path in paths]

    def activation(self, layer: Layer) -> Any:
        """Return what is applied to a layer's sums: by itself, or by the layer behind it."""
        own = own_activation(layer)
        return own if own is not None else self.applied.get(id(layer))

    def stands_in_chain(self, layer: Layer) -> bool:
        """Tell whether it is known what a layer reads, and what reads it."""
        return any(one is layer for chain in self.chains for one in chain)

    def in_front(self, layer: Layer) -> list[Layer]:
        """Return the layers in front of one in its chain, the nearest first."""
        return self._sides(layer)[0]

    def around(self, layer: Layer) -> list[Layer]:
        """Return the layers between a layer and the kernels before and behind it in its chain."""
        sides = (itertools.takewhile(_is_bare, side) for side in self._sides(layer))
        return [one for side in sides for one in side]

    def _sides(self, layer: Layer) -> tuple[list[Layer], list[Layer]]:
        for chain in self.chains:
            for place, one in enumerate(chain):
                if one is layer:
                    return chain[:place][::-1], chain[place + 1 :]
        return [], []

    def hidden(self) -> list[Layer]:
        """Return the layers with kernels that do not make outputs."""
        return [one for one in self.layers if has_kernel(one) and id(one) not in self.heads]


def chains_of(layer: Layer) -> Iterator[list[Layer]]:
    """Yield the chains of layers in a model, models and blocks inside opened."""
    chain, graph = chain_of(layer), graph_of(layer)
    chains: list[list[Layer]] = []
    if chain is not None:
        chains = [chain]
    elif graph is not None:
        chains = [segment.layers() for segment in segments_of(graph)]
    elif isinstance(layer, Residual):
        chains = [parts_of(layer)[0]]
    for one in chains:
        yield one
        for inside in one:
            yield from chains_of(inside)


def _activation_in(behind: list[Layer]) -> Layer | None:
    """Return the activation layer that layers begin with, behind a normalization or noise."""
    for layer in behind:
        if isinstance(layer, ACTIVATIONS):
            return layer
        if not isinstance(layer, (*NORMALIZATIONS, Noise)):
            return None
    return None


def ends_of(layer: Layer) -> Iterator[Layer]:
    """Yield the layers that make outputs: from the last one with a kernel on.

    None of a model whose `call` is code.
    """
    chain, graph = chain_of(layer), graph_of(layer)
    if chain is not None:
        for one in reversed(chain):
            yield from ends_of(one)
            if _holds_kernel(one):
                return
    elif graph is not None:
        for symbol in graph.outputs:
            node = symbol.node
            while node.layer is not None:
                yield from ends_of(node.layer)
                if _holds_kernel(node.layer) or len(node.inputs) != 1:
                    break
                node = node.inputs[0].node
    elif not isinstance(layer, Network):
        yield layer


def _is_bare(layer: Layer) -> bool:
    return not _holds_kernel(layer)


def _holds_kernel(layer: Layer) -> bool:
    return any(has_kernel(one) for _, one in module_tree(layer).layers)
