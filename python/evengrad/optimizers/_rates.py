"""Learning rates by layer: as groups of parameters, which schedules hold for too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from evengrad._common.checks import check_float
from evengrad._common.config import remade
from evengrad.optimizers._groups import ParameterGroup
from evengrad.optimizers._optimizer import rate_of, regroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evengrad._core import Tensor
    from evengrad.optimizers._optimizer import Optimizer


def layerwise_decay(model: Any, decay: float) -> list[ParameterGroup]:
    """Return groups in which each layer learns more slowly than the one above it.

    The last layer with variables has the optimizer's rate η, the one before η · decay, the one
    before that η · decay², and so on: low layers, whose features hold for other tasks too, change
    least. Batch normalization, and other layers that stand by themselves, count as layers; models
    inside are gone through layer by layer.

    Parameters
    ----------
    model
        A model that is built.
    decay
        In (0, 1]; 1 / 2.6 ≈ 0.385 in the paper below, 0.65 to 0.95 for deep nets.

    Returns
    -------
    list of ParameterGroup
        For the argument `groups` of an optimizer.

    Raises
    ------
    ValueError
        The model is not built, or has no variables; `decay` out of range.

    References
    ----------
    Howard and Ruder, "Universal language model fine-tuning for text classification", 2018.

    Examples
    --------
    >>> model = eg.Sequential(
    ...     [eg.Input((4,)), eg.layers.Dense(8, "relu"), eg.layers.Dense(8), eg.layers.Dense(1)]
    ... )
    >>> groups = eg.optimizers.layerwise_decay(model, 0.5)
    >>> [(group.names, group.learning_rate_multiplier) for group in groups]
    [('^dense/', 0.25), ('^dense_1/', 0.5), ('^dense_2/', 1.0)]
    >>> model.compile(eg.optimizers.Adam(0.01, groups=groups), "mse")
    """
    share = check_float(decay, "decay", low=0.0, high=1.0, open_low=True)
    layers = [layer for layer in layers_inside(model) if layer.weights]
    if not layers:
        raise ValueError(
            f"{model.path}: expected layers with variables; build the model first, by data or by "
            "evengrad.Input(shape)"
        )
    depths = range(len(layers) - 1, -1, -1)
    return [
        ParameterGroup(f"^{re.escape(layer.path)}/", learning_rate_multiplier=share**depth)
        for layer, depth in zip(layers, depths, strict=True)
    ]


def layers_inside(model: Any) -> list[Any]:
    """Return the layers of a model, and in place of models inside it theirs."""
    found: list[Any] = []
    for layer in model.layers:
        found += layers_inside(layer) if hasattr(layer, "layers") else [layer]
    return found


def set_rates(
    optimizer: Optimizer, shares: list[tuple[list[Tensor], float]], rate: float | None
) -> None:
    """Have parameters learn at a share of a rate from now on; without one, of the optimizer's.

    It is kept as a multiple of the optimizer's rate as it stands now.
    """
    now = rate_of(optimizer, optimizer.iterations)
    if rate is not None and now == 0.0:
        raise ValueError(
            "learning_rate: expected an optimizer whose rate is above 0 now, as the rate is kept "
            "as a multiple of it"
        )
    multiple = 1.0 if rate is None else rate / now
    given = {id(tensor) for tensors, _ in shares for tensor in tensors}
    kept = [left for group in optimizer.groups or [] for left in _without(group, given)]
    made = []
    for tensors, share in shares:
        for tensor in tensors:
            around = 1.0
            for group in kept:
                around *= group.learning_rate_multiplier if group.holds(tensor) else 1.0
            if around == 0.0:
                raise ValueError(
                    "learning_rate: a group of the optimizer's gives these parameters a rate of 0, "
                    "which no factor changes; make the optimizer without it"
                )
            made.append(_setting(tensor, multiple * share / around))
    regroup(optimizer, [*kept, *made])


def rates_of(optimizer: Optimizer, variables: Iterable[tuple[str, Tensor]]) -> dict[str, float]:
    """Return, by the paths of variables, the multiples of the rate that `set_rates` has set."""
    paths = {id(tensor): path for path, tensor in variables}
    return {
        paths[id(group.names[0])]: group.learning_rate_multiplier
        for group in optimizer.groups or []
        if group.sets_rate and id(group.names[0]) in paths
    }


def put_rates(
    optimizer: Optimizer, multiples: dict[str, float], variables: Iterable[tuple[str, Tensor]]
) -> None:
    """Set what `rates_of` returned, and nothing else."""
    named = list(variables)
    if rates_of(optimizer, named) == multiples:
        return
    tensors = dict(named)
    kept = [group for group in optimizer.groups or [] if not group.sets_rate]
    made = [_setting(tensors[path], multiple) for path, multiple in multiples.items()]
    regroup(optimizer, [*kept, *made])


def restore_rates(
    optimizer: Optimizer, multiples: dict[str, float], variables: Iterable[tuple[str, Tensor]]
) -> None:
    """Set rates that a file tells again, in the place of the patterns that its description has.

    Raises
    ------
    ValueError
        There is no such variable or pattern.
    """
    tensors, groups = dict(variables), list(optimizer.groups or [])
    made = []
    for path, multiple in multiples.items():
        names = [f"^{re.escape(path)}$"]
        # They stand behind all others.
        places = [place for place, group in enumerate(groups) if group.names == names]
        if path not in tensors or not places:
            raise ValueError(f"rates: there is no {path!r}")
        del groups[places[-1]]
        made.append(_setting(tensors[path], multiple))
    regroup(optimizer, [*groups, *made])


def carry_rates(old: Optimizer, optimizer: Optimizer, tensors: Iterable[Tensor]) -> None:
    """Have an optimizer made as another one is have the rates set there, of these tensors alone.

    In its description they are patterns, which would hold for whatever takes the same path.
    """
    groups = old.groups or []
    if not any(group.sets_rate for group in groups):
        return
    there = {id(tensor) for tensor in tensors}
    plain = [remade(group) for group in groups if not group.sets_rate]
    made = [
        _setting(group.names[0], group.learning_rate_multiplier)
        for group in groups
        if group.sets_rate and id(group.names[0]) in there
    ]
    regroup(optimizer, [*plain, *made])


def _setting(tensor: Tensor, multiple: float) -> ParameterGroup:
    """Return the group of one parameter, which can be replaced."""
    group = ParameterGroup(tensor, learning_rate_multiplier=multiple)
    group.sets_rate = True
    return group


def _without(group: ParameterGroup, tensors: set[int]) -> list[ParameterGroup]:
    """Return a group, unless it was made here for one of these tensors."""
    replaced = group.sets_rate and any(id(name) in tensors for name in group.names)
    return [] if replaced else [group]
