"""What an estimator tells the function that makes its model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelMeta:
    """What the data asks of a model: given to the function that an estimator's `model` is.

    Parameters
    ----------
    n_features
        Columns of the inputs.
    n_outputs
        Units of the last layer: 1 for two classes, else one for each class, label or target.
    task
        ``"binary"``, ``"multiclass"``, ``"multilabel"`` or ``"regression"``.
    n_classes
        Classes, or labels of a multi-label task; None for regression.
    dtype
        ``"float32"`` or ``"float64"``: what the model is to compute in.

    Examples
    --------
    >>> from evengrad.sklearn import ModelMeta
    >>> meta = ModelMeta(4, 3, "multiclass", 3, "float32")
    >>> layers = [eg.layers.Dense(8, "relu"), eg.layers.Dense(meta.n_outputs, "softmax")]
    >>> model = eg.Sequential([eg.Input((meta.n_features,)), *layers], dtype=meta.dtype)
    """

    n_features: int
    n_outputs: int
    task: str
    n_classes: int | None
    dtype: str
