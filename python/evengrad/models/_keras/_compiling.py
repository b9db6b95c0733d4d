"""How a model was trained, out of Keras' configuration: loss, metrics, optimizer and its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import losses
from evengrad._common.names import snake_case
from evengrad.models._keras._objects import OFFERED, read
from evengrad.models._keras._slots import PLACE, WITH_MEMORY, first_arrays, slots_of
from evengrad.optimizers._optimizer import Counts, counts_of, set_counts
from evengrad.saving._errors import FileFormatError
from evengrad.saving._keras._arrays import values_of
from evengrad.saving._keras._described import NoCounterpartError, plain
from evengrad.saving._keras._groups import arrays_in

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor
    from evengrad.models._keras._reading_layers import Reader
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer
    from evengrad.saving._hdf5._reading import ArrayInFile, Group
    from evengrad.saving._keras._parts import Part

# What goes wrong with arguments that are ours in name alone.
UNFIT = (NoCounterpartError, TypeError, ValueError, AttributeError, LookupError)
# Losses of probabilities in Keras, unless they are told otherwise.
OF_PROBABILITIES = {
    snake_case(name): name for name in OFFERED["losses"] if name.endswith("Crossentropy")
}
# As many factors below 1 have a product of 0.
MOST_FACTORS = 10_000_000
# More steps than anybody makes.
COUNT_LIMIT = 2**62


def compile_as_described(
    model: Model, part: Part, described: Any, root: Group, reader: Reader
) -> None:
    """Compile a model as Keras' was; what has no counterpart is left out and noted."""
    if not isinstance(described, dict):
        raise FileFormatError(f"{reader.shown}: config.json: compile_config is no table")
    try:
        optimizer = read(described.get("optimizer"), "optimizers", reader.own)
        loss = _mapped(described.get("loss"), lambda one: _loss(one, reader))
        if optimizer is None:
            raise NoCounterpartError("there is no optimizer")
        model.compile(
            optimizer,
            loss,
            _metrics(described, "metrics", reader),
            weighted_metrics=_metrics(described, "weighted_metrics", reader),
            loss_weights=plain(described.get("loss_weights")),
            run_eagerly=described.get("run_eagerly") is True,
        )
    except UNFIT as error:
        reader.notes.append(f"the model is not compiled: {error}")
        return
    _take_state(model, part, root, reader)


def _mapped(described: Any, one: Any) -> Any:
    """Return what a list or a table of descriptions stands for, to any depth."""
    described = plain(described)
    if isinstance(described, list):
        return [_mapped(item, one) for item in described]
    if isinstance(described, dict) and "class_name" not in described:
        return {name: _mapped(item, one) for name, item in described.items()}
    return one(described)


def _loss(described: Any, reader: Reader) -> Any:
    made = read(described, "losses", reader.own)
    if not isinstance(made, str):
        return made
    kind = OF_PROBABILITIES.get(made)
    if kind is not None:
        return getattr(losses, kind)(from_logits=False)
    return losses.get(made)


def _metrics(described: dict[str, Any], key: str, reader: Reader) -> Any:
    """Return metrics; those that have no counterpart are noted and left out."""
    missing = object()

    def one(metric: Any) -> Any:
        try:
            return read(metric, "metrics", reader.own)
        except UNFIT as error:
            reader.notes.append(f"{key}: {error}")
            return missing

    def kept(value: Any) -> Any:
        if isinstance(value, list):
            return [kept(item) for item in value if item is not missing]
        if isinstance(value, dict):
            return {name: kept(item) for name, item in value.items() if item is not missing}
        return None if value is missing else value

    return kept(_mapped(described.get(key), one))


def _take_state(model: Model, part: Part, root: Group, reader: Reader) -> None:
    """Give the optimizer its state, if the arrays are those that its settings ask for."""
    group = root.groups.get(PLACE)
    arrays = [] if group is None else arrays_in(group, "")
    optimizer = model.optimizer
    first = first_arrays(optimizer)
    if not arrays:
        return
    memory, arrays = _without_memory(optimizer, arrays, first)
    slots = slots_of(optimizer, _trained(model, part))
    shapes = [tuple(slot.tensor.shape) for slot in slots]
    found = [array.dataset.shape for array in arrays[first:]]
    steps = arrays[0].dataset.read()
    whole = found == shapes and steps.shape == () and steps.dtype.kind in "iu"
    whole = whole and (memory is None or bool(np.isfinite(memory)))
    if not whole or optimizer.gradient_accumulation_steps or not 0 <= int(steps) < COUNT_LIMIT:
        reader.notes.append(
            f"the state of {type(optimizer).__name__}: its arrays are not those that the "
            "configuration asks for, so that it begins anew"
        )
        return
    if int(steps) == 0:
        return
    values = [values_of(reader.shown, array) for array in arrays[first:]]
    for slot, value in zip(slots, values, strict=True):
        _put(optimizer, slot.tensor, slot.name, value)
    kept = _memory(optimizer, int(steps)) if memory is None else float(memory)
    set_counts(optimizer, Counts(int(steps), 0, kept))


def _memory(optimizer: Any, steps: int) -> float:
    """Return the number that a rule keeps, as it follows from the steps that were made."""
    if type(optimizer).__name__ != WITH_MEMORY:
        return counts_of(optimizer).memory
    numbers = np.arange(1, min(steps, MOST_FACTORS) + 1)
    return float(np.prod(optimizer.beta_1 * (1.0 - 0.5 * 0.96**numbers)))


def _put(optimizer: Optimizer, tensor: Tensor, name: str, value: Array) -> None:
    slot = optimizer.slots(tensor)[name]
    slot.copy_(np.asarray(value, dtype=slot.dtype, order="C"))


def _without_memory(
    optimizer: Optimizer, arrays: list[ArrayInFile], first: int
) -> tuple[Array | None, list[ArrayInFile]]:
    """Return the number that a rule keeps beside its slots, and the arrays without it.

    Keras 3.0 has it in front of the slots, Keras 3.15 behind, and files that are written here not.
    """
    if type(optimizer).__name__ != WITH_MEMORY:
        return None, arrays
    for place, array in enumerate(arrays):
        if place >= first and array.dataset.shape == () and array.dataset.dtype.kind == "f":
            return array.dataset.read(), [*arrays[:place], *arrays[place + 1 :]]
    return None, arrays


def _trained(model: Model, part: Part) -> list[Tensor]:
    """Return the variables that training changes, in Keras' order."""
    tensors = dict(model.named_weights())
    trained = {id(tensor) for tensor in model.trainable_weights}
    found: dict[int, Tensor] = {}
    for path, one in part.walk():
        for name in one.variables.names:
            tensor = tensors[f"{path}/{name}"]
            if id(tensor) in trained:
                found.setdefault(id(tensor), tensor)
    return [*found.values()]
