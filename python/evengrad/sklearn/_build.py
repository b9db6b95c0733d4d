"""Models from an estimator's arguments, with scikit-learn's first values where it has them."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from evengrad._common.config import outside_scopes
from evengrad._common.names import choose
from evengrad._tensor.random import seeds_from
from evengrad.initializers import VarianceScaling
from evengrad.layers import BatchNormalization, Dense, Dropout, Input, Layer, LayerNormalization
from evengrad.models import Model, Sequential
from evengrad.models._network import view_of
from evengrad.models._weights._sklearn import ACTIVATIONS
from evengrad.regularizers import L2

if TYPE_CHECKING:
    from evengrad._common.arrays import Array
    from evengrad.sklearn._meta import ModelMeta

    Values = list[tuple[Array, Array]]

# First values are even over ±√(factor / (inputs + outputs)): scikit-learn takes 2 for the logistic
# function, where Glorot and Bengio's law has 6 for all.
FACTOR, LOGISTIC_FACTOR = 6.0, 2.0
NORMS = {"batch": BatchNormalization, "layer": LayerNormalization}


def dense_layers(model: Model) -> list[Dense]:
    """Return the dense layers of a model, whose variables scikit-learn has as lists."""
    return [layer for layer in model.layers if isinstance(layer, Dense)]


def hidden_sizes(given: Any) -> list[int]:
    """Return the sizes of the hidden layers, or raise scikit-learn's error."""
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if any(size <= 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]


def for_each_layer(given: Any, count: int, argument: str) -> list[Any]:
    """Return an argument's value for each hidden layer, from one for all or a list."""
    if not isinstance(given, (list, tuple)):
        return [given] * count
    if len(given) != count:
        raise ValueError(
            f"{argument}: expected one value, or one for each of the {count} hidden layers, got "
            f"{len(given)}"
        )
    return list(given)


def is_known_to_sklearn(estimator: Any) -> bool:
    """Tell whether first values are those that scikit-learn's perceptrons have."""
    return (
        estimator.model is None
        and isinstance(estimator.kernel_initializer, str)
        and estimator.kernel_initializer == "auto"
        and isinstance(estimator.activation, str)
        and estimator.activation in ACTIVATIONS
    )


def initializer_of(estimator: Any) -> Any:
    """Return the law of first kernels, which is scikit-learn's where it draws them."""
    if not is_known_to_sklearn(estimator):
        return estimator.kernel_initializer
    factor = LOGISTIC_FACTOR if estimator.activation == "logistic" else FACTOR
    return VarianceScaling(factor / FACTOR, "fan_avg", "uniform")


def first_values(estimator: Any, random: Any, n_features: int, n_outputs: int) -> Values | None:
    """Draw kernels and biases as scikit-learn draws them; None where it would not."""
    if not is_known_to_sklearn(estimator):
        return None
    sizes = [n_features, *hidden_sizes(estimator.hidden_layer_sizes), n_outputs]
    factor = LOGISTIC_FACTOR if estimator.activation == "logistic" else FACTOR
    values = []
    for rows, columns in itertools.pairwise(sizes):
        bound = np.sqrt(factor / (rows + columns))
        kernel = random.uniform(-bound, bound, (rows, columns))
        values.append((kernel, random.uniform(-bound, bound, columns)))
    return values


def make_model(estimator: Any, meta: ModelMeta, end: str, seed: int) -> Model:
    """Return a built model that is not compiled."""
    with seeds_from(seed), outside_scopes():
        encoder = estimator.encoder_
        front = None if encoder is None else encoder.input_graph(meta.dtype)
        if estimator.model is not None:
            model = _users_model(estimator.model, meta, front)
        else:
            model = _dense_model(estimator, meta, end, front)
    view_of(model).set_seed(seed)
    return model


def _users_model(function: Any, meta: ModelMeta, front: Any) -> Model:
    model = function(meta)
    if not isinstance(model, Model):
        raise TypeError(
            f"model: expected a function that returns a model of evengrad, it returned {model!r}"
        )
    if not model.built:
        model.build((None, meta.n_features))
    if front is None:
        return model
    inputs, x = front
    return Model(inputs, model(x), dtype=meta.dtype)


def _dense_model(estimator: Any, meta: ModelMeta, end: str, front: Any) -> Model:
    layers = _layers(estimator, meta.n_outputs, end)
    if front is None:
        return Sequential([Input((meta.n_features,), dtype=meta.dtype), *layers], dtype=meta.dtype)
    inputs, x = front
    for layer in layers:
        x = layer(x)
    return Model(inputs, x, dtype=meta.dtype)


def _layers(estimator: Any, n_outputs: int, end: str) -> list[Layer]:
    """Return the layers: hidden ones with what belongs to them, and the output."""
    sizes = hidden_sizes(estimator.hidden_layer_sizes)
    count = len(sizes)
    activations = for_each_layer(estimator.activation, count, "activation")
    norms = for_each_layer(estimator.norm, count, "norm")
    rates = for_each_layer(estimator.dropout, count, "dropout")
    shared = {
        "kernel_initializer": initializer_of(estimator),
        "kernel_regularizer": penalty_of(estimator),
        "kernel_constraint": estimator.kernel_constraint,
    }
    layers: list[Layer] = []
    for units, name, norm, rate in zip(sizes, activations, norms, rates, strict=True):
        activation = activation_of(name)
        layers.append(Dense(units, activation, norm=norm_of(norm), **shared))
        if rate:
            layers.append(Dropout(rate))
    return [*layers, Dense(n_outputs, ACTIVATIONS[end], **shared)]


def norm_of(given: Any) -> Layer | None:
    """Return a new layer that normalizes, from its name or one that stands as its pattern."""
    if isinstance(given, str):
        return NORMS[choose(given, NORMS, "norm")]()
    norm: Layer | None = copy.deepcopy(given)
    return norm


def activation_of(given: Any) -> Any:
    """Return an activation as layers take it, from scikit-learn's name or ours."""
    if isinstance(given, str) and given in ACTIVATIONS:
        return ACTIVATIONS[given]
    return copy.deepcopy(given)


def penalty_of(estimator: Any) -> Any:
    """Return the penalty on kernels: of the user, else scikit-learn's of `alpha`."""
    if estimator.kernel_regularizer is not None:
        return estimator.kernel_regularizer
    return L2(float(estimator.alpha), convention="scikit-learn") if estimator.alpha else None
