"""Optimizers side by side
=======================

Compare the optimizers on scikit-learn's digits, and let the range test find their rates.

.. code-block:: sh

    python examples/04_optimizers.py --output results

trains the same network (three layers of 100 ReLUs) with each optimizer: once with a learning rate
of 0.001 for all, as comparisons in books do, and once with the rate that
`Model.find_learning_rate` suggests for it. It prints both as a table, checks the order that is
known of the first, and writes the learning curves (``optimizers.png``) and the range test of Adam
(``range_test.png``). Needs scikit-learn and matplotlib: ``pip install "evengrad[all]"``.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evengrad as eg
from evengrad import layers, optimizers

if TYPE_CHECKING:
    from collections.abc import Callable

    from evengrad.models import RangeTest

RATE = 1e-3
BATCH = 32
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

OPTIMIZERS: dict[str, Callable[[float], optimizers.Optimizer]] = {
    "SGD": optimizers.SGD,
    "AdaGrad": optimizers.Adagrad,
    "momentum": lambda rate: optimizers.SGD(rate, momentum=0.9),
    "Nesterov": lambda rate: optimizers.SGD(rate, momentum=0.9, nesterov=True),
    "AdaDelta": optimizers.Adadelta,
    "AdaMax": optimizers.Adamax,
    "RMSProp": optimizers.RMSprop,
    "Adam": optimizers.Adam,
    "AdamW": optimizers.AdamW,
    "Nadam": optimizers.Nadam,
    "Lion": optimizers.Lion,
}
# The order of the last training losses at a rate of 0.001: groups whose ranges do not overlap.
ORDER = (("Nadam", "Adam", "AdamW"), ("AdaMax",), ("Nesterov", "momentum"), ("AdaGrad",), ("SGD",))


@dataclass
class Result:
    """What an optimizer reached at one kind of learning rate: a value for each seed."""

    rates: list[float] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    @property
    def last(self) -> list[float]:
        """The training loss of the last epoch."""
        return [losses[-1] for losses in self.losses]

    def row(self) -> str:
        """Return rate, loss and accuracy as cells of the table."""
        return (
            f"{np.median(self.rates):>9.2g}  {np.mean(self.last):>7.4f}  "
            f"{np.mean(self.accuracies):>7.2%}"
        )


def digits() -> Data:
    """Return images and labels to train on, then images and labels to test on."""
    images, labels = load_digits(return_X_y=True)
    # Pixels run from 0 to 16.
    split = train_test_split(images / 16, labels, test_size=0.2, stratify=labels, random_state=42)
    train_images, test_images, train_labels, test_labels = split
    return train_images, train_labels, test_images, test_labels


def network(optimizer: optimizers.Optimizer, seed: int) -> eg.Sequential:
    """Return the network, ready to train."""
    hidden = [layers.Dense(100, "relu", kernel_initializer="he_normal") for _ in range(3)]
    model = eg.Sequential(
        [eg.Input((64,)), *hidden, layers.Dense(10, activation="softmax")], seed=seed
    )
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(name: str, data: Data, seeds: int, epochs: int) -> tuple[Result, Result, list[RangeTest]]:
    """Return the results at the rate of all and at the optimizer's own, and the range tests."""
    train_images, train_labels, test_images, test_labels = data
    same, own, tests = Result(), Result(), []
    for seed in range(seeds):
        model = network(OPTIMIZERS[name](RATE), seed)
        found = model.find_learning_rate(train_images, train_labels, batch_size=BATCH, max_lr=100.0)
        tests.append(found)
        for result, rate in ((same, RATE), (own, found.suggestion)):
            model = network(OPTIMIZERS[name](rate), seed)
            history = model.fit(
                train_images, train_labels, batch_size=BATCH, epochs=epochs, verbose=0
            )
            result.rates.append(rate)
            result.losses.append(history.history["loss"])
            result.accuracies.append(model.evaluate(test_images, test_labels)[1])
    return same, own, tests


def check(results: dict[str, Result]) -> None:
    """End with an error where the groups are not in their order, for all seeds."""
    for better, worse in itertools.pairwise(ORDER):
        most = max(max(results[name].last) for name in better)
        least = min(min(results[name].last) for name in worse)
        if most >= least:
            raise SystemExit(
                f"expected {', '.join(better)} to end below {', '.join(worse)}, got {most:.4f} "
                f"and {least:.4f}"
            )


def main() -> None:
    """Train, print the table, and write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the pictures")
    parser.add_argument("--quick", action="store_true", help="one seed")
    arguments = parser.parse_args()
    seeds, epochs = (1, 10) if arguments.quick else (6, 10)

    data = digits()
    started = time.perf_counter()
    trained = {name: train(name, data, seeds, epochs) for name in OPTIMIZERS}
    seconds = time.perf_counter() - started
    print(f"{'':10}{'the same rate for all':^29}   {'the rate of the range test':^27}")
    heads = f"{'rate':>9}  {'loss':>7}  {'unseen':>7}"
    print(f"{'':10}{heads}   {heads}")
    for name, (same, own, _) in trained.items():
        print(f"{name:10}{same.row()}   {own.row()}")
    print(
        f"loss: of the last of {epochs} epochs of training, mean of {seeds} seeds; unseen: accuracy"
        f" on {len(data[3])} other digits. {2 * seeds * len(trained)} networks in {seconds:.1f} s"
    )

    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, trained)
    check({name: same for name, (same, _, _) in trained.items()})


def write(folder: Path, trained: dict[str, tuple[Result, Result, list[RangeTest]]]) -> None:
    """Write the learning curves and a range test."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    colours = mpl.colormaps["tab20"](np.arange(len(trained)))
    titles = ("learning rate 0.001 for all", "learning rate of the range test")
    for kind, (panel, title) in enumerate(zip(axes, titles, strict=True)):
        for colour, (name, results) in zip(colours, trained.items(), strict=True):
            losses = np.mean(results[:2][kind].losses, axis=0)
            panel.plot(np.arange(1, len(losses) + 1), losses, label=name, color=colour)
        panel.set_yscale("log")
        panel.set_xlabel("epoch")
        panel.set_title(title)
    axes[0].set_ylabel("training loss")
    axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.tight_layout()
    figure.savefig(folder / "optimizers.png", dpi=120)

    panel = trained["Adam"][2][0].plot()
    panel.set_title("Adam")
    panel.figure.tight_layout()
    panel.figure.savefig(folder / "range_test.png", dpi=120)
    print(f"wrote {folder / 'optimizers.png'} and {folder / 'range_test.png'}")


if __name__ == "__main__":
    main()
