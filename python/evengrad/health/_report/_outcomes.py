"""What a trained model makes of data: counts of classes, or residuals, of each output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.arrays import as_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Array = np.ndarray[Any, Any]
# Rows that are predicted at a time, so that their outputs alone are held; and residuals kept.
BLOCK, KEPT = 8192, 100_000


def outcomes_of(history: Any, x: Any, y: Any) -> dict[str, Mapping[str, Any]]:
    """Return the outcome of each output, by its name; "" where there is one alone."""
    if (x is None) != (y is None):
        missing = "y" if y is None else "x"
        raise ValueError(f"x, y: expected both or neither, got no {missing}")
    if x is None:
        outcome = counted_in(history) if history.outcome is None else history.outcome
        return {} if outcome is None else {"": outcome}
    model = getattr(history, "model", None)
    if model is None:
        raise ValueError("x: this history is of no model, which could predict; leave x and y out")
    found: list[_Outcome] = []
    names: list[str] = []
    for outputs, targets in _blocks(model, x, y):
        predicted = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        if not found:
            names = list(getattr(model, "output_names", [])) if len(predicted) > 1 else [""]
            limits = [] if history.settings is None else history.settings.thresholds()
            limits += [None] * (len(predicted) - len(limits))
            found = [_Outcome(limit) for limit in limits]
        for one, p, t in zip(found, predicted, _each(targets, names), strict=True):
            one.add(np.asarray(p), t)
    return {name: one.result() for name, one in zip(names, found, strict=True)}


def counted_in(history: Any) -> dict[str, Any] | None:
    """Return the last confusion matrix that is among the figures, rather that of validation."""
    found = None
    for name, column in history.history.items():
        shape: tuple[int, ...] = np.shape(column[-1]) if column else ()
        if len(shape) == 2 and shape[0] == shape[1] and (found is None or name.startswith("val_")):
            found = {"confusion": column[-1], "labels": list(map(str, range(shape[0])))}
    return found


def _each(targets: Any, names: list[str]) -> list[Array]:
    """Return the targets of each output."""
    if isinstance(targets, dict):
        given = [targets[name] for name in names]
    else:
        given = list(targets) if len(names) > 1 else [targets]
    if len(given) != len(names):
        raise ValueError(f"y: expected targets for {len(names)} outputs, got {len(given)}")
    return [as_array(one, "y") for one in given]


def arrays_in(data: Any) -> list[Any] | None:
    """Return the arrays that data consists of; None where it is not of arrays alone."""
    parts = data.values() if isinstance(data, dict) else data
    parts = list(parts) if isinstance(data, (dict, list, tuple)) else [data]
    return parts if parts and all(isinstance(one, np.ndarray) for one in parts) else None


def cut(data: Any, rows: slice) -> Any:
    """Return some rows of arrays."""
    if isinstance(data, dict):
        return {name: one[rows] for name, one in data.items()}
    return [one[rows] for one in data] if isinstance(data, (list, tuple)) else data[rows]


def _blocks(model: Any, x: Any, y: Any) -> Iterator[tuple[Any, Any]]:
    """Yield predictions and targets: block by block of arrays, all at once of anything else."""
    arrays = arrays_in(x)
    if arrays is None or arrays_in(y) is None:
        yield model.predict(x), y
        return
    rows = len(arrays[0])
    for begin in range(0, rows, BLOCK):
        here = slice(begin, min(begin + BLOCK, rows))
        yield model.predict(cut(x, here)), cut(y, here)


class _Outcome:
    """The outcome of one output, block by block; `limit` is above what it says yes."""

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        # "classes", "binary" or "numbers"; the first block shows it.
        self.kind: str | None = None
        self.counts: Array | None = None
        self.predicted: list[Array] = []
        self.residuals: list[Array] = []
        # Of every so many numbers, one is kept.
        self.every = 1

    def add(self, predicted: Array, targets: Array) -> None:
        """Take in a block."""
        if len(predicted) != len(targets):
            raise ValueError(f"x, y: {len(predicted)} rows of x, but {len(targets)} of y")
        if self.kind is None:
            self.kind = kind_of(predicted, targets, self.limit)
        if self.kind == "numbers":
            self._keep(predicted.astype(np.float64).ravel(), _aligned(targets, predicted))
            return
        if self.kind == "binary":
            taken = (predicted > (0.5 if self.limit is None else self.limit)).ravel()
            true = (_aligned(targets, predicted) > 0.5).astype(np.int64)
            classes = 2
        else:
            taken, classes = predicted.argmax(axis=-1).ravel(), predicted.shape[-1]
            one_hot = targets.shape == predicted.shape
            true = (targets.argmax(axis=-1) if one_hot else targets).ravel().astype(np.int64)
        if self.counts is None:
            self.counts = np.zeros((classes, classes), np.int64)
        # Numbers that stand for no class do not count.
        known = (true >= 0) & (true < classes)
        np.add.at(self.counts, (true[known], taken[known].astype(np.int64)), 1)

    def _keep(self, predicted: Array, targets: Array) -> None:
        """Keep residuals; of many, every second and so on."""
        self.predicted.append(predicted[:: self.every])
        self.residuals.append((targets - predicted)[:: self.every])
        while sum(map(len, self.predicted)) > KEPT:
            self.every *= 2
            self.predicted = [np.concatenate(self.predicted)[::2]]
            self.residuals = [np.concatenate(self.residuals)[::2]]

    def result(self) -> dict[str, Any]:
        """Return the outcome as `History.outcome` has it."""
        if self.counts is not None:
            return {"confusion": self.counts, "labels": list(map(str, range(len(self.counts))))}
        predicted, residuals = np.concatenate(self.predicted), np.concatenate(self.residuals)
        return {"predicted": predicted, "residuals": residuals}


def _aligned(targets: Array, predicted: Array) -> Array:
    if targets.size != predicted.size:
        raise ValueError(
            f"y: expected targets for outputs of shape {predicted.shape}, got {targets.shape}"
        )
    return targets.astype(np.float64).ravel()


def kind_of(predicted: Array, targets: Array, limit: float | None) -> str:
    """Tell what outputs are: "classes", answers of yes and no ("binary"), or "numbers"."""
    size = predicted.shape[-1] if predicted.ndim > 1 else 1
    whole = bool(np.all(targets == np.floor(targets)))
    if size > 1:
        if targets.size == predicted.size // size and predicted.size != targets.size and whole:
            return "classes"
        rows = targets.reshape(-1, size) if targets.size == predicted.size else np.zeros((1, size))
        if bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=-1) == 1).all()):
            return "classes"
    if (
        targets.size == predicted.size
        and bool(np.isin(targets, (-1, 0, 1)).all())
        and (limit is not None or len(np.unique(targets)) == 2)
    ):
        return "binary"
    return "numbers"
