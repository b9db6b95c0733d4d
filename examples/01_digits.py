"""A first network: digits
=======================

Train a network on scikit-learn's digits and show how it went.

.. code-block:: sh

    python examples/01_digits.py --output results

prints the model's summary, trains with a progress bar, prints the accuracy on digits that the
network has never seen, and writes the learning curves (``curves.png``) and the trained model
(``digits.safetensors``). Needs scikit-learn and matplotlib: ``pip install "evengrad[all]"``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import evengrad as eg
from evengrad import callbacks, layers, optimizers

if TYPE_CHECKING:
    import numpy as np

# What the project promises of this network.
PROMISED = 0.97


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images and labels to train on, then images and labels to test on."""
    images, labels = load_digits(return_X_y=True)
    # Pixels run from 0 to 16.
    split = train_test_split(images / 16, labels, test_size=0.2, stratify=labels, random_state=42)
    train_images, test_images, train_labels, test_labels = split
    return train_images, train_labels, test_images, test_labels


def network() -> eg.Sequential:
    """Return the network, ready to train."""
    model = eg.Sequential(
        [
            eg.Input((64,)),
            layers.Dense(300, activation="relu", kernel_initializer="he_normal"),
            layers.Dropout(0.5),
            layers.Dense(100, activation="relu", kernel_initializer="he_normal"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
        seed=42,
    )
    model.compile(
        optimizers.Adam(learning_rate=1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def main() -> None:
    """Train, test, and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the curves and the model")
    parser.add_argument("--quick", action="store_true", help="fewer epochs, and no bar")
    arguments = parser.parse_args()

    train_images, train_labels, test_images, test_labels = digits()
    model = network()
    model.summary()

    started = time.perf_counter()
    history = model.fit(
        train_images,
        train_labels,
        batch_size=32,
        epochs=15 if arguments.quick else 80,
        validation_split=0.1,
        verbose=0 if arguments.quick else "auto",
        callbacks=[callbacks.EarlyStopping(patience=15, restore_best_weights=True)],
    )
    seconds = time.perf_counter() - started
    loss, accuracy = model.evaluate(test_images, test_labels)
    print(
        f"{len(history.epoch)} epochs in {seconds:.1f} s; on {len(test_labels)} unseen digits: "
        f"loss {loss:.4f}, accuracy {accuracy:.2%}"
    )

    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write(arguments.output, model, history)
    if accuracy < PROMISED:
        raise SystemExit(f"expected an accuracy of at least {PROMISED:.0%}, got {accuracy:.2%}")


def write(folder: Path, model: eg.Sequential, history: callbacks.History) -> None:
    """Write the learning curves and the model."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.5))
    history.plot(["loss", "accuracy"], ax=axes)
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=120)
    model.save(folder / "digits.safetensors")
    print(f"wrote {folder / 'curves.png'} and {folder / 'digits.safetensors'}")


if __name__ == "__main__":
    main()
