"""Optimizers, under the names that `optimizer=` takes as strings."""

from __future__ import annotations

from typing import Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
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


def get(optimizer: Any) -> Optimizer:
    """Return a new optimizer with that name and its defaults; an optimizer is returned as it is.

    Parameters
    ----------
    optimizer
        A name, or an `Optimizer`.

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
    raise TypeError(f"optimizer: expected a name or an Optimizer, got {_shown_object(optimizer)}")
