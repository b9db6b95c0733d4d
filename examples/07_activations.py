"""Activations side by side
========================

The chapter's ranking of activations, measured on digits.

.. code-block:: sh

    python examples/07_activations.py --output results

trains ten hidden layers of 100 units with each activation and the first values that suit it, all by
the same momentum descent, and prints the training loss, the accuracy on unseen digits and the time
of an epoch, the best first, beside the chapter's rank: SELU > ELU > leaky ReLU and its variants >
ReLU > tanh > logistic. One task is no ranking: what holds here too is the end of it, which is
checked. It draws the training losses (``activations.png``). Needs scikit-learn and matplotlib:
``pip install "evengrad[all]"``.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evengrad as eg
from evengrad import layers, optimizers

DEPTH, WIDTH, EPOCHS = 10, 100, 10
# The chapter's ranks; the variants of leaky ReLU share theirs.
RANKS = {
    "selu": 1,
    "elu": 2,
    "leaky_relu": 3,
    "rrelu": 3,
    "prelu": 3,
    "relu": 4,
    "tanh": 5,
    "sigmoid": 6,
}
# The logistic net stays below this accuracy on unseen digits, guessing, and all others above it.
LEARNED = 0.6
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Result:
    """What the nets with one activation did: a value for each seed."""

    losses: list[list[float]] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """The median of the last losses."""
        return float(np.median([losses[-1] for losses in self.losses]))


def digits() -> Data:
    """Return standardized images and labels to train on, then others to test on."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=42)
    train_images, test_images, train_labels, test_labels = split
    standard = layers.Normalization(dtype="float64")
    standard.adapt(train_images)
    return (
        standard(train_images).numpy(),
        train_labels,
        standard(test_images).numpy(),
        test_labels,
    )


def network(name: str, seed: int) -> eg.Sequential:
    """Return a net with that activation in its hidden layers, ready to train."""
    # Random and learned slopes are layers.
    activation = {"rrelu": layers.RReLU(), "prelu": layers.PReLU()}.get(name, name)
    with eg.default_arguments(layers.Dense, activation=activation, kernel_initializer="auto"):
        hidden = [layers.Dense(WIDTH) for _ in range(DEPTH)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10, "softmax")], seed=seed)
    model.compile(
        optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy", ["accuracy"]
    )
    return model


def train(name: str, data: Data, seeds: int) -> Result:
    """Train nets with one activation."""
    train_images, train_labels, test_images, test_labels = data
    result = Result()
    for seed in range(seeds):
        model = network(name, seed)
        started = time.perf_counter()
        history = model.fit(train_images, train_labels, epochs=EPOCHS, verbose=0)
        result.milliseconds.append(1e3 * (time.perf_counter() - started) / EPOCHS)
        result.losses.append(history.history["loss"])
        result.accuracies.append(model.evaluate(test_images, test_labels)[1])
    return result


def main() -> None:
    """Train, print the table, check it, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one seed")
    arguments = parser.parse_args()
    seeds = 1 if arguments.quick else 15

    data = digits()
    results = {name: train(name, data, seeds) for name in RANKS}
    results = dict(sorted(results.items(), key=lambda item: item[1].loss))
    print(f"{'':12}{'chapter':>8}{'loss':>9}{'unseen':>9}{'ms an epoch':>13}")
    for name, result in results.items():
        print(
            f"{name:12}{RANKS[name]:>8}{result.loss:>9.4f}"
            f"{np.median(result.accuracies):>9.2%}{np.median(result.milliseconds):>13.1f}"
        )
    print(
        f"{DEPTH} hidden layers; loss: of the last of {EPOCHS} epochs; unseen: accuracy on "
        f"{len(data[3])} other digits.\nMedians of {seeds} seeds"
    )

    for name, result in results.items():
        found = float(np.median(result.accuracies))
        if (found > LEARNED) is (name == "sigmoid"):
            raise SystemExit(f"{name}: unexpected accuracy {found:.2%}")
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, results)


def write(folder: Path, results: dict[str, Result]) -> None:
    """Draw the training losses."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panel = plt.subplots(figsize=(7, 4.2))
    for name, result in results.items():
        panel.plot(np.arange(1, EPOCHS + 1), np.median(result.losses, axis=0), label=name)
    panel.set_yscale("log")
    panel.set_xlabel("epoch")
    panel.set_ylabel("training loss, median")
    panel.legend()
    panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / "activations.png", dpi=120)
    print(f"wrote {folder / 'activations.png'}")


if __name__ == "__main__":
    main()
