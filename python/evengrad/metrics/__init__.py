"""Metrics, under the names that `metrics=` takes as strings.

``"accuracy"`` chooses the accuracy that fits the loss. A function of targets and predictions that
returns a tensor serves as well; its values are averaged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.names import look_up as _look_up
from evengrad._common.names import public_names as _public_names
from evengrad._common.names import shown_object as _shown_object
from evengrad._common.serialized import deserialized as _deserialized
from evengrad._common.serialized import is_serialized as _is_serialized
from evengrad._common.serialized import serialize as serialize
from evengrad.losses._loss import Loss as _Loss
from evengrad.metrics._accuracy import BinaryAccuracy as BinaryAccuracy
from evengrad.metrics._accuracy import CategoricalAccuracy as CategoricalAccuracy
from evengrad.metrics._accuracy import SparseCategoricalAccuracy as SparseCategoricalAccuracy
from evengrad.metrics._accuracy import (
    SparseTopKCategoricalAccuracy as SparseTopKCategoricalAccuracy,
)
from evengrad.metrics._accuracy import TopKCategoricalAccuracy as TopKCategoricalAccuracy
from evengrad.metrics._auc import AUC as AUC
from evengrad.metrics._confusion import ConfusionMatrix as ConfusionMatrix
from evengrad.metrics._confusion import F1Score as F1Score
from evengrad.metrics._confusion import Precision as Precision
from evengrad.metrics._confusion import Recall as Recall
from evengrad.metrics._metric import FunctionMetric as _FunctionMetric
from evengrad.metrics._metric import LossMetric as _LossMetric
from evengrad.metrics._metric import MeanMetric as MeanMetric
from evengrad.metrics._metric import Metric as Metric
from evengrad.metrics._regression import MAE as MAE
from evengrad.metrics._regression import MAPE as MAPE
from evengrad.metrics._regression import MSE as MSE
from evengrad.metrics._regression import RMSE as RMSE
from evengrad.metrics._regression import MeanAbsoluteError as MeanAbsoluteError
from evengrad.metrics._regression import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from evengrad.metrics._regression import MeanSquaredError as MeanSquaredError
from evengrad.metrics._regression import R2Score as R2Score
from evengrad.metrics._regression import RootMeanSquaredError as RootMeanSquaredError

if TYPE_CHECKING:
    from collections.abc import Mapping


# Stand for the accuracy that fits the loss and the targets.
ACCURACIES = ("accuracy", "acc")


def get(metric: Any, argument: str = "metrics") -> Metric:
    """Return the metric with that name; a metric is returned as it is, a function is wrapped.

    Parameters
    ----------
    metric
        A name, what `serialize` returned, a `Metric`, a `losses.Loss`, or a function of targets and
        predictions.
    argument
        The argument that an error names.

    Raises
    ------
    ValueError
        No metric has that name; the message lists them.
    TypeError
        None of the three.

    Examples
    --------
    >>> eg.metrics.get("mae").name
    'mae'
    """
    if isinstance(metric, str):
        known = {**_public_names(globals(), Metric), **dict.fromkeys(ACCURACIES)}
        # A base for users' metrics.
        del known["mean_metric"]
        kind = _look_up(metric, known, argument)
        if kind is None:
            raise ValueError(
                f"{argument}: 'accuracy' is chosen by the loss of a model; outside of one name the "
                "class, such as 'sparse_categorical_accuracy'"
            )
        return kind(name=metric)
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, _Loss):
        return _LossMetric(metric)
    if callable(metric) and not isinstance(metric, type):
        return _FunctionMetric(metric)
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
