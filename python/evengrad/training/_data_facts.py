"""What the first rows of the data tell those who look for trouble."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.health._examination import DataFacts, OutputFacts
from evengrad.losses._crossentropy import CrossEntropy

if TYPE_CHECKING:
    from evengrad.training._data import Prepared

    Array = np.ndarray[Any, Any]

# Rows of the data that facts are taken from.
LOOKED_AT = 1024
# Rows that are looked at in one go.
AT_A_TIME = 2**14
# Beyond this ratio of mean square to variance, half of the digits of a difference would be lost.
FAR = 1e6
# Up to so many different whole numbers are classes.
MOST_CLASSES = 1000


def data_facts(data: Prepared) -> DataFacts:
    """Return what the first rows of the data tell."""
    rows = min(data.rows, LOOKED_AT)
    first = data.taken(slice(0, rows))
    x = np.asarray(first.xs[0])
    flat = x.reshape(len(x), -1) if x.dtype.kind == "f" else np.zeros((len(x), 0))
    mean, std, non_finite = moments_of(flat)
    found = facts_of_targets(np.asarray(first.ys[0]))
    return dataclasses.replace(found, rows=rows, mean=mean, std=std, non_finite_inputs=non_finite)


def outputs_facts(
    losses: list[Any], ys: list[Any], most: int | None = LOOKED_AT
) -> tuple[OutputFacts, ...]:
    """Return what is known of each output of a model with several, by so many rows at most."""
    if len(losses) < 2:
        return ()
    return tuple(
        OutputFacts(
            loss="" if loss is None else type(loss).__name__,
            from_logits=loss.from_logits if isinstance(loss, CrossEntropy) else None,
            data=facts_of_targets(np.asarray(y)[:most]),
        )
        for loss, y in zip(losses, ys, strict=True)
    )


def bad_rows_of(arrays: list[Any]) -> tuple[int, ...]:
    """Return the numbers of the rows with numbers that are not finite."""
    found: set[int] = set()
    for array in arrays:
        given = np.asarray(array)
        if given.dtype.kind != "f" or not given.ndim:
            continue
        for begin in range(0, len(given), AT_A_TIME):
            part = np.isfinite(given[begin : begin + AT_A_TIME])
            if not part.all():
                bad = np.flatnonzero(~part.reshape(len(part), -1).all(axis=1))
                found.update((begin + bad).tolist())
    return tuple(sorted(found))


def facts_of_targets(y: Array) -> DataFacts:
    """Return what targets tell."""
    kind, classes = kind_of_targets(y)
    numbers = y[np.isfinite(y)] if y.dtype.kind == "f" else y
    return DataFacts(
        rows=len(y),
        mean=np.zeros(0),
        std=np.zeros(0),
        non_finite_targets=int((~np.isfinite(y)).sum()) if y.dtype.kind == "f" else 0,
        targets=kind,
        target_mean=float(numbers.mean()) if numbers.size else 0.0,
        target_std=float(numbers.std()) if numbers.size else 0.0,
        target_low=float(numbers.min()) if numbers.size else np.nan,
        target_high=float(numbers.max()) if numbers.size else np.nan,
        classes=classes,
    )


def moments_of(x: Array) -> tuple[Array, Array, int]:
    """Return mean and standard deviation of each column's finite numbers, and how many are not."""
    finite = np.isfinite(x)
    if finite.all():
        mean = x.mean(axis=0, dtype=np.float64)
        square = np.einsum("ij,ij->j", x, x, dtype=np.float64) / max(1, len(x))
        # Where the mean is far off the spread, the difference of squares would not be exact.
        far = square > FAR * (square - mean**2)
        std = np.sqrt(np.maximum(square - mean**2, 0.0))
        std[far] = x[:, far].std(axis=0, dtype=np.float64)
        return mean, std, 0
    shown = np.where(finite, x, 0.0).astype(np.float64)
    count = np.maximum(finite.sum(axis=0), 1)
    mean = shown.sum(axis=0) / count
    apart = np.where(finite, shown - mean, 0.0)
    return mean, np.sqrt((apart**2).sum(axis=0) / count), int((~finite).sum())


def kind_of_targets(y: Array) -> tuple[str, int]:
    """Return what targets are, and of how many classes."""
    columns = y.shape[-1] if y.ndim > 1 else 1
    values = np.sort((y[np.isfinite(y)] if y.dtype.kind == "f" else y).ravel())
    # As np.unique, which imports NumPy's masked arrays: they take longer than a short training.
    values = np.concatenate([values[:1], values[1:][values[1:] != values[:-1]]])
    if columns > 1 and set(values.tolist()) <= {0.0, 1.0}:
        return "classes", columns
    if columns == 1 and set(values.tolist()) <= {0.0, 1.0}:
        return "binary", 2
    if columns == 1 and y.dtype.kind in "iub" and len(values) <= MOST_CLASSES:
        return "classes", int(values.max()) + 1 if len(values) else 0
    return "numbers", 0
