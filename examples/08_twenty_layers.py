"""Twenty hidden layers, and what makes them trainable
===================================================

Exercise 8 of the second edition: twenty hidden layers, and what makes them trainable.

.. code-block:: sh

    python examples/08_twenty_layers.py --output results

trains 20 hidden layers of 100 units on all ten of scikit-learn's digits, by Nadam in batches of 32,
until the validation loss has not improved for 20 epochs: ELU with He's first values; the same with
batch normalization before each activation and on the inputs; SELU with LeCun's on standardized
inputs; and that with alpha dropout before the last layer, also as the mean of ten passes with the
dropout left on. It prints a table with the accuracies that the exercise's solution found on
CIFAR-10 beside those here, on images that are fewer and easier; checks that batch normalization
reaches a lower validation loss, in the mean, and that its epochs cost more, as they did there; and
draws the losses (``twenty_layers.png``). How SELU and alpha dropout compare is printed, not
promised: one task is no ranking. Needs scikit-learn and matplotlib:
``pip install "evengrad[all]"``.

Each variant has its own rate, as there: the net without normalization bears a smaller one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evengrad as eg
from evengrad import callbacks, layers, optimizers

HIDDEN, WIDTH = 20, 100
BATCH, PATIENCE, PASSES = 32, 20, 10
# Of the moving statistics: an epoch has few batches.
MOMENTUM = 0.9


class Variant(NamedTuple):
    """A net's settings, and what the solution found on CIFAR-10."""

    activation: str
    initializer: str
    rate: float
    norm: bool
    dropout: float
    accuracy: float
    best_epoch: int
    seconds: int


VARIANTS = {
    "He + ELU": Variant("elu", "he_normal", 3e-4, False, 0.0, 0.476, 27, 8),
    "+ batch norm": Variant("elu", "he_normal", 1e-3, True, 0.0, 0.540, 16, 12),
    "SELU": Variant("selu", "lecun_normal", 1e-3, False, 0.0, 0.479, 8, 7),
    "+ alpha dropout": Variant("selu", "lecun_normal", 1e-3, False, 0.1, 0.489, 8, 7),
}
MONTE_CARLO = 0.489


@dataclass
class Data:
    """Images and labels, in three parts."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@dataclass
class Result:
    """What one variant did: a value for each seed."""

    losses: list[float] = field(default_factory=list)
    best_epochs: list[int] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)
    passes: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    curves: list[list[float]] = field(default_factory=list)


def digits() -> Data:
    """Return 1200 images to train on, 300 to stop by, and 297 that are never looked at."""
    images, labels = load_digits(return_X_y=True)
    # Pixels run from 0 to 16.
    x, test_x, y, test_y = train_test_split(
        images / 16, labels, test_size=297, stratify=labels, random_state=42
    )
    x, other_x, y, other_y = train_test_split(x, y, test_size=300, stratify=y, random_state=42)
    return Data((x, y), (other_x, other_y), (test_x, test_y))


def network(variant: Variant, data: Data, seed: int) -> eg.Sequential:
    """Return the net of one variant, ready to train."""
    norm = layers.BatchNormalization(momentum=MOMENTUM) if variant.norm else None
    with eg.default_arguments(
        layers.Dense,
        activation=variant.activation,
        kernel_initializer=variant.initializer,
        norm=norm,
    ):
        chain: list[layers.Layer] = [layers.Dense(WIDTH) for _ in range(HIDDEN)]
    if variant.norm:
        # Batch normalization does without standardized inputs if it is applied to them, too.
        chain.insert(0, layers.BatchNormalization(momentum=MOMENTUM))
    if variant.activation == "selu":
        standard = layers.Normalization()
        standard.adapt(data.train[0])
        chain.insert(0, standard)
    if variant.dropout:
        chain.append(layers.AlphaDropout(variant.dropout))
    model = eg.Sequential([eg.Input((64,)), *chain, layers.Dense(10, "softmax")], seed=seed)
    optimizer = optimizers.Nadam(variant.rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def train(variant: Variant, data: Data, seeds: int, epochs: int) -> Result:
    """Train one variant with several seeds."""
    result = Result()
    for seed in range(seeds):
        model = network(variant, data, seed)
        started = time.process_time()
        history = model.fit(
            *data.train,
            batch_size=BATCH,
            epochs=epochs,
            validation_data=data.validation,
            verbose=0,
            callbacks=[callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        )
        # Of the processor: what else the machine does costs none of it.
        seconds = time.process_time() - started
        losses = history.history["val_loss"]
        result.losses.append(min(losses))
        result.best_epochs.append(int(np.argmin(losses)) + 1)
        result.accuracies.append(model.evaluate(*data.test)[1])
        if variant.dropout:
            shares, _ = model.predict_mc(data.test[0], samples=PASSES)
            result.passes.append(float((shares.argmax(1) == data.test[1]).mean()))
        result.milliseconds.append(1e3 * seconds / len(losses))
        result.curves.append(losses)
    return result


def table(results: dict[str, Result]) -> str:
    """Return means over the seeds beside the published figures."""
    here = f"{'loss':>9}{'epoch':>7}{'unseen':>9}{'ms an epoch':>15}"
    there = f"{'accuracy':>11}{'epoch':>7}{'s an epoch':>12}"
    lines = [
        f"{'':18}{'digits':>40}{'CIFAR-10, published':>30}",
        f"{'':18}{here}{there}",
    ]
    for name, result in results.items():
        published = VARIANTS[name]
        lines.append(
            f"{name:18}{np.mean(result.losses):9.4f}{np.mean(result.best_epochs):7.1f}"
            f"{np.mean(result.accuracies):9.2%}{min(result.milliseconds):15.1f}"
            f"{published.accuracy:11.1%}{published.best_epoch:7}{published.seconds:12}"
        )
        if result.passes:
            mean = np.mean(result.passes)
            lines.append(f"{f'  {PASSES} passes':18}{'':16}{mean:9.2%}{'':15}{MONTE_CARLO:11.1%}")
    return "\n".join(lines)


def reached(results: dict[str, Result]) -> str:
    """Tell when batch normalization is as good as the plain net becomes."""
    plain, norm = results["He + ELU"], results["+ batch norm"]
    epochs = [
        next((number for number, loss in enumerate(curve, 1) if loss <= best), None)
        for curve, best in zip(norm.curves, plain.losses, strict=True)
    ]
    shown = ", ".join("never" if number is None else str(number) for number in epochs)
    return (
        f"The plain nets' best losses, of epochs {', '.join(map(str, plain.best_epochs))}, are "
        f"reached with batch norm in epochs {shown};\npublished: in epoch 5 that of epoch 27"
    )


def check(results: dict[str, Result], *, costs: bool) -> None:
    """End with an error where batch normalization did not help, or, if asked, cost nothing."""
    plain, norm = results["He + ELU"], results["+ batch norm"]
    if not np.mean(norm.losses) < np.mean(plain.losses):
        raise SystemExit(
            f"batch normalization has not helped, unexpectedly: {norm.losses}, {plain.losses}"
        )
    if costs and not min(norm.milliseconds) > min(plain.milliseconds):
        raise SystemExit(
            f"batch normalization has cost nothing, unexpectedly: {norm.milliseconds} ms an epoch, "
            f"{plain.milliseconds} without"
        )


def write(folder: Path, results: dict[str, Result]) -> None:
    """Draw the validation losses, a line for each seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(12, 3.6), sharex=True, sharey=True)
    for panel, (name, result) in zip(axes, results.items(), strict=True):
        for curve, best in zip(result.curves, result.best_epochs, strict=True):
            line = panel.plot(np.arange(1, len(curve) + 1), curve, linewidth=1)
            panel.plot(best, curve[best - 1], marker="o", color=line[0].get_color(), markersize=4)
        panel.set_yscale("log")
        panel.set_xlabel("epoch")
        panel.set_title(name)
        panel.grid(alpha=0.3)
    axes[0].set_ylabel("validation loss; dots: the best epochs")
    figure.tight_layout()
    figure.savefig(folder / "twenty_layers.png", dpi=120)
    print(f"wrote {folder / 'twenty_layers.png'}")


def main() -> None:
    """Train, print the table, check it, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one seed, fewer epochs")
    arguments = parser.parse_args()
    seeds, epochs = (1, 20) if arguments.quick else (6, 100)

    data = digits()
    started = time.perf_counter()
    results = {name: train(variant, data, seeds, epochs) for name, variant in VARIANTS.items()}
    seconds = time.perf_counter() - started
    print(table(results))
    print(
        f"Means of {seeds} seeds: the best validation loss and its epoch, the accuracy on "
        f"{len(data.test[1])} unseen images;\nthe least time of the processor. "
        f"{seeds * len(results)} networks in {seconds:.1f} s"
    )
    print(reached(results))
    # A few epochs are too few to tell times apart on a busy machine.
    check(results, costs=not arguments.quick)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, results)


if __name__ == "__main__":
    main()
