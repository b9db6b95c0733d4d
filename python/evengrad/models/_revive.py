"""Reviving dead units: with new weights, or with an activation that has a slope everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import name_of, remade
from evengrad._common.names import choose
from evengrad._tensor import activations
from evengrad._tensor.masked import apply_masks
from evengrad.layers import Activation, BatchNormalization, Dense, ReLU, SimpleRNN
from evengrad.layers._call_context import main_output
from evengrad.layers._dropout import Noise
from evengrad.layers._module import access_to, state_of
from evengrad.layers._variables import drawn_again
from evengrad.models._anatomy import ACTIVATIONS, NORMALIZATIONS, Anatomy, own_activation
from evengrad.models._dead_units import (
    DeadUnits,
    described,
    is_hidden_by_norm,
    probed,
    rows_of,
    run_past,
)
from evengrad.optimizers._optimizer import counts_of, has_slots

if TYPE_CHECKING:
    from evengrad._core import Tensor
    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model
    from evengrad.models._network import ModelView
    from evengrad.optimizers import Optimizer

    Array = np.ndarray[Any, Any]

WAYS = ("reinit", "leaky")
# Half of all draws are alive where the inputs of a layer have mean 0. Behind a rectifier all inputs
# are positive, and sums of one sign over all rows are common: then some draws more are needed.
MOST_DRAWS = 5
# What a bias is moved by beyond the median, where all rows come to the same sum.
NUDGE = 0.01
# The slope below zero that ReLU layers get, that of `activations.leaky_relu`.
SLOPE = 0.01


@dataclass
class Site:
    """A layer with dead units, and what its activation gets: the sums of a kernel, normalized."""

    path: str
    layer: Any
    units: Array
    kernel: Any
    norm: Any

    @property
    def shift(self) -> Tensor | None:
        """The variable that is added to the pre-activation, if there is one."""
        found: Tensor | None = self.kernel.bias if self.norm is None else self.norm.beta
        return found

    def variables(self) -> list[Tensor]:
        """Return what new values come to: columns, or elements, for the units."""
        parts = [self.kernel] if self.norm is None else [self.kernel, self.norm]
        return [weight.tensor for part in parts for weight in state_of(part).weights]


def revive(model: Model, view: ModelView, x: Any, how: str) -> dict[str, DeadUnits]:
    """Have dead units learn again, and return which; see `Model.revive`."""
    choose(how, WAYS, "how")
    xs = rows_of(view, x)
    with access_to(model, writes=True):
        probe = probed(model, view, xs)
        found = {path: one for path, one in described(model, probe).items() if one and one.units}
        layers = {path: layer for path, layer in probe.layers.values() if path in found}
        if how == "leaky":
            changes = [leak_of(path, layer) for path, layer in layers.items()]
            for layer, name, value in changes:
                setattr(layer, name, value)
            return found
        anatomy = Anatomy(model)
        sites = [
            site_of(anatomy, path, layer, np.array(found[path].units))
            for path, layer in layers.items()
        ]
        sites = [site for site in sites if site.kernel.trainable]
        Revival(model, view, xs, sites).run()
        return {site.path: found[site.path] for site in sites}


def leak_of(path: str, layer: Any) -> tuple[Any, str, Any]:
    """Return the attribute of a layer that gives its units a slope below zero, and its value."""
    inner = layer if isinstance(layer, (Activation, ReLU)) else layer.activation
    if isinstance(inner, ReLU):
        return inner, "negative_slope", SLOPE
    owner = inner if isinstance(inner, Activation) else layer
    name = name_of(owner.activation)
    if name in ("hard_sigmoid", "hard_tanh"):
        raise ValueError(
            f'{path}: expected an activation that a leak may take the place of with how="leaky", '
            f'got {name}, whose bounds on both sides may be needed; use how="reinit"'
        )
    return owner, "activation", activations.leaky_relu


def site_of(anatomy: Anatomy, path: str, layer: Any, units: Array) -> Site:
    """Return where the sums of a layer's units come from, or raise an error."""
    has_sums: bool = isinstance(layer, (Dense, SimpleRNN))
    if has_sums:
        none = isinstance(layer, SimpleRNN) or is_hidden_by_norm(layer)
        return Site(path, layer, units, layer, None if none else layer.norm)
    norm: Any = None
    for one in anatomy.in_front(layer) if isinstance(layer, ACTIVATIONS) else []:
        if isinstance(one, NORMALIZATIONS) and norm is None:
            norm = one
        elif isinstance(one, Dense) and own_activation(one) is None and None in (norm, one.norm):
            return Site(path, layer, units, one, norm or one.norm)
        elif not isinstance(one, Noise):
            break
    raise ValueError(
        f'{path}: expected a Dense layer without an activation in front with how="reinit", and '
        f'{type(layer).__name__} gets its input from elsewhere; use how="leaky"'
    )


class Revival:
    """New values for the units of some layers of a model, or none at all."""

    def __init__(self, model: Model, view: ModelView, xs: list[Array], sites: list[Site]) -> None:
        self.model, self.view, self.xs, self.sites = model, view, xs, sites
        self.optimizer = compiled_optimizer(model)

    def run(self) -> None:
        """Draw until all units are active in some row; what is left is moved to its median."""
        tensors = {id(one): one for site in self.sites for one in self._state_of(site)}
        before = [(tensor, np.array(tensor.detach().numpy())) for tensor in tensors.values()]
        try:
            self._redraw()
            for site in self.sites:
                self._reset_slots(site)
        except BaseException:
            for tensor, values in before:
                tensor.copy_(values)
            raise

    def _state_of(self, site: Site) -> list[Tensor]:
        variables = site.variables()
        return [*variables, *(slot for one in variables for _, slot in self._slots(one))]

    def _slots(self, tensor: Tensor) -> list[tuple[str, Tensor]]:
        optimizer = self.optimizer
        known = optimizer is not None and has_slots(optimizer, tensor)
        return [*optimizer.slots(tensor).items()] if optimizer is not None and known else []

    # ---- draws

    def _redraw(self) -> None:
        left = {site.path: site.units for site in self.sites}
        for draw in range(MOST_DRAWS):
            for site in self.sites:
                self._draw(site, left[site.path], draw)
            self._measure([site for site in self.sites if len(left[site.path])], left)
            left = self._left()
            if not any(map(len, left.values())):
                return
        for nudge in (0.0, NUDGE):
            for site in self.sites:
                if len(left[site.path]):
                    self._center(site, left[site.path], nudge)
                    left = self._left()
        for path, units in left.items():
            if len(units):
                raise ValueError(
                    f"{path}: expected new weights that make unit {units[0]} active in some row of "
                    f"x, got none in {MOST_DRAWS} draws, nor by a bias; pass more rows, or use "
                    'how="leaky"'
                )

    def _left(self) -> dict[str, Array]:
        """Return which of the units are still dead."""
        probe = probed(self.model, self.view, self.xs)
        found = {}
        for site in self.sites:
            dead = probe.dead(site.layer)
            found[site.path] = np.intersect1d(site.units, [] if dead is None else dead)
        return {path: units.astype(np.intp) for path, units in found.items()}

    def _draw(self, site: Site, units: Array, draw: int) -> None:
        """Give units other incoming weights and no bias."""
        if not len(units):
            return
        done = 0 if self.optimizer is None else counts_of(self.optimizer).iterations
        for weight in state_of(site.kernel).weights:
            if weight.tensor.ndim > 1:
                fresh = drawn_again(site.kernel, weight, f"revived/{done}/{draw}").numpy()
                put(weight.tensor, units, fresh[:, units])
            elif weight.name == "bias":
                put(weight.tensor, units, 0.0)
        if site.norm is not None:
            neutral = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
            for weight in state_of(site.norm).weights:
                put(weight.tensor, units, neutral[weight.name])

    def _measure(self, sites: list[Site], left: dict[str, Array]) -> None:
        """Give batch normalizations the mean and variance of the new sums."""
        norms = [site for site in sites if isinstance(site.norm, BatchNormalization)]
        if not norms:
            return
        for site, outputs in zip(norms, self._outputs([site.norm for site in norms]), strict=True):
            units, norm = left[site.path], site.norm
            # So far it divides by √(1 + epsilon) alone.
            sums = outputs[:, units].astype(np.float64) * np.sqrt(1.0 + norm.epsilon)
            put(norm.moving_mean, units, sums.mean(axis=0))
            put(norm.moving_variance, units, sums.var(axis=0))

    def _center(self, site: Site, units: Array, nudge: float) -> None:
        """Move the pre-activations of units so that half of the rows are above zero."""
        shift = site.shift
        if shift is None or (isinstance(site.layer, SimpleRNN) and not nudge):
            return
        offset = np.array(shift.detach().numpy())[units] + nudge
        if not isinstance(site.layer, SimpleRNN):
            (sums,) = self._preactivations(site)
            offset -= np.median(sums[:, units].astype(np.float64), axis=0)
        put(shift, units, offset)

    # ---- what layers compute

    def _outputs(self, layers: list[Layer]) -> list[Array]:
        """Return what layers put out for all rows, as rows of units."""
        seen: dict[int, list[Array]] = {id(layer): [] for layer in layers}

        def note(layer: Layer, output: Any) -> None:
            if id(layer) in seen:
                seen[id(layer)].append(as_rows(output))

        run_past(self.view, self.xs, None, note)
        return [np.concatenate(seen[id(layer)]) for layer in layers]

    def _preactivations(self, site: Site) -> list[Array]:
        """Return what comes to the activation of a layer, for all rows."""
        if not isinstance(site.layer, Dense):
            inside = site.norm is None or site.norm is site.kernel.norm
            return self._outputs([site.kernel if inside else site.norm])
        seen: list[Array] = []

        def note(layer: Layer, z: Any) -> None:
            if layer is site.layer:
                seen.append(as_rows(z))

        run_past(self.view, self.xs, None, None, note)
        return [np.concatenate(seen)]

    # ---- the optimizer

    def _reset_slots(self, site: Site) -> None:
        """Have the optimizer begin anew with the units: with the state that a new one has."""
        if self.optimizer is None:
            return
        fresh: Optimizer = remade(self.optimizer)
        for tensor in site.variables():
            first = fresh.slots(tensor)
            for name, slot in self._slots(tensor):
                if slot.shape == tensor.shape:
                    put(slot, site.units, first[name].numpy()[..., site.units])


def put(tensor: Tensor, units: Array, values: Any) -> None:
    """Set the last dimension's elements of a tensor."""
    array = np.array(tensor.detach().numpy())
    array[..., units] = values
    tensor.copy_(array)
    apply_masks([tensor])


def as_rows(output: Any) -> Array:
    """Return outputs as rows of units."""
    first = main_output(output)
    return np.array(first.detach().numpy()).reshape(-1, first.shape[-1])


def compiled_optimizer(model: Model) -> Optimizer | None:
    """Return the optimizer of a model, where it is compiled."""
    config = model._config  # noqa: SLF001 - its class is public, this is not
    return None if config is None else config.optimizer
