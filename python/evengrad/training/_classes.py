"""Targets that are classes: their weights, and rows held out for validation by their shares."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._tensor.random import generator

if TYPE_CHECKING:
    from evengrad.training._data import Array

logger = logging.getLogger("evengrad")


def labels_of(targets: Array) -> Array | None:
    """Return class numbers if targets are classes: integers, zeros and ones, or one-hot rows."""
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 1:
        whole = targets.dtype.kind in "iub" or bool(np.isin(targets, (0, 1)).all())
        return targets.astype(np.int64) if whole else None
    if targets.ndim == 2:
        one_hot = np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
        return targets.argmax(axis=1) if one_hot else None
    return None


def class_weights(class_weight: Any, targets: list[Array]) -> Array:
    """Return the weight of each row's class."""
    if not isinstance(class_weight, dict):
        raise TypeError(
            f"class_weight: expected a dict from class number to weight, got {class_weight!r}"
        )
    if len(targets) != 1:
        raise ValueError("class_weight: expected a model with one output; use sample_weight")
    labels = labels_of(targets[0])
    if labels is None:
        raise ValueError(
            f"class_weight: expected targets that are classes, got shape {targets[0].shape} of "
            f"{targets[0].dtype}; use sample_weight"
        )
    present = np.unique(labels)
    weights = np.ones(labels.shape)
    for name, weight in class_weight.items():
        if name not in present:
            raise ValueError(
                f"class_weight: no rows of class {name!r}; the targets have "
                f"{', '.join(str(label) for label in present[:20])}"
            )
        weights[labels == name] = weight
    check_weights(weights, "class_weight")
    return weights


def check_weights(weights: Array, what: str) -> None:
    """Raise a ValueError for weights that are negative or not finite."""
    if not np.isfinite(weights).all() or bool((weights < 0).any()):
        raise ValueError(f"{what}: expected finite weights of 0 or more")


# ---- rows that are set aside for validation


def split_rows(
    targets: list[Array], share: float, seed: int, shuffle: bool, stratify: bool | None
) -> tuple[Array, Array]:
    """Return the rows to train on and the rows to validate on, each in ascending order."""
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
