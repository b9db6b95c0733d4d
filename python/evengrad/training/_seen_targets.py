"""Checks of targets where some are not seen: rows of weight 0, and numbers that are no class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import losses
from evengrad.losses._targets import refuse, without_masked
from evengrad.metrics import SparseCategoricalAccuracy

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.metrics import Metric
    from evengrad.training._objective import OutputHead

# Losses whose targets are amounts; those of others may be shares, in [0, 1].
REGRESSIONS = (
    losses.CosineSimilarity,
    losses.Huber,
    losses.LogCosh,
    losses.MeanAbsoluteError,
    losses.MeanSquaredError,
    losses.Poisson,
)


def fit_seen(
    loss: losses.Loss, y: Array, weight: Array, to_fit: tuple[Any, str, str], unweighted: list[str]
) -> Array:
    """Return targets as a loss wants them, with others in the place of masked ones if need be.

    `to_fit` are the further arguments of `Loss.check_target`, `unweighted` the metrics that would
    count what is masked.
    """
    try:
        return loss.check_target(y, *to_fit)
    except ValueError as error:
        is_seen = weight != 0
        if is_seen.all():
            raise
        filled = without_masked(y, is_seen) if is_seen.any() else valid(y)
        fitted = loss.check_target(filled, *to_fit)
        if unweighted:
            raise ValueError(
                f"{error}. Its weight is 0, but the metric {unweighted[0]!r} counts all rows "
                "alike: compile with it in weighted_metrics, not in metrics"
            ) from error
        return fitted


def seen_targets(ys: list[Array], weights: list[Array | None]) -> list[Array]:
    """Return the targets of each output with others in the place of masked ones."""
    return [
        y if weight is None else without_masked(y, weight != 0)
        for y, weight in zip(ys, weights, strict=True)
    ]


def valid(y: Array) -> Array:
    """Return targets of the same shape that every loss takes: the first class, in all rows."""
    filled = np.zeros(y.shape)
    if y.ndim > 1 and y.shape[-1] > 1:
        filled[..., 0] = 1.0
    return filled


def seen_by_metric(y: Array, output: OutputHead, weight: Array | None) -> Array:
    """Return targets with others in the place of those that a metric passes over; or no rows."""
    ignored = output.ignored_class
    masks = [] if ignored is None else [y != ignored]
    if weight is not None:
        masks.append(weight != 0)
    for seen in masks:
        y = without_masked(y, seen) if seen.any() else y[:0]
    return y


def check_accuracy(metric: Metric, loss: losses.Loss | None, y: Array, what: str) -> None:
    """Raise a ValueError for targets that are no classes, so that none of them would be met."""
    if isinstance(metric, SparseCategoricalAccuracy) or y.dtype.kind not in "fiub":
        return
    bad = (y != 0) & (y != 1) & (y != -1)
    if not isinstance(loss, REGRESSIONS):
        bad &= (y < 0) | (y > 1)
    refuse(
        bad,
        y,
        f"{what}: {metric.name!r} expects classes",
        "for a regression compile with metrics such as 'mean_absolute_error' or 'r2_score'; for "
        "more than two classes give the last layer a unit for each, with "
        'loss="sparse_categorical_crossentropy"',
    )
