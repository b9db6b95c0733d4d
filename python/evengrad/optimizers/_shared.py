"""The arguments that optimizers share, written once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from evengrad._common.checks import check_float, check_int
from evengrad._common.names import choose
from evengrad.optimizers._groups import check_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evengrad.optimizers._groups import ParameterGroup

CONVENTIONS = ("keras", "torch", "tf1")


class Around(TypedDict, total=False):
    """Arguments about what is around a rule; `evengrad.optimizers.Optimizer` documents them all."""

    groups: Sequence[ParameterGroup | Mapping[str, Any]] | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None


class Clipped(Around, total=False):
    """Those, and the ways of clipping."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None


class WithConvention(Clipped, total=False):
    """Those of rules that decay weights in their own way."""

    convention: str


class Shared(WithConvention, total=False):
    """Those of all other rules."""

    weight_decay: float | Callable[[int], float] | None


# Their defaults, in the order of signatures.
AROUND: Around = {
    "groups": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
}
SHARED: Shared = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "convention": "keras",
    **AROUND,
}


def convention_of(shared: Mapping[str, object]) -> str:
    """Return the convention's name, or raise an error that lists them."""
    return choose({**SHARED, **shared}["convention"], CONVENTIONS, "convention")


def check_shared(given: Around) -> dict[str, Any]:
    """Return the arguments about what is around a rule, all of them and checked."""
    for name in given:
        if name not in AROUND:
            # As Python says it of a constructor without `**`; the nearest name is added there.
            raise TypeError(f"got an unexpected keyword argument {name!r}")
    shared: dict[str, Any] = {**AROUND, **given}
    shared["groups"] = check_groups(shared["groups"])
    shared["use_ema"] = bool(shared["use_ema"])
    shared["ema_momentum"] = check_float(shared["ema_momentum"], "ema_momentum", low=0.0, high=1.0)
    for name in ("ema_overwrite_frequency", "gradient_accumulation_steps"):
        if shared[name] is not None:
            shared[name] = check_int(shared[name], name, at_least=1)
    if shared["ema_overwrite_frequency"] and not shared["use_ema"]:
        raise ValueError("ema_overwrite_frequency: expected use_ema=True with it")
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
