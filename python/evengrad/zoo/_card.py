"""What is told of a net: data, figures, licence, how it was made, and its checksum."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.names import did_you_mean, printable
from evengrad.saving._errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

# The name under which the metadata of a file have the card.
KEY = "evengrad_card"
# What whoever saves a net may say of it.
TOLD = ("summary", "data", "figures", "licence", "command", "seed")


@dataclass(frozen=True)
class Card:
    """What is told of a net in the zoo; prints as a few lines.

    Attributes
    ----------
    name
        What `zoo.load` takes.
    summary
        What the net does, in a sentence.
    data
        What it was trained on, and whose that is.
    figures
        What it reaches, by the figures' names.
    licence
        What may be done with it.
    command
        How it was made.
    seed
        The seed that it follows from; None where it was drawn.
    version
        The release of evengrad that wrote it.
    isa
        The instruction set that it was saved on: with the same command, the same versions and the
        same instruction set, training comes to the same bits.
    parameters
        Values in all variables.
    input_shape, output_shape
        Of one row.
    checksum
        SHA-256 of architecture and values.
    path
        The file.
    fault
        Why the file cannot be loaded, where its header tells.

    Examples
    --------
    >>> card = eg.zoo.list()["digits"]
    >>> card.input_shape, card.output_shape, card.figures["test accuracy"] > 0.97
    ((64,), (10,), True)
    """

    name: str
    summary: str = ""
    data: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    licence: str = ""
    command: str = ""
    seed: int | None = None
    version: str = ""
    isa: str = ""
    parameters: int = 0
    input_shape: Any = ()
    output_shape: Any = ()
    checksum: str = ""
    path: str = ""
    fault: str | None = None

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
        shapes = f"{self.parameters:,} parameters, {self.input_shape} to {self.output_shape}"
        made = ", ".join(
            part
            for part in (
                self.command,
                f"seed {self.seed}" if self.seed is not None else "",
                f"evengrad {self.version} on {self.isa}" if self.version else "",
            )
            if part
        )
        lines = {
            "": self.fault or self.summary,
            "data": self.data,
            "figures": figures,
            "size": "" if self.fault else shapes,
            "made by": made,
            "licence": self.licence,
            "checksum": self.checksum,
            "file": self.path,
        }
        told = [f"  {label:<8}  {text}".rstrip() for label, text in lines.items() if text]
        return "\n".join(map(printable, [self.name, *told]))


def told_of(card: Card | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a user says of a net, checked."""
    if card is None:
        return {}
    if isinstance(card, Card):
        return {name: getattr(card, name) for name in TOLD}
    if not hasattr(card, "items"):
        raise TypeError(f"card: expected a dict or a zoo.Card, got {card!r}")
    for name, value in card.items():
        if name not in TOLD:
            raise ValueError(f"card: unknown {name!r}; {did_you_mean(str(name), TOLD)}")
        _check(name, value)
    return {**card, "figures": {k: float(v) for k, v in card.get("figures", {}).items()}}


def _check(name: str, value: Any) -> None:
    """Raise an error where something of a card is of another kind."""
    if name == "seed":
        right, wanted = value is None or (type(value) is int and value >= 0), "a seed or None"
    elif name == "figures":
        right = hasattr(value, "items") and all(
            isinstance(key, str) and isinstance(one, (int, float)) and math.isfinite(one)
            for key, one in value.items()
        )
        wanted = "a dict of finite numbers by name"
    else:
        right, wanted = isinstance(value, str), "a string"
    if not right:
        raise TypeError(f"card: {name}: expected {wanted}, got {value!r}")


def checksum_of(text: str, tensors: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """Return the checksum of a description and arrays: of what a net is, wherever it lies."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        head = json.dumps([name, array.dtype.newbyteorder("<").str, list(array.shape)])
        digest.update(f"{head}\n".encode())
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(little.reshape(-1).view(np.uint8).data)
    digest.update(text.encode())
    return f"sha256:{digest.hexdigest()}"


def written(card: Card) -> str:
    """Return a card as text for a file; where it lies is not told."""
    kept = {name: value for name, value in asdict(card).items() if name not in ("path", "fault")}
    return json.dumps(kept, separators=(",", ":"), allow_nan=False)


def card_in(path: str, metadata: Mapping[str, str]) -> Card:
    """Return the card of a file."""
    if KEY not in metadata:
        raise FileFormatError(f"{path}: has no card, as files of zoo.save have; use eg.load_model")
    try:
        kept = json.loads(metadata[KEY])
        known = {one.name for one in fields(Card)} - {"path", "fault"}
        values = {name: _tuples(value) for name, value in kept.items() if name in known}
        told_of({name: values[name] for name in TOLD if name in values})
        return Card(**values, path=path)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(f"{path}: its card is damaged: {error}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
