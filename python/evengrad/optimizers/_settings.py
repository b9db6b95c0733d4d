"""The arguments of an optimizer's rule: numbers that may change, and what the rule is chosen by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad.optimizers._rules import bounds_of, check_within

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad.optimizers._optimizer import Optimizer


class Setting:
    """A number of the rule, or a schedule; may be changed between steps. It lives in the core.

    The same bounds hold for what the constructor gets, for what is assigned later, and for every
    value of a schedule: those that the core has for the setting of that name.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.bounds = name, bounds_of(getattr(owner, "rule", None), name)

    def __get__(self, optimizer: Optimizer | None, owner: type) -> Any:
        if optimizer is None:
            return self
        return optimizer._settings.get(self.name)  # noqa: SLF001 - this is its public face

    def __set__(self, optimizer: Optimizer, value: float | Callable[[int], float]) -> None:
        optimizer._set(self.name, value)  # noqa: SLF001 - as above

    def number(self, value: Any, label: str) -> float:
        """Return a number within the bounds, or raise an error that names it."""
        return check_within(self.bounds, value, label)

    def given(self, value: Any) -> Any:
        """Return a number, or a schedule whose first value is one; or raise an error."""
        if not callable(value):
            return self.number(value, self.name)
        self.number(value(0), f"{self.name}(0)")
        return value


class Momentum(Setting):
    """A momentum in [0, 1). Whether there is a buffer for it is settled when the rule is made."""

    def given(self, value: Any) -> Any:
        """Return a number, or a schedule, which begins above 0 and so has a buffer."""
        if callable(value):
            _, high, open_high = self.bounds
            check_within((True, high, open_high), value(0), f"{self.name}(0)")
        return super().given(value)

    def __set__(self, optimizer: Optimizer, value: float | Callable[[int], float]) -> None:
        wanted = self.given(value)
        kind, has_buffer = type(optimizer).__name__, getattr(optimizer, self.name) != 0.0
        if wanted != 0.0 and not has_buffer:
            raise ValueError(
                f"{self.name}: {kind} was made with 0 and so without a buffer; make it with a "
                f"{self.name} above 0, which may be changed later"
            )
        if wanted == 0.0 and has_buffer:
            raise ValueError(
                f"{self.name}: expected a number in (0, 1), got 0, and {kind} was made with a "
                f"buffer; make a new one for none, or pass a schedule, which may come to 0"
            )
        if has_buffer:
            super().__set__(optimizer, value)


class Absent(Setting):
    """A setting that the convention does not have: it is 0."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason

    def number(self, value: Any, label: str) -> float:
        """Return 0, or raise an error that says why nothing else is taken."""
        if value != 0.0:
            raise ValueError(f"{label}: {self.reason}")
        return 0.0


class Fixed:
    """An argument by which the rule was chosen, or what is around it: it stays as it was given."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type) -> Any:
        if optimizer is None:
            return self
        try:
            return vars(optimizer)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        kept = vars(optimizer)
        if self.name in kept and kept[self.name] != value:
            raise AttributeError(
                f"{self.name}: {type(optimizer).__name__} was made with {kept[self.name]!r}, which "
                "cannot be changed; make a new one"
            )
        kept[self.name] = value


RATE = Setting()
RATE.__set_name__(object, "learning_rate")
