"""Setting rows aside for validation."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._tensor.random import generator
from evengrad.training._arrays import labels_of

if TYPE_CHECKING:
    from evengrad.training._arrays import Array

logger = logging.getLogger("evengrad")


def split_rows(
    targets: list[Array], share: float, seed: int, shuffle: bool, stratify: bool | None
) -> tuple[Array, Array]:
    """Return the rows to train on and the rows to validate on, each in ascending order.

    Raises
    ------
    ValueError
        One of the two would be empty, or `stratify` is asked for and targets are no classes.
    """
    rows = int(targets[0].shape[0])
    count = round(rows * share)
    if not 0 < count < rows:
        raise ValueError(
            f"validation_split: {share:g} of {rows} rows leaves {rows - count} for training and "
            f"{count} for validation; both need at least one"
        )
    labels = labels_of(targets[0]) if len(targets) == 1 else None
    if stratify and labels is None:
        raise ValueError(
            "validation_stratify: expected targets that are classes; leave it out for others"
        )
    if not shuffle:
        chosen = np.arange(rows - count, rows)
        if labels is not None:
            warn_of_missing(labels[chosen], labels)
    else:
        order = np.asarray(generator(seed, "validation_split").permutation(rows))
        chosen = order[:count]
        if labels is not None and stratify is not False:
            chosen = stratified(order, labels, count)
    keep = np.zeros(rows, bool)
    keep[chosen] = True
    return np.flatnonzero(~keep), np.flatnonzero(keep)


def stratified(order: Array, labels: Array, count: int) -> Array:
    """Return `count` rows of a random order in which classes keep their shares.

    Each class gives the whole part of its share; what is left over goes to the largest remainders.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    shares = sizes * (count / len(labels))
    parts = np.floor(shares).astype(np.int64)
    left = count - int(parts.sum())
    parts[np.argsort(parts - shares, kind="stable")[:left]] += 1
    shuffled = labels[order]
    picked = [order[shuffled == label][:part] for label, part in zip(classes, parts, strict=True)]
    return np.concatenate(picked)


def warn_of_missing(validation: Array, labels: Array) -> None:
    """Say so once where the last rows lack a class: the data is sorted."""
    missing = np.setdiff1d(np.unique(labels), np.unique(validation))
    if missing.size:
        logger.warning(
            "validation_split: the last rows have no class %s; the data is sorted, leave "
            "validation_shuffle on",
            ", ".join(str(label) for label in missing[:10]),
        )


def rows_of(arrays: list[Any], rows: Array) -> list[Array]:
    """Return these rows of each array."""
    return [np.asarray(array[rows]) for array in arrays]
