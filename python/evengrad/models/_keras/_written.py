"""What is written of a model into Keras' files: layers, their calls, and their variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from evengrad.models._keras._order import depths_and_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

LAYERS = "keras.layers"


class Variable(NamedTuple):
    """A variable of a layer: what it holds, and ours that it stands for, if there is one."""

    values: Array
    path: str | None = None
    tensor: Tensor | None = None


@dataclass(eq=False)
class Written:
    """A layer of Keras', or a model as a layer.

    Attributes
    ----------
    kind, name, config
        The class, the name, and the arguments without the name.
    variables
        In Keras' order.
    place
        Where they stand below the group of the layer.
    model
        Of a model, what is inside.
    """

    kind: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    place: str = ""
    model: WrittenModel | None = None


class Ref(NamedTuple):
    """A tensor: the call that makes it, and its place among what that makes."""

    call: Call
    place: int = 0


@dataclass(eq=False)
class Call:
    """One use of a layer: what it takes, in the arguments that Keras' layers have."""

    layer: Written
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    # The number of this use among those of the layer.
    number: int = 0

    @property
    def taken(self) -> list[Ref]:
        """The tensors that it takes, in order."""
        return list(_refs([self.args, self.kwargs]))


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _refs(item)


@dataclass(eq=False)
class WrittenModel:
    """A model of Keras': a chain, whose `calls` are empty, or a graph.

    Attributes
    ----------
    kind
        ``"Sequential"`` or ``"Functional"``.
    layers
        In the order in which Keras will have them when it reads the file, inputs included.
    """

    kind: str
    layers: list[Written]
    calls: list[Call] = field(default_factory=list)
    inputs: list[Ref] = field(default_factory=list)
    outputs: list[Ref] = field(default_factory=list)

    def counted(self) -> list[Written]:
        """Return the layers that have groups in a file."""
        if self.kind == "Functional":
            return self.layers
        return [layer for layer in self.layers if layer.kind != "InputLayer"]

    def variables(self) -> Iterator[Variable]:
        """Yield the variables of all layers in Keras' order."""
        for layer in self.layers:
            yield from layer.variables
            if layer.model is not None:
                yield from layer.model.variables()


def graph_model(calls: list[Call], inputs: list[Ref], outputs: list[Ref]) -> WrittenModel:
    """Return the graph of calls, each after those that it takes from; layers get Keras' order."""
    uses: dict[int, int] = {}
    for call in calls:
        call.number = uses.get(id(call.layer), 0)
        uses[id(call.layer)] = call.number + 1
    layers = depths_and_order(inputs, outputs)
    return WrittenModel("Functional", layers, calls, inputs, outputs)
