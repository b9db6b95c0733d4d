"""Whose updates an optimizer counts: those of one model."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from evengrad._common.checks import plural
from evengrad.optimizers._optimizer import counts_of

if TYPE_CHECKING:
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer

# The model that each optimizer was given to, and its path in case it is gone.
_owners: weakref.WeakKeyDictionary[Optimizer, tuple[weakref.ref[Model], str]]
_owners = weakref.WeakKeyDictionary()


def claim(optimizer: Optimizer, model: Model) -> None:
    """Note that a model trains with an optimizer, or raise a ValueError where another one does.

    Shared, its count of updates would be that of both: schedules would run twice as fast, and the
    correction of Adam's averages would be another one.
    """
    owner, path = _owners.get(optimizer, (None, ""))
    known = None if owner is None else owner()
    if known is not model:
        counts = counts_of(optimizer)
        has_trained = counts.iterations > 0 or counts.accumulated > 0
        is_taken = has_trained or (known is not None and trains_with(known, optimizer))
        if owner is not None and is_taken:
            made = plural(counts.iterations, "update")
            raise ValueError(
                f"optimizer: expected one for each model, got the {type(optimizer).__name__} of "
                f"the model {path!r}, of which it has made {made}; make another one for "
                f"{model.path!r}: {optimizer!r}"
            )
        _owners[optimizer] = weakref.ref(model), model.path


def trains_with(model: Model, optimizer: Optimizer) -> bool:
    """Tell whether a model is compiled with an optimizer."""
    config = model._config  # noqa: SLF001 - its class is public, this is not
    return config is not None and config.optimizer is optimizer
