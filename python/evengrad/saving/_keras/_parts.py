"""A model in Keras' configuration, taken apart: layers, and where their arrays are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evengrad.saving._errors import FileFormatError
from evengrad.saving._keras._described import NoCounterpartError, class_and_config
from evengrad.saving._keras._names import numbered
from evengrad.saving._keras._variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from evengrad.saving._keras._variables import Variables

# Keras' names of models that are graphs.
GRAPHS = ("Functional", "Model")
# Deeper nesting is no model's; Python's limit of recursion is far beyond.
DEPTH_LIMIT = 64


@dataclass
class Part:
    """A layer or a model of a configuration.

    Attributes
    ----------
    name
        Its name, there and here.
    kind
        Keras' class.
    config, described
        Its arguments, and all that stands around them.
    group
        The path of its group among the arrays; ``""`` of what has none.
    inside
        Of a model, its parts.
    """

    name: str
    kind: str
    config: dict[str, Any]
    described: dict[str, Any]
    group: str = ""
    inside: list[Part] = field(default_factory=list)

    @property
    def is_model(self) -> bool:
        """Whether it is a model."""
        return self.kind == "Sequential" or self.kind in GRAPHS

    @property
    def is_layer(self) -> bool:
        """Whether it is a layer, and no model or what stands for an input or an operator."""
        return not (self.is_model or self.is_operator or self.kind == "InputLayer")

    @property
    def is_operator(self) -> bool:
        """Whether it stands for an operator between tensors, not for a layer."""
        module = str(self.described.get("module"))
        return module.startswith(("keras.src.ops", "keras.ops"))

    @property
    def variables(self) -> Variables:
        """Of a layer, its variables."""
        return variables_of(self.kind, self.config)

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Part]]:
        """Yield the layers with their paths by names, in Keras' order."""
        for part in self.inside:
            path = f"{prefix}{part.name}"
            if part.is_model:
                yield from part.walk(f"{path}/")
            elif part.is_layer:
                yield path, part


def part_of(shown: str, described: Any, own: Container[str] = (), depth: int = 0) -> Part:
    """Return a described model or layer, with all inside it; `own` classes are the caller's."""
    try:
        kind, config = class_and_config(described, own)
    except NoCounterpartError as error:
        raise FileFormatError(f"{shown}: config.json: {error}") from error
    around = described if isinstance(described, dict) else {}
    name = str(config.get("name") or around.get("name") or kind.lower())
    part = Part(name, kind, config, around)
    if depth > DEPTH_LIMIT:
        raise FileFormatError(f"{shown}: layer {name!r}: models are nested too deeply")
    if part.is_model:
        layers = config.get("layers")
        if not isinstance(layers, list):
            raise FileFormatError(f"{shown}: layer {name!r}: it has no list of layers")
        part.inside = [part_of(shown, one, own, depth + 1) for one in layers]
        _number(part)
    return part


def _number(model: Part) -> None:
    """Give the parts of a model the paths of their groups, below that of the model."""
    counted = [
        part
        for part in model.inside
        if not part.is_operator and (part.kind != "InputLayer" or model.kind in GRAPHS)
    ]
    for part, group in zip(counted, numbered(part.kind for part in counted), strict=True):
        _place(part, f"layers/{group}")


def _place(part: Part, group: str) -> None:
    part.group = group
    for one in part.inside:
        if one.group:
            _place(one, f"{group}/{one.group}")
