"""Layers of ours out of Keras' configurations."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evengrad import layers
from evengrad._common.names import did_you_mean, printable
from evengrad.layers._random_images import PLAIN, RandomImages
from evengrad.layers._restoring import NotInFileError
from evengrad.models._keras._activations import read_activation
from evengrad.models._keras._objects import read
from evengrad.models._keras._rows import ROWS, Row
from evengrad.saving._errors import FileFormatError
from evengrad.saving._keras._described import NoCounterpartError, plain
from evengrad.saving._keras._parts import part_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evengrad.layers import Layer
    from evengrad.saving._keras._parts import Part

# What every layer has.
COMMON = {"name", "trainable", "dtype", "batch_input_shape", "batch_shape", "autocast"}
# Values that switch nothing on.
NOTHING = (None, False, 0, "channels_last")
# Layers whose work on every step of a sequence is their work on its last dimension.
STEPWISE = {"Dense", "LayerNormalization", "Activation", "Rescaling"}
# Layers whose dimension Keras counts from the left once they are built.
NORMALIZATIONS = ("BatchNormalization", "LayerNormalization")
NEAREST = {
    "Bidirectional": "draw a graph with two recurrent layers, one of them with go_backwards=True",
    "Lambda": "its code stands in the file and is not run; write a Layer",
    "MixUp": "it takes tables of images and labels; put layers.MixUp first, which mixes in `fit`",
}
# Keras' policies by the dtype that they compute in here: its narrow types are exact in float32.
POLICIES = {
    "float64": "float64",
    **dict.fromkeys(
        ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"), "float32"
    ),
}


@dataclass
class Reader:
    """Makes layers of the configurations in one file.

    Attributes
    ----------
    shown
        What messages call the file.
    keras_version
        The first number of the version of Keras that wrote it.
    notes
        What could not be taken and changes no output.
    own
        The caller's classes and functions by names.
    """

    shown: str
    keras_version: int = 3
    notes: list[str] = field(default_factory=list)
    own: Mapping[str, Any] = field(default_factory=dict)

    def refused(self, name: str, reason: str) -> FileFormatError:
        """Return the error about a layer that has no counterpart."""
        return FileFormatError(f"{self.shown}: layer {name!r}: {reason}")

    @contextlib.contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Have an error that a configuration leads to name the file and the layer."""
        try:
            yield
        except (FileFormatError, NotInFileError):
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise self.refused(name, str(error)) from error

    def layer(self, part: Part) -> Layer:
        """Return the layer of a part."""
        name, kind, config = part.name, part.kind, part.config
        if kind in self.own:
            return self._own_layer(part)
        if kind == "TimeDistributed" and isinstance(config.get("layer"), dict):
            return self._stepwise(name, config)
        row = ROWS.get(kind)
        if row is None:
            raise self.refused(name, self._unknown(kind))
        arguments = self._arguments(name, kind, row, config, _built_for(part.described))
        try:
            made = row.kind(**arguments, name=name, dtype=self.dtype(name, config.get("dtype")))
        except (TypeError, ValueError) as error:
            raise self.refused(name, f"{kind}: {error}") from error
        self._note_plain_images(made, part)
        return self._settled(made, config)

    def _note_plain_images(self, layer: Layer, part: Part) -> None:
        """Note that Keras takes rows without channels for one image, whose rows are no images."""
        shape = _built_for(part.described)
        if isinstance(layer, RandomImages) and shape is not None and len(shape) == PLAIN:
            self.notes.append(
                f"{part.name}: Keras takes the rows of shape {tuple(shape)} for one image in "
                "training; here each is an image without channels"
            )

    def _own_layer(self, part: Part) -> Layer:
        """Return a layer of a class of the caller's, which takes the arguments in the file."""
        kind, config = self.own[part.kind], part.config
        if not isinstance(kind, type) or not issubclass(kind, layers.Layer):
            raise TypeError(f"custom_objects[{part.kind!r}]: expected a Layer class, got {kind!r}")
        arguments = {key: value for key, value in config.items() if key not in COMMON}
        with self.named(part.name):
            dtype = self.dtype(part.name, config.get("dtype"))
            return self._settled(kind(**arguments, name=part.name, dtype=dtype), config)

    @staticmethod
    def _settled(layer: Layer, config: dict[str, Any]) -> Layer:
        if config.get("trainable") is False:
            layer.trainable = False
        return layer

    def _stepwise(self, name: str, config: dict[str, Any]) -> Layer:
        inside = part_of(self.shown, config["layer"], self.own)
        if inside.kind not in STEPWISE:
            raise self.refused(name, f"TimeDistributed({inside.kind}) has no counterpart here")
        return self._settled(self.layer(replace(inside, name=name)), config)

    def _unknown(self, kind: str) -> str:
        nearest = NEAREST.get(kind)
        return (
            f"Keras' {kind} has no counterpart here; {nearest or did_you_mean(kind, ROWS)}; if it "
            f"is your own, pass custom_objects={{{kind!r}: {printable(kind)}}}"
        )

    def dtype(self, name: str, policy: Any) -> str | None:
        """Return the dtype of a policy."""
        if policy is None:
            return None
        if isinstance(policy, dict):
            kind = policy.get("class_name")
            inside = policy.get("config")
            policy = inside.get("name") if isinstance(inside, dict) else None
            if "Quant" in str(kind):
                policy = f"{kind} {policy}"
        if policy not in POLICIES:
            raise self.refused(
                name,
                f"dtype policy {policy!r}: quantised weights are not read; save the model in Keras "
                "before it is quantised",
            )
        return POLICIES[policy]

    def _arguments(
        self, name: str, kind: str, row: Row, config: dict[str, Any], shape: Any
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in config.items():
            if key in COMMON or key in row.silent:
                continue
            if key in row.activations:
                found[key] = self._activation(name, row, value)
            elif key in row.objects:
                self._take_object(name, key, value, found)
            elif key == "axis" and kind in NORMALIZATIONS:
                self._take_axis(value, shape, found)
            elif key in row.arguments:
                found[key] = value
            else:
                self._other(name, kind, key, value, found)
        if kind == "LeakyReLU":
            # Keras' default; its first versions leave it out.
            found.setdefault("negative_slope", 0.3)
        if found.get("data_format", "") is None:
            # Keras' word for its default.
            del found["data_format"]
        if kind in NORMALIZATIONS:
            found.setdefault("epsilon", 1e-3)
        return found

    def _activation(self, name: str, row: Row, value: Any) -> Any:
        as_layer = "recurrent_initializer" not in row.objects
        try:
            found = read_activation(value, self.keras_version, as_layer=as_layer, own=self.own)
        except NoCounterpartError as error:
            raise self.refused(name, str(error)) from error
        return "linear" if found is None else found

    def _take_object(self, name: str, key: str, value: Any, found: dict[str, Any]) -> None:
        """Take an initializer, a regularizer or a constraint; note one that has no counterpart."""
        family = f"{key.rpartition('_')[2]}s"
        try:
            made = read(value, family, self.own)
        except (NoCounterpartError, TypeError, ValueError) as error:
            self.notes.append(f"{name}: {key}: {error}")
            return
        if made is not None:
            found[key] = made

    def _other(self, name: str, kind: str, key: str, value: Any, found: dict[str, Any]) -> None:
        """Take what Keras calls otherwise; refuse what would change the outputs."""
        if key == "alpha" and kind == "LeakyReLU":
            found["negative_slope"] = value
        elif key.endswith(("_regularizer", "_constraint")):
            if value is not None:
                self.notes.append(f"{name}: {key} has no counterpart here")
        elif value not in NOTHING and value != []:
            raise self.refused(name, f"Keras' {kind} with {key}={value!r} has no counterpart here")

    @staticmethod
    def _take_axis(axis: Any, shape: Any, found: dict[str, Any]) -> None:
        """Take the dimensions that are normalized, unless that is the last one."""
        axes = axis if isinstance(axis, list) else [axis]
        last = {-1} | ({len(shape) - 1} if isinstance(shape, (list, tuple)) else set())
        if len(axes) != 1 or axes[0] not in last:
            found["axis"] = axes[0] if len(axes) == 1 else axes


def _built_for(described: dict[str, Any]) -> Any:
    build = described.get("build_config")
    shape = plain(build.get("input_shape")) if isinstance(build, dict) else None
    return (
        shape if isinstance(shape, list) and not any(isinstance(x, list) for x in shape) else None
    )


def operator(kind: str, arguments: list[Any]) -> tuple[Layer, list[Any]] | None:
    """Return the layer that stands for an operator between tensors and numbers, and its inputs.

    None where there is none. Tensors are whatever is no number.
    """
    if not 0 < len(arguments) < 3:
        return None
    numbers = [x for x in arguments if isinstance(x, (int, float)) and not isinstance(x, bool)]
    tensors = [x for x in arguments if not isinstance(x, (int, float))]
    if not numbers and len(arguments) == 2:
        merge = {"Add": layers.Add, "Subtract": layers.Subtract, "Multiply": layers.Multiply}
        return (merge[kind](), [tensors]) if kind in merge else None
    if not numbers:
        return (layers.Rescaling(-1.0), tensors) if kind == "Negative" else None
    if len(tensors) != 1:
        return None
    number, first = float(numbers[0]), arguments[0] is tensors[0]
    scales = {
        "Add": (1.0, number),
        "Multiply": (number, 0.0),
        "Subtract": (1.0, -number) if first else (-1.0, number),
    }
    if kind in ("TrueDivide", "Divide") and first and number:
        scales[kind] = (1.0 / number, 0.0)
    return (layers.Rescaling(*scales[kind]), tensors) if kind in scales else None
