"""Layers that change images at random, with the arguments that mean the same in Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad import layers
from evengrad.models._keras._written import Written

if TYPE_CHECKING:
    from evengrad.layers import Layer

# Ranges around zero, whose ends may come in any order.
AROUND_ZERO = ("height_factor", "width_factor", "factor")
# Their releases differ in whether they know the argument: it is written where it says something.
SELDOM_FORMAT = (layers.RandomFlip, layers.RandomContrast, layers.RandomErasing)
# What Keras fills boxes with is one number, or this many.
FILLED_CHANNELS = 3
IMAGE_DIMENSIONS = 4
DEFAULT_RANGE = [0.0, 255.0]


def settle_arguments(layer: Layer, config: dict[str, Any]) -> str | None:
    """Change the arguments of such a layer to those with the same meaning in Keras.

    Returns what Keras does otherwise in training, or None.
    """
    _settle_format(layer, config)
    given: Any = layer
    if isinstance(layer, layers.RandomContrast):
        return _settle_contrast(given.factor, config)
    if isinstance(layer, layers.RandomErasing):
        return _settle_erasing(given, config)
    for name in AROUND_ZERO:
        if name in config:
            config[name] = _around_zero(config[name])
    return None


def _settle_format(layer: Layer, config: dict[str, Any]) -> None:
    last = config.get("data_format") == "channels_last"
    # All channels become brighter by the same number.
    if isinstance(layer, layers.RandomBrightness) or (isinstance(layer, SELDOM_FORMAT) and last):
        config.pop("data_format", None)


def _around_zero(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(value)
    return value if value is None else abs(value)


def _settle_contrast(factor: Any, config: dict[str, Any]) -> str | None:
    """Write both ends: of one number, Keras makes [1, 1 + factor]."""
    lower, upper = factor if isinstance(factor, tuple) else (factor, factor)
    config["factor"] = [lower, upper]
    if config["value_range"] == DEFAULT_RANGE:
        # Older releases have not the argument, and do what it says.
        del config["value_range"]
    if lower <= upper:
        return None
    return f"factor: Keras sorts ({lower:g}, {upper:g}), so that images get more contrast there"


def _settle_erasing(layer: layers.RandomErasing, config: dict[str, Any]) -> str | None:
    """Write both ends: of one number, Keras draws a probability up to it."""
    factor, filled = layer.factor, layer.fill_value
    config["factor"] = sorted(factor) if isinstance(factor, tuple) else [factor, factor]
    if isinstance(config["scale"], list):
        config["scale"] = sorted(config["scale"])
    if isinstance(filled, list) and len(filled) == 1:
        config["fill_value"] = filled[0]
    elif isinstance(filled, list) and len(filled) != FILLED_CHANNELS:
        return f"fill_value: Keras takes one number or {FILLED_CHANNELS}, and fails in training"
    return None


def with_channel(step: Written, shape: tuple[int | None, ...]) -> list[Written] | None:
    """Return the layer between two that give images a channel axis where they have none.

    Keras would take rows (n, height, width) for one image. None where the sizes are not known.
    """
    if len(shape) == IMAGE_DIMENSIONS:
        return [step]
    sizes = list(shape[1:])
    if None in sizes:
        return None
    if step.kind in {kind.__name__ for kind in SELDOM_FORMAT}:
        step.config.pop("data_format", None)
    elif "data_format" in step.config:
        step.config["data_format"] = "channels_last"
    dtype = {"dtype": step.config["dtype"]}
    return [
        Written("Reshape", f"{step.name}_channel", {**dtype, "target_shape": [*sizes, 1]}),
        step,
        Written("Reshape", f"{step.name}_plain", {**dtype, "target_shape": sizes}),
    ]
