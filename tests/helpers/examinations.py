"""Examinations with values in closed form, for tests of rules and of what shows findings."""

import numpy as np

from evengrad.health._examination import DataFacts, Examination, LayerFacts, TrainingFacts

# What a healthy layer measures in a healthy step.
HEALTHY = {
    "speed": 0.1,
    "bias_gradient": 0.5,
    "kernel_gradient": 0.5,
    "first_step_gradient": np.nan,
    "last_step_gradient": np.nan,
    "update_ratio": 2e-3,
    "preactivation_mean": 0.0,
    "preactivation_std": 1.0,
    "activation_mean": 0.4,
    "activation_std": 0.6,
    "activation_rms": 0.7,
    "saturated": np.nan,
    "inactive": 0.5,
    "dead": 0.05,
    "non_finite": 0.0,
    "row_spread": 0.6,
    "unit_spread": 0.5,
}
SAMPLES = 40


def facts(depth, *, activation="relu", initializer="HeNormal", units=100, head="softmax", **more):
    """Return the facts of a chain of hidden layers and a head."""
    names = ["dense", *(f"dense_{at}" for at in range(1, depth + 1))]
    hidden = [
        LayerFacts(name, "Dense", activation, initializer, None, units, units, at, **more)
        for at, name in enumerate(names[:-1], 1)
    ]
    last = LayerFacts(
        names[-1], "Dense", head, "GlorotUniform", None, units, 10, depth + 1, head=True
    )
    return (*hidden, last)


def examination(layers=None, *, loss=None, samples=SAMPLES, data=None, training=None, **measures):
    """Return an examination of healthy layers but for some measures.

    A measure is a number, one for each layer, or one for each sample and layer.
    """
    layers = facts(5) if layers is None else layers
    shape = (samples, len(layers))
    values = {name: np.full(shape, value) for name, value in HEALTHY.items()}
    for name, value in measures.items():
        values[name] = np.array(np.broadcast_to(np.asarray(value, np.float64), shape))
    return Examination(
        layers,
        training or TrainingFacts("SGD", 0.01, "sparse_categorical_crossentropy", 32),
        data or digits(),
        np.arange(samples),
        np.arange(samples) // 10,
        values,
        np.linspace(2.3, 1.5, samples) if loss is None else np.asarray(loss, np.float64),
        np.full(samples, 0.01),
        np.full(samples, 2.0),
        np.ones(samples),
    )


def digits(scale=1.0, **more):
    """Return what is known of standardized inputs, times a scale, and of ten classes."""
    given = {"targets": "classes", "target_mean": 4.5, "target_std": 2.87, "classes": 10, **more}
    return DataFacts(1000, np.zeros(64), np.full(64, scale), **given)
