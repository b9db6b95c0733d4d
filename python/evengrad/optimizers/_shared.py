"""The arguments that all optimizers share, written once."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from evengrad._common.checks import check_float, check_int
from evengrad.optimizers._groups import check_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evengrad.optimizers._groups import ParameterGroup

Constructor = TypeVar("Constructor", bound="Callable[..., None]")


class Shared(TypedDict, total=False):
    """Arguments of every optimizer; `evengrad.optimizers.Optimizer` documents them."""

    groups: Sequence[ParameterGroup | Mapping[str, Any]] | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None


DEFAULTS: Shared = {
    "groups": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
}


def takes_shared(constructor: Constructor) -> Constructor:
    """Decorate an ``__init__`` that ends in ``**shared``: its signature names them all."""
    signature = inspect.signature(constructor)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=_written(Shared.__annotations__[name]),
        )
        for name, default in DEFAULTS.items()
    ]
    constructor.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]  # inspect reads it
    return constructor


def _written(annotation: Any) -> Any:
    """Return an annotation as its source has it."""
    return getattr(annotation, "__forward_arg__", annotation)


def check_shared(given: Shared) -> dict[str, Any]:
    """Return all of the shared arguments, checked."""
    for name in given:
        if name not in DEFAULTS:
            # As Python says it of a constructor without `**`; the nearest name is added there.
            raise TypeError(f"got an unexpected keyword argument {name!r}")
    shared: dict[str, Any] = {**DEFAULTS, **given}
    if len(shared) > len(DEFAULTS):
        # What makes the object says which argument may be meant.
        raise TypeError(f"unknown arguments {', '.join(shared.keys() - DEFAULTS.keys())}")
    shared["groups"] = check_groups(shared["groups"])
    shared["use_ema"] = bool(shared["use_ema"])
    shared["ema_momentum"] = check_float(shared["ema_momentum"], "ema_momentum", low=0.0, high=1.0)
    every = shared["ema_overwrite_frequency"]
    if every is not None:
        shared["ema_overwrite_frequency"] = check_int(every, "ema_overwrite_frequency", at_least=1)
        if not shared["use_ema"]:
            raise ValueError("ema_overwrite_frequency: expected use_ema=True with it")
    steps = shared["gradient_accumulation_steps"]
    if steps is not None:
        shared["gradient_accumulation_steps"] = check_int(
            steps, "gradient_accumulation_steps", at_least=1
        )
    return shared


def core_settings(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shared arguments as settings of the core."""
    settings: dict[str, Any] = {
        "gradient_accumulation_steps": shared["gradient_accumulation_steps"] or 1
    }
    if shared["use_ema"]:
        settings["ema_momentum"] = shared["ema_momentum"]
        settings["ema_overwrite_frequency"] = shared["ema_overwrite_frequency"] or 0
    return settings
