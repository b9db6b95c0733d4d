"""Augmentation of images
======================

What augmentation does to images, and what it is worth where labels are few.

.. code-block:: sh

    python examples/11_augmentation.py --output results

draws a gallery of the layers (``gallery.png``: each row one layer, on the same digits), trains the
same small net on 3, 10 and 30 digits of each class with one augmentation after the other, and
prints the accuracy on digits of other writers: as they are, and moved by shifts of up to a pixel,
small turns and zooms, as digits are that nobody has centred. Means over five draws of the labelled
digits, and their deviations.

scikit-learn's digits are centred and 8x8, so that a pixel is much. Movements of less are worth
points with few labels, on digits as they are, and cost one with many; larger ones blur more than
they teach, but on moved digits the net that was trained with them is far ahead of the one that has
seen centred digits alone. Mirrored digits are none, and cost most. What is checked is the worth of
movements with 3 digits of each class, of larger ones on moved digits, and the harm of mirrors.
Needs scikit-learn and matplotlib: ``pip install "evengrad[all]"``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits

import evengrad as eg
from evengrad import layers

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]

SIZE, CLASSES = 8, 10
A_PIXEL = 1 / SIZE
LABELS = (3, 10, 30)
# Draws of the labelled digits, and steps of each training; and the same where time is short.
PLANS = {False: (5, 1500), True: (2, 600)}
SHOWN = 10


def movements(shift: float = 0.05) -> list[layers.Layer]:
    """Return small movements: what a hand does when it writes a digit once more."""
    return [
        layers.RandomTranslation(shift, shift, fill_mode="constant"),
        layers.RandomRotation(0.03, fill_mode="constant"),
        layers.RandomZoom(0.1, 0.1, fill_mode="constant"),
    ]


# What stands in front of the net, after the pixels have become images from 0 to 1.
AUGMENTATIONS: dict[str, Callable[[], list[layers.Layer]]] = {
    "none": list,
    "translation": lambda: movements()[:1],
    "rotation": lambda: movements()[1:2],
    "zoom": lambda: movements()[2:],
    "all three": movements,
    "larger shifts": lambda: movements(A_PIXEL),
    "erasing": lambda: [layers.RandomErasing(0.5, (0.05, 0.2), 0.0, (0, 1))],
    "contrast": lambda: [layers.RandomContrast(0.5, (0, 1))],
    "noise": lambda: [layers.GaussianNoise(0.15)],
    "swapped pixels": lambda: [layers.SwapNoise(0.1)],
    "mixed rows": lambda: [layers.MixUp(0.2)],
    "all three, mixed": lambda: [*movements(), layers.MixUp(0.2)],
    "mirrored": lambda: [layers.RandomFlip()],
}
GALLERY: dict[str, Callable[[], layers.Layer]] = {
    "RandomTranslation(0.2, 0.2)": lambda: layers.RandomTranslation(0.2, 0.2, "constant"),
    "RandomTranslation, wrap": lambda: layers.RandomTranslation(0.5, 0.5, "wrap"),
    "RandomRotation(0.1)": lambda: layers.RandomRotation(0.1, "constant"),
    "RandomZoom(0.4)": lambda: layers.RandomZoom(0.4, fill_mode="constant"),
    "RandomFlip()": layers.RandomFlip,
    "RandomBrightness(0.5)": lambda: layers.RandomBrightness(0.5, (0, 1)),
    "RandomContrast(0.9)": lambda: layers.RandomContrast(0.9, (0, 1)),
    "RandomErasing()": lambda: layers.RandomErasing(scale=(0.05, 0.3), value_range=(0, 1)),
    "GaussianNoise(0.2)": lambda: layers.GaussianNoise(0.2),
    "SwapNoise(0.15)": lambda: layers.SwapNoise(0.15),
    "MixUp(1.0)": lambda: layers.MixUp(1.0),
}


@dataclass
class Data:
    """Digits to label some of, and others to test on: as they are, and moved."""

    x: Array
    y: Array
    test: Array
    moved: Array
    test_y: Array


def digits() -> Data:
    """Return the digits of scikit-learn; the second half is of other writers."""
    pixels, y = load_digits(return_X_y=True)
    # Pixels run from 0 to 16.
    x = (pixels / 16).reshape(-1, SIZE, SIZE).astype("float32")
    half = len(x) // 2
    away = np.asarray(eg.Sequential(movements(A_PIXEL), seed=99)(x[half:], training=True))
    return Data(x[:half], y[:half], x[half:], away, y[half:])


def network(augmentation: str, seed: int) -> eg.Sequential:
    """Return a net of two hidden layers behind an augmentation."""
    front = [eg.Input((SIZE, SIZE)), *AUGMENTATIONS[augmentation](), layers.Flatten()]
    hidden = [layers.Dense(100, "relu", kernel_initializer="he_normal") for _ in range(2)]
    model = eg.Sequential([*front, *hidden, layers.Dense(CLASSES, "softmax")], seed=seed)
    model.compile(eg.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def some_of_each(y: Array, count: int, rng: np.random.Generator) -> Array:
    """Return the numbers of so many rows of each class."""
    return np.concatenate([rng.permutation(np.nonzero(y == k)[0])[:count] for k in range(CLASSES)])


def accuracies(augmentation: str, count: int, data: Data, plan: tuple[int, int]) -> Array:
    """Train on few labels, with several draws of them; return accuracies, a row for each draw."""
    found, (seeds, steps) = [], plan
    for seed in range(seeds):
        rows = some_of_each(data.y, count, np.random.default_rng(seed))
        model = network(augmentation, seed)
        batches = -(-len(rows) // 30)
        model.fit(data.x[rows], data.y[rows], batch_size=30, epochs=steps // batches, verbose=0)
        tests = (data.test, data.moved)
        found.append([float(model.evaluate(x, data.test_y, verbose=0)[1]) for x in tests])
    return np.array(found)


def table(data: Data, augmentations: list[str], plan: tuple[int, int]) -> dict[str, Array]:
    """Print the accuracies, and return their means: for each count of labels, plain and moved."""
    print("digits of each class " + "".join(f"{count:>18}          " for count in LABELS))
    print(" " * 18 + f"{'as they are':>15}{'moved':>13}" * len(LABELS))
    means = {}
    for name in augmentations:
        found = [accuracies(name, count, data, plan) for count in LABELS]
        means[name] = np.array([one.mean(0) for one in found])
        pairs = [pair for one in found for pair in zip(one.mean(0), one.std(0), strict=True)]
        cells = [f"  {mean:.3f} ±{deviation:.3f}" for mean, deviation in pairs]
        print(f"{name:18}" + "".join(cells), flush=True)
    return means


def draw(x: Array, path: Path) -> None:
    """Draw each layer's row of the same digits."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = {"as they are": x[:SHOWN]}
    for name, make in GALLERY.items():
        model = eg.Sequential([eg.Input((SIZE, SIZE)), make()], seed=1)
        rows[name] = np.asarray(model(x[:SHOWN], training=True))
    figure, axes = plt.subplots(len(rows), SHOWN, figsize=(SHOWN * 0.8 + 2.4, len(rows) * 0.8))
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    figure.subplots_adjust(left=0.26, right=0.99, top=0.99, bottom=0.01, wspace=0.06, hspace=0.06)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Draw, train, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument(
        "--quick", action="store_true", help="only what is checked, fewer draws and steps"
    )
    arguments = parser.parse_args()

    data = digits()
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)
        draw(data.x, arguments.output / "gallery.png")
    quick = ["none", "all three", "larger shifts", "mirrored"]
    means = table(data, quick if arguments.quick else list(AUGMENTATIONS), PLANS[arguments.quick])
    plain, small, large, mirrored = (means[name] for name in quick)
    if small[0, 0] < plain[0, 0] + 0.01:
        raise SystemExit(
            "expected movements to help with few labels, got "
            f"{small[0, 0]:.3f} with them and {plain[0, 0]:.3f} without"
        )
    if (large[:, 1] < plain[:, 1] + 0.03).any() or (mirrored[:, 0] > plain[:, 0]).any():
        raise SystemExit(
            "expected larger movements to help on moved digits, and mirrors to harm, got "
            f"{large[:, 1]} with them for {plain[:, 1]}, and {mirrored[:, 0]} for {plain[:, 0]}"
        )


if __name__ == "__main__":
    main()
