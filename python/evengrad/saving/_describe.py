"""Descriptions of layers and their like as JSON, and back, from a closed set of known names.

A description holds names and numbers. Names are looked up among the public classes of this package
and in `custom_objects`; nothing is imported or evaluated because a file says so.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from evengrad import constraints, initializers, layers, losses, metrics, optimizers, regularizers
from evengrad._common.config import Configured, name_of
from evengrad._common.names import PACKAGE, did_you_mean, is_own, printable
from evengrad._common.serialized import registered
from evengrad._tensor import activations, elementwise
from evengrad.losses._functions import class_of
from evengrad.losses._loss import FunctionLoss
from evengrad.metrics._of_losses import TrainingLoss
from evengrad.optimizers import schedules
from evengrad.saving import _array_text
from evengrad.saving._array_text import KINDS, is_constant
from evengrad.saving._errors import FileFormatError, NotGivenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Family:
    """The public classes of a package below a base, under whose names a file may ask for them."""

    base: type
    names: Mapping[str, Any]

    def known(self) -> dict[str, type]:
        """Return the classes by name."""
        return {
            name: thing
            for name, thing in self.names.items()
            if isinstance(thing, type) and issubclass(thing, self.base) and thing.__name__ == name
        }


FAMILIES = {
    "layers": Family(layers.Layer, vars(layers)),
    "initializers": Family(initializers.Initializer, vars(initializers)),
    "regularizers": Family(regularizers.Regularizer, vars(regularizers)),
    "constraints": Family(constraints.Constraint, vars(constraints)),
    "losses": Family(losses.Loss, vars(losses)),
    "metrics": Family(metrics.Metric, vars(metrics)),
    "optimizers": Family(optimizers.Optimizer, vars(optimizers)),
    "groups": Family(optimizers.ParameterGroup, vars(optimizers)),
    "schedules": Family(schedules.Schedule, vars(schedules)),
}

# What may stand in the arguments of classes of this package, beside functions, by their endings and
# by the family of the class.
BY_ENDING = {
    "initializer": ("initializers",),
    "regularizer": ("regularizers",),
    "constraint": ("constraints",),
}
WITHIN = {
    "layers": ("layers", "models"),
    "metrics": ("losses",),
    "models": ("layers", "models"),
    "optimizers": ("schedules", "groups"),
    "schedules": ("schedules",),
}

# What a description that was not written here can make of the code that reads it.
DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
# Deeper nesting of lists and tables could not be read again within Python's limit of recursion.
DEPTH_LIMIT = 256


def row_functions() -> dict[str, Any]:
    """Return the losses and metrics that are functions, by name."""
    offered = {**vars(metrics), **vars(losses)}.items()
    return {name: one for name, one in offered if class_of(one, Configured) is not None}


def depth_of(description: Any) -> int:
    """Return how deeply lists and tables are nested."""
    deepest, left = 0, [(description, 1)]
    while left:
        item, depth = left.pop()
        if isinstance(item, (dict, list)):
            deepest = max(deepest, depth)
            inside = item.values() if isinstance(item, dict) else item
            left += [(one, depth + 1) for one in inside]
    return deepest


class Encoder:
    """Makes descriptions of objects; a subclass may know more families of them."""

    families: ClassVar[Mapping[str, Family]] = FAMILIES

    def __init__(self) -> None:
        # Classes and functions by the names that they have here, of others than this package.
        self.foreign: dict[str, Any] = {}

    def _note(self, thing: Any, name: str) -> None:
        if not is_own(thing):
            self.foreign[name] = thing

    def value(self, value: Any, what: str) -> Any:
        """Return a value of a constructor as JSON."""
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(
                f"{what}: cannot describe {value!r} in a file: JSON has no such number"
            )
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            return [self.value(item, what) for item in value]
        if isinstance(value, dict):
            pairs = value.items()
            return {"dict": [[self.value(name, what), self.value(x, what)] for name, x in pairs]}
        if isinstance(value, FunctionLoss):
            value = value.function
        if isinstance(value, TrainingLoss):
            value = value.loss
        if isinstance(value, Configured):
            return self.object(value, what)
        return self._constant(value, what)

    def _constant(self, value: Any, what: str) -> Any:
        """Return an array, a number of NumPy's or a function as JSON."""
        if is_constant(value):
            return _array_text.described(value, what)
        name = name_of(value) or getattr(value, "__name__", "<lambda>")
        if callable(value) and name != "<lambda>":
            self._note(value, str(name))
            plain = vars(elementwise).get(str(name)) is value
            return {"function": f"{PACKAGE}{name}" if plain else name}
        if callable(value):
            raise ValueError(  # noqa: TRY004 - a function is right, its name is missing
                f"{what}: a lambda has no name that a file could hold; write def and a name, and "
                "decorate it with evengrad.utils.register_keras_serializable(), or give it to "
                "load_model in custom_objects"
            )
        if isinstance(value, np.generic):
            return self.value(value.item(), what)
        raise ValueError(
            f"{what}: cannot describe {value!r} in a file; use numbers, strings, arrays, lists, or "
            "an object of this package or of a class with a name"
        )

    def object(self, value: Configured, what: str) -> dict[str, Any]:
        """Return the class and the arguments of a layer, a loss, …."""
        # The last ones are the most special.
        for name, family in reversed([*self.families.items()]):
            if isinstance(value, family.base):
                inside = f"{what}: {type(value).__name__}"
                config = {
                    argument: self.value(item, f"{inside}.{argument}")
                    for argument, item in self.config_of(value).items()
                }
                self._note(type(value), type(value).__name__)
                return {"family": name, "class": type(value).__name__, "config": config}
        raise ValueError(f"{what}: cannot describe {value!r} in a file")

    def config_of(self, value: Configured) -> dict[str, Any]:
        """Return the arguments of an object that its description is to have."""
        return value.get_config()


class Decoder:
    """Makes objects of descriptions; a subclass may know more families of them."""

    families: ClassVar[Mapping[str, Family]] = FAMILIES

    def __init__(self, shown: str, custom_objects: Mapping[str, Any]) -> None:
        self.shown = printable(shown)
        self.custom = custom_objects

    def damaged(self, what: str) -> FileFormatError:
        """Return an error about the description."""
        return FileFormatError(f"{self.shown}: the description is damaged: {what}")

    @contextlib.contextmanager
    def names_damage(self, what: str = "the description is damaged") -> Iterator[None]:
        """Have an error that a description of something else leads to name the file.

        What is missing from `custom_objects` is the caller's to give, and no damage.
        """
        try:
            yield
        except (FileFormatError, NotGivenError):
            raise
        except DAMAGE as error:
            # Some kinds of errors say little without their names.
            said = str(error) if isinstance(error, ValueError) else repr(error)
            own = "; or custom_objects are others than when it was saved" if self.custom else ""
            raise FileFormatError(f"{self.shown}: {what}: {said}{own}") from error

    def member(self, table: Any, key: str, kind: type) -> Any:
        """Return a member of a table, which must be there and of a kind."""
        if not isinstance(table, dict) or not isinstance(table.get(key), kind):
            raise self.damaged(f"{key!r} is missing or no {kind.__name__}")
        return table[key]

    def _is_ours(self, name: str) -> bool:
        return any(name in family.known() for family in self.families.values())

    def find(self, family: str, name: str) -> type:
        """Return a class by its name: the caller's, or one of this package."""
        if name in self.custom or (name in registered and not self._is_ours(name)):
            found = self.custom[name] if name in self.custom else registered[name]
            if family in self.families and isinstance(found, type):
                return found
            raise NotGivenError(f"custom_objects[{name!r}]: expected a class, got {found!r}")
        if family not in self.families:
            raise self.damaged(f"unknown family {family!r}")
        offered = self.families[family].known()
        others = self.families.values()
        if name not in offered and any(name in other.known() for other in others):
            raise self.damaged(
                f"{name!r} is none of the {family}; if it is your own, pass "
                f"custom_objects={{{name!r}: {printable(name)}}}"
            )
        return self._one_of(offered, f"class {name!r} in {family}", name)

    def _one_of(self, offered: Mapping[str, Thing], what: str, name: str) -> Thing:
        """Return the thing of that name."""
        if name not in offered:
            raise NotGivenError(
                f"{self.shown}: unknown {what}; if it is your own, pass "
                f"custom_objects={{{name!r}: {printable(name)}}}; {did_you_mean(name, offered)}"
            )
        return offered[name]

    def value(self, described: Any) -> Any:
        """Return the value that `Encoder.value` described."""
        if isinstance(described, list):
            return [self.value(item) for item in described]
        if not isinstance(described, dict):
            return described
        if set(described) == {"dict"}:
            return self._dict(described["dict"])
        if len(described) == 1 and described.keys() <= KINDS:
            ((kind, parts),) = described.items()
            with self.names_damage("the description is damaged: no array"):
                return _array_text.read(kind, parts)
        if set(described) == {"function"}:
            return self.function(self.member(described, "function", str))
        return self.object(described)

    def _dict(self, pairs: Any) -> dict[Any, Any]:
        whole = isinstance(pairs, list) and all(
            isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], (str, int, float))
            for pair in pairs
        )
        if not whole:
            raise self.damaged("a dict is damaged")
        return {name: self.value(item) for name, item in pairs}

    def function(self, name: str) -> Any:
        """Return a function by its name: the caller's, or one of this package."""
        if name in self.custom:
            return self.custom[name]
        if name.startswith(PACKAGE):
            # No function of a user's has a name with a dot.
            known = {one: vars(elementwise)[one] for one in elementwise.__all__}
            name = name.removeprefix(PACKAGE)
            return self._one_of(known, f"function {name!r}", name)
        offered = {**row_functions(), **activations.offered()}
        if name in registered and name not in offered:
            return registered[name]
        return self._one_of(offered, f"function {name!r}", name)

    def object(self, described: Any) -> Any:
        """Return the object that `Encoder.object` described."""
        kind = self.find(
            self.member(described, "family", str), self.member(described, "class", str)
        )
        config = self.config_of(described)
        if kind.__name__ not in self.custom and is_own(kind):
            for name, value in config.items():
                ending = name.rpartition("_")[2]
                families = BY_ENDING.get(ending, WITHIN.get(described["family"], ()))
                self.check_place(value, families, f"{kind.__name__}.{name}")
        with self.names_damage(f"{kind.__name__} cannot be made as described"):
            made: Any = kind
            return made.from_config(config)

    def config_of(self, described: Any) -> dict[str, Any]:
        """Return the arguments of an object by their names."""
        config = self.member(described, "config", dict)
        return {name: self.value(item) for name, item in config.items()}

    def check_place(self, value: Any, families: Iterable[str], place: str) -> None:
        """Raise an error for an object that is of none of the families that belong in a place."""
        if isinstance(value, (list, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                self.check_place(item, families, place)
        elif isinstance(value, Configured):
            bases = tuple(self.families[name].base for name in families if name in self.families)
            if not isinstance(value, bases):
                raise self.damaged(f"{place}: {type(value).__name__} has no place there")
