"""What is learnt: classes or numbers, with the losses and scores that belong to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.losses import (
    BinaryCrossentropy,
    Loss,
    MeanSquaredError,
    Poisson,
    SparseCategoricalCrossentropy,
)
from evengrad.sklearn._labels import Labels
from evengrad.sklearn._outputs import outputs_of

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.models import Model
    from evengrad.sklearn._data import Rows

# The activation that a loss wants at the end, by scikit-learn's name.
ENDS = {"binary": "logistic", "multilabel": "logistic", "multiclass": "softmax"}
ENDS_OF_LOSSES = {"squared_error": "identity", "poisson": "exp"}
# Weights of rows are shares: what they add up to changes nothing.
REDUCTION = "mean_with_sample_weight"
# The figure that scikit-learn's loss is found by, where there are several targets.
SQUARES = "mean_squared_error"


class Classification:
    """Classes, or labels that do not exclude each other.

    Parameters
    ----------
    label_smoothing
        The share of targets that is spread over the classes.
    """

    is_numeric = False
    labels: Labels

    def __init__(self, label_smoothing: float) -> None:
        self.label_smoothing = float(label_smoothing)

    def learn(self, y: Any, classes: Any) -> None:
        """Find the classes, in targets or in a list of them all."""
        self.labels = Labels(y)
        if classes is not None and self.labels.task != "multilabel":
            self.labels = Labels(np.asarray(classes).reshape(-1))
            self.labels.check_known(y)

    def go_on(self, y: Any, classes: Any, *, incremental: bool) -> None:
        """Check that targets are of the classes that there were."""
        if classes is not None:
            self.labels.check_same(classes)
        if incremental:
            self.labels.check_known(y)
        else:
            self.labels.check_equal(y)

    @property
    def name(self) -> str:
        """What `ModelMeta` calls it."""
        return self.labels.task

    @property
    def n_outputs(self) -> int:
        """Units of the last layer."""
        return self.labels.n_outputs

    @property
    def n_classes(self) -> int | None:
        """How many classes or labels there are."""
        return len(self.labels.classes)

    @property
    def out_activation(self) -> str:
        """The activation of the last layer, by scikit-learn's name."""
        return ENDS[self.labels.task]

    def encode(self, y: Any) -> Array:
        """Return targets as numbers."""
        return self.labels.encode(y)

    def loss(self) -> tuple[Loss, float, list[Loss]]:
        """Return the loss, its factor, and the metrics that are tracked beside it."""
        smoothing = self.label_smoothing
        if self.name == "multiclass":
            return SparseCategoricalCrossentropy(None, None, REDUCTION, None, smoothing), 1.0, []
        # The sum over labels, where the loss is their mean.
        return BinaryCrossentropy(None, smoothing, REDUCTION), float(self.n_outputs), []

    def reported(self, figures: dict[str, Any], prefix: str = "") -> float:
        """Return the loss as scikit-learn tells it, from the figures of an epoch."""
        return float(figures[f"{prefix}loss"])

    def score(self, model: Model, held: Rows) -> float:
        """Return the accuracy on rows that are held out."""
        outputs = outputs_of(model, held.x)
        right = self.labels.encode(self.labels.decode(outputs)) == held.y
        if right.ndim > 1:
            right = right.all(axis=1)
        return float(np.average(right, weights=held.weights))


class Regression:
    """Numbers.

    Parameters
    ----------
    loss
        ``"squared_error"`` or ``"poisson"``.
    """

    is_numeric = True
    name = "regression"
    n_classes = None
    n_outputs: int

    def __init__(self, loss: str) -> None:
        self.loss_name = loss

    def learn(self, y: Any, classes: Any) -> None:
        """Find the number of targets."""
        del classes
        self.n_outputs = 1 if y.ndim == 1 else y.shape[1]

    def go_on(self, y: Any, classes: Any, *, incremental: bool) -> None:
        """Check that there are as many targets as there were."""
        del classes, incremental
        count = 1 if y.ndim == 1 else y.shape[1]
        if count != self.n_outputs:
            raise ValueError(f"y: expected {self.n_outputs} targets as before, got {count}")

    @property
    def out_activation(self) -> str:
        """The activation of the last layer, by scikit-learn's name."""
        return ENDS_OF_LOSSES[self.loss_name]

    def encode(self, y: Any) -> Array:
        """Return targets as numbers."""
        return np.asarray(y, dtype=None if y.dtype.kind in "fiub" else np.float64)

    def loss(self) -> tuple[Loss, float, list[Loss]]:
        """Return the loss, its factor, and the metrics that are tracked beside it."""
        count = self.n_outputs
        if self.loss_name == "poisson":
            return Poisson(REDUCTION, deviance=True), float(count), []
        squares = MeanSquaredError(REDUCTION, SQUARES)
        return squares, 0.5 * count, [squares] if count > 1 else []

    def reported(self, figures: dict[str, Any], prefix: str = "") -> float:
        """Return the loss as scikit-learn tells it, from the figures of an epoch.

        Of several targets that is the mean of squares, while the gradient is that of the sum.
        """
        squares = float(figures.get(f"{prefix}{SQUARES}", 0.0))
        return float(figures[f"{prefix}loss"]) - 0.5 * (self.n_outputs - 1) * squares

    def score(self, model: Model, held: Rows) -> float:
        """Return R² on rows that are held out; NaN where predictions are not finite."""
        from sklearn.metrics import r2_score

        outputs = outputs_of(model, held.x)
        if not np.isfinite(outputs).all():
            return float("nan")
        return float(r2_score(held.y, outputs, sample_weight=held.weights))
