"""Models of ours out of the parts of a configuration of Keras'."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from evengrad.layers._symbolic import Input, Symbolic
from evengrad.models._architecture import ROW_LIMIT
from evengrad.models._keras._reading_layers import operator
from evengrad.models._network import make_chain, make_graph
from evengrad.saving._keras._described import plain, row_shape
from evengrad.saving._keras._parts import GRAPHS

if TYPE_CHECKING:
    from evengrad.layers import Layer
    from evengrad.models._keras._reading_layers import Reader
    from evengrad.models._model import Model
    from evengrad.saving._keras._parts import Part

TENSOR = "__keras_tensor__"


class NotYetError(Exception):
    """A tensor has not been made yet."""


class Drawing:
    """Makes the models of one file; while values are restored, with those values."""

    def __init__(self, reader: Reader, row_limit: int = ROW_LIMIT) -> None:
        self.reader = reader
        self.row_limit = row_limit

    def model(self, part: Part) -> Model:
        """Return the model of a part."""
        model = self._chain(part) if part.kind == "Sequential" else _Graph(self, part).model()
        if part.config.get("trainable") is False:
            model.trainable = False
        return model

    def layer(self, part: Part) -> Layer:
        """Return the layer of a part, which may be a model."""
        return self.model(part) if part.is_model else self.reader.layer(part)

    def input(self, part: Part) -> Symbolic:
        """Return the symbolic tensor of an InputLayer."""
        config = part.config
        shape = row_shape(config.get("batch_shape", config.get("batch_input_shape")))
        if shape is None:
            raise self.reader.refused(part.name, "it has no shape of known dimensions")
        if config.get("sparse") or config.get("ragged"):
            raise self.reader.refused(part.name, "sparse and ragged inputs have no counterpart")
        kind = config.get("dtype")
        return self._symbol(part.name, shape, "float64" if kind == "float64" else "float32")

    def _symbol(self, name: str, shape: tuple[int | None, ...], dtype: str) -> Symbolic:
        # Shapes of outputs may be found by running on a row.
        if math.prod(size for size in shape if size is not None) > self.row_limit:
            raise self.reader.refused(name, f"a row of shape {shape} is absurdly large")
        return Input(shape, dtype, name)

    def _chain(self, part: Part) -> Model:
        inputs = [one for one in part.inside if one.kind == "InputLayer"]
        layers = [self.layer(one) for one in part.inside if one.kind != "InputLayer"]
        first = [self.input(one) for one in inputs[:1]]
        if not first:
            shape = row_shape(part.config.get("build_input_shape"))
            dtypes = [layer.dtype for layer in layers[:1]]
            if shape is not None and layers:
                first = [self._symbol(f"{part.name}_input", shape, dtypes[0])]
        with self.reader.named(part.name):
            return make_chain([*first, *layers], name=part.name)


class _Graph:
    """One graph: its layers are called as the configuration says, as soon as tensors are there."""

    def __init__(self, drawing: Drawing, part: Part) -> None:
        self.drawing = drawing
        self.reader = drawing.reader
        self.part = part
        self.parts = {one.name: one for one in part.inside}
        if len(self.parts) < len(part.inside):
            raise self.reader.refused(part.name, "two layers have one name")
        # What each call of each part made, in order.
        self.made: dict[str, list[list[Symbolic]]] = {name: [] for name in self.parts}
        self.layers: dict[str, Layer] = {}

    def model(self) -> Model:
        waiting: dict[str, list[Any]] = {}
        for one in self.part.inside:
            if one.kind == "InputLayer":
                self.made[one.name].append([self.drawing.input(one)])
            else:
                if not one.is_operator:
                    self.layers[one.name] = self.drawing.layer(one)
                nodes = one.described.get("inbound_nodes")
                if not isinstance(nodes, list) or not nodes:
                    raise self.reader.refused(one.name, "nothing leads to it")
                waiting[one.name] = list(nodes)
        while waiting:
            before = sum(map(len, waiting.values()))
            for name in [*waiting]:
                self._call_what_is_ready(name, waiting[name])
                if not waiting[name]:
                    del waiting[name]
            if sum(map(len, waiting.values())) == before:
                raise self.reader.refused(min(waiting), "its inputs are made by no layer before it")
        config = self.part.config
        inputs = self._ends(config.get("input_layers"), "input_layers")
        outputs = self._ends(config.get("output_layers"), "output_layers")
        with self.reader.named(self.part.name):
            return make_graph(inputs, outputs, name=self.part.name)

    def _call_what_is_ready(self, name: str, nodes: list[Any]) -> None:
        while nodes:
            try:
                args, kwargs = self._arguments(name, nodes[0])
            except NotYetError:
                return
            nodes.pop(0)
            with self.reader.named(name):
                made = self._called(name, args, kwargs)
            several = isinstance(made, (list, tuple))
            self.made[name].append(list(made) if several else [made])

    def _called(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if self.parts[name].is_operator:
            stands = operator(self.parts[name].kind, [*args, *kwargs.values()])
            if stands is None:
                raise self.reader.refused(
                    name,
                    f"the operation {self.parts[name].kind} has no counterpart here; +, - and * "
                    "with numbers and other tensors have",
                )
            layer, inputs = stands
            return layer(inputs[0])
        given = {key: value for key, value in kwargs.items() if value is not None}
        if given.get("training") not in (None, True, False) or "mask" in given:
            raise self.reader.refused(name, "masks have no counterpart here")
        first = args[0] if len(args) == 1 else args
        return self.layers[name](first, **given)

    def _arguments(self, name: str, node: Any) -> tuple[Any, Any]:
        """Return what a layer is called with."""
        if isinstance(node, dict):
            args: Any = self._value(node.get("args"))
            kwargs: Any = self._value(node.get("kwargs"))
            if isinstance(args, list) and args and isinstance(kwargs, dict):
                return args, kwargs
        elif isinstance(node, list) and node:
            # As Keras 2 has it: a list of tensors, the last of which may have arguments.
            if isinstance(node[0], str):
                node = [node]
            tensors = [self._tensor(one[:3], lenient=True) for one in node]
            last = node[-1][3] if len(node[-1]) > 3 else {}
            if isinstance(last, dict):
                return [tensors if len(tensors) > 1 else tensors[0]], self._value(last)
        raise self.reader.refused(name, "what it is called with is damaged")

    def _value(self, value: Any) -> Any:
        value = plain(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") == TENSOR:
            inside = value.get("config")
            return self._tensor(inside.get("keras_history") if isinstance(inside, dict) else None)
        return {key: self._value(item) for key, item in value.items()}

    def _tensor(self, history: Any, *, lenient: bool = False, ends: bool = False) -> Symbolic:
        """Return the tensor that a layer made in its so-and-so-many-th call."""
        history = plain(history)
        whole = isinstance(history, list) and len(history) == 3 and isinstance(history[0], str)
        if not whole or any(type(number) is not int or number < 0 for number in history[1:]):
            raise self.reader.refused(self.part.name, f"{history!r} stands for no tensor")
        name, call, place = history
        if name not in self.parts:
            raise self.reader.refused(self.part.name, f"{name!r} is none of its layers")
        calls = self.made[name]
        if self.parts[name].kind in GRAPHS and call and (ends or lenient):
            # A graph inside has been called before, when it was drawn itself.
            call -= 1
        if call >= len(calls):
            raise NotYetError
        if place >= len(calls[call]):
            raise self.reader.refused(self.part.name, f"{history!r} stands for no tensor")
        found: Symbolic = calls[call][place]
        return found

    def _ends(self, described: Any, what: str) -> list[Symbolic]:
        described = plain(described)
        if isinstance(described, dict):
            described = [*described.values()]
        if isinstance(described, list) and described and isinstance(described[0], str):
            described = [described]
        if not isinstance(described, list) or not described:
            raise self.reader.refused(self.part.name, f"it has no {what}")
        try:
            return [self._tensor(one, ends=True) for one in described]
        except NotYetError:
            raise self.reader.refused(self.part.name, f"its {what} are made by no layer") from None
