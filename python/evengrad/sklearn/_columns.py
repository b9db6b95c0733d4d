"""Whether the columns of a table are encoded before they come to a net."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evengrad._common.tables import is_table

if TYPE_CHECKING:
    from evengrad.sklearn._encoding import TableEncoder


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
    from sklearn.base import clone

    from evengrad.sklearn._encoding import TableEncoder

    if isinstance(categorical, TableEncoder):
        made: TableEncoder = clone(categorical)
        return made
    dtype = "float32" if estimator.dtype == "auto" else estimator.dtype
    return TableEncoder(categorical, dtype=dtype)
