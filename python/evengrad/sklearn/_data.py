"""The data of a fit: checked in scikit-learn's words, and the rows that are held out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from evengrad._common.tables import is_table

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.sklearn._encoding import TableEncoder

FLOATS = (np.float64, np.float32)
LEAST_VALIDATION = 2


@dataclass
class Rows:
    """Inputs as the net takes them, targets as numbers, and weights where there are any."""

    x: Any
    y: Array
    weights: Array | None

    def __len__(self) -> int:
        return len(self.y)

    def triple(self) -> tuple[Any, ...]:
        """Return inputs, targets and weights, as validation data has them."""
        return (self.x, self.y) if self.weights is None else (self.x, self.y, self.weights)

    def dense(self) -> Any:
        """Return the inputs as arrays."""
        return self.x.toarray() if hasattr(self.x, "toarray") else self.x

    def taken(self, rows: Array) -> Rows:
        """Return some of the rows."""
        x = [part[rows] for part in self.x] if isinstance(self.x, list) else self.x[rows]
        weights = None if self.weights is None else self.weights[rows]
        return Rows(x, self.y[rows], weights)


def checked(estimator: Any, x: Any, y: Any, *, reset: bool, numeric: bool) -> tuple[Any, Any]:
    """Return inputs and targets as arrays, or raise scikit-learn's errors.

    Sets what the estimator knows of its columns where `reset`.
    """
    if reset:
        dtype: Any = FLOATS if estimator.dtype == "auto" else np.dtype(estimator.dtype)
    else:
        dtype = np.dtype(estimator.model_.dtype)
    encoder = encoder_for(x, estimator) if reset else estimator.encoder_
    if encoder is not None:
        x, y = _encoded(estimator, encoder, x, y, reset=reset, numeric=numeric)
    else:
        x, y = validate_data(
            estimator,
            x,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=numeric,
            dtype=dtype,
            reset=reset,
        )
    estimator.encoder_ = encoder
    if hasattr(x, "tocsr"):
        # Batches are rows.
        x = x.tocsr()
    if y.ndim > 1 and y.shape[1] == 1:
        y = column_or_1d(y.toarray() if hasattr(y, "toarray") else y, warn=True)
    return x, y


def encoder_for(x: Any, estimator: Any) -> TableEncoder | None:
    """Return a new encoder for a table that needs one; None where numbers go straight through."""
    categorical = estimator.categorical
    if categorical is None:
        return None
    if isinstance(categorical, str) and categorical == "auto":
        # Few tables are looked at more closely than this.
        if not is_table(x):
            return None
        from evengrad.sklearn._table_columns import has_categorical_columns

        if not has_categorical_columns(x, estimator):
            return None
    from evengrad.sklearn._encoding import TableEncoder

    if isinstance(categorical, TableEncoder):
        made: TableEncoder = clone(categorical)
        return made
    dtype = "float32" if estimator.dtype == "auto" else estimator.dtype
    return TableEncoder(categorical, dtype=dtype)


def _encoded(
    estimator: Any, encoder: Any, x: Any, y: Any, *, reset: bool, numeric: bool
) -> tuple[Any, Any]:
    """Return the columns of a table as an encoder makes them, and the targets checked."""
    from evengrad.sklearn._table_columns import check_columns

    parts = encoder.fit_inputs(x) if reset else None
    check_columns(estimator, x, reset=reset)
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None"
        )
    # `validate_data` of y alone would warn that there are no names of columns.
    y = _check_y(y, multi_output=True, y_numeric=numeric, estimator=estimator)
    check_consistent_length(x, y)
    return encoder.inputs(x) if parts is None else parts, y


def weights_of(estimator: Any, x: Any, y: Any, sample_weight: Any) -> Array | None:
    """Return the weights of rows, by themselves and by class; None where all count alike."""
    weights: Array | None = None
    if sample_weight is not None:
        like = x[0] if isinstance(x, list) else x
        weights = _check_sample_weight(sample_weight, like)
    class_weight = getattr(estimator, "class_weight", None)
    if class_weight is not None:
        from sklearn.utils.class_weight import compute_sample_weight

        by_class: Array = compute_sample_weight(class_weight, y)
        weights = by_class if weights is None else weights * by_class
    return weights


def held_out(estimator: Any, rows: Rows, random: Any, task: str) -> tuple[Rows, Rows]:
    """Return the rows to train on and those held out, which have the shares of the classes."""
    from sklearn.model_selection import train_test_split

    count = len(rows)
    share = estimator.validation_fraction
    train, held = train_test_split(
        np.arange(count),
        random_state=random,
        test_size=share,
        stratify=_strata(rows, share, task),
    )
    if len(held) < LEAST_VALIDATION:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    return rows.taken(train), rows.taken(held)


def _strata(rows: Rows, share: float, task: str) -> Array | None:
    """Return what is to be in both parts alike: classes, where each part can have all of them.

    Two classes always, as in scikit-learn, which raises an error where it cannot be.
    """
    if task == "binary":
        return rows.y.reshape(-1, 1).astype(bool)
    if task != "multiclass":
        return None
    counts = np.bincount(rows.y)
    counts = counts[counts > 0]
    held = int(np.ceil(share * len(rows)))
    fits = counts.min() > 1 and min(held, len(rows) - held) >= len(counts)
    return rows.y if fits else None
