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
from evengrad.losses._circle import circle as circle
from evengrad.losses._crossentropy import BCE as BCE
from evengrad.losses._crossentropy import BinaryCrossentropy as BinaryCrossentropy
from evengrad.losses._crossentropy import CategoricalCrossentropy as CategoricalCrossentropy
from evengrad.losses._crossentropy import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from evengrad.losses._crossentropy import bce as bce
from evengrad.losses._crossentropy import binary_crossentropy as binary_crossentropy
from evengrad.losses._crossentropy import categorical_crossentropy as categorical_crossentropy
from evengrad.losses._crossentropy import (
    sparse_categorical_crossentropy as sparse_categorical_crossentropy,
)
from evengrad.losses._focal import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from evengrad.losses._focal import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from evengrad.losses._focal import binary_focal_crossentropy as binary_focal_crossentropy
from evengrad.losses._focal import categorical_focal_crossentropy as categorical_focal_crossentropy
from evengrad.losses._functions import class_of as _class_of
from evengrad.losses._generalized import (
    CategoricalGeneralizedCrossEntropy as CategoricalGeneralizedCrossEntropy,
)
from evengrad.losses._generalized import (
    categorical_generalized_cross_entropy as categorical_generalized_cross_entropy,
)
from evengrad.losses._hinge import CategoricalHinge as CategoricalHinge
from evengrad.losses._hinge import Hinge as Hinge
from evengrad.losses._hinge import SquaredHinge as SquaredHinge
from evengrad.losses._hinge import categorical_hinge as categorical_hinge
from evengrad.losses._hinge import hinge as hinge
from evengrad.losses._hinge import squared_hinge as squared_hinge
from evengrad.losses._loss import FunctionLoss as _FunctionLoss
from evengrad.losses._loss import Loss as Loss
from evengrad.losses._overlap import Dice as Dice
from evengrad.losses._overlap import Tversky as Tversky
from evengrad.losses._overlap import dice as dice
from evengrad.losses._overlap import tversky as tversky
from evengrad.losses._probabilistic import KLD as KLD
from evengrad.losses._probabilistic import KLDivergence as KLDivergence
from evengrad.losses._probabilistic import Poisson as Poisson
from evengrad.losses._probabilistic import kl_divergence as kl_divergence
from evengrad.losses._probabilistic import kld as kld
from evengrad.losses._probabilistic import poisson as poisson
from evengrad.losses._regression import MAE as MAE
from evengrad.losses._regression import MSE as MSE
from evengrad.losses._regression import CosineSimilarity as CosineSimilarity
from evengrad.losses._regression import Huber as Huber
from evengrad.losses._regression import LogCosh as LogCosh
from evengrad.losses._regression import MeanAbsoluteError as MeanAbsoluteError
from evengrad.losses._regression import MeanSquaredError as MeanSquaredError
from evengrad.losses._regression import cosine_similarity as cosine_similarity
from evengrad.losses._regression import huber as huber
from evengrad.losses._regression import log_cosh as log_cosh
from evengrad.losses._regression import mae as mae
from evengrad.losses._regression import mean_absolute_error as mean_absolute_error
from evengrad.losses._regression import mean_squared_error as mean_squared_error
from evengrad.losses._regression import mse as mse
from evengrad.losses._relative import MAPE as MAPE
from evengrad.losses._relative import MSLE as MSLE
from evengrad.losses._relative import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from evengrad.losses._relative import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from evengrad.losses._relative import mape as mape
from evengrad.losses._relative import (
    mean_absolute_percentage_error as mean_absolute_percentage_error,
)
from evengrad.losses._relative import (
    mean_squared_logarithmic_error as mean_squared_logarithmic_error,
)
from evengrad.losses._relative import msle as msle
from evengrad.losses._uncertainty import (
    GaussianNegativeLogLikelihood as GaussianNegativeLogLikelihood,
)
from evengrad.losses._uncertainty import Pinball as Pinball
from evengrad.losses._uncertainty import Quantile as Quantile
from evengrad.losses._uncertainty import (
    gaussian_negative_log_likelihood as gaussian_negative_log_likelihood,
)
from evengrad.losses._uncertainty import pinball as pinball
from evengrad.losses._uncertainty import quantile as quantile

if TYPE_CHECKING:
    from collections.abc import Mapping


def get(loss: Any, argument: str = "loss") -> Loss:
    """Return the loss with that name; a loss is returned as it is, a function is wrapped.

    Parameters
    ----------
    loss
        A name, what `serialize` returned, a `Loss`, or a function of targets and predictions; the
        functions here stand for their classes.
    argument
        The argument that an error names.

    Raises
    ------
    ValueError
        No loss has that name; the message lists them.
    TypeError
        None of these.

    Examples
    --------
    >>> eg.losses.get("mse")
    MeanSquaredError()
    >>> eg.losses.get(eg.losses.huber)
    Huber()
    """
    if isinstance(loss, str):
        return _look_up(loss, _public_names(globals(), Loss), argument)()
    if isinstance(loss, Loss):
        return loss
    if callable(loss) and not isinstance(loss, type):
        kind = _class_of(loss, Loss)
        return _FunctionLoss(loss) if kind is None else kind()
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
    Huber(delta=0.5)
    """
    made: Loss = _deserialized(config, "losses", custom_objects)
    return made
