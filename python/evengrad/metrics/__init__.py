"""Metrics, under the names that `metrics=` takes as strings.

``"accuracy"`` chooses the accuracy that fits the loss. A function of targets and predictions that
returns a tensor serves as well; its values are averaged. Functions here return values of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import is_serialized as _is_serialized
from evengrad._common.serialized import serialize as serialize
from evengrad.losses import binary_crossentropy as binary_crossentropy
from evengrad.losses import binary_focal_crossentropy as binary_focal_crossentropy
from evengrad.losses import categorical_crossentropy as categorical_crossentropy
from evengrad.losses import categorical_focal_crossentropy as categorical_focal_crossentropy
from evengrad.losses import categorical_hinge as categorical_hinge
from evengrad.losses import hinge as hinge
from evengrad.losses import huber as huber
from evengrad.losses import kl_divergence as kl_divergence
from evengrad.losses import log_cosh as log_cosh
from evengrad.losses import mean_absolute_error as mean_absolute_error
from evengrad.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from evengrad.losses import mean_squared_error as mean_squared_error
from evengrad.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from evengrad.losses import poisson as poisson
from evengrad.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from evengrad.losses import squared_hinge as squared_hinge
from evengrad.losses._functions import class_of as _class_of
from evengrad.losses._loss import Loss as _Loss
from evengrad.metrics._accuracy import Accuracy as Accuracy
from evengrad.metrics._accuracy import BinaryAccuracy as BinaryAccuracy
from evengrad.metrics._accuracy import CategoricalAccuracy as CategoricalAccuracy
from evengrad.metrics._accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from evengrad.metrics._accuracy import (
    SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy,
)
from evengrad.metrics._accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from evengrad.metrics._accuracy import binary_accuracy as binary_accuracy
from evengrad.metrics._accuracy import categorical_accuracy as categorical_accuracy
from evengrad.metrics._accuracy import sparse_categorical_accuracy as sparse_categorical_accuracy
from evengrad.metrics._accuracy import (
    sparse_top_k_categorical_accuracy as sparse_top_k_categorical_accuracy,
)
from evengrad.metrics._accuracy import top_k_categorical_accuracy as top_k_categorical_accuracy
from evengrad.metrics._auc import AUC as AUC
from evengrad.metrics._confusion import ConfusionMatrix as ConfusionMatrix
from evengrad.metrics._confusion import Precision as Precision
from evengrad.metrics._confusion import Recall as Recall
from evengrad.metrics._counts import FalseNegatives as FalseNegatives
from evengrad.metrics._counts import FalsePositives as FalsePositives
from evengrad.metrics._counts import TrueNegatives as TrueNegatives
from evengrad.metrics._counts import TruePositives as TruePositives
from evengrad.metrics._entropies import BCE as BCE
from evengrad.metrics._entropies import KLD as KLD
from evengrad.metrics._entropies import BinaryCrossentropy as BinaryCrossentropy
from evengrad.metrics._entropies import CategoricalCrossentropy as CategoricalCrossentropy
from evengrad.metrics._entropies import CategoricalHinge as CategoricalHinge
from evengrad.metrics._entropies import Hinge as Hinge
from evengrad.metrics._entropies import KLDivergence as KLDivergence
from evengrad.metrics._entropies import Poisson as Poisson
from evengrad.metrics._entropies import (
    SparseCategoricalCrossentropy as SparseCategoricalCrossentropy,
)
from evengrad.metrics._entropies import SquaredHinge as SquaredHinge
from evengrad.metrics._epoch import EpochMetric as EpochMetric
from evengrad.metrics._epoch import from_sklearn as from_sklearn
from evengrad.metrics._f_scores import F1Score as F1Score
from evengrad.metrics._f_scores import FBetaScore as FBetaScore
from evengrad.metrics._means import Mean as Mean
from evengrad.metrics._means import Sum as Sum
from evengrad.metrics._metric import MeanMetric as MeanMetric
from evengrad.metrics._metric import Metric as Metric
from evengrad.metrics._of_losses import LossMetric as _LossMetric
from evengrad.metrics._of_losses import MeanMetricWrapper as MeanMetricWrapper
from evengrad.metrics._of_losses import TrainingLoss as _TrainingLoss
from evengrad.metrics._operating_points import PrecisionAtRecall as PrecisionAtRecall
from evengrad.metrics._operating_points import RecallAtPrecision as RecallAtPrecision
from evengrad.metrics._operating_points import SensitivityAtSpecificity as SensitivityAtSpecificity
from evengrad.metrics._operating_points import SpecificityAtSensitivity as SpecificityAtSensitivity
from evengrad.metrics._regression import MAE as MAE
from evengrad.metrics._regression import MAPE as MAPE
from evengrad.metrics._regression import MSE as MSE
from evengrad.metrics._regression import MSLE as MSLE
from evengrad.metrics._regression import RMSE as RMSE
from evengrad.metrics._regression import CosineSimilarity as CosineSimilarity
from evengrad.metrics._regression import LogCoshError as LogCoshError
from evengrad.metrics._regression import MeanAbsoluteError as MeanAbsoluteError
from evengrad.metrics._regression import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from evengrad.metrics._regression import MeanSquaredError as MeanSquaredError
from evengrad.metrics._regression import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from evengrad.metrics._regression import R2Score as R2Score
from evengrad.metrics._regression import RootMeanSquaredError as RootMeanSquaredError

if TYPE_CHECKING:
    from collections.abc import Mapping


# Stand for the accuracy that fits the loss and the targets.
ACCURACIES = ("accuracy", "acc")
# Bases, and what is made of a function or takes values: none that a name alone stands for.
_UNNAMED = ("epoch_metric", "mean", "mean_metric", "mean_metric_wrapper", "sum")


def _offered() -> dict[str, Any]:
    """Return the metrics by the names that stand for them; None for the accuracies."""
    known = {**_public_names(globals(), Metric), **dict.fromkeys(ACCURACIES)}
    return {name: kind for name, kind in known.items() if name not in _UNNAMED}


def get(metric: Any, argument: str = "metrics") -> Metric:
    """Return the metric with that name; a metric is returned as it is, a function is wrapped.

    Parameters
    ----------
    metric
        A name, what `serialize` returned, a `Metric`, a `losses.Loss`, or a function of targets and
        predictions. The functions of `losses` stand for the metrics of these, where there are such.
    argument
        The argument that an error names.

    Raises
    ------
    ValueError
        No metric has that name; the message lists them.
    TypeError
        None of these.

    Examples
    --------
    >>> eg.metrics.get("mae").name
    'mae'
    >>> eg.metrics.get(eg.losses.mean_squared_error)
    MeanSquaredError()
    """
    if isinstance(metric, str):
        kind = _look_up(metric, _offered(), argument)
        if kind is None:
            raise ValueError(
                f"{argument}: 'accuracy' is chosen by the loss of a model; outside of one name the "
                "class, such as 'sparse_categorical_accuracy'"
            )
        named: Metric = kind(name=metric)
        return named
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, _Loss):
        return _TrainingLoss(metric)
    if callable(metric) and not isinstance(metric, type):
        return _of_function(metric)
    if _is_serialized(metric):
        return deserialize(metric)
    raise TypeError(
        f"{argument}: expected a name, a Metric or a function, got {_shown_object(metric)}"
    )


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Metric:
    """Return the metric that `serialize` has described.

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
    >>> eg.metrics.deserialize(eg.metrics.serialize(eg.metrics.AUC(curve="PR")))
    AUC(curve='PR')
    """
    made: Metric = _deserialized(config, "metrics", custom_objects)
    return made


def _of_function(function: Any) -> Metric:
    """Return the metric that a function here stands for, or the mean of any other."""
    own = _class_of(function, Metric)
    if own is not None:
        return own()
    kind = _class_of(function, _Loss)
    for one in _offered().values() if kind is not None else ():
        if one is not None and issubclass(one, _LossMetric) and one.is_of(kind):
            made: Metric = one()
            return made
    return MeanMetricWrapper(function)
