"""The order that Keras gives to the layers of a graph when it reads one.

Keras walks from the outputs, depth first, and numbers layers as it meets them; then it sorts them
by their distance from the outputs, the farthest first, and those of one distance by these numbers.
Arrays in its files are numbered in that order, and names are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evengrad.models._keras._written import Call, Ref, Written


def depths_and_order(inputs: list[Ref], outputs: list[Ref]) -> list[Written]:
    """Return the layers of a graph in Keras' order."""
    calls, met = _walked(outputs)
    depth_of_call: dict[int, int] = {}
    depth_of_layer: dict[int, int] = {}
    layers: dict[int, Written] = {}
    for call in reversed(calls):
        layer = call.layer
        depth = max(depth_of_call.get(id(call), 0), depth_of_layer.get(id(layer), 0))
        layers[id(layer)] = layer
        depth_of_layer[id(layer)] = depth_of_call[id(call)] = depth
        for before in call.taken:
            known = depth_of_call.get(id(before.call), 0)
            depth_of_call[id(before.call)] = max(depth + 1, known)
    for one in inputs:
        # What leads to no output stands at the end.
        if id(one.call.layer) not in layers:
            layers[id(one.call.layer)] = one.call.layer
            depth_of_layer[id(one.call.layer)], met[id(one.call.layer)] = 0, -1
    return sorted(layers.values(), key=lambda one: (-depth_of_layer[id(one)], met[id(one)]))


def _walked(outputs: list[Ref]) -> tuple[list[Call], dict[int, int]]:
    """Return the calls behind outputs, each after those that it takes from, and when layers met."""
    done: set[int] = set()
    order: list[Call] = []
    met: dict[int, int] = {}
    left = [(ref.call, False) for ref in reversed(outputs)]
    while left:
        call, ready = left.pop()
        if ready:
            order.append(call)
        elif id(call) not in done:
            done.add(id(call))
            met.setdefault(id(call.layer), len(met))
            left.append((call, True))
            left += [(ref.call, False) for ref in reversed(call.taken)]
    return order, met
