"""What Keras' configurations describe: classes with arguments, without the wraps around values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container


class NoCounterpartError(ValueError):
    """Something has no counterpart in Keras, or here; the message says what."""


def plain(value: Any) -> Any:
    """Return a value of a configuration without the wraps of NumPy's numbers and of tuples."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict) and value.get("class_name") == "__tuple__":
        return [plain(item) for item in value.get("items", [])]
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        inside = value.get("config")
        return inside.get("value") if isinstance(inside, dict) else None
    return value


def class_and_config(described: Any, own: Container[str] = ()) -> tuple[str, dict[str, Any]]:
    """Return the name of the class and the arguments of a described object or function.

    Classes that their writers have registered must be among the caller's `own`.
    """
    described = plain(described)
    if isinstance(described, str):
        return described, {}
    if not isinstance(described, dict):
        raise NoCounterpartError(f"{described!r} describes no object")
    name, config = described.get("class_name"), described.get("config")
    if name == "function" and isinstance(config, str):
        return config.rpartition(">")[2] or config, {}
    if not isinstance(name, str) or not isinstance(config, (dict, type(None))):
        raise NoCounterpartError(f"{described!r} describes no object")
    registered = str(described.get("registered_name") or name)
    name = name.rpartition(">")[2]
    if ">" in registered and name not in own:
        raise NoCounterpartError(
            f"{name} is a class of its writer's own; Model.from_keras takes such classes as "
            f"custom_objects={{{name!r}: {name}}}"
        )
    return name, {key: plain(item) for key, item in (config or {}).items()}


def row_shape(value: Any) -> tuple[int | None, ...] | None:
    """Return the shape of one row of a described shape of batches; None of anything else."""
    shape = plain(value)
    whole = isinstance(shape, (list, tuple)) and all(
        size is None or (type(size) is int and size > 0) for size in shape[1:]
    )
    return tuple(shape[1:]) if whole and shape else None
