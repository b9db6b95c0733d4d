"""Losses, under the names that `loss=` takes as strings.

A function of targets and predictions that returns a tensor serves as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import is_serialized as _is_serialized
from evengrad._common.serialized import serialize as serialize
from evengrad.losses._circle import Circle as Circle
from evengrad.losses._crossentropy import BinaryCrossentropy as BinaryCrossentropy
from evengrad.losses._crossentropy import CategoricalCrossentropy as CategoricalCrossentropy
from evengrad.losses._crossentropy import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from evengrad.losses._focal import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from evengrad.losses._focal import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from evengrad.losses._generalized import (
    CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy,
)
from evengrad.losses._hinge import CategoricalHinge as CategoricalHinge
from evengrad.losses._hinge import Hinge as Hinge
from evengrad.losses._hinge import SquaredHinge as SquaredHinge
from evengrad.losses._loss import FunctionLoss as _FunctionLoss
from evengrad.losses._loss import Loss as Loss
from evengrad.losses._overlap import Dice as Dice
from evengrad.losses._overlap import Tversky as Tversky
from evengrad.losses._probabilistic import KLD as KLD
from evengrad.losses._probabilistic import KLDivergence as KLDivergence
from evengrad.losses._probabilistic import Poisson as Poisson
from evengrad.losses._regression import MAE as MAE
from evengrad.losses._regression import MSE as MSE
from evengrad.losses._regression import CosineSimilarity as CosineSimilarity
from evengrad.losses._regression import Huber as Huber
from evengrad.losses._regression import LogCosh as LogCosh
from evengrad.losses._regression import MeanAbsoluteError as MeanAbsoluteError
from evengrad.losses._regression import MeanSquaredError as MeanSquaredError
from evengrad.losses._relative import MAPE as MAPE
from evengrad.losses._relative import MSLE as MSLE
from evengrad.losses._relative import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from evengrad.losses._relative import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from evengrad.losses._uncertainty import (
    GaussianNegativeLogLikelihood as GaussianNegativeLogLikelihood,
)
from evengrad.losses._uncertainty import Pinball as Pinball
from evengrad.losses._uncertainty import Quantile as Quantile

if TYPE_CHECKING:
    from collections.abc import Mapping


def get(loss: Any, argument: str = "loss") -> Loss:
    """Return the loss with that name; a loss is returned as it is, a function is wrapped.

    Parameters
    ----------
    loss
        A name, what `serialize` returned, a `Loss`, or a function of targets and predictions.
    argument
        The argument that an error names.

    Raises
    ------
    ValueError
        No loss has that name; the message lists them.
    TypeError
        None of the three.

    Examples
    --------
    >>> eg.losses.get("mse")
    MeanSquaredError()
    """
    if isinstance(loss, str):
        return _look_up(loss, _public_names(globals(), Loss), argument)()
    if isinstance(loss, Loss):
        return loss
    if callable(loss) and not isinstance(loss, type):
        return _FunctionLoss(loss)
    if _is_serialized(loss):
        return deserialize(loss)
    raise TypeError(f"{argument}: expected a name, a Loss or a function, got {_shown_object(loss)}")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Loss:
    """Return the loss that `serialize` has described.

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
    >>> eg.losses.deserialize(eg.losses.serialize(eg.losses.Huber(0.5)))
    Huber(0.5)
    """
    made: Loss = _deserialized(config, "losses", custom_objects)
    return made
