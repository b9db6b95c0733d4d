"""Models of scikit-learn's multilayer perceptrons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import outside_scopes
from evengrad.layers import Dense, Input, Layer
from evengrad.models._network import Network, make_chain
from evengrad.models._weights._load import take
from evengrad.models._weights._sklearn import activations_of, check_fitted, weights_of_estimator

if TYPE_CHECKING:
    from evengrad.models._model import Model


@outside_scopes()
def model_of_estimator(estimator: Any, dtype: str | None) -> Model:
    """Return a model; see `Model.from_sklearn`."""
    check_fitted(estimator)
    trained = getattr(estimator, "model_", None)
    if isinstance(trained, Network):
        # Of this package: the model itself, with all that it is made of.
        return _copy_of(trained, dtype)
    kernels = [np.asarray(kernel) for kernel in estimator.coefs_]
    own = dtype or kernels[0].dtype.name
    stack: list[Layer] = [
        Dense(kernel.shape[1], activation)
        for kernel, activation in zip(kernels, activations_of(estimator), strict=True)
    ]
    model = make_chain([Input((kernels[0].shape[0],), dtype=own), *stack], dtype=own)
    take(model, weights_of_estimator(estimator))
    model.classes_ = getattr(estimator, "classes_", None)
    names = getattr(estimator, "feature_names_in_", None)
    model.feature_names_in_ = None if names is None else list(names)
    return model


def _copy_of(model: Any, dtype: str | None) -> Model:
    """Return a copy of an estimator's own model."""
    if dtype not in (None, model.dtype):
        raise ValueError(
            f"dtype: expected {model.dtype!r}, which the estimator's model_ computes in, or None, "
            f"got {dtype!r}"
        )
    twin: Model = model.clone()
    return twin
