"""Settings in checkpoints: attributes that callbacks change, described and put back."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, ClassVar

from evengrad._common.config import Configured, arguments_as_they_are, settings_of
from evengrad._common.names import is_own
from evengrad._core import Generator, Tensor
from evengrad.layers._containers import CONTAINERS, attributes_of, items_of
from evengrad.layers._module import Module
from evengrad.layers._symbolic import Symbolic
from evengrad.layers._untracked import OWN
from evengrad.optimizers._optimizer import schedules_of
from evengrad.saving._describe import DAMAGE, FAMILIES, Decoder, Encoder, Family
from evengrad.training._fingerprint import of_config, of_model, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evengrad.training._protocol import TrainableModel

# Told apart by themselves, or no settings: places in a model, and what trains.
APART = {"name", "dtype", "seed", "trainable"}
# Where a value is one that no file can hold, and how it is shown.
UNKEPT = "unkept"
# Stands where an attribute is not there.
ABSENT = object()


class SettingsEncoder(Encoder):
    """Makes descriptions of settings; those that cannot be described are shown as text."""

    families: ClassVar[Mapping[str, Family]] = {
        name: family for name, family in FAMILIES.items() if name != "layers"
    }

    def setting(self, value: Any) -> Any:
        """Return a setting as JSON."""
        try:
            return self.value(value, "")
        except (TypeError, ValueError):
            return {UNKEPT: shown(value)}

    def value(self, value: Any, what: str) -> Any:
        """Return a value as JSON; all numbers can be told, and tuples from lists."""
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": repr(float(value))}
        if isinstance(value, tuple):
            return {"tuple": [self.value(item, what) for item in value]}
        return super().value(value, what)


class SettingsDecoder(Decoder):
    """Makes settings of their descriptions."""

    families = SettingsEncoder.families

    def value(self, described: Any) -> Any:
        """Return the value that `SettingsEncoder.value` described."""
        kind = next(iter(described)) if isinstance(described, dict) and len(described) == 1 else ""
        if kind == UNKEPT:
            raise ValueError("no file can hold it")
        if kind == "float":
            return float(described[kind])
        if kind == "tuple":
            return tuple(self.value(item) for item in described[kind])
        return super().value(described)


def holds_state(value: Any) -> bool:
    """Tell whether a value is, or holds, layers, tensors or generators: kept by themselves."""
    if isinstance(value, CONTAINERS):
        return any(map(holds_state, items_of(value)))
    return isinstance(value, (Module, Tensor, Generator, Symbolic))


def settings_in(thing: Configured) -> Iterator[tuple[str, Any]]:
    """Yield the arguments that a thing keeps as attributes; of users' layers, all attributes."""
    attributes = attributes_of(thing)
    arguments = arguments_as_they_are(thing)
    names = dict.fromkeys(name for name in arguments if name in attributes)
    if isinstance(thing, Module) and not is_own(type(thing)):
        passed_over = OWN | thing._unwatched  # noqa: SLF001 - no public name, as users derive from it
        names.update(dict.fromkeys(name for name in attributes if name not in passed_over))
    for name in names:
        if name not in APART and not holds_state(attributes[name]):
            yield name, attributes[name]


class Settings:
    """What a training computes by beside its state: that of layers, losses, metrics, optimizer."""

    def __init__(self, model: TrainableModel) -> None:
        self.model = model
        self.optimizer = model.config().optimizer
        # What was described last, and what it was read from: where nothing has changed, it holds.
        self._read: list[Any] = []
        self._known: tuple[dict[str, dict[str, Any]], dict[str, str]] = {}, {}

    def _things(self) -> dict[str, Configured]:
        """Return what has settings: layers by their prefixes, losses and metrics by numbers."""
        objective = self.model.config().bound
        things: dict[str, Configured] = dict(self.model.tree.layers)
        for number, one in enumerate([] if objective is None else objective.reads):
            if isinstance(one, Configured):
                things[f"{type(one).__name__} ({number})"] = one
        return things

    def describe(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Return all settings as JSON, and a fingerprint of the model and what it is trained by."""
        tree, objective = self.model.tree, self.model.config().bound
        setting = SettingsEncoder().setting
        read = [tree, *settings_of([*tree.reads, *([] if objective is None else objective.reads)])]
        same = len(read) == len(self._read) and all(map(operator.is_, read, self._read))
        if not same or tree.has_code_of_users:
            described = {
                place: {name: setting(value) for name, value in settings_in(thing)}
                for place, thing in self._things().items()
            }
            self._known, self._read = (described, of_model(self.model)), read
        schedules = schedules_of(self.optimizer).items()
        of_optimizer = {name: setting(value) for name, value in schedules}
        described, fingerprint = self._known
        fingerprint = {**fingerprint, **of_config(self.model.config())}
        return {**described, "optimizer": of_optimizer}, fingerprint

    def take_over(self, described: dict[str, dict[str, Any]]) -> list[str]:
        """Set what `describe` returned where it differs; return what could not be set."""
        encoder, things = SettingsEncoder(), self._things()
        for thing in things.values():
            for _, value in settings_in(thing):
                encoder.setting(value)
        # Functions and classes of the user's that the training has here.
        decoder = SettingsDecoder("the checkpoint", encoder.foreign)
        left: list[str] = []
        for place, kept in described.items():
            owner: Any = self.optimizer if place == "optimizer" else things.get(place)
            for name, wanted in kept.items():
                if not put(owner, name, wanted, decoder):
                    left.append(f"{place.rstrip('/') or self.model.path}.{name}")
        return left


def put(thing: Any, name: str, wanted: Any, decoder: Decoder) -> bool:
    """Set an attribute to what is described, where it differs; return whether it now is that.

    What callbacks may have a hold of, such as a regularizer, stays the object that it is where its
    own attributes can be set.
    """
    setting = SettingsEncoder().setting
    value = getattr(thing, name, ABSENT)
    now = setting(value)
    if now == wanted:
        return True
    alike = isinstance(value, Configured) and isinstance(wanted, dict) and isinstance(now, dict)
    if alike and "class" in wanted and wanted["class"] == now.get("class"):
        for argument, item in wanted["config"].items():
            put(value, argument, item, decoder)
        if setting(value) == wanted:
            return True
    try:
        setattr(thing, name, decoder.value(wanted))
    except (*DAMAGE, OSError):
        return False
    return bool(setting(getattr(thing, name)) == wanted)
