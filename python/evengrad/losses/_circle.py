"""A loss of embeddings, by the classes of their rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad import _core
from evengrad._common.checks import check_float
from evengrad.losses._crossentropy import check_whole
from evengrad.losses._functions import function_of
from evengrad.losses._loss import BY_WEIGHT, Loss
from evengrad.losses._targets import last_column_as

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad._core import Tensor

# Below the logarithm of all that a pair can add to a sum, in float32 too.
NEVER = -1e30


class Circle(Loss):
    """Embeddings of a class come near each other, and far from those of other classes.

    Of rows i and j of a batch, with distances d = 1 − eᵢ · eⱼ, at least 0, and the margin m:

    ln(1 + Σ_same exp(γ · (m + d) · (d − m)) · Σ_other exp(γ · max(0, 1 + m − d) · (1 − m − d))),

    a value for each row, whose weights grow with how far a pair is from where it should be.

    Parameters
    ----------
    gamma
        γ, the scale, at least 0.
    margin
        m, how wide classes may be, at least 0.
    remove_diagonal
        Whether a row is no pair with itself.
    reduction, name
        As for every `Loss`; means are over rows whose value is above 0, as in Keras.

    Raises
    ------
    TypeError
        A setting of another type; from `fit`, labels that are no numbers.
    ValueError
        A setting out of range, an unknown reduction. From a call or `fit`: labels that are not
        whole, shapes that do not fit.

    Notes
    -----
    Targets: whole numbers, (rows,) or (rows, 1). Predictions: embeddings of length 1,
    (rows, features). A row that has no other of its class in the batch, or none of another, has the
    value 0; so batches should hold several rows of each class. Its means over batches depend on
    what is in a batch together.

    References
    ----------
    Sun et al., "Circle loss: a unified perspective of pair similarity optimization", 2020.

    Examples
    --------
    >>> embeddings = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    >>> eg.losses.Circle()([0, 0, 1], embeddings).item() < 0.001
    True
    >>> eg.losses.Circle()([0, 1, 0], embeddings).item() > 10
    True
    """

    _takes_columns = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.gamma = check_float(gamma, "gamma", low=0.0, open_high=True)
        self.margin = check_float(margin, "margin", low=0.0, open_high=True)
        if not isinstance(remove_diagonal, bool):
            raise TypeError(f"remove_diagonal: expected True or False, got {remove_diagonal!r}")
        self.remove_diagonal = remove_diagonal

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """Return a value for each row."""
        rows = y_pred.shape[0]
        distances = (1.0 - y_pred @ y_pred.T).clamp(0.0, math.inf)
        same: Tensor = y_true.reshape(rows, 1) == y_true.reshape(1, rows)
        other: Tensor = y_true.reshape(rows, 1) != y_true.reshape(1, rows)
        near = distances + self.margin
        far = (1.0 + self.margin - distances).relu()
        pull = near * (distances - self.margin) * self.gamma
        push = far * (1.0 - self.margin - distances) * self.gamma
        if self.remove_diagonal:
            itself = _core.tensor(np.diag(np.full(rows, NEVER)), dtype=y_pred.dtype)
            pull = pull + itself
        pulled = _core.where(same, pull, NEVER).logsumexp(1)
        pushed = _core.where(other, push, NEVER).logsumexp(1)
        return (pulled + pushed).softplus()

    def _reduce(self, values: Tensor, weights: Tensor | None = None) -> Tensor:
        if self.reduction in ("sum", "none") or values.size == 0:
            return super()._reduce(values, weights)
        counted = (values.detach() > 0.0).astype(values.dtype)
        if self.reduction == BY_WEIGHT and weights is not None:
            return super()._reduce(values, weights * counted)
        number = counted.sum()
        share = float(values.size) / _core.where(number == 0.0, 1.0, number)
        return super()._reduce(values, weights) * share

    def _fitted(self, targets: Tensor, predictions: Tensor) -> Tensor:
        fitted: Tensor = last_column_as(targets, tuple(predictions.shape[:1]))
        return fitted

    def _check_shapes(self, targets: Tensor, predictions: Tensor) -> None:
        if predictions.ndim != 2 or tuple(targets.shape) != tuple(predictions.shape[:1]):
            raise ValueError(
                f"{self.name}: expected embeddings of shape (rows, features) and a class number "
                f"for each row, got {tuple(predictions.shape)} and {tuple(targets.shape)}"
            )

    def check_target(
        self, y: np.ndarray[Any, Any], output_shape: tuple[int | None, ...], what: str, dtype: str
    ) -> np.ndarray[Any, Any]:
        """Return labels as int64 of shape (rows,)."""
        del dtype
        if len(output_shape) != 2:
            raise ValueError(
                f"{self.name}: expected a model with outputs of shape (rows, features), got "
                f"{output_shape}"
            )
        if y.shape[1:] not in ((), (1,)):
            raise ValueError(f"{what}: expected class numbers of shape (rows,), got {y.shape}")
        if y.dtype.kind not in "fiub":
            raise TypeError(
                f"{what}: expected class numbers, got dtype {y.dtype}; number the classes with "
                "np.unique(y, return_inverse=True)[1]"
            )
        self._check_values(y, 1, what)
        return y.reshape(-1).astype(np.int64)

    def _check_values(self, y: Array, outputs: int, what: str) -> None:
        del outputs
        if y.dtype.kind == "f":
            check_whole(y, what)

    def class_labels(self, y: Array) -> Array:
        """Return the targets, which are class numbers."""
        return y


circle = function_of(
    Circle, "[0, 0, 1], [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]", "[54.4, 134.4, 0.0]"
)
