"""Pruning by magnitude: the smallest weights become zero, and stay so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.checks import check_float
from evengrad._common.names import choose
from evengrad._tensor.masked import apply_masks, masked
from evengrad.layers._masks import masks_of, set_masks
from evengrad.layers._module import access_to, module_tree
from evengrad.models._freezing import chosen
from evengrad.models._gradual_pruning import GradualPruning, PruningSchedule
from evengrad.models._network import check_built
from evengrad.models._sparsity import Sparsity, kernels_of, sparsity_of
from evengrad.models._surgery_training import check_in_place
from evengrad.optimizers._optimizer import has_slots

if TYPE_CHECKING:
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer
    from evengrad.training._compile_config import CompileConfig

    Array = np.ndarray[Any, Any]

SCOPES = ("global", "layer")
# The slot that a training may end with in the place of the weights.
AVERAGE = "average"


def prune(model: Model, sparsity: Any, scope: Any, schedule: Any, pattern: Any = None) -> Sparsity:
    """Have the smallest weights be zero, now or while the model trains; see `Model.prune`."""
    call = "prune"
    check_built(model, call)
    share = check_float(sparsity, "sparsity", low=0.0, high=1.0, open_high=True)
    choose(scope, SCOPES, "scope")
    config: CompileConfig | None = model._config  # noqa: SLF001 - its class is public, this is not
    check_in_place(config, call)
    layers = [] if pattern is None else chosen(model, pattern, {"until": None})
    meant = None if pattern is None else variables_in(layers)
    named = [
        (path, one)
        for path, one in kernels_of(module_tree(model))
        if one.requires_grad and (meant is None or id(one) in meant)
    ]
    if not named:
        where = "" if meant is None else f" in {', '.join(path for path, _ in layers)}"
        raise ValueError(
            f"{model.path}: {call}: expected kernels that train{where}, got none; what is frozen "
            "is left as it is"
        )
    if schedule is not None:
        if not isinstance(schedule, PruningSchedule):
            raise TypeError(f"schedule: expected a models.PruningSchedule, got {schedule!r}")
        paths = None if pattern is None else [path for path, _ in layers]
        model.gradual_pruning = GradualPruning(share, scope, schedule, paths)
        return sparsity_of(model)
    with access_to(model, writes=True):
        before = masks_of(model)
        pieces = [_magnitudes(tensor.detach().numpy(), before.get(path)) for path, tensor in named]
        kept = _global(pieces, share) if scope == "global" else [_local(x, share) for x in pieces]
        shaped = {
            path: one.reshape(tuple(tensor.shape))
            for (path, tensor), one in zip(named, kept, strict=True)
            if path in before or not one.all()
        }
        set_masks(model, {**before, **shaped})
        if config is not None:
            _mask_averages(config.optimizer, named)
    return sparsity_of(model)


def variables_in(layers: list[tuple[str, Any]]) -> set[int]:
    """Return, by identity, the variables of layers and of all inside them."""
    return {id(one) for _, layer in layers for _, one in module_tree(layer).named_weights}


def remove_masks(model: Model) -> None:
    """Have pruned weights train again; see `Model.remove_masks`."""
    model.gradual_pruning = None
    set_masks(model, {})


def _magnitudes(values: Array, kept: Array | None) -> Array:
    """Return how large weights are, in a row; what is pruned already comes before all others."""
    # NaN is for other tools to find: it is no small number.
    found = np.nan_to_num(np.abs(values), nan=np.inf, posinf=np.inf)
    return (found if kept is None else np.where(kept, found, -1.0)).reshape(-1)


def _local(magnitudes: Array, share: float) -> Array:
    """Return what is kept where a share of the weights goes, and what has gone stays away."""
    gone = magnitudes < 0.0
    count = max(round(share * magnitudes.size), int(np.count_nonzero(gone)))
    if count:
        bound = np.partition(magnitudes, count - 1)[count - 1]
        gone = magnitudes < bound
        ties = np.flatnonzero(magnitudes == bound)
        gone[ties[: count - int(np.count_nonzero(gone))]] = True
    return ~gone


def _global(pieces: list[Array], share: float) -> list[Array]:
    """Return what is kept of several variables, as of one that they follow one another in."""
    ends = np.cumsum([piece.size for piece in pieces])[:-1]
    return np.split(_local(np.concatenate(pieces), share), ends)


def _mask_averages(optimizer: Optimizer, named: list[tuple[str, Any]]) -> None:
    """Have moving averages of what is pruned be zero, for they may become the weights."""
    for _, tensor in named:
        kept = masked.of(tensor)
        if kept is None or not has_slots(optimizer, tensor):
            continue
        average = optimizer.slots(tensor).get(AVERAGE)
        if average is not None:
            average.copy_(np.where(kept.numpy(), average.numpy(), 0.0).astype(average.dtype))
    apply_masks(tensor for _, tensor in named)
