"""How a model is trained, for Keras: loss, metrics, optimizer and its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import losses, metrics
from evengrad.metrics import ACCURACIES
from evengrad.metrics._of_losses import LossMetric
from evengrad.models._keras._objects import OFFERED, listed, written
from evengrad.models._keras._slots import PLACE, first_arrays, slots_of
from evengrad.models._network import heads_of
from evengrad.optimizers._optimizer import counts_of
from evengrad.saving._keras._described import NoCounterpartError
from evengrad.training._endings import PROBABILITIES
from evengrad.training._objective import flat

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor
    from evengrad.models._keras._slots import Slot
    from evengrad.models._keras._written import Written
    from evengrad.models._model import Model
    from evengrad.optimizers import Optimizer
    from evengrad.saving._hdf5._writing import NewGroup
    from evengrad.training._compile_config import CompileConfig


def add_compiled(
    described: dict[str, Any],
    root: NewGroup,
    model: Model,
    whole: Written,
    config: CompileConfig,
    notes: list[str],
) -> None:
    """Add how a model is trained to its configuration, and the optimizer's state to its groups."""
    optimizer = config.optimizer
    try:
        compiled = {
            "optimizer": _optimizer(optimizer),
            "loss": _losses(model, config),
            "loss_weights": listed(config.loss_weights),
            "run_eagerly": config.run_eagerly,
        }
    except NoCounterpartError as error:
        notes.append(f"the model is not compiled there: {error}")
        return
    logits = _logits(model, config)
    for name in ("metrics", "weighted_metrics"):
        compiled[name] = _metrics(getattr(config, name), name, notes, logits)
    described["compile_config"] = compiled
    _add_state(root, whole, model, optimizer)


def _optimizer(optimizer: Optimizer) -> dict[str, Any] | None:
    settings = optimizer.get_config()
    steps = settings.get("gradient_accumulation_steps")
    if steps:
        kind = type(optimizer).__name__
        raise NoCounterpartError(
            f"{kind} with gradient_accumulation_steps={steps}, which Keras 3.0 has not"
        )
    rate = settings["learning_rate"]
    whole = written(optimizer, "optimizers")
    if whole is not None and callable(rate):
        whole["config"]["learning_rate"] = written(rate, "schedules")
    return whole


def _losses(model: Model, config: CompileConfig) -> Any:
    heads = heads_of(model)
    endings = [None if head is None else head.final_activation for head in heads]
    names = model.output_names

    def one(loss: Any, place: int) -> Any:
        if loss is None:
            return None
        made = losses.get(loss)
        described = written(made, "losses")
        takes = "from_logits" in OFFERED["losses"].get(type(made).__name__, ())
        if described is not None and takes and made.from_logits is None:
            ending = endings[place] if place < len(endings) else None
            described["config"]["from_logits"] = ending not in PROBABILITIES
        return described

    given = config.loss
    if isinstance(given, dict):
        return {name: one(loss, names.index(name)) for name, loss in given.items()}
    if isinstance(given, (list, tuple)):
        return [one(loss, place) for place, loss in enumerate(given)]
    if given is not None and len(names) > 1:
        return [one(given, place) for place in range(len(names))]
    return one(given, 0)


def _logits(model: Model, config: CompileConfig) -> str | None:
    """Return the activation whose logits the losses take, where the model gives such; or None."""
    ends = [None if head is None else head.final_activation for head in heads_of(model)]
    if any(end in PROBABILITIES for end in ends):
        return None
    given = [losses.get(one) for one in flat(config.loss)]
    return next((one.fused_activation for one in given if one.fused_activation), None)


def _metrics(given: Any, argument: str, notes: list[str], logits: str | None) -> Any:
    """Return metrics as Keras reads them; those that it has not are noted and left out.

    Entropies that look at the model here are told there whether it makes logits.
    """
    if given is None:
        return None
    if isinstance(given, dict):
        pairs = given.items()
        return {name: _metrics(one, argument, notes, logits) for name, one in pairs}
    found = []
    for one in given if isinstance(given, (list, tuple)) else [given]:
        if isinstance(one, (list, tuple)):
            found.append(_metrics(one, argument, notes, logits))
        elif isinstance(one, str) and one in ACCURACIES:
            found.append(one)
        elif one is not None:
            try:
                found.append(_metric(metrics.get(one), logits))
            except NoCounterpartError as error:
                notes.append(f"{argument}: {error}")
    return found


def _metric(made: metrics.Metric, logits: str | None) -> dict[str, Any]:
    described = written(made, "metrics") or {}
    if isinstance(made, LossMetric) and "from_logits" in OFFERED["metrics"][type(made).__name__]:
        if made.from_logits is None and logits not in (None, made.of_loss().fused_activation):
            raise NoCounterpartError(f"{made.name} of the {logits} of logits is not there")
        if made.from_logits is None:
            described["config"]["from_logits"] = logits is not None
    return described


def _add_state(root: NewGroup, whole: Written, model: Model, optimizer: Optimizer) -> None:
    """Add the arrays of the optimizer, zeros where it has made no step yet."""
    place = root.at(f"{PLACE}/vars")
    place.attributes["name"] = type(optimizer).__name__.lower()
    arrays: list[Any] = [np.array(counts_of(optimizer).iterations, np.int32)]
    if first_arrays(optimizer) > 1:
        arrays.append(np.array(optimizer.get_config()["learning_rate"], np.float32))
    # Nadam's product of rates is left out: releases of Keras have it in different places, and would
    # not load the file. They warn, and Nadam begins anew.
    arrays += [_slot(optimizer, one) for one in slots_of(optimizer, _trained(whole, model))]
    place.arrays.update({str(number): array for number, array in enumerate(arrays)})


def _slot(optimizer: Optimizer, slot: Slot) -> Array:
    """Return the state of a variable; what it begins with where no step was made yet."""
    counts = counts_of(optimizer)
    if counts.iterations + counts.accumulated:
        return np.asarray(optimizer.slots(slot.tensor)[slot.name].numpy())
    first = getattr(optimizer, "initial_accumulator_value", 0.0)
    return np.full(tuple(slot.tensor.shape), first, slot.tensor.dtype)


def _trained(whole: Written, model: Model) -> list[Tensor]:
    """Return the variables that training changes, in Keras' order, each once."""
    trained = {id(tensor) for tensor in model.trainable_weights}
    inside = [] if whole.model is None else whole.model.variables()
    found = {id(one.tensor): one.tensor for one in inside if one.tensor is not None}
    return [tensor for key, tensor in found.items() if key in trained]
