"""Units that no row of a probe set makes active, so that no gradient reaches their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import name_of
from evengrad._core import Access, Tensor
from evengrad._tensor.grad_mode import no_grad
from evengrad.layers import Activation, Dense, ReLU, Residual, SimpleRNN
from evengrad.layers._call_context import main_output, shown_to
from evengrad.layers._module import module_tree
from evengrad.training._data import count_or, prepare_inputs, refuse_batches
from evengrad.training._predict import outputs_of, row_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model
    from evengrad.models._network import ModelView

    Array = np.ndarray[Any, Any]

# What functions put out where their derivative is 0, at a bound that they keep to exactly.
FLAT: dict[str | None, tuple[float, ...]] = {
    "relu": (0.0,),
    "relu6": (0.0, 6.0),
    "hard_swish": (0.0,),
    "hard_sigmoid": (0.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
}


@dataclass(frozen=True)
class DeadUnits:
    """The dead units of a layer: what `Model.dead_units` finds.

    Attributes
    ----------
    share
        How many of the layer's units are dead, as a share of all.
    units
        Which ones, by their places.
    died_in
        For each of them the epoch since which no watched row has made it active, where a
        `callbacks.GradientDoctor` watched the last training; None for one that was active then,
        and for all where nobody watched.

    Examples
    --------
    >>> hidden = eg.layers.Dense(4, "relu", bias_initializer=eg.initializers.Constant(-9.0))
    >>> model = eg.Sequential([hidden, eg.layers.Dense(1)])
    >>> model.dead_units(np.zeros((5, 2)))["dense"]
    DeadUnits(share=1.0, units=(0, 1, 2, 3), died_in=None)
    """

    share: float
    units: tuple[int, ...]
    died_in: tuple[int | None, ...] | None = None


def flat_values(activation: Any) -> tuple[float, ...]:
    """Return the outputs at which a function, or a layer that is one, has no derivative left."""
    if isinstance(activation, ReLU):
        bottom = () if activation.negative_slope else (0.0,)
        return bottom if activation.max_value is None else (*bottom, activation.max_value)
    if isinstance(activation, Activation):
        return flat_values(activation.activation)
    return FLAT.get(name_of(activation), ())


def flat_of(layer: Any) -> tuple[float, ...]:
    """Return the same for what a layer puts out; of a recurrent one, in each of its steps."""
    if isinstance(layer, (Activation, ReLU)):
        return flat_values(layer)
    if isinstance(layer, (Dense, Residual, SimpleRNN)):
        return flat_values(layer.activation)
    return ()


def is_hidden_by_norm(layer: Any) -> bool:
    """Tell whether what a layer puts out is normalized behind its activation."""
    return isinstance(layer, Dense) and layer.norm is not None and layer.norm_position == "after"


class Probe:
    """A look at the units of a model while rows pass it in inference."""

    def __init__(self, model: Model) -> None:
        layers = module_tree(model).layers[1:]
        inside = {id(getattr(one, "activation", None)) for _, one in layers}
        # Layers whose units may die, with their paths; no activations that others apply.
        self.layers: dict[int, tuple[str, Layer]] = {
            id(one): (prefix.rstrip("/"), one)
            for prefix, one in layers
            if id(one) not in inside and flat_of(one)
        }
        # Whether each unit of a layer was active in some row.
        self.alive: dict[int, Array] = {}

    def note(self, layer: Layer, output: Any) -> None:
        """Take in what a layer puts out."""
        first = main_output(output)
        # A recurrent layer may return the last of its steps alone.
        other = is_hidden_by_norm(layer) or isinstance(layer, SimpleRNN)
        if id(layer) in self.layers and not other:
            self._see(layer, first, flat_of(layer))

    def note_steps(self, layer: Layer, z: Tensor, outputs: Callable[[], Tensor]) -> None:
        """Take in what the steps of a recurrent layer put out."""
        del z
        if id(layer) in self.layers:
            self._see(layer, outputs(), flat_of(layer))

    def note_preactivation(self, layer: Any, z: Tensor) -> None:
        """Take in what comes to an activation, where a normalization hides what it makes of it."""
        if id(layer) in self.layers and is_hidden_by_norm(layer):
            self._see(layer, layer.activation(z), flat_of(layer))

    def _see(self, layer: Layer, output: Any, flat: tuple[float, ...]) -> None:
        if not isinstance(output, Tensor) or output.ndim < 2:
            return
        values = output.detach().numpy().reshape(-1, output.shape[-1])
        active: Array = np.logical_and.reduce([values != one for one in flat]).any(axis=0)
        known = self.alive.get(id(layer))
        self.alive[id(layer)] = active if known is None else np.logical_or(known, active)

    def dead(self, layer: Layer) -> Array | None:
        """Return the places of the dead units of a layer; None where it saw no rows."""
        alive = self.alive.get(id(layer))
        return None if alive is None else np.flatnonzero(~alive)


def run_past(
    view: ModelView,
    xs: list[Array],
    size: int | None,
    output: Any,
    preactivation: Any = None,
    steps: Any = None,
) -> None:
    """Let rows pass the model in inference, while its layers show what they compute."""
    with shown_to(output, preactivation, steps), no_grad():
        for block in row_blocks(view, xs, size)[1]:
            outputs_of(view, block)


def rows_of(view: ModelView, x: Any, check_finite: bool = True) -> list[Array]:
    """Return a model's inputs as arrays, which can be run past it again and again."""
    refuse_batches(x, "join some of them: all rows together tell which units are dead")
    return prepare_inputs(view, x, check_finite)


def probed(model: Model, view: ModelView, xs: list[Array], size: int | None = None) -> Probe:
    """Return what is known of the units when all rows have passed."""
    probe = Probe(model)
    hidden = any(is_hidden_by_norm(layer) for _, layer in probe.layers.values())
    hears = probe.note_preactivation if hidden else None
    run_past(view, xs, size, probe.note, hears, probe.note_steps)
    return probe


def dead_units(
    model: Model, view: ModelView, x: Any, batch_size: Any, check_finite: bool
) -> dict[str, DeadUnits | None]:
    """Return the dead units of each layer; see `Model.dead_units`."""
    size = count_or(None, batch_size, "batch_size")
    xs = rows_of(view, x, check_finite)
    with Access(module_tree(model).tensors):
        return described(model, probed(model, view, xs, size))


def described(model: Model, probe: Probe) -> dict[str, DeadUnits | None]:
    """Return what a probe has found, by the layers' paths."""
    found: dict[str, DeadUnits | None] = {}
    for path, layer in probe.layers.values():
        dead = probe.dead(layer)
        if dead is None:
            found[path] = None
            continue
        count = len(probe.alive[id(layer)])
        units = tuple(map(int, dead))
        share = len(units) / count
        found[path] = DeadUnits(share, units, _died_in(model, path, units, count))
    return found


def _died_in(
    model: Model, path: str, units: tuple[int, ...], count: int
) -> tuple[int | None, ...] | None:
    """Return since which epoch units are dead, if the last training was watched."""
    health = getattr(getattr(model, "history", None), "health", None) or {}
    since = health.get("dead_since", {}).get(path)
    if since is None or len(since) != count:
        return None
    return tuple(int(since[unit]) if since[unit] >= 0 else None for unit in units)
