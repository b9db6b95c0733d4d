"""The hidden dense layers of a chain, and what stands between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evengrad._common.names import did_you_mean
from evengrad.layers import Dense
from evengrad.layers._dropout import Noise
from evengrad.layers._module import module_tree
from evengrad.models._anatomy import ACTIVATIONS, NORMALIZATIONS, has_kernel
from evengrad.models._network import Network, chain_of, graph_of
from evengrad.models._segments import segments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evengrad.layers._layer import Layer


# What belongs to a dense layer that it stands behind: it changes no shape.
FOLLOWERS = (*ACTIVATIONS, *NORMALIZATIONS, Noise)


@dataclass(frozen=True)
class Span:
    """A dense layer of a chain, with the normalization, activation and noise behind it.

    They are the chain's layers from `start` to before `stop`.
    """

    path: str
    start: int
    stop: int


def layers_of(model: Network) -> list[Layer]:
    """Return the layers of a model that is one chain, those of chains inside in their place."""
    found: list[Layer] = []
    for layer in _links(model):
        found += layers_of(layer) if isinstance(layer, Network) else [layer]
    return found


def _links(model: Any) -> list[Layer]:
    chain, graph = chain_of(model), graph_of(model)
    if chain is not None:
        return chain
    if graph is None:
        raise ValueError(
            f"{model.path}: expected a chain of layers, got a model whose call is code; pass a "
            "Sequential of the layers that are to be pre-trained"
        )
    segments = segments_of(graph)
    if len(segments) != 1 or not segments[0].is_chain() or len(graph.inputs) != 1:
        raise ValueError(
            f"{model.path}: expected layers one after the other, got a graph that branches; pass a "
            "Sequential of the layers that are to be pre-trained"
        )
    return segments[0].layers()


def spans_of(chain: list[Layer], layers: Any) -> list[Span]:
    """Return the dense layers that are to be pre-trained, from the lowest to the highest.

    By default all that train, but for the last layer with a kernel: it makes the outputs.
    """
    kernels = [place for place, layer in enumerate(chain) if _holds_kernel(layer)]
    dense = [place for place in kernels if type(chain[place]) is Dense]
    if layers is None:
        chosen = [place for place in dense if place != kernels[-1] and chain[place].trainable]
        if not chosen:
            raise ValueError(
                "layers: expected a model with hidden Dense layers that train, got none below its "
                "last layer; name those that are meant"
            )
    else:
        chosen = sorted({_place_of(chain, dense, one) for one in _as_list(layers)})
    return [Span(chain[place].path, place, _stop_of(chain, place)) for place in chosen]


def _stop_of(chain: list[Layer], start: int) -> int:
    stop = start + 1
    while stop < len(chain) and isinstance(chain[stop], FOLLOWERS):
        stop += 1
    return stop


def _holds_kernel(layer: Layer) -> bool:
    return any(has_kernel(one) for _, one in module_tree(layer).layers)


def _as_list(layers: Any) -> Sequence[Any]:
    given = list(layers) if isinstance(layers, (list, tuple)) else [layers]
    if not given:
        raise ValueError("layers: expected at least one Dense layer, got none; None takes all")
    return given


def _place_of(chain: list[Layer], dense: list[int], wanted: Any) -> int:
    """Return where a layer stands that a user names or passes, or raise an error."""
    names = [layer.name for layer in chain]
    is_text = isinstance(wanted, str)
    found = [
        place
        for place, layer in enumerate(chain)
        if wanted is layer or (is_text and wanted in (layer.name, layer.path))
    ]
    if not found:
        offered = [names[one] for one in dense]
        hint = did_you_mean(str(wanted), offered) if is_text else "pass its name"
        raise ValueError(f"layers: no layer {wanted!r} in the chain; {hint}")
    place = found[0]
    if place not in dense:
        kind = type(chain[place]).__name__
        raise ValueError(f"layers: expected Dense layers, got {names[place]!r}, a {kind}")
    if not chain[place].trainable:
        raise ValueError(
            f"layers: {names[place]!r} is frozen; set its trainable = True, or leave it out"
        )
    return place
