"""Targets that are classes, and rows held out for validation by the classes' shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evengrad._common.advice import advise
from evengrad._tensor.random import generator

if TYPE_CHECKING:
    from evengrad._common.arrays import Array


def labels_by_value(targets: Array) -> Array | None:
    """Return class numbers if targets look like classes: whole numbers, or one-hot rows."""
    if targets.ndim == 2 and targets.shape[1] == 1:
        targets = targets[:, 0]
    if targets.ndim == 1:
        whole = targets.dtype.kind in "iub" or bool((targets == np.floor(targets)).all())
        return targets.astype(np.int64) if whole else None
    if targets.ndim == 2:
        one_hot = np.isin(targets, (0, 1)).all() and (targets.sum(axis=1) == 1).all()
        return targets.argmax(axis=1) if one_hot else None
    return None


def classes_of(labels: Array) -> tuple[Array, Array]:
    """Return the classes that there are, and the place of each label's among them."""
    low = int(labels.min(initial=0))
    if int(labels.max(initial=0)) - low > 4 * labels.size:
        classes, codes = np.unique(labels, return_inverse=True)
        return classes, codes.reshape(labels.shape)
    # Numbers that lie close together need not be sorted.
    shifted = labels - low
    present = np.bincount(shifted.reshape(-1)) > 0
    places = np.cumsum(present) - 1
    return np.flatnonzero(present) + low, places[shifted]


# ---- rows that are set aside for validation


def split_rows(
    rows: int, share: float, seed: int, shuffle: bool, labels: Array | None
) -> tuple[Array, Array]:
    """Return the rows to train on and the rows to validate on, each in ascending order.

    Where there are labels, rows that are drawn have the classes in the shares that all rows have.
    """
    count = round(rows * share)
    if not 0 < count < rows:
        raise ValueError(
            f"validation_split: {share:g} of {rows} rows leaves {rows - count} for training and "
            f"{count} for validation; both need at least one"
        )
    if not shuffle:
        chosen = np.arange(rows - count, rows)
        if labels is not None:
            warn_of_missing(labels[chosen], labels)
    else:
        order = np.asarray(generator(seed, "validation_split").permutation(rows))
        chosen = order[:count] if labels is None else stratified(order, labels, count, seed)
    keep = np.zeros(rows, bool)
    keep[chosen] = True
    return np.flatnonzero(~keep), np.flatnonzero(keep)


def stratified(order: Array, labels: Array, count: int, seed: int) -> Array:
    """Return `count` rows of a random order in which classes keep their shares.

    Each class gives the whole part of its share; what is left over comes from those with the
    largest remainders, of which the seed chooses where they are equal.
    """
    classes, codes = classes_of(labels)
    sizes = np.bincount(codes)
    # In whole numbers, so that equal remainders are equal.
    parts, remainders = np.divmod(sizes * count, len(labels))
    # Training keeps the last row of a class as long as others have some to give.
    is_last = sizes - parts == 1
    drawn = np.asarray(generator(seed, "validation_split.ties").permutation(len(classes)))
    ranking = np.lexsort((drawn, -remainders, is_last))
    parts[ranking[: count - int(parts.sum())]] += 1
    # The rows by class, in random order within each; sorting few classes is one pass.
    few = len(classes) <= np.iinfo(np.uint16).max
    shuffled = codes[order].astype(np.uint16 if few else np.int64)
    by_class = np.argsort(shuffled, kind="stable")
    ranks = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    taken = ranks < np.repeat(parts, sizes)
    return np.asarray(order[by_class[taken]])


def warn_of_missing(validation: Array, labels: Array) -> None:
    """Say so once where the last rows lack a class: the data is sorted."""
    missing = np.setdiff1d(np.unique(labels), np.unique(validation))
    if missing.size:
        advise(
            "validation_split: the last rows have no class %s; the data is sorted, leave "
            "validation_shuffle on",
            ", ".join(str(label) for label in missing[:10]),
        )
