"""Properties that give way to attributes of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

Value = TypeVar("Value")


class overridable(Generic[Value]):  # noqa: N801 - a decorator, as `property` is
    """A property for classes that users derive from: an attribute that they set comes before it."""

    def __init__(self, function: Callable[[Any], Value]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    @overload
    def __get__(self, thing: None, owner: type) -> Self: ...

    @overload
    def __get__(self, thing: Any, owner: type) -> Value: ...

    def __get__(self, thing: Any, owner: type) -> Any:
        """Return the property's value."""
        return self if thing is None else self.function(thing)
