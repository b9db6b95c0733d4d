"""Attributes of other libraries' classes: asked for here, they say what stands for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping


class ForeignAttribute:
    """In the place of an attribute that a class has not; asking for it is an AttributeError.

    A class has it in the place of a ``__getattr__``, which would be called for each attribute that
    is looked for in vain. Objects and subclasses may have an attribute of that name.
    """

    def __init__(self, name: str, meant: str) -> None:
        self.name = name
        self.meant = meant

    def __get__(self, thing: Any, owner: type) -> NoReturn:
        raise AttributeError(
            f"{owner.__name__!r} object has no attribute {self.name!r}; {self.meant}",
            name=self.name,
            obj=owner if thing is None else thing,
        )


def answer_for(owner: type, names: Mapping[str, str]) -> None:
    """Have a class say of these attributes what stands for them."""
    for name, meant in names.items():
        setattr(owner, name, ForeignAttribute(name, meant))
