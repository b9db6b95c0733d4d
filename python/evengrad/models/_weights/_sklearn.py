"""Weights of scikit-learn's multilayer perceptrons."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad.saving._weight_file import FileArray, FileLayer, WeightFile

if TYPE_CHECKING:
    from evengrad._common.arrays import Array

# scikit-learn's names of activations, with ours.
ACTIVATIONS = {
    "identity": None,
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "softmax": "softmax",
    "exp": "exponential",
}


def is_estimator(value: Any) -> bool:
    """Tell whether something is an estimator, rather than the path of a file."""
    return hasattr(value, "get_params") and hasattr(value, "fit")


def check_fitted(estimator: Any) -> None:
    """Raise an error for what is no perceptron, or not fitted."""
    name = type(estimator).__name__
    if not is_estimator(estimator) or not hasattr(estimator, "hidden_layer_sizes"):
        raise TypeError(
            f"estimator: expected scikit-learn's MLPClassifier or MLPRegressor, got {name}"
        )
    if not all(hasattr(estimator, part) for part in ("coefs_", "intercepts_", "out_activation_")):
        raise ValueError(f"estimator: the {name} is not fitted; call its fit first")


def activations_of(estimator: Any) -> list[str | None]:
    """Return our names of the activations of all layers."""
    names = [estimator.activation] * (len(estimator.coefs_) - 1) + [estimator.out_activation_]
    for name in names:
        if name not in ACTIVATIONS:
            raise ValueError(
                f"estimator: unknown activation {name!r}; known: {', '.join(ACTIVATIONS)}"
            )
    return [ACTIVATIONS[name] for name in names]


def weights_of_estimator(estimator: Any) -> WeightFile:
    """Return the weights of a perceptron as those of a file, in their order."""
    check_fitted(estimator)
    pairs = zip(estimator.coefs_, estimator.intercepts_, strict=True)
    layers = [
        FileLayer(
            str(place),
            {
                "kernel": _array(f"coefs_[{place}]", kernel),
                "bias": _array(f"intercepts_[{place}]", bias),
            },
        )
        for place, (kernel, bias) in enumerate(pairs)
    ]
    return WeightFile(type(estimator).__name__, layers, layout="keras", named=False)


def _array(name: str, given: Any) -> FileArray:
    values: Array = np.asarray(given)
    return FileArray(name, values.shape, values.dtype, functools.partial(np.asarray, values))
