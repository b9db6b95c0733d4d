"""A step made in Python and looked at tensor by tensor: where its first number is not finite."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.config import name_of
from evengrad._common.names import is_own
from evengrad._tensor.grad_mode import no_grad
from evengrad.health._non_finite import Circumstances, finding_of
from evengrad.layers._call_context import call_context
from evengrad.layers._recurrent import Recurrent
from evengrad.optimizers._optimizer import has_slots
from evengrad.training._data import all_finite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evengrad._core import Tensor
    from evengrad.health._finding import Finding
    from evengrad.training._objective import Objective
    from evengrad.training._protocol import TrainableModel

    Array = np.ndarray[Any, Any]

# Inputs so many times larger than those of other rows are outliers.
OUTLYING = 1e3
# Activations of this package that make infinities of moderate numbers.
UNBOUNDED = frozenset({"exponential"})


class Noting:
    """A model whose outputs are noted as they come to the losses."""

    def __init__(self, model: TrainableModel, notes: list[Tensor]) -> None:
        self._model, self._notes = model, notes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def forward(
        self, inputs: list[Tensor], training: bool, without_activation: list[bool]
    ) -> list[Tensor]:
        """Run the model."""
        self._notes[:] = self._model.forward(inputs, training, without_activation)
        return list(self._notes)


def values_of(tensor: Tensor) -> Array:
    """Return a tensor's values, as they are now."""
    values: Array = tensor.detach().numpy()
    return values


def rows_not_finite(values: Array, rows: int) -> tuple[int, ...] | None:
    """Return the rows that have a NaN or an infinity; None where the first dimension is no row."""
    if values.ndim == 0 or len(values) != rows:
        return None
    bad = ~np.isfinite(values.reshape(rows, -1)).all(axis=1)
    return tuple(np.flatnonzero(bad).tolist())


def largest(values: Array) -> float:
    """Return the largest size of the finite numbers."""
    sizes = np.abs(values[np.isfinite(values)])
    return float(sizes.max()) if sizes.size else 0.0


def head_layer(layer: Any) -> Any:
    """Return the last layer inside a chain that makes an output."""
    while getattr(layer, "layers", None):
        layer = layer.layers[-1]
    return layer


class StepExamination:
    """One step over a batch: `run` makes it, and returns what was not finite first.

    `numbers` are the rows of the user's data that the batch is made of, where they are known.
    """

    def __init__(
        self,
        objective: Objective,
        xs: list[Tensor],
        ys: list[Tensor],
        weights: list[Tensor | None],
        numbers: Array | None,
    ) -> None:
        self.objective = objective
        self.xs, self.ys, self.weights = xs, ys, weights
        self.numbers = numbers
        self.rows = int(xs[0].shape[0])
        self.tree = objective.model.tree
        self.optimizer = objective.config.optimizer
        self.step = self.optimizer.iterations
        rate = self.optimizer.learning_rate
        self.rate = float(rate(self.step) if callable(rate) else rate)
        self.paths = {id(layer): prefix.rstrip("/") for prefix, layer in self.tree.layers}
        # What layers put out, in the order of the calls.
        self.outputs: list[tuple[Any, Tensor]] = []
        self.results: list[Tensor] = []
        self.signal = 0.0
        # The largest number among the variables that train.
        self._grown = 0.0
        # Variables that were infinite before, and may be meant to be.
        self._meant: set[str] = set()
        self.found: Circumstances | None = None

    def run(self) -> Finding | None:
        """Make the step; return the finding, or None where all numbers are finite."""
        objective = self.objective
        self._look_at_variables()
        self._look_at_inputs()
        model, objective.model = objective.model, Noting(objective.model, self.results)
        try:
            with self._listening():
                loss = objective.loss_and_metrics(
                    self.xs, self.ys, self.weights, self.tree, training=True, watch_loss=True
                )
        finally:
            objective.model = model
        self._note_heads()
        self._look_at_outputs()
        self._look_at_loss(loss)
        parameters = self.tree.trainable
        if parameters:
            self._look_at_update(loss, parameters)
        return None if self.found is None else finding_of(self.found)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        before = call_context.watching, call_context.layerwise

        def note(layer: Any, output: Any) -> None:
            several = output if isinstance(output, (list, tuple)) else [output]
            self.outputs += [(layer, one) for one in several if isinstance(one, _core.Tensor)]

        call_context.watching, call_context.layerwise = note, True
        try:
            yield
        finally:
            call_context.watching, call_context.layerwise = before

    def _note_heads(self) -> None:
        """Note the outputs that left their layers without an activation, which no layer shows."""
        seen = {id(output) for _, output in self.outputs}
        heads = self.objective.model.heads()
        for head, result in zip(heads, self.results, strict=True):
            if id(result) not in seen:
                self.outputs.append((head_layer(head), result))

    # ---- what is looked at, in this order

    def _look_at_variables(self) -> None:
        trainable = set(map(id, self.tree.trainable))
        for path, weight in self.tree.weights:
            values = values_of(weight.tensor)
            # Infinities that no training changes may be meant, as in a mask.
            if id(weight.tensor) not in trainable and np.isinf(values).any():
                self._meant.add(path)
            else:
                self._look("weight", self._layer_of(path), values, before=True)
                if id(weight.tensor) in trainable:
                    self._grown = max(self._grown, largest(values))

    def _look_at_inputs(self) -> None:
        for x in self.xs:
            if x.dtype.startswith("float"):
                self._look("input", None, values_of(x))
        if self.found is None:
            self.signal = max(largest(values_of(x)) for x in self.xs)

    def _look_at_outputs(self) -> None:
        if self.found is not None and self.found.tensor == "input":
            first = next((one for one, _ in self.outputs if self._is_leaf(one)), None)
            path = None if first is None else self._path(first)
            self.found = _with(self.found, layer=path)
        for layer, output in self.outputs:
            if self.found is not None:
                return
            if not output.dtype.startswith("float"):
                continue
            values = values_of(output)
            self._look("activation", self._path(layer), values, **self._nature(layer))
            if self.found is None:
                self.signal = max(self.signal, largest(values))

    def _look_at_loss(self, loss: Tensor) -> None:
        if self.found is not None or all_finite(values_of(loss)):
            return
        objective = self.objective
        heads = objective.model.heads()
        ends = zip(heads, objective.outputs, self.ys, self.results, self.weights, strict=True)
        for layer, output, y, result, weight in ends:
            each = loss_of_rows(output, y, result, weight)
            if each is None or all_finite(each):
                continue
            several = len(objective.outputs) > 1
            path = self._path(head_layer(layer)) if several else None
            targets = values_of(y).astype(np.float64)
            bad = not np.isfinite(targets).all() or largest(targets) > max(self.signal, 1e15)
            self._look("loss", path, each, bad_labels=bad)
            return
        penalties = [values_of(one) for one in self.tree.weight_penalties()]
        penalty = any(not all_finite(one) for one in penalties)
        self._look("loss", None, values_of(loss), penalty=penalty)

    def _look_at_update(self, loss: Tensor, parameters: list[Tensor]) -> None:
        shown = [(layer, output) for layer, output in self.outputs if output.requires_grad]
        wanted = [*parameters, *(output for _, output in shown)]
        gradients = _core.gradients(loss, wanted)
        own = gradients[: len(parameters)]
        if self.found is None:
            self._look_at_gradients(own, shown, gradients[len(parameters) :])
        broken = {name for name, slot in self._slots() if not all_finite(values_of(slot))}
        self.optimizer.apply_gradients(list(zip(own, parameters, strict=True)))
        for (path, name), slot in self._slots():
            if (path, name) not in broken:
                self._look("slot", self._layer_of(path), values_of(slot))
        for path, weight in self.tree.weights:
            if path not in self._meant:
                self._look("weight", self._layer_of(path), values_of(weight.tensor))

    def _look_at_gradients(
        self,
        own: list[Tensor | None],
        shown: list[tuple[Any, Tensor]],
        gradients: list[Tensor | None],
    ) -> None:
        """Go from the loss to the inputs: a gradient is of the layer whose way back made it."""
        maker: Any = None
        owners = {id(weight.tensor): path for path, weight in self.tree.weights}
        by_layer: dict[str | None, list[Tensor]] = {}
        for tensor, gradient in zip(self.tree.trainable, own, strict=True):
            if gradient is not None:
                layer = self._layer_of(owners[id(tensor)])
                by_layer.setdefault(layer, []).append(gradient)
        pairs = list(zip(shown, gradients, strict=True))
        for (layer, _), gradient in reversed(pairs):
            if gradient is None:
                continue
            values = values_of(gradient)
            path = None if maker is None else self._path(maker)
            nature = {} if maker is None else self._nature(maker)
            self._look("gradient", path, values, with_rows=False, **nature)
            if self.found is not None:
                return
            self.signal = max(self.signal, largest(values))
            for one in by_layer.pop(self._path(layer), []):
                self._look("gradient", self._path(layer), values_of(one), **self._nature(layer))
            maker = layer
        for path, rest in by_layer.items():
            for one in rest:
                self._look("gradient", path, values_of(one))

    def _slots(self) -> list[tuple[tuple[str, str], Tensor]]:
        """Return the slots that there are by now, with their variables' paths and their names."""
        return [
            ((path, name), slot)
            for path, weight in self.tree.weights
            if has_slots(self.optimizer, weight.tensor)
            for name, slot in self.optimizer.slots(weight.tensor).items()
        ]

    # ---- what is noted

    def _look(
        self,
        tensor: str,
        layer: str | None,
        values: Array,
        *,
        with_rows: bool | None = None,
        **known: Any,
    ) -> None:
        """Note a tensor that is not finite, unless another was met before."""
        if self.found is not None or all_finite(values):
            return
        has_rows = tensor in ("input", "activation", "loss") if with_rows is None else with_rows
        rows = rows_not_finite(values, self.rows) if has_rows else None
        outliers = () if tensor == "input" else self._outliers(rows)
        self.found = Circumstances(
            tensor,
            layer or None,
            self.step,
            self.rate,
            float(1.0 - np.isfinite(values).mean()),
            rows,
            self._numbered(rows),
            outliers=self._numbered(outliers) or outliers,
            numbered=self.numbers is not None,
            signal=self.signal,
            weights=self._grown,
            **known,
        )

    def _outliers(self, rows: tuple[int, ...] | None) -> tuple[int, ...]:
        """Return the rows whose inputs are too large, where these explain the trouble in `rows`."""
        peaks = np.zeros(self.rows)
        for x in self.xs:
            values = values_of(x).reshape(self.rows, -1)
            if values.size and x.dtype.startswith("float"):
                peaks = np.maximum(peaks, np.abs(values.astype(np.float64)).max(axis=1))
        # What is no number is no larger than anything.
        peaks = np.nan_to_num(peaks, nan=np.inf, posinf=np.inf)
        huge = peaks >= np.sqrt(np.finfo(self.objective.input_dtype).max)
        large = peaks > OUTLYING * max(float(np.median(peaks)), 1.0)
        if rows is None:
            chosen = large | huge
        else:
            chosen = large & np.isin(np.arange(self.rows), rows)
            if chosen.sum() < len(rows):
                # Others have it too: from these rows alone, where their squares overflow.
                chosen = huge
        return tuple(np.flatnonzero(chosen).tolist())

    def _numbered(self, rows: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """Return which rows of the user's data rows of the batch are."""
        if rows is None or self.numbers is None:
            return None
        return tuple(int(self.numbers[row]) for row in rows)

    def _path(self, layer: Any) -> str | None:
        return self.paths.get(id(layer)) or None

    def _layer_of(self, path: str) -> str | None:
        return path.rpartition("/")[0] or None

    @staticmethod
    def _is_leaf(layer: Any) -> bool:
        return not getattr(layer, "layers", None)

    @staticmethod
    def _nature(layer: Any) -> dict[str, bool]:
        """Return what is to be known of a layer that makes infinities."""
        own = is_own(type(layer))
        activation = getattr(layer, "activation", None)
        name = None if activation is None else name_of(activation)
        theirs = activation is not None and (name is None or name in UNBOUNDED)
        return {"own_function": not own or theirs, "recurrent": isinstance(layer, Recurrent)}


def loss_of_rows(output: Any, y: Tensor, result: Tensor, weight: Tensor | None) -> Array | None:
    """Return the loss of each row of an output, before it is reduced; None where it has none."""
    if output.loss is None:
        return None
    each = copy.copy(output)
    each.loss = copy.copy(output.loss)
    each.loss.reduction = "none"
    with no_grad():
        return values_of(each.loss_of(y, result.detach(), weight))


def _with(known: Circumstances, **changes: Any) -> Circumstances:
    return Circumstances(**{**vars(known), **changes})
