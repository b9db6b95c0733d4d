"""The frozen part of a model: what it computes is the same in each epoch, and can be kept."""

from __future__ import annotations

import hashlib
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.config import settings_of
from evengrad._common.names import is_own
from evengrad._core import Tensor
from evengrad._tensor.grad_mode import no_grad
from evengrad._tensor.step_masks import masks_of
from evengrad.layers import BatchNormalization
from evengrad.layers._call_context import call_context
from evengrad.layers._module import access_to, module_tree, state_of
from evengrad.models._program import Program, Use, is_open_to_view
from evengrad.training._frozen_errors import NothingToKeepError, NotToBeKeptError
from evengrad.training._frozen_file import digest_of

if TYPE_CHECKING:
    from evengrad.layers._layer import Layer
    from evengrad.models._model import Model

    Values = dict[int, Any]


class FrozenPart:
    """All that comes before what trains, and the cut: the values that the rest takes from it.

    A use of a layer belongs to it if nothing in it changes while training, nothing in it trains,
    and all that it takes comes from inputs or from uses that belong to it. What makes an output of
    the model does not, nor do uses that make noise and that no frozen variables come after.

    Parameters
    ----------
    model
        A model that is built.
    inputs
        A few rows, on which it is tried.
    """

    def __init__(self, model: Model, inputs: list[Tensor]) -> None:
        if not is_open_to_view(model):
            raise NothingToKeepError(
                f"{model.path}: its call is code, which does not tell where its frozen part ends; "
                "draw the model as evengrad.Model(inputs, outputs), or train a head of its own on "
                "model.features(x, layer)"
            )
        self.model = model
        self.tree = module_tree(model)
        self.program = Program(model)
        candidates = lower_uses(self.program)
        self._candidates = [use.layer for use in candidates]
        with access_to(model, writes=True):
            noisy = noisy_uses(self.program, candidates, inputs)
        below = without_noise(model, candidates, noisy)
        if not any(state.weights for use in below for state in module_tree(use.layer).states):
            raise NothingToKeepError(
                f"{model.path}: no layer is frozen that others, which train, take the outputs of; "
                "freeze some first, model.freeze(until=...)"
            )
        known = set(map(id, below))
        self.below = below
        self.above = [use for use in self.program.uses if id(use) not in known]
        made = {*self.program.inputs, *(number for use in below for number in use.makes)}
        read = [number for use in self.above for number in use.takes]
        self.cut = sorted(made & {*read, *self.program.outputs})
        self.trees = [module_tree(use.layer) for use in below]
        self.tensors = [tensor for tree in self.trees for tensor in tree.tensors]
        with access_to(model, writes=True):
            self._refuse_masks(inputs)
        self.has_code_of_users = any(tree.has_code_of_users or tree.reads for tree in self.trees)
        if self.has_code_of_users:
            with access_to(model, writes=True):
                refuse_rows_that_meet(self.program, below, inputs)
        self._versions = _core.versions(self.tensors)
        self._settings = self._read()
        self.digest = self._digest()
        # For each value of the cut how many tensors it is a list of; 0 where it is one.
        self._lengths: list[int] = []

    def _refuse_masks(self, inputs: list[Tensor]) -> None:
        """Raise an error where steps at the cut are masked: what is kept has no mask."""
        values = self.program.values_of(inputs)
        with no_grad():
            run(self.below, values, training=False)
        if any(masks_of(values[number]) is not None for number in self.cut):
            raise NotToBeKeptError(
                f"{self.model.path}: steps of what its frozen part puts out are masked, and masks "
                "are not kept; freeze the layers up to the recurrent or pooling one that makes one "
                "vector of the steps, or train without cache_frozen"
            )

    # ---- what it computes

    def compute(self, inputs: list[Tensor], training: bool) -> list[Tensor]:
        """Return the tensors of the cut for rows."""
        values = self.program.values_of(inputs)
        with no_grad():
            run(self.below, values, training)
        found = [values[number] for number in self.cut]
        self._lengths = [0 if isinstance(one, Tensor) else len(one) for one in found]
        return [x for one in found for x in ([one] if isinstance(one, Tensor) else one)]

    def resume(
        self, tensors: list[Tensor], training: bool, without_activation: list[bool]
    ) -> list[Any]:
        """Return the model's outputs for the tensors of the cut; see `TrainableModel.forward`."""
        left = iter(tensors)
        values: Values = {
            number: [next(left) for _ in range(length)] if length else next(left)
            for number, length in zip(self.cut, self._lengths, strict=True)
        }
        outputs = self.program.outputs
        plain = {number for number, flag in zip(outputs, without_activation, strict=True) if flag}
        run(self.above, values, training, plain)
        found = [values[number] for number in outputs]
        if self.program.is_chain and isinstance(found[0], (list, tuple)):
            found = list(found[0])
        return found

    def described(self) -> dict[str, str]:
        """Return what the outputs follow from, beside the data: layers and their variables."""
        found = {
            f"use {number}": f"{use.layer!r}: {use.takes} to {use.makes}"
            + ("" if use.node is None else f", {use.node.arguments!r}")
            for number, use in enumerate(self.below)
        }
        return {**found, "cut": str(self.cut), "variables": self.digest}

    # ---- whether it still is the frozen part

    def is_current(self) -> bool:
        """Tell whether it would come out the same now, with the same values."""
        if module_tree(self.model) is not self.tree:
            found = [use.layer for use in lower_uses(Program(self.model))]
            trees = [module_tree(use.layer) for use in self.below]
            same = len(found) == len(self._candidates)
            if not same or not all(map(operator.is_, found, self._candidates)):
                return False
            if not all(map(operator.is_, trees, self.trees)):
                return False
            self.tree = module_tree(self.model)
        now = self._read()
        if len(now) != len(self._settings) or not all(map(operator.is_, now, self._settings)):
            return False
        versions = _core.versions(self.tensors)
        if versions != self._versions:
            if self._digest() != self.digest:
                return False
            # Somebody has put the same values there, as a checkpoint does.
            self._versions = versions
        return True

    def _read(self) -> list[Any]:
        """Return the settings of the layers, to be compared by identity."""
        return settings_of([one for tree in self.trees for one in tree.reads])

    def _digest(self) -> str:
        """Return a digest of all variables."""
        digest = hashlib.blake2b(digest_size=16)
        with _core.Access(self.tensors):
            values = [np.atleast_1d(tensor.detach().numpy()) for tensor in self.tensors]
            digest_of(values, digest.update)
        return digest.hexdigest()


def run(
    uses: list[Use], values: Values, training: bool, plain: set[int] | frozenset[int] = frozenset()
) -> None:
    """Run uses of layers, those that make `plain` values without their activations."""
    before, call_context.training = call_context.training, training
    try:
        for use in uses:
            use.run(values, without_activation=not plain.isdisjoint(use.makes))
    finally:
        call_context.training = before


# ---- what belongs to it


def lower_uses(program: Program) -> list[Use]:
    """Return the uses that belong to the frozen part, unless they make noise."""
    outputs = set(program.outputs)
    known = set(program.inputs)
    found = []
    for use in program.uses:
        if known.issuperset(use.takes) and outputs.isdisjoint(use.makes) and is_still(use.layer):
            found.append(use)
            known.update(use.makes)
    return found


def is_still(layer: Layer) -> bool:
    """Tell whether nothing in a layer trains or changes, and no penalty is laid on its outputs."""
    for _, module in module_tree(layer).layers:
        state = state_of(module)
        if getattr(module, "activity_regularizer", None) is not None:
            return False
        if getattr(module, "stateful", False):
            return False
        if not state.trainable or not state.weights:
            continue
        if any(weight.trainable for weight in state.weights):
            return False
        # What a layer keeps besides it may change by itself, as moving statistics.
        if isinstance(module, BatchNormalization) or not is_own(type(module)):
            return False
    return True


def noisy_uses(program: Program, uses: list[Use], inputs: list[Tensor]) -> dict[int, list[Any]]:
    """Return, by the identity of their uses, the layers that draw random numbers in training."""
    found: dict[int, list[Any]] = {}
    values = program.values_of(inputs)
    for use in uses:
        streams = [
            (module, stream, stream.draws)
            for _, module in module_tree(use.layer).layers
            for stream in state_of(module).generators.values()
        ]
        try:
            with no_grad():
                run([use], values, training=True)
            drawn = [module for module, stream, draws in streams if stream.draws != draws]
        finally:
            for _, stream, draws in streams:
                stream.draws = draws
        if drawn:
            found[id(use)] = drawn
    return found


def without_noise(model: Model, uses: list[Use], noisy: dict[int, list[Any]]) -> list[Use]:
    """Return the uses that come before all noise; an error where frozen layers make or follow it.

    Noise that comes after all that is frozen belongs to what trains.
    """
    moved: set[int] = set()
    kept, named = [], []
    for use in uses:
        drawn = noisy.get(id(use), [])
        follows = not moved.isdisjoint(use.takes)
        frozen = is_frozen(use.layer)
        if drawn and (frozen or any(not state_of(one).trainable for one in drawn)):
            named += drawn
        elif follows and frozen:
            named += [one for other in uses for one in noisy.get(id(other), [])]
        if drawn or follows:
            moved.update(use.makes)
        else:
            kept.append(use)
    if named:
        paths = ", ".join(dict.fromkeys(one.path for one in named))
        raise NotToBeKeptError(
            f"{model.path}: the outputs of its frozen part differ from step to step, as {paths} "
            "draws random numbers in training; move noise behind all frozen layers and leave it "
            "unfrozen, set its rate to 0, or train without cache_frozen"
        )
    return kept


def is_frozen(layer: Layer) -> bool:
    """Tell whether a layer, or one inside it, has variables that are frozen."""
    return any(state.weights and not state.trainable for state in module_tree(layer).states)


def refuse_rows_that_meet(program: Program, uses: list[Use], inputs: list[Tensor]) -> None:
    """Raise an error where code of users makes of a row what depends on others, or on chance."""
    rows = int(inputs[0].shape[0])
    for training in (True, False):
        together = program.values_of(inputs)
        singly = [program.values_of([x[at : at + 1] for x in inputs]) for at in range(rows)]
        with no_grad():
            for use in uses:
                run([use], together, training)
                for values in singly:
                    run([use], values, training)
                whole = arrays_of(together, use)
                parts = [arrays_of(values, use) for values in singly]
                alike = all(
                    len(one) == rows
                    and one.tobytes() == b"".join(part[at].tobytes() for part in parts)
                    for at, one in enumerate(whole)
                )
                if not alike:
                    raise NotToBeKeptError(
                        f"{use.layer.path}: its output for a row is another one beside other rows, "
                        "or each time, so that it cannot be kept; train without cache_frozen"
                    )


def arrays_of(values: Values, use: Use) -> list[np.ndarray[Any, Any]]:
    """Return what a use has made."""
    made = [values[number] for number in use.makes]
    flat = [x for one in made for x in (one if isinstance(one, (list, tuple)) else [one])]
    return [np.array(x.detach().numpy()) for x in flat]
