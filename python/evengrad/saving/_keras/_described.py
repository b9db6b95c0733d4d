"""What Keras' configurations describe: classes with arguments, without the wraps around values."""

from __future__ import annotations

from typing import Any


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


def class_and_config(described: Any) -> tuple[str, dict[str, Any]]:
    """Return the name of the class and the arguments of a described object or function."""
    described = plain(described)
    if isinstance(described, str):
        return described, {}
    if not isinstance(described, dict):
        raise NoCounterpartError(f"{described!r} describes no object")
    name, config = described.get("class_name"), described.get("config")
    if name == "function" and isinstance(config, str):
        return config, {}
    if not isinstance(name, str) or not isinstance(config, (dict, type(None))):
        raise NoCounterpartError(f"{described!r} describes no object")
    if ">" in str(described.get("registered_name") or name):
        raise NoCounterpartError(f"{name} is a class of its writer's own")
    return name, {key: plain(item) for key, item in (config or {}).items()}


def row_shape(value: Any) -> tuple[int | None, ...] | None:
    """Return the shape of one row of a described shape of batches; None of anything else."""
    shape = plain(value)
    whole = isinstance(shape, (list, tuple)) and all(
        size is None or (type(size) is int and size > 0) for size in shape[1:]
    )
    return tuple(shape[1:]) if whole and shape else None
