"""What a watched step measures of each layer, and the memory that it writes it to."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad.health._examination import MEASURES
from evengrad.health._outside import NOWHERE, OUTSIDE, Outside
from evengrad.layers._call_context import main_output, shown_to
from evengrad.layers._module import state_of
from evengrad.layers._variables import KERNEL_DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evengrad._core import Tensor
    from evengrad.health._examination import LayerFacts
    from evengrad.layers._layer import Layer

    Array = np.ndarray[Any, Any]
    Pairs = list[tuple[Tensor | None, Tensor]]
    Row = tuple[Tensor, float, float, Tensor | None]

# What `_core.observe_all` writes of a tensor, in this order.
OBSERVED = (
    *("mean", "std", "rms", "non_finite", "outside", "outside_columns"),
    *("row_spread", "unit_spread", "rows"),
)
OF_OUTPUT = {
    "activation_mean": "mean",
    "activation_std": "std",
    "activation_rms": "rms",
    "non_finite": "non_finite",
    "row_spread": "row_spread",
    "unit_spread": "unit_spread",
}
OF_PREACTIVATION = {"preactivation_mean": "mean", "preactivation_std": "std"}


@dataclass
class Watched:
    """A layer that is watched, its facts, and the places of its figures."""

    layer: Layer
    facts: LayerFacts
    outside: Outside
    # For each use of the layer in a step: places among what is observed.
    outputs: list[int] = field(default_factory=list)
    preactivations: list[int] = field(default_factory=list)
    # Of its variables that train: places among the parameters.
    kernels: list[int] = field(default_factory=list)
    bias: int | None = None
    # The place among the norms of the mean of dC/dz, where no bias tells it.
    delta: int | None = None
    # The places there of dC/dz in the first step of a recurrent layer, and in the last one.
    ends: tuple[int, int] | None = None
    # How many steps each unit was alive in, since the latest reset.
    lived: Tensor | None = None


def is_bias(weight: Any) -> bool:
    """Tell whether a variable is added to what an activation gets."""
    return bool(weight.name == "bias") and weight.tensor.ndim == 1


class Watch:
    """The record of a watched step over a model's layers.

    `uses` counts, by the layer's identity, how often a step calls it and shows its pre-activation;
    `parameters` are what training changes. The record has three parts: what tensors look like;
    norms of gradients; and of each parameter how far the update goes, where it begins, and the
    gradient that it gets. Where that is another one than the loss has (`apart`: it is clipped,
    accumulated, or nothing is updated), the loss's gradients are measured by themselves.
    """

    def __init__(
        self,
        layers: Sequence[tuple[Layer, LayerFacts]],
        uses: Uses,
        parameters: Sequence[Tensor],
        apart: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self._place_of = {id(tensor): place for place, tensor in enumerate(self.parameters)}
        self.apart = apart
        # The loss's gradients of parameters come first among the norms.
        self._observed, self._norms = 0, len(self.parameters) if apart else 0
        self.watched = [self._watched(layer, facts, uses) for layer, facts in layers]
        sizes = [len(OBSERVED) * self._observed, self._norms, 3 * len(self.parameters)]
        ends = [sum(sizes[: count + 1]) for count in range(len(sizes))]
        self.record = _core.zeros((ends[-1],), dtype="float64")
        self._parts = [self.record[end - size : end] for size, end in zip(sizes, ends, strict=True)]
        self._first_norm, self._first_update, _ = ends
        self._by_layer = {id(one.layer): one for one in self.watched}
        # What a step has shown: by the place, a tensor and its bounds.
        self._shown: dict[int, Row] = {}
        self._deltas: list[tuple[Watched, Tensor]] = []

    def _watched(self, layer: Layer, facts: LayerFacts, uses: Uses) -> Watched:
        one = Watched(layer, facts, OUTSIDE.get(facts.activation or "", NOWHERE))
        outputs, preactivations = uses.of(layer)
        first = self._observed
        self._observed += outputs + preactivations
        one.outputs = list(range(first, first + outputs))
        one.preactivations = list(range(first + outputs, self._observed))
        for weight in state_of(layer).weights:
            place = self._place_of.get(id(weight.tensor))
            if place is None:
                continue
            if weight.tensor.ndim >= KERNEL_DIMENSIONS:
                one.kernels.append(place)
            elif is_bias(weight):
                one.bias = place
        if one.bias is None and preactivations:
            one.delta = self._norms
            self._norms += 1
        if uses.steps.get(id(layer)):
            one.ends = self._norms, self._norms + 1
            self._norms += 2
        units = uses.units.get(id(layer), 0)
        if one.outside.measure == "inactive" and units:
            one.lived = _core.zeros((units,), dtype="float64")
        return one

    # ---- within a step

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Have layers show what they compute inside."""
        self._shown, self._deltas = {}, []
        with shown_to(self._note_output, self._note_preactivation, self._note_steps):
            yield

    @contextlib.contextmanager
    def collecting(self) -> Iterator[list[Array]]:
        """Have layers show what they put out, and collect it: of each the last use."""
        found = [np.zeros(0) for _ in self.watched]
        place_of = {id(one.layer): place for place, one in enumerate(self.watched)}

        def note(layer: Layer, output: Any) -> None:
            place = place_of.get(id(layer))
            first = main_output(output)
            if place is not None and isinstance(first, _core.Tensor):
                found[place] = np.array(first.numpy(), np.float64).ravel()

        with shown_to(note, note):
            yield found

    def _note_output(self, layer: Layer, output: Any) -> None:
        one = self._by_layer.get(id(layer))
        if one is not None:
            first = main_output(output)
            self._show(one.outputs, first, one.outside, one.lived)

    def _note_preactivation(self, layer: Layer, z: Tensor) -> None:
        one = self._by_layer.get(id(layer))
        if one is None:
            return
        self._show(one.preactivations, z, NOWHERE, None)
        if one.delta is not None and z.requires_grad:
            self._deltas.append((one, z))

    def _note_steps(self, layer: Layer, z: Tensor, outputs: Any) -> None:
        del outputs
        one = self._by_layer.get(id(layer))
        known = any(other is one for other, _ in self._deltas)
        # Of several uses in a step the first one tells.
        if one is not None and one.ends is not None and not known and z.requires_grad:
            self._deltas.append((one, z))

    def _show(self, places: list[int], value: Any, outside: Outside, lived: Tensor | None) -> None:
        """Note a tensor for the place of this use; uses beyond those known go unseen."""
        place = next((place for place in places if place not in self._shown), None)
        if place is None or not isinstance(value, _core.Tensor):
            return
        if value.dtype.startswith("float") and value.ndim >= KERNEL_DIMENSIONS:
            # Several uses count lives once, the first.
            once = lived if place == places[0] else None
            self._shown[place] = value.detach(), outside.low, outside.high, once

    @property
    def deltas(self) -> list[Tensor]:
        """Pre-activations whose gradients the step is to compute besides."""
        return [z for _, z in self._deltas]

    def note_gradients(self, pairs: Pairs, deltas: Pairs) -> None:
        """Take in the gradients of the parameters, and those of `deltas`, before the update."""
        size = len(OBSERVED)
        write(self._parts[0], size, self._observed, self._shown, _core.observe_all)
        norms: dict[int, Tensor] = {}
        if self.apart:
            norms = {
                self._place_of[id(parameter)]: gradient.detach()
                for gradient, parameter in pairs
                if gradient is not None and id(parameter) in self._place_of
            }
        for (one, z), (gradient, _) in zip(self._deltas, deltas, strict=True):
            if gradient is None:
                continue
            delta = gradient.detach()
            if one.ends is not None:
                norms.update(zip(one.ends, (delta[:, 0], delta[:, -1]), strict=True))
            elif one.delta is not None:
                norms[one.delta] = delta.reshape(-1, z.shape[-1]).sum(0)
        write(self._parts[1], 1, self._norms, norms, _core.observe_norms)
        self._shown, self._deltas = {}, []

    @contextlib.contextmanager
    def measuring(self, rule: _core.Optimizer, pairs: Pairs) -> Iterator[None]:
        """Have the update that is made inside, of these pairs, measured."""
        if not self.parameters:
            yield
            return
        updates = self._parts[2]
        rule.observe(updates, self.parameters)
        try:
            yield
        finally:
            rule.observe()
        reached = {id(parameter) for gradient, parameter in pairs if gradient is not None}
        for place, parameter in enumerate(self.parameters):
            if id(parameter) not in reached:
                # It stays where it is.
                begins = updates[3 * place + 1 : 3 * place + 2]
                _core.observe_norms(begins, [parameter.detach()])

    def clear(self) -> None:
        """Forget the figures of the last step."""
        self.record.copy_(np.zeros(self.record.shape))

    # ---- what was recorded

    def decode(self, values: Array) -> dict[str, Array]:
        """Return the measures of samples: (samples, layers) for each, from (samples, record)."""
        shape = (len(values), len(self.watched))
        measures = {name: np.full(shape, np.nan) for name in MEASURES}
        # A layer whose activation the loss takes over shows what comes before it alone.
        shown = padded([one.outputs or one.preactivations for one in self.watched])
        before = padded([one.preactivations for one in self.watched])
        for places, names in ((shown, OF_OUTPUT), (before, OF_PREACTIVATION)):
            for measure, figure in names.items():
                measures[measure] = over_uses(places, figure, values)
        share = over_uses(shown, "outside", values)
        dead = over_uses(shown, "outside_columns", values)
        for at, one in enumerate(self.watched):
            if one.outputs and one.outside.measure:
                measures[one.outside.measure][:, at] = share[:, at]
            if one.outputs and one.outside.measure == "inactive":
                measures["dead"][:, at] = dead[:, at]
            self._decode_norms(one, values, at, measures)
        return measures

    def _decode_norms(
        self, one: Watched, values: Array, at: int, measures: dict[str, Array]
    ) -> None:
        norms, gradients = values[:, self._first_norm :], self._gradients(values)
        told = None
        if one.bias is not None:
            told = measures["bias_gradient"][:, at] = gradients[:, one.bias]
        elif one.delta is not None:
            told = norms[:, one.delta]
        if told is not None:
            measures["speed"][:, at] = told / math.sqrt(max(1, one.facts.units))
        if one.ends is not None:
            first, last = one.ends
            measures["first_step_gradient"][:, at] = norms[:, first]
            measures["last_step_gradient"][:, at] = norms[:, last]
        if one.kernels:
            measures["kernel_gradient"][:, at] = norm_of(gradients[:, one.kernels])
            updates = values[:, self._first_update :].reshape(-1, len(self.parameters), 3)
            moved, before = (norm_of(updates[:, one.kernels, place]) for place in range(2))
            with np.errstate(invalid="ignore", divide="ignore"):
                measures["update_ratio"][:, at] = np.where(before > 0, moved / before, np.nan)

    def _gradients(self, values: Array) -> Array:
        """Return the norms of the loss's gradients of each parameter."""
        first = self._first_norm
        return values[:, first:][:, : len(self.parameters)] if self.apart else self._got(values)

    def _got(self, values: Array) -> Array:
        """Return the norms of the gradients that updates have got."""
        return values[:, self._first_update + 2 :: 3]

    def gradient_norms(self, values: Array) -> Array:
        """Return the norm of the gradient of all parameters together, of each sample."""
        return norm_of(self._gradients(values))

    def clipped_norms(self, values: Array) -> Array:
        """Return the same of the gradients that updates have got."""
        return norm_of(self._got(values))

    @property
    def counts(self) -> list[Tensor]:
        """What counts in how many steps units are alive, of each layer that has such."""
        return [one.lived for one in self.watched if one.lived is not None]

    def split_counts(self, values: Array) -> list[Array | None]:
        """Return counts, one after the other as they stand in `counts`, layer by layer."""
        found: list[Array | None] = []
        at = 0
        for one in self.watched:
            size = 0 if one.lived is None else one.lived.shape[0]
            found.append(None if one.lived is None else values[at : at + size])
            at += size
        return found

    def take_lived(self) -> list[Array | None]:
        """Return in how many watched steps each unit was alive, and begin to count anew."""
        counts = [np.array(tensor.numpy()) for tensor in self.counts]
        for tensor in self.counts:
            tensor.copy_(np.zeros(tensor.shape))
        return self.split_counts(np.concatenate(counts) if counts else np.zeros(0))


def write(
    part: Tensor, size: int, count: int, values: dict[int, Any], function: Callable[..., None]
) -> None:
    """Have figures of values written to their places, in one call where all are there."""
    if len(values) == count:
        if count:
            function(part, [values[place] for place in range(count)])
        return
    for place, value in values.items():
        function(part[size * place : size * (place + 1)], [value])


def norm_of(norms: Array) -> Array:
    """Return the norm of all together, of the norms of parts, for each row."""
    together: Array = np.sqrt((norms**2).sum(axis=1))
    return together


def padded(places: list[list[int]]) -> Array:
    """Return lists of places as (layers, uses), −1 where there are fewer uses."""
    found = np.full((len(places), max(map(len, places), default=0)), -1)
    for row, known in zip(found, places, strict=True):
        row[: len(known)] = known
    return found


def over_uses(places: Array, figure: str, values: Array) -> Array:
    """Return a figure of each layer as a mean over its uses, NaN where there was none."""
    begins = len(OBSERVED) * np.maximum(places, 0)
    known = (places >= 0) & (values[:, begins + OBSERVED.index("rows")] > 0)
    figures = np.where(known, values[:, begins + OBSERVED.index(figure)], 0.0).sum(axis=-1)
    count = known.sum(axis=-1)
    mean: Array = np.where(count > 0, figures / np.maximum(count, 1), np.nan)
    return mean


class Uses:
    """How often a pass calls each layer, and shows what comes to its activation.

    Also the order in which layers are called first, and those that make the model's outputs.
    """

    def __init__(self) -> None:
        self.order: dict[int, int] = {}
        self.ends: list[Layer | None] = []
        # Tensors, which keep their identities while they are here, with the innermost layers that
        # made them.
        self._made: dict[int, tuple[Any, Layer]] = {}
        # Recurrent layers, which show what comes to all of their steps.
        self.steps: dict[int, int] = {}
        self.outputs: dict[int, int] = {}
        self.preactivations: dict[int, int] = {}
        self.units: dict[int, int] = {}
        # Of the first output of the model.
        self.dtype = "float32"

    def of(self, layer: Layer) -> tuple[int, int]:
        """Return both counts for a layer."""
        return self.outputs.get(id(layer), 0), self.preactivations.get(id(layer), 0)

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count what happens inside."""
        with shown_to(self._note_output, self._note_preactivation, self._note_steps):
            yield

    def end(self, results: Sequence[Any]) -> None:
        """Take in the outputs of the pass."""
        self.dtype = results[0].dtype
        self.ends = [self._made.get(id(one), (None, None))[1] for one in results]
        self._made = {}

    def _note_steps(self, layer: Layer, z: Tensor, outputs: Any) -> None:
        del z, outputs
        self.steps[id(layer)] = self.steps.get(id(layer), 0) + 1

    def _note_output(self, layer: Layer, output: Any) -> None:
        first = main_output(output)
        self.order.setdefault(id(layer), len(self.order))
        self._made.setdefault(id(first), (first, layer))
        self.outputs[id(layer)] = self.outputs.get(id(layer), 0) + 1
        if isinstance(first, _core.Tensor) and first.ndim >= KERNEL_DIMENSIONS:
            self.units[id(layer)] = first.shape[-1]

    def _note_preactivation(self, layer: Layer, z: Tensor) -> None:
        self.preactivations[id(layer)] = self.preactivations.get(id(layer), 0) + 1
        self.units[id(layer)] = z.shape[-1]
