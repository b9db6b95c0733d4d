"""Optimizers, under the names that `optimizer=` takes as strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import is_serialized as _is_serialized
from evengrad._common.serialized import serialize as serialize
from evengrad.optimizers import schedules as schedules
from evengrad.optimizers._adadelta import Adadelta as Adadelta
from evengrad.optimizers._adagrad import Adagrad as Adagrad
from evengrad.optimizers._adam import Adam as Adam
from evengrad.optimizers._adam import AdamW as AdamW
from evengrad.optimizers._adamax import Adamax as Adamax
from evengrad.optimizers._groups import ParameterGroup as ParameterGroup
from evengrad.optimizers._lion import Lion as Lion
from evengrad.optimizers._nadam import Nadam as Nadam
from evengrad.optimizers._optimizer import Optimizer as Optimizer
from evengrad.optimizers._rates import layerwise_decay as layerwise_decay
from evengrad.optimizers._rmsprop import RMSprop as RMSprop
from evengrad.optimizers._sgd import SGD as SGD

if TYPE_CHECKING:
    from collections.abc import Mapping


def get(optimizer: Any) -> Optimizer:
    """Return a new optimizer with that name and its defaults; an optimizer is returned as it is.

    Parameters
    ----------
    optimizer
        A name, what `serialize` returned, or an `Optimizer`.

    Raises
    ------
    ValueError
        No optimizer has that name; the message lists them.
    TypeError
        Neither a string nor an optimizer.

    Examples
    --------
    >>> eg.optimizers.get("sgd").learning_rate
    0.01
    """
    if isinstance(optimizer, str):
        return _look_up(optimizer, _public_names(globals(), Optimizer), "optimizer")()
    if isinstance(optimizer, Optimizer):
        return optimizer
    if _is_serialized(optimizer):
        return deserialize(optimizer)
    raise TypeError(f"optimizer: expected a name or an Optimizer, got {_shown_object(optimizer)}")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
    """Return the optimizer that `serialize` has described.

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
    >>> eg.optimizers.deserialize(eg.optimizers.serialize(eg.optimizers.SGD(0.1, momentum=0.9)))
    SGD(learning_rate=0.1, momentum=0.9)
    """
    made: Optimizer = _deserialized(config, "optimizers", custom_objects)
    return made
