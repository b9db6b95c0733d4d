"""Objects as Keras' configurations have them: ``{"class_name": ..., "config": ...}``.

Layers, losses, optimizers and their like take such a description in the place of a name. What reads
and writes them knows all classes, and stands where models are described; it is entered here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Ways:
    """What writes an object of any family, and what reads one: set by who knows all classes."""

    write: Callable[[Any], Any]
    read: Callable[[Any, str, Mapping[str, Any]], Any]


_ways = _Ways()
# Classes and functions of users, by the names that configurations and files have for them.
registered: dict[str, Any] = {}


def enter(write: Callable[[Any], Any], read: Callable[[Any, str, Mapping[str, Any]], Any]) -> None:
    """Enter what writes objects, and what reads those of a family, with custom objects."""
    _ways.write, _ways.read = write, read


def is_serialized(value: Any) -> bool:
    """Tell whether a value is the description of an object."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str)


def serialize(thing: Any) -> Any:
    """Return an object as Keras' configurations have it, of numbers, text, lists and dicts alone.

    It is read again by ``deserialize`` of the module that the object's class is in, and by what
    takes a name of such an object: ``layers.Dense(kernel_initializer=...)``, ``compile(...)``.

    Parameters
    ----------
    thing
        A layer, model, initializer, regularizer, constraint, loss, metric, optimizer or schedule;
        or a function with a name, which is described by it.

    Returns
    -------
    dict or str
        ``{"module": ..., "class_name": ..., "config": ..., "registered_name": ...}``; of a function
        of this package its name.

    Raises
    ------
    ValueError
        Something in it has no name, as a lambda, or cannot be described.

    Examples
    --------
    >>> described = eg.layers.serialize(eg.layers.Dropout(0.25))
    >>> described["class_name"], described["config"]["rate"]
    ('Dropout', 0.25)
    """
    return _ways.write(thing)


def deserialized(config: Any, family: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the object of a family that was described; of any family where that is ``""``."""
    return _ways.read(config, family, custom_objects or {})


def revived(value: Any) -> Any:
    """Return a value with the objects in it that are described."""
    if is_serialized(value):
        return deserialized(value, "")
    if isinstance(value, (list, tuple)):
        return type(value)(revived(item) for item in value)
    return value
