"""Restricted Boltzmann machines
=============================

Restricted Boltzmann machines: what hidden units look for, and whether pre-training helps.

.. code-block:: sh

    python examples/13_rbm.py --output results

trains a machine of 64 visible and 100 hidden units on scikit-learn's digits, by contrastive
divergence and by persistent chains. It prints the error of reconstructions and how well a logistic
regression classifies by pixels and by hidden units; and draws each hidden unit's filter, and what
the machine comes up with by itself, after a thousand steps between both layers (``rbm.png``).

Then it stacks machines: a net of sigmoid units, 64-100-100-100-10, is pre-trained without labels
and fine-tuned on few, beside the same net from Glorot's first values, and one of ELU units from
He's, which has taken the place of all this. Needs scikit-learn and matplotlib:
``pip install "evengrad[all]"``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evengrad as eg
from evengrad import initializers, layers, optimizers, pretrain

UNITS, DEPTH = 100, 3
DREAMS = 40


class Plan(NamedTuple):
    """How much is trained."""

    machine_epochs: int
    dream_steps: int
    seeds: int
    labels: tuple[int, ...]
    epochs: int


PLANS = {
    False: Plan(
        machine_epochs=100, dream_steps=1000, seeds=8, labels=(50, 100, 300, 1200), epochs=150
    ),
    True: Plan(machine_epochs=15, dream_steps=100, seeds=1, labels=(50, 300), epochs=30),
}


class Data(NamedTuple):
    """Images and labels: to train on, and never looked at."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


class Machine(NamedTuple):
    """A machine's numbers, and how its training went."""

    kernel: np.ndarray
    hidden_bias: np.ndarray
    visible_bias: np.ndarray
    error: float
    milliseconds: float

    def hidden(self, visible: np.ndarray) -> np.ndarray:
        """Return the chances of hidden units to be 1."""
        return 1 / (1 + np.exp(-(visible @ self.kernel + self.hidden_bias)))

    def visible(self, hidden: np.ndarray) -> np.ndarray:
        """Return the chances of visible units to be 1."""
        return 1 / (1 + np.exp(-(hidden @ self.kernel.T + self.visible_bias)))

    def dream(self, images: np.ndarray, steps: int) -> np.ndarray:
        """Return what images come to, after units of both layers were drawn in turn."""
        rng = np.random.default_rng(0)
        for _ in range(steps):
            hidden = self.hidden(images)
            chances = self.visible(rng.random(hidden.shape) < hidden)
            images = rng.random(chances.shape) < chances
        return chances


def digits() -> Data:
    """Return 1200 images to train on and 297 that are never looked at, pixels from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    x, test_x, y, test_y = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=297, stratify=labels, random_state=42
    )
    return Data(x[:1200], y[:1200], test_x, test_y)


def machine(data: Data, epochs: int, *, persistent: bool) -> Machine:
    """Train a machine."""
    small = initializers.RandomNormal(stddev=0.01)
    model = eg.Sequential(
        [layers.Dense(UNITS, "sigmoid", kernel_initializer=small), layers.Dense(10, "softmax")],
        seed=1,
    )
    report = pretrain.rbm(
        model,
        data.x,
        epochs=epochs,
        batch_size=20,
        persistent=persistent,
        learning_rate=optimizers.schedules.PolynomialDecay(0.1, epochs * len(data.x) // 20, 0.001),
        weight_decay=1e-4,
        verbose=0,
    )
    stage = report.stages[0]
    kernel, bias = model.layers[0].get_weights()
    milliseconds = 1e3 * stage.seconds / epochs
    return Machine(kernel, bias, stage.leftovers["visible_bias"], stage.losses[-1], milliseconds)


def logistic(train: np.ndarray, test: np.ndarray, data: Data, epochs: int) -> float:
    """Return the accuracy of a logistic regression on unseen images."""
    standard = layers.Normalization()
    standard.adapt(train)
    model = eg.Sequential([standard, layers.Dense(10, "softmax")], seed=1)
    model.compile(optimizers.Nadam(0.003), "sparse_categorical_crossentropy", ["accuracy"])
    model.fit(train, data.y, epochs=epochs, verbose=0)
    accuracy: float = model.evaluate(test, data.test_y)[1]
    return accuracy


def show_machines(data: Data, plan: Plan, folder: Path | None) -> None:
    """Train machines, print what they do, check it, and draw."""
    machines = {
        "contrastive divergence": machine(data, plan.machine_epochs, persistent=False),
        "persistent chains": machine(data, plan.machine_epochs, persistent=True),
    }
    print(f"{'':24}{'error':>9}{'ms an epoch':>14}{'logistic regression':>22}")
    epochs = plan.machine_epochs
    pixels = logistic(data.x, data.test_x, data, epochs)
    print(f"{'pixels':24}{'':23}{pixels:22.2%}")
    for name, one in machines.items():
        accuracy = logistic(one.hidden(data.x), one.hidden(data.test_x), data, epochs)
        print(f"{name:24}{one.error:9.4f}{one.milliseconds:14.1f}{accuracy:22.2%}")
    # That of the best guess for each pixel, whatever the image.
    guess = float(data.x.var(axis=0).mean())
    if not all(one.error < 0.8 * guess for one in machines.values()):
        raise SystemExit(f"a machine has not learned, unexpectedly; {guess:.4f} is a guess")
    if folder is not None:
        draw(folder, data, machines, plan.dream_steps)


# ---- a stack of machines


def network(seed: int, activation: str, initializer: str) -> eg.Sequential:
    """Return a net to classify with, ready to train."""
    hidden = [layers.Dense(UNITS, activation, kernel_initializer=initializer) for _ in range(DEPTH)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10, "softmax")], seed=seed)
    model.compile(optimizers.Adam(0.002), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def accuracies(data: Data, plan: Plan) -> dict[str, dict[int, list[float]]]:
    """Return accuracies on unseen images by the kind of net and the number of labels."""
    kinds = {
        "sigmoid, machines": ("sigmoid", "glorot_uniform"),
        "sigmoid, Glorot": ("sigmoid", "glorot_uniform"),
        "ELU, He": ("elu", "he_normal"),
    }
    found = {kind: {labels: [] for labels in plan.labels} for kind in kinds}
    for seed in range(plan.seeds):
        rows = np.random.default_rng(seed).permutation(len(data.x))
        for kind, settings in kinds.items():
            begun = network(seed, *settings)
            if kind.endswith("machines"):
                pretrain.rbm(
                    begun,
                    data.x,
                    epochs=plan.machine_epochs // 2,
                    batch_size=20,
                    learning_rate=0.05,
                    reconstruction="mean",
                    verbose=0,
                )
            for labels in plan.labels:
                model, chosen = begun.clone(), rows[:labels]
                model.fit(
                    data.x[chosen], data.y[chosen], epochs=plan.epochs, batch_size=32, verbose=0
                )
                found[kind][labels].append(model.evaluate(data.test_x, data.test_y)[1])
    return found


def table(found: dict[str, dict[int, list[float]]]) -> str:
    """Return the means over the seeds."""
    labels = list(next(iter(found.values())))
    lines = [
        f"accuracy on unseen images of nets with {DEPTH} hidden layers, by labels",
        f"{'':18}" + "".join(f"{n:9}" for n in labels),
    ]
    for kind, by_labels in found.items():
        lines.append(f"{kind:18}" + "".join(f"{np.mean(by_labels[n]):9.2%}" for n in labels))
    return "\n".join(lines)


# ---- pictures


def mosaic(images: np.ndarray, columns: int, frame: float) -> np.ndarray:
    """Return images of 8 × 8 side by side, with a frame between them."""
    framed = [np.pad(one.reshape(8, 8), 1, constant_values=frame) for one in images]
    rows = [framed[start : start + columns] for start in range(0, len(framed), columns)]
    return np.vstack([np.hstack(row) for row in rows])


def draw(folder: Path, data: Data, machines: dict[str, Machine], steps: int) -> None:
    """Draw filters, and what images come to."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        2, len(machines), figsize=(10, 7.6), height_ratios=(10, 6), layout="constrained"
    )
    begun = data.test_x[:DREAMS]
    for (above, below), (name, one) in zip(axes.T, machines.items(), strict=True):
        filters = (one.kernel / np.abs(one.kernel).max(axis=0)).T
        above.imshow(mosaic(filters, 10, np.nan), cmap="RdBu_r", vmin=-1, vmax=1)
        above.set_title(f"{name}: filters, each by its largest weight")
        below.imshow(mosaic(one.dream(begun, steps), 10, 0.0), cmap="gray_r", vmin=0, vmax=1)
        below.set_title(f"what {DREAMS} images come to in {steps} steps")
        for panel in (above, below):
            panel.set_axis_off()
    figure.savefig(folder / "rbm.png", dpi=110)
    print(f"wrote {folder / 'rbm.png'}")


def main() -> None:
    """Train, print the tables, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one seed, fewer epochs")
    arguments = parser.parse_args()
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)

    plan, data = PLANS[arguments.quick], digits()
    show_machines(data, plan, arguments.output)
    started = time.perf_counter()
    found = accuracies(data, plan)
    seconds = time.perf_counter() - started
    print(f"\n{table(found)}")
    print(f"Means of {plan.seeds} seeds, {seconds:.1f} s")


if __name__ == "__main__":
    main()
