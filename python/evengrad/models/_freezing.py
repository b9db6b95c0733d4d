"""Freezing layers and unfreezing them: which are meant, and at which rate they go on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_float
from evengrad._common.names import did_you_mean
from evengrad._common.patterns import matcher
from evengrad.layers._layer import Layer
from evengrad.layers._module import module_tree, set_trainable, state_of
from evengrad.models._network import check_built, graph_of
from evengrad.optimizers._rates import set_rates

if TYPE_CHECKING:
    from evengrad.models._graph import Graph
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer


def freeze(model: Model, pattern: Any, until: Any) -> list[str]:
    """Freeze layers; see `Model.freeze`."""
    found = chosen(model, pattern, {"until": until})
    set_all(found, False)
    return [path for path, _ in found]


def unfreeze(
    model: Model, pattern: Any, learning_rate: Any, decay: Any, since: Any, optimizer: Any
) -> list[str]:
    """Unfreeze layers; see `Model.unfreeze`. `optimizer` returns that of `compile`."""
    found = chosen(model, pattern, {"since": since})
    share = check_float(decay, "decay", low=0.0, high=1.0, open_low=True)
    rate = learning_rate
    if rate is not None:
        rate = check_float(rate, "learning_rate", low=0.0)
    if rate is not None or share != 1.0:
        give_rates(optimizer(), [layer for _, layer in found], rate, share)
    set_all(found, True)
    return [path for path, _ in found]


def set_all(found: list[tuple[str, Layer]], flag: bool) -> None:
    """Freeze layers and all inside them, or unfreeze them."""
    for _, layer in found:
        for _, module in module_tree(layer).layers:
            set_trainable(module, flag)


def give_rates(optimizer: Optimizer, layers: list[Layer], rate: float | None, decay: float) -> None:
    """Give the last of the layers that rate, and each one before a smaller one."""
    inside: dict[int, Any] = {}
    for layer in layers:
        inside.update({id(one): one for _, one in module_tree(layer).layers})
    weights = [
        [weight.tensor for weight in state_of(one).weights if weight.trainable]
        for one in inside.values()
    ]
    own = [tensors for tensors in weights if tensors]
    depths = range(len(own) - 1, -1, -1)
    set_rates(
        optimizer, [(one, decay**depth) for one, depth in zip(own, depths, strict=True)], rate
    )


# ---- which layers are meant


def chosen(model: Model, pattern: Any, end: dict[str, Any]) -> list[tuple[str, Layer]]:
    """Return the layers that are meant, with their paths in the model, in its order.

    `end` has the layer up to which, or since which, they are meant, or None.
    """
    (argument, limit), *_ = end.items()
    if pattern is not None and limit is not None:
        raise ValueError(f"pattern, {argument}: expected one of the two, got both")
    every = [(prefix.rstrip("/"), layer) for prefix, layer in module_tree(model).layers[1:]]
    if limit is not None:
        target = _one(model, every, limit, argument)
        meant = (up_to if argument == "until" else since)(model, every, target)
    elif pattern is None:
        meant = {id(layer) for _, layer in every}
    else:
        given = list(pattern) if isinstance(pattern, (list, tuple, set)) else [pattern]
        if not given:
            raise ValueError("pattern: expected at least one, got none")
        meant = set()
        for one in given:
            meant |= {id(layer) for _, layer in _matching(model, every, one, "pattern")}
    return [(path, layer) for path, layer in every if id(layer) in meant]


def _one(
    model: Model, every: list[tuple[str, Layer]], given: Any, argument: str
) -> tuple[str, Layer]:
    """Return the one layer that is meant."""
    found = _matching(model, every, given, argument)
    if len(found) > 1:
        paths = ", ".join(path for path, _ in found)
        raise ValueError(f"{argument}: expected one layer, {given!r} matches {paths}")
    return found[0]


def _matching(
    model: Model, every: list[tuple[str, Layer]], given: Any, argument: str
) -> list[tuple[str, Layer]]:
    """Return the layers of a name, a pattern, or an object; an error where there are none."""
    if isinstance(given, Layer):
        found = [one for one in every if one[1] is given]
        problem = f"{given.name!r} is no layer of {model.path}"
    elif isinstance(given, (str, re.Pattern)):
        check_built(model, f"{argument} by names")
        matches = matcher(given)
        found = [one for one in every if matches(one[0])]
        shown = given if isinstance(given, str) else given.pattern
        problem = f"{shown!r} matches no layer"
    else:
        raise TypeError(
            f"{argument}: expected names, patterns or layers, got {given!r} "
            f"({type(given).__name__})"
        )
    if not found:
        wanted = given if isinstance(given, str) else ""
        raise ValueError(f"{argument}: {problem}; {did_you_mean(wanted, [p for p, _ in every])}")
    return found


# ---- up to a layer, and since one


def up_to(model: Model, every: list[tuple[str, Layer]], target: tuple[str, Layer]) -> set[int]:
    """Return, by identity, a layer and all that its input has passed through."""
    meant = {id(target[1])}
    for before, _ in levels(model, every, target):
        meant |= before
    return meant


def since(model: Model, every: list[tuple[str, Layer]], target: tuple[str, Layer]) -> set[int]:
    """Return, by identity, a layer and all that its input has not passed through."""
    meant = {id(target[1])}
    for _, after in levels(model, every, target):
        meant |= after
    return meant


def levels(
    model: Model, every: list[tuple[str, Layer]], target: tuple[str, Layer]
) -> list[tuple[set[int], set[int]]]:
    """Return for the model, and each layer around the target, what comes before it and after.

    Where a layer is drawn as a graph, before it is what leads to it. Elsewhere the order of the
    layers counts.
    """
    found = []
    around: Any = model
    parts, start = target[0].split("/"), ""
    for number in range(len(parts)):
        path = "/".join(parts[: number + 1])
        beside = [
            (name, layer)
            for name, layer in every
            if name.startswith(start) and "/" not in name[len(start) :]
        ]
        here = next(layer for name, layer in beside if name == path)
        graph = graph_of(around)
        order = [id(layer) for _, layer in beside]
        before = set(order[: order.index(id(here))]) if graph is None else leading(graph, here)
        found.append((before, set(order) - before - {id(here)}))
        around, start = here, f"{path}/"
    return found


def leading(graph: Graph, layer: Layer) -> set[int]:
    """Return, by identity, the layers of a graph whose outputs lead to a layer."""
    wanted = [symbol for node in graph.nodes if node.layer is layer for symbol in node.inputs]
    seen: set[int] = set()
    found: set[int] = set()
    while wanted:
        node = wanted.pop().node
        if id(node) not in seen and node.layer is not None:
            seen.add(id(node))
            found.add(id(node.layer))
            wanted += node.inputs
    return found - {id(layer)}
