"""Histories as a training that a doctor watched leaves them, made up by a formula."""

import numpy as np

from evengrad import callbacks
from evengrad.health import Finding, Remedy

SHARES = ("saturated", "inactive", "dead", "non_finite")
MEASURES = (
    "speed",
    "bias_gradient",
    "kernel_gradient",
    "update_ratio",
    "preactivation_mean",
    "preactivation_std",
    "activation_mean",
    "activation_std",
    "activation_rms",
    "row_spread",
    "unit_spread",
    *SHARES,
)


def health(names, epochs, samples, seed=0):
    """Return what a doctor leaves in `History.health`: `samples` watched steps in each epoch."""
    rng = np.random.default_rng(seed)
    count, layers = epochs * samples, len(names)
    time = np.linspace(0, 1, count)[:, None]
    depth = np.linspace(0, 1, layers)[None, :]
    noise = np.exp(0.3 * rng.normal(size=(count, layers)))
    series = dict.fromkeys(MEASURES, noise * (0.5 + depth))
    series["speed"] = 10.0 ** (-6 * (1 - depth) * time - 1) * noise
    series["update_ratio"] = 10.0 ** (-3 - 2 * time * (1 - depth)) * noise
    for at, name in enumerate(SHARES):
        series[name] = np.clip((1 - depth) * time * noise * (0.7 - 0.2 * at), 0, 1)
    series["saturated"][:, ::2] = np.nan
    series["dead"][:, 1::2] = np.nan
    edges = np.linspace(-2 - depth[0], 3 + 0 * depth[0], 33).T
    centres = (edges[:, 1:] + edges[:, :-1]) / 2
    norm = 10.0 ** (1 - 2 * time[:, 0]) * noise[:, 0]
    return {
        **series,
        "step": np.arange(count) * 7,
        "epoch": np.repeat(np.arange(epochs), samples),
        "layers": list(names),
        "loss": 2 * np.exp(-3 * time[:, 0]),
        "learning_rate": 0.01 * 0.5 ** np.floor(4 * time[:, 0]),
        "gradient_norm": norm,
        "clipped": np.minimum(1.0, 2.0 / norm),
        "activation_histogram": np.round(1000 * np.exp(-(centres**2))),
        "activation_edges": edges,
    }


def findings(layer):
    """Return a root with its cures, what follows from it, and a warning."""
    root = Finding(
        "vanishing_gradients",
        layer,
        3.2e-7,
        1e-4,
        step=14,
        severity="error",
        cause="activation",
        remedies=(
            Remedy(
                "Give the hidden layers an activation that lets gradients pass, with the "
                "initializer that suits it.",
                'layers.Dense(64, activation="elu", kernel_initializer="he_normal")',
            ),
            Remedy(
                "Normalize within the layers.",
                "model = eg.Sequential([\n    layers.Dense(64, norm=layers.BatchNormalization()),\n"
                "    layers.Dense(10),\n])",
            ),
        ),
    )
    follows = Finding(
        "saturated_activations", layer, 0.71, 0.5, 21, "warning", "activation", because=root
    )
    other = Finding(
        "non_finite",
        None,
        0.25,
        0.0,
        40,
        "warning",
        "data",
        remedies=(Remedy("Look at these rows of the data."),),
        tensor="input",
        batch_rows=(3,),
        rows=(1203, 1204),
    )
    note = Finding("small_updates", layer, 1e-6, 1e-5, None, "note", "learning_rate")
    return (root, follows, other, note)


def watched(epochs=30, samples=4, names=("dense", "dense_1", "dense_2", "dense_3", "logits")):
    """Return a history of made-up figures, with all that a doctor leaves."""
    history = callbacks.History()
    for epoch in range(epochs):
        past = epoch / max(1, epochs - 1)
        history.on_epoch_end(
            epoch,
            {
                "loss": 2.3 * np.exp(-3 * past) + 0.05,
                "accuracy": 1 - 0.9 * np.exp(-4 * past),
                "val_loss": 2.3 * np.exp(-3 * past) + 0.3 + 0.6 * past**2,
                "val_accuracy": float("nan") if epoch % 10 == 3 else 0.9 - 0.8 * np.exp(-4 * past),
            },
        )
    history.health = health(list(names), epochs, samples)
    history.findings = findings(names[0])
    return history
