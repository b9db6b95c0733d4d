"""Schedules: learning rates, and momenta, as functions of the number of steps made so far.

An optimizer takes any function of that number in their place; these are the usual ones. They are
counted from 0, are saved with the model, and reach captured steps without Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import serialize as serialize
from evengrad.optimizers.schedules._cosine import CosineDecay as CosineDecay
from evengrad.optimizers.schedules._cosine import CosineDecayRestarts as CosineDecayRestarts
from evengrad.optimizers.schedules._decay import ExponentialDecay as ExponentialDecay
from evengrad.optimizers.schedules._decay import InverseTimeDecay as InverseTimeDecay
from evengrad.optimizers.schedules._decay import PolynomialDecay as PolynomialDecay
from evengrad.optimizers.schedules._decay import PowerDecay as PowerDecay
from evengrad.optimizers.schedules._decay import StepDecay as StepDecay
from evengrad.optimizers.schedules._one_cycle import OneCycle as OneCycle
from evengrad.optimizers.schedules._one_cycle import OneCycleMomentum as OneCycleMomentum
from evengrad.optimizers.schedules._pieces import Join as Join
from evengrad.optimizers.schedules._pieces import PiecewiseConstantDecay as PiecewiseConstantDecay
from evengrad.optimizers.schedules._pieces import Scaled as Scaled
from evengrad.optimizers.schedules._schedule import Schedule as Schedule  # noqa: TC001 - public

if TYPE_CHECKING:
    from collections.abc import Mapping


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Schedule:
    """Return the schedule that `serialize` has described.

    Parameters
    ----------
    config
        What `serialize` returned: ``{"class_name": ..., "config": ...}``.
    custom_objects
        Your own classes and functions by name.

    Raises
    ------
    ValueError
        An unknown class, or arguments that it does not take.

    Examples
    --------
    >>> schedules = eg.optimizers.schedules
    >>> schedules.deserialize(schedules.serialize(schedules.StepDecay(0.1, 30)))
    StepDecay(0.1, 30)
    """
    made: Schedule = _deserialized(config, "schedules", custom_objects)
    return made
