"""How fast each layer learns
==========================

How fast each layer of a deep logistic net learns: Nielsen's experiment on digits.

.. code-block:: sh

    python examples/02_learning_speeds.py --output results

The speed of a layer is the length of the cost's gradient with respect to its biases, over the
first 1,000 images. In chapter 5 of "Neural Networks and Deep Learning" Michael Nielsen finds, with
hidden layers of 30 logistic units on MNIST, that each layer learns several times more slowly than
the one behind it. This prints his ratios between the last and the first hidden layer beside those
on scikit-learn's digits, for many random beginnings; trains nets of four hidden layers as he does,
by full-batch gradient descent; checks that speeds behave as he says; and draws both
(``learning_speeds.png``). Needs scikit-learn and matplotlib: ``pip install "evengrad[all]"``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits

import evengrad as eg
from evengrad import initializers, layers, optimizers

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH, ROWS = 30, 1000
# The ratios that Nielsen found on MNIST, by the number of hidden layers.
PUBLISHED = {2: 4.7, 3: 23.9, 4: 95.8, 5: None, 8: None}
# Training: four hidden layers, rate η = 0.1, and λ = 5 in the penalty λ / 2n · Σ w².
DEPTH, EPOCHS, RATE, DECAY = 4, 500, 0.1, 5.0


def digits() -> tuple[eg.Tensor, eg.Tensor]:
    """Return the first images, pixels from 0 to 1, and their labels as ones among zeros."""
    images, labels = load_digits(return_X_y=True)
    one_hot = eg.utils.to_categorical(labels, 10)
    return eg.tensor(images[:ROWS] / 16), eg.tensor(one_hot[:ROWS].astype(np.float64))


def network(depth: int, seed: int) -> eg.Sequential:
    """Return a logistic net with Nielsen's first values: N(0, 1 / fan_in), and biases N(0, 1)."""
    with eg.default_arguments(
        layers.Dense,
        kernel_initializer=initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
        bias_initializer=initializers.RandomNormal(stddev=1.0),
    ):
        hidden = [layers.Dense(WIDTH, "sigmoid") for _ in range(depth)]
        head = layers.Dense(10)
    return eg.Sequential([eg.Input((64,)), *hidden, head], dtype="float64", seed=seed)


def cost(model: eg.Sequential, x: eg.Tensor, y: eg.Tensor) -> eg.Tensor:
    """Return the cross-entropy of logistic outputs, summed over the ten and averaged over rows."""
    total = eg.functional.binary_cross_entropy_with_logits(model(x), y, reduction="sum")
    return total / x.shape[0]


def speeds(gradients: list[eg.Tensor]) -> list[float]:
    """Return the lengths of the gradients of the hidden layers' biases."""
    return [float(np.linalg.norm(gradient.numpy())) for gradient in gradients[1:-2:2]]


def first_speeds(depth: int, seeds: int, x: eg.Tensor, y: eg.Tensor) -> np.ndarray:
    """Return the speeds before training: a row for each beginning, a column for each layer."""
    found = []
    for seed in range(seeds):
        model = network(depth, seed)
        found.append(speeds(eg.autograd.grad(cost(model, x, y), model.trainable_weights)))
    return np.array(found)


def training_step(model: eg.Sequential) -> Callable[[eg.Tensor, eg.Tensor], list[eg.Tensor]]:
    """Return a function that makes one step of gradient descent and returns the gradients."""
    biases = optimizers.ParameterGroup("bias", weight_decay_multiplier=0.0)
    optimizer = optimizers.SGD(RATE, weight_decay=DECAY / ROWS, groups=[biases])

    @eg.compile
    def step(x: eg.Tensor, y: eg.Tensor) -> list[eg.Tensor]:
        pairs = optimizer.compute_gradients(cost(model, x, y), model.trainable_weights)
        optimizer.apply_gradients(pairs)
        return [gradient for gradient, _ in pairs]

    return step


def trained_speeds(seeds: int, x: eg.Tensor, y: eg.Tensor) -> np.ndarray:
    """Return the speeds in training, by seed, epoch and layer."""
    found = []
    for seed in range(seeds):
        step = training_step(network(DEPTH, seed))
        found.append([speeds(step(x, y)) for _ in range(EPOCHS)])
    return np.array(found)


def in_digits(number: float) -> str:
    """Return a number with three digits that count, written out."""
    return f"{float(f'{number:.3g}'):,.{1 if number < 100 else 0}f}"


def main() -> None:
    """Measure, print the tables, check them, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="fewer beginnings, one seed")
    arguments = parser.parse_args()
    beginnings, seeds = (10, 1) if arguments.quick else (300, 12)

    x, y = digits()
    started = time.perf_counter()
    before = {depth: first_speeds(depth, beginnings, x, y) for depth in PUBLISHED}
    trained = trained_speeds(seeds, x, y)
    seconds = time.perf_counter() - started

    print("hidden   ratio of the last to the first hidden layer's speed, before training")
    print("layers   published    median          5 - 95 %   speeds (medians)")
    for depth, found in before.items():
        ratios = found[:, -1] / found[:, 0]
        low, middle, high = np.percentile(ratios, [5, 50, 95])
        published = "-" if PUBLISHED[depth] is None else f"{PUBLISHED[depth]}"
        shown = " ".join(f"{speed:.2g}" for speed in np.median(found, axis=0))
        between = f"{in_digits(low)} - {in_digits(high)}"
        print(f"{depth:>6}{published:>12}{in_digits(middle):>10}{between:>18}   {shown}")
    print(f"\nin training, {DEPTH} hidden layers")
    print("seed     before  smallest, at epoch     after")
    ratios = trained[:, :, -1] / trained[:, :, 0]
    for seed, ratio in enumerate(ratios):
        lowest = int(ratio.argmin())
        print(f"{seed:>4}{ratio[0]:>11.3g}{ratio[lowest]:>10.3g}{lowest:>11}{ratio[-1]:>10.3g}")
    print(
        f"Published: 95.8 before, 50.6 at epoch 50, 112.6 after. {beginnings * len(before)} nets "
        f"before training and\n{seeds} in training, in {seconds:.1f} s"
    )

    check(before, ratios)
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, before, trained[0])


def check(before: dict[int, np.ndarray], ratios: np.ndarray) -> None:
    """End with an error where speeds do not behave as Nielsen says."""
    for depth, found in before.items():
        if not (np.diff(found, axis=1) > 0).all():
            raise SystemExit(f"{depth} hidden layers: a layer learns faster than the one behind it")
    for seed, ratio in enumerate(ratios):
        lowest = int(ratio.argmin())
        if not (0 < lowest < len(ratio) - 1 and ratio[-1] > max(20, ratio[lowest])):
            raise SystemExit(f"seed {seed}: the ratio does not fall and rise again in training")


def write(folder: Path, before: dict[int, np.ndarray], trained: np.ndarray) -> None:
    """Draw the speeds of the layers before training, and of one net in training."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for depth, found in before.items():
        places = np.arange(1, depth + 1)
        low, middle, high = np.percentile(found, [5, 50, 95], axis=0)
        line = left.plot(places, middle, marker="o", markersize=4, label=f"{depth} hidden layers")
        left.fill_between(places, low, high, color=line[0].get_color(), alpha=0.2, linewidth=0)
    left.set_xlabel("hidden layer")
    left.set_ylabel("speed of learning")
    left.set_title("before training: median, 5 to 95 %")
    for layer, values in enumerate(trained.T, start=1):
        right.plot(values, label=f"hidden layer {layer}")
    right.set_xlabel("epoch")
    right.set_title("in training")
    for panel in (left, right):
        panel.set_yscale("log")
        panel.grid(alpha=0.3)
        panel.legend()
    figure.tight_layout()
    figure.savefig(folder / "learning_speeds.png", dpi=120)
    print(f"wrote {folder / 'learning_speeds.png'}")


if __name__ == "__main__":
    main()
