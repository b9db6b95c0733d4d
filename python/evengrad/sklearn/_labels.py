"""Labels of classes as numbers, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

TWO = 2
# Kinds of targets that are checked already, by their name.
CLASSES = ("binary", "multiclass", "multilabel-indicator")


class Labels:
    """Which classes there are, and what a model's outputs stand for.

    Parameters
    ----------
    y
        Targets as scikit-learn has checked them; or the labels of all classes.

    Raises
    ------
    ValueError
        Targets that are no classes, in scikit-learn's words.
    """

    def __init__(self, y: Any) -> None:
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError("Multioutput target data is not supported with label binarization")
        if kind not in CLASSES:
            check_classification_targets(y)
        self.is_sparse = hasattr(y, "tocsr")
        if kind == "multilabel-indicator":
            self.task = "multilabel"
            self.classes: Array = np.arange(y.shape[1])
        else:
            self.classes = np.unique(y)
            self.task = "multiclass" if len(self.classes) > TWO else "binary"

    @property
    def n_outputs(self) -> int:
        """Units that the last layer has."""
        return 1 if self.task == "binary" else len(self.classes)

    def encode(self, y: Any) -> Array:
        """Return targets as numbers: of classes, of yes and no, or a column for each label."""
        if self.task == "multilabel":
            dense = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
            return np.asarray(dense, dtype=np.float32)
        flat = np.asarray(y).reshape(-1)
        numbers: Array = np.searchsorted(self.classes, flat)
        return numbers.astype(np.float32) if self.task == "binary" else numbers

    def decode(self, outputs: Array) -> Any:
        """Return the labels that outputs of the model stand for."""
        if self.task == "multiclass":
            return self.classes.take(outputs.argmax(axis=1))
        if self.task == "binary":
            if len(self.classes) == 1:
                return np.repeat(self.classes, len(outputs))
            return self.classes.take((outputs.reshape(-1) > 0.5).view(np.int8))
        chosen = (outputs > 0.5).astype(np.int64)
        if self.is_sparse:
            from scipy.sparse import csr_matrix

            return csr_matrix(chosen)
        return chosen

    def _found(self, y: Any) -> Any:
        """Return the classes in targets."""
        if getattr(y, "ndim", 1) > 1:
            return np.arange(y.shape[1])
        return np.unique(np.asarray(y))

    def check_known(self, y: Any) -> None:
        """Raise scikit-learn's ValueError for classes that are not among these."""
        found = self._found(y)
        if len(np.setdiff1d(found, self.classes, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' "
                f"has {found}."
            )

    def check_equal(self, y: Any) -> None:
        """Raise scikit-learn's ValueError for other classes than these."""
        found = self._found(y)
        if set(found) != set(self.classes):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes}, `y` has {found}"
            )

    def check_same(self, classes: Any) -> None:
        """Raise scikit-learn's ValueError for another list of all classes."""
        if not np.array_equal(np.unique(np.asarray(classes)), self.classes):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes!r}"
            )
