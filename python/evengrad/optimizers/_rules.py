"""Settings of the update rules, as the core has them: bounds, and the defaults by convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad._common.config import spelled_out
from evengrad.optimizers._shared import SHARED, Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad._common.config import Constructor

# Where a number may lie, which begins at 0: whether 0 is outside, the end, whether that is outside.
Bounds: TypeAlias = tuple[bool, float, bool]
NOT_NEGATIVE: Bounds = (False, float("inf"), True)
# By rule and setting: its bounds, None for a flag, and its default by convention.
RULES: dict[str, dict[str, tuple[Bounds | None, dict[str, Any]]]] = _core.optimizer_settings()


def bounds_of(rule: str | None, name: str) -> Bounds:
    """Return the bounds of a setting; of one that belongs to no rule, those of a finite size."""
    bounds, _ = RULES.get(rule or "", {}).get(name, (None, {}))
    return bounds or NOT_NEGATIVE


def check_within(bounds: Bounds, value: Any, label: str) -> float:
    """Return a number within its bounds, or raise an error that names it."""
    open_low, high, open_high = bounds
    return check_float(value, label, low=0.0, high=high, open_low=open_low, open_high=open_high)


def check_setting(rule: str, name: str, value: Any) -> float:
    """Return a setting of a rule, a flag or a number within its bounds, or raise an error."""
    bounds, _ = RULES[rule][name]
    return bool(value) if bounds is None else check_within(bounds, value, name)


def with_defaults(rule: str, convention: str, **given: Any) -> dict[str, Any]:
    """Return settings of a rule, with the convention's defaults for those that are None."""
    settings = {}
    for name, value in given.items():
        settings[name] = RULES[rule][name][1][convention] if value is None else value
        if settings[name] is None:
            raise ValueError(f'{name}: the convention "{convention}" has no default; pass a number')
    return settings


def takes_settings_of(rule: str, kind: type = Shared) -> Callable[[Constructor], Constructor]:
    """Decorate the ``__init__`` of a rule's class, which ends in ``**shared``, of that kind.

    Its signature names all arguments, and has the core's default where the conventions share one.
    In the source they default to None, for `Rule` to replace.
    """
    agreed = {
        name: values.pop()
        for name, (_, defaults) in RULES[rule].items()
        if len(values := set(defaults.values())) == 1
    }
    return spelled_out(kind, SHARED, agreed)
