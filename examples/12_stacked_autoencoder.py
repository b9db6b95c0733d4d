"""Stacked autoencoders
====================

Stacked autoencoders: codes of two numbers, drawn, and whether pre-training helps.

.. code-block:: sh

    python examples/12_stacked_autoencoder.py --output results

takes scikit-learn's digits without their labels. A chain of layers, 64-100-30-2, is pre-trained
layer by layer, each as the encoder of an autoencoder; then it is unrolled, with the decoders that
the stages leave, and trained as a whole. It prints how well 297 unseen images come back out of two
numbers, beside principal components, and draws the codes and the images (``codes.png``).

Then it asks whether pre-training helps a classifier: 64-100-50-10, pre-trained on 1200 images
without labels, plainly or from spoiled inputs, and fine-tuned on few of their labels, beside the
same net from scratch. The answer is printed, not promised: with many labels, He's first values do
as well. The exercise that this follows found 94.0 % with and 94.9 % without, of 20 000 labels of
MNIST. Needs scikit-learn and matplotlib: ``pip install "evengrad[all]"``.
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
from evengrad import layers, optimizers, pretrain

CODE = (100, 30, 2)
CLASSIFIER = (100, 50)
SHOWN = 10


class Plan(NamedTuple):
    """How much is trained."""

    code_epochs: int
    unrolled_epochs: int
    seeds: int
    labels: tuple[int, ...]
    epochs: int


PLANS = {
    False: Plan(
        code_epochs=100, unrolled_epochs=200, seeds=8, labels=(30, 100, 300, 1200), epochs=100
    ),
    True: Plan(code_epochs=10, unrolled_epochs=20, seeds=1, labels=(30, 100), epochs=40),
}


class Data(NamedTuple):
    """Images and labels: to train on, and never looked at."""

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def digits() -> Data:
    """Return 1200 images to train on and 297 that are never looked at, pixels from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    x, test_x, y, test_y = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=297, stratify=labels, random_state=42
    )
    return Data(x[:1200], y[:1200], test_x, test_y)


# ---- codes


def greedy(data: Data, epochs: int) -> tuple[eg.Sequential, eg.Sequential]:
    """Return an encoder that was trained layer by layer, and the decoders that were left over."""
    first, second, last = CODE
    encoder = eg.Sequential(
        [
            eg.Input((64,)),
            layers.Dense(first, "elu", kernel_initializer="he_normal", name="first"),
            layers.Dense(second, "elu", kernel_initializer="he_normal", name="second"),
            layers.Dense(last, name="code"),
        ],
        seed=1,
    )
    settings = {"epochs": epochs, "verbose": 0}
    # Pixels come back in [0, 1], codes as the layers below put them out.
    reports = [
        pretrain.stacked_autoencoder(
            encoder, data.x, layers="first", decoder_activation="sigmoid", **settings
        ),
        pretrain.stacked_autoencoder(
            encoder, data.x, layers=["second", "code"], decoder_activation="elu", **settings
        ),
    ]
    stages = [stage for report in reports for stage in report.stages]
    for report in reports:
        print(report)
    activations = ["elu", "elu", "sigmoid"]
    decoder = eg.Sequential(
        [
            eg.Input((last,)),
            *(
                layers.Dense(units, activation)
                for units, activation in zip([second, first, 64], activations, strict=True)
            ),
        ],
        seed=2,
    )
    for layer, stage in zip(decoder.layers, reversed(stages), strict=True):
        layer.set_weights([stage.leftovers["kernel"], stage.leftovers["bias"]])
    return encoder, decoder


def unrolled(
    encoder: eg.Sequential, decoder: eg.Sequential, data: Data, epochs: int
) -> tuple[eg.Sequential, eg.Sequential]:
    """Return copies of encoder and decoder that were trained together."""
    encoder, decoder = encoder.clone(), decoder.clone()
    whole = eg.Sequential([encoder, decoder], seed=3)
    whole.compile(optimizers.Nadam(0.002), "mse")
    whole.fit(data.x, data.x, epochs=epochs, batch_size=64, verbose=0)
    return encoder, decoder


def principal(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Return two principal components of unseen images, and the images that they stand for."""
    mean = data.x.mean(axis=0)
    directions = np.linalg.svd(data.x - mean, full_matrices=False)[2][: CODE[-1]]
    codes = (data.test_x - mean) @ directions.T
    return codes, codes @ directions + mean


def draw(
    folder: Path, data: Data, found: dict[str, tuple[np.ndarray, np.ndarray]], errors: dict
) -> None:
    """Draw the codes of unseen images, and what comes back of some of them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(12, 5.2))
    grid = figure.add_gridspec(2, len(found), height_ratios=(4.4, 1), hspace=0.05, wspace=0.08)
    # One image of each digit.
    shown = [int(np.flatnonzero(data.test_y == digit)[0]) for digit in range(SHOWN)]
    for place, (name, (codes, images)) in enumerate(found.items()):
        panel = figure.add_subplot(grid[0, place])
        for digit in range(10):
            chosen = codes[data.test_y == digit]
            color = plt.get_cmap("tab10")(digit)
            panel.scatter(*chosen.T, s=9, color=color, alpha=0.7)
            panel.text(
                *np.median(chosen, axis=0), str(digit), fontsize=13, weight="bold", color="black"
            )
        panel.set_title(f"{name}, error {errors[name]:.4f}")
        panel.set_xticks([])
        panel.set_yticks([])
        strip = figure.add_subplot(grid[1, place])
        rows = [
            np.hstack([np.pad(source[one].reshape(8, 8), 1) for one in shown])
            for source in (data.test_x, images)
        ]
        strip.imshow(np.vstack(rows), cmap="gray_r", vmin=0, vmax=1)
        strip.set_xticks([])
        strip.set_yticks([4.5, 14.5] if place == 0 else [])
        if place == 0:
            strip.set_yticklabels(["image", "back"])
    figure.savefig(folder / "codes.png", dpi=120, bbox_inches="tight")
    print(f"wrote {folder / 'codes.png'}")


def show_codes(data: Data, plan: Plan, folder: Path | None) -> None:
    """Train the codes, print the errors, check them, and draw."""
    encoder, decoder = greedy(data, plan.code_epochs)
    nets = {
        "layer by layer": (encoder, decoder),
        "unrolled": unrolled(encoder, decoder, data, plan.unrolled_epochs),
    }
    found = {"principal components": principal(data)}
    for name, (down, up) in nets.items():
        codes = down.predict(data.test_x)
        found[name] = codes, up.predict(codes)
    errors = {
        name: float(((images - data.test_x) ** 2).mean()) for name, (_, images) in found.items()
    }
    print("\nunseen images out of two numbers, mean squared error")
    for name, error in errors.items():
        print(f"{name:24}{error:.4f}")
    if not errors["unrolled"] < errors["layer by layer"]:
        raise SystemExit(f"training as a whole has not helped, unexpectedly: {errors}")
    if folder is not None:
        draw(folder, data, found, errors)


# ---- pre-training


def classifier(seed: int) -> eg.Sequential:
    """Return a net to classify with, ready to train."""
    hidden = [layers.Dense(units, "elu", kernel_initializer="he_normal") for units in CLASSIFIER]
    model = eg.Sequential([eg.Input((64,)), *hidden, layers.Dense(10, "softmax")], seed=seed)
    model.compile(optimizers.Adam(0.002), "sparse_categorical_crossentropy", ["accuracy"])
    return model


def accuracies(data: Data, plan: Plan) -> dict[str, dict[int, list[float]]]:
    """Return accuracies on unseen images by the kind of pre-training and the number of labels."""
    kinds = {
        "from scratch": None,
        "autoencoders": {},
        "denoising ones": {"noise": layers.Dropout(0.3)},
    }
    found = {kind: {labels: [] for labels in plan.labels} for kind in kinds}
    for seed in range(plan.seeds):
        rows = np.random.default_rng(seed).permutation(len(data.x))
        for kind, settings in kinds.items():
            begun = classifier(seed)
            if settings is not None:
                pretrain.stacked_autoencoder(
                    begun, data.x, epochs=plan.epochs // 4, verbose=0, **settings
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
    lines = ["accuracy on unseen images, by labels", f"{'':16}" + "".join(f"{n:9}" for n in labels)]
    for kind, by_labels in found.items():
        lines.append(f"{kind:16}" + "".join(f"{np.mean(by_labels[n]):9.2%}" for n in labels))
    return "\n".join(lines)


def main() -> None:
    """Train, print the tables, and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, help="folder for the picture")
    parser.add_argument("--quick", action="store_true", help="one seed, fewer epochs")
    arguments = parser.parse_args()
    if arguments.output is not None:
        arguments.output.mkdir(parents=True, exist_ok=True)

    plan, data = PLANS[arguments.quick], digits()
    show_codes(data, plan, arguments.output)
    started = time.perf_counter()
    found = accuracies(data, plan)
    seconds = time.perf_counter() - started
    print(f"\n{table(found)}")
    print(
        f"Means of {plan.seeds} seeds, {seconds:.1f} s; published, on MNIST with 20 000 labels: "
        "94.0 % with a stacked\nautoencoder, 94.9 % without"
    )


if __name__ == "__main__":
    main()
