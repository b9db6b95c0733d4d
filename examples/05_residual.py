"""Fifty layers with and without shortcuts
=======================================

Train fifty layers with and without shortcuts on scikit-learn's digits.

.. code-block:: sh

    python examples/05_residual.py --output results

trains the same fifty layers of 64 units plain, one after the other, and as 25 residual blocks
x + F(x) of two layers, for three activations. It prints how much of the gradient reaches the first
layer before training, the training loss, and the accuracy on unseen digits; it checks that the
residual nets have learned what the plain ones cannot, and writes the learning curves
(``residual.png``). Needs scikit-learn and matplotlib: ``pip install "evengrad[all]"``.

The second layer of each block begins at zero, so that the net begins as the identity: otherwise
every block adds to the variance of the signal, and fifty layers of ReLU begin with a loss of
several hundred.
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

DEPTH, WIDTH = 50, 64
ACTIVATIONS = ("relu", "tanh", "sigmoid")
# What the residual nets must reach on unseen digits, and the plain ones must not.
LEARNED = 0.85
Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass
class Result:
    """What one kind of net did: a value for each seed."""

    shares: list[float] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)

    def row(self) -> str:
        """Return the medians as cells of the table."""
        last = [losses[-1] for losses in self.losses]
        return (
            f"{np.median(self.shares):>9.1e}  {np.median(last):>7.4f}  "
            f"{np.median(self.accuracies):>7.2%}"
        )


def digits() -> Data:
    """Return images and labels to train on, then images and labels to test on."""
    images, labels = load_digits(return_X_y=True)
    # Pixels run from 0 to 16.
    split = train_test_split(images / 16, labels, test_size=0.2, stratify=labels, random_state=42)
    train_images, test_images, train_labels, test_labels = split
    return train_images, train_labels, test_images, test_labels


def network(activation: str, residual: bool, seed: int) -> eg.Sequential:
    """Return a net of `DEPTH` hidden layers, ready to train."""

    def dense(**settings: str) -> layers.Dense:
        return layers.Dense(WIDTH, **{"kernel_initializer": "auto", **settings})

    if residual:
        hidden = [
            layers.Residual([dense(activation=activation), dense(kernel_initializer="zeros")])
            for _ in range(DEPTH // 2)
        ]
    else:
        hidden = [dense(activation=activation) for _ in range(DEPTH)]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10, "softmax")], seed=seed)
    model.compile(optimizers.Adam(1e-3), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def share_at_the_bottom(model: eg.Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the size of the loss's gradient at the images, against that at the last layer."""
    x = eg.tensor(images[:256].astype("float32"), requires_grad=True)
    top = x
    for layer in model.layers[:-1]:
        top = layer(top)
    logits = model.layers[-1].call_without_activation(top)
    loss = eg.functional.cross_entropy(logits, labels[:256])
    sizes = [float(np.abs(g.numpy()).mean()) for g in eg.autograd.grad(loss, [x, top])]
    return sizes[0] / sizes[1]


def train(activation: str, residual: bool, data: Data, seeds: int, epochs: int) -> Result:
    """Train one kind of net with several seeds."""
    train_images, train_labels, test_images, test_labels = data
    result = Result()
    for seed in range(seeds):
        model = network(activation, residual, seed)
        result.shares.append(share_at_the_bottom(model, train_images, train_labels))
        history = model.fit(train_images, train_labels, epochs=epochs, verbose=0)
        result.losses.append(history.history["loss"])
        result.accuracies.append(model.evaluate(test_images, test_labels)[1])
    return result


def main() -> None:
    """Train, print the table, and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one seed")
    arguments = parser.parse_args()
    seeds, epochs = (1, 10) if arguments.quick else (9, 10)

    data = digits()
    started = time.perf_counter()
    results = {
        (activation, residual): train(activation, residual, data, seeds, epochs)
        for activation in ACTIVATIONS
        for residual in (False, True)
    }
    seconds = time.perf_counter() - started
    print(f"{'':10}{f'{DEPTH} layers':^27}   {f'{DEPTH // 2} residual blocks':^27}")
    heads = f"{'gradient':>9}  {'loss':>7}  {'unseen':>7}"
    print(f"{'':10}{heads}   {heads}")
    for activation in ACTIVATIONS:
        plain, residual = (results[activation, kind].row() for kind in (False, True))
        print(f"{activation:10}{plain}   {residual}")
    print(
        "gradient: its mean size at the images over that at the last layer, before training; loss: "
        f"of the last\nof {epochs} epochs of training; unseen: accuracy on {len(data[3])} other "
        f"digits. Medians of {seeds} seeds;\n{seeds * len(results)} networks in {seconds:.1f} s"
    )

    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, results)
    check(results)


def check(results: dict[tuple[str, bool], Result]) -> None:
    """End with an error where a residual net has not learned, or a plain one has."""
    for (activation, residual), result in results.items():
        found = float(np.median(result.accuracies))
        if (found > LEARNED) is not residual:
            kind = "with" if residual else "without"
            raise SystemExit(f"{activation} {kind} shortcuts: unexpected accuracy {found:.2%}")


def write(folder: Path, results: dict[tuple[str, bool], Result]) -> None:
    """Write the learning curves."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(ACTIVATIONS), figsize=(11, 3.8), sharey=True)
    for panel, activation in zip(axes, ACTIVATIONS, strict=True):
        for residual, label in ((False, f"{DEPTH} layers"), (True, f"{DEPTH // 2} blocks")):
            losses = np.median(results[activation, residual].losses, axis=0)
            panel.plot(np.arange(1, len(losses) + 1), losses, label=label)
        panel.set_yscale("log")
        panel.set_xlabel("epoch")
        panel.set_title(activation)
    axes[0].set_ylabel("training loss")
    axes[-1].legend()
    figure.tight_layout()
    figure.savefig(folder / "residual.png", dpi=120)
    print(f"wrote {folder / 'residual.png'}")


if __name__ == "__main__":
    main()
