"""What the battery consists of: nets with their data, and what the doctor should say of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import evengrad as eg
from evengrad import layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from data import Split

    from evengrad.health import Finding

CLASSES = "sparse_categorical_crossentropy"


@dataclass(frozen=True)
class Expected:
    """A first finding that is right: one of these kinds and causes, at one of these layers.

    ``layers`` None allows any layer, and ``None`` among them stands for the whole model.
    """

    kinds: tuple[str, ...]
    causes: tuple[str, ...]
    layers: tuple[str | None, ...] | None = None

    def allows(self, finding: Finding) -> bool:
        """Whether the finding is right."""
        return (
            finding.kind in self.kinds
            and finding.cause in self.causes
            and (self.layers is None or finding.layer in self.layers)
        )

    def __str__(self) -> str:
        where = "" if self.layers is None else f" at {'|'.join(map(str, self.layers))}"
        return f"{'|'.join(self.kinds)}{where} by {'|'.join(self.causes)}"


@dataclass
class Case:
    """A compiled model with its data, ready to be diagnosed."""

    model: eg.Model
    data: Split
    # Further arguments of `Model.diagnose`.
    options: dict[str, Any] = field(default_factory=dict)
    # Whether `diagnose` gets the rows to validate on.
    validated: bool = False

    def diagnose_options(self) -> dict[str, Any]:
        """Return all arguments of `Model.diagnose` beside the rows."""
        options = dict(self.options)
        if self.validated:
            options["validation_data"] = (self.data.validation_x, self.data.validation_y)
        return options


@dataclass(frozen=True)
class Net:
    """A net of the battery; `build` makes its case for a seed."""

    name: str
    build: Callable[[int], Case]
    # Empty for a healthy net.
    expected: tuple[Expected, ...] = ()
    # Whether an automatic remedy is there that cures.
    curable: bool = True

    @property
    def healthy(self) -> bool:
        """Whether the doctor should raise no alarm."""
        return not self.expected


NETS: dict[str, Net] = {}


def healthy(name: str) -> Callable[[Callable[[int], Case]], Callable[[int], Case]]:
    """Register a function that makes a healthy net's case."""
    return _registered(name, ())


def sick(
    name: str, *expected: Expected, curable: bool = True
) -> Callable[[Callable[[int], Case]], Callable[[int], Case]]:
    """Register a function that makes a sick net's case."""
    return _registered(name, expected, curable=curable)


def _registered(
    name: str, expected: tuple[Expected, ...], *, curable: bool = False
) -> Callable[[Callable[[int], Case]], Callable[[int], Case]]:
    def register(build: Callable[[int], Case]) -> Callable[[int], Case]:
        if name in NETS:
            raise ValueError(f"two nets are called {name!r}")
        NETS[name] = Net(name, build, expected, curable)
        return build

    return register


def chain(
    inputs: int | tuple[int, ...],
    hidden: Sequence[Any],
    outputs: Any,
    seed: int,
    dtype: str | None = None,
) -> eg.Sequential:
    """Return a chain; an int at the end is a head of so many softmax units."""
    shape = inputs if isinstance(inputs, tuple) else (inputs,)
    head = outputs
    if isinstance(outputs, int):
        head = layers.Dense(outputs, "softmax", name="outputs")
    return eg.Sequential([eg.Input(shape), *hidden, head], dtype=dtype, seed=seed)


def stack(depth: int, width: int, activation: Any, **settings: Any) -> list[layers.Dense]:
    """Return dense layers ``hidden_1``, ``hidden_2``, …; callables make a setting anew for each."""
    return [
        layers.Dense(
            width,
            activation,
            name=f"hidden_{number}",
            **{name: value() if callable(value) else value for name, value in settings.items()},
        )
        for number in range(1, depth + 1)
    ]


def names(depth: int, first: int = 1) -> tuple[str, ...]:
    """Return the names that `stack` gives, from the `first` on."""
    return tuple(f"hidden_{number}" for number in range(first, depth + 1))


def compiled(
    model: eg.Model, optimizer: Any, data: Split, loss: Any = CLASSES, **options: Any
) -> Case:
    """Compile and return the case; ``validated=True`` lets the doctor see the validation rows."""
    validated = options.pop("validated", False)
    model.compile(optimizer, loss)
    return Case(model, data, options, validated)
